#include "net/netlink.hpp"

#include <arpa/inet.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <set>
#include <utility>

#include "net/process.hpp"

namespace eve::net {
namespace {

constexpr std::size_t batch_bytes_max = 32 * 1024;
constexpr std::size_t batch_requests_max = 64;  // acknowledgements of one batch must fit into the socket's buffer
constexpr std::size_t receive_bytes = 256 * 1024;
constexpr int answer_limit_ms = 10'000;
constexpr std::uint32_t group_ours = 0x45564e;         // marks bridges made by this node
constexpr std::uint32_t group_going_first = 0x45564f;  // of interfaces that are about to go: the first that nobody is in

using Message = std::shared_ptr<nl_msg>;

Message message(int type, int flags) {
    return Message(nlmsg_alloc_simple(type, NLM_F_REQUEST | NLM_F_ACK | flags), [](nl_msg* m) { nlmsg_free(m); });
}

template <class Header> void append(const Message& to, Header header) { nlmsg_append(to.get(), &header, sizeof header, NLMSG_ALIGNTO); }

void put_text(const Message& to, int attribute, const std::string& text) { nla_put_string(to.get(), attribute, text.c_str()); }
void put_u32(const Message& to, int attribute, std::uint32_t value) { nla_put_u32(to.get(), attribute, value); }
void put_address(const Message& to, int attribute, const ParsedAddress& address) {
    nla_put(to.get(), attribute, static_cast<int>(address.size()), address.bytes);
}

bool put_mac(const Message& to, const std::string& mac) {
    unsigned bytes[6];
    if (std::sscanf(mac.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x", &bytes[0], &bytes[1], &bytes[2], &bytes[3], &bytes[4], &bytes[5]) != 6) return false;
    std::uint8_t packed[6];
    for (int i = 0; i < 6; ++i) packed[i] = static_cast<std::uint8_t>(bytes[i]);
    nla_put(to.get(), IFLA_ADDRESS, sizeof packed, packed);
    return true;
}

void put_bridge_data(const Message& to, const zedrouter::BridgePlan& bridge) {
    nlattr* info = nla_nest_start(to.get(), IFLA_LINKINFO);
    put_text(to, IFLA_INFO_KIND, "bridge");
    nlattr* data = nla_nest_start(to.get(), IFLA_INFO_DATA);
    put_u32(to, IFLA_BR_STP_STATE, bridge.stp ? 1 : 0);
    constexpr std::uint16_t lldp_group = 1U << 0xe;  // 01:80:c2:00:00:0e
    nla_put_u16(to.get(), IFLA_BR_GROUP_FWD_MASK, bridge.forward_lldp ? lldp_group : 0);
    nla_nest_end(to.get(), data);
    nla_nest_end(to.get(), info);
}

std::string address_text(int family, const void* bytes) {
    char text[INET6_ADDRSTRLEN] = {};
    ::inet_ntop(family, bytes, text, sizeof text);
    return text;
}

std::string prefix_text(int family, const void* bytes, unsigned length) {
    static const std::uint8_t zero[16] = {};
    return address_text(family, bytes ? bytes : zero) + "/" + std::to_string(length);
}

std::uint32_t get_u32(const rtattr* attribute) {
    std::uint32_t value = 0;
    if (RTA_PAYLOAD(attribute) >= sizeof value) std::memcpy(&value, RTA_DATA(attribute), sizeof value);
    return value;
}

std::string get_text(const rtattr* attribute) {
    const char* text = static_cast<const char*>(RTA_DATA(attribute));
    return std::string(text, ::strnlen(text, RTA_PAYLOAD(attribute)));
}

using Attributes = std::map<unsigned, const rtattr*>;

Attributes attributes(const rtattr* first, std::size_t length) {
    Attributes found;
    auto left = static_cast<unsigned>(length);
    for (auto* at = first; RTA_OK(at, left);) {
        found[at->rta_type & NLA_TYPE_MASK] = at;
        const unsigned step = RTA_ALIGN(at->rta_len);
        if (step >= left) break;
        left -= step;
        at = reinterpret_cast<const rtattr*>(reinterpret_cast<const char*>(at) + step);
    }
    return found;
}

template <class Header> Attributes attributes_after(const nlmsghdr* header) {
    const auto skip = NLMSG_ALIGN(sizeof(Header));
    const auto total = header->nlmsg_len - NLMSG_HDRLEN;
    if (total <= skip) return {};
    const auto* first = reinterpret_cast<const rtattr*>(static_cast<const char*>(NLMSG_DATA(header)) + skip);
    return attributes(first, total - skip);
}

/// Reads one datagram, within the limit.
Result<std::size_t> receive(int fd, std::vector<char>& buffer) {
    for (;;) {
        pollfd waiting{fd, POLLIN, 0};
        const int ready = ::poll(&waiting, 1, answer_limit_ms);
        if (ready == 0) return Error{Code::timed_out, "netlink: no answer"};
        if (ready < 0 && errno == EINTR) continue;
        const ssize_t count = ::recv(fd, buffer.data(), buffer.size(), 0);
        if (count >= 0) return static_cast<std::size_t>(count);
        if (errno != EINTR) return system_error(errno, "netlink");
    }
}

/// Asks for a dump and calls `visit` for every message of it. Repeated when the kernel says that it changed meanwhile.
Status dump(int fd, std::uint32_t sequence, int type, const std::function<void(const nlmsghdr*)>& visit, const std::function<void()>& restart) {
    constexpr int dump_attempts_max = 5;
    for (int attempt = 0; attempt < dump_attempts_max; ++attempt) {
        restart();
        struct {
            nlmsghdr header;
            ifinfomsg body;
        } request{};
        request.header.nlmsg_len = sizeof request;
        request.header.nlmsg_type = static_cast<std::uint16_t>(type);
        request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
        request.header.nlmsg_seq = sequence;
        if (::send(fd, &request, sizeof request, 0) < 0) return system_error(errno, "netlink");
        std::vector<char> buffer(receive_bytes);
        bool interrupted = false;
        for (bool done = false; !done;) {
            const auto count = receive(fd, buffer);
            if (!count) return count.error();
            auto left = static_cast<unsigned>(*count);
            for (auto* header = reinterpret_cast<const nlmsghdr*>(buffer.data()); NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
                if (header->nlmsg_seq != sequence) continue;  // a late answer of an earlier question
                if (header->nlmsg_flags & NLM_F_DUMP_INTR) interrupted = true;
                if (header->nlmsg_type == NLMSG_DONE) {
                    done = true;
                } else if (header->nlmsg_type == NLMSG_ERROR) {
                    return system_error(-static_cast<const nlmsgerr*>(NLMSG_DATA(header))->error, "netlink");
                } else {
                    visit(header);
                }
            }
        }
        if (!interrupted) return {};
    }
    return Error{Code::unavailable, "netlink: the table changed faster than it could be read"};
}

}  // namespace

unsigned ParsedAddress::size() const { return family == AF_INET ? 4 : 16; }

Result<ParsedAddress> parse_address(const std::string& text) {
    ParsedAddress parsed;
    const auto slash = text.find('/');
    const std::string address = text.substr(0, slash);
    if (::inet_pton(AF_INET, address.c_str(), parsed.bytes) == 1) parsed.family = AF_INET;
    else if (::inet_pton(AF_INET6, address.c_str(), parsed.bytes) == 1) parsed.family = AF_INET6;
    else return Error{Code::invalid_argument, "\"" + text + "\" is no IP address"};
    parsed.length = parsed.size() * 8;
    if (slash != std::string::npos) {
        const char* begin = text.data() + slash + 1;
        const char* end = text.data() + text.size();
        unsigned length = 0;
        const auto [stop, error] = std::from_chars(begin, end, length);
        if (error != std::errc{} || stop != end || length > parsed.length) return Error{Code::invalid_argument, "\"" + text + "\" is no IP prefix"};
        parsed.length = length;
    }
    return parsed;
}

Request make_bridge(const zedrouter::BridgePlan& bridge) {
    auto m = message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    append(m, ifinfomsg{.ifi_family = AF_UNSPEC, .ifi_flags = IFF_UP, .ifi_change = IFF_UP});
    put_text(m, IFLA_IFNAME, bridge.name);
    put_mac(m, bridge.mac);
    put_u32(m, IFLA_MTU, bridge.mtu);
    put_u32(m, IFLA_GROUP, group_ours);
    put_bridge_data(m, bridge);
    return {"bridge " + bridge.name, bridge.owner, {EEXIST}, std::move(m)};
}

Request change_bridge(int index, const zedrouter::BridgePlan& bridge) {
    auto m = message(RTM_NEWLINK, 0);
    append(m, ifinfomsg{.ifi_family = AF_UNSPEC, .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP});
    put_u32(m, IFLA_MTU, bridge.mtu);
    put_bridge_data(m, bridge);
    return {"bridge " + bridge.name, bridge.owner, {}, std::move(m)};
}

Request delete_link(int index, const std::string& name) {
    auto m = message(RTM_DELLINK, 0);
    append(m, ifinfomsg{.ifi_family = AF_UNSPEC, .ifi_index = index});
    return {"bridge " + name, {}, {ENODEV}, std::move(m)};
}

Request set_group(int index, const std::string& name, std::uint32_t group) {
    auto m = message(RTM_NEWLINK, 0);
    append(m, ifinfomsg{.ifi_family = AF_UNSPEC, .ifi_index = index});
    put_u32(m, IFLA_GROUP, group);
    return {"interface " + name, {}, {ENODEV}, std::move(m)};
}

Request delete_group(std::uint32_t group) {
    auto m = message(RTM_DELLINK, 0);
    append(m, ifinfomsg{.ifi_family = AF_UNSPEC});
    put_u32(m, IFLA_GROUP, group);
    return {"interfaces of group " + std::to_string(group), {}, {ENODEV}, std::move(m)};
}

Request set_link(int index, const std::string& name, int master, std::uint32_t mtu, bool up) {
    auto m = message(RTM_NEWLINK, 0);
    append(m, ifinfomsg{.ifi_family = AF_UNSPEC, .ifi_index = index, .ifi_flags = up ? unsigned{IFF_UP} : 0U, .ifi_change = IFF_UP});
    put_u32(m, IFLA_MASTER, static_cast<std::uint32_t>(master));
    if (mtu != 0) put_u32(m, IFLA_MTU, mtu);
    return {"interface " + name, {}, {ENODEV}, std::move(m)};
}

namespace {

Request change_address(int type, int flags, int index, const std::string& address, const std::string& device, std::vector<int> harmless) {
    auto m = message(type, flags);
    const auto parsed = parse_address(address);
    if (parsed) {
        ifaddrmsg header{};
        header.ifa_family = static_cast<std::uint8_t>(parsed->family);
        header.ifa_prefixlen = static_cast<std::uint8_t>(parsed->length);
        header.ifa_index = static_cast<std::uint32_t>(index);
        if (parsed->family == AF_INET6) header.ifa_flags = IFA_F_NODAD;
        append(m, header);
        put_address(m, IFA_LOCAL, *parsed);
        put_address(m, IFA_ADDRESS, *parsed);
    } else {
        append(m, ifaddrmsg{});
    }
    return {"address " + address + " of " + device, {}, std::move(harmless), std::move(m)};
}

}  // namespace

Request add_address(int index, const std::string& address, const std::string& device) {
    return change_address(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, address, device, {EEXIST});
}

Request delete_address(int index, const std::string& address, const std::string& device) {
    return change_address(RTM_DELADDR, 0, index, address, device, {EADDRNOTAVAIL, ENODEV});
}

Request add_route(const zedrouter::RoutePlan& route, int device) {
    auto m = message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
    const auto destination = parse_address(route.destination);
    if (destination) {
        rtmsg header{};
        header.rtm_family = static_cast<std::uint8_t>(destination->family);
        header.rtm_dst_len = static_cast<std::uint8_t>(destination->length);
        header.rtm_table = RT_TABLE_UNSPEC;
        header.rtm_protocol = zedrouter::route_protocol;
        header.rtm_type = route.device.empty() ? RTN_UNREACHABLE : RTN_UNICAST;
        header.rtm_scope = route.device.empty() || !route.gateway.empty() ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
        if (destination->family == AF_INET6) header.rtm_scope = RT_SCOPE_UNIVERSE;
        if (!route.gateway.empty()) header.rtm_flags = RTNH_F_ONLINK;
        append(m, header);
        put_address(m, RTA_DST, *destination);
        put_u32(m, RTA_TABLE, route.table);
        if (route.metric != 0) put_u32(m, RTA_PRIORITY, route.metric);
        if (!route.device.empty()) put_u32(m, RTA_OIF, static_cast<std::uint32_t>(device));
        if (!route.gateway.empty())
            if (const auto gateway = parse_address(route.gateway)) put_address(m, RTA_GATEWAY, *gateway);
    } else {
        append(m, rtmsg{});
    }
    return {"route " + route.destination + " in table " + std::to_string(route.table), route.owner, {EEXIST}, std::move(m)};
}

Request delete_route(const Route& route) {
    auto m = message(RTM_DELROUTE, 0);
    const auto destination = parse_address(route.destination);
    rtmsg header{};
    if (destination) {
        header.rtm_family = static_cast<std::uint8_t>(destination->family);
        header.rtm_dst_len = static_cast<std::uint8_t>(destination->length);
    }
    header.rtm_protocol = route.protocol;
    header.rtm_type = route.type;
    header.rtm_scope = RT_SCOPE_NOWHERE;
    append(m, header);
    if (destination) put_address(m, RTA_DST, *destination);
    put_u32(m, RTA_TABLE, route.table);
    if (route.metric != 0) put_u32(m, RTA_PRIORITY, route.metric);
    if (route.device != 0 && route.type == RTN_UNICAST) put_u32(m, RTA_OIF, static_cast<std::uint32_t>(route.device));
    return {"route " + route.destination + " in table " + std::to_string(route.table), {}, {ESRCH, ENODEV}, std::move(m)};
}

namespace {

Request change_rule(int type, int flags, std::uint32_t priority, const std::string& from, const std::string& to, std::uint32_t table,
                    std::vector<int> harmless) {
    auto m = message(type, flags);
    const auto source = parse_address(from.empty() ? to : from);
    fib_rule_hdr header{};
    if (source) header.family = static_cast<std::uint8_t>(source->family);
    const auto target = parse_address(to.empty() ? from : to);
    if (!from.empty() && source) header.src_len = static_cast<std::uint8_t>(source->length);
    if (!to.empty() && target) header.dst_len = static_cast<std::uint8_t>(target->length);
    header.action = FR_ACT_TO_TBL;
    append(m, header);
    if (!from.empty() && source) put_address(m, FRA_SRC, *source);
    if (!to.empty() && target) put_address(m, FRA_DST, *target);
    put_u32(m, FRA_PRIORITY, priority);
    put_u32(m, FRA_TABLE, table);
    nla_put_u8(m.get(), FRA_PROTOCOL, zedrouter::route_protocol);
    return {"rule " + std::to_string(priority), {}, std::move(harmless), std::move(m)};
}

}  // namespace

Request add_rule(const zedrouter::RulePlan& rule) {
    auto request = change_rule(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule.priority, rule.from, rule.to, rule.table, {EEXIST});
    request.owner = rule.owner;
    return request;
}

Request delete_rule(const Rule& rule) { return change_rule(RTM_DELRULE, 0, rule.priority, rule.from, rule.to, rule.table, {ENOENT}); }

Result<std::unique_ptr<Netlink>> Netlink::open() {
    nl_sock* socket = nl_socket_alloc();
    if (!socket) return Error{Code::resource_exhausted, "netlink: no memory"};
    std::unique_ptr<Netlink> netlink(new Netlink(socket));
    if (const int error = nl_connect(socket, NETLINK_ROUTE); error < 0)
        return Error{Code::unavailable, std::string("netlink: ") + nl_geterror(error)};
    nl_socket_set_buffer_size(socket, static_cast<int>(receive_bytes) * 4, 0);
    return netlink;
}

Netlink::~Netlink() { nl_socket_free(socket_); }

Result<std::vector<Link>> Netlink::links() {
    std::vector<Link> links;
    auto visit = [&](const nlmsghdr* header) {
        if (header->nlmsg_type != RTM_NEWLINK) return;
        const auto* info = static_cast<const ifinfomsg*>(NLMSG_DATA(header));
        const auto found = attributes_after<ifinfomsg>(header);
        Link link;
        link.index = info->ifi_index;
        link.up = (info->ifi_flags & IFF_UP) != 0;
        link.running = (info->ifi_flags & IFF_RUNNING) != 0;
        link.loopback = (info->ifi_flags & IFF_LOOPBACK) != 0;
        for (const auto& [type, attribute] : found) {
            if (type == IFLA_IFNAME) link.name = get_text(attribute);
            if (type == IFLA_MTU) link.mtu = get_u32(attribute);
            if (type == IFLA_MASTER) link.master = static_cast<int>(get_u32(attribute));
            if (type == IFLA_GROUP) link.group = get_u32(attribute);
            if (type == IFLA_ADDRESS && RTA_PAYLOAD(attribute) == 6) {
                const auto* b = static_cast<const std::uint8_t*>(RTA_DATA(attribute));
                char text[18];
                std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
                link.mac = text;
            }
            if (type == IFLA_LINKINFO) {
                const auto inner = attributes(static_cast<const rtattr*>(RTA_DATA(attribute)), RTA_PAYLOAD(attribute));
                if (const auto kind = inner.find(IFLA_INFO_KIND); kind != inner.end()) link.kind = get_text(kind->second);
            }
        }
        links.push_back(std::move(link));
    };
    if (auto done = dump(nl_socket_get_fd(socket_), nl_socket_use_seq(socket_), RTM_GETLINK, visit, [&] { links.clear(); }); !done)
        return done.error();
    return links;
}

Result<std::vector<Address>> Netlink::addresses() {
    std::vector<Address> all;
    auto visit = [&](const nlmsghdr* header) {
        if (header->nlmsg_type != RTM_NEWADDR) return;
        const auto* info = static_cast<const ifaddrmsg*>(NLMSG_DATA(header));
        if (info->ifa_family != AF_INET && info->ifa_family != AF_INET6) return;
        const auto found = attributes_after<ifaddrmsg>(header);
        auto value = found.find(IFA_LOCAL);
        if (value == found.end()) value = found.find(IFA_ADDRESS);
        if (value == found.end() || RTA_PAYLOAD(value->second) < (info->ifa_family == AF_INET ? 4U : 16U)) return;
        const auto flags = found.find(IFA_FLAGS);
        const std::uint32_t bits = flags == found.end() ? info->ifa_flags : get_u32(flags->second);
        Address address;
        address.link = static_cast<int>(info->ifa_index);
        address.family = info->ifa_family;
        address.address = prefix_text(info->ifa_family, RTA_DATA(value->second), info->ifa_prefixlen);
        address.global = info->ifa_scope == RT_SCOPE_UNIVERSE;
        address.temporary = info->ifa_family == AF_INET6 && (bits & IFA_F_TEMPORARY) != 0;
        address.dynamic = (bits & IFA_F_PERMANENT) == 0;
        all.push_back(std::move(address));
    };
    if (auto done = dump(nl_socket_get_fd(socket_), nl_socket_use_seq(socket_), RTM_GETADDR, visit, [&] { all.clear(); }); !done) return done.error();
    return all;
}

Result<std::vector<Route>> Netlink::routes() {
    std::vector<Route> all;
    auto visit = [&](const nlmsghdr* header) {
        if (header->nlmsg_type != RTM_NEWROUTE) return;
        const auto* info = static_cast<const rtmsg*>(NLMSG_DATA(header));
        if ((info->rtm_family != AF_INET && info->rtm_family != AF_INET6) || (info->rtm_flags & RTM_F_CLONED) != 0) return;
        const auto found = attributes_after<rtmsg>(header);
        Route route;
        route.table = info->rtm_table;
        route.protocol = info->rtm_protocol;
        route.type = info->rtm_type;
        const void* destination = nullptr;
        for (const auto& [type, attribute] : found) {
            if (type == RTA_TABLE) route.table = get_u32(attribute);
            if (type == RTA_DST) destination = RTA_DATA(attribute);
            if (type == RTA_GATEWAY) route.gateway = address_text(info->rtm_family, RTA_DATA(attribute));
            if (type == RTA_OIF) route.device = static_cast<int>(get_u32(attribute));
            if (type == RTA_PRIORITY) route.metric = get_u32(attribute);
        }
        route.destination = prefix_text(info->rtm_family, destination, info->rtm_dst_len);
        all.push_back(std::move(route));
    };
    if (auto done = dump(nl_socket_get_fd(socket_), nl_socket_use_seq(socket_), RTM_GETROUTE, visit, [&] { all.clear(); }); !done)
        return done.error();
    return all;
}

Result<std::vector<Rule>> Netlink::rules() {
    std::vector<Rule> all;
    auto visit = [&](const nlmsghdr* header) {
        if (header->nlmsg_type != RTM_NEWRULE) return;
        const auto* info = static_cast<const fib_rule_hdr*>(NLMSG_DATA(header));
        if (info->family != AF_INET && info->family != AF_INET6) return;
        const auto found = attributes_after<fib_rule_hdr>(header);
        Rule rule;
        rule.family = info->family;
        rule.table = info->table;
        for (const auto& [type, attribute] : found) {
            if (type == FRA_PRIORITY) rule.priority = get_u32(attribute);
            if (type == FRA_TABLE) rule.table = get_u32(attribute);
            if (type == FRA_PROTOCOL) rule.protocol = *static_cast<const std::uint8_t*>(RTA_DATA(attribute));
            if (type == FRA_SRC) rule.from = prefix_text(info->family, RTA_DATA(attribute), info->src_len);
            if (type == FRA_DST) rule.to = prefix_text(info->family, RTA_DATA(attribute), info->dst_len);
        }
        all.push_back(std::move(rule));
    };
    if (auto done = dump(nl_socket_get_fd(socket_), nl_socket_use_seq(socket_), RTM_GETRULE, visit, [&] { all.clear(); }); !done) return done.error();
    return all;
}

Result<std::vector<zedrouter::ItemFailure>> Netlink::run(const std::vector<Request>& requests) {
    std::vector<zedrouter::ItemFailure> failures;
    const int fd = nl_socket_get_fd(socket_);
    std::vector<char> buffer(receive_bytes);
    for (std::size_t at = 0; at < requests.size();) {
        std::map<std::uint32_t, const Request*> waiting;
        std::vector<char> bytes;
        while (at < requests.size() && waiting.size() < batch_requests_max) {
            nlmsghdr* header = nlmsg_hdr(requests[at].message.get());
            const std::size_t length = NLMSG_ALIGN(header->nlmsg_len);
            if (!bytes.empty() && bytes.size() + length > batch_bytes_max) break;
            header->nlmsg_seq = nl_socket_use_seq(socket_);
            header->nlmsg_pid = 0;
            const auto offset = bytes.size();
            bytes.resize(offset + length);
            std::memcpy(bytes.data() + offset, header, header->nlmsg_len);
            waiting[header->nlmsg_seq] = &requests[at];
            ++at;
        }
        if (::send(fd, bytes.data(), bytes.size(), 0) < 0) return system_error(errno, "netlink");
        while (!waiting.empty()) {
            const auto count = receive(fd, buffer);
            if (!count) return count.error();
            auto left = static_cast<unsigned>(*count);
            for (auto* header = reinterpret_cast<const nlmsghdr*>(buffer.data()); NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
                const auto found = waiting.find(header->nlmsg_seq);
                if (header->nlmsg_type != NLMSG_ERROR || found == waiting.end()) continue;
                const Request& request = *found->second;
                const int error = -static_cast<const nlmsgerr*>(NLMSG_DATA(header))->error;
                const bool harmless = std::find(request.harmless.begin(), request.harmless.end(), error) != request.harmless.end();
                if (error != 0 && !harmless) failures.push_back({request.owner, request.item, system_error(error, request.item)});
                waiting.erase(found);
            }
        }
    }
    return failures;
}

Result<std::vector<zedrouter::ItemFailure>> Netlink::remove(const std::vector<Link>& going) {
    if (going.size() > 1 && remove_as_group(going)) return std::vector<zedrouter::ItemFailure>{};
    std::vector<Request> requests;
    for (const auto& link : going) {
        requests.push_back(delete_link(link.index, link.name));
        if (going.size() > 1) requests.push_back(set_group(link.index, link.name, link.group));  // what stays is as it was
    }
    return run(requests);
}

// The group is one that nobody is in, and it is looked at again before it goes: an interface of somebody else never goes with ours. False if
// that did not work out, for whatever reason.
bool Netlink::remove_as_group(const std::vector<Link>& going) {
    const auto before = links();
    if (!before) return false;
    std::uint32_t group = group_going_first;
    while (std::any_of(before->begin(), before->end(), [&](const Link& link) { return link.group == group; })) ++group;
    std::vector<Request> requests;
    std::set<int> ours;
    for (const auto& link : going) {
        requests.push_back(set_group(link.index, link.name, group));
        ours.insert(link.index);
    }
    const auto marked = run(requests);
    if (!marked || !marked->empty()) return false;
    const auto after = links();
    const auto foreign = [&](const Link& link) { return link.group == group && !ours.contains(link.index); };
    if (!after || std::any_of(after->begin(), after->end(), foreign)) return false;
    const auto removed = run({delete_group(group)});
    return removed && removed->empty();
}

Result<std::unique_ptr<NetlinkEvents>> NetlinkEvents::open() {
    UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
    if (!socket) return system_error(errno, "netlink");
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return system_error(errno, "netlink");
    return std::unique_ptr<NetlinkEvents>(new NetlinkEvents(socket.release()));
}

NetlinkEvents::~NetlinkEvents() { ::close(fd_); }

bool NetlinkEvents::drain() {
    std::vector<char> buffer(receive_bytes);
    bool changed = false;
    for (;;) {
        const ssize_t count = ::recv(fd_, buffer.data(), buffer.size(), 0);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && errno == ENOBUFS) {  // events were lost: that is an event
            changed = true;
            continue;
        }
        if (count <= 0) return changed;
        auto left = static_cast<unsigned>(count);
        for (auto* header = reinterpret_cast<const nlmsghdr*>(buffer.data()); NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
            const bool route = header->nlmsg_type == RTM_NEWROUTE || header->nlmsg_type == RTM_DELROUTE;
            if (route && static_cast<const rtmsg*>(NLMSG_DATA(header))->rtm_protocol == zedrouter::route_protocol) continue;  // our own doing
            changed = true;
        }
    }
}

}  // namespace eve::net
