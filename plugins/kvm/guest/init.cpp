// The first process of a container's virtual machine: gives the app its devices, network, volumes and streams, starts it as the host ordered,
// passes the power button on as the image's stop signal, tells the host how the app ended, and switches the machine off. Nothing else runs.

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "common/files.hpp"
#include "guest/child.hpp"
#include "guest/devices.hpp"
#include "guest/network.hpp"
#include "guest/order.hpp"
#include "guest/report.hpp"

namespace eve::kvm::guest {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t order_file_max = 2U << 20;
constexpr std::size_t held_max = 1U << 20;              // of output that the console has not taken
constexpr std::chrono::milliseconds console_flush = 5s; // before the machine goes off
constexpr std::size_t piece = 16U << 10;

/// What the app writes, on its way to the console. An app that writes faster than the console takes waits, as on any pipe.
class Console {
public:
    explicit Console(UniqueFd console) : console_(std::move(console)) {}

    int fd() const { return console_.get(); }
    bool has_room() const { return held_.size() < held_max; }
    bool has_more() const { return !held_.empty(); }
    /// Takes what there is of `source`; false: it has ended.
    bool take(int source) {
        std::array<char, piece> buffer{};
        const auto got = ::read(source, buffer.data(), buffer.size());
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return false;
        if (got > 0) held_.append(buffer.data(), static_cast<std::size_t>(got));
        return true;
    }
    void write(std::string_view text) { held_.append(text); }
    void flush() {
        while (!held_.empty()) {
            const auto written = ::write(console_.get(), held_.data(), held_.size());
            if (written < 0 && errno == EINTR) continue;
            if (written <= 0) {
                if (!console_) held_.clear();
                return;
            }
            held_.erase(0, static_cast<std::size_t>(written));
        }
    }
    /// All that is held is out, or the time is over.
    void drain() {
        const auto end = monotonic_ns() + std::chrono::nanoseconds(console_flush).count();
        for (flush(); has_more() && monotonic_ns() < end; flush()) {
            pollfd wait{.fd = console_.get(), .events = POLLOUT, .revents = 0};
            ::poll(&wait, 1, 100);
        }
        ::tcdrain(console_.get());
    }

private:
    UniqueFd console_;
    std::string held_;
};

class Machine {
public:
    Machine() : console_(UniqueFd()) {}

    [[noreturn]] void run() {
        if (auto done = life(); !done) {
            ExitReport report{.failure = done.error().what};
            if (!console_.has_more()) console_.write(report.failure + "\n");
            tell(report);
        }
        console_.drain();
        ::sync();
        write_text("/proc/sys/kernel/printk", "0");  // the console is the app's: no last word of the kernel's
        ::reboot(RB_POWER_OFF);
        std::_Exit(1);
    }

private:
    Status life() {
        if (auto mounted = mount_kernel_file_systems(); !mounted) return mounted;
        load_modules("base");
        console_ = Console(open_console());
        auto text = plugins::read_file(AT_FDCWD, std::string("/") + order_path, order_file_max);
        if (!text) return std::move(text).error();
        ::unlink((std::string("/") + order_path).c_str());
        auto order = read_order(*text);
        if (!order) return std::move(order).error();
        if (std::any_of(order->volumes.begin(), order->volumes.end(), [](const auto& volume) { return volume.block; })) load_modules("disk");
        write_text("/proc/self/oom_score_adj", "-1000");
        ::mkdir(root_path, 0755);
        // Mounted while the network asks for addresses.
        auto network = Network::begin(order->macs);
        if (!network) return std::move(network).error().in("network");
        network->serve(monotonic_ns());
        if (::mount(root_tag, root_path, "virtiofs", 0, nullptr) != 0) return plugins::file_error("the root file system cannot be mounted");
        wait_for_addresses(*network, order->address_wait_ms);
        buttons_ = power_buttons();

        sigset_t child;
        ::sigemptyset(&child);
        ::sigaddset(&child, SIGCHLD);
        ::sigprocmask(SIG_BLOCK, &child, nullptr);
        signals_ = UniqueFd(::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
        auto app = start_app(*order);
        if (!app) return std::move(app).error();
        for (const auto* directory : {"/modules", "/bin", "/lib/x86_64-linux-gnu", "/lib64"}) remove_files(directory);  // their memory is the app's
        tell({.exit = live_until_end(*app, *network, *order)});
        return {};
    }

    static void wait_for_addresses(Network& network, std::uint32_t most_ms) {
        const auto end = monotonic_ns() + std::int64_t{most_ms} * 1'000'000;
        while (!network.has_all_addresses()) {
            const auto now = monotonic_ns();
            if (now >= end) return;
            std::vector<pollfd> polled;
            for (const int fd : network.fds()) polled.push_back({.fd = fd, .events = POLLIN, .revents = 0});
            ::poll(polled.data(), polled.size(), until(std::min(end, network.wake_at()), now));
            network.serve(monotonic_ns());
        }
    }

    static int until(std::int64_t at, std::int64_t now) {
        constexpr std::int64_t most_ms = 60'000;
        return static_cast<int>(std::clamp<std::int64_t>((at - now + 999'999) / 1'000'000, 0, most_ms));
    }

    ExitStatus live_until_end(AppProcess& app, Network& network, const GuestOrder& order) {
        ExitStatus exit;
        bool ended = false;
        while (!ended || app.output || app.errors) {
            std::vector<pollfd> polled{{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                                       {.fd = console_.has_room() ? app.output.get() : -1, .events = POLLIN, .revents = 0},
                                       {.fd = console_.has_room() ? app.errors.get() : -1, .events = POLLIN, .revents = 0},
                                       {.fd = console_.has_more() ? console_.fd() : -1, .events = POLLOUT, .revents = 0}};
            for (const auto& button : buttons_) polled.push_back({.fd = button.get(), .events = POLLIN, .revents = 0});
            for (const int fd : network.fds()) polled.push_back({.fd = fd, .events = POLLIN, .revents = 0});
            ::poll(polled.data(), polled.size(), until(network.wake_at(), monotonic_ns()));
            if (polled[1].revents != 0 && !console_.take(app.output.get())) app.output = UniqueFd();
            if (polled[2].revents != 0 && !console_.take(app.errors.get())) app.errors = UniqueFd();
            console_.flush();
            for (const auto& button : buttons_)
                if (pressed(button.get())) ::kill(-1, static_cast<int>(order.stop_signal));  // all but this process, as containerd does it
            network.serve(monotonic_ns());
            signalfd_siginfo info{};
            while (::read(signals_.get(), &info, sizeof info) > 0) {}
            int status = 0;
            for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
                if (pid != app.pid) continue;
                ended = true;
                if (WIFSIGNALED(status)) exit.signal = WTERMSIG(status);
                else exit.code = WEXITSTATUS(status);
            }
        }
        // A child that was killed and survived is no end: only an end that is not clean is one for want of memory.
        const auto events = text_of(std::string(group_path) + "/memory.events");
        const auto at = events.find("oom_kill ");
        exit.oom = exit.code != 0 && at != std::string::npos && std::strtoull(events.c_str() + at + 9, nullptr, 10) > 0;
        return exit;
    }

    void tell(const ExitReport& report) {
        console_.drain();
        const auto port = open_port(report_port);
        const auto text = report_text(report);
        if (port) [[maybe_unused]] const auto written = ::write(port->get(), text.data(), text.size());
    }

    Console console_;
    UniqueFd signals_;
    std::vector<UniqueFd> buttons_;
};

}  // namespace
}  // namespace eve::kvm::guest

int main() { eve::kvm::guest::Machine().run(); }
