#pragma once
// Network interfaces of containers, by rtnetlink: a pair whose one end is the bridge's and whose other is the container's own.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "eve/result.hpp"
#include "common/unique_fd.hpp"

namespace eve::plugins {

/// A network interface of a container.
struct VethPair {
    std::string name;        ///< of the host's end
    std::string bridge;      ///< it is a port of it
    std::string inner_name;  ///< of the container's end
    std::string mac;         ///< of the container's end: "02:16:3e:00:00:01"
    std::uint32_t mtu = 0;   ///< 0: the default
};

/// A socket for rtnetlink in the network namespace of the calling thread, and for ever in it. Not for two threads at once.
class Rtnetlink {
public:
    static Result<Rtnetlink> open();

    /// Both ends are there, the container's in the network namespace `inside` and down. They go when that goes.
    ///
    /// Errors: already_exists - an interface has one of the names; failed_precondition - no such bridge.
    Status make_veth(const VethPair& pair, int inside);
    /// No interface of this name is left, if it is a veth. failed_precondition: it is something else.
    Status remove_veth(const std::string& name);
    /// The interface's number; not_found.
    Result<int> index_of(const std::string& name);
    Status set_up(int index);
    /// The interface is in the network namespace, down, and called `name` there. already_exists: another one is called so.
    Status hand_over(int index, const std::string& name, int network);
    /// Its name is another one; it is down.
    Status rename(int index, const std::string& name);
    /// A text that it carries with it wherever it goes; empty: none.
    Status set_alias(int index, const std::string& alias);
    /// The number of the interface with this alias; not_found.
    Result<int> with_alias(const std::string& alias);
    Status set_mtu(int index, std::uint32_t mtu);
    /// IPv4, host order. Replaces the same one.
    Status add_address(int index, std::uint32_t address, std::uint8_t prefix);
    Status remove_address(int index, std::uint32_t address, std::uint8_t prefix);
    /// `via` 0: on the link. Replaces the route to the same destination.
    Status set_route(int index, std::uint32_t destination, std::uint8_t prefix, std::uint32_t via);

private:
    explicit Rtnetlink(UniqueFd socket) : socket_(std::move(socket)) {}
    Status set_down(int index);
    Status ask(std::string& message, std::string* answer = nullptr);

    UniqueFd socket_;
    std::uint32_t sequence_ = 0;
};

/// `step` runs in the network namespace, on a thread of its own, before this returns.
Status in_namespace(int network, const std::function<Status()>& step);

}  // namespace eve::plugins
