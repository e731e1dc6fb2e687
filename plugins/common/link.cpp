#include "common/link.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>
#include <thread>

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>

namespace eve::plugins {
namespace {

constexpr std::size_t answer_max = 32768;
constexpr int answer_wait_s = 5;

Error failure(int number, const std::string& what) {
    const auto code = number == EEXIST ? Code::already_exists
                      : number == ENODEV || number == ENOENT || number == EINVAL || number == EOPNOTSUPP ? Code::failed_precondition
                      : number == EPERM || number == EACCES ? Code::permission_denied
                      : number == ENOMEM || number == ENFILE || number == EMFILE || number == ENOBUFS ? Code::resource_exhausted
                                                                                                      : Code::unavailable;
    return {.code = code, .what = what + ": " + std::strerror(number)};
}

/// A message under construction; nested attributes close in the order of scopes.
class Message {
public:
    Message(std::uint16_t type, std::uint16_t flags) {
        append(nlmsghdr{.nlmsg_len = 0, .nlmsg_type = type, .nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags), .nlmsg_seq = 0, .nlmsg_pid = 0});
    }
    template <class Struct> Message& append(const Struct& value) {
        bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
        pad();
        return *this;
    }
    Message& attribute(std::uint16_t type, std::string_view payload) {
        const rtattr head{.rta_len = static_cast<std::uint16_t>(sizeof(rtattr) + payload.size()), .rta_type = type};
        bytes_.append(reinterpret_cast<const char*>(&head), sizeof head);
        bytes_.append(payload);
        pad();
        return *this;
    }
    template <class Number> Message& number(std::uint16_t type, Number value) {
        return attribute(type, {reinterpret_cast<const char*>(&value), sizeof value});
    }
    Message& text(std::uint16_t type, const std::string& value) { return attribute(type, {value.c_str(), value.size() + 1}); }
    template <class Fill> Message& nested(std::uint16_t type, Fill fill) {
        const auto at = bytes_.size();
        append(rtattr{.rta_len = 0, .rta_type = type});
        fill();
        const auto size = static_cast<std::uint16_t>(bytes_.size() - at);
        std::memcpy(bytes_.data() + at, &size, sizeof size);
        return *this;
    }
    std::string& finish() {
        const auto size = static_cast<std::uint32_t>(bytes_.size());
        std::memcpy(bytes_.data(), &size, sizeof size);
        return bytes_;
    }

private:
    void pad() { bytes_.resize((bytes_.size() + 3) & ~std::size_t{3}); }
    std::string bytes_;
};

std::optional<std::array<char, 6>> mac_bytes(std::string_view text) {
    std::array<char, 6> bytes{};
    if (text.size() != 17) return std::nullopt;
    for (std::size_t at = 0; at < 6; ++at) {
        std::uint8_t byte = 0;
        const auto* from = text.data() + at * 3;
        if (std::from_chars(from, from + 2, byte, 16).ptr != from + 2) return std::nullopt;
        bytes[at] = static_cast<char>(byte);
    }
    return bytes;
}

ifinfomsg link_head(int index, bool up) {
    ifinfomsg head{};
    head.ifi_index = index;
    if (up) head.ifi_flags = head.ifi_change = IFF_UP;
    return head;
}

}  // namespace

Result<Rtnetlink> Rtnetlink::open() {
    UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    const timeval wait{.tv_sec = answer_wait_s, .tv_usec = 0};
    if (!socket || ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) != 0) return failure(errno, "rtnetlink");
    return Rtnetlink(std::move(socket));
}

/// Sends, and waits for the kernel's word on it; a first answer that is no acknowledgement goes to `answer`.
Status Rtnetlink::ask(std::string& message, std::string* answer) {
    const std::uint32_t sequence = ++sequence_;
    std::memcpy(message.data() + offsetof(nlmsghdr, nlmsg_seq), &sequence, sizeof sequence);
    sockaddr_nl kernel{};
    kernel.nl_family = AF_NETLINK;
    if (::sendto(socket_.get(), message.data(), message.size(), 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) < 0)
        return failure(errno, "rtnetlink");
    std::string buffer(answer_max, '\0');
    while (true) {
        const auto got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return failure(errno, "rtnetlink");
        auto rest = std::string_view(buffer.data(), static_cast<std::size_t>(got));
        while (rest.size() >= sizeof(nlmsghdr)) {
            nlmsghdr head{};
            std::memcpy(&head, rest.data(), sizeof head);
            if (head.nlmsg_len < sizeof head || head.nlmsg_len > rest.size()) break;
            const auto body = rest.substr(sizeof head, head.nlmsg_len - sizeof head);
            rest.remove_prefix(std::min<std::size_t>((head.nlmsg_len + 3U) & ~3U, rest.size()));
            if (head.nlmsg_seq != sequence) continue;
            if (head.nlmsg_type == NLMSG_ERROR) {
                int number = 0;
                if (body.size() >= sizeof number) std::memcpy(&number, body.data(), sizeof number);
                if (number == 0) return {};
                return failure(-number, "the kernel");
            }
            if (answer != nullptr) answer->assign(body);
        }
    }
}

Status Rtnetlink::make_veth(const VethPair& pair, int inside) {
    for (const auto* name : {&pair.name, &pair.inner_name})
        if (name->empty() || name->size() >= IFNAMSIZ) return Error{.code = Code::invalid_argument, .what = "'" + *name + "' is no name of an interface"};
    const auto mac = mac_bytes(pair.mac);
    if (!mac) return Error{.code = Code::invalid_argument, .what = "'" + pair.mac + "' is no MAC address"};
    auto bridge = index_of(pair.bridge);
    if (!bridge) return Error{.code = Code::failed_precondition, .what = "there is no bridge " + pair.bridge};
    auto outer_mac = *mac;
    outer_mac[0] = static_cast<char>(0xfe);  // a bridge never takes it for its own address
    Message message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    message.append(link_head(0, false)).text(IFLA_IFNAME, pair.name).attribute(IFLA_ADDRESS, {outer_mac.data(), outer_mac.size()});
    message.number(IFLA_MASTER, *bridge);
    if (pair.mtu != 0) message.number(IFLA_MTU, pair.mtu);
    message.nested(IFLA_LINKINFO, [&] {
        message.attribute(IFLA_INFO_KIND, "veth");
        message.nested(IFLA_INFO_DATA, [&] {
            message.nested(VETH_INFO_PEER, [&] {
                message.append(link_head(0, false)).text(IFLA_IFNAME, pair.inner_name).attribute(IFLA_ADDRESS, {mac->data(), mac->size()});
                if (pair.mtu != 0) message.number(IFLA_MTU, pair.mtu);
                message.number(IFLA_NET_NS_FD, inside);
            });
        });
    });
    auto made = ask(message.finish());
    if (!made) return std::move(made).error().in("interface " + pair.name + " at bridge " + pair.bridge);
    // Not before: a veth without its peer does not come up.
    auto outer = index_of(pair.name);
    if (!outer) return std::move(outer).error();
    return set_up(*outer);
}

Status Rtnetlink::remove_veth(const std::string& name) {
    Message question(RTM_GETLINK, 0);
    question.append(link_head(0, false)).text(IFLA_IFNAME, name);
    std::string answer;
    if (auto asked = ask(question.finish(), &answer); !asked) {
        if (asked.error().code == Code::failed_precondition) return {};  // no such device
        return asked;
    }
    if (answer.find("veth") == std::string::npos)
        return Error{.code = Code::failed_precondition, .what = "interface " + name + " is not one of a container"};
    Message message(RTM_DELLINK, 0);
    message.append(link_head(0, false)).text(IFLA_IFNAME, name);
    auto removed = ask(message.finish());
    if (!removed && removed.error().code == Code::failed_precondition) return {};
    return removed;
}

Result<int> Rtnetlink::index_of(const std::string& name) {
    if (name.empty() || name.size() >= IFNAMSIZ) return Error{.code = Code::not_found, .what = "no interface has the name '" + name + "'"};
    Message question(RTM_GETLINK, 0);
    question.append(link_head(0, false)).text(IFLA_IFNAME, name);
    std::string answer;
    if (auto asked = ask(question.finish(), &answer); !asked || answer.size() < sizeof(ifinfomsg))
        return Error{.code = Code::not_found, .what = "there is no interface " + name};
    ifinfomsg head{};
    std::memcpy(&head, answer.data(), sizeof head);
    return head.ifi_index;
}

Status Rtnetlink::set_up(int index) {
    Message message(RTM_NEWLINK, 0);
    message.append(link_head(index, true));
    return ask(message.finish());
}

Status Rtnetlink::hand_over(int index, const std::string& name, int network) {
    if (auto down = set_down(index); !down) return down;
    Message message(RTM_NEWLINK, 0);
    message.append(link_head(index, false)).number(IFLA_NET_NS_FD, network).text(IFLA_IFNAME, name);
    return ask(message.finish());
}

Status Rtnetlink::rename(int index, const std::string& name) {
    if (auto down = set_down(index); !down) return down;
    Message message(RTM_NEWLINK, 0);
    message.append(link_head(index, false)).text(IFLA_IFNAME, name);
    return ask(message.finish());
}

Status Rtnetlink::set_alias(int index, const std::string& alias) {
    Message message(RTM_NEWLINK, 0);
    message.append(link_head(index, false)).attribute(IFLA_IFALIAS, alias);
    return ask(message.finish());
}

Result<int> Rtnetlink::with_alias(const std::string& alias) {
    struct Names {
        struct if_nameindex* all = ::if_nameindex();
        Names() = default;
        Names(const Names&) = delete;
        Names& operator=(const Names&) = delete;
        ~Names() {
            if (all != nullptr) ::if_freenameindex(all);
        }
    } const names;
    for (const auto* each = names.all; each != nullptr && each->if_index != 0; ++each) {
        Message question(RTM_GETLINK, 0);
        question.append(link_head(static_cast<int>(each->if_index), false));
        std::string answer;
        if (!ask(question.finish(), &answer) || answer.size() < sizeof(ifinfomsg)) continue;
        std::string_view rest = std::string_view(answer).substr(sizeof(ifinfomsg));
        while (rest.size() >= sizeof(rtattr)) {
            rtattr head{};
            std::memcpy(&head, rest.data(), sizeof head);
            if (head.rta_len < sizeof head || head.rta_len > rest.size()) break;
            auto value = rest.substr(sizeof head, head.rta_len - sizeof head);
            value = value.substr(0, value.find('\0'));
            if (head.rta_type == IFLA_IFALIAS && value == alias) return static_cast<int>(each->if_index);
            rest.remove_prefix(std::min<std::size_t>((head.rta_len + 3U) & ~3U, rest.size()));
        }
    }
    return Error{.code = Code::not_found, .what = "no interface has the alias '" + alias + "'"};
}

Status Rtnetlink::set_down(int index) {
    Message message(RTM_NEWLINK, 0);
    auto head = link_head(index, false);
    head.ifi_change = IFF_UP;
    message.append(head);
    return ask(message.finish());
}

Status Rtnetlink::set_mtu(int index, std::uint32_t mtu) {
    Message message(RTM_NEWLINK, 0);
    message.append(link_head(index, false)).number(IFLA_MTU, mtu);
    return ask(message.finish());
}

Status Rtnetlink::add_address(int index, std::uint32_t address, std::uint8_t prefix) {
    Message message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
    ifaddrmsg head{};
    head.ifa_family = AF_INET;
    head.ifa_prefixlen = prefix;
    head.ifa_index = static_cast<std::uint32_t>(index);
    message.append(head).number(IFA_LOCAL, htonl(address)).number(IFA_ADDRESS, htonl(address));
    if (prefix < 31) message.number(IFA_BROADCAST, htonl(address | (prefix == 0 ? ~0U : ~(~0U << (32 - prefix)))));
    return ask(message.finish());
}

Status Rtnetlink::remove_address(int index, std::uint32_t address, std::uint8_t prefix) {
    Message message(RTM_DELADDR, 0);
    ifaddrmsg head{};
    head.ifa_family = AF_INET;
    head.ifa_prefixlen = prefix;
    head.ifa_index = static_cast<std::uint32_t>(index);
    message.append(head).number(IFA_LOCAL, htonl(address));
    return ask(message.finish());
}

Status Rtnetlink::set_route(int index, std::uint32_t destination, std::uint8_t prefix, std::uint32_t via) {
    Message message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
    rtmsg head{};
    head.rtm_family = AF_INET;
    head.rtm_dst_len = prefix;
    head.rtm_table = RT_TABLE_MAIN;
    head.rtm_protocol = RTPROT_DHCP;
    head.rtm_scope = via == 0 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
    head.rtm_type = RTN_UNICAST;
    message.append(head);
    if (prefix != 0) message.number(RTA_DST, htonl(destination));
    if (via != 0) message.number(RTA_GATEWAY, htonl(via));
    message.number(RTA_OIF, index);
    return ask(message.finish());
}

Status in_namespace(int network, const std::function<Status()>& step) {
    Status done;
    std::thread([&] {
        if (::setns(network, CLONE_NEWNET) != 0) done = failure(errno, "network namespace");
        else done = step();
    }).join();
    return done;
}

}  // namespace eve::plugins
