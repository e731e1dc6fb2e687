#include "config.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace eve::xen {
namespace {

constexpr std::size_t socket_path_max = 107;
constexpr std::uint32_t elf_note_entry = 1;        // XEN_ELFNOTE_ENTRY
constexpr std::uint32_t elf_note_phys32 = 18;      // XEN_ELFNOTE_PHYS32_ENTRY
constexpr std::uint32_t program_note = 4;          // PT_NOTE
constexpr std::uint64_t mebibyte = 1ULL << 20;

template <class T> T number_at(std::string_view file, std::size_t at) {
    T value{};
    if (at <= file.size() && file.size() - at >= sizeof value) std::memcpy(&value, file.data() + at, sizeof value);
    return value;
}

std::uint64_t kib_of(Bytes bytes) { return (bytes.n + mebibyte - 1) / mebibyte * 1024; }  // whole MiB, as EVE

std::string format_word(DiskFormat format) {
    switch (format) {
        case DiskFormat::qcow: return "qcow";
        case DiskFormat::qcow2: return "qcow2";
        case DiskFormat::vhd: return "vhd";
        default: return "raw";
    }
}

}  // namespace

KernelNotes kernel_notes(std::string_view file) {
    KernelNotes notes;
    if (!file.starts_with("\x7f"
                          "ELF"))
        return notes;
    notes.elf = true;
    const bool wide = file.size() > 4 && file[4] == 2;
    const auto table = wide ? number_at<std::uint64_t>(file, 32) : number_at<std::uint32_t>(file, 28);
    const auto entry_size = number_at<std::uint16_t>(file, wide ? 54 : 42);
    const auto count = number_at<std::uint16_t>(file, wide ? 56 : 44);
    for (std::uint16_t i = 0; i < count && i < 64; ++i) {
        const auto header = static_cast<std::size_t>(table) + std::size_t{i} * entry_size;
        if (header >= file.size() || number_at<std::uint32_t>(file, header) != program_note) continue;
        std::size_t at = static_cast<std::size_t>(wide ? number_at<std::uint64_t>(file, header + 8) : number_at<std::uint32_t>(file, header + 4));
        const auto size = static_cast<std::size_t>(wide ? number_at<std::uint64_t>(file, header + 32) : number_at<std::uint32_t>(file, header + 16));
        if (at > file.size()) continue;
        const auto end = at + std::min(size, file.size() - at);
        while (end - at >= 12) {
            const auto name_size = number_at<std::uint32_t>(file, at);
            const auto value_size = number_at<std::uint32_t>(file, at + 4);
            const auto type = number_at<std::uint32_t>(file, at + 8);
            const auto whole = 12 + ((std::uint64_t{name_size} + 3) & ~std::uint64_t{3}) + ((std::uint64_t{value_size} + 3) & ~std::uint64_t{3});
            if (whole > end - at) break;
            if (name_size == 4 && file.substr(at + 12, 4) == std::string_view("Xen\0", 4)) {
                notes.pv_entry = notes.pv_entry || type == elf_note_entry;
                notes.pvh_entry = notes.pvh_entry || type == elf_note_phys32;
            }
            at += static_cast<std::size_t>(whole);
        }
    }
    return notes;
}

std::optional<XenPci> pci_address(std::string_view text) {
    XenPci pci;
    const auto part = [&](std::uint32_t& value, std::string_view digits, std::uint32_t max) {
        const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
        return !digits.empty() && read.ec == std::errc() && read.ptr == digits.data() + digits.size() && value <= max;
    };
    if (std::count(text.begin(), text.end(), ':') == 2) {
        const auto colon = text.find(':');
        if (!part(pci.domain, text.substr(0, colon), 0xffff)) return std::nullopt;
        text.remove_prefix(colon + 1);
    }
    const auto colon = text.find(':');
    const auto dot = text.find('.');
    if (colon == std::string_view::npos || dot == std::string_view::npos || dot < colon) return std::nullopt;
    if (!part(pci.bus, text.substr(0, colon), 0xff) || !part(pci.device, text.substr(colon + 1, dot - colon - 1), 0x1f) ||
        !part(pci.function, text.substr(dot + 1), 7))
        return std::nullopt;
    return pci;
}

namespace {

class Planner {
public:
    Planner(const DomainSpec& spec, const Facts& facts, const Settings& settings) : spec_(spec), facts_(facts), settings_(settings) {}

    Result<Planned> run() {
        auto& config = planned_.config;
        config.name = spec_.name;
        config.uuid = spec_.id.value;
        config.memory_kib = kib_of(spec_.memory);
        config.memory_max_kib = std::max(config.memory_kib, kib_of(spec_.memory_max));
        config.vcpus = std::max(1U, spec_.vcpus);
        config.vcpus_max = std::max(config.vcpus, spec_.vcpus_max);
        if (auto chosen = choose_type(); !chosen) return std::move(chosen).error();
        if (config.type == DomainType::pv && config.memory_max_kib > config.memory_kib) note("A PV guest is given its largest memory only if it balloons");
        for (std::uint32_t vcpu = 0; vcpu < config.vcpus_max && !spec_.cpus.empty(); ++vcpu)
            config.affinity.push_back(spec_.cpus_pinned ? std::vector{spec_.cpus[vcpu % spec_.cpus.size()]} : spec_.cpus);
        disks();
        nics();
        if (auto assigned = adapters(); !assigned) return std::move(assigned).error();
        consoles();
        if (spec_.vnc.enabled) config.screen = {.listen = settings_.vnc_listen, .display = spec_.vnc.display, .password = spec_.vnc.password};
        if (spec_.network_order_enforced) note("Xen does not enforce the order of network interfaces");
        if (spec_.openstack_metadata) note("Xen does not show the guest an OpenStack host: it must be told where its metadata is");
        if (!spec_.root_device.empty()) note("The root device has no effect under Xen: name it in the kernel's command line");
        if (spec_.boot_order != BootOrder::unknown) note("Xen does not heed the boot order of USB devices");
        return std::move(planned_);
    }

private:
    void note(std::string text) { planned_.notes.push_back(std::move(text)); }
    static Error cannot(std::string what, std::string field, std::string hint = {}) {
        return {.code = Code::failed_precondition, .what = std::move(what), .field = std::move(field), .hint = std::move(hint)};
    }
    bool emulated() const { return spec_.mode == VirtualizationMode::legacy || spec_.mode == VirtualizationMode::fml; }
    bool has_pci() const {
        return std::any_of(spec_.adapters.begin(), spec_.adapters.end(), [](const Adapter& a) { return a.kind == AdapterKind::pci; });
    }

    Status choose_type() {
        auto& config = planned_.config;
        config.kernel = spec_.kernel;
        config.ramdisk = spec_.ramdisk;
        config.command_line = spec_.extra_args;
        if (spec_.mode == VirtualizationMode::pv) return choose_pv();
        if (!facts_.hvm) return cannot("this machine's CPU does not virtualize (or its firmware switched it off): only PV guests run", ".mode");
        config.type = DomainType::hvm;
        config.ahci = emulated();
        if (spec_.mode != VirtualizationMode::fml) return {};
        if (!spec_.firmware.empty() && facts_.spec_firmware) config.uefi = spec_.firmware;
        else if (facts_.uefi_firmware) config.uefi = settings_.uefi_firmware;
        else return cannot("there is no UEFI firmware for FML guests", ".firmware", "install ovmf, or set uefi_firmware of the plugin");
        if (!spec_.resolution.empty()) note("Xen's firmware has no variables to set the screen's resolution in");
        return {};
    }

    Status choose_pv() {
        auto& config = planned_.config;
        config.command_line = "console=hvc0 appuuid=" + spec_.id.value + (spec_.extra_args.empty() ? "" : " " + spec_.extra_args);
        const bool pvh = facts_.hvm && settings_.pv_type == "auto";
        if (!spec_.kernel.empty()) {
            const bool pvh_kernel = !facts_.kernel.elf || facts_.kernel.pvh_entry;
            const bool pv_kernel = !facts_.kernel.elf || facts_.kernel.pv_entry;
            if (!pvh_kernel && !pv_kernel) return cannot("the kernel is an ELF file that Xen cannot start: it has neither a PV nor a PVH entry", ".kernel");
            // Xen assigns no devices to PVH guests.
            config.type = pvh && pvh_kernel && !has_pci() ? DomainType::pvh : DomainType::pv;
            if (config.type == DomainType::pv && !pv_kernel)
                return cannot(has_pci() ? "a guest with devices of the host must be PV, and the kernel has only a PVH entry"
                                        : "this machine's CPU does not virtualize, and the kernel has only a PVH entry",
                              ".kernel");
            if (pvh && config.type == DomainType::pv) note(has_pci() ? "It runs as PV: Xen gives PVH guests no devices" : "It runs as PV: its kernel has no PVH entry");
            return {};
        }
        if (pvh && facts_.pvh_firmware && !has_pci()) {
            config.type = DomainType::pvh;
            config.kernel = settings_.pvh_firmware;
            return {};
        }
        if (!facts_.hvm) return cannot("a PV guest without a kernel needs a CPU that virtualizes", ".kernel");
        config.type = DomainType::hvm;
        config.command_line.clear();
        note("It runs as HVM: " + (has_pci() ? std::string("a PV guest with devices needs a kernel of its own") : settings_.pvh_firmware + ", which would boot it as PVH, is not there"));
        return {};
    }

    void disks() {
        auto& config = planned_.config;
        char letter = 'a';
        for (const auto& disk : spec_.disks) {
            if (disk.target == DiskTarget::app_custom) continue;
            config.disks.push_back({.path = disk.path,
                                    .format = format_word(disk.format),
                                    .vdev = std::string("xvd") + letter++,
                                    .read_only = disk.read_only || disk.cdrom || disk.format == DiskFormat::iso,
                                    .cdrom = config.type == DomainType::hvm && (disk.cdrom || disk.format == DiskFormat::iso)});
        }
    }

    void nics() {
        for (const auto& vif : spec_.vifs)
            planned_.config.nics.push_back({.name = vif.name,
                                            .bridge = vif.bridge,
                                            .mac = vif.mac,
                                            .mtu = vif.mtu,
                                            .emulated = planned_.config.type == DomainType::hvm && emulated(),
                                            .script = settings_.vif_script});
    }

    Status adapters() {
        auto& config = planned_.config;
        for (std::size_t at = 0; at < spec_.adapters.size(); ++at) {
            const auto& adapter = spec_.adapters[at];
            const auto field = ".adapters[" + std::to_string(at) + "]";
            if (adapter.kind == AdapterKind::serial) {
                if (config.type != DomainType::hvm) return cannot("serial ports of the host are given to HVM, LEGACY and FML guests only", field);
                continue;  // see consoles()
            }
            if (!facts_.directio) return cannot("Xen has no IOMMU to assign devices with: switch VT-d or AMD-Vi on in the machine's firmware", field);
            auto pci = pci_address(adapter.address).value_or(XenPci{});
            pci.permissive = spec_.mode == VirtualizationMode::fml || config.type == DomainType::pv;
            pci.relaxed_memory = std::find(facts_.usb_controllers.begin(), facts_.usb_controllers.end(), adapter.address) != facts_.usb_controllers.end();
            config.pcis.push_back(pci);
        }
        return {};
    }

    void consoles() {
        if (planned_.config.type != DomainType::hvm) {
            if (!spec_.console_log_disabled) planned_.console_log_path = settings_.console_logs + "/guest-" + spec_.name + ".log";
            return;
        }
        auto& serials = planned_.config.serials;
        const auto socket = facts_.directory + "/cons";
        const auto log = facts_.directory + "/console.log";
        const bool plain = facts_.directory.find(',') == std::string::npos;  // QEMU's options end at commas
        if (plain && !facts_.directory.empty() && socket.size() <= socket_path_max) {
            planned_.console_path = socket;
            serials.push_back("unix:" + socket + ",server=on,wait=off" + (spec_.console_log_disabled ? "" : ",logfile=" + log + ",logappend=on"));
            if (!spec_.console_log_disabled) planned_.console_log_path = log;
        } else {
            serials.emplace_back("pty");
        }
        for (const auto& adapter : spec_.adapters)
            if (adapter.kind == AdapterKind::serial) serials.push_back(adapter.address);
    }

    const DomainSpec& spec_;
    const Facts& facts_;
    const Settings& settings_;
    Planned planned_;
};

}  // namespace

Result<Planned> plan(const DomainSpec& spec, const Facts& facts, const Settings& settings) { return Planner(spec, facts, settings).run(); }

std::string config_text(const XenConfig& config) {
    std::string text;
    const auto line = [&](const char* key, const std::string& value) { text += std::string(key) + " = " + value + "\n"; };
    const auto quoted = [](const std::string& value) { return "\"" + value + "\""; };
    const auto list = [&](const std::vector<std::string>& values) {
        std::string out = "[";
        for (const auto& value : values) out += (out.size() > 1 ? ", " : " ") + quoted(value);
        return out + " ]";
    };
    line("name", quoted(config.name));
    line("uuid", quoted(config.uuid));
    line("type", quoted(config.type == DomainType::pv ? "pv" : config.type == DomainType::pvh ? "pvh" : "hvm"));
    if (!config.kernel.empty()) line("kernel", quoted(config.kernel));
    if (!config.ramdisk.empty()) line("ramdisk", quoted(config.ramdisk));
    if (!config.command_line.empty()) line("cmdline", quoted(config.command_line));
    line("memory", std::to_string(config.memory_kib / 1024));
    if (config.memory_max_kib != config.memory_kib) line("maxmem", std::to_string(config.memory_max_kib / 1024));
    line("vcpus", std::to_string(config.vcpus));
    if (config.vcpus_max != config.vcpus) line("maxvcpus", std::to_string(config.vcpus_max));
    if (!config.affinity.empty()) {
        std::vector<std::string> cpus;
        for (const auto& of_one : config.affinity) {
            std::string joined;
            for (const auto cpu : of_one) joined += (joined.empty() ? "" : ",") + std::to_string(cpu);
            cpus.push_back(joined);
        }
        line("cpus", list(cpus));
    }
    if (config.type == DomainType::hvm) {
        line("boot", quoted("dc"));
        if (config.ahci) line("hdtype", quoted("ahci"));
        if (!config.uefi.empty()) line("bios_path_override", quoted(config.uefi));
        line("serial", list(config.serials));
        if (!config.screen) text += "nographic = 1\nvga = \"none\"\nvnc = 0\n";
    }
    if (config.screen)
        line("vnc", quoted(config.screen->listen + ":" + std::to_string(config.screen->display) + (config.screen->password.value.empty() ? "" : ", with a password")));
    std::vector<std::string> words;
    for (const auto& disk : config.disks)
        words.push_back("format=" + disk.format + ",vdev=" + disk.vdev + ",access=" + (disk.read_only ? "ro" : "rw") + (disk.cdrom ? ",devtype=cdrom" : "") + ",target=" + disk.path);
    line("disk", list(words));
    words.clear();
    for (const auto& nic : config.nics)
        words.push_back("bridge=" + nic.bridge + ",vifname=" + nic.name + ",mac=" + nic.mac + ",type=" + (nic.emulated ? "ioemu" : "vif") +
                        (nic.mtu != 0 ? ",mtu=" + std::to_string(nic.mtu) : ""));
    line("vif", list(words));
    words.clear();
    constexpr std::string_view digits = "0123456789abcdef";
    const auto hex = [&](std::uint32_t value, int places) {
        std::string out;
        for (int place = places - 1; place >= 0; --place) out += digits[value >> (4 * place) & 15U];
        return out;
    };
    for (const auto& pci : config.pcis)
        words.push_back(hex(pci.domain, 4) + ":" + hex(pci.bus, 2) + ":" + hex(pci.device, 2) + "." + hex(pci.function, 1) + (pci.permissive ? ",permissive=1" : "") +
                        (pci.relaxed_memory ? ",rdm_policy=relaxed" : ""));
    if (!words.empty()) line("pci", list(words));
    return text;
}

}  // namespace eve::xen
