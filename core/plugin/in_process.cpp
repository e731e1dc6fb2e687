#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <optional>
#include <shared_mutex>
#include <thread>
#include <utility>

#include "core/loop/unique_fd.hpp"
#include "core/plugin/entry.hpp"
#include "core/plugin/frame.hpp"
#include "core/plugin/host_endpoint.hpp"
#include "core/plugin/plugin.hpp"

namespace eve::plugin {
namespace {

constexpr std::int64_t forever = std::numeric_limits<std::int64_t>::max();

/// One step of the plugin on a thread of ours. Everything it uses is its own, since its caller may give it up.
struct Step {
    bool opens = false;  ///< else it is a call
    std::string method;
    std::string body;
    std::vector<UniqueFd> fds;
    UniqueFd cancel;
    UniqueFd own_cancel;  // where the caller has none; rung at the deadline
    std::uint64_t id = 0;
    std::int64_t deadline_ns = forever;

    std::int32_t number = EVE_INTERNAL;
    std::optional<std::string> answer;
    bool refused = false;  // a body over the limit was offered
    std::vector<UniqueFd> answer_fds;
    bool done = false;      // these two under the plugin's lock
    bool given_up = false;

    eve_reply reply_table() {
        return {.size = sizeof(eve_reply),
                .reserved = 0,
                .to = this,
                .body = [](void* to, const char* json, std::uint64_t size) -> std::int32_t {
                    auto& self = *static_cast<Step*>(to);
                    if (self.answer) return -1;  // at most once; the first counts
                    self.refused = size > EVE_REPLY_SIZE_MAX || (json == nullptr && size != 0);
                    if (self.refused) return -1;
                    self.answer.emplace(json == nullptr ? "" : json, size);
                    return 0;
                },
                .fd = [](void* to, int fd) -> std::int32_t {
                    auto& self = *static_cast<Step*>(to);
                    if (fd < 0 || self.answer_fds.size() >= EVE_FDS_MAX) return -1;
                    self.answer_fds.emplace_back(fd);
                    return static_cast<std::int32_t>(self.answer_fds.size() - 1);
                }};
    }
};

/// What the plugin's threads share with its owner. A thread that hangs in the plugin keeps it.
class Core : public std::enable_shared_from_this<Core> {
public:
    Core(const eve_plugin_entry& entry, const OpenOptions& options, InProcessLimits limits)
        : entry_(entry), threads_max_(std::max(options.calls_in_flight_max, 1U)), limits_(std::move(limits)), endpoint_(options.host) {
        host_ = endpoint_.table();
        host_.self = this;
        host_.call = [](void* self, const eve_request* request, eve_reply* reply) -> std::int32_t {
            return static_cast<Core*>(self)->host_call(*request, *reply);
        };
    }

    /// Runs the step and waits for it until its deadline, and a little longer. False: it was given up, and the plugin hangs.
    bool run(const std::shared_ptr<Step>& step) {
        const auto deadline_ns = step->deadline_ns;
        std::unique_lock lock(mutex_);
        queue_.push_back(step);
        if (queue_.size() > idle_ && threads_.size() < threads_max_) threads_.emplace_back([self = shared_from_this()] { self->work(); });
        wake_.notify_one();
        const auto until_ns = deadline_ns > forever - limits_.overtime.count() ? forever : deadline_ns + limits_.overtime.count();
        constexpr std::int64_t round_max_ns = 60'000'000'000;
        bool told = false;
        while (!step->done) {
            const auto now_ns = monotonic_ns();
            if (now_ns >= until_ns) break;
            if (now_ns >= deadline_ns && !std::exchange(told, true) && step->own_cancel) ::eventfd_write(step->own_cancel.get(), 1);
            const auto left_ns = (told ? until_ns : deadline_ns) - now_ns;
            changed_.wait_for(lock, std::chrono::nanoseconds(std::min(left_ns, round_max_ns)));
        }
        if (step->done) return true;
        step->given_up = true;
        ++hanging_;
        trouble_ = "it did not answer " + step->method + " in time, and hangs there";
        const auto trouble = trouble_;
        lock.unlock();
        if (limits_.on_change) limits_.on_change(trouble);
        return false;
    }

    /// The owner goes: the plugin is closed, unless it hangs; then it is left, and cut off from the node.
    void end() {
        std::unique_lock lock(mutex_);
        ending_ = true;
        wake_.notify_all();
        const bool hangs = hanging_ > 0;
        auto threads = std::move(threads_);
        lock.unlock();
        for (auto& thread : threads) {
            if (hangs) thread.detach();  // which of them hangs is not known, and the others end by themselves
            else thread.join();
        }
        {
            const std::unique_lock cut(host_mutex_);
            cut_off_ = hangs;
        }
        // Not under the lock: until close() returns, threads of the plugin may call the host, and close() waits for them.
        if (hangs || instance_ == nullptr) return;
        entry_.close(std::exchange(instance_, nullptr));
    }

    bool opened() const { return instance_ != nullptr; }
    std::string trouble() const {
        const std::lock_guard lock(mutex_);
        return hanging_ > 0 ? trouble_ : std::string();
    }
    std::uint32_t generation() const { return generation_; }
    const InProcessLimits& limits() const { return limits_; }
    CallSlots& slots() { return slots_; }

private:
    void work() {
        std::unique_lock lock(mutex_);
        for (;;) {
            ++idle_;
            wake_.wait(lock, [this] { return ending_ || !queue_.empty(); });
            --idle_;
            if (queue_.empty()) return;
            const auto step = std::move(queue_.front());
            queue_.pop_front();
            lock.unlock();
            perform(*step);
            lock.lock();
            step->done = true;
            changed_.notify_all();
            if (!step->given_up) continue;
            slots_.give();
            if (--hanging_ > 0 || ending_) continue;
            ++generation_;  // what it did meanwhile is to be looked at
            lock.unlock();
            if (limits_.on_change) limits_.on_change({});
            lock.lock();
        }
    }

    void perform(Step& step) {
        std::vector<int> fds;
        for (const auto& fd : step.fds) fds.push_back(fd.get());
        const eve_request request{.size = sizeof(eve_request),
                                  .fd_count = static_cast<std::uint32_t>(fds.size()),
                                  .method = step.method.c_str(),
                                  .body = step.body.data(),
                                  .body_size = step.body.size(),
                                  .fds = fds.data(),
                                  .id = step.id,
                                  .deadline_ns = step.deadline_ns,
                                  .cancel_fd = step.cancel ? step.cancel.get() : step.own_cancel.get(),
                                  .reserved = 0};
        auto reply = step.reply_table();
        if (!step.opens) {
            step.number = entry_.call(instance_, &request, &reply);
            return;
        }
        instance_ = entry_.open(&host_, &request, &reply);
        step.number = instance_ == nullptr ? EVE_INTERNAL : EVE_OK;
    }

    std::int32_t host_call(const eve_request& request, eve_reply& reply) {
        const std::shared_lock lock(host_mutex_);
        if (cut_off_) return answer_failure(reply, {.code = Code::cancelled, .what = "the node has given this plugin up"});
        return endpoint_.call(request, reply);
    }

    const eve_plugin_entry& entry_;
    const std::uint32_t threads_max_;
    const InProcessLimits limits_;
    HostEndpoint endpoint_;
    eve_host host_{};
    std::shared_mutex host_mutex_;
    bool cut_off_ = false;
    void* instance_ = nullptr;  // written by the step that opens, before any other
    CallSlots slots_{threads_max_};
    std::atomic<std::uint32_t> generation_{1};

    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::condition_variable changed_;
    std::deque<std::shared_ptr<Step>> queue_;
    std::vector<std::thread> threads_;
    std::size_t idle_ = 0;
    unsigned hanging_ = 0;
    std::string trouble_;
    bool ending_ = false;
};

class InProcessPlugin final : public Plugin {
public:
    InProcessPlugin(const eve_plugin_entry& entry, const OpenOptions& options, InProcessLimits limits)
        : core_(std::make_shared<Core>(entry, options, std::move(limits))),
          identity_{.id = entry.id,
                    .version = entry.version,
                    .interfaces = entry.interfaces,
                    .built_with = entry.built_with,
                    .abi = std::to_string(entry.abi_major) + "." + std::to_string(entry.abi_minor)} {}
    ~InProcessPlugin() override { core_->end(); }

    Status open(const PluginConfig& config) {
        const auto body = encode_open(config);
        if (!body) return body.error();
        auto step = std::make_shared<Step>();
        step->opens = true;
        step->method = "open";
        step->body = body->body;
        step->deadline_ns = monotonic_after(core_->limits().open_limit.count());
        if (!copy_fds(body->fds.data(), body->fds.size(), step->fds)) return no_descriptors();
        if (!core_->run(step)) return Error{.code = Code::timed_out, .what = identity_.id + " hangs when it is opened"};
        if (!core_->opened()) return open_error(step->answer.value_or("")).in("open " + identity_.id);
        return {};
    }

    std::int32_t call(const eve_request& request, eve_reply& reply) override {
        const auto deadline_ns =
            request.deadline_ns == forever ? monotonic_after(core_->limits().call_limit.count()) : request.deadline_ns;
        if (const auto trouble = core_->trouble(); !trouble.empty()) return answer_failure(reply, hanging(trouble));
        if (!core_->slots().take(deadline_ns, request.cancel_fd))
            return answer_failure(reply, {.code = Code::timed_out, .what = "the plugin was busy with other calls; nothing was done"});
        auto step = std::make_shared<Step>();
        step->method = request.method;
        step->body.assign(request.body, request.body_size);
        step->id = request.id;
        step->deadline_ns = deadline_ns;
        if (request.cancel_fd >= 0) step->cancel = UniqueFd(::fcntl(request.cancel_fd, F_DUPFD_CLOEXEC, 3));
        else step->own_cancel = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        if ((!step->cancel && !step->own_cancel) || !copy_fds(request.fds, request.fd_count, step->fds)) {
            core_->slots().give();
            return answer_failure(reply, no_descriptors());
        }
        if (const auto trouble = core_->trouble(); !trouble.empty()) {
            core_->slots().give();
            return answer_failure(reply, hanging(trouble));
        }
        if (!core_->run(step))  // its place comes free when it comes back
            return answer_failure(reply, {.code = Code::timed_out,
                                          .what = "the plugin did not answer " + step->method + " in time and hangs there, effect unknown",
                                          .hint = remedy});
        core_->slots().give();
        return deliver(*step, reply);
    }
    const Identity& identity() const override { return identity_; }
    std::uint32_t generation() const override { return core_->generation(); }
    std::string trouble() const override { return core_->trouble(); }
    std::int64_t host_pid() const override { return ::getpid(); }

private:
    static constexpr const char* remedy = "restart the node, and let this plugin run in a process of its own (isolation = process)";

    static Error hanging(const std::string& trouble) {
        return {.code = Code::unavailable, .what = "the plugin is broken: " + trouble, .hint = remedy};
    }
    static Error no_descriptors() {
        return {.code = Code::resource_exhausted, .what = "no descriptor is free for a call of the plugin", .hint = "raise the node's limit of open files"};
    }
    static bool copy_fds(const int* from, std::size_t count, std::vector<UniqueFd>& to) {
        for (std::size_t i = 0; i < count; ++i) {
            to.emplace_back(::fcntl(from[i], F_DUPFD_CLOEXEC, 3));
            if (!to.back()) return false;
        }
        return true;
    }
    static std::int32_t deliver(Step& from, eve_reply& reply) {
        for (auto& fd : from.answer_fds)
            if (reply.fd(reply.to, fd.get()) >= 0) fd.release();
        const bool kept = !from.answer || reply.body(reply.to, from.answer->data(), from.answer->size()) >= 0;
        if ((from.refused || !kept) && from.number == EVE_OK)
            return answer_failure(reply, {.code = Code::internal, .what = "the answer is over the limit"});
        return from.number;
    }

    std::shared_ptr<Core> core_;  // shared with the threads that run the plugin's code
    Identity identity_;
};

}  // namespace

bool CallSlots::take(std::int64_t deadline_ns, int cancel_fd) {
    constexpr std::int64_t look_every_ns = 100'000'000;
    std::unique_lock lock(mutex_);
    while (free_ == 0) {
        const auto now = monotonic_ns();
        if (now >= deadline_ns) return false;
        pollfd wait{.fd = cancel_fd, .events = POLLIN, .revents = 0};
        if (cancel_fd >= 0 && ::poll(&wait, 1, 0) > 0) return false;
        freed_.wait_for(lock, std::chrono::nanoseconds(std::min(look_every_ns, deadline_ns - now)));
    }
    --free_;
    return true;
}

void CallSlots::give() {
    const std::lock_guard lock(mutex_);
    ++free_;
    freed_.notify_one();
}

Result<std::unique_ptr<Plugin>> open_in_process(const OpenOptions& options, const InProcessLimits& limits) {
    const auto entry = load_entry(options.file);
    if (!entry) return entry.error();
    auto plugin = std::make_unique<InProcessPlugin>(**entry, options, limits);
    if (auto opened = plugin->open(options.host.config()); !opened) return std::move(opened).error();
    return Result<std::unique_ptr<Plugin>>(std::move(plugin));
}

}  // namespace eve::plugin
