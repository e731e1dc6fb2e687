#include "degrade.hpp"

#include <algorithm>

namespace eve::kvm {
namespace {

Section* machine_of(QemuPlan& plan) {
    const auto found = std::find_if(plan.sections.begin(), plan.sections.end(), [](const Section& s) { return s.kind == "machine"; });
    return found == plan.sections.end() ? nullptr : &*found;
}

bool has(const Section& section, std::string_view name, std::string_view value) {
    const auto* found = section.find(name);
    return found != nullptr && *found == value;
}

/// Numbers descriptors as they are needed.
class Hands {
public:
    std::uint32_t give(Handover::Kind kind, std::string path, std::string section) {
        const auto number = first_handed_fd + static_cast<std::uint32_t>(handed.size());
        handed.push_back({.kind = kind, .path = std::move(path), .fd = number, .section = std::move(section)});
        return number;
    }
    /// As a member of a set, which QEMU's own opens find under "/dev/fdset/<n>".
    std::string give_in_set(Handover::Kind kind, const std::string& path, const std::string& section, std::vector<std::string>& args) {
        const auto set = std::to_string(give(kind, path, section));
        args.insert(args.end(), {"-add-fd", "fd=" + set + ",set=" + set});
        if (kind == Handover::Kind::read_write)  // QEMU opens a disk for reading until a device that writes is plugged to it
            args.insert(args.end(), {"-add-fd", "fd=" + std::to_string(give(Handover::Kind::read_only, path, section)) + ",set=" + set});
        return "/dev/fdset/" + set;
    }
    std::vector<Handover> handed;
};

std::string last_part(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

std::vector<std::string> degrade(QemuPlan& plan, const HostFacts& facts) {
    std::vector<std::string> notes;
    auto* machine = machine_of(plan);
    if (!facts.kvm && machine != nullptr) {
        if (const auto* accel = machine->find("accel"); accel != nullptr && accel->starts_with("kvm")) {
            machine->set("accel", "tcg");
            notes.push_back("The guest is emulated and many times slower: " + (facts.kvm_reason.empty() ? "there is no KVM" : facts.kvm_reason));
        }
        if (machine->remove("kernel-irqchip")) notes.emplace_back("Without KVM the interrupt controller is emulated too (kernel-irqchip)");
        machine->remove("gic-version");
        std::erase_if(plan.sections, [](const Section& s) { return s.kind == "global" && has(s, "driver", "kvm-pit"); });
        if (const auto cpu = std::find(plan.args.begin(), plan.args.end(), "-cpu"); cpu != plan.args.end() && cpu + 1 != plan.args.end() && (cpu + 1)->starts_with("host")) {
            *(cpu + 1) = "max";
            notes.emplace_back("Without KVM the guest does not see the machine's own CPU (-cpu host) but QEMU's");
        }
    }
    if (!facts.vhost_net) {
        bool taken = false;
        for (auto& section : plan.sections)
            if (section.kind == "netdev") taken = section.remove("vhost") || taken;
        if (taken) notes.emplace_back("There is no /dev/vhost-net: QEMU itself moves the packets");
    }
    if (!facts.vhost_vsock && std::erase_if(plan.sections, [](const Section& s) { return has(s, "driver", "vhost-vsock-pci"); }) > 0)
        notes.emplace_back("There is no /dev/vhost-vsock: the guest has no vsock");
    if (!facts.io_uring) {
        bool taken = false;
        for (auto& section : plan.sections)
            if (has(section, "aio", "io_uring")) {
                section.set("aio", "threads");
                taken = true;
            }
        if (taken) notes.emplace_back("The kernel offers no io_uring: disks are served by threads");
    }
    return notes;
}

std::vector<Handover> confine(QemuPlan& plan) {
    using Kind = Handover::Kind;
    Hands hands;
    const auto config = hands.give(Kind::config, {}, "readconfig");
    for (std::size_t at = 0; at < plan.args.size();) {
        const bool more = at + 1 < plan.args.size();
        if (plan.args[at] == "-readconfig" && more) {
            plan.args[at + 1] = "/dev/fd/" + std::to_string(config);
        } else if (plan.args[at] == "-pidfile" && more) {  // the keeper knows the pid
            plan.args.erase(plan.args.begin() + static_cast<std::ptrdiff_t>(at), plan.args.begin() + static_cast<std::ptrdiff_t>(at) + 2);
            continue;
        }
        ++at;
    }
    std::vector<std::string> sets;
    for (auto& section : plan.sections) {
        const auto name = section.kind + (section.id.empty() ? "" : " " + section.id);
        if (section.kind == "machine") {
            for (const auto* file : {"kernel", "initrd", "dtb"})
                if (auto* path = section.find(file)) *path = "/dev/fd/" + std::to_string(hands.give(Kind::copy, *path, file));
        } else if (section.kind == "drive") {
            if (auto* path = section.find("file")) {
                const auto kind = has(section, "readonly", "on") ? Kind::read_only : Kind::read_write;
                *path = hands.give_in_set(kind, *path, name, sets);
            }
        } else if (section.kind == "chardev" && has(section, "backend", "socket") && has(section, "server", "on")) {
            if (const auto* path = section.find("path")) {
                const auto number = hands.give(Kind::listen, last_part(*path), name);
                section.remove("path");
                section.set("fd", std::to_string(number));
            }
            if (auto* log = section.find("logfile")) *log = hands.give_in_set(Kind::append, section.id, name, sets);
        } else if (section.kind == "chardev" && has(section, "backend", "file")) {
            if (auto* path = section.find("path")) *path = hands.give_in_set(Kind::report, last_part(*path), name, sets);
        } else if (section.kind == "chardev" && section.id.starts_with("charfs")) {
            if (const auto* path = section.find("path")) {
                const auto number = hands.give(Kind::share, last_part(path->substr(0, path->rfind('/'))), name);
                section.remove("path");
                section.set("fd", std::to_string(number));
            }
        } else if (section.kind == "netdev") {
            if (const auto* interface = section.find("ifname")) {
                section.set("fd", std::to_string(hands.give(Kind::tap, *interface, name)));
                for (const auto* gone : {"ifname", "br", "script", "downscript"}) section.remove(gone);
            }
            if (has(section, "vhost", "on")) section.set("vhostfd", std::to_string(hands.give(Kind::vhost_net, "/dev/vhost-net", name)));
        } else if (has(section, "driver", "vhost-vsock-pci")) {
            section.set("vhostfd", std::to_string(hands.give(Kind::vhost_vsock, "/dev/vhost-vsock", name)));
        }
    }
    plan.args.insert(plan.args.end(), sets.begin(), sets.end());
    plan.args.insert(plan.args.end(), {"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"});
    return std::move(hands.handed);
}

}  // namespace eve::kvm
