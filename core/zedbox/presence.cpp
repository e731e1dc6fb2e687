#include "core/zedbox/presence.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <optional>

#include "core/zedbox/root_layout.hpp"
#include "storage/durable_file.hpp"

namespace eve {

namespace {

constexpr std::size_t small_file_max = 4096;

std::optional<pid_t> parse_pid(const std::string& text) {
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
    if (error != std::errc{} || pid <= 0) return std::nullopt;
    return pid;
}

// A number alone proves nothing when /run survived a reboot: the process must be called like the agent, or like the program of all agents.
bool is_alive_as(pid_t pid, const std::string& agent) {
    if (::kill(pid, 0) != 0 && errno != EPERM) return false;
    // One that was killed and waits for its parent to notice is nobody's rival.
    const auto stat = storage::read_file("/proc/" + std::to_string(pid) + "/stat", small_file_max);
    if (!stat) return false;
    const auto state = stat->rfind(") ");
    if (state == std::string::npos || stat->compare(state, 3, ") Z") == 0 || stat->compare(state, 3, ") X") == 0) return false;
    const auto name = storage::read_file("/proc/" + std::to_string(pid) + "/comm", small_file_max);
    if (!name) return false;
    constexpr std::size_t comm_max = 15;
    const auto comm = name->substr(0, name->find('\n'));
    return comm == agent.substr(0, comm_max) || comm.starts_with("zedbox");
}

}  // namespace

Result<std::unique_ptr<AgentPresence>> AgentPresence::claim(Loop& loop, const Root& root, const std::string& agent) {
    if (auto ready = prepare_root(root); !ready) return std::move(ready).error();
    const auto base = root.path("/run/" + agent);
    const auto path = base + ".pid";
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!fd) return storage::error_of(errno, "open " + path);
    const auto taken = [&](const std::string& owner) {
        return Error{.code = Code::already_exists,
                     .what = agent + " runs already (" + owner + ", " + path + ")",
                     .hint = "stop it first; one node has one " + agent};
    };
    std::array<char, 32> content{};
    const auto got = ::pread(fd.get(), content.data(), content.size(), 0);
    const auto owner = parse_pid(std::string(content.data(), got > 0 ? static_cast<std::size_t>(got) : 0));
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return taken(owner ? "pid " + std::to_string(*owner) : "its pid file is locked");
    // EVE's own agents hold no lock.
    if (owner && *owner != ::getpid() && is_alive_as(*owner, agent)) return taken("pid " + std::to_string(*owner));
    const auto own = std::to_string(::getpid());
    if (::ftruncate(fd.get(), 0) != 0 || ::pwrite(fd.get(), own.data(), own.size(), 0) != static_cast<ssize_t>(own.size()))
        return storage::error_of(errno, "write " + path);
    ::unlink((base + ".done").c_str());
    return std::unique_ptr<AgentPresence>(new AgentPresence(loop, base, std::move(fd)));
}

AgentPresence::AgentPresence(Loop& loop, std::string base, UniqueFd pid_file) : loop_(loop), base_(std::move(base)), pid_file_(std::move(pid_file)) {
    tick();
}

AgentPresence::~AgentPresence() {
    if (!finished_) loop_.cancel(timer_);
}

void AgentPresence::tick() {
    still_running();
    timer_ = loop_.after(touch_interval, [this] { tick(); });
}

void AgentPresence::still_running() {
    if (finished_) return;
    const UniqueFd fd(::open((base_ + ".touch").c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (fd) ::futimens(fd.get(), nullptr);  // a watchdog sees what is missing
}

void AgentPresence::finish(int exit_code) {
    if (finished_) return;
    finished_ = true;
    loop_.cancel(timer_);
    static_cast<void>(storage::write_durably(base_ + ".done", std::to_string(exit_code), {.reach = storage::Reach::memory, .mode = 0644}));
    ::unlink((base_ + ".touch").c_str());
    ::unlink((base_ + ".pid").c_str());
    pid_file_.reset();
}

}  // namespace eve
