#include "observe.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>

namespace eve::kvm {
namespace {

struct Meaning {
    std::string_view run_state;
    DomainState state;
    std::string_view reason;
};

constexpr auto meanings = std::to_array<Meaning>({
    {"running", DomainState::running, ""},
    {"prelaunch", DomainState::defined, ""},
    {"preconfig", DomainState::defined, ""},
    {"shutdown", DomainState::halted, "the guest powered itself off"},
    {"paused", DomainState::paused, ""},
    {"suspended", DomainState::paused, "the guest sleeps"},
    {"inmigrate", DomainState::paused, "it waits to be moved here"},
    {"finish-migrate", DomainState::paused, "it is being moved"},
    {"postmigrate", DomainState::paused, "it was moved away"},
    {"restore-vm", DomainState::paused, "its memory is being read back"},
    {"save-vm", DomainState::paused, "its memory is being written"},
    {"colo", DomainState::paused, ""},
    {"watchdog", DomainState::paused, "its watchdog fired"},
    {"debug", DomainState::paused, "a debugger holds it"},
    {"io-error", DomainState::paused, "a disk could not be read or written; is the host's disk full?"},
    {"internal-error", DomainState::broken, "KVM could not go on with the guest (internal error)"},
    {"guest-panicked", DomainState::broken, "the guest's kernel panicked"},
});

}  // namespace

Seen seen_running(std::string_view run_state) {
    const auto found = std::find_if(meanings.begin(), meanings.end(), [&](const Meaning& m) { return m.run_state == run_state; });
    if (found == meanings.end()) return {.state = DomainState::unknown, .reason = "QEMU is in a state that this plugin does not know: " + std::string(run_state.substr(0, 40))};
    return {.state = found->state, .reason = std::string(found->reason)};
}

Seen seen_ended(const ExitStatus& exit, bool cut, std::string_view last_words) {
    if (cut) return {.state = DomainState::halted, .reason = "its power was cut"};
    if (exit.oom) return {.state = DomainState::broken, .reason = "QEMU was killed by the kernel for want of memory"};
    if (exit.signal) {
        const char* name = ::sigabbrev_np(*exit.signal);
        return {.state = DomainState::broken,
                .reason = "QEMU was killed by signal " + std::to_string(*exit.signal) + (name != nullptr ? std::string(" (SIG") + name + ")" : std::string())};
    }
    const auto line = last_line(last_words);
    const auto words = line.empty() ? std::string() : ": " + line;
    if (exit.code) return {.state = DomainState::broken, .reason = "QEMU ended with code " + std::to_string(*exit.code) + words};
    return {.state = DomainState::broken, .reason = "QEMU ended and nobody saw how" + words};
}

std::string last_line(std::string_view text) {
    while (!text.empty()) {
        while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
        const auto start = text.rfind('\n');
        auto line = start == std::string_view::npos ? text : text.substr(start + 1);
        text = start == std::string_view::npos ? std::string_view{} : text.substr(0, start);
        if (const auto name = line.find("qemu-system-"); name != std::string_view::npos)
            if (const auto colon = line.find(": ", name); colon != std::string_view::npos) line.remove_prefix(colon + 2);
        if (line.find("warning:") == 0 || line.empty()) continue;
        std::string clean(line.substr(0, 200));
        for (auto& c : clean)
            if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
        return clean;
    }
    return {};
}

}  // namespace eve::kvm
