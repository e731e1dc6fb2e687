// A board's plugin as an example: one model of NIC forgets its registers when it is reset by its function, so another way is chosen before a guest
// gets it; and its interrupts must go through QEMU, which takes an argument.

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include "eve/sdk/plugin.hpp"

namespace {

using namespace eve;

constexpr const char* vendor = "8086";
constexpr const char* device_model = "10d3";

class ExampleBoard final : public Board {
public:
    explicit ExampleBoard(HostServices& host) : host_(host) {}

    Result<BoardDescription> describe(const CallContext&) override { return BoardDescription{}; }

    Result<ProbeReport> probe(const CallContext&) override {
        // Your board: ask the firmware's tables (class/dmi/id/board_name) whether it is yours, and decline everywhere else.
        return ProbeReport{.verdict = ProbeVerdict::supported, .reason = "its quirks are bound to one model of device"};
    }

    Result<std::vector<BoardDevice>> devices(const CallContext&) override {
        return std::vector<BoardDevice>{{.vendor = vendor,
                                         .device = device_model,
                                         .quirks = {"reset by power state", "interrupts go through QEMU"},
                                         .steps = {BoardStep::bind, BoardStep::reset, BoardStep::unbind}}};
    }

    Status before(const CallContext&, const BoardMoment& moment) override {
        if (moment.step == BoardStep::unbind) return {};
        // The kernel resets the device in this way from now on, also when QEMU asks for it.
        const auto ways = read(moment.device, "reset_method");
        if (!ways || ways->find(reset_way) == std::string::npos)
            return Error{.code = Code::failed_precondition,
                         .what = moment.device.address + " cannot be reset by its power state on this kernel",
                         .hint = "the quirk needs Linux 5.15 or later"};
        return write(moment.device, "reset_method", reset_way);
    }

    Status after(const CallContext&, const BoardMoment& moment) override {
        if (moment.step == BoardStep::unbind) return write(moment.device, "reset_method", "default");
        if (auto reset = write(moment.device, "reset", "1"); !reset) return reset;
        host_.log(LogLevel::info, "board.device_reset", {{"device", moment.device.address}, {"way", std::string(reset_way)}});
        return {};
    }

    Result<BoardAdjustment> adjust(const CallContext&, const BoardDomain& domain) override {
        BoardAdjustment adjustment;
        for (const auto& device : domain.devices) {
            if (device.vendor != vendor || device.device != device_model) continue;
            adjustment.vmm_args = {"-global", "vfio-pci.x-no-kvm-intx=on"};
            adjustment.notes.push_back("Interrupts of " + device.address + " go through QEMU: this model does not bear the shortcut");
        }
        return adjustment;
    }

private:
    static constexpr const char* reset_way = "pm";

    int open(const PciDevice& device, const char* file, int flags) const {
        return ::openat(host_.config().sysfs.fd, ("bus/pci/devices/" + device.address + "/" + file).c_str(), flags | O_CLOEXEC);
    }
    Result<std::string> read(const PciDevice& device, const char* file) const {
        const int fd = open(device, file, O_RDONLY);
        std::array<char, 256> text{};
        const auto got = fd < 0 ? -1 : ::read(fd, text.data(), text.size());
        if (fd >= 0) ::close(fd);
        if (got < 0) return Error{.code = Code::unavailable, .what = device.address + " " + file + ": " + std::strerror(errno)};
        return std::string(text.data(), static_cast<std::size_t>(got));
    }
    Status write(const PciDevice& device, const char* file, std::string_view text) const {
        const int fd = open(device, file, O_WRONLY);
        const auto put = fd < 0 ? -1 : ::write(fd, text.data(), text.size());
        const int number = errno;
        if (fd >= 0) ::close(fd);
        if (put < 0) return Error{.code = Code::unavailable, .what = device.address + " " + file + ": " + std::strerror(number)};
        return {};
    }

    HostServices& host_;
};

}  // namespace

EVE_PLUGIN(ExampleBoard, .id = "org.example.board", .version = "0.1.0")
