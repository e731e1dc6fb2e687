#include "core/bus/reverse_channel.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <vector>

#include "core/bus/unix_path.hpp"
#include "core/bus/wire.hpp"

namespace eve::bus {

namespace {
constexpr std::size_t producers_max = 32;
constexpr std::chrono::seconds patience{5};
}  // namespace

struct ReverseChannel::State : std::enable_shared_from_this<State> {
    struct Producer {
        UniqueFd fd;
        WatchId watch;
        TimerId impatience;
    };

    State(IoLoop& io, Log& sink, std::string place, UniqueFd socket, Handler todo)
        : loop(io), log(sink), path(std::move(place)), listener(std::move(socket)), handler(std::move(todo)) {
        watch = loop.watch(listener.get(), Ready::readable, [this] { accept(); });
    }

    void accept() {
        UniqueFd fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!fd) return;
        if (!peer_is_trusted(fd.get()) || producers.size() >= producers_max) {
            log.write(Level::warn, "bus.producer_refused", {{"path", path}});
            return;
        }
        const int key = fd.get();
        const auto reading = loop.watch(key, Ready::readable, [this, key] { read(key); });
        const auto impatience = loop.after(patience, [this, key] { dismiss(key); });
        producers.emplace(key, Producer{.fd = std::move(fd), .watch = reading, .impatience = impatience});
    }

    void read(int key) {
        const auto self = shared_from_this();
        std::vector<char> buffer(wire::message_limit);
        const auto got = ::recv(key, buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
        dismiss(key);
        if (got > static_cast<ssize_t>(buffer.size())) log.write(Level::warn, "bus.message_refused", {{"path", path}, {"error", "too long"}});
        if (got <= 0 || got > static_cast<ssize_t>(buffer.size())) return;
        handler({buffer.data(), static_cast<std::size_t>(got)});
    }

    void dismiss(int key) {
        auto producer = producers.extract(key);
        if (!producer) return;
        loop.unwatch(producer.mapped().watch);
        loop.cancel(producer.mapped().impatience);
    }

    void stop() {
        loop.unwatch(watch);
        while (!producers.empty()) dismiss(producers.begin()->first);
        listener.reset();
        ::unlink(path.c_str());
    }

    IoLoop& loop;
    Log& log;
    std::string path;
    UniqueFd listener;
    Handler handler;
    WatchId watch{};
    std::map<int, Producer> producers;
};

Result<std::unique_ptr<ReverseChannel>> ReverseChannel::listen(IoLoop& loop, Log& log, const std::string& path, Handler handler) {
    const auto directory = path.substr(0, path.rfind('/'));
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
        return Error{.code = Code::unavailable, .what = "make " + directory + ": " + std::strerror(errno)};
    auto listener = listen_unix(path, SOCK_SEQPACKET);
    if (!listener) return std::move(listener).error();
    return std::unique_ptr<ReverseChannel>(new ReverseChannel(std::make_shared<State>(loop, log, path, std::move(*listener), std::move(handler))));
}

ReverseChannel::ReverseChannel(std::shared_ptr<State> state) : state_(std::move(state)) {}
ReverseChannel::~ReverseChannel() { state_->stop(); }

Status send_reverse(const std::string& path, std::string_view json) {
    const auto fd = connect_unix(path, SOCK_SEQPACKET);
    if (!fd) return fd.error();
    if (::send(fd->get(), json.data(), json.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return Error{.code = Code::unavailable, .what = "send to " + path + ": " + std::strerror(errno)};
    return {};
}

}  // namespace eve::bus
