// On which CPUs of the host a guest runs.

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>

#include "common/cpuset.hpp"
#include "eve/sdk/kept_process.hpp"
#include "files.hpp"
#include "kvm_hypervisor.hpp"
#include "qmp.hpp"

namespace eve::kvm {

/// All threads stay on the CPUs that the domain was given; with CPUs of its own each virtual CPU has one for itself.
void KvmHypervisor::place(const DomainSpec& spec, std::int64_t pid, QmpClient& monitor, const Limit& limit) {
    if (spec.cpus.empty()) return;
    const auto complain = [&](std::int64_t cpu, const std::string& error) {
        host_.log(LogLevel::warn, "domain.not_pinned", {{"domain", spec.id.value}, {"cpu", cpu}, {"error", error}});
    };
    if (auto confined = plugins::confine_process(pid, spec.cpus); !confined) complain(-1, confined.error().what);
    if (!spec.cpus_pinned) return;
    const auto threads = monitor.cpu_threads(limit);
    for (std::size_t at = 0; threads && at < threads->size() && at < spec.cpus.size(); ++at) {
        if (::access(("/proc/" + std::to_string(pid) + "/task/" + std::to_string((*threads)[at])).c_str(), F_OK) != 0) continue;
        cpu_set_t cpus;
        CPU_ZERO(&cpus);
        CPU_SET(spec.cpus[at], &cpus);
        if (::sched_setaffinity(static_cast<pid_t>((*threads)[at]), sizeof cpus, &cpus) != 0) complain(spec.cpus[at], file_error("virtual CPU").what);
    }
}

Status KvmHypervisor::confine(const CallContext&, const CpuConfinement& confinement) {
    auto directory = directory_of(confinement.domain);
    if (!directory) return std::move(directory).error();
    const auto kept = sdk::read_kept_process(directory->get());
    if (!kept || !kept->running) return Error{.code = Code::failed_precondition, .what = "the guest does not run"};
    return plugins::confine_process(kept->guest.pid, confinement.cpus);
}

}  // namespace eve::kvm
