#pragma once
// The host's network as zedrouter wants it and as it is seen, and the effects that lead from one to the other. Everything here is a value:
// one pure function plans the whole of HostNetwork (plan.hpp), net/ makes it true on Linux, a fake does so in tests.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "eve/result.hpp"

namespace eve::zedrouter {

/// The nftables tables of this node ("inet" and "bridge" families), rendered into one transaction per change.
inline constexpr const char* nft_table_name = "evenode";
/// Marks routes and rules as ours in the kernel's tables (rtm_protocol, FRA_PROTOCOL).
inline constexpr std::uint8_t route_protocol = 158;
/// Routing table of a network instance: this plus its bridge number.
inline constexpr std::uint32_t route_table_base = 800;
inline constexpr std::uint32_t bridge_numbers_max = 255;

/// A named set. To a `filled_elsewhere` set dnsmasq adds what names resolve to; such elements survive every change of ours.
struct NftSet {
    std::string name;
    std::string type;  ///< ipv4_addr, ipv6_addr, ifname
    bool interval = false;
    bool filled_elsewhere = false;
    std::vector<std::string> elements;
    friend bool operator==(const NftSet&, const NftSet&) = default;
};

struct NftChain {
    std::string name;
    std::string hook;  ///< "type filter hook forward priority filter; policy accept;", empty for a chain that is jumped to
    std::vector<std::string> rules;
    friend bool operator==(const NftChain&, const NftChain&) = default;
};

struct NftTable {
    std::string family;
    std::vector<NftSet> sets;
    std::vector<NftChain> chains;
    friend bool operator==(const NftTable&, const NftTable&) = default;
};

/// A bridge made by zedrouter. `owner` here and below is the UUID of the network instance whose status reports a failure of the item.
struct BridgePlan {
    std::string owner;
    std::string name;
    std::string mac;                     ///< "00:16:3e:.."; a bridge with another one is made anew
    std::vector<std::string> addresses;  ///< "10.1.0.1/24"
    std::uint16_t mtu = 1500;
    bool stp = false;
    bool forward_lldp = false;
    std::vector<std::string> ports;  ///< device ports that are members
    friend bool operator==(const BridgePlan&, const BridgePlan&) = default;
};

/// The host's end of an app's interface. It is made by the hypervisor; from then on zedrouter keeps it in its bridge.
struct VifPlan {
    std::string owner;
    std::string name;
    std::string bridge;  ///< empty: known, out of any bridge and down
    std::uint16_t mtu = 1500;
    friend bool operator==(const VifPlan&, const VifPlan&) = default;
};

struct RoutePlan {
    std::string owner;
    std::uint32_t table = 0;
    std::string destination;  ///< "0.0.0.0/0", "10.1.0.0/24", "::/0"
    std::string gateway;      ///< or empty
    std::string device;       ///< empty: unreachable
    std::uint32_t metric = 0;
    friend auto operator<=>(const RoutePlan&, const RoutePlan&) = default;
};

struct RulePlan {
    std::string owner;
    std::uint32_t priority = 0;
    std::string from;  ///< prefix or empty
    std::string to;    ///< prefix or empty
    std::uint32_t table = 0;
    friend auto operator<=>(const RulePlan&, const RulePlan&) = default;
};

/// What follows when a value cannot be set: nothing, a reported failure, or that nothing at all is built.
enum class Need { wish, reported, essential };

struct SysctlPlan {
    std::string name;  ///< path below /proc/sys: "net/ipv4/ip_forward"
    std::string value;
    Need need = Need::reported;
    friend bool operator==(const SysctlPlan&, const SysctlPlan&) = default;
};

/// One dnsmasq. File names inside the two directories are given, contents are complete.
struct DhcpServerPlan {
    std::string owner;
    std::string bridge;
    std::string config;                             ///< complete text of the configuration
    std::map<std::string, std::string> hosts;       ///< hosts.<bridge>/<name> -> text
    std::map<std::string, std::string> dhcp_hosts;  ///< dhcp-hosts.<bridge>/<mac>.inet -> text
    friend bool operator==(const DhcpServerPlan&, const DhcpServerPlan&) = default;
};

/// All that zedrouter wants of the host.
struct HostNetwork {
    std::vector<SysctlPlan> sysctls;
    std::vector<NftTable> tables;
    std::vector<BridgePlan> bridges;
    std::vector<VifPlan> vifs;
    std::vector<RoutePlan> routes;
    std::vector<RulePlan> rules;
    std::vector<DhcpServerPlan> dhcp_servers;
    friend bool operator==(const HostNetwork&, const HostNetwork&) = default;
};

/// What could not be made true, one line per item.
struct ItemFailure {
    std::string owner;  ///< empty: the whole node
    std::string item;
    Error error;
};

struct SeenLink {
    int index = 0;
    std::string name;
    std::string mac;
    std::uint32_t mtu = 0;
    bool up = false;
    std::string kind;    ///< "bridge", "veth", "tun", or empty
    std::string master;  ///< name of the bridge it is in, or empty
    friend bool operator==(const SeenLink&, const SeenLink&) = default;
};

/// A unicast route of the main table, of a port's own table (500 + ifindex), or of a network instance's.
struct SeenRoute {
    std::uint32_t table = 0;
    std::string destination;
    std::string gateway;
    std::string device;
    std::uint32_t metric = 0;
    friend auto operator<=>(const SeenRoute&, const SeenRoute&) = default;
};

/// One line of dnsmasq's lease file.
struct SeenLease {
    std::int64_t expires = 0;  ///< seconds since the epoch, 0 never
    std::string mac;
    std::string address;
    std::string host_name;
    friend bool operator==(const SeenLease&, const SeenLease&) = default;
};

struct HostObservation {
    std::vector<SeenLink> links;
    std::vector<SeenRoute> routes;
    std::map<std::string, std::vector<SeenLease>> leases;  ///< by bridge
    std::vector<std::string> dhcp_servers;                 ///< bridges whose dnsmasq lives
    friend bool operator==(const HostObservation&, const HostObservation&) = default;
};

/// The host's network. One caller at a time: zedrouter's network lane.
class NetworkWorld {
public:
    virtual ~NetworkWorld() = default;

    /// The host is what `desired` says, apart from the returned failures; what was ours and is no longer desired is gone. Only what differs is
    /// touched: rules are in force before an interface is let into its bridge, and the rules of a chain that did not change keep their
    /// counters. Calling it again with the same value changes nothing; in another process after a crash it adopts what is there (only the
    /// counters of rules begin anew). Returns within 30 s. [lane]
    ///
    /// Errors: unavailable - the kernel did not answer; permission_denied - no right to administer this network namespace.
    virtual Result<std::vector<ItemFailure>> apply(const HostNetwork& desired) = 0;

    /// What is there now. [lane]
    virtual Result<HostObservation> observe() = 0;

    /// Calls `changed` on the loop, at least once after anything that observe() shows has changed, or a dnsmasq has ended. [loop]
    virtual void watch(std::function<void()> changed) = 0;
};

}  // namespace eve::zedrouter
