#pragma once
// The network of containers as the plugin needs it, and its true form on Linux.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "containerd/caretaker.hpp"
#include "eve/domain.hpp"
#include "eve/result.hpp"
#include "common/limit.hpp"

namespace eve::containerd {

class ContainerNetwork {
public:
    virtual ~ContainerNetwork() = default;
    /// The container whose process is `pid` has all its interfaces, up and at their bridges, and they get their addresses. Its files are in
    /// `directory`. What is there already stays.
    ///
    /// Errors: failed_precondition - no such bridge, or a name is taken by something else; not_found - no such process.
    virtual Status attach(const DomainId& id, int directory, std::uint32_t pid, const std::vector<Vif>& vifs) = 0;
    /// None of the interfaces is left, and nothing of the container is held.
    virtual Status detach(const DomainId& id, const std::vector<Vif>& vifs) = 0;
    /// The container ended: its interfaces may go.
    virtual void let_go(const DomainId& id) = 0;
    /// How many interfaces have no address yet, once all have one or the limit is over.
    virtual std::size_t wait_for_addresses(const DomainId& id, const Limit& limit) = 0;
};

/// veth pairs and DHCP; has a thread.
std::unique_ptr<ContainerNetwork> linux_network(Caretaker::Trouble trouble);

}  // namespace eve::containerd
