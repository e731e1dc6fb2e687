#include "kvm_hypervisor.hpp"

#include <cerrno>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "common/grammar.hpp"
#include "container_vm.hpp"
#include "eve/sdk/kept_process.hpp"
#include "files.hpp"
#include "qmp.hpp"
#include "steps.hpp"
#include "tap.hpp"
#include "watcher.hpp"

// A domain is started, stopped and destroyed.

namespace eve::kvm {

using namespace std::chrono_literals;

Result<DomainInfo> KvmHypervisor::start(const CallContext& call, const DomainId& id) {
    auto directory = directory_of(id);
    if (!directory) return std::move(directory).error();
    const Limit limit(call, call_max);
    auto info = look(id, directory->get(), limit.within(look_max));
    if (!info || info->state == DomainState::running) return info;
    if (info->state == DomainState::halted || info->state == DomainState::halting || info->state == DomainState::broken)
        return Error{.code = Code::failed_precondition, .what = info->reason, .hint = "destroy and create it"};
    {
        auto monitor = QmpClient::open(directory->get(), "qmp", limit);
        if (!monitor) return std::move(monitor).error();
        if (const auto record = record_in(directory->get()); record) place(record->spec, info->pid, *monitor, limit);
        if (auto told = monitor->execute("cont", {}, limit); !told) return std::move(told).error();
    }
    while (true) {
        info = look(id, directory->get(), limit);
        if (!info || info->state != DomainState::defined) return info;
        if (const auto waited = limit.wait(-1, 0, poll_pause); waited != Limit::Wait::ready) return Limit::error(waited, "the guest's start");
    }
}

Result<DomainInfo> KvmHypervisor::stop(const CallContext& call, const DomainId& id, StopMode mode) {
    auto directory = directory_of(id);
    if (!directory) return std::move(directory).error();
    const Limit limit(call, call_max);
    const auto kept = sdk::read_kept_process(directory->get());
    if (mode == StopMode::unknown) return Error{.code = Code::invalid_argument, .what = "how to stop is not said", .field = ".mode"};
    if (kept && kept->running) {
        if (mode == StopMode::cut) {
            if (auto ended = end_process(directory->get(), limit); !ended) return std::move(ended).error();
        } else {
            auto monitor = QmpClient::open(directory->get(), "qmp", limit);
            if (!monitor) return std::move(monitor).error();
            if (auto marked = write_file(directory->get(), asked_name, ""); !marked) return std::move(marked).error();
            if (auto asked = monitor->execute("system_powerdown", {}, limit); !asked) return std::move(asked).error();
        }
    }
    return look(id, directory->get(), limit.within(look_max));
}

/// No process is left. It is asked to quit, which writes its disks' tables, and killed when it does not.
Status KvmHypervisor::end_process(int directory, const Limit& limit) {
    auto kept = sdk::read_kept_process(directory);
    if (!kept) return kept.error().code == Code::not_found ? Status{} : Status(std::move(kept).error());
    if (!kept->running) return {};
    if (auto marked = write_file(directory, cut_name, ""); !marked) return marked;
    const auto process = sdk::open_process(kept->guest);
    if (process) {
        const UniqueFd pidfd(*process);
        const auto patience = limit.within(quit_max);
        if (auto monitor = QmpClient::open(directory, "qmp", patience)) {
            [[maybe_unused]] const auto told = monitor->execute("quit", {}, patience);
            patience.wait(pidfd.get(), POLLIN);
        }
        if (auto killed = sdk::signal_process(kept->guest, SIGKILL); !killed && killed.error().code != Code::not_found) return killed;
        if (const auto waited = limit.wait(pidfd.get(), POLLIN); waited != Limit::Wait::ready) return Limit::error(waited, "QEMU's end");
    }
    while ((kept = sdk::read_kept_process(directory)) && kept->running)
        if (const auto waited = limit.wait(-1, 0, poll_pause); waited != Limit::Wait::ready) return Limit::error(waited, "the keeper's last word");
    return {};
}

/// The directory of a domain without a process is empty, and its interfaces are gone.
Status KvmHypervisor::clear(const DomainId&, int directory, const Limit& limit) {
    if (const auto record = record_in(directory))
        for (const auto& vif : record->spec.vifs) {
            const auto patience = limit.within(1s);
            auto removed = remove_tap(vif.name);
            while (!removed && removed.error().code == Code::unavailable && patience.wait(-1, 0, poll_pause) == Limit::Wait::ready)
                removed = remove_tap(vif.name);
            // Who still uses it is not ours, whose process is gone: the name was another's all along.
            if (!removed && removed.error().code != Code::unavailable) return removed;
        }
    auto forgotten = sdk::forget_kept_process(directory);
    while (!forgotten && forgotten.error().code == Code::unavailable && limit.wait(-1, 0, poll_pause) == Limit::Wait::ready)
        forgotten = sdk::forget_kept_process(directory);
    if (!forgotten) return forgotten;
    if (auto ended = end_shares(directory, limit); !ended) return ended;
    return empty_directory(directory);
}

Result<DomainInfo> KvmHypervisor::destroy(const CallContext& call, const DomainId& id, DestroyMode mode) {
    if (mode == DestroyMode::unknown) return Error{.code = Code::invalid_argument, .what = "what to keep is not said", .field = ".mode"};
    const Limit limit(call, call_max);
    clear_old_trials();
    auto directory = directory_of(id);
    if (!directory && directory.error().code != Code::not_found) return std::move(directory).error();
    if (directory) {
        watcher_->forget(id);
        if (auto ended = end_process(directory->get(), limit); !ended) return std::move(ended).error();
        if (auto cleared = clear(id, directory->get(), limit); !cleared) return std::move(cleared).error();
        if (::unlinkat(domains_.get(), id.value.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) return file_error(id.value);
    }
    if (mode == DestroyMode::purge && plugins::valid_name(id.value))
        if (const auto vars = open_directory(host_.config().state_dir.fd, vars_directory)) ::unlinkat(vars->get(), vars_file(id).c_str(), 0);
    return DomainInfo{.id = id, .presence = Presence::absent};
}

}  // namespace eve::kvm
