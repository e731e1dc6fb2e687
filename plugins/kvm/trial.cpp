#include "kvm_hypervisor.hpp"

#include <cstring>

#include <fcntl.h>

#include "eve/sdk/kept_process.hpp"
#include "files.hpp"
#include "observe.hpp"
#include "steps.hpp"

// Whether a guest runs here, found by running one.

namespace eve::kvm {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view trial_prefix = "probe-";  // and the pid of who tries

/// In real mode: "K" to the debug console, then off. The smallest proof that QEMU runs guests.
constexpr unsigned char boot_sector[] = {0xba, 0xe9, 0x00, 0xb0, 0x4b, 0xee, 0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef, 0xf4, 0xeb, 0xfd};

}  // namespace

/// A trial that its process did not live to clean up after is ended; one whose process lives is not ours to touch. Either may have to be done
/// later: whoever was killed may not be quite gone when its successor begins.
void KvmHypervisor::clear_old_trials() {
    if (!trials_left_.exchange(false)) return;
    const auto run_dir = host_.config().run_dir.fd;
    const auto names = names_in(run_dir);
    if (!names) return;
    for (const auto& name : *names) {
        if (!name.starts_with(trial_prefix)) continue;
        if (::access(("/proc/" + name.substr(trial_prefix.size())).c_str(), F_OK) != 0) {
            const auto directory = open_directory(run_dir, name);
            const Limit limit(quit_max, -1);
            if (directory && end_process(directory->get(), limit) && clear({}, directory->get(), limit) &&
                ::unlinkat(run_dir, name.c_str(), AT_REMOVEDIR) == 0)
                continue;
        }
        trials_left_ = true;
    }
}

/// Empty: QEMU, started as for a domain, booted a boot sector that switched itself off; else what went wrong.
Result<std::string> KvmHypervisor::try_guest(const Limit& limit) {
    if (architecture != Architecture::x86_64) return std::string();
    const auto run_dir = host_.config().run_dir.fd;
    const auto name = std::string(trial_prefix) + std::to_string(::getpid());
    auto directory = make_directory(run_dir, name);
    if (!directory) return std::move(directory).error();
    std::string disk(1U << 20, '\0');
    std::memcpy(disk.data(), boot_sector, sizeof boot_sector);
    disk[510] = '\x55';
    disk[511] = '\xaa';
    auto image = memory_file("probe", disk);
    if (!image) return std::move(image).error();
    const UniqueFd said(::openat(directory->get(), "said", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    const UniqueFd log(::openat(directory->get(), log_name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (!said || !log) return file_error("probe");
    const auto user = user_of(1);
    const auto spawned = host_.spawn({.name = name,
                                      .argv = {settings_.qemu, "-display", "none", "-no-user-config", "-nodefaults", "-no-reboot", "-machine",
                                               settings_.machine + (facts().kvm ? ",accel=kvm" : ",accel=tcg"), "-m", "16", "-add-fd", "fd=3,set=3", "-add-fd",
                                               "fd=4,set=4", "-drive", "file=/dev/fdset/3,format=raw,if=none,id=disk,readonly=on", "-device",
                                               "virtio-blk-pci,drive=disk", "-debugcon", "file:/dev/fdset/4", "-sandbox", std::string(sandbox)},
                                      .env = {"PATH=/usr/bin:/bin", "LC_ALL=C"},
                                      .run_dir = {directory->get()},
                                      .stdout_fd = {log.get()},
                                      .stderr_fd = {log.get()},
                                      .fds = {{{image->get()}, 3}, {{said.get()}, 4}},
                                      .uid = user.uid,
                                      .gid = user.gid,
                                      .groups = user.groups});
    Result<std::string> answer = std::string();
    if (!spawned) {
        answer = spawned.error();
    } else {
        auto wait = Limit::Wait::ready;
        auto kept = sdk::read_kept_process(directory->get());
        while (kept && kept->running && (wait = limit.wait(-1, 0, poll_pause)) == Limit::Wait::ready) kept = sdk::read_kept_process(directory->get());
        if (wait == Limit::Wait::cancelled) answer = Limit::error(wait, "trying QEMU");
        else if (tail_of(directory->get(), "said", 1) != "K") {
            const auto words = last_line(tail_of(directory->get(), log_name, last_words_max));
            answer = "QEMU could not run a test guest" + (words.empty() ? std::string() : ": " + words);
        }
        [[maybe_unused]] const auto ended = end_process(directory->get(), Limit(5s, -1));
    }
    for (int attempt = 0; attempt < 100 && !sdk::forget_kept_process(directory->get()); ++attempt) Limit(1s, -1).wait(-1, 0, poll_pause);
    if (auto emptied = empty_directory(directory->get()); !emptied) return std::move(emptied).error();
    ::unlinkat(run_dir, name.c_str(), AT_REMOVEDIR);
    return answer;
}

}  // namespace eve::kvm
