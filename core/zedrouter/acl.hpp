#pragma once
// The rules of one app interface: EVE's access control entries as nftables rules of the "inet" table. Stateless as EVE's are: an entry
// matches both directions, in the order the controller gave, and what no entry matches is dropped. Text that comes from outside reaches
// a rule only after it was parsed into numbers or checked character by character.

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "core/types/network.hpp"
#include "core/zedrouter/effects.hpp"

namespace eve::zedrouter {

/// Bits of a conntrack mark: app number in 31..24, drop in 23, "from a user's entry" in 22, the entry's id below.
inline constexpr std::uint32_t mark_drop = 1U << 23;
inline constexpr std::uint32_t mark_user_entry = 1U << 22;
inline constexpr std::uint32_t mark_entry_mask = mark_user_entry - 1;
/// Set in a packet's mark between the bridge and the rules of its interface; never in a conntrack mark.
inline constexpr std::uint32_t mark_interface = 1U << 21;
/// EVE's ids of rules that every app has.
enum class ReservedEntry : std::uint32_t { app_dhcp = 6, app_dns = 7, app_http = 11, app_icmpv6 = 12 };

std::uint32_t entry_mark(int app_number, std::int32_t rule_id);
std::uint32_t reserved_mark(int app_number, ReservedEntry entry);
/// Tells the interfaces of apps apart.
std::uint32_t interface_mark(int app_number, int vif_number);

/// A port through which an interface's port maps are reached.
struct MappedPort {
    std::string interface;
    std::string logical_label;
    std::vector<std::string> labels;          ///< all that an adapter match can name
    std::vector<types::IpAddress> addresses;  ///< IPv4
};

struct AclInput {
    types::NetworkInstanceType type = {};
    std::string bridge;
    std::string vif;
    int app_number = 0;
    types::IpAddress app_ip;
    types::IpAddress bridge_ip;
    std::vector<MappedPort> ports;
    std::vector<types::ACE> entries;
    std::vector<types::IpAddress> endpoint_addresses;  ///< what an eidset match means
};

struct AclRules {
    std::vector<std::string> egress;   ///< from the app
    std::vector<std::string> ingress;  ///< to the app
    std::vector<std::string> dnat;
    std::vector<std::string> snat;
    std::set<std::string> hosts;       ///< names whose addresses dnsmasq puts into the sets host_set()
    std::vector<NftSet> sets;
    std::vector<std::string> refused;  ///< entries that were left out, with the reason
};
AclRules translate_acl(const AclInput& input);

/// The set of a host's addresses, shared by all apps of the node.
std::string host_set(const std::string& host, int ip_version);

/// Whether the entries allow everything of a family and limit nothing.
bool allows_everything(const std::vector<types::ACE>& entries, int ip_version);

/// One port map, for finding collisions.
struct PortMap {
    std::string protocol;
    std::string outside;  ///< as configured
    std::int64_t target = 0;
    std::string adapter;  ///< label or empty
};
std::vector<PortMap> port_maps(const std::vector<types::ACE>& entries);
/// Why two port maps of one interface, or of two, exclude each other; empty if they do not.
std::string find_port_map_collision(const std::vector<PortMap>& maps);
std::string find_port_map_collision(const std::vector<PortMap>& mine, const std::vector<PortMap>& others);

}  // namespace eve::zedrouter
