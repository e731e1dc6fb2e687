#pragma once
// A machine's PCI devices as a directory that looks like sysfs, with a kernel that reacts to writes: it binds, unbinds, honours overrides, makes
// virtual functions, and fails or blocks where a test says so.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "host_calls.hpp"
#include "sysfs.hpp"
#include "tests/doubles/temp_dir.hpp"
#include "topology.hpp"

namespace eve {

/// A PCI function as a test describes it.
struct FakePciDevice {
    std::string address;
    std::string group;                  ///< of the IOMMU; empty: none
    std::string driver;                 ///< of the host; bound at first, and whenever the kernel chooses
    std::string device_class = "0x020000";
    std::string id = "0x8086:0x10d3";
    std::string below = "pci0000:00";   ///< path below devices/: behind a bridge "pci0000:00/0000:00:1c.0"
    std::string interface;              ///< that the host's driver makes
    std::string mac;
    std::string disk;
    std::uint32_t functions_max = 0;
    bool boot_vga = false;
};

class FakeSysfs final : public pci::Sysfs {
public:
    // What goes wrong.
    std::map<std::string, std::string> binds_instead;  ///< device -> the driver that takes it whatever the override says ("": none)
    std::set<std::string> in_use;                      ///< an unbind of these does not return
    std::set<std::string> vanishes;                    ///< at its next unbind
    std::function<Status(const std::string& path, const std::string& text)> before_write;
    std::vector<std::string> writes;                   ///< "path<-text", in order

    FakeSysfs() : root_fd_(::open(dir_.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)), reader_(root_fd_) {
        for (const char* folder : {"bus/pci/devices", "bus/pci/drivers", "class/net", "class/block", "dev/block", "devices", "kernel/iommu_groups"})
            std::filesystem::create_directories(root() / folder);
        put("bus/pci/drivers_probe", "");
        put("mountinfo", "");
        put("swaps", "");
        for (const char* driver : {"vfio-pci", "e1000e", "nvme", "virtio-pci", "e1000"}) add_driver(driver);
    }
    ~FakeSysfs() override { ::close(root_fd_); }
    FakeSysfs(const FakeSysfs&) = delete;
    FakeSysfs& operator=(const FakeSysfs&) = delete;

    std::filesystem::path root() const { return dir_.path(); }
    int fd() const { return root_fd_; }
    pci::HostFiles files() const { return {.mounts = root() / "mountinfo", .swaps = root() / "swaps"}; }

    void add_driver(const std::string& name) {
        std::filesystem::create_directories(root() / "bus/pci/drivers" / name);
        put("bus/pci/drivers/" + name + "/bind", "");
    }
    void remove_driver(const std::string& name) { std::filesystem::remove_all(root() / "bus/pci/drivers" / name); }

    void add(const FakePciDevice& device) {
        const auto real = "devices/" + device.below + "/" + device.address;
        std::filesystem::create_directories(root() / real);
        link("bus/pci/devices/" + device.address, "../../../" + real);
        const auto colon = device.id.find(':');
        put(real + "/vendor", device.id.substr(0, colon));
        put(real + "/device", device.id.substr(colon + 1));
        put(real + "/class", device.device_class);
        put(real + "/driver_override", "(null)");
        put(real + "/resource", "0x00000000fe000000 0x00000000fe01ffff 0x0000000000040200\n");
        if (device.boot_vga) put(real + "/boot_vga", "1");
        if (device.functions_max > 0) {
            put(real + "/sriov_totalvfs", std::to_string(device.functions_max));
            put(real + "/sriov_numvfs", "0");
            put(real + "/sriov_drivers_autoprobe", "1");
        }
        if (!device.group.empty()) {
            const auto group = "kernel/iommu_groups/" + device.group;
            std::filesystem::create_directories(root() / group / "devices");
            link(group + "/devices/" + device.address, "../../../../" + real);
            link(real + "/iommu_group", up(real) + group);
        }
        devices_[device.address] = device;
        if (!device.driver.empty()) bind(device.address, device.driver);
    }
    void remove(const std::string& address) {
        unbind(address);
        const auto device = devices_.at(address);
        std::filesystem::remove_all(real(address));
        std::filesystem::remove(root() / "bus/pci/devices" / address);
        if (!device.group.empty()) std::filesystem::remove(root() / "kernel/iommu_groups" / device.group / "devices" / address);
        devices_.erase(address);
    }
    void mount(const std::string& block, const std::string& where) {
        std::ofstream(root() / "mountinfo", std::ios::app) << "22 1 259:1 / " << where << " rw - ext4 /dev/" << block << " rw\n";
    }

    std::string driver_of(const std::string& address) { return link_name("bus/pci/devices/" + address + "/driver"); }
    /// Every device with its driver and override: "0000:00:04.0 e1000e (null)".
    std::vector<std::string> drivers() {
        std::vector<std::string> all;
        for (const auto& [address, device] : devices_)
            all.push_back(address + " " + driver_of(address) + " " + text("bus/pci/devices/" + address + "/driver_override"));
        return all;
    }
    void set_interface_name(const std::string& address, const std::string& name) {
        const auto driver = driver_of(address);
        unbind(address);
        devices_.at(address).interface = name;
        if (!driver.empty()) bind(address, driver);
    }

    // The plugin's side.
    Result<std::string> read(const std::string& path) override { return reader_.read(path); }
    Result<std::string> target(const std::string& path) override { return reader_.target(path); }
    std::vector<std::string> names(const std::string& path) override { return reader_.names(path); }
    bool exists(const std::string& path) override { return reader_.exists(path); }
    bool pending(const std::string& path) override { return path.ends_with("/driver/unbind") && pending_.contains(address_in(path)); }
    Status write(const std::string& path, const std::string& text, std::chrono::milliseconds) override {
        auto trimmed = text;
        while (!trimmed.empty() && trimmed.back() == '\n') trimmed.pop_back();
        writes.push_back(path + "<-" + trimmed);
        if (before_write)
            if (auto allowed = before_write(path, trimmed); !allowed) return allowed;
        return react(path, trimmed);
    }
    /// The blocked unbinds return, because the guest ended.
    void guest_ended(const std::string& address) {
        in_use.erase(address);
        if (pending_.erase(address) > 0) unbind(address);
    }

private:
    static std::string up(const std::string& path) {
        std::string text;
        for (std::size_t i = 0; i <= static_cast<std::size_t>(std::count(path.begin(), path.end(), '/')); ++i) text += "../";
        return text;
    }
    static std::string address_in(const std::string& path) {
        const std::string prefix = "bus/pci/devices/";
        if (!path.starts_with(prefix)) return {};
        return path.substr(prefix.size(), path.find('/', prefix.size()) - prefix.size());
    }
    std::filesystem::path real(const std::string& address) const { return root() / "devices" / devices_.at(address).below / address; }
    std::string real_path(const std::string& address) const { return "devices/" + devices_.at(address).below + "/" + address; }
    void put(const std::string& path, const std::string& text) { std::ofstream(root() / path, std::ios::trunc) << text; }
    void link(const std::string& path, const std::string& to) {
        std::filesystem::remove(root() / path);
        std::filesystem::create_symlink(to, root() / path);
    }

    Status react(const std::string& path, const std::string& text) {
        const auto refused = [&](const char* why) { return Error{.code = Code::unavailable, .what = path + ": " + why}; };
        if (path == "bus/pci/drivers_probe") {
            if (devices_.contains(text) && driver_of(text).empty()) probe(text);
            return {};
        }
        if (path.starts_with("bus/pci/drivers/") && path.ends_with("/bind")) {
            const auto driver = path.substr(16, path.size() - 21);
            if (!devices_.contains(text) || !driver_of(text).empty()) return refused("No such device");
            bind(text, driver);
            return {};
        }
        if (path == "bus/pci/drivers/pciback/remove_slot" || path == "bus/pci/drivers/pciback/new_slot") {
            if (path.ends_with("new_slot")) slots_.insert(text);
            else if (slots_.erase(text) == 0) return refused("No such device");
            return {};
        }
        const auto address = address_in(path);
        if (!devices_.contains(address)) return Error{.code = Code::not_found, .what = path + ": No such file or directory"};
        if (path.ends_with("/driver_override")) {
            put(real_path(address) + "/driver_override", text.empty() ? "(null)" : text);
            return {};
        }
        if (path.ends_with("/driver/unbind")) {
            if (driver_of(address).empty()) return Error{.code = Code::not_found, .what = path + ": No such file or directory"};
            if (in_use.contains(address)) {
                pending_.insert(address);
                return Error{.code = Code::timed_out, .what = path + ": the kernel has not returned"};
            }
            if (vanishes.erase(address) > 0) remove(address);
            else unbind(address);
            return {};
        }
        if (path.ends_with("/sriov_numvfs")) return set_functions(address, static_cast<std::uint32_t>(std::stoul(text)));
        if (path.ends_with("/sriov_drivers_autoprobe")) {
            put(real_path(address) + "/sriov_drivers_autoprobe", text);
            return {};
        }
        return refused("Permission denied");
    }

    void probe(const std::string& address) {
        const auto& device = devices_.at(address);
        auto wanted = text("bus/pci/devices/" + address + "/driver_override");
        if (wanted == "(null)") wanted = slots_.contains(address) ? "pciback" : device.driver;  // pciback seizes what it had until its slot is removed
        if (const auto instead = binds_instead.find(address); instead != binds_instead.end() && wanted == "vfio-pci") wanted = instead->second;
        if (wanted == "vfio-pci" && device.group.empty()) return;  // -22: no IOMMU
        if (!wanted.empty() && std::filesystem::exists(root() / "bus/pci/drivers" / wanted)) bind(address, wanted);
    }
    void bind(const std::string& address, const std::string& driver) {
        const auto& device = devices_.at(address);
        const auto path = real_path(address);
        link(path + "/driver", up(path) + "bus/pci/drivers/" + driver);
        if (driver == "pciback") slots_.insert(address);
        std::filesystem::remove(root() / "bus/pci/drivers" / driver / address);
        if (driver != device.driver) return;
        if (!device.interface.empty()) {
            std::filesystem::create_directories(root() / path / "net" / device.interface);
            put(path + "/net/" + device.interface + "/address", device.mac);
            link("class/net/" + device.interface, "../../" + path + "/net/" + device.interface);
        }
        if (!device.disk.empty()) {
            std::filesystem::create_directories(root() / path / "block" / device.disk);
            link("class/block/" + device.disk, "../../" + path + "/block/" + device.disk);
        }
    }
    void unbind(const std::string& address) {
        const auto& device = devices_.at(address);
        std::filesystem::remove(real(address) / "driver");
        if (!device.interface.empty()) std::filesystem::remove(root() / "class/net" / device.interface);
        if (!device.disk.empty()) std::filesystem::remove(root() / "class/block" / device.disk);
        std::filesystem::remove_all(real(address) / "net");
        std::filesystem::remove_all(real(address) / "block");
    }
    Status set_functions(const std::string& address, std::uint32_t number) {
        const auto path = real_path(address);
        if (number > devices_.at(address).functions_max) return Error{.code = Code::unavailable, .what = path + ": Numerical result out of range"};
        for (std::uint32_t i = 0; i < functions_of_a_bus; ++i) {
            const auto name = function_address(address, i);
            if (!devices_.contains(name)) continue;
            std::filesystem::remove(root() / path / ("virtfn" + std::to_string(i)));
            remove(name);
        }
        for (std::uint32_t i = 0; i < number; ++i) {
            const auto name = function_address(address, i);
            add({.address = name, .group = std::to_string(100 + i), .below = devices_.at(address).below});
            link(path + "/virtfn" + std::to_string(i), "../" + name);
            link(real_path(name) + "/physfn", "../" + address);
        }
        put(path + "/sriov_numvfs", std::to_string(number));
        return {};
    }
    static constexpr std::uint32_t functions_of_a_bus = 128;  // slots 10 to 1f
    static std::string function_address(const std::string& address, std::uint32_t index) {
        const std::string digits = "0123456789abcdef";
        return address.substr(0, address.rfind(':')) + ":1" + digits[index / 8] + "." + digits[index % 8];
    }

    TempDir dir_;
    int root_fd_;
    pci::DirectorySysfs reader_;
    std::map<std::string, FakePciDevice> devices_;
    std::set<std::string> pending_;
    std::set<std::string> slots_;  // of pciback
};

/// VFIO's files: groups that a guest has open, and what the machine lacks.
class FakeVfio final : public pci::Vfio {
public:
    std::map<std::string, std::string> open;  ///< group -> who
    std::string lacks;                        ///< what the machine lacks, or empty
    std::map<std::string, std::string> holders() override { return open; }
    bool busy(const std::string& group) override { return open.contains(group); }
    Status try_out(const std::string&) override {
        if (lacks.empty()) return {};
        return Error{.code = Code::failed_precondition, .what = lacks};
    }
};

/// Settings of virtual functions as a map.
class FakeFunctionSetter final : public pci::FunctionSetter {
public:
    std::map<std::uint32_t, pci::FunctionSettings> set_functions;
    std::set<std::uint32_t> fails;
    std::set<std::string> up;
    Status set(const pci::FunctionSettings& settings) override {
        if (fails.contains(settings.index) && !settings.mac.empty()) return Error{.code = Code::unavailable, .what = "the card refuses the MAC address"};
        set_functions[settings.index] = settings;
        return {};
    }
    Status bring_up(const std::string& interface) override {
        up.insert(interface);
        return {};
    }
};

}  // namespace eve
