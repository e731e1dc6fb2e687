#include "core/zedrouter/acl.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <optional>
#include <utility>

#include "eve/result.hpp"

namespace eve::zedrouter {
namespace {

constexpr int any_family = 0;
constexpr std::size_t host_name_max = 200;  // with its prefix it fits a set's name of 255
constexpr std::size_t label_max = 63;

struct Protocol {
    std::string_view name;
    int number;
};
constexpr auto protocols = std::to_array<Protocol>({{"icmp", 1}, {"igmp", 2}, {"tcp", 6}, {"udp", 17}, {"dccp", 33}, {"gre", 47}, {"esp", 50},
                                                     {"ah", 51}, {"icmpv6", 58}, {"ipv6-icmp", 58}, {"sctp", 132}, {"udplite", 136}});

std::string lower(std::string text) {
    for (auto& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return text;
}

std::optional<int> number(std::string_view text, int least, int most) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < least || value > most) return std::nullopt;
    return value;
}

std::optional<int> protocol_number(const std::string& text) {
    const auto name = lower(text);
    for (const auto& protocol : protocols)
        if (protocol.name == name) return protocol.number;
    return number(name, 1, 255);
}

/// "80" or iptables' "80:90", as nftables writes it.
std::optional<std::string> port_range(const std::string& text) {
    constexpr int port_max = 65535;
    const auto colon = text.find(':');
    const auto first = number(std::string_view(text).substr(0, colon), 0, port_max);
    if (!first) return std::nullopt;
    if (colon == std::string::npos) return std::to_string(*first);
    const auto last = number(std::string_view(text).substr(colon + 1), 0, port_max);
    if (!last || *last < *first) return std::nullopt;
    return std::to_string(*first) + "-" + std::to_string(*last);
}

bool is_host_name(const std::string& text) {
    if (text.empty() || text.size() > host_name_max) return false;
    std::size_t label = 0;
    for (const char c : text) {
        if (c == '.') {
            if (label == 0) return false;
            label = 0;
            continue;
        }
        const bool allowed = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        if (!allowed || ++label > label_max) return false;
    }
    return label != 0;
}

/// "10.0.0.0/8" or "10.1.2.3" as nftables takes it, with its family; nothing if it is neither.
std::optional<std::pair<int, std::string>> ip_match(const std::string& text) {
    if (const auto address = types::IpAddress::parse(text); address && !address->empty())
        return std::pair{address->is_v4() ? 4 : 6, address->to_string()};
    if (const auto net = types::IpNet::parse(text)) {
        const auto length = net->prefix_length();
        if (!length) return std::nullopt;
        return std::pair{net->IP.is_v4() ? 4 : 6, net->to_string()};
    }
    return std::nullopt;
}

std::string hex(std::uint32_t value) {
    char text[11];
    std::snprintf(text, sizeof text, "0x%08x", value);
    return text;
}

enum class Verdict { allow, drop, limit };

/// An entry whose texts have been checked.
struct Entry {
    int family = any_family;
    std::string address;  ///< literal or "@set"; empty: any
    std::string host;
    bool endpoints = false;
    std::optional<int> protocol;
    std::string far_port;  ///< fport: of the other side
    std::string app_port;  ///< lport: of the app, as seen from outside when mapped
    std::string adapter;
    Verdict verdict = Verdict::allow;
    bool port_map = false;
    std::int64_t target = 0;
    std::string limit;
    std::int32_t id = 0;
};

std::string limit_text(const types::ACEAction& action) {
    // iptables' defaults where EVE leaves the option out.
    constexpr std::int64_t burst_default = 5;
    constexpr std::int64_t most = 1'000'000'000;
    std::string rate = "3/hour";
    if (action.LimitRate > 0) {
        static constexpr std::array<std::pair<char, const char*>, 4> units{{{'s', "second"}, {'m', "minute"}, {'h', "hour"}, {'d', "day"}}};
        const char* unit = "second";
        for (const auto& [letter, name] : units)
            if (!action.LimitUnit.empty() && action.LimitUnit[0] == letter) unit = name;
        rate = std::to_string(std::min(action.LimitRate, most)) + "/" + unit;
    }
    return "limit rate " + rate + " burst " + std::to_string(action.LimitBurst > 0 ? std::min(action.LimitBurst, most) : burst_default) + " packets";
}

Result<Entry> parse(const types::ACE& ace, const AclInput& input) {
    const bool on_switch = input.type == types::NetworkInstanceType::NetworkInstanceTypeSwitch;
    const auto refuse = [](const std::string& why) { return Error{Code::invalid_argument, why}; };
    Entry entry;
    entry.id = ace.RuleID;
    if (ace.Actions.size() > 1) return refuse("it has more than one action");
    if (!ace.Actions.empty()) {
        const auto& action = ace.Actions.front();
        if (int{action.Drop} + int{action.Limit} + int{action.PortMap} > 1) return refuse("drop, limit and port map exclude each other");
        if (action.Drop) entry.verdict = Verdict::drop;
        if (action.Limit) {
            entry.verdict = Verdict::limit;
            entry.limit = limit_text(action);
        }
        if (action.PortMap) {
            entry.port_map = true;
            entry.target = action.TargetPort;
            if (entry.target < 1 || entry.target > 65535) return refuse("the port map has no target port");
        }
    }
    for (const auto& match : ace.Matches) {
        if (match.Type == "ip") {
            const auto address = ip_match(match.Value);
            if (!address) return refuse("'" + match.Value + "' is no IP address or subnet");
            entry.family = address->first;
            entry.address = address->second;
        } else if (match.Type == "protocol") {
            const auto protocol = protocol_number(match.Value);
            if (!protocol) return refuse("protocol '" + match.Value + "' is unknown");
            entry.protocol = protocol;
        } else if (match.Type == "fport") {
            const auto range = port_range(match.Value);
            if (!range) return refuse("'" + match.Value + "' is no port");
            entry.far_port = *range;
        } else if (match.Type == "lport") {
            const auto range = port_range(match.Value);
            if (!range) return refuse("'" + match.Value + "' is no port");
            entry.app_port = *range;
        } else if (match.Type == "host") {
            if (const auto address = ip_match(match.Value)) {
                entry.family = address->first;
                entry.address = address->second;
                continue;
            }
            if (on_switch) return refuse("a host match is not possible on a switch network instance");
            entry.host = lower(match.Value);
            if (!is_host_name(entry.host)) return refuse("'" + match.Value + "' is no host name");
        } else if (match.Type == "eidset") {
            if (on_switch) return refuse("an eidset match is not possible on a switch network instance");
            entry.endpoints = true;
        } else if (match.Type == "adapter") {
            if (!entry.port_map) return refuse("an adapter match is only possible with a port map");
            entry.adapter = match.Value;
        } else {
            return refuse("match type '" + match.Type + "' is unknown");
        }
    }
    if (!entry.host.empty() && entry.endpoints) return refuse("host and eidset exclude each other");
    if ((!entry.far_port.empty() || !entry.app_port.empty()) && !entry.protocol) return refuse("a port match needs a protocol");
    if (entry.port_map) {
        if (entry.app_port.empty()) return refuse("a port map needs an lport match");
        if (on_switch) return refuse("a port map is not possible on a switch network instance");
        if (entry.family == 6) return refuse("a port map is only possible for IPv4");
        entry.family = 4;
        if (*entry.protocol != 6 && *entry.protocol != 17 && *entry.protocol != 132) return refuse("a port map needs a protocol with ports");
    }
    return entry;
}

enum class Way { egress, ingress };

/// The condition of an entry in one direction and family; nothing where it does not exist.
std::optional<std::string> condition(const Entry& entry, Way way, int family, const std::string& endpoint_set) {
    if (entry.family != any_family && entry.family != family) return std::nullopt;
    std::string text;
    const std::string ip = family == 4 ? "ip" : "ip6";
    const std::string side = way == Way::egress ? "daddr" : "saddr";
    std::string address = entry.address;
    if (!entry.host.empty()) address = "@" + host_set(entry.host, family);
    if (entry.endpoints) address = std::string("@") + (family == 4 ? "ipv4." : "ipv6.") + endpoint_set;
    if (address == "0.0.0.0/0" || address == "::/0") address.clear();
    text = "meta nfproto " + std::string(family == 4 ? "ipv4" : "ipv6");
    if (!address.empty()) text += " " + ip + " " + side + " " + address;
    if (entry.protocol) text += " meta l4proto " + std::to_string(*entry.protocol);
    const std::string app_port = entry.port_map ? std::to_string(entry.target) : entry.app_port;
    if (!entry.far_port.empty()) text += std::string(" th ") + (way == Way::egress ? "dport " : "sport ") + entry.far_port;
    if (!app_port.empty()) text += std::string(" th ") + (way == Way::egress ? "sport " : "dport ") + app_port;
    return text;
}

std::string accept_with(std::uint32_t mark) { return " counter meta mark set " + hex(mark) + " accept"; }

void add_entry(std::vector<std::string>& rules, const Entry& entry, Way way, const AclInput& input) {
    for (const int family : {4, 6}) {
        const auto when = condition(entry, way, family, "eids." + input.vif);
        if (!when) continue;
        const auto note = " comment \"rule " + std::to_string(entry.id) + "\"";
        const auto mark = entry_mark(input.app_number, entry.id);
        switch (entry.verdict) {
            case Verdict::allow: rules.push_back(*when + accept_with(mark) + note); break;
            case Verdict::drop: rules.push_back(*when + " counter drop" + note); break;
            case Verdict::limit:
                rules.push_back(*when + " " + entry.limit + accept_with(mark) + note);
                rules.push_back(*when + " counter drop" + note);
                break;
        }
    }
}

void add_essentials(AclRules& rules, const AclInput& input) {
    const auto dhcp = accept_with(reserved_mark(input.app_number, ReservedEntry::app_dhcp));
    const auto dns = accept_with(reserved_mark(input.app_number, ReservedEntry::app_dns));
    const auto icmpv6 = accept_with(reserved_mark(input.app_number, ReservedEntry::app_icmpv6));
    const auto http = accept_with(reserved_mark(input.app_number, ReservedEntry::app_http));
    const std::string v4 = "meta nfproto ipv4 ";
    const std::string v6 = "meta nfproto ipv6 ";
    const auto bridge_ip = input.bridge_ip.to_string();
    if (input.type == types::NetworkInstanceType::NetworkInstanceTypeSwitch) {
        rules.egress.push_back(v4 + "udp dport 67" + dhcp);
        rules.egress.push_back(v4 + "udp dport 53" + dns);
        rules.egress.push_back(v4 + "tcp dport 53" + dns);
        rules.egress.push_back(v6 + "meta l4proto 58" + icmpv6);
        rules.egress.push_back(v6 + "udp dport 547" + dhcp);
        rules.egress.push_back(v6 + "udp dport 53" + dns);
        rules.egress.push_back(v6 + "tcp dport 53" + dns);
        rules.ingress.push_back(v4 + "udp sport 67" + dhcp);
        rules.ingress.push_back(v4 + "udp sport 53" + dns);
        rules.ingress.push_back(v4 + "tcp sport 53" + dns);
        rules.ingress.push_back(v6 + "meta l4proto 58" + icmpv6);
        rules.ingress.push_back(v6 + "udp sport 547" + dhcp);
        rules.ingress.push_back(v6 + "udp sport 53" + dns);
        rules.ingress.push_back(v6 + "tcp sport 53" + dns);
    } else if (!bridge_ip.empty()) {
        rules.egress.push_back("ip daddr @ipv4.local udp dport 67" + dhcp);
        rules.egress.push_back("ip daddr " + bridge_ip + " udp dport 67" + dhcp);
        rules.egress.push_back("ip daddr " + bridge_ip + " udp dport 53" + dns);
        rules.egress.push_back("ip daddr " + bridge_ip + " tcp dport 53" + dns);
        rules.egress.push_back(v6 + "meta l4proto 58" + icmpv6);
    }
    if (!bridge_ip.empty()) rules.egress.push_back("ip daddr 169.254.169.254 tcp dport 80" + http);
}

std::string protocol_name(int protocol) { return protocol == 6 ? "tcp" : protocol == 17 ? "udp" : "sctp"; }

void add_port_map(AclRules& rules, const Entry& entry, const AclInput& input) {
    if (input.app_ip.empty() || input.bridge_ip.empty()) return;
    const auto protocol = protocol_name(*entry.protocol);
    const auto app = input.app_ip.to_string();
    const auto target = std::to_string(entry.target);
    std::string from;
    if (entry.family == 4 && entry.address != "0.0.0.0/0" && !entry.address.empty()) from = " ip saddr " + entry.address;
    for (const auto& port : input.ports) {
        if (!entry.adapter.empty() && std::find(port.labels.begin(), port.labels.end(), entry.adapter) == port.labels.end()) continue;
        for (const auto& address : port.addresses) {
            for (const auto& interface : {port.interface, input.bridge}) {  // from outside, and from inside to the device's own address
                rules.dnat.push_back("iifname \"" + interface + "\" ip daddr " + address.to_string() + from + " " + protocol + " dport " +
                                     entry.app_port + " counter dnat ip to " + app + ":" + target);
            }
        }
    }
    rules.snat.push_back("oifname \"" + input.bridge + "\" ip daddr " + app + " " + protocol + " dport " + target +
                         " ct status dnat counter snat ip to " + input.bridge_ip.to_string());
}

}  // namespace

std::uint32_t entry_mark(int app_number, std::int32_t rule_id) {
    return static_cast<std::uint32_t>(app_number) << 24 | mark_user_entry | (static_cast<std::uint32_t>(rule_id) & mark_entry_mask);
}

std::uint32_t reserved_mark(int app_number, ReservedEntry entry) {
    return static_cast<std::uint32_t>(app_number) << 24 | static_cast<std::uint32_t>(entry);
}

std::uint32_t interface_mark(int app_number, int vif_number) {
    return static_cast<std::uint32_t>(app_number) << 24 | mark_interface | static_cast<std::uint32_t>(vif_number);
}

std::string host_set(const std::string& host, int ip_version) { return (ip_version == 4 ? "ipv4." : "ipv6.") + host; }

AclRules translate_acl(const AclInput& input) {
    AclRules rules;
    add_essentials(rules, input);
    bool endpoints = false;
    for (const auto& ace : input.entries) {
        const auto entry = parse(ace, input);
        if (!entry) {
            rules.refused.push_back("rule " + std::to_string(ace.RuleID) + ": " + entry.error().what);
            continue;
        }
        add_entry(rules.egress, *entry, Way::egress, input);
        add_entry(rules.ingress, *entry, Way::ingress, input);
        if (entry->port_map) add_port_map(rules, *entry, input);
        if (!entry->host.empty()) rules.hosts.insert(entry->host);
        endpoints = endpoints || entry->endpoints;
    }
    rules.egress.push_back("counter drop");
    rules.ingress.push_back("counter drop");
    if (endpoints) {
        NftSet v4{.name = "ipv4.eids." + input.vif, .type = "ipv4_addr"};
        NftSet v6{.name = "ipv6.eids." + input.vif, .type = "ipv6_addr"};
        std::set<std::string> seen;
        for (const auto& address : input.endpoint_addresses)
            if (seen.insert(address.to_string()).second) (address.is_v4() ? v4 : v6).elements.push_back(address.to_string());
        rules.sets.push_back(std::move(v4));
        rules.sets.push_back(std::move(v6));
    }
    return rules;
}

bool allows_everything(const std::vector<types::ACE>& entries, int ip_version) {
    bool found = false;
    for (const auto& ace : entries) {
        bool only_allows = true;
        for (const auto& action : ace.Actions) {
            if (action.Drop || action.Limit) return false;
            if (action.PortMap) only_allows = false;
        }
        if (!only_allows || ace.Matches.size() != 1 || ace.Matches.front().Type != "ip") continue;
        found = found || ace.Matches.front().Value == (ip_version == 4 ? "0.0.0.0/0" : "::/0");
    }
    return found;
}

std::vector<PortMap> port_maps(const std::vector<types::ACE>& entries) {
    std::vector<PortMap> maps;
    for (const auto& ace : entries) {
        for (const auto& action : ace.Actions) {
            if (!action.PortMap) continue;
            PortMap map;
            map.target = action.TargetPort;
            for (const auto& match : ace.Matches) {
                if (match.Type == "protocol") map.protocol = lower(match.Value);
                if (match.Type == "lport") map.outside = match.Value;
                if (match.Type == "adapter") map.adapter = match.Value;
            }
            maps.push_back(std::move(map));
        }
    }
    return maps;
}

std::string find_port_map_collision(const std::vector<PortMap>& maps) {
    for (std::size_t i = 0; i < maps.size(); ++i) {
        for (std::size_t j = i + 1; j < maps.size(); ++j) {
            const auto& a = maps[i];
            const auto& b = maps[j];
            if (a.protocol != b.protocol) continue;
            if (a.outside == b.outside && a.adapter == b.adapter) return "two port maps of " + a.protocol + " port " + a.outside;
            if (a.target == b.target) return "two port maps to " + a.protocol + " port " + std::to_string(a.target);
        }
    }
    return {};
}

std::string find_port_map_collision(const std::vector<PortMap>& mine, const std::vector<PortMap>& others) {
    for (const auto& a : mine)
        for (const auto& b : others)
            if (a.protocol == b.protocol && a.outside == b.outside && a.adapter == b.adapter)
                return a.protocol + " port " + a.outside + " is already mapped";
    return {};
}

}  // namespace eve::zedrouter
