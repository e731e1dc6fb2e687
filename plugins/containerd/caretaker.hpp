#pragma once
// The plugin's own thread: it gets and keeps the addresses of containers' interfaces and writes their resolv.conf.

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "eve/domain.hpp"
#include "eve/result.hpp"
#include "common/dhcp_interface.hpp"
#include "common/limit.hpp"
#include "common/unique_fd.hpp"

namespace eve::containerd {

using plugins::DhcpInterface;
using plugins::Limit;
using plugins::Rtnetlink;
using plugins::UniqueFd;

inline constexpr const char* resolv_conf_file = "resolv.conf";

/// The container's name of its interface number `at`.
std::string inner_interface(std::size_t at);

class Caretaker {
public:
    /// `trouble` hears, on the thread, what could not be set up.
    using Trouble = std::function<void(const DomainId&, const Error&)>;
    explicit Caretaker(Trouble trouble);
    /// No thread is left.
    ~Caretaker();
    Caretaker(const Caretaker&) = delete;
    Caretaker& operator=(const Caretaker&) = delete;

    /// The container's network is looked after until it is forgotten: the loopback interface is up, each of `vifs`, whose inner ends are in the
    /// network namespace `network`, gets an address by DHCP. Its files are in `directory`; both descriptors are dup'ed. Again for the same
    /// container does nothing. [any-thread]
    ///
    /// Errors: failed_precondition - the namespace is our own.
    Status attend(const DomainId& id, int directory, int network, const std::vector<Vif>& vifs);
    /// Nothing of it is held any more; a namespace goes with its last holder. [any-thread]
    void forget(const DomainId& id);
    /// How many of the container's interfaces have no address yet, once all have one or the limit is over. [any-thread]
    std::size_t wait_for_addresses(const DomainId& id, const Limit& limit);

private:
    struct Attended {
        UniqueFd directory;
        std::optional<Rtnetlink> inside;
        std::vector<DhcpInterface> interfaces;
    };

    void run();
    void serve(const DomainId& id, Attended& attended, std::int64_t now_ns);
    void apply(const DomainId& id, Attended& attended, DhcpInterface& interface);
    void wake() const;

    Trouble trouble_;
    UniqueFd wake_;
    std::mutex mutex_;  // guards what follows but the thread; held while a packet is handled, never while waiting
    std::condition_variable changed_;
    std::map<DomainId, std::shared_ptr<Attended>> attended_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace eve::containerd
