#include "in_child.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/unique_fd.hpp"

namespace eve::xen {
namespace {

using plugins::Limit;
using plugins::UniqueFd;

constexpr std::size_t answer_max = 1U << 20;
struct Header {
    std::int32_t code;
    std::uint32_t size;
};

void send_all(int fd, const void* data, std::size_t size) {
    const auto* at = static_cast<const char*>(data);
    while (size > 0) {
        const auto sent = ::send(fd, at, size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) return;
        if (sent > 0) {
            at += sent;
            size -= static_cast<std::size_t>(sent);
        }
    }
}

/// Whether all of it came before the limit and the end of the stream; else why not.
enum class Came { whole, ended, over, cancelled };
Came receive(int fd, void* to, std::size_t size, const Limit& limit) {
    auto* at = static_cast<char*>(to);
    while (size > 0) {
        const auto waited = limit.wait(fd, POLLIN);
        if (waited != Limit::Wait::ready) return waited == Limit::Wait::cancelled ? Came::cancelled : Came::over;
        const auto got = ::recv(fd, at, size, 0);
        if (got == 0 || (got < 0 && errno != EINTR)) return Came::ended;
        if (got > 0) {
            at += got;
            size -= static_cast<std::size_t>(got);
        }
    }
    return Came::whole;
}

}  // namespace

void become_child(std::int64_t parent) {
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != static_cast<pid_t>(parent)) ::_exit(1);
    for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

Result<std::string> in_child(const char* name, const std::function<Result<std::string>()>& step, const Limit& limit) {
    int ends[2] = {-1, -1};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return Error{.code = Code::resource_exhausted, .what = std::string("socketpair: ") + std::strerror(errno)};
    const UniqueFd ours(ends[0]);
    UniqueFd theirs(ends[1]);
    const auto parent = ::getpid();
    const auto child = ::fork();
    if (child < 0) return Error{.code = Code::resource_exhausted, .what = std::string("fork: ") + std::strerror(errno)};
    if (child == 0) {
        become_child(parent);
        const auto result = step();
        const std::string& text = result ? *result : result.error().what;
        const Header header{.code = result ? 0 : static_cast<std::int32_t>(result.error().code), .size = static_cast<std::uint32_t>(text.size())};
        send_all(theirs.get(), &header, sizeof header);
        send_all(theirs.get(), text.data(), text.size());
        ::_exit(0);
    }
    theirs = UniqueFd();
    Header header{};
    std::string text;
    auto came = receive(ours.get(), &header, sizeof header, limit);
    if (came == Came::whole && header.size <= answer_max) {
        text.resize(header.size);
        came = receive(ours.get(), text.data(), text.size(), limit);
    }
    if (came != Came::whole) {
        ::kill(-child, SIGKILL);
        ::kill(child, SIGKILL);
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    if (came == Came::cancelled || came == Came::over) return Limit::error(came == Came::over ? Limit::Wait::over : Limit::Wait::cancelled, name);
    if (came == Came::ended)
        return Error{.code = Code::internal,
                     .what = std::string(name) + ": the process that called libxl died" +
                             (WIFSIGNALED(status) ? std::string(" of SIG") + ::sigabbrev_np(WTERMSIG(status)) : "")};
    if (header.code != 0) return Error{.code = static_cast<Code>(header.code), .what = std::move(text)};
    return text;
}

}  // namespace eve::xen
