#include "core/bus/socket_feed.hpp"

#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <vector>

#include "core/bus/large_fields.hpp"
#include "core/bus/private_directory.hpp"
#include "core/bus/socket_service.hpp"
#include "core/bus/unix_path.hpp"
#include "core/bus/wire.hpp"

namespace eve::bus {

namespace {

/// Nobody but root and our user can write records there.
bool is_ours_alone(const std::string& directory) {
    struct stat facts {};
    return ::stat(directory.c_str(), &facts) == 0 && is_trusted(facts.st_uid) && (facts.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

}  // namespace


SocketFeed::SocketFeed(std::shared_ptr<const SocketTransport::Deps> deps, const TableId& table, const TypeInfo& type, std::shared_ptr<Sink> sink)
    : deps_(std::move(deps)),
      table_(table),
      type_(type),
      sink_(std::move(sink)),
      path_(deps_->root.path("/run/" + table.name() + ".sock")),
      wait_(std::min<std::chrono::nanoseconds>(retry_first, deps_->retry)) {}

void SocketFeed::start() {
    deps_->loop.post([weak = weak_from_this()] {
        if (const auto self = weak.lock(); self && self->sink_) self->connect();
    });
}

void SocketFeed::stop() {
    if (watch_) deps_->loop.unwatch(*std::exchange(watch_, std::nullopt));
    if (timer_) deps_->loop.cancel(*std::exchange(timer_, std::nullopt));
    fd_.reset();
    sink_.reset();
}

void SocketFeed::retry_later() {
    timer_ = deps_->loop.after(wait_, [this] {
        timer_.reset();
        connect();
    });
    wait_ = std::min<std::chrono::nanoseconds>(2 * wait_, deps_->retry);
}

// Each life of a publication makes its socket anew: the file is its identity.
std::string SocketFeed::incarnation() {
    struct stat facts {};
    if (::stat(path_.c_str(), &facts) != 0) return "unknown:" + std::to_string(++unknown_);
    return std::to_string(facts.st_dev) + ":" + std::to_string(facts.st_ino) + ":" + std::to_string(facts.st_ctim.tv_sec) + "." +
           std::to_string(facts.st_ctim.tv_nsec);
}

void SocketFeed::connect() {
    const auto before = incarnation();
    auto fd = connect_unix(path_, SOCK_SEQPACKET);
    if (!fd) return retry_later();
    if (!peer_is_trusted(fd->get())) {  // who listens there is no agent of this node
        if (!refused_) deps_->log.write(Level::error, "bus.publisher_refused", {{"topic", table_.name()}, {"reason", "neither root nor our user"}});
        refused_ = true;
        return retry_later();
    }
    refused_ = false;
    const auto after = incarnation();
    const auto request = wire::request(table_.topic);
    if (::send(fd->get(), request.data(), request.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) return retry_later();
    fd_ = std::move(*fd);
    whole_ = false;
    watch_ = deps_->loop.watch(fd_.get(), Ready::readable, [this] { readable(); });
    sink_->begin(before == after ? before : "unknown:" + std::to_string(++unknown_));
}

// At once after a connection that was good for something; a listener that only hangs up is tried at leisure.
void SocketFeed::broken() {
    if (watch_) deps_->loop.unwatch(*std::exchange(watch_, std::nullopt));
    fd_.reset();
    if (whole_) {
        connect();
    } else {
        retry_later();
    }
}

void SocketFeed::readable() {
    const auto self = shared_from_this();
    const auto buffer = std::make_unique_for_overwrite<char[]>(wire::message_limit);
    for (int messages = 0; messages < messages_per_turn && sink_ && fd_; ++messages) {
        const auto got = ::recv(fd_.get(), buffer.get(), wire::message_limit, MSG_DONTWAIT | MSG_TRUNC);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (got <= 0) return broken();
        const auto size = static_cast<std::size_t>(got);
        if (size > wire::message_limit) {
            deps_->log.write(Level::warn, "bus.message_refused", {{"topic", table_.name()}, {"error", "longer than a message can be"}});
            continue;
        }
        hear({buffer.get(), size});
    }
}

void SocketFeed::hear(std::string_view datagram) {
    const auto message = wire::parse(datagram);
    if (!message) {
        deps_->log.write(Level::warn, "bus.message_refused", {{"topic", table_.name()}, {"error", message.error().what}});
        return;
    }
    if (message->topic != table_.topic)
        deps_->log.write(Level::warn, "bus.topic_differs", {{"topic", table_.name()}, {"heard", message->topic}});  // told, and heard, as EVE does
    const auto sink = sink_;  // a handler may end this feed
    using Verb = wire::Message::Verb;
    switch (message->verb) {
        case Verb::request: break;
        case Verb::hello:
            if (message->persistent != table_.persistent)
                deps_->log.write(Level::error, "bus.persistence_differs", {{"topic", table_.name()}});
            break;
        case Verb::update: update(*sink, message->key, message->json); break;
        case Verb::remove: sink->remove(message->key); break;
        case Verb::complete:
            whole_ = true;
            wait_ = std::min<std::chrono::nanoseconds>(retry_first, deps_->retry);
            sink->complete();
            break;
        case Verb::restarted: sink->restarted(message->counter); break;
    }
}

void SocketFeed::update(Sink& sink, const std::string& key, const std::string& json) {
    if (type_.large_fields.empty()) return sink.update(key, json);
    const auto incoming = restore_large_fields(deps_->root, json, sink.last(key));
    if (!incoming) return sink.update(key, json);  // the reader of records says what is wrong with it
    for (const auto& problem : incoming->problems)
        deps_->log.write(Level::warn, "bus.large_field_missing", {{"topic", table_.name()}, {"key", key}, {"problem", problem}});
    sink.update(key, incoming->json);
}

DirectoryFeed::DirectoryFeed(std::shared_ptr<const SocketTransport::Deps> deps, const TableId& table, std::shared_ptr<Sink> sink)
    : deps_(std::move(deps)),
      table_(table),
      sink_(std::move(sink)),
      place_((table.persistent ? "/persist/status/" : "/run/") + table.name()) {}

void DirectoryFeed::start() {
    deps_->loop.post([weak = weak_from_this()] {
        if (const auto self = weak.lock(); self && self->sink_) self->look_for_directory();
    });
}

void DirectoryFeed::stop() {
    if (watch_) deps_->loop.unwatch(*std::exchange(watch_, std::nullopt));
    if (timer_) deps_->loop.cancel(*std::exchange(timer_, std::nullopt));
    if (marker_timer_) deps_->loop.cancel(*std::exchange(marker_timer_, std::nullopt));
    inotify_.reset();
    sink_.reset();
}

// Made here if need be, so that a writer who comes later is heard at once.
void DirectoryFeed::look_for_directory() {
    static_cast<void>(make_private_directories(deps_->root, place_ + "/"));
    if (watch_) deps_->loop.unwatch(*std::exchange(watch_, std::nullopt));
    inotify_ = UniqueFd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    constexpr std::uint32_t events =
        IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
    const auto directory = deps_->root.path(place_);
    const bool watched = inotify_ && ::inotify_add_watch(inotify_.get(), directory.c_str(), events) >= 0;
    const bool foreign = watched && !is_ours_alone(directory);
    if (foreign && !refused_)
        deps_->log.write(Level::error, "bus.publisher_refused",
                         {{"topic", table_.name()}, {"reason", directory + " is another user's, or others may write to it"}});
    refused_ = foreign;
    if (!watched || foreign) {
        inotify_.reset();
        timer_ = deps_->loop.after(deps_->retry, [this] {
            timer_.reset();
            look_for_directory();
        });
        return;
    }
    watch_ = deps_->loop.watch(inotify_.get(), Ready::readable, [this] { changed(); });
    read();
}

void DirectoryFeed::changed() {
    const auto self = shared_from_this();
    alignas(inotify_event) char buffer[16 * 1024];
    bool gone = false;
    for (;;) {
        const auto got = ::read(inotify_.get(), buffer, sizeof buffer);
        if (got <= 0) break;
        for (std::ptrdiff_t at = 0; at < got;) {
            const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
            gone |= (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) != 0;
            at += static_cast<std::ptrdiff_t>(sizeof *event + event->len);
        }
    }
    if (gone) {
        look_for_directory();
    } else {
        read();
    }
}

void DirectoryFeed::read() {
    const auto self = shared_from_this();
    const auto stored = deps_->store.peek(table_);
    if (!stored) {
        deps_->log.write(Level::warn, "bus.load_failed", {{"topic", table_.name()}, {"error", stored.error().what}});
        return;
    }
    for (const auto& problem : stored->problems) deps_->log.write(Level::warn, "bus.file_damaged", {{"topic", table_.name()}, {"problem", problem}});
    const auto sink = sink_;  // a handler may end this feed
    sink->begin("directory");
    for (const auto& [key, json] : stored->records) sink->update(key, json);
    sink->complete();
    if (!sink_) return;
    // The marker's file says nothing about the order of the writes: its word is given after theirs.
    if (marker_timer_) deps_->loop.cancel(*marker_timer_);
    marker_timer_ = deps_->loop.after(deps_->marker_delay, [this, counter = stored->restart_counter] {
        marker_timer_.reset();
        const auto told = sink_;
        told->restarted(counter);
    });
}

}  // namespace eve::bus
