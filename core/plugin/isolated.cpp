#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <map>
#include <thread>
#include <utility>

#include "core/plugin/frame.hpp"
#include "core/plugin/host_endpoint.hpp"
#include "core/plugin/plugin.hpp"

namespace eve::plugin {
namespace {

constexpr std::size_t host_calls_max = 64;
constexpr std::int64_t send_limit_ns = 5'000'000'000;
constexpr std::int64_t forever = std::numeric_limits<std::int64_t>::max();

void ring(int event_fd) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto wrote = ::write(event_fd, &one, sizeof one);
}

std::string how_it_ended(int status) {
    if (WIFSIGNALED(status)) {
        const char* name = ::sigabbrev_np(WTERMSIG(status));
        return "its host was killed by SIG" + std::string(name == nullptr ? "?" : name);
    }
    return "its host exited with " + std::to_string(WEXITSTATUS(status));
}

/// The same before it is reaped, for a child whose end of the socket is closed.
std::string how_it_is_ending(pid_t pid) {
    constexpr int patience_ms = 1000;
    const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    pollfd wait{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
    siginfo_t info{};
    if (pidfd && ::poll(&wait, 1, patience_ms) > 0 && ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
        info.si_pid == pid)
        return how_it_ended(info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status);
    return "its host closed the connection";
}

/// A started plugin-host.
struct Child {
    pid_t pid = -1;
    UniqueFd socket;
};

Result<Child> start_host(const HostProcessOptions& process, const std::string& file, std::uint32_t workers) {
    const auto& executable = process.executable;
    if (::access(executable.c_str(), X_OK) != 0)
        return Error{.code = Code::failed_precondition, .what = executable + ": " + std::strerror(errno), .hint = "reinstall the node"};
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return Error{.code = Code::resource_exhausted, .what = std::string("socketpair: ") + std::strerror(errno)};
    UniqueFd ours(pair[0]);
    const UniqueFd theirs(pair[1]);
    const auto count = std::to_string(workers);
    const char* const argv[] = {"plugin-host", count.c_str(), file.c_str(), nullptr};
    const auto pid = ::fork();
    if (pid < 0) return Error{.code = Code::resource_exhausted, .what = std::string("fork: ") + std::strerror(errno)};
    if (pid == 0) {  // only what is safe after a fork of many threads
        sigset_t none;
        ::sigemptyset(&none);
        ::sigprocmask(SIG_SETMASK, &none, nullptr);
        const int null = ::open("/dev/null", O_RDWR);
        ::dup2(null, 0);
        if (theirs.get() == 3) ::fcntl(3, F_SETFD, 0);
        else ::dup2(theirs.get(), 3);
        ::syscall(SYS_close_range, 4U, ~0U, 0U);
        if (!rights::keep_only(process.capabilities)) ::_exit(126);
        ::execv(executable.c_str(), const_cast<char* const*>(argv));
        ::_exit(127);
    }
    return Child{.pid = pid, .socket = std::move(ours)};
}

class IsolatedPlugin final : public Plugin {
public:
    IsolatedPlugin(const OpenOptions& options, HostProcessOptions process)
        : file_(options.file),
          config_(options.host.config()),
          workers_(std::max(options.calls_in_flight_max, 1U)),
          process_(std::move(process)),
          endpoint_(options.host),
          slots_(workers_),
          supervisor_([this] { supervise(); }),
          servant_([this] { serve_host_calls(); }) {}

    ~IsolatedPlugin() override {
        {
            const std::lock_guard lock(mutex_);
            closing_ = true;
            changed_.notify_all();
        }
        supervisor_.join();
        {
            const std::lock_guard lock(host_calls_mutex_);
            host_calls_ended_ = true;
            host_calls_wake_.notify_all();
        }
        servant_.join();
    }

    /// Waits for the first opening.
    Status wait_for_first() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return up_ || attempts_ > 0; });
        if (up_) return {};
        return last_error_;
    }

    std::int32_t call(const eve_request& request, eve_reply& reply) override {
        const auto deadline_ns = request.deadline_ns == forever ? monotonic_after(process_.call_limit.count()) : request.deadline_ns;
        if (!slots_.take(deadline_ns, request.cancel_fd))
            return answer_failure(reply, {.code = Code::timed_out, .what = "the plugin was busy with other calls; nothing was done"});
        {
            const std::lock_guard lock(mutex_);
            if (!up_) {
                slots_.give();
                return answer_failure(reply, down_error());
            }
        }
        const auto number = exchange(request.method, {request.body, request.body_size}, request.fds, request.fd_count, deadline_ns,
                                     request.cancel_fd, reply);
        slots_.give();
        return number;
    }
    const Identity& identity() const override { return identity_; }
    std::uint32_t generation() const override { return generation_.load(); }
    std::string trouble() const override {
        const std::lock_guard lock(mutex_);
        return up_ ? std::string() : last_error_.what;
    }
    std::int64_t host_pid() const override {
        const std::lock_guard lock(mutex_);
        return up_ ? child_pid_ : 0;
    }

private:
    struct Pending {
        UniqueFd done{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
        bool answered = false;  // else the connection was lost
        Frame reply;
    };
    struct HostCall {
        std::uint32_t connection;
        Frame frame;
    };

    Error down_error() const {
        return Error{.code = Code::unavailable,
                     .what = "the plugin is down: " + last_error_.what,
                     .hint = "it is started again by itself",
                     .retry_after = std::chrono::duration_cast<std::chrono::milliseconds>(process_.restart_first)};
    }

    // ---- one call ----

    std::int32_t exchange(const char* method, std::string_view body, const int* fds, std::uint32_t fd_count, std::int64_t deadline_ns,
                          int cancel_fd, eve_reply& reply) {
        Pending pending;
        std::uint64_t id = 0;
        std::uint32_t connection = 0;
        {
            const std::lock_guard lock(mutex_);
            if (socket_ < 0) return answer_failure(reply, down_error());
            id = ++last_id_;
            connection = connection_;
            pending_[id] = &pending;
        }
        const auto sent = send(connection,
                               {.kind = FrameKind::call,
                                .id = id,
                                .deadline_ns = deadline_ns,
                                .method = method,
                                .body = body,
                                .fds = fds,
                                .fd_count = fd_count},
                               deadline_ns);
        const bool in_time = sent.ok() && wait_for_answer(pending, connection, id, deadline_ns, cancel_fd);
        std::unique_lock lock(mutex_);
        pending_.erase(id);
        const auto reason = lost_reason_;
        if (pending.answered) {
            lock.unlock();
            return deliver(pending.reply, reply);
        }
        if (!sent.ok() && sent.error().code == Code::invalid_argument) {
            lock.unlock();
            return answer_failure(reply, sent.error());
        }
        if (in_time || (!sent.ok() && sent.error().code == Code::unavailable)) {  // the connection was lost
            lock.unlock();
            return answer_failure(
                reply, {.code = Code::unavailable, .what = "the plugin died in " + std::string(method) + " (" + reason + "); its effect is unknown"});
        }
        // It neither answered nor heeded the cancellation: the process is given up.
        lose(connection, "it did not answer " + std::string(method) + " in time and was killed");
        lock.unlock();
        return answer_failure(reply, {.code = Code::timed_out,
                                      .what = "the plugin did not answer " + std::string(method) + " in time; its host was killed, effect unknown"});
    }

    /// False: nothing came, even in overtime.
    bool wait_for_answer(Pending& pending, std::uint32_t connection, std::uint64_t id, std::int64_t deadline_ns, int cancel_fd) {
        bool cancelled = false;
        auto until_ns = deadline_ns;
        for (;;) {
            const auto left_ns = until_ns - monotonic_ns();
            if (left_ns <= 0) {
                if (until_ns != deadline_ns) return false;
                if (!cancelled) (void)send(connection, {.kind = FrameKind::cancel, .id = id}, monotonic_after(process_.overtime.count()));
                cancelled = true;
                until_ns = monotonic_after(process_.overtime.count());
                continue;
            }
            pollfd wait[2] = {{.fd = pending.done.get(), .events = POLLIN, .revents = 0},
                              {.fd = cancelled ? -1 : cancel_fd, .events = POLLIN, .revents = 0}};
            constexpr std::int64_t round_max_ms = 60'000;
            ::poll(wait, 2, static_cast<int>(std::min(left_ns / 1'000'000 + 1, round_max_ms)));
            if (wait[0].revents != 0) return true;
            if (wait[1].revents != 0 && !cancelled) {
                cancelled = true;
                (void)send(connection, {.kind = FrameKind::cancel, .id = id}, monotonic_after(send_limit_ns));
            }
        }
    }

    static Error no_descriptors() {
        return {.code = Code::resource_exhausted, .what = "no descriptor is free for what a plugin sent", .hint = "raise the node's limit of open files"};
    }

    static std::int32_t deliver(Frame& from, eve_reply& reply) {
        if (from.fds_lost) return answer_failure(reply, no_descriptors());
        for (auto& fd : from.fds)
            if (reply.fd(reply.to, fd.get()) >= 0) fd.release();
        if (!from.body.empty() && reply.body(reply.to, from.body.data(), from.body.size()) < 0 && from.status == EVE_OK)
            return answer_failure(reply, {.code = Code::internal, .what = "the answer is over the limit"});
        return from.status;
    }

    Status send(std::uint32_t connection, const FrameView& frame, std::int64_t give_up_ns) {
        const std::lock_guard lock(send_mutex_);
        int socket = -1;
        {
            const std::lock_guard state(mutex_);
            if (connection != connection_ || socket_ < 0) return Error{.code = Code::unavailable, .what = "the connection was lost"};
            socket = socket_;  // closed only under both locks
        }
        auto sent = write_frame(socket, frame, give_up_ns);
        if (!sent && sent.error().code != Code::invalid_argument) {
            const std::lock_guard state(mutex_);
            lose(connection, "it does not read its socket");
        }
        return sent;
    }

    /// Ends the connection; the supervisor does the rest. mutex_ is held.
    void lose(std::uint32_t connection, const std::string& reason) {
        if (connection != connection_ || lost_) return;
        lost_ = true;
        lost_reason_ = reason;
        up_ = false;
        ::shutdown(socket_, SHUT_RDWR);
        ::kill(child_pid_, SIGKILL);  // not reaped yet: the pid is still its own
        changed_.notify_all();
    }

    // ---- threads ----

    void supervise() {
        auto delay = process_.restart_first;
        std::unique_lock lock(mutex_);
        while (!closing_) {
            lock.unlock();
            const auto started_ns = monotonic_ns();
            auto error = live();
            const bool steady = monotonic_ns() - started_ns >= process_.steady_after.count();
            lock.lock();
            last_error_ = std::move(error);
            ++attempts_;
            changed_.notify_all();
            if (closing_) break;
            if (process_.on_change) {
                const auto text = last_error_.what;
                lock.unlock();
                process_.on_change(text);
                lock.lock();
            }
            if (steady) delay = process_.restart_first;
            changed_.wait_for(lock, delay, [&] { return closing_; });
            delay = std::min(delay * 2, process_.restart_max);
        }
    }

    /// One life of the plugin-host, to its end; says how it ended.
    Error live() {
        auto child = start_host(process_, file_, workers_);
        if (!child) return std::move(child).error();
        std::uint32_t connection = 0;
        {
            const std::lock_guard lock(mutex_);
            socket_ = child->socket.get();
            child_pid_ = child->pid;
            connection = ++connection_;
            lost_ = false;
            lost_reason_.clear();
        }
        std::thread reader([this, socket = child->socket.get(), connection, pid = child->pid] { read(socket, connection, pid); });
        auto opened = open();
        if (opened.ok()) {
            const bool again = generation_.fetch_add(1) > 0;
            {
                const std::lock_guard lock(mutex_);
                if (!lost_) up_ = true;
                changed_.notify_all();
            }
            if (again && process_.on_change) process_.on_change({});
        }
        std::unique_lock lock(mutex_);
        if (opened.ok()) changed_.wait(lock, [&] { return lost_ || closing_; });
        up_ = false;
        const bool orderly = opened.ok() && !lost_;
        lock.unlock();
        ::shutdown(child->socket.get(), SHUT_WR);  // end of file: close and exit
        const int status = reap(child->pid, orderly ? std::chrono::nanoseconds(std::chrono::seconds{7}) : process_.overtime);
        ::shutdown(child->socket.get(), SHUT_RDWR);
        reader.join();
        lock.lock();
        const auto reason = lost_reason_.empty() ? how_it_ended(status) : lost_reason_;
        lock.unlock();
        const std::lock_guard sending(send_mutex_);
        lock.lock();
        socket_ = -1;
        if (!opened.ok() && opened.error().code != Code::unavailable) return std::move(opened).error();
        return Error{.code = Code::unavailable, .what = reason};
    }

    /// Waits for the child's end, then kills it.
    static int reap(pid_t pid, std::chrono::nanoseconds patience) {
        const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
        pollfd wait{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
        const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(patience).count();
        if (!pidfd || ::poll(&wait, 1, static_cast<int>(ms)) <= 0) ::kill(pid, SIGKILL);
        int status = 0;
        while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
        return status;
    }

    Status open() {
        const auto deadline_ns = monotonic_after(process_.open_limit.count());
        Answer loaded;
        auto reply = loaded.table();
        if (exchange("#load", {}, nullptr, 0, deadline_ns, -1, reply) != EVE_OK) return open_error(loaded.body);
        std::vector<std::string> texts;
        for (std::size_t at = 0; at < loaded.body.size();) {
            const auto end = std::min(loaded.body.find('\0', at), loaded.body.size());
            texts.push_back(loaded.body.substr(at, end - at));
            at = end + 1;
        }
        if (texts.size() != 5) return Error{.code = Code::internal, .what = "plugin-host answered #load with something else"};
        if (generation_.load() == 0) identity_ = {texts[0], texts[1], texts[2], texts[3], texts[4]};
        const auto config = encode_open(config_);
        if (!config) return config.error();
        Answer opened;
        reply = opened.table();
        const auto count = static_cast<std::uint32_t>(config->fds.size());
        if (exchange("#open", config->body, config->fds.data(), count, deadline_ns, -1, reply) != EVE_OK)
            return open_error(opened.body).in("open " + texts[0]);
        return {};
    }

    struct Answer {
        std::string body;
        eve_reply table() {
            return {.size = sizeof(eve_reply),
                    .reserved = 0,
                    .to = this,
                    .body = [](void* to, const char* json, std::uint64_t size) -> std::int32_t {
                        static_cast<Answer*>(to)->body.assign(json == nullptr ? "" : json, json == nullptr ? 0 : size);
                        return 0;
                    },
                    .fd = [](void*, int) -> std::int32_t { return -1; }};
        }
    };

    void read(int socket, std::uint32_t connection, pid_t pid) {
        for (;;) {
            auto frame = read_frame(socket);
            if (!frame) {
                const bool hostile = frame.error().code == Code::invalid_argument;
                const auto ending = hostile ? "it sent rubbish: " + frame.error().what : how_it_is_ending(pid);
                const std::lock_guard lock(mutex_);
                if (hostile) lose(connection, ending);
                else if (!lost_) {
                    lost_ = true;
                    lost_reason_ = ending;
                    up_ = false;
                    changed_.notify_all();
                }
                for (auto& [id, pending] : pending_) ring(pending->done.get());
                return;
            }
            if (frame->kind == FrameKind::reply) {
                const std::lock_guard lock(mutex_);
                const auto at = pending_.find(frame->id);
                if (at == pending_.end()) continue;  // given up before
                at->second->reply = std::move(*frame);
                at->second->answered = true;
                ring(at->second->done.get());
            } else if (frame->kind == FrameKind::call) {
                take_host_call(connection, std::move(*frame));
            }
        }
    }

    void take_host_call(std::uint32_t connection, Frame frame) {
        if (HostEndpoint::is_quick(frame.method)) return answer_host_call(connection, frame);
        const std::lock_guard lock(host_calls_mutex_);
        if (host_calls_.size() >= host_calls_max) {
            (void)send(connection, {.kind = FrameKind::reply, .status = EVE_RESOURCE_EXHAUSTED, .id = frame.id}, monotonic_after(send_limit_ns));
            return;
        }
        host_calls_.push_back({connection, std::move(frame)});
        host_calls_wake_.notify_one();
    }

    void serve_host_calls() {
        std::unique_lock lock(host_calls_mutex_);
        for (;;) {
            host_calls_wake_.wait(lock, [&] { return host_calls_ended_ || !host_calls_.empty(); });
            if (host_calls_ended_) return;
            auto call = std::move(host_calls_.front());
            host_calls_.pop_front();
            lock.unlock();
            answer_host_call(call.connection, call.frame);
            lock.lock();
        }
    }

    void answer_host_call(std::uint32_t connection, const Frame& frame) {
        std::vector<int> fds;
        for (const auto& fd : frame.fds) fds.push_back(fd.get());
        const eve_request request{.size = sizeof(eve_request),
                                  .fd_count = static_cast<std::uint32_t>(fds.size()),
                                  .method = frame.method.c_str(),
                                  .body = frame.body.data(),
                                  .body_size = frame.body.size(),
                                  .fds = fds.data(),
                                  .id = frame.id,
                                  .deadline_ns = frame.deadline_ns,
                                  .cancel_fd = -1,
                                  .reserved = 0};
        Answer answer;
        auto reply = answer.table();
        const auto status = frame.fds_lost ? answer_failure(reply, no_descriptors()) : endpoint_.call(request, reply);
        (void)send(connection, {.kind = FrameKind::reply, .status = status, .id = frame.id, .body = answer.body}, monotonic_after(send_limit_ns));
    }

    const std::string file_;
    const PluginConfig config_;
    const std::uint32_t workers_;
    const HostProcessOptions process_;
    HostEndpoint endpoint_;
    CallSlots slots_;
    Identity identity_;
    std::atomic<std::uint32_t> generation_{0};

    std::mutex send_mutex_;  // taken before mutex_
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    bool closing_ = false;
    bool up_ = false;
    bool lost_ = false;
    std::string lost_reason_;
    Error last_error_{.code = Code::unavailable, .what = "not started yet"};
    std::uint32_t attempts_ = 0;
    std::uint32_t connection_ = 0;
    int socket_ = -1;
    pid_t child_pid_ = -1;
    std::uint64_t last_id_ = 0;
    std::map<std::uint64_t, Pending*> pending_;

    std::mutex host_calls_mutex_;
    std::condition_variable host_calls_wake_;
    std::deque<HostCall> host_calls_;
    bool host_calls_ended_ = false;

    std::thread supervisor_;  // last: they use all of the above
    std::thread servant_;
};

}  // namespace

Result<std::unique_ptr<Plugin>> open_isolated(const OpenOptions& options, const HostProcessOptions& process) {
    auto plugin = std::make_unique<IsolatedPlugin>(options, process);
    if (auto opened = plugin->wait_for_first(); !opened) return std::move(opened).error();
    return Result<std::unique_ptr<Plugin>>(std::move(plugin));
}

}  // namespace eve::plugin
