#pragma once
// The kernel's links, addresses, routes and rules over one rtnetlink socket; requests go out in batches. Built on libnl's messages.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/zedrouter/effects.hpp"
#include "eve/result.hpp"

struct nl_sock;
struct nl_msg;

namespace eve::net {

struct Link {
    int index = 0;
    std::string name;
    std::string mac;
    std::uint32_t mtu = 0;
    bool up = false;       ///< administratively
    bool running = false;  ///< has carrier
    bool loopback = false;
    std::string kind;
    int master = 0;
    std::uint32_t group = 0;
};

struct Address {
    int link = 0;
    int family = 0;       ///< AF_INET, AF_INET6
    std::string address;  ///< "10.1.0.1/24"
    bool global = false;  ///< scope
    bool temporary = false;
    bool dynamic = false;  ///< has a lifetime
};

struct Route {
    std::uint32_t table = 0;
    std::uint8_t protocol = 0;
    std::uint8_t type = 0;
    std::string destination;
    std::string gateway;
    int device = 0;
    std::uint32_t metric = 0;
};

struct Rule {
    int family = 0;
    std::uint8_t protocol = 0;
    std::uint32_t priority = 0;
    std::string from;
    std::string to;
    std::uint32_t table = 0;
};

/// One request of a batch and what it is for.
struct Request {
    std::string item;                 ///< "bridge bn1", for the error
    std::string owner;
    std::vector<int> harmless;        ///< errno values that mean "already so"
    std::shared_ptr<nl_msg> message;  ///< shared with the batch while it is sent
};

/// Requests, built without asking the kernel.
Request make_bridge(const zedrouter::BridgePlan& bridge);
Request change_bridge(int index, const zedrouter::BridgePlan& bridge);
Request delete_link(int index, const std::string& name);
Request set_group(int index, const std::string& name, std::uint32_t group);
/// Every interface of the group.
Request delete_group(std::uint32_t group);
/// `master` 0 takes the link out of its bridge.
Request set_link(int index, const std::string& name, int master, std::uint32_t mtu, bool up);
Request add_address(int index, const std::string& address, const std::string& device);
Request delete_address(int index, const std::string& address, const std::string& device);
Request add_route(const zedrouter::RoutePlan& route, int device);
Request delete_route(const Route& route);
Request add_rule(const zedrouter::RulePlan& rule);
Request delete_rule(const Rule& rule);

class Netlink {
public:
    static Result<std::unique_ptr<Netlink>> open();
    ~Netlink();
    Netlink(const Netlink&) = delete;
    Netlink& operator=(const Netlink&) = delete;

    Result<std::vector<Link>> links();
    Result<std::vector<Address>> addresses();
    Result<std::vector<Route>> routes();
    Result<std::vector<Rule>> rules();

    /// All requests in order, in as few system calls as fit; a failed one does not stop the others.
    Result<std::vector<zedrouter::ItemFailure>> run(const std::vector<Request>& requests);

    /// The links are gone. Several go as one group of interfaces, which the kernel takes apart at once: alone it waits 17 ms for each.
    Result<std::vector<zedrouter::ItemFailure>> remove(const std::vector<Link>& going);

private:
    explicit Netlink(nl_sock* socket) : socket_(socket) {}
    bool remove_as_group(const std::vector<Link>& going);
    nl_sock* socket_;
};

/// A socket that becomes readable when links, addresses or routes change; drain() empties it.
class NetlinkEvents {
public:
    static Result<std::unique_ptr<NetlinkEvents>> open();
    ~NetlinkEvents();
    NetlinkEvents(const NetlinkEvents&) = delete;
    NetlinkEvents& operator=(const NetlinkEvents&) = delete;
    int fd() const { return fd_; }
    /// Reads what is there; true when it said anything that matters to us.
    bool drain();

private:
    explicit NetlinkEvents(int fd) : fd_(fd) {}
    int fd_;
};

/// "10.1.0.1/24" in its parts; invalid_argument if it is none. A bare address has its family's full length.
struct ParsedAddress {
    int family = 0;
    unsigned length = 0;
    std::uint8_t bytes[16] = {};
    unsigned size() const;  ///< 4 or 16
};
Result<ParsedAddress> parse_address(const std::string& text);

}  // namespace eve::net
