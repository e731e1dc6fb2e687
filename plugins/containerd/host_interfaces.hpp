#pragma once
// Devices of the host in containers: network interfaces that are moved into a container under their logical label and back when it is gone, and
// device nodes.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "containerd/oci_spec.hpp"
#include "eve/domain.hpp"
#include "eve/result.hpp"

namespace eve::containerd {

/// Interfaces of the host in containers. Other adapters are passed over.
class HostInterfaces {
public:
    virtual ~HostInterfaces() = default;
    /// Each interface is in the network of the container whose process is `pid`, up, and called as its adapter. What is there already stays.
    ///
    /// Errors: failed_precondition - the host has no such interface, or the container has another one of that name.
    virtual Status move_in(const DomainId& id, std::uint32_t pid, const std::vector<Adapter>& adapters) = 0;
    /// The container's network stays until give_back(), though its processes end: the interfaces must not go with it.
    virtual void hold(const DomainId& id, std::uint32_t pid) = 0;
    /// The host has each interface under its own name, down; nothing of the container is held. An interface that has gone with its network (one
    /// that is no hardware, when nobody held it) is reported and no error.
    virtual Status give_back(const DomainId& id, const std::vector<Adapter>& adapters) = 0;
};

/// By rtnetlink. An interface carries its own name with it, as its alias, so that whoever looks next knows it. `lost` hears of interfaces that are
/// gone for ever.
std::unique_ptr<HostInterfaces> linux_host_interfaces(std::function<void(const DomainId&, const std::string& interface)> lost);

bool has_interfaces(const std::vector<Adapter>& adapters);
/// Whether an interface can be called so.
bool valid_interface_name(std::string_view name);

/// The device nodes of serial ports. Errors: failed_precondition - one is not there, with the field.
Result<std::vector<oci::Device>> device_nodes(const std::vector<Adapter>& adapters);

}  // namespace eve::containerd
