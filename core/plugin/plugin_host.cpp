// plugin-host FILE.so: one plugin in a process of its own, spoken to in frames (core/plugin/frame.hpp) on descriptor 3. A crash, a hang or a
// leak of the plugin is this process's; its guests are not its children and run on. Reads no JSON. End of file means: close and exit.
//
// Commands beside the plugin's methods: "#load" (loads the file; answers id, version, interfaces, built_with, ABI, each ended by NUL) and
// "#open" (body and descriptors as for eve_plugin_entry::open).

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/plugin/entry.hpp"
#include "core/plugin/frame.hpp"
#include "core/plugin/syscall_filter.hpp"

namespace eve::plugin {
namespace {

constexpr int node_fd = 3;
constexpr std::size_t queue_max = 1024;
constexpr auto close_limit = std::chrono::seconds{5};
constexpr auto forever = std::numeric_limits<std::int64_t>::max();

/// A body in the form of the boundary's errors, made without a JSON library.
std::string error_body(const Error& error) {
    const auto quoted = [](std::string_view text) {
        std::string out = "\"";
        for (const char c : text) {
            if (c == '"' || c == '\\') out += '\\';
            out += c >= ' ' && c <= '~' ? c : '?';
        }
        return out + "\"";
    };
    auto body = "{\"code\":" + quoted(to_string(error.code)) + ",\"what\":" + quoted(std::string_view(error.what).substr(0, EVE_ERROR_WHAT_SIZE_MAX));
    if (!error.hint.empty()) body += ",\"hint\":" + quoted(error.hint);
    return body + "}";
}

/// What a plugin answers, kept until it is sent.
struct Answer {
    std::string body;
    bool filled = false;
    bool refused = false;  ///< a body over the limit was offered
    std::vector<UniqueFd> fds;

    eve_reply table() { return {.size = sizeof(eve_reply), .reserved = 0, .to = this, .body = &take_body, .fd = &take_fd}; }

    static std::int32_t take_body(void* to, const char* json, std::uint64_t size) {
        auto& self = *static_cast<Answer*>(to);
        if (self.filled) return -1;  // at most once; the first counts
        if (size > EVE_REPLY_SIZE_MAX || (json == nullptr && size != 0)) {
            self.refused = true;
            return -1;
        }
        self.body.assign(json == nullptr ? "" : json, size);
        self.filled = true;
        return 0;
    }
    static std::int32_t take_fd(void* to, int fd) {
        auto& self = *static_cast<Answer*>(to);
        if (fd < 0 || self.fds.size() >= EVE_FDS_MAX) return -1;
        self.fds.emplace_back(fd);
        return static_cast<std::int32_t>(self.fds.size() - 1);
    }
};

class PluginHost {
public:
    PluginHost(std::string file, unsigned workers) : file_(std::move(file)), workers_max_(workers) {
        host_ = {.size = sizeof(eve_host), .abi_major = EVE_ABI_MAJOR, .abi_minor = EVE_ABI_MINOR, .self = this, .call = &call_node};
    }

    /// Until the node closes the socket.
    int run() {
        for (unsigned i = 0; i < workers_max_; ++i) std::thread([this] { work(); }).detach();
        for (;;) {
            auto frame = read_frame(node_fd);
            if (!frame) break;
            take(std::move(*frame));
        }
        return end();
    }

private:
    struct Job {
        Frame frame;
        std::shared_ptr<UniqueFd> cancel;  // shared with `cancels_` while the call lasts
    };
    struct Waiting {
        bool done = false;
        Frame reply;
    };

    void take(Frame frame) {
        const std::lock_guard lock(mutex_);
        if (frame.kind == FrameKind::reply) {
            if (const auto at = waiting_.find(frame.id); at != waiting_.end()) {
                at->second->reply = std::move(frame);
                at->second->done = true;
                replied_.notify_all();
            }
        } else if (frame.kind == FrameKind::cancel) {
            if (const auto at = cancels_.find(frame.id); at != cancels_.end()) {
                const std::uint64_t one = 1;
                [[maybe_unused]] const auto wrote = ::write(at->second->get(), &one, sizeof one);
            }
        } else if (jobs_.size() < queue_max) {
            auto cancel = std::make_shared<UniqueFd>(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
            cancels_[frame.id] = cancel;
            jobs_.push_back({std::move(frame), std::move(cancel)});
            wake_.notify_one();
        }
    }

    void work() {
        for (;;) {
            std::unique_lock lock(mutex_);
            wake_.wait(lock, [&] { return !jobs_.empty(); });
            auto job = std::move(jobs_.front());
            jobs_.pop_front();
            ++busy_;
            lock.unlock();
            answer(job);
            lock.lock();
            cancels_.erase(job.frame.id);
            --busy_;
            idle_.notify_all();
        }
    }

    void answer(Job& job) {
        Answer answer;
        std::int32_t status = EVE_INTERNAL;
        std::vector<int> fds;
        for (const auto& fd : job.frame.fds) fds.push_back(fd.get());
        const eve_request request{.size = sizeof(eve_request),
                                  .fd_count = static_cast<std::uint32_t>(fds.size()),
                                  .method = job.frame.method.c_str(),
                                  .body = job.frame.body.data(),
                                  .body_size = job.frame.body.size(),
                                  .fds = fds.data(),
                                  .id = job.frame.id,
                                  .deadline_ns = job.frame.deadline_ns,
                                  .cancel_fd = job.cancel->get(),
                                  .reserved = 0};
        if (job.frame.fds_lost)
            status = refuse(answer, {.code = Code::resource_exhausted,
                                     .what = "no descriptor is free for a call of the plugin",
                                     .hint = "the plugin keeps too many open, or the limit of open files is low"});
        else if (job.frame.method == "#load") status = load(answer);
        else if (job.frame.method == "#open") status = open(request, answer);
        else if (instance_ == nullptr) status = EVE_FAILED_PRECONDITION;
        else {
            auto table = answer.table();
            status = entry_->call(instance_, &request, &table);
            if (status == EVE_OK && answer.refused)
                status = refuse(answer, {.code = Code::internal, .what = "the answer of " + job.frame.method + " is over the limit of 4 MiB"});
        }
        std::vector<int> answered;
        for (const auto& fd : answer.fds) answered.push_back(fd.get());
        send({.kind = FrameKind::reply,
              .status = status,
              .id = job.frame.id,
              .body = answer.body,
              .fds = answered.data(),
              .fd_count = static_cast<std::uint32_t>(answered.size())});
    }

    std::int32_t refuse(Answer& answer, const Error& error) {
        answer.body = error_body(error);
        return static_cast<std::int32_t>(error.code);
    }

    std::int32_t load(Answer& answer) {
        const auto entry = load_entry(file_);
        if (!entry) return refuse(answer, entry.error());
        entry_ = *entry;
        for (const char* text : {entry_->id, entry_->version, entry_->interfaces, entry_->built_with}) answer.body.append(text).push_back('\0');
        answer.body.append(std::to_string(entry_->abi_major) + "." + std::to_string(entry_->abi_minor)).push_back('\0');
        return EVE_OK;
    }

    std::int32_t open(const eve_request& config, Answer& answer) {
        if (entry_ == nullptr || instance_ != nullptr)
            return refuse(answer, {.code = Code::failed_precondition, .what = "not loaded, or open already"});
        auto table = answer.table();
        void* instance = entry_->open(&host_, &config, &table);
        if (instance == nullptr)
            return answer.filled ? EVE_FAILED_PRECONDITION : refuse(answer, {.code = Code::internal, .what = "open failed without a reason"});
        instance_ = instance;
        return EVE_OK;
    }

    /// eve_host::call. Any thread of the plugin.
    static std::int32_t call_node(void* self, const eve_request* request, eve_reply* reply) {
        return static_cast<PluginHost*>(self)->ask(*request, *reply);
    }

    std::int32_t ask(const eve_request& request, eve_reply& reply) {
        Waiting waiting;
        const auto id = next_id_.fetch_add(1) + 1;
        {
            const std::lock_guard lock(mutex_);
            if (ended_) return EVE_UNAVAILABLE;
            waiting_[id] = &waiting;
        }
        const bool sent = send({.kind = FrameKind::call,
                                .id = id,
                                .deadline_ns = request.deadline_ns,
                                .method = request.method == nullptr ? "" : request.method,
                                .body = {request.body == nullptr ? "" : request.body, request.body == nullptr ? 0 : request.body_size},
                                .fds = request.fds,
                                .fd_count = request.fd_count});
        std::unique_lock lock(mutex_);
        const auto ready = [&] { return waiting.done || ended_; };
        if (!sent) {
            // refused by a limit, or the node is gone: nothing will come
        } else if (request.deadline_ns == forever) {
            replied_.wait(lock, ready);
        } else {
            replied_.wait_until(lock, std::chrono::steady_clock::time_point(std::chrono::nanoseconds(request.deadline_ns)), ready);
        }
        waiting_.erase(id);
        const bool ended = ended_;
        lock.unlock();
        if (!sent) return EVE_INVALID_ARGUMENT;
        if (!waiting.done) return ended ? EVE_UNAVAILABLE : EVE_TIMED_OUT;
        if (waiting.reply.fds_lost) return EVE_RESOURCE_EXHAUSTED;
        for (auto& fd : waiting.reply.fds)
            if (reply.fd(reply.to, fd.get()) >= 0) fd.release();
        if (!waiting.reply.body.empty()) reply.body(reply.to, waiting.reply.body.data(), waiting.reply.body.size());
        return waiting.reply.status;
    }

    bool send(const FrameView& frame) {
        const std::lock_guard lock(send_mutex_);
        return write_frame(node_fd, frame, forever).ok();
    }

    /// The node is gone or wants us gone. Calls in progress may finish, within a limit.
    int end() {
        std::unique_lock lock(mutex_);
        ended_ = true;
        jobs_.clear();
        for (auto& [id, cancel] : cancels_) {
            const std::uint64_t one = 1;
            [[maybe_unused]] const auto wrote = ::write(cancel->get(), &one, sizeof one);
        }
        replied_.notify_all();
        const bool idle = idle_.wait_for(lock, close_limit, [&] { return busy_ == 0; });
        lock.unlock();
        if (idle && instance_ != nullptr) {
            ::alarm(static_cast<unsigned>(close_limit.count()));  // a plugin that hangs in close() is ended by the signal
            entry_->close(instance_);
        }
        return idle ? 0 : 1;
    }

    std::string file_;
    unsigned workers_max_;
    eve_host host_{};
    const eve_plugin_entry* entry_ = nullptr;
    std::atomic<void*> instance_{nullptr};
    std::atomic<std::uint64_t> next_id_{0};

    std::mutex send_mutex_;
    std::mutex mutex_;
    std::condition_variable wake_, replied_, idle_;
    std::deque<Job> jobs_;
    std::map<std::uint64_t, std::shared_ptr<UniqueFd>> cancels_;
    std::map<std::uint64_t, Waiting*> waiting_;
    unsigned busy_ = 0;
    bool ended_ = false;
};

}  // namespace
}  // namespace eve::plugin

int main(int argc, char** argv) {
    if (argc != 3 || ::fcntl(3, F_GETFD) < 0) {
        std::fputs("plugin-host is started by the node: plugin-host WORKERS FILE.so, with a socket as descriptor 3\n", stderr);
        return 2;
    }
    ::fcntl(3, F_SETFD, FD_CLOEXEC);
    ::signal(SIGPIPE, SIG_IGN);
    if (!eve::rights::refuse_what_no_plugin_needs()) {
        std::fprintf(stderr, "plugin-host: system calls cannot be filtered (CONFIG_SECCOMP_FILTER): %s\n", std::strerror(errno));
        return 2;
    }
    const auto workers = std::strtoul(argv[1], nullptr, 10);
    constexpr unsigned long workers_max = 64;
    auto* host = new eve::plugin::PluginHost(argv[2], static_cast<unsigned>(std::min(std::max(workers, 1UL), workers_max)));
    const int code = host->run();
    std::_Exit(code);  // its threads may still use it
}
