#include "core/bus/socket_service.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "core/bus/large_fields.hpp"
#include "core/bus/private_directory.hpp"
#include "core/bus/unix_path.hpp"
#include "core/bus/wire.hpp"

namespace eve::bus {

SocketPeer::SocketPeer(std::shared_ptr<const SocketTransport::Deps> deps, const Published& publication, UniqueFd fd, Gone gone)
    : deps_(std::move(deps)), publication_(&publication), fd_(std::move(fd)), gone_(std::move(gone)) {}

SocketPeer::~SocketPeer() { stop(); }

void SocketPeer::start() {
    reading_ = deps_->loop.watch(fd_.get(), Ready::readable, [this] { readable(); });
    impatience_ = deps_->loop.after(deps_->request_limit, [this] {
        impatience_.reset();
        leave("asked for nothing");
    });
}

void SocketPeer::stop() {
    if (reading_) deps_->loop.unwatch(*std::exchange(reading_, std::nullopt));
    if (writing_) deps_->loop.unwatch(*std::exchange(writing_, std::nullopt));
    if (impatience_) deps_->loop.cancel(*std::exchange(impatience_, std::nullopt));
    publication_ = nullptr;
    fd_.reset();
    if (blocked_) files_.insert(files_.end(), blocked_->files.begin(), blocked_->files.end());
    blocked_.reset();
    for (const auto& file : files_) ::unlink(file.c_str());  // what a dead peer did not read
    files_.clear();
}

void SocketPeer::leave(std::string_view why) {
    deps_->log.write(Level::debug, "bus.peer_left", {{"topic", publication_->id().name()}, {"reason", why}});
    const auto self = shared_from_this();
    stop();
    gone_(*this);
}

void SocketPeer::readable() {
    std::array<char, wire::request_limit> buffer{};
    const auto got = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return leave("closed");
    if (phase_ != Phase::silent) return leave("said more than its request");
    const auto size = static_cast<std::size_t>(got);
    const auto request = size < buffer.size() ? wire::parse({buffer.data(), size}) : Error{.code = Code::invalid_argument, .what = "too long"};
    if (!request || request->verb != wire::Message::Verb::request || request->topic != publication_->id().topic) {
        deps_->log.write(Level::warn, "bus.request_refused",
                         {{"topic", publication_->id().name()}, {"error", request ? "asks for " + request->topic : request.error().what}});
        return leave("a request that is not ours");
    }
    deps_->loop.cancel(*std::exchange(impatience_, std::nullopt));
    phase_ = Phase::greeted;
    blocked_ = Outbound{.datagram = wire::hello(publication_->id().topic, publication_->id().persistent)};
    pump();
}

void SocketPeer::changed(const std::string& key) {
    if (phase_ == Phase::silent) return;  // the dump will tell
    const bool known = has_.contains(key) || publication_->contains(key);
    if (!known) {
        dirty_.erase(key);  // came and went between two rounds
        return;
    }
    dirty_.insert(key);
    wake();
}

void SocketPeer::wake() {
    if (awake_ || phase_ == Phase::silent || writing_) return;
    awake_ = true;
    deps_->loop.post([weak = weak_from_this()] {
        const auto self = weak.lock();
        if (!self) return;
        self->awake_ = false;
        if (self->publication_ != nullptr && !self->writing_) self->pump();
    });
}

// Sends until there is nothing to say, no room, or others' turn.
void SocketPeer::pump() {
    for (int sent = 0; sent < messages_per_turn; ++sent) {
        if (!blocked_) blocked_ = next();
        if (!blocked_) {
            if (writing_) deps_->loop.unwatch(*std::exchange(writing_, std::nullopt));
            return;
        }
        if (!send(*blocked_)) return;
        blocked_.reset();
    }
    if (!writing_) wake();
}

bool SocketPeer::send(const Outbound& message) {
    const auto sent = ::send(fd_.get(), message.datagram.data(), message.datagram.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) {
        files_.insert(files_.end(), message.files.begin(), message.files.end());
        forget_read_files();
        return true;
    }
    const int number = errno;
    if (number == EINTR) return true;
    if (number == EAGAIN || number == ENOBUFS) {
        if (!writing_) writing_ = deps_->loop.watch(fd_.get(), Ready::writable, [this] { pump(); });
        return false;
    }
    leave(std::strerror(number));
    return false;
}

// The restart counter is read before the records, so that it never stands for ones that are not told yet.
bool SocketPeer::open_round() {
    dump_ = phase_ == Phase::greeted;
    round_counter_ = publication_->restart_counter();
    if (!dump_ && dirty_.empty() && round_counter_ == told_counter_) return false;
    in_round_ = true;
    if (dump_) {
        for (auto& key : publication_->keys()) changes_.push_back(std::move(key));
        dirty_.clear();
        return true;
    }
    for (const auto& key : dirty_) {
        if (publication_->contains(key)) {
            changes_.push_back(key);
        } else if (has_.contains(key)) {
            deletes_.push_back(key);
        }
    }
    dirty_.clear();
    return true;
}

std::optional<SocketPeer::Outbound> SocketPeer::next() {
    const auto& topic = publication_->id().topic;
    if (!in_round_ && !open_round()) return std::nullopt;
    while (!deletes_.empty()) {
        const auto key = std::move(deletes_.front());
        deletes_.pop_front();
        if (publication_->contains(key)) continue;  // it is back: the next round tells
        has_.erase(key);
        return Outbound{.datagram = wire::remove(topic, key)};
    }
    if (auto update = next_update()) return update;
    if (dump_) {
        dump_ = false;
        phase_ = Phase::dumped;
        return Outbound{.datagram = wire::complete(topic)};
    }
    in_round_ = false;
    if (round_counter_ == told_counter_) return next();
    told_counter_ = round_counter_;
    return Outbound{.datagram = wire::restarted(topic, told_counter_)};
}

std::optional<SocketPeer::Outbound> SocketPeer::next_update() {
    const auto& id = publication_->id();
    while (!changes_.empty()) {
        const auto key = std::move(changes_.front());
        changes_.pop_front();
        const auto json = publication_->json(key);
        if (!json) continue;  // gone again
        dirty_.erase(key);    // this is the newest
        auto outgoing = publication_->type().large_fields.empty() ? Result<Outgoing>(Outgoing{.json = *json, .files = {}})
                                                                  : store_large_fields(deps_->root, id, *json);
        auto problem = outgoing ? std::string{} : outgoing.error().what;
        if (outgoing) {
            auto datagram = wire::update(id.topic, key, outgoing->json);
            if (datagram.size() < wire::message_limit) {
                has_.insert(key);
                return Outbound{.datagram = std::move(datagram), .files = std::move(outgoing->files)};
            }
            problem = "a message of " + std::to_string(datagram.size()) + " bytes";
            for (const auto& file : outgoing->files) ::unlink(file.c_str());
        }
        deps_->log.write(Level::error, "bus.record_not_sent", {{"topic", id.name()}, {"key", key}, {"error", problem}});
    }
    return std::nullopt;
}

// Bounded: what the peer has deleted needs no deleting.
void SocketPeer::forget_read_files() {
    constexpr std::size_t files_max = 64;
    if (files_.size() > files_max) std::erase_if(files_, [](const std::string& file) { return ::access(file.c_str(), F_OK) != 0; });
}

Result<std::unique_ptr<Service>> SocketService::listen(std::shared_ptr<const SocketTransport::Deps> deps, const Published& publication) {
    const auto place = "/run/" + publication.id().name() + ".sock";
    if (auto made = make_private_directories(deps->root, place); !made) return std::move(made).error();
    const auto path = deps->root.path(place);
    auto listener = listen_unix(path, SOCK_SEQPACKET);
    if (!listener) return std::move(listener).error();
    return std::unique_ptr<Service>(new SocketService(std::move(deps), publication, std::move(*listener), path));
}

SocketService::SocketService(std::shared_ptr<const SocketTransport::Deps> deps, const Published& publication, UniqueFd listener, std::string path)
    : deps_(std::move(deps)),
      publication_(publication),
      listener_(std::move(listener)),
      path_(std::move(path)) {
    watch();
}

SocketService::~SocketService() {
    if (watch_) deps_->loop.unwatch(*watch_);
    if (pause_) deps_->loop.cancel(*pause_);
    ::unlink(path_.c_str());
    for (const auto& peer : peers_) peer->stop();
}

void SocketService::watch() {
    watch_ = deps_->loop.watch(listener_.get(), Ready::readable, [this] { accept(); });
}

void SocketService::accept() {
    UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) {
        if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS) return;
        deps_->log.write(Level::error, "bus.accept_failed", {{"topic", publication_.id().name()}, {"error", std::strerror(errno)}});
        deps_->loop.unwatch(*std::exchange(watch_, std::nullopt));
        pause_ = deps_->loop.after(accept_pause, [this] {
            pause_.reset();
            watch();
        });
        return;
    }
    const bool trusted = peer_is_trusted(fd.get());
    if (!trusted || peers_.size() >= peers_max) {
        deps_->log.write(Level::warn, "bus.peer_refused",
                         {{"topic", publication_.id().name()}, {"reason", trusted ? "too many subscribers" : "neither root nor our user"}});
        return;
    }
    peers_.push_back(std::make_shared<SocketPeer>(deps_, publication_, std::move(fd), [this](SocketPeer& gone) {
        std::erase_if(peers_, [&gone](const auto& peer) { return peer.get() == &gone; });
    }));
    peers_.back()->start();
}

void SocketService::changed(const std::string& key) {
    for (const auto& peer : peers_) peer->changed(key);
}

void SocketService::marked() {
    for (const auto& peer : peers_) peer->wake();
}

}  // namespace eve::bus
