#include "containerd/caretaker.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "common/files.hpp"

namespace eve::containerd {
namespace {

constexpr std::int64_t sleep_max_ns = 3600LL * 1'000'000'000;

using plugins::DhcpLease;
using plugins::in_namespace;

std::int64_t monotonic_ns() {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

Status write_setting(const std::string& path, std::string_view value) {
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!file || ::write(file.get(), value.data(), value.size()) < 0) return plugins::file_error(path);
    return {};
}

bool is_our_own(int network) {
    struct stat ours{};
    struct stat theirs{};
    return ::fstat(network, &theirs) != 0 || ::stat("/proc/self/ns/net", &ours) != 0 || (ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev);
}

}  // namespace

std::string inner_interface(std::size_t at) { return "eth" + std::to_string(at); }

Caretaker::Caretaker(Trouble trouble)
    : trouble_(std::move(trouble)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), thread_([this] { run(); }) {}

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
            auto client = DhcpInterface::open(name, *index, vifs[at].mac, static_cast<std::uint32_t>(monotonic_ns()));
            if (!client) return std::move(client).error();
            attended->interfaces.push_back(std::move(*client));
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

std::size_t Caretaker::wait_for_addresses(const DomainId& id, const Limit& limit) {
    constexpr std::chrono::milliseconds step{50};  // how soon a caller that gives up is heard
    std::unique_lock lock(mutex_);
    while (true) {
        const auto known = attended_.find(id);
        if (known == attended_.end()) return 0;
        const auto& interfaces = known->second->interfaces;
        const auto without = std::count_if(interfaces.begin(), interfaces.end(), [](const DhcpInterface& one) { return !one.applied(); });
        if (without == 0 || limit.left().count() == 0 || limit.cancelled()) return static_cast<std::size_t>(without);
        changed_.wait_for(lock, std::min<std::chrono::nanoseconds>(step, limit.left()));
    }
}

void Caretaker::run() {
    while (true) {
        std::vector<pollfd> polled{{.fd = wake_.get(), .events = POLLIN, .revents = 0}};
        std::vector<std::shared_ptr<Attended>> held;  // what is waited on stays open
        std::int64_t wake_ns = 0;
        {
            const std::lock_guard lock(mutex_);
            if (stopping_) return;
            const auto now_ns = monotonic_ns();
            wake_ns = now_ns + sleep_max_ns;
            for (auto& [id, attended] : attended_) {
                serve(id, *attended, now_ns);
                for (const auto& interface : attended->interfaces) {
                    polled.push_back({.fd = interface.fd(), .events = POLLIN, .revents = 0});
                    wake_ns = std::min(wake_ns, interface.wake_at());
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
    for (auto& interface : attended.interfaces)
        if (interface.serve(now_ns)) apply(id, attended, interface);
}

void Caretaker::apply(const DomainId& id, Attended& attended, DhcpInterface& interface) {
    interface.apply(*attended.inside, [&](const Error& error) { trouble_(id, error); });
    std::vector<DhcpLease> leases;
    for (const auto& one : attended.interfaces)
        if (one.applied()) leases.push_back(*one.applied());
    // In place, never renamed: the container has this very file.
    const auto text = resolv_conf(leases);
    const UniqueFd file(::openat(attended.directory.get(), resolv_conf_file, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW));
    if (!file || ::write(file.get(), text.data(), text.size()) < 0) trouble_(id, plugins::file_error(resolv_conf_file));
    changed_.notify_all();
}

}  // namespace eve::containerd
