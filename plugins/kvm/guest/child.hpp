#pragma once
// The app's process in its virtual machine: in process, mount, name and IPC namespaces of its own, as a container runtime would start it.

#include <sys/types.h>

#include "common/unique_fd.hpp"
#include "eve/result.hpp"
#include "guest/order.hpp"

namespace eve::kvm::guest {

inline constexpr const char* root_path = "/root";
inline constexpr const char* group_path = "/sys/fs/cgroup/app";

struct AppProcess {
    pid_t pid = 0;
    plugins::UniqueFd output;  ///< what it writes to standard output; it ends with the last process of the app
    plugins::UniqueFd errors;
};

/// The app's program was started in the root file system that is mounted at root_path.
Result<AppProcess> start_app(const GuestOrder& order);

}  // namespace eve::kvm::guest
