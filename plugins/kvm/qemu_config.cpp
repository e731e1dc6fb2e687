#include "qemu_config.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <set>

#include "common/container_image.hpp"
#include "common/grammar.hpp"

namespace eve::kvm {
namespace {

std::string hex(std::uint32_t number) {
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "0x%x", number);
    return text.data();
}

std::string mebibytes(Bytes size) { return std::to_string((size.n + (1U << 20) - 1) >> 20); }

/// Builds the sections of one domain in EVE's order, numbering slots, disks and ports as it goes.
class Builder {
public:
    Builder(const DomainSpec& spec, const Layout& layout) : spec_(spec), layout_(layout) {}

    QemuPlan build() {
        arguments();
        machine();
        if (x86()) globals();
        if (x86() && spec_.mode == VirtualizationMode::fml) firmware_drives();
        add("overcommit", "", {{"mem-lock", "off"}});
        monitor("charmonitor", "monitor", "qmp");
        monitor("charlistener", "listener", "listener.qmp");
        add("memory", "", {{"size", mebibytes(spec_.memory)}});
        if (container()) shared_memory();
        const auto cpus = std::to_string(spec_.vcpus);
        add("smp-opts", "", {{"cpus", cpus}, {"sockets", "1"}, {"cores", cpus}, {"threads", "1"}});
        console();
        if (container()) exit_report();
        if (spec_.vnc.enabled) screen();
        usb();
        if (spec_.virtual_tpm) tpm();
        for (const auto& disk : spec_.disks)
            if (disk.target != DiskTarget::app_custom) add_disk(disk);
        for (const auto& place : places_of(spec_, layout_.iommu_groups)) {
            if (place.vif != nullptr) add_vif(*place.vif);
            else add_card(place.functions);
        }
        serial_ports();
        add("device", "eve-vsock0", {{"driver", "vhost-vsock-pci"}, {"disable-legacy", "on"}, {"guest-cid", std::to_string(layout_.vsock_cid)}});
        return std::move(plan_);
    }

private:
    using Entries = std::vector<std::pair<std::string, std::string>>;

    bool x86() const { return layout_.architecture == Architecture::x86_64; }
    bool container() const { return plugins::root_disk(spec_) != nullptr; }
    bool legacy() const { return spec_.mode == VirtualizationMode::legacy; }
    Section& add(std::string kind, std::string id, Entries entries) {
        return plan_.sections.emplace_back(Section{.kind = std::move(kind), .id = std::move(id), .entries = std::move(entries)});
    }
    void argument(std::string name, std::string value = {}) {
        plan_.args.push_back(std::move(name));
        if (!value.empty()) plan_.args.push_back(std::move(value));
    }

    void arguments() {
        argument("-display", "none");
        argument("-S");
        argument("-no-user-config");
        argument("-nodefaults");
        argument("-no-shutdown");
        if (container()) argument("-no-reboot");  // a kernel that panics ends, and nothing begins anew behind the node's back
        argument("-serial", "chardev:charserial0");
        if (x86()) argument("-machine", "hpet=off");
        const bool hidden = x86() && spec_.mode == VirtualizationMode::fml;
        argument("-cpu", hidden ? "host,hv_time,hv_relaxed,hv_vendor_id=eveitis,hypervisor=off,kvm=off,vmx=off" : "host");
        if (spec_.openstack_metadata) argument("-smbios", "type=1,product=OpenStack Compute");
        argument("-name", spec_.name);
        argument("-uuid", spec_.id.value);
        argument("-readconfig", layout_.config_path);
        argument("-pidfile", layout_.directory + "/pid");
        plan_.args.insert(plan_.args.end(), spec_.vmm_args.begin(), spec_.vmm_args.end());
    }

    void machine() {
        add("msg", "", {{"timestamp", "on"}});
        auto& machine = add("machine", "", {{"type", layout_.machine}, {"dump-guest-core", "off"}});
        if (x86()) {
            machine.set("accel", "kvm");
            machine.set("vmport", "off");
            machine.set("kernel-irqchip", "on");
        } else {
            machine.set("accel", "kvm:tcg");
            machine.set("gic-version", "host");
        }
        if (container()) machine.set("memory-backend", "ram");
        if (!spec_.firmware.empty() && (spec_.mode != VirtualizationMode::fml || !x86())) machine.set("firmware", spec_.firmware);
        if (!spec_.kernel.empty()) machine.set("kernel", spec_.kernel);
        if (!spec_.ramdisk.empty()) machine.set("initrd", spec_.ramdisk);
        if (!spec_.device_tree.empty()) machine.set("dtb", spec_.device_tree);
        if (!spec_.extra_args.empty()) machine.set("append", spec_.extra_args);
    }

    void globals() {
        add("global", "", {{"driver", "kvm-pit"}, {"property", "lost_tick_policy"}, {"value", "delay"}});
        add("global", "", {{"driver", "ICH9-LPC"}, {"property", "disable_s3"}, {"value", "1"}});
        add("global", "", {{"driver", "ICH9-LPC"}, {"property", "disable_s4"}, {"value", "1"}});
        add("rtc", "", {{"base", container() ? "utc" : "localtime"}, {"driftfix", "slew"}});
        add("device", "", {{"driver", "intel-iommu"}, {"caching-mode", "on"}});
    }

    void firmware_drives() {
        if (spec_.boot_order != BootOrder::unknown)
            add("fw_cfg", "", {{"name", "opt/eve.bootorder"}, {"string", spec_.boot_order == BootOrder::usb ? "usb" : "nousb"}});
        add("drive", "drive-ovmf-code",
            {{"if", "pflash"}, {"format", "raw"}, {"readonly", "on"}, {"unit", "0"}, {"file", spec_.firmware}});
        add("drive", "drive-ovmf-vars", {{"if", "pflash"}, {"format", "raw"}, {"unit", "1"}, {"file", layout_.firmware_vars}});
    }

    void monitor(const std::string& chardev, const std::string& name, const std::string& socket) {
        add("chardev", chardev, {{"backend", "socket"}, {"path", layout_.directory + "/" + socket}, {"server", "on"}, {"wait", "off"}});
        add("mon", name, {{"chardev", chardev}, {"mode", "control"}});
    }

    void console() {
        add("device", "", {{"driver", "virtio-serial"}, {"addr", "3"}});
        auto& chardev = add("chardev", "charserial0",
                            {{"backend", "socket"}, {"mux", "on"}, {"path", layout_.directory + "/cons"}, {"server", "on"}, {"wait", "off"}});
        if (!spec_.console_log_disabled) {
            chardev.set("logfile", "/dev/fd/1");
            chardev.set("logappend", "on");
        }
        add("device", "", {{"driver", "virtconsole"}, {"chardev", "charserial0"}, {"name", "org.lfedge.eve.console.0"}});
    }

    /// What serves the root file system reads and writes the guest's memory.
    void shared_memory() {
        add("object", "ram", {{"qom-type", "memory-backend-memfd"}, {"size", mebibytes(spec_.memory) + "M"}, {"share", "on"}});
    }

    /// Where the guest's first process says how the app ended.
    void exit_report() {
        add("chardev", "charexit", {{"backend", "file"}, {"path", layout_.directory + "/" + exit_report_file}, {"append", "on"}});
        add("device", "exit", {{"driver", "virtserialport"}, {"chardev", "charexit"}, {"name", report_port}});
    }

    void screen() {
        auto& vnc = add("vnc", "default", {{"vnc", layout_.vnc_listen + ":" + std::to_string(spec_.vnc.display)}});
        if (!spec_.vnc.password.value.empty()) vnc.set("password", "on");
        if (!x86()) add("device", "video0", {{"driver", "virtio-gpu-pci"}});
        else if (spec_.gpu == "legacy") add("device", "video0", {{"driver", "VGA"}, {"vgamem_mb", "16"}, {"bus", "pcie.0"}, {"addr", "0x1"}});
        else add("device", "video0", {{"driver", "virtio-vga"}, {"max_outputs", "1"}, {"bus", "pcie.0"}, {"addr", "0x1"}});
    }

    void usb() {
        add("device", "pci.2", {{"driver", "pcie-root-port"}, {"port", "12"}, {"chassis", "2"}, {"bus", "pcie.0"}, {"addr", "0x2"}});
        add("device", "usb", {{"driver", "qemu-xhci"}, {"p2", "15"}, {"p3", "15"}, {"bus", "pci.2"}, {"addr", "0x0"}});
        if (x86()) {
            add("device", "input0", {{"driver", "usb-tablet"}, {"bus", "usb.0"}, {"port", "1"}});
        } else {
            add("device", "input0", {{"driver", "usb-kbd"}, {"bus", "usb.0"}, {"port", "1"}});
            add("device", "input1", {{"driver", "usb-mouse"}, {"bus", "usb.0"}, {"port", "2"}});
        }
    }

    void tpm() {
        add("chardev", "swtpm", {{"backend", "socket"}, {"path", layout_.tpm_socket}});
        add("tpmdev", "tpm0", {{"type", "emulator"}, {"chardev", "swtpm"}});
        add("device", "tpm-tis", {{"driver", x86() ? "tpm-tis" : "tpm-tis-device"}, {"tpmdev", "tpm0"}});
    }

    /// A root port of its own in the next slot: "pci.<slot>".
    std::string root_port(bool multifunction) {
        const auto number = std::to_string(slot_);
        auto& port = add("device", "pci." + number, {{"driver", "pcie-root-port"}, {"port", "1" + number}, {"chassis", number}, {"bus", "pcie.0"}});
        if (multifunction) port.set("multifunction", "on");
        port.set("addr", hex(slot_));
        ++slot_;
        return "pci." + number;
    }

    void add_disk(const Disk& disk) {
        const auto number = std::to_string(disk_++);
        if (disk.format == DiskFormat::container) {
            const auto port = root_port(false);
            add("chardev", "charfs" + number, {{"backend", "socket"}, {"path", layout_.directory + "/" + share_directory(disk) + "/" + share_socket}});
            add("device", "fs" + number,
                {{"driver", "vhost-user-fs-pci"}, {"chardev", "charfs" + number}, {"tag", share_tag(disk)}, {"bus", port}, {"addr", "0x0"}});
            return;
        }
        if (container()) {
            add_container_disk(disk, number);
            return;
        }
        if (disk.cdrom || disk.format == DiskFormat::iso) {
            const auto drive = "drive-sata0-" + number;
            add("drive", drive, {{"file", disk.path}, {"format", "raw"}, {"if", "none"}, {"media", "cdrom"}, {"readonly", "on"}});
            const auto port = std::to_string(sata_++);
            auto& device = add("device", "sata0-" + port, {{"drive", drive}});
            if (x86()) {
                device.set("driver", "ide-cd");
                device.set("bus", "ide." + port);
            } else {
                device.set("driver", "usb-storage");
            }
            return;
        }
        const auto slot = slot_;
        const auto port = root_port(false);
        if (!disk.wwn.empty()) {
            add("device", "vhost-disk" + number,
                {{"driver", "vhost-scsi-pci"}, {"max_sectors", "16384"}, {"wwpn", disk.wwn}, {"bus", port}, {"addr", "0x0"},
                 {"num_queues", std::to_string(spec_.vcpus)}});
            return;
        }
        const auto drive_id = "drive-virtio-disk" + number;
        auto& drive = add("drive", drive_id,
                          {{"file", disk.path}, {"format", std::string(qemu_format(disk.format))}, {"aio", "io_uring"}, {"cache", "writeback"}, {"if", "none"}});
        if (disk.read_only) drive.set("readonly", "on");
        if (legacy()) {
            const auto controller = "ahci." + std::to_string(slot);
            add("device", controller, {{"bus", port}, {"driver", "ahci"}});
            add("device", "ahci-disk" + number, {{"driver", "ide-hd"}, {"bus", controller + ".0"}, {"drive", drive_id}});
        } else {
            add("device", "virtio-disk" + number,
                {{"driver", "virtio-blk-pci"}, {"scsi", "off"}, {"bus", port}, {"addr", "0x0"}, {"drive", drive_id}});
        }
    }

    /// Found by its serial number, whatever the guest's kernel calls it.
    void add_container_disk(const Disk& disk, const std::string& number) {
        const auto port = root_port(false);
        auto& drive = add("drive", "drive-virtio-disk" + number,
                          {{"file", disk.path}, {"format", std::string(qemu_format(disk.format))}, {"aio", "io_uring"}, {"cache", "writeback"}, {"if", "none"}});
        if (disk.read_only || disk.cdrom || disk.format == DiskFormat::iso) drive.set("readonly", "on");
        add("device", "virtio-disk" + number,
            {{"driver", "virtio-blk-pci"}, {"scsi", "off"}, {"bus", port}, {"addr", "0x0"}, {"drive", "drive-virtio-disk" + number}, {"serial", share_tag(disk)}});
    }

    std::string share_directory(const Disk& disk) const { return share_prefix + std::to_string(place_of(disk)); }
    std::string share_tag(const Disk& disk) const { return volume_source(place_of(disk)); }
    std::size_t place_of(const Disk& disk) const { return static_cast<std::size_t>(&disk - spec_.disks.data()); }

    void add_vif(const Vif& vif) {
        const auto number = std::to_string(net_++);
        const auto port = root_port(true);
        auto& netdev = add("netdev", "hostnet" + number,
                           {{"type", "tap"}, {"ifname", vif.name}, {"br", vif.bridge}, {"script", "/etc/xen/scripts/qemu-ifup"}, {"downscript", "no"}});
        if (!legacy()) netdev.set("vhost", "on");
        auto& device = add("device", "net" + number,
                           {{"driver", legacy() ? "e1000" : "virtio-net-pci"}, {"netdev", "hostnet" + number}, {"mac", vif.mac}, {"bus", port},
                            {"addr", "0x0"}});
        if (!legacy() && vif.mtu != 0) device.set("host_mtu", std::to_string(vif.mtu));
    }

    /// One slot for each card. Several functions of one are behind a bridge of their own, whose slot 0 cannot be used.
    void add_card(const std::vector<const Adapter*>& functions) {
        const auto port = root_port(true);
        if (functions.size() == 1) {
            add("device", "", {{"driver", "vfio-pci"}, {"host", functions[0]->address}, {"bus", port}, {"addr", "0x0"}});
            return;
        }
        const auto bridge = "pcie-bridge." + port.substr(port.find('.') + 1);
        add("device", bridge, {{"driver", "pcie-pci-bridge"}, {"bus", port}, {"addr", "0x0"}});
        for (std::size_t at = 0; at < functions.size(); ++at)
            add("device", "",
                {{"driver", "vfio-pci"}, {"host", functions[at]->address}, {"bus", bridge}, {"addr", hex(static_cast<std::uint32_t>(at) + 1)}});
    }

    void serial_ports() {
        std::set<std::string> seen;
        for (const auto& adapter : spec_.adapters) {
            if (adapter.kind != AdapterKind::serial || !seen.insert(adapter.address).second) continue;
            const auto number = std::to_string(seen.size() - 1);
            add("chardev", "charserial-usr" + number, {{"backend", "serial"}, {"path", adapter.address}});
            add("device", "serial-usr" + number, {{"driver", x86() ? "isa-serial" : "pci-serial"}, {"chardev", "charserial-usr" + number}});
        }
    }

    const DomainSpec& spec_;
    const Layout& layout_;
    QemuPlan plan_;
    std::uint32_t slot_ = first_slot;
    std::uint32_t disk_ = 0;
    std::uint32_t sata_ = 0;
    std::uint32_t net_ = 0;
};

std::string_view card_of(std::string_view address) { return address.substr(0, address.rfind('.')); }

bool plain_name(std::string_view text) {
    return !text.empty() && text.size() <= name_size_max && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
    });
}

}  // namespace

bool carried(std::string_view value) { return plugins::printable(value, value_size_max) && value.find('"') == std::string_view::npos; }

const std::string* Section::find(std::string_view name) const {
    const auto entry = std::find_if(entries.begin(), entries.end(), [&](const auto& e) { return e.first == name; });
    return entry == entries.end() ? nullptr : &entry->second;
}

std::string* Section::find(std::string_view name) { return const_cast<std::string*>(std::as_const(*this).find(name)); }

void Section::set(std::string_view name, std::string value) {
    if (auto* there = find(name)) *there = std::move(value);
    else entries.emplace_back(std::string(name), std::move(value));
}

bool Section::remove(std::string_view name) {
    return std::erase_if(entries, [&](const auto& e) { return e.first == name; }) > 0;
}

std::string volume_source(std::size_t place) { return place == 0 ? root_tag : "volume" + std::to_string(place); }

std::string_view qemu_format(DiskFormat format) {
    switch (format) {
        case DiskFormat::raw:
        case DiskFormat::iso: return "raw";
        case DiskFormat::qcow: return "qcow";
        case DiskFormat::qcow2: return "qcow2";
        case DiskFormat::vhd: return "vpc";
        case DiskFormat::vmdk: return "vmdk";
        case DiskFormat::vhdx: return "vhdx";
        case DiskFormat::unknown:
        case DiskFormat::ova:
        case DiskFormat::container: return {};
    }
    return {};
}

std::vector<Place> places_of(const DomainSpec& spec, const IommuGroups& groups) {
    std::vector<Place> places;
    for (const auto& vif : spec.vifs) places.push_back({.vif = &vif, .order = vif.order});
    std::vector<Place> cards, others;
    for (const auto& adapter : spec.adapters) {
        if (adapter.kind != AdapterKind::pci) continue;
        const auto group = groups.find(adapter.address);
        const auto same = [&](const Place& place) {
            return std::any_of(place.functions.begin(), place.functions.end(), [&](const Adapter* other) {
                const auto its = groups.find(other->address);
                return card_of(other->address) == card_of(adapter.address) || (group != groups.end() && its != groups.end() && its->second == group->second);
            });
        };
        auto card = std::find_if(cards.begin(), cards.end(), same);
        if (card == cards.end()) card = cards.insert(cards.end(), Place{});
        card->functions.push_back(&adapter);
        if (adapter.order && (!card->order || *adapter.order < *card->order)) card->order = adapter.order;
    }
    if (!spec.network_order_enforced) {
        places.insert(places.end(), cards.begin(), cards.end());
        return places;
    }
    for (auto& card : cards) {
        std::stable_sort(card.functions.begin(), card.functions.end(), [](const Adapter* a, const Adapter* b) {
            // Network functions by their order, the rest of the card behind them.
            return std::pair(!a->order, a->order.value_or(0)) < std::pair(!b->order, b->order.value_or(0));
        });
        (card.order ? places : others).push_back(std::move(card));
    }
    std::stable_sort(places.begin(), places.end(), [](const Place& a, const Place& b) { return a.order.value_or(0) < b.order.value_or(0); });
    std::stable_sort(others.begin(), others.end(), [](const Place& a, const Place& b) { return a.functions[0]->address < b.functions[0]->address; });
    places.insert(places.end(), others.begin(), others.end());
    return places;
}

std::string interleaved(const DomainSpec& spec) {
    if (!spec.network_order_enforced) return {};
    const auto places = places_of(spec, {});
    for (const auto& card : places) {
        std::uint32_t first = 0, last = 0;
        bool any = false;
        for (const auto* function : card.functions) {
            if (!function->order) continue;
            first = any ? std::min(first, *function->order) : *function->order;
            last = any ? std::max(last, *function->order) : *function->order;
            any = true;
        }
        for (const auto& other : places) {
            if (&other == &card || !any) continue;
            std::vector<std::pair<std::string, std::uint32_t>> inside;
            if (other.vif != nullptr) inside.emplace_back("interface " + other.vif->name, other.vif->order.value_or(0));
            for (const auto* function : other.functions)
                if (function->order) inside.emplace_back("device " + function->address, *function->order);
            for (const auto& [name, order] : inside)
                if (order > first && order < last)
                    return name + " is ordered between functions of card " + std::string(card_of(card.functions[0]->address)) + ", which stay together";
        }
    }
    return {};
}

QemuPlan eve_plan(const DomainSpec& spec, const Layout& layout) { return Builder(spec, layout).build(); }

Result<std::string> config_text(const std::vector<Section>& sections) {
    std::string text = "# This file is automatically generated by domainmgr\n";
    for (const auto& section : sections) {
        const auto where = section.kind + (section.id.empty() ? "" : "." + section.id);
        if (!plain_name(section.kind) || (!section.id.empty() && !plain_name(section.id)))
            return Error{.code = Code::invalid_argument, .what = "QEMU's configuration has no section like this", .field = where};
        text += "[" + section.kind + (section.id.empty() ? "]\n" : " \"" + section.id + "\"]\n");
        for (const auto& [name, value] : section.entries) {
            if (!plain_name(name))
                return Error{.code = Code::invalid_argument, .what = "QEMU's configuration has no setting like this", .field = where + "." + name};
            if (!carried(value))
                return Error{.code = Code::invalid_argument,
                             .what = "the value holds a quote or a control character, or has more than " + std::to_string(value_size_max) + " bytes",
                             .field = where + "." + name};
            text += "  " + name + " = \"" + value + "\"\n";
        }
        text += "\n";
    }
    return text;
}

Result<std::vector<Section>> parse_config_text(std::string_view text) {
    std::vector<Section> sections;
    const auto bad = [](std::string_view line) {
        return Error{.code = Code::invalid_argument, .what = "not a line of a QEMU configuration: " + std::string(line.substr(0, 80))};
    };
    while (!text.empty()) {
        const auto end = text.find('\n');
        auto line = text.substr(0, end);
        text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
        const auto start = line.find_first_not_of(' ');
        if (start == std::string_view::npos || line[start] == '#') continue;
        line.remove_prefix(start);
        if (line.front() == '[') {
            if (line.back() != ']') return bad(line);
            line = line.substr(1, line.size() - 2);
            const auto space = line.find(' ');
            Section section{.kind = std::string(line.substr(0, space))};
            if (space != std::string_view::npos) {
                const auto id = line.substr(space + 1);
                if (id.size() < 2 || id.front() != '"' || id.back() != '"') return bad(line);
                section.id = id.substr(1, id.size() - 2);
            }
            sections.push_back(std::move(section));
            continue;
        }
        const auto equals = line.find(" = \"");
        if (sections.empty() || equals == std::string_view::npos || line.back() != '"' || equals + 4 > line.size() - 1) return bad(line);
        sections.back().entries.emplace_back(line.substr(0, equals), line.substr(equals + 4, line.size() - equals - 5));
    }
    return sections;
}

}  // namespace eve::kvm
