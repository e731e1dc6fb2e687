// Xen by libxl: hypercalls here, everything that may wait for xenstored or a script in a child, what is one word of xenstore by our own client.

#include <charconv>
#include <csignal>
#include <ctime>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/unique_fd.hpp"
#include "in_child.hpp"
#include "libxl_calls.hpp"
#include "store.hpp"
#include "xen.hpp"

namespace eve::xen {
namespace {

using namespace std::chrono_literals;
using plugins::UniqueFd;

constexpr std::chrono::milliseconds store_answer_max = 1500ms;
constexpr std::int64_t hung_ns = 1'000'000'000;
constexpr std::chrono::milliseconds listener_pause = 1s;  // before another one is started

std::int64_t now_ns() {
    std::timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

class LibxlXen final : public Xen {
public:
    explicit LibxlXen(const Settings& settings) : settings_(settings), stop_(::eventfd(0, EFD_CLOEXEC)) {}
    ~LibxlXen() override {
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto written = ::write(stop_.get(), &one, sizeof one);
        if (listener_.joinable()) listener_.join();
    }

    Status ready(const Limit& limit) override {
        {
            const std::lock_guard lock(session_mutex_);
            if (auto session = hypercalls(); !session) return std::move(session).error();
        }
        auto store = Store::open(settings_.xenstored, limit.within(store_answer_max));
        if (!store) return std::move(store).error();
        auto answer = store->read("/local/domain/0/domid", limit.within(store_answer_max));
        if (!answer && answer.error().code == Code::not_found)
            return Error{.code = Code::unavailable, .what = "xenstore does not know the control domain", .hint = "run xen-init-dom0 (xencommons does)"};
        if (!answer) return std::move(answer).error();
        return {};
    }

    Result<SeenHost> host() override {
        return with_hypercalls([](Session& session) { return session.host(); });
    }
    Result<std::vector<SeenDomain>> domains() override {
        return with_hypercalls([](Session& session) { return session.domains(); });
    }
    Result<SeenDomain> domain(std::uint32_t domid) override {
        return with_hypercalls([&](Session& session) { return session.domain(domid); });
    }

    Result<std::uint32_t> create(const XenConfig& config, const std::string& keep, const Limit& limit) override {
        auto domid = number_of(step("make the domain", limit, [&](Session& session) -> Result<std::string> {
            if (auto enough = session.has_memory_for(config); !enough) return std::move(enough).error();
            return text_of(session.create(config, keep));
        }));
        if (!domid) return std::move(domid).error();
        return static_cast<std::uint32_t>(*domid);
    }
    Status unpause(std::uint32_t domid, const Limit& limit) override {
        return status_of(step("let the domain run", limit, [&](Session& session) { return text_of(session.unpause(domid)); }));
    }
    Status destroy(std::uint32_t domid, const Limit& limit) override {
        return status_of(step("destroy the domain", limit, [&](Session& session) { return text_of(session.destroy(domid)); }));
    }
    Status give_back(const XenPci& device) override {
        return with_hypercalls([&](Session& session) { return session.give_back(device); });
    }
    Status sweep(const std::string& vif, const Limit& limit) override {
        const auto soon = limit.within(store_answer_max);
        auto store = Store::open(settings_.xenstored, soon);
        if (!store) return std::move(store).error();
        return store->remove("/local/domain/" + vif, soon);
    }
    Result<std::string> kept(std::uint32_t domid, const Limit& limit) override {
        return step("read what is kept of the domain", limit, [&](Session& session) { return session.kept(domid); });
    }

    Status ask_to_halt(std::uint32_t domid, bool button, const Limit& limit) override {
        const auto control = "/local/domain/" + std::to_string(domid) + "/control/";
        auto store = Store::open(settings_.xenstored, limit);
        if (!store) return std::move(store).error();
        const auto obeys = store->read(control + "feature-poweroff", limit);
        if (auto written = store->write(control + "shutdown", "poweroff", limit); !written) return written;
        if (!button || (obeys && *obeys == "1")) return {};
        return with_hypercalls([&](Session& session) { return session.power_button(domid); });
    }

    Result<std::int64_t> device_model(std::uint32_t domid, const Limit& limit) override {
        auto store = Store::open(settings_.xenstored, limit);
        if (!store) return std::move(store).error();
        auto text = store->read("/local/domain/" + std::to_string(domid) + "/image/device-model-pid", limit);
        if (!text && text.error().code == Code::not_found) return std::int64_t{0};
        if (!text) return std::move(text).error();
        std::int64_t pid = 0;
        std::from_chars(text->data(), text->data() + text->size(), pid);
        return pid;
    }

    void listen(std::function<void(std::uint32_t)> notice) override {
        notice_ = std::move(notice);
        listener_ = std::thread([this] { keep_listening(); });
    }
    void watch(std::uint32_t domid) override {
        const std::lock_guard lock(watched_mutex_);
        watched_.insert(domid);
        if (to_child_) [[maybe_unused]] const auto sent = ::send(to_child_.get(), &domid, sizeof domid, MSG_NOSIGNAL | MSG_DONTWAIT);
    }

private:
    Result<const Libxl*> library() {
        const std::lock_guard lock(library_mutex_);
        if (!libxl_) {
            auto loaded = load_libxl();
            if (!loaded) return std::move(loaded).error();
            libxl_ = *loaded;
        }
        return &*libxl_;
    }
    /// The context for hypercalls; session_mutex_ is held.
    Result<Session*> hypercalls() {
        if (!session_) {
            auto libxl = library();
            if (!libxl) return std::move(libxl).error();
            // libxl connects to xenstored and waits for ever when a daemon that hangs lets nobody in any more.
            if (now_ns() >= hung_until_ns_ && daemon_state(settings_.xenstored, Limit(store_answer_max, -1)) == DaemonState::hangs) hung_until_ns_ = now_ns() + hung_ns;
            if (now_ns() < hung_until_ns_)
                return Error{.code = Code::unavailable, .what = "xenstored hangs: it does not answer", .hint = "look at the daemon; Xen's xenstored cannot be restarted without a reboot"};
            auto opened = Session::open(**libxl);
            if (!opened) return std::move(opened).error();
            session_ = std::move(*opened);
        }
        return session_.get();
    }
    template <class Step> auto with_hypercalls(const Step& call) -> decltype(call(std::declval<Session&>())) {
        const std::lock_guard lock(session_mutex_);
        auto session = hypercalls();
        if (!session) return std::move(session).error();
        return call(**session);
    }
    /// `call` in a child with a context of its own; not begun when xenstored does not answer.
    template <class Step> Result<std::string> step(const char* name, const Limit& limit, const Step& call) {
        if (auto answering = ready(limit); !answering) return std::move(answering).error();
        auto libxl = library();
        if (!libxl) return std::move(libxl).error();
        return in_child(
            name,
            [&]() -> Result<std::string> {
                auto session = Session::open(**libxl);
                if (!session) return std::move(session).error();
                auto answer = call(**session);
                return answer;
            },
            limit);
    }

    template <class Number> static Result<std::string> text_of(Result<Number> number) {
        if (!number) return std::move(number).error();
        return std::to_string(*number);
    }
    static Result<std::string> text_of(Status status) {
        if (!status) return std::move(status).error();
        return std::string();
    }
    static Status status_of(Result<std::string> text) {
        if (!text) return std::move(text).error();
        return {};
    }
    static Result<std::uint64_t> number_of(Result<std::string> text) {
        if (!text) return std::move(text).error();
        std::uint64_t number = 0;
        std::from_chars(text->data(), text->data() + text->size(), number);
        return number;
    }

    // ---- the listener: a child in libxl's event loop, and a thread that hears it ----

    void keep_listening() {
        const Limit forever(std::chrono::nanoseconds::max(), stop_.get());
        while (true) {
            notice_(0);
            if (ready(Limit(store_answer_max, stop_.get()))) hear_one_child(forever);
            if (forever.wait(-1, 0, listener_pause) == Limit::Wait::cancelled) return;
        }
    }

    void hear_one_child(const Limit& forever) {
        auto libxl = library();
        int ends[2] = {-1, -1};
        if (!libxl || ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return;
        const UniqueFd from_child(ends[0]);
        UniqueFd theirs(ends[1]);
        const auto parent = ::getpid();
        const auto child = ::fork();
        if (child < 0) return;
        if (child == 0) {
            become_child(parent);
            ::close(ends[0]);
            if (auto session = Session::open(**libxl)) {
                (*session)->report_ends(theirs.get());
            }
            ::_exit(0);
        }
        theirs = UniqueFd();
        {
            const std::lock_guard lock(watched_mutex_);
            to_child_ = UniqueFd(::fcntl(from_child.get(), F_DUPFD_CLOEXEC, 0));
            for (const auto domid : watched_) [[maybe_unused]] const auto sent = ::send(to_child_.get(), &domid, sizeof domid, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
        while (forever.wait(from_child.get(), POLLIN) == Limit::Wait::ready) {
            std::uint32_t domid = 0;
            if (::recv(from_child.get(), &domid, sizeof domid, 0) != sizeof domid) break;
            {
                const std::lock_guard lock(watched_mutex_);
                watched_.erase(domid);
            }
            notice_(domid);
        }
        {
            const std::lock_guard lock(watched_mutex_);
            to_child_ = UniqueFd();
        }
        ::kill(child, SIGKILL);
        while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {}
    }

    const Settings settings_;
    UniqueFd stop_;
    std::mutex library_mutex_;
    std::optional<Libxl> libxl_;
    std::mutex session_mutex_;
    std::unique_ptr<Session> session_;
    std::int64_t hung_until_ns_ = 0;  // xenstored was seen to hang: not waited for again until then
    std::function<void(std::uint32_t)> notice_;
    std::mutex watched_mutex_;  // guards the two below
    std::set<std::uint32_t> watched_;
    UniqueFd to_child_;
    std::thread listener_;
};

}  // namespace

std::unique_ptr<Xen> make_libxl_xen(const Settings& settings) { return std::make_unique<LibxlXen>(settings); }

}  // namespace eve::xen
