#pragma once
// The subscriber's side: a connection to EVE's sockets, or a watched directory. Internal to core/bus.

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "core/bus/socket_transport.hpp"
#include "core/loop/unique_fd.hpp"

namespace eve::bus {

/// The first wait after a failed connection; each next is twice as long, up to Deps::retry.
inline constexpr std::chrono::milliseconds retry_first{250};

/// One subscription's connection, made again whenever it breaks.
class SocketFeed : public std::enable_shared_from_this<SocketFeed> {
public:
    SocketFeed(std::shared_ptr<const SocketTransport::Deps> deps, const TableId& table, const TypeInfo& type, std::shared_ptr<Sink> sink);
    ~SocketFeed() { stop(); }
    SocketFeed(const SocketFeed&) = delete;
    SocketFeed& operator=(const SocketFeed&) = delete;

    void start();
    void stop();

private:
    void connect();
    void retry_later();
    void broken();
    void readable();
    void hear(std::string_view datagram);
    void update(Sink& sink, const std::string& key, const std::string& json);
    std::string incarnation();

    std::shared_ptr<const SocketTransport::Deps> deps_;
    TableId table_;
    const TypeInfo& type_;
    std::shared_ptr<Sink> sink_;  // shared with the engine; null after stop()
    std::string path_;
    UniqueFd fd_;
    std::optional<WatchId> watch_;
    std::optional<TimerId> timer_;
    bool refused_ = false;  // who listens is not trusted, and that was said
    bool whole_ = false;  // this connection brought a whole dump
    std::chrono::nanoseconds wait_;
    std::uint64_t unknown_ = 0;
};

/// One subscription's directory: read as a whole whenever something in it changes; equal records are no events.
class DirectoryFeed : public std::enable_shared_from_this<DirectoryFeed> {
public:
    DirectoryFeed(std::shared_ptr<const SocketTransport::Deps> deps, const TableId& table, std::shared_ptr<Sink> sink);
    ~DirectoryFeed() { stop(); }
    DirectoryFeed(const DirectoryFeed&) = delete;
    DirectoryFeed& operator=(const DirectoryFeed&) = delete;

    void start();
    void stop();

private:
    void look_for_directory();
    void changed();
    void read();

    std::shared_ptr<const SocketTransport::Deps> deps_;
    TableId table_;
    std::shared_ptr<Sink> sink_;  // shared with the engine; null after stop()
    std::string place_;  // EVE's path of the directory
    UniqueFd inotify_;
    std::optional<WatchId> watch_;
    std::optional<TimerId> timer_;
    std::optional<TimerId> marker_timer_;
    bool refused_ = false;  // others could write there, and that was said
};

}  // namespace eve::bus
