#include "containerd/network.hpp"

#include <fcntl.h>

#include "common/link.hpp"
#include "common/files.hpp"

namespace eve::containerd {
namespace {

class LinuxNetwork final : public ContainerNetwork {
public:
    explicit LinuxNetwork(Caretaker::Trouble trouble) : caretaker_(std::move(trouble)) {}

    Status attach(const DomainId& id, int directory, std::uint32_t pid, const std::vector<Vif>& vifs) override {
        const UniqueFd network(::open(("/proc/" + std::to_string(pid) + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC));
        if (!network) return plugins::file_error("network namespace of process " + std::to_string(pid));
        if (!vifs.empty()) {
            auto here = Rtnetlink::open();
            if (!here) return std::move(here).error();
            for (std::size_t at = 0; at < vifs.size(); ++at) {
                const auto& vif = vifs[at];
                if (here->index_of(vif.name)) continue;
                auto made = here->make_veth(
                    {.name = vif.name, .bridge = vif.bridge, .inner_name = inner_interface(at), .mac = vif.mac, .mtu = vif.mtu}, network.get());
                if (!made) {
                    auto error = std::move(made).error();
                    if (error.code == Code::already_exists) error.code = Code::failed_precondition;
                    error.field = ".vifs[" + std::to_string(at) + "]";
                    return error;
                }
            }
        }
        return caretaker_.attend(id, directory, network.get(), vifs);
    }

    Status detach(const DomainId& id, const std::vector<Vif>& vifs) override {
        caretaker_.forget(id);
        if (vifs.empty()) return {};
        auto here = Rtnetlink::open();
        if (!here) return std::move(here).error();
        for (const auto& vif : vifs) {
            auto removed = here->remove_veth(vif.name);
            // What is no veth was another's all along.
            if (!removed && removed.error().code != Code::failed_precondition) return removed;
        }
        return {};
    }

    void let_go(const DomainId& id) override { caretaker_.forget(id); }

    std::size_t wait_for_addresses(const DomainId& id, const Limit& limit) override { return caretaker_.wait_for_addresses(id, limit); }

private:
    Caretaker caretaker_;
};

}  // namespace

std::unique_ptr<ContainerNetwork> linux_network(Caretaker::Trouble trouble) {
    return std::make_unique<LinuxNetwork>(std::move(trouble));
}

}  // namespace eve::containerd
