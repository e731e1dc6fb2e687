#include "core/evectl/exec.hpp"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include <array>
#include <csignal>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "core/bus/unix_path.hpp"
#include "core/evectl/terminal.hpp"
#include "eve/abi.h"
#include "eve/exec.hpp"
#include "eve/sdk/codec.hpp"

namespace eve::evectl {
namespace {

constexpr int signal_base = 128;  // as a shell says that a program ended by a signal

/// SIGWINCH as something to wait for.
UniqueFd resizings() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGWINCH);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    return UniqueFd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

std::string resize_frame() {
    const auto size = terminal_size();
    std::string body;
    for (const unsigned number : {unsigned{size.ws_row}, unsigned{size.ws_col}}) {
        body.push_back(static_cast<char>(number & 0xffU));
        body.push_back(static_cast<char>(number >> 8 & 0xffU));
    }
    return exec_frame(ExecFrame::resize, body);
}

/// What one frame means: nothing yet, or how it all ended.
std::optional<Result<int>> hear(const ExecFrames::Frame& frame) {
    switch (frame.kind) {
        case ExecFrame::output: write_all(STDOUT_FILENO, frame.body.data(), frame.body.size()); return std::nullopt;
        case ExecFrame::errors: write_all(STDERR_FILENO, frame.body.data(), frame.body.size()); return std::nullopt;
        case ExecFrame::exited: return frame.body.empty() ? exec_failed : static_cast<unsigned char>(frame.body[0]);
        case ExecFrame::killed: return signal_base + (frame.body.empty() ? 0 : static_cast<unsigned char>(frame.body[0]));
        case ExecFrame::lost: return Error{.code = Code::unavailable, .what = "it is not known how the program ended: " + frame.body};
        case ExecFrame::refused: return sdk::decode_error(EVE_INTERNAL, frame.body);
        default: return std::nullopt;
    }
}

}  // namespace

Result<int> run_exec(const ExecCommand& command) {
    const bool terminal = isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
    ExecRequest request{.domain = {command.app}, .argv = command.argv, .terminal = terminal};
    if (terminal) {
        request.rows = terminal_size().ws_row;
        request.columns = terminal_size().ws_col;
        if (!command.terminal_kind.empty()) request.env.push_back("TERM=" + command.terminal_kind);
    }
    const auto text = sdk::encode(request, sdk::Strictness::must_understand, exec_frame_max);
    if (!text) return text.error();
    const auto socket = connect_unix(command.socket, SOCK_STREAM);
    if (!socket) return Error{.code = Code::unavailable, .what = "the node cannot be asked: " + socket.error().what, .hint = "it must run, and only root may ask: evectl status"};

    std::string outgoing = exec_frame(ExecFrame::request, text->body);
    ExecFrames frames;
    const UniqueFd resized = terminal ? resizings() : UniqueFd();
    std::unique_ptr<RawTerminal> raw;
    bool typing = true;
    bool started = false;
    std::array<char, 32768> buffer{};
    while (true) {
        std::array<pollfd, 3> polled{{{.fd = socket->get(), .events = static_cast<short>(POLLIN | (outgoing.empty() ? 0 : POLLOUT)), .revents = 0},
                                      {.fd = started && typing && outgoing.empty() ? STDIN_FILENO : -1, .events = POLLIN, .revents = 0},
                                      {.fd = resized.get(), .events = POLLIN, .revents = 0}}};
        if (poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) return Error{.code = Code::internal, .what = std::strerror(errno)};
        if (polled[0].revents & (POLLIN | POLLHUP | POLLERR)) {
            const auto got = recv(socket->get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
            if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
                return Error{.code = Code::unavailable, .what = started ? "the plugin went away: it is not known how the program ended" : "the node did not answer"};
            if (got > 0) frames.append({buffer.data(), static_cast<std::size_t>(got)});
            while (true) {
                auto frame = frames.next();
                if (!frame) return std::move(frame).error();
                if (!*frame) break;
                if ((*frame)->kind == ExecFrame::started) {
                    started = true;
                    if (terminal) raw = std::make_unique<RawTerminal>();
                }
                if (auto end = hear(**frame)) return std::move(*end);
            }
        }
        if (polled[1].revents != 0) {
            const auto got = read(STDIN_FILENO, buffer.data(), buffer.size());
            if (got >= 0 || errno != EINTR) {
                typing = got > 0;
                outgoing += exec_frame(ExecFrame::input, {buffer.data(), got > 0 ? static_cast<std::size_t>(got) : 0});
            }
        }
        if (polled[2].revents != 0) {
            signalfd_siginfo info{};
            while (read(resized.get(), &info, sizeof info) > 0) {}
            outgoing += resize_frame();
        }
        if (!outgoing.empty()) {
            const auto sent = send(socket->get(), outgoing.data(), outgoing.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
            if (sent > 0) outgoing.erase(0, static_cast<std::size_t>(sent));
            // A socket that takes nothing more still has the last words to be read.
            if (sent < 0 && errno != EAGAIN && errno != EINTR) outgoing.clear();
        }
    }
}

}  // namespace eve::evectl
