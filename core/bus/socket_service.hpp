#pragma once
// The publisher's side of EVE's sockets. Internal to core/bus.

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/bus/socket_transport.hpp"
#include "core/loop/unique_fd.hpp"

namespace eve::bus {

/// Subscribers of one publication at once; more are refused.
inline constexpr std::size_t peers_max = 64;
/// Without descriptors for another subscriber the publication accepts none for this long.
inline constexpr std::chrono::seconds accept_pause{1};
/// Messages sent to or read from one peer in one turn of the loop.
inline constexpr int messages_per_turn = 64;

/// One connected subscriber: what it has, what it has not been told, and the message it has no room for.
class SocketPeer : public std::enable_shared_from_this<SocketPeer> {
public:
    using Gone = std::function<void(SocketPeer&)>;
    SocketPeer(std::shared_ptr<const SocketTransport::Deps> deps, const Published& publication, UniqueFd fd, Gone gone);
    ~SocketPeer();
    SocketPeer(const SocketPeer&) = delete;
    SocketPeer& operator=(const SocketPeer&) = delete;

    void start();
    void changed(const std::string& key);
    void wake();
    /// The publication ends; nothing more is sent.
    void stop();

private:
    enum class Phase { silent, greeted, dumped };
    struct Outbound {
        std::string datagram;
        std::vector<std::string> files;
    };
    void readable();
    void pump();
    bool open_round();
    std::optional<Outbound> next();
    std::optional<Outbound> next_update();
    bool send(const Outbound& message);
    void leave(std::string_view why);
    void forget_read_files();

    std::shared_ptr<const SocketTransport::Deps> deps_;
    const Published* publication_;  // null after stop()
    UniqueFd fd_;
    Gone gone_;
    std::optional<WatchId> reading_;
    std::optional<WatchId> writing_;
    std::optional<TimerId> impatience_;
    Phase phase_ = Phase::silent;
    bool awake_ = false;

    std::set<std::string> has_;    // the keys that the peer was told of
    std::set<std::string> dirty_;  // bounded: keys of the table and of has_
    int told_counter_ = 0;

    // The round being sent.
    bool in_round_ = false;
    bool dump_ = false;
    std::deque<std::string> deletes_;
    std::deque<std::string> changes_;
    int round_counter_ = 0;
    std::optional<Outbound> blocked_;

    std::vector<std::string> files_;  // of large fields that the peer may not have read yet
};

class SocketService final : public Service {
public:
    static Result<std::unique_ptr<Service>> listen(std::shared_ptr<const SocketTransport::Deps> deps, const Published& publication);
    ~SocketService() override;
    SocketService(const SocketService&) = delete;
    SocketService& operator=(const SocketService&) = delete;

    void changed(const std::string& key) override;
    void marked() override;

private:
    SocketService(std::shared_ptr<const SocketTransport::Deps> deps, const Published& publication, UniqueFd listener, std::string path);
    void accept();
    void watch();

    std::shared_ptr<const SocketTransport::Deps> deps_;
    const Published& publication_;
    UniqueFd listener_;
    std::string path_;
    std::optional<WatchId> watch_;
    std::optional<TimerId> pause_;
    std::vector<std::shared_ptr<SocketPeer>> peers_;  // shared with the tasks they posted
};

}  // namespace eve::bus
