#include "containerd/exec.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <ctime>
#include <optional>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "containerd/oci_spec.hpp"
#include "common/files.hpp"

namespace eve::containerd {

using plugins::UniqueFd;

namespace {

using namespace std::chrono_literals;

constexpr const char* directory_prefix = "exec-";
constexpr const char* input_file = "input";
constexpr const char* output_file = "output";
constexpr const char* errors_file = "errors";
constexpr std::chrono::nanoseconds drain_max = 1s;    // after the end: what it wrote is on its way, what others hold open is not waited for
constexpr std::chrono::nanoseconds end_max = 5s;      // until a killed program is gone
constexpr std::chrono::nanoseconds ask_max = 2s;
constexpr std::chrono::nanoseconds farewell_max = 2s;  // until the last words are taken by a reader that is slow
constexpr std::chrono::milliseconds back_pause = 200ms;
constexpr std::chrono::nanoseconds back_max = 30s;    // how long a containerd that went away is waited for
constexpr std::size_t input_max = std::size_t{1} << 20;  // typed ahead of a program that does not read

/// Pipes of one program.
struct Pipes {
    UniqueFd input;   // held open for both directions, so that opening never waits; closing it is the end of the input
    UniqueFd output;
    UniqueFd errors;
};

Result<UniqueFd> make_pipe(int directory, const char* name, int flags) {
    if (::mkfifoat(directory, name, 0600) != 0) return plugins::file_error(name);
    UniqueFd fd(::openat(directory, name, flags | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW));
    if (!fd) return plugins::file_error(name);
    return fd;
}

void remove_pipes(int parent, const std::string& name) {
    if (auto directory = plugins::open_directory(parent, name)) [[maybe_unused]] const auto emptied = plugins::empty_directory(directory->get());
    ::unlinkat(parent, name.c_str(), AT_REMOVEDIR);
}

/// What runc and crun say when there is no such program.
Error as_not_found(Error error) {
    for (const char* words : {"executable file not found", "no such file or directory", "No such file or directory"})
        if (error.code == Code::failed_precondition && error.what.find(words) != std::string::npos) error.code = Code::not_found;
    return error;
}

void kill_and_forget(ExecApi& containerd, const ExtraProcess& process, const Limit& limit) {
    [[maybe_unused]] const auto killed = containerd.kill_process(process, SIGKILL, limit);
    while (true) {
        const auto removed = containerd.delete_process(process, limit);
        if (removed || removed.error().code == Code::not_found || removed.error().code == Code::unavailable) return;
        if (limit.wait(-1, 0, 20ms) != Limit::Wait::ready) return;
    }
}

}  // namespace

class ExecSessions::Session {
public:
    Session(ExecApi& containerd, ExtraProcess process, Pipes pipes, UniqueFd socket, UniqueFd directory)
        : containerd_(containerd),
          process_(std::move(process)),
          pipes_(std::move(pipes)),
          socket_(std::move(socket)),
          directory_(std::move(directory)),
          stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
          ended_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

    void begin() {
        waiter_ = std::thread([this] { wait_for_end(); });
        mover_ = std::thread([this] { move(); });
    }
    ~Session() {
        signal(stop_);
        if (mover_.joinable()) mover_.join();
        if (waiter_.joinable()) waiter_.join();
    }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    bool finished() const { return finished_; }
    const ExtraProcess& process() const { return process_; }

private:
    static void signal(const UniqueFd& event) {
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto written = ::write(event.get(), &one, sizeof one);
    }

    /// On its own thread: containerd may restart meanwhile, the program does not notice.
    void wait_for_end() {
        const Limit forever(std::chrono::nanoseconds::max(), stop_.get());
        std::optional<Limit> patience;  // since containerd went away
        while (true) {
            auto status = containerd_.wait_for_process(process_, forever);
            const bool away = !status && status.error().code == Code::unavailable;
            if (away && !patience) patience.emplace(back_max, stop_.get());
            if (!away || patience->wait(-1, 0, back_pause) != Limit::Wait::ready) {
                end_.emplace(std::move(status));
                break;
            }
        }
        signal(ended_);  // after end_ was written: who reads the event reads that
    }

    /// Takes from a pipe what it has. False: nobody writes to it any more.
    bool take(const UniqueFd& from, ExecFrame kind) {
        std::array<char, 32768> buffer{};
        const auto got = ::read(from.get(), buffer.data(), buffer.size());
        if (got > 0) outgoing_ += exec_frame(kind, {buffer.data(), static_cast<std::size_t>(got)});
        return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
    }

    /// What came over the session. False: the other side has gone, or talks nonsense.
    bool listen() {
        std::array<char, 32768> buffer{};
        const auto got = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return true;
        if (got <= 0) return false;
        frames_.append({buffer.data(), static_cast<std::size_t>(got)});
        while (true) {
            auto frame = frames_.next();
            if (!frame) return false;
            if (!*frame) return true;
            const auto& body = (*frame)->body;
            if ((*frame)->kind == ExecFrame::input) {
                if (body.empty()) input_over_ = true;
                else if (!input_over_) incoming_ += body;
            } else if ((*frame)->kind == ExecFrame::resize && body.size() == 4) {
                const auto number = [&body](std::size_t at) {
                    return std::uint32_t{static_cast<unsigned char>(body[at])} | std::uint32_t{static_cast<unsigned char>(body[at + 1])} << 8;
                };
                [[maybe_unused]] const auto resized =
                    containerd_.resize_terminal(process_, number(0), number(2), Limit(ask_max, stop_.get()));
            }
        }
    }

    bool say() {
        if (outgoing_.empty()) return true;
        const auto sent = ::send(socket_.get(), outgoing_.data(), outgoing_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) outgoing_.erase(0, static_cast<std::size_t>(sent));
        return sent > 0 || errno == EAGAIN || errno == EINTR;
    }

    void type() {
        if (!incoming_.empty() && pipes_.input) {
            const auto written = ::write(pipes_.input.get(), incoming_.data(), incoming_.size());
            if (written > 0) incoming_.erase(0, static_cast<std::size_t>(written));
        }
        if (!incoming_.empty() || !input_over_ || !pipes_.input) return;
        pipes_.input = UniqueFd();
        [[maybe_unused]] const auto closed = containerd_.close_input(process_, Limit(ask_max, stop_.get()));
    }

    void move() {
        outgoing_ = exec_frame(ExecFrame::started, {});
        bool output = true;
        bool errors = static_cast<bool>(pipes_.errors);
        bool over = false;      // the program has ended
        bool listened = true;   // the other side is there
        std::optional<Limit> drain;
        enum { at_socket, at_stop, at_ended, at_output, at_errors, at_input, count };
        while (true) {
            if (over && !output && !errors && outgoing_.empty()) break;
            const bool quiet = outgoing_.empty();
            std::array<pollfd, count> polled{};
            const auto look_at = [&](int at, const UniqueFd& fd, bool wanted, int events) {
                polled[static_cast<std::size_t>(at)] = {.fd = wanted ? fd.get() : -1, .events = static_cast<short>(events), .revents = 0};
            };
            look_at(at_socket, socket_, true, (incoming_.size() < input_max ? POLLIN : 0) | (quiet ? 0 : POLLOUT));
            look_at(at_stop, stop_, true, POLLIN);
            look_at(at_ended, ended_, !over, POLLIN);
            look_at(at_output, pipes_.output, output && quiet, POLLIN);
            look_at(at_errors, pipes_.errors, errors && quiet, POLLIN);
            look_at(at_input, pipes_.input, !incoming_.empty(), POLLOUT);
            const int patience = over && (output || errors) ? static_cast<int>(drain->left().count() / 1'000'000) + 1 : -1;
            if (::poll(polled.data(), polled.size(), patience) < 0 && errno != EINTR) break;
            const auto ready = [&](int at) { return polled[static_cast<std::size_t>(at)].revents != 0; };
            if (ready(at_stop)) break;
            if (ready(at_ended)) {
                std::uint64_t count = 0;
                [[maybe_unused]] const auto got = ::read(ended_.get(), &count, sizeof count);
                over = true;
                drain.emplace(drain_max, stop_.get());
            }
            if (over && drain->left().count() == 0) output = errors = false;
            if (ready(at_output)) output = take(pipes_.output, ExecFrame::output);
            if (ready(at_errors)) errors = take(pipes_.errors, ExecFrame::errors);
            // Its last words may still be read by who closed his sending half: only a socket that takes nothing is gone.
            if (((polled[at_socket].revents & POLLIN) != 0 && !listen()) || (polled[at_socket].revents & (POLLERR | POLLHUP)) != 0 || !say()) {
                listened = false;
                break;
            }
            type();
        }
        finish(over, listened);
    }

    void finish(bool over, bool listened) {
        if (!over) {
            kill_and_forget(containerd_, process_, Limit(end_max, -1));
            signal(stop_);  // nobody waits for its end any more
        } else {
            kill_and_forget(containerd_, process_, Limit(ask_max, -1));
        }
        if (over && listened) {
            if (*end_) outgoing_ += exec_frame(ExecFrame::exited, std::string(1, static_cast<char>(std::min<std::uint32_t>(**end_, 255))));
            else outgoing_ += exec_frame(ExecFrame::lost, end_->error().what);
        } else if (!over && listened) {
            outgoing_ += exec_frame(ExecFrame::lost, "the session was broken off");
        }
        const Limit limit(farewell_max, -1);
        while (listened && !outgoing_.empty() && limit.wait(socket_.get(), POLLOUT) == Limit::Wait::ready && say()) {}
        remove_pipes(directory_.get(), process_.id);
        ::shutdown(socket_.get(), SHUT_RDWR);  // the node's copy of the socket does not keep it open
        socket_ = UniqueFd();
        finished_ = true;
    }

    ExecApi& containerd_;
    const ExtraProcess process_;
    Pipes pipes_;
    UniqueFd socket_;
    UniqueFd directory_;  // the container's
    UniqueFd stop_;
    UniqueFd ended_;  // an event: read once
    std::optional<Result<std::uint32_t>> end_;  // the waiter's until `ended_` was signalled
    ExecFrames frames_;
    std::string incoming_;
    std::string outgoing_;
    bool input_over_ = false;
    std::atomic<bool> finished_ = false;
    std::thread mover_;
    std::thread waiter_;
};

ExecSessions::ExecSessions(ExecApi& containerd) : containerd_(containerd) {}

ExecSessions::~ExecSessions() {
    const std::lock_guard lock(mutex_);
    sessions_.clear();
}

void ExecSessions::forget_finished() {
    sessions_.remove_if([](const auto& session) { return session->finished(); });
}

Result<ExecStarted> ExecSessions::start(const ExecRequest& request, std::string_view spec, int directory, const Limit& limit) {
    struct stat status{};
    if (request.session.fd < 0 || ::fstat(request.session.fd, &status) != 0 || !S_ISSOCK(status.st_mode))
        return Error{.code = Code::invalid_argument, .what = "there is no socket for the session", .field = ".session"};
    auto text = extra_process_text(spec, request);
    if (!text) return std::move(text).error();
    ExtraProcess process{.container = request.domain.value, .id = {}};
    {
        const std::lock_guard lock(mutex_);
        forget_finished();
        if (sessions_.size() >= exec_sessions_max)
            return Error{.code = Code::resource_exhausted, .what = std::to_string(exec_sessions_max) + " programs are being run in containers: no more at once"};
        process.id = directory_prefix + std::to_string(::getpid()) + "-" + std::to_string(++started_);
    }
    UniqueFd socket(::fcntl(request.session.fd, F_DUPFD_CLOEXEC, 3));
    UniqueFd parent(::fcntl(directory, F_DUPFD_CLOEXEC, 3));
    auto place = plugins::make_directory(directory, process.id);
    if (!place) return std::move(place).error();
    const auto path = plugins::path_of(place->get()) + "/";
    Pipes pipes;
    const auto make = [&](const char* name, int flags, UniqueFd& slot) -> Status {
        auto made = make_pipe(place->get(), name, flags);
        if (!made) return std::move(made).error();
        slot = std::move(*made);
        return {};
    };
    Status done = make(input_file, O_RDWR, pipes.input);
    if (done) done = make(output_file, O_RDONLY, pipes.output);
    if (done && !request.terminal) done = make(errors_file, O_RDONLY, pipes.errors);
    if (done && (!socket || !parent)) done = plugins::file_error("the session");
    if (done)
        done = containerd_.create_process(process,
                                          {.spec = std::move(*text), .terminal = request.terminal, .input = path + input_file, .output = path + output_file,
                                           .errors = path + errors_file},
                                          limit);
    const bool created = done.ok();
    Result<std::uint32_t> pid = Error{};
    if (done) {
        pid = containerd_.start_process(process, limit);
        if (!pid) done = as_not_found(std::move(pid).error());
    }
    if (!done) {
        if (created) kill_and_forget(containerd_, process, Limit(ask_max, -1));
        remove_pipes(directory, process.id);
        return std::move(done).error();
    }
    if (request.terminal && request.rows != 0)
        [[maybe_unused]] const auto resized = containerd_.resize_terminal(process, request.rows, request.columns, limit.within(ask_max));
    auto session = std::make_unique<Session>(containerd_, std::move(process), std::move(pipes), std::move(socket), std::move(parent));
    const std::lock_guard lock(mutex_);
    session->begin();
    sessions_.push_back(std::move(session));
    return ExecStarted{.pid = static_cast<std::int64_t>(*pid)};
}

void ExecSessions::clear_leftovers(const std::string& container, int directory, const Limit& limit) {
    const auto names = plugins::names_in(directory);
    if (!names) return;
    for (const auto& name : *names) {
        if (!name.starts_with(directory_prefix)) continue;
        {
            const std::lock_guard lock(mutex_);
            const auto ours = [&](const auto& session) { return session->process().container == container && session->process().id == name; };
            if (std::any_of(sessions_.begin(), sessions_.end(), ours)) continue;
        }
        kill_and_forget(containerd_, {.container = container, .id = name}, limit);
        remove_pipes(directory, name);
    }
}

}  // namespace eve::containerd
