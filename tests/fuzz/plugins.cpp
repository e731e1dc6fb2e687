// What plugins, their files and QEMU say.

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/plugin/elf.hpp"
#include "core/plugin/frame.hpp"
#include "eve/domain.hpp"
#include "eve/sdk/codec.hpp"
#include "plugins/kvm/guest/report.hpp"
#include "plugins/kvm/qmp.hpp"
#include "tests/fuzz/targets.hpp"

namespace eve::fuzz {

namespace {

// A connected socket from which `bytes` can be read, and then the end.
struct Wire {
    explicit Wire(std::string_view bytes) {
        int pair[2];
        require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0, "a socket pair");
        reader = pair[0];
        writer = pair[1];
        const int room = 1 << 22;
        ::setsockopt(writer, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
        (void)::send(writer, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        ::shutdown(writer, SHUT_WR);
    }
    ~Wire() {
        if (reader >= 0) ::close(reader);
        ::close(writer);
    }
    Wire(const Wire&) = delete;
    Wire& operator=(const Wire&) = delete;
    int take() { return std::exchange(reader, -1); }

    int reader = -1;
    int writer = -1;
};

template <class T> void body(std::string_view bytes) {
    for (const auto strictness : {sdk::Strictness::must_understand, sdk::Strictness::must_ignore}) {
        const auto value = sdk::decode<T>(bytes, strictness, {0, 1, 2});
        if (!value) {
            require(!value.error().what.empty(), "a refusal has a sentence");
            continue;
        }
        const auto written = sdk::encode(*value, strictness, EVE_REPLY_SIZE_MAX);
        if (!written) continue;
        const auto again = sdk::decode<T>(written->body, strictness, written->fds);
        require(again.ok(), "what was written can be read");
        const auto twice = sdk::encode(*again, strictness, EVE_REPLY_SIZE_MAX);
        require(twice && twice->body == written->body, "and is the same then");
    }
}

}  // namespace

void plugin_frame(std::string_view bytes) {
    Wire wire(bytes);
    while (const auto frame = plugin::read_frame(wire.reader)) {
        require(frame->body.size() <= EVE_REPLY_SIZE_MAX && frame->method.size() <= EVE_METHOD_SIZE_MAX, "a frame is within its limits");
    }
}

// The first byte chooses what is expected.
void plugin_body(std::string_view bytes) {
    if (bytes.empty()) return;
    const auto rest = bytes.substr(1);
    switch (static_cast<unsigned char>(bytes[0]) % 8) {
        case 0: body<Description>(rest); break;
        case 1: body<ProbeReport>(rest); break;
        case 2: body<message::WithSpec>(rest); break;
        case 3: body<message::Observations>(rest); break;
        case 4: body<message::Problems>(rest); break;
        case 5: body<Stats>(rest); break;
        case 6: body<message::Stop>(rest); break;
        default: (void)sdk::decode_error(static_cast<std::int32_t>(rest.size() % 20), rest); break;
    }
}

void qmp(std::string_view bytes) {
    Wire wire(bytes);
    const kvm::Limit limit(std::chrono::seconds{2}, -1);
    auto client = kvm::QmpClient::greet(kvm::UniqueFd(wire.take()), limit);
    if (!client) return;
    (void)client->run_state(limit);
    (void)client->cpu_threads(limit);
    (void)client->execute("query-named-block-nodes", R"({"flat":true})", limit);
    while (const auto events = client->take_events())
        if (events->empty()) break;
}

// What a virtual machine says of its container's end: believed in one form only, and nothing of it reaches a terminal that is not text.
void exit_report(std::string_view bytes) {
    const auto report = kvm::read_report(bytes);
    if (!report) return;
    require(report->failure.size() <= kvm::failure_size_max, "a sentence is within its limit");
    for (const char c : report->failure) require(c >= 0x20 && c < 0x7f, "a sentence is printable text");
    require(!report->exit.code || (*report->exit.code >= 0 && *report->exit.code <= 255), "an exit code is a byte");
    require(!report->exit.signal || (*report->exit.signal >= 1 && *report->exit.signal <= 64), "a signal is one");
    require(kvm::read_report(kvm::report_text(*report)) == report, "what was read is written the same");
}

void elf(std::string_view bytes) {
    const int file = ::memfd_create("elf", MFD_CLOEXEC);
    require(::write(file, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()), "a file");
    const auto checked = plugin::check_exports(file);
    require(checked || !checked.error().what.empty(), "a refusal has a sentence");
    ::close(file);
}

}  // namespace eve::fuzz
