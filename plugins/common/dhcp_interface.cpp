#include "common/dhcp_interface.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "common/files.hpp"

namespace eve::plugins {
namespace {

constexpr std::uint16_t server_port = 67;
constexpr std::uint16_t client_port = 68;
constexpr std::size_t packet_max = 4096;
constexpr int packets_per_turn = 16;

}  // namespace

MacAddress mac_of(const std::string& text) {
    MacAddress mac{};
    for (std::size_t at = 0; at < mac.size() && at * 3 + 2 <= text.size(); ++at)
        std::from_chars(text.data() + at * 3, text.data() + at * 3 + 2, mac[at], 16);
    return mac;
}

Result<DhcpInterface> DhcpInterface::open(const std::string& name, int index, const std::string& mac, std::uint32_t number) {
    UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int yes = 1;
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_port = htons(client_port);
    if (!socket || ::setsockopt(socket.get(), SOL_SOCKET, SO_BINDTODEVICE, name.c_str(), static_cast<socklen_t>(name.size() + 1)) != 0 ||
        ::setsockopt(socket.get(), SOL_SOCKET, SO_BROADCAST, &yes, sizeof yes) != 0 ||
        ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0)
        return file_error("DHCP on " + name);
    const auto address = mac_of(mac);
    const auto conversation = number ^ (std::uint32_t{address[3]} << 16 | std::uint32_t{address[4]} << 8 | address[5]);
    return DhcpInterface(std::move(socket), index, DhcpClient(address, {}, conversation));
}

bool DhcpInterface::serve(std::int64_t now_ns) {
    bool changed = client_.expire(now_ns);
    for (int packet = 0; packet < packets_per_turn; ++packet) {
        char buffer[packet_max];
        const auto got = ::recv(socket_.get(), buffer, sizeof buffer, 0);
        if (got <= 0) break;
        changed = client_.receive({buffer, static_cast<std::size_t>(got)}, now_ns) || changed;
    }
    if (const auto send = client_.due(now_ns)) {
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(server_port);
        to.sin_addr.s_addr = htonl(send->to);
        // Lost or refused is the same: it is sent again.
        [[maybe_unused]] const auto sent =
            ::sendto(socket_.get(), send->packet.data(), send->packet.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    }
    return changed;
}

void DhcpInterface::apply(Rtnetlink& link, const std::function<void(const Error&)>& trouble) {
    const auto& lease = client_.lease();
    const auto check = [&](const Status& done, const std::string& what) {
        if (!done) trouble(Error(done.error()).in(what));
    };
    if (applied_ && (!lease || lease->address != applied_->address || lease->prefix != applied_->prefix))
        check(link.remove_address(index_, applied_->address, applied_->prefix), "old address");
    if (lease) {
        if (lease->mtu != 0) check(link.set_mtu(index_, lease->mtu), "MTU");
        check(link.add_address(index_, lease->address, lease->prefix), "address");
        // A gateway must be reachable before it is used: routes on the link first.
        auto routes = lease->routes;
        std::stable_partition(routes.begin(), routes.end(), [](const DhcpRoute& route) { return route.via == 0; });
        for (const auto& route : routes)
            check(link.set_route(index_, route.destination, route.prefix, route.via), "route to " + address_text(route.destination));
    }
    applied_ = lease;
}

}  // namespace eve::plugins
