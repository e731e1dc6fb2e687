#pragma once
// What the kernel's control groups say of a container, on cgroup v1, hybrid and v2 hosts. The runtime makes the groups; they stay until the
// task is deleted, also when every process in them ended.

#include <chrono>
#include <cstdint>
#include <set>
#include <string>

#include "eve/domain.hpp"

namespace eve::containerd {

class Cgroups {
public:
    /// `root`: where the hierarchies are mounted, "/sys/fs/cgroup".
    explicit Cgroups(std::string root);

    /// How many processes of the group the kernel killed for want of memory.
    std::uint64_t oom_kills(const std::string& path) const;
    std::chrono::nanoseconds cpu_time(const std::string& path) const;
    Bytes memory_used(const std::string& path) const;
    Bytes memory_used_max(const std::string& path) const;
    /// What stands below that group, in any hierarchy.
    std::set<std::string> below(const std::string& path) const;
    /// Groups that are empty are gone; the others stay.
    void remove(const std::string& path) const;

private:
    std::string memory(const std::string& path, const char* file) const;

    std::string root_;
    bool unified_;
};

}  // namespace eve::containerd
