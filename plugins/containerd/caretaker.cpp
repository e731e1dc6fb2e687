#include "containerd/caretaker.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/files.hpp"

namespace eve::containerd {
namespace {

constexpr std::int64_t tick_ns = 1'000'000'000;
constexpr std::uint16_t server_port = 67;
constexpr std::uint16_t client_port = 68;
constexpr std::size_t packet_max = 4096;
constexpr int packets_per_turn = 16;

std::int64_t monotonic_ns() {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

MacAddress mac_of(const std::string& text) {
    MacAddress mac{};
    for (std::size_t at = 0; at < mac.size() && at * 3 + 2 <= text.size(); ++at)
        std::from_chars(text.data() + at * 3, text.data() + at * 3 + 2, mac[at], 16);
    return mac;
}

Status write_setting(const std::string& path, std::string_view value) {
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!file || ::write(file.get(), value.data(), value.size()) < 0) return plugins::file_error(path);
    return {};
}

/// A socket for DHCP on one interface of the calling thread's network namespace.
Result<UniqueFd> client_socket(const std::string& interface) {
    UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int yes = 1;
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_port = htons(client_port);
    if (!socket || ::setsockopt(socket.get(), SOL_SOCKET, SO_BINDTODEVICE, interface.c_str(), static_cast<socklen_t>(interface.size() + 1)) != 0 ||
        ::setsockopt(socket.get(), SOL_SOCKET, SO_BROADCAST, &yes, sizeof yes) != 0 ||
        ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0)
        return plugins::file_error("DHCP on " + interface);
    return socket;
}

bool is_our_own(int network) {
    struct stat ours{};
    struct stat theirs{};
    return ::fstat(network, &theirs) != 0 || ::stat("/proc/self/ns/net", &ours) != 0 || (ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev);
}

}  // namespace

std::string inner_interface(std::size_t at) { return "eth" + std::to_string(at); }

Caretaker::Caretaker(Trouble trouble, off_t log_size_max)
    : trouble_(std::move(trouble)), log_size_max_(log_size_max), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), thread_([this] { run(); }) {}

Caretaker::~Caretaker() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake();
    thread_.join();
}

void Caretaker::wake() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
}

Status Caretaker::attend(const DomainId& id, int directory, int network, const std::vector<Vif>& vifs) {
    {
        const std::lock_guard lock(mutex_);
        if (const auto known = attended_.find(id); known != attended_.end() && known->second->inside) return {};
    }
    if (is_our_own(network)) return Error{.code = Code::failed_precondition, .what = "the container has no network namespace of its own"};
    auto attended = std::make_shared<Attended>();
    attended->directory = UniqueFd(::fcntl(directory, F_DUPFD_CLOEXEC, 3));
    auto prepared = in_namespace(network, [&]() -> Status {
        auto inside = Rtnetlink::open();
        if (!inside) return std::move(inside).error();
        if (auto loopback = inside->index_of("lo"); loopback)
            if (auto up = inside->set_up(*loopback); !up) return up;
        // A reply to an interface without an address would fail the reverse path test that this host may have on.
        if (!vifs.empty()) [[maybe_unused]] const auto off = write_setting("/proc/sys/net/ipv4/conf/all/rp_filter", "0");
        for (std::size_t at = 0; at < vifs.size(); ++at) {
            const auto name = inner_interface(at);
            auto index = inside->index_of(name);
            if (!index) return std::move(index).error();
            if (auto up = inside->set_up(*index); !up) return up;
            [[maybe_unused]] const auto off = write_setting("/proc/sys/net/ipv4/conf/" + name + "/rp_filter", "0");
            auto socket = client_socket(name);
            if (!socket) return std::move(socket).error();
            const auto mac = mac_of(vifs[at].mac);
            const auto number = static_cast<std::uint32_t>(monotonic_ns()) ^ (std::uint32_t{mac[3]} << 16 | std::uint32_t{mac[4]} << 8 | mac[5]);
            attended->interfaces.push_back({.socket = std::move(*socket), .index = *index, .client = DhcpClient(mac, {}, number), .applied = {}});
        }
        attended->inside.emplace(std::move(*inside));
        return {};
    });
    if (!prepared) return std::move(prepared).error().in("network of the container");
    {
        const std::lock_guard lock(mutex_);
        attended_.insert_or_assign(id, std::move(attended));
    }
    wake();
    return {};
}

void Caretaker::forget(const DomainId& id) {
    {
        const std::lock_guard lock(mutex_);
        attended_.erase(id);
    }
    changed_.notify_all();
    wake();
}

void Caretaker::let_go(const DomainId& id) {
    {
        const std::lock_guard lock(mutex_);
        if (const auto known = attended_.find(id); known != attended_.end()) {
            known->second->interfaces.clear();
            known->second->inside.reset();
        }
    }
    changed_.notify_all();
    wake();
}

std::size_t Caretaker::wait_for_addresses(const DomainId& id, const Limit& limit) {
    constexpr std::chrono::milliseconds step{50};  // how soon a caller that gives up is heard
    std::unique_lock lock(mutex_);
    while (true) {
        const auto known = attended_.find(id);
        if (known == attended_.end()) return 0;
        const auto& interfaces = known->second->interfaces;
        const auto without = std::count_if(interfaces.begin(), interfaces.end(), [](const Interface& one) { return !one.applied; });
        if (without == 0 || limit.left().count() == 0 || limit.cancelled()) return static_cast<std::size_t>(without);
        changed_.wait_for(lock, std::min<std::chrono::nanoseconds>(step, limit.left()));
    }
}

void Caretaker::run() {
    std::int64_t tick_at = 0;
    while (true) {
        std::vector<pollfd> polled{{.fd = wake_.get(), .events = POLLIN, .revents = 0}};
        std::vector<std::shared_ptr<Attended>> held;  // what is waited on stays open
        std::int64_t wake_ns = 0;
        {
            const std::lock_guard lock(mutex_);
            if (stopping_) return;
            const auto now_ns = monotonic_ns();
            if (now_ns >= tick_at) {
                tick_at = now_ns + tick_ns;
                for (const auto& [id, attended] : attended_) plugins::rotate_log(attended->directory.get(), console_log_file, log_size_max_);
            }
            wake_ns = tick_at;
            for (auto& [id, attended] : attended_) {
                serve(id, *attended, now_ns);
                for (const auto& interface : attended->interfaces) {
                    polled.push_back({.fd = interface.socket.get(), .events = POLLIN, .revents = 0});
                    wake_ns = std::min(wake_ns, interface.client.wake_at());
                }
            }
        }
        const auto left_ns = std::max<std::int64_t>(0, wake_ns - monotonic_ns());
        ::poll(polled.data(), polled.size(), static_cast<int>((left_ns + 999'999) / 1'000'000));
        std::uint64_t count = 0;
        if (polled[0].revents != 0) [[maybe_unused]] const auto got = ::read(wake_.get(), &count, sizeof count);
    }
}

/// Whatever came in, then whatever is due. Under the mutex.
void Caretaker::serve(const DomainId& id, Attended& attended, std::int64_t now_ns) {
    for (auto& interface : attended.interfaces) {
        bool changed = interface.client.expire(now_ns);
        for (int packet = 0; packet < packets_per_turn; ++packet) {
            char buffer[packet_max];
            const auto got = ::recv(interface.socket.get(), buffer, sizeof buffer, 0);
            if (got <= 0) break;
            changed = interface.client.receive({buffer, static_cast<std::size_t>(got)}, now_ns) || changed;
        }
        if (changed) apply(id, attended, interface);
        if (const auto send = interface.client.due(now_ns)) {
            sockaddr_in to{};
            to.sin_family = AF_INET;
            to.sin_port = htons(server_port);
            to.sin_addr.s_addr = htonl(send->to);
            // Lost or refused is the same: it is sent again.
            [[maybe_unused]] const auto sent =
                ::sendto(interface.socket.get(), send->packet.data(), send->packet.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
        }
    }
}

void Caretaker::apply(const DomainId& id, Attended& attended, Interface& interface) {
    auto& inside = *attended.inside;
    const auto lease = interface.client.lease();
    const auto check = [&](const Status& done, const std::string& what) {
        if (!done) trouble_(id, Error(done.error()).in(what));
    };
    if (interface.applied && (!lease || lease->address != interface.applied->address || lease->prefix != interface.applied->prefix))
        check(inside.remove_address(interface.index, interface.applied->address, interface.applied->prefix), "old address");
    if (lease) {
        if (lease->mtu != 0) check(inside.set_mtu(interface.index, lease->mtu), "MTU");
        check(inside.add_address(interface.index, lease->address, lease->prefix), "address");
        // A gateway must be reachable before it is used: routes on the link first.
        auto routes = lease->routes;
        std::stable_partition(routes.begin(), routes.end(), [](const DhcpRoute& route) { return route.via == 0; });
        for (const auto& route : routes)
            check(inside.set_route(interface.index, route.destination, route.prefix, route.via), "route to " + address_text(route.destination));
    }
    interface.applied = lease;
    std::vector<DhcpLease> leases;
    for (const auto& one : attended.interfaces)
        if (one.applied) leases.push_back(*one.applied);
    // In place, never renamed: the container has this very file.
    const auto text = resolv_conf(leases);
    const UniqueFd file(::openat(attended.directory.get(), resolv_conf_file, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW));
    if (!file || ::write(file.get(), text.data(), text.size()) < 0) trouble_(id, plugins::file_error(resolv_conf_file));
    changed_.notify_all();
}

}  // namespace eve::containerd
