#include "tests/acceptance/net/guest.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "net/process.hpp"

namespace eve {
namespace {

std::string found(const std::string& program) {
    for (const char* directory : {"/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"})
        if (::access((directory + program).c_str(), X_OK) == 0) return directory + program;
    return program;
}

}  // namespace

Output run(std::vector<std::string> arguments) {
    arguments[0] = found(arguments[0]);
    const auto result = net::run_program(arguments, std::chrono::seconds{10});
    if (!result) return {.exit_code = -1, .text = result.error().what};
    return {.exit_code = result->exit_code, .text = result->output};
}

Namespace::Namespace() {
    int ready[2];
    if (::pipe(ready) != 0) return;
    pid_ = ::fork();
    if (pid_ == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        const char ok = ::unshare(CLONE_NEWNET) == 0 ? 'y' : 'n';
        if (::write(ready[1], &ok, 1) != 1) ::_exit(1);
        for (int fd = 3; fd < 256; ++fd) ::close(fd);
        for (;;) ::pause();
    }
    char answer = 0;
    (void)!::read(ready[0], &answer, 1);
    ::close(ready[0]);
    ::close(ready[1]);
    run({"ip", "link", "set", "lo", "up"});
}

Namespace::~Namespace() {
    stop_all();
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

Output Namespace::run(std::vector<std::string> arguments) const {
    arguments[0] = found(arguments[0]);
    arguments.insert(arguments.begin(), {"nsenter", "--net=/proc/" + pid() + "/ns/net"});
    return eve::run(std::move(arguments));
}

void Namespace::start(std::vector<std::string> arguments) {
    arguments[0] = found(arguments[0]);
    const std::string enter = found("nsenter");
    const std::string target = "--net=/proc/" + pid() + "/ns/net";
    std::vector<char*> argv{const_cast<char*>(enter.c_str()), const_cast<char*>(target.c_str())};
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const int child = ::fork();
    if (child == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        const int null = ::open("/dev/null", O_RDWR);
        ::dup2(null, 0);
        ::dup2(null, 1);
        ::dup2(null, 2);
        ::execv(argv[0], argv.data());
        ::_exit(127);
    }
    children_.push_back(child);
}

void Namespace::stop_all() {
    for (const int child : children_) {
        ::kill(child, SIGKILL);
        ::waitpid(child, nullptr, 0);
    }
    children_.clear();
}

std::string what_is_missing() {
    if (::geteuid() != 0) return "these tests need root: they make network namespaces of their own";
    for (const char* program : {"ip", "nft", "nsenter", "busybox", "dnsmasq"})
        if (found(program)[0] != '/') return std::string("package that has ") + program;
    const int child = ::fork();
    if (child == 0) ::_exit(::unshare(CLONE_NEWNET) == 0 ? 0 : 1);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return "the right to make network namespaces (CAP_SYS_ADMIN)";
    if (!std::filesystem::exists("/proc/sys/net/bridge")) return "kernel module br_netfilter (modprobe br_netfilter)";
    return {};
}

}  // namespace eve
