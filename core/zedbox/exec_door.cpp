#include "core/zedbox/exec_door.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "core/bus/unix_path.hpp"
#include "core/loop/while_alive.hpp"
#include "core/plugin/hypervisor_client.hpp"
#include "eve/sdk/codec.hpp"

namespace eve::zedbox {
namespace {

constexpr std::size_t knocking_max = 16;                   // at once: a session that has begun does not count
constexpr std::chrono::seconds patience{5};                // until the whole request is here
constexpr std::chrono::seconds start_limit{30};

/// A socket without waiting is handed to jobs that do nothing but wait for it.
Result<ExecRequest> read_request(int fd, const LaneContext& lane, const Clock& clock) {
    ExecFrames frames;
    const Instant end = std::min(lane.deadline(), clock.now() + patience);
    while (true) {
        auto frame = frames.next();
        if (!frame) return std::move(frame).error();
        if (*frame) {
            if ((*frame)->kind != ExecFrame::request) return Error{.code = Code::invalid_argument, .what = "a session begins with what is to be run"};
            return sdk::decode<ExecRequest>((*frame)->body, sdk::Strictness::must_understand, {});
        }
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - clock.now());
        if (left.count() <= 0) return Error{.code = Code::timed_out, .what = "nobody said what is to be run"};
        std::array<pollfd, 2> polled{{{.fd = fd, .events = POLLIN, .revents = 0}, {.fd = lane.cancel_fd(), .events = POLLIN, .revents = 0}}};
        if (::poll(polled.data(), polled.size(), static_cast<int>(left.count())) < 0 && errno != EINTR)
            return Error{.code = Code::unavailable, .what = "the session cannot be read"};
        if (lane.cancelled()) return Error{.code = Code::cancelled, .what = "the node ends"};
        std::array<char, 16384> buffer{};
        const auto got = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got == 0) return Error{.code = Code::cancelled, .what = "who asked has gone"};
        if (got > 0) frames.append({buffer.data(), static_cast<std::size_t>(got)});
    }
}

Result<ExecStarted> start(const ExecRequest& request, const std::vector<ExecRuntime>& runtimes, const CallContext& call) {
    for (const auto& runtime : runtimes) {
        const auto seen = runtime.hypervisor->inspect(call, request.domain);
        if (!seen || seen->presence != Presence::present) continue;
        if (runtime.exec == nullptr)
            return Error{.code = Code::unsupported,
                         .what = "the plugin " + runtime.name + ", which runs this app, runs no further programs in it",
                         .hint = "evectl app console has the guest's own console"};
        return runtime.exec->exec(call, request);
    }
    return Error{.code = Code::not_found, .what = "no plugin runs this app now", .hint = "evectl app show says what it waits for"};
}

}  // namespace

struct ExecDoor::State : WhileAlive<ExecDoor::State> {
    State(Deps chosen, UniqueFd socket, std::string at) : deps(std::move(chosen)), listener(std::move(socket)), path(std::move(at)) {
        watch = deps.loop.watch(listener.get(), Ready::readable, [this] { accept(); });
    }
    ~State() {
        deps.loop.unwatch(watch);
        ::unlink(path.c_str());
    }
    State(const State&) = delete;
    State& operator=(const State&) = delete;

    void accept() {
        auto fd = std::make_shared<UniqueFd>(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!*fd) return;
        if (!peer_is_trusted(fd->get()) || knocking >= knocking_max) {
            deps.log.write(Level::warn, "exec.refused", {{"reason", knocking >= knocking_max ? "too many at once" : "neither root nor the node's user"}});
            return;
        }
        ++knocking;
        struct Outcome {
            DomainId domain;
            Status status;
        };
        deps.lanes.submit(
            "exec/" + std::to_string(++knocks),
            [fd, runtimes = deps.runtimes, &clock = deps.clock](const LaneContext& lane) -> Outcome {
                auto request = read_request(fd->get(), lane, clock);
                Outcome outcome;
                if (request) {
                    outcome.domain = request->domain;
                    request->session.fd = fd->get();
                    const plugin::LaneCall call(lane, clock);
                    auto started = start(*request, runtimes(), call);
                    if (!started) outcome.status = std::move(started).error();
                } else {
                    outcome.status = std::move(request).error();
                }
                if (!outcome.status) {
                    const auto words = exec_frame(ExecFrame::refused, sdk::encode_error(outcome.status.error()));
                    [[maybe_unused]] const auto sent = ::send(fd->get(), words.data(), words.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
                }
                fd->reset();
                return outcome;
            },
            guarded([this](const Outcome& outcome) {
                --knocking;
                // Which program, with which words, is the operator's: they may hold secrets.
                if (outcome.status) deps.log.write(Level::info, "exec.started", {{"app", outcome.domain.value}});
                else deps.log.write(Level::warn, "exec.refused", {{"app", outcome.domain.value}, {"reason", outcome.status.error().what}});
            }),
            {.time_limit = start_limit});
    }

    Deps deps;
    UniqueFd listener;
    std::string path;
    WatchId watch{};
    std::size_t knocking = 0;
    std::uint64_t knocks = 0;
};

ExecDoor::ExecDoor(std::shared_ptr<State> state) : state_(std::move(state)) {}
ExecDoor::~ExecDoor() = default;

Result<std::unique_ptr<ExecDoor>> ExecDoor::open(const std::string& path, Deps deps) {
    auto listener = listen_unix(path, SOCK_STREAM);
    if (!listener) return std::move(listener).error();
    return std::unique_ptr<ExecDoor>(new ExecDoor(std::make_shared<State>(std::move(deps), std::move(*listener), path)));
}

}  // namespace eve::zedbox
