#include "containerd/host_interfaces.hpp"

#include <algorithm>
#include <map>
#include <mutex>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "common/files.hpp"
#include "common/link.hpp"

namespace eve::containerd {
namespace {

using plugins::Rtnetlink;

constexpr std::size_t interface_name_max = 15;
constexpr std::uint32_t device_mode = 0660;

std::string alias_of(const DomainId& id, const Adapter& adapter) { return "eve " + id.value + " " + adapter.address; }

Result<UniqueFd> network_of(std::uint32_t pid) {
    UniqueFd network(::open(("/proc/" + std::to_string(pid) + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC));
    if (!network) return plugins::file_error("network namespace of process " + std::to_string(pid));
    return network;
}

Result<UniqueFd> own_network() {
    UniqueFd network(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!network) return plugins::file_error("network namespace of the node");
    return network;
}

class LinuxHostInterfaces final : public HostInterfaces {
public:
    explicit LinuxHostInterfaces(std::function<void(const DomainId&, const std::string&)> lost) : lost_(std::move(lost)) {}

    Status move_in(const DomainId& id, std::uint32_t pid, const std::vector<Adapter>& adapters) override {
        if (!has_interfaces(adapters)) return {};
        auto network = network_of(pid);
        if (!network) return std::move(network).error();
        hold(id, pid);
        for (std::size_t at = 0; at < adapters.size(); ++at) {
            if (adapters[at].kind != AdapterKind::interface) continue;
            auto moved = move_one(id, adapters[at], network->get());
            if (moved) continue;
            auto error = std::move(moved).error().in("interface " + adapters[at].address);
            if (error.code == Code::not_found || error.code == Code::already_exists) error.code = Code::failed_precondition;
            error.field = ".adapters[" + std::to_string(at) + "]";
            return error;
        }
        return {};
    }

    void hold(const DomainId& id, std::uint32_t pid) override {
        auto network = network_of(pid);
        if (!network) return;
        const std::lock_guard lock(mutex_);
        held_.try_emplace(id, std::move(*network));
    }

    Status give_back(const DomainId& id, const std::vector<Adapter>& adapters) override {
        int network = -1;
        {
            const std::lock_guard lock(mutex_);
            if (const auto held = held_.find(id); held != held_.end()) network = held->second.get();
        }
        for (const auto& adapter : adapters) {
            if (adapter.kind != AdapterKind::interface) continue;
            if (auto back = give_one_back(id, adapter, network); !back) return std::move(back).error().in("interface " + adapter.address);
        }
        const std::lock_guard lock(mutex_);
        held_.erase(id);
        return {};
    }

private:
    static Status move_one(const DomainId& id, const Adapter& adapter, int network) {
        auto here = Rtnetlink::open();
        if (!here) return std::move(here).error();
        const auto inside = in_namespace(network, [&]() -> Status {
            auto there = Rtnetlink::open();
            if (!there) return std::move(there).error();
            const auto index = there->with_alias(alias_of(id, adapter));
            if (!index) return index.error();
            return there->set_up(*index);
        });
        if (inside || inside.error().code != Code::not_found) return inside;
        auto index = here->index_of(adapter.address);
        if (!index) return std::move(index).error();
        if (auto named = here->set_alias(*index, alias_of(id, adapter)); !named) return named;
        if (auto moved = here->hand_over(*index, adapter.name, network); !moved) {
            if (const auto still = here->index_of(adapter.address)) [[maybe_unused]] const auto cleared = here->set_alias(*still, "");
            return moved;
        }
        return in_namespace(network, [&]() -> Status {
            auto there = Rtnetlink::open();
            if (!there) return std::move(there).error();
            auto moved = there->index_of(adapter.name);
            if (!moved) return std::move(moved).error();
            return there->set_up(*moved);
        });
    }

    Status give_one_back(const DomainId& id, const Adapter& adapter, int network) const {
        auto home = own_network();
        if (!home) return std::move(home).error();
        if (network >= 0) {
            const auto moved = in_namespace(network, [&]() -> Status {
                auto there = Rtnetlink::open();
                if (!there) return std::move(there).error();
                auto index = there->with_alias(alias_of(id, adapter));
                if (!index) return std::move(index).error();
                return there->hand_over(*index, adapter.address, home->get());
            });
            if (!moved && moved.error().code != Code::not_found) return moved;
        }
        auto here = Rtnetlink::open();
        if (!here) return std::move(here).error();
        if (const auto index = here->with_alias(alias_of(id, adapter))) {
            // The kernel gives hardware back to the host when its network ends, under whatever name is free.
            if (const auto named = here->index_of(adapter.address); !named || *named != *index)
                if (auto renamed = here->rename(*index, adapter.address); !renamed) return renamed;
            return here->set_alias(*index, "");
        }
        if (!here->index_of(adapter.address)) lost_(id, adapter.address);
        return {};
    }

    std::function<void(const DomainId&, const std::string&)> lost_;
    std::mutex mutex_;  // guards what follows
    std::map<DomainId, UniqueFd> held_;
};

}  // namespace

std::unique_ptr<HostInterfaces> linux_host_interfaces(std::function<void(const DomainId&, const std::string&)> lost) {
    return std::make_unique<LinuxHostInterfaces>(std::move(lost));
}

bool has_interfaces(const std::vector<Adapter>& adapters) {
    return std::any_of(adapters.begin(), adapters.end(), [](const Adapter& adapter) { return adapter.kind == AdapterKind::interface; });
}

bool valid_interface_name(std::string_view name) {
    const auto odd = [](char c) { return c == '/' || c == ':' || c == '%' || c <= ' ' || c == '\x7f'; };
    return !name.empty() && name.size() <= interface_name_max && name != "." && name != ".." && name != "all" && name != "default" &&
           std::none_of(name.begin(), name.end(), odd);
}

Result<std::vector<oci::Device>> device_nodes(const std::vector<Adapter>& adapters) {
    std::vector<oci::Device> devices;
    for (std::size_t at = 0; at < adapters.size(); ++at) {
        const auto& adapter = adapters[at];
        if (adapter.kind != AdapterKind::serial) continue;
        struct stat status{};
        if (::stat(adapter.address.c_str(), &status) != 0 || !S_ISCHR(status.st_mode))
            return Error{.code = Code::failed_precondition,
                         .what = adapter.address + " is no device of the host",
                         .field = ".adapters[" + std::to_string(at) + "].address"};
        devices.push_back({.path = adapter.address,
                           .type = "c",
                           .major = static_cast<std::int64_t>(major(status.st_rdev)),
                           .minor = static_cast<std::int64_t>(minor(status.st_rdev)),
                           .fileMode = device_mode});
    }
    return devices;
}

}  // namespace eve::containerd
