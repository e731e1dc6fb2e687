#pragma once
// The world of domainmgr without a world: one scripted runtime, a host whose files are maps. Survives its agent, as the real one does.

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/domainmgr/effects.hpp"
#include "eve/testing/fake_hypervisor.hpp"

namespace eve {

class FakeDomainHost final : public domainmgr::Host {
public:
    types::HostMemory figures{.TotalMemoryMB = 8192, .FreeMemoryMB = 4096, .Ncpus = 4};
    std::map<std::string, types::Format> disks;  ///< by path; others do not exist
    std::map<types::Uuid, domainmgr::CloudInitDisk> cloud_init;
    std::set<types::Uuid> active;
    std::vector<std::size_t> active_groups;  ///< how many marks came at once, each time
    /// Called before each effect with its name: an Error fails it.
    std::function<Status(std::string_view effect)> before;

    Result<types::HostMemory> memory() override {
        if (auto allowed = ask("memory"); !allowed) return std::move(allowed).error();
        return figures;
    }
    std::uint32_t reserved = 1;
    std::uint32_t reserved_cpus() override { return reserved; }
    Result<types::Format> disk_format(const std::string& path) override {
        if (auto allowed = ask("disk_format"); !allowed) return std::move(allowed).error();
        const auto found = disks.find(path);
        if (found == disks.end()) return Error{.code = Code::not_found, .what = "no such file: " + path};
        return found->second;
    }
    Result<std::string> write_cloud_init(const domainmgr::CloudInitDisk& disk) override {
        if (auto allowed = ask("write_cloud_init"); !allowed) return std::move(allowed).error();
        cloud_init[disk.app] = disk;
        return "/run/domainmgr/cloudinit/" + disk.app.to_string() + ".cidata";
    }
    Status remove_cloud_init(const types::Uuid& app) override {
        if (auto allowed = ask("remove_cloud_init"); !allowed) return allowed;
        cloud_init.erase(app);
        return {};
    }
    Status set_active(const std::vector<domainmgr::ActiveMark>& marks) override {
        if (auto allowed = ask("set_active"); !allowed) return allowed;
        active_groups.push_back(marks.size());
        for (const auto& mark : marks) {
            if (mark.active) active.insert(mark.app);
            else active.erase(mark.app);
        }
        return {};
    }

    std::vector<domainmgr::UsbDevice> plugged;
    Result<std::vector<domainmgr::UsbDevice>> usb_devices() override { return plugged; }

private:
    Status ask(std::string_view effect) const { return before ? before(effect) : Status{}; }
};

class FakeRuntimes final : public domainmgr::Runtimes {
public:
    std::shared_ptr<testing::FakeHypervisor> hypervisor = std::make_shared<testing::FakeHypervisor>();
    std::shared_ptr<Usb> usb;
    std::shared_ptr<Cpus> cpus;
    bool available = true;
    std::vector<domainmgr::Runtime> others;  ///< beside it, less preferred
    unsigned probes = 0;

    Result<std::vector<domainmgr::Runtime>> probe(const LaneContext&) override {
        ++probes;
        auto found = others;
        if (!available) return found;
        auto description = hypervisor->description;
        if (description.id.empty()) description.id = "org.lfedge.eve.fake";
        found.insert(found.begin(), {.hypervisor = hypervisor, .description = description, .probe = hypervisor->report, .usb = usb, .cpus = cpus});
        return found;
    }
    void on_event(std::function<void(const DomainEvent&)> sink) override { sink_ = std::move(sink); }
    std::shared_ptr<Pci> pci;  ///< null: nobody assigns devices
    std::vector<std::shared_ptr<Board>> known_boards;
    domainmgr::Assigner assigner() override { return {.pci = pci, .why_not = pci ? "" : "no plugin assigns PCI devices"}; }
    std::vector<std::shared_ptr<Board>> boards() override { return known_boards; }
    void emit(const std::string& domain) {
        if (sink_) sink_(DomainEvent{.domain = DomainId{domain}, .kind = DomainEventKind::exited});
    }

private:
    std::function<void(const DomainEvent&)> sink_;
};

}  // namespace eve
