// On which CPUs of the host a container runs.

#include "common/cpuset.hpp"
#include "containerd/container_hypervisor.hpp"
#include "containerd/validate.hpp"

namespace eve::containerd {

namespace {
constexpr std::chrono::milliseconds confine_max{5000};
}

Status ContainerHypervisor::confine(const CallContext& call, const CpuConfinement& confinement) {
    auto found = find(confinement.domain, Limit(call, confine_max));
    if (!found) return std::move(found).error();
    if (!found->directory && !found->container) {
        if (found->task.error().code != Code::not_found && valid_name(confinement.domain.value))
            return Error{.code = Code::unavailable, .what = found->task.error().what};
        return Error{.code = Code::not_found, .what = "there is no such container"};
    }
    if (!found->task && found->task.error().code != Code::not_found) return Error{.code = Code::unavailable, .what = found->task.error().what};
    if (!found->task || found->task->state == TaskState::stopped) return Error{.code = Code::failed_precondition, .what = "the container does not run"};
    return plugins::confine_process(found->task->pid, confinement.cpus, settings_.cgroup_root);
}

}  // namespace eve::containerd
