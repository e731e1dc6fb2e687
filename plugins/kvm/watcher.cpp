#include "watcher.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "eve/sdk/kept_process.hpp"
#include "files.hpp"

namespace eve::kvm {
namespace {

constexpr int tick_ms = 1000;
constexpr int listener_attempts_max = 30;
constexpr std::chrono::milliseconds listener_patience{200};
constexpr off_t qemu_log_size_max = 256 << 10;

}  // namespace

Watcher::Watcher(Notice notice, off_t log_size_max)
    : notice_(std::move(notice)), log_size_max_(log_size_max), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), thread_([this] { run(); }) {}

Watcher::~Watcher() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake();
    thread_.join();
}

void Watcher::watch(const DomainId& id, int directory) {
    {
        const std::lock_guard lock(mutex_);
        changes_.emplace_back(id, UniqueFd(::fcntl(directory, F_DUPFD_CLOEXEC, 0)));
    }
    wake();
}

void Watcher::forget(const DomainId& id) {
    {
        const std::lock_guard lock(mutex_);
        changes_.emplace_back(id, std::nullopt);
    }
    wake();
}

void Watcher::wake() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
}

void Watcher::run() {
    while (true) {
        std::vector<std::pair<DomainId, std::optional<UniqueFd>>> changes;
        {
            const std::lock_guard lock(mutex_);
            if (stopping_) return;
            changes.swap(changes_);
        }
        for (auto& [id, directory] : changes) {
            watched_.erase(id);
            if (directory) watched_[id].directory = std::move(*directory);
        }
        std::vector<pollfd> polled{{.fd = wake_.get(), .events = POLLIN, .revents = 0}};
        for (auto& [id, watched] : watched_) {
            look_after(id, watched);
            polled.push_back({.fd = watched.ended ? -1 : watched.process.get(), .events = POLLIN, .revents = 0});
            polled.push_back({.fd = watched.listener ? watched.listener->fd() : -1, .events = POLLIN, .revents = 0});
        }
        if (::poll(polled.data(), polled.size(), tick_ms) <= 0) continue;
        if (polled[0].revents != 0) {
            std::uint64_t count = 0;
            [[maybe_unused]] const auto got = ::read(wake_.get(), &count, sizeof count);
        }
        std::size_t at = 1;
        for (auto& [id, watched] : watched_) {
            if (polled[at + 1].revents != 0) hear(id, watched);
            if (polled[at].revents != 0 && !watched.ended) has_ended(id, watched);
            at += 2;
        }
    }
}

/// The guest's process, or, told of once more, its keeper, which has written down by then how the guest ended: who looks in between is told that
/// it runs.
void Watcher::has_ended(const DomainId& id, Watched& watched) {
    watched.listener.reset();
    watched.process = UniqueFd();
    const auto kept = watched.guest_ended ? Result<sdk::KeptProcess>(Error{}) : sdk::read_kept_process(watched.directory.get());
    watched.guest_ended = true;
    if (kept)
        if (auto keeper = sdk::open_process(kept->keeper)) watched.process = UniqueFd(*keeper);
    watched.ended = !watched.process;
    notice_(id, DomainEventKind::exited);
}

void Watcher::look_after(const DomainId& id, Watched& watched) {
    rotate_log(watched.directory.get(), "console.log", log_size_max_);
    rotate_log(watched.directory.get(), "qemu.log", qemu_log_size_max);
    if (watched.ended) return;
    if (!watched.process) {
        if (const auto kept = sdk::read_kept_process(watched.directory.get())) {
            auto process = sdk::open_process(kept->guest);
            if (process) watched.process = UniqueFd(*process);
            else if (process.error().code == Code::not_found) has_ended(id, watched);  // sooner than we looked
        }
    }
    if (!watched.process || watched.guest_ended || watched.listener || watched.attempts >= listener_attempts_max) return;
    ++watched.attempts;
    if (auto listener = QmpClient::open(watched.directory.get(), "listener.qmp", Limit(listener_patience, -1))) watched.listener = std::move(*listener);
}

void Watcher::hear(const DomainId& id, Watched& watched) {
    auto events = watched.listener->take_events();
    if (!events) {
        watched.listener.reset();
        return;
    }
    std::optional<DomainEventKind> kind;
    for (const auto& event : *events) {
        if (event.name == "RESET" && event.guest) kind = DomainEventKind::rebooted;
        else if (event.name == "BLOCK_IO_ERROR") kind = DomainEventKind::io_error;
        else if (!kind && (event.name == "SHUTDOWN" || event.name == "STOP" || event.name == "RESUME" || event.name == "GUEST_PANICKED"))
            kind = DomainEventKind::changed;
    }
    if (kind) notice_(id, *kind);
}

}  // namespace eve::kvm
