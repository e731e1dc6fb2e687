#include "common/cpuset.hpp"

#include <cerrno>
#include <charconv>
#include <optional>
#include <set>
#include <string_view>

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "common/files.hpp"

namespace eve::plugins {
namespace {

constexpr std::size_t file_max = 256U << 10;
constexpr unsigned rounds_max = 8;  // of looking for threads that began meanwhile
constexpr std::size_t cpus_max = CPU_SETSIZE;

struct Group {
    std::string path;    // in the file system
    bool unified = false;
};

/// The control group of the process that says on which CPUs it runs, unless that is the one of everybody.
std::optional<Group> group_of(std::int64_t pid, const std::string& root) {
    const auto text = read_file(AT_FDCWD, "/proc/" + std::to_string(pid) + "/cgroup", file_max);
    if (!text) return std::nullopt;
    std::string_view rest = *text;
    while (!rest.empty()) {
        const auto end = rest.find('\n');
        auto line = rest.substr(0, end);
        rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
        line.remove_prefix(std::min(line.find(':'), line.size()));
        if (line.size() < 2) continue;
        line.remove_prefix(1);
        const auto colon = line.find(':');
        if (colon == std::string_view::npos) continue;
        const auto controllers = "," + std::string(line.substr(0, colon)) + ",";
        const std::string below(line.substr(colon + 1));
        if (below.size() < 2 || below.find("/..") != std::string::npos) continue;
        const bool unified = controllers == ",,";
        if (!unified && controllers.find(",cpuset,") == std::string::npos) continue;
        Group group{.path = root + (unified ? "" : "/cpuset") + below, .unified = unified};
        if (::access((group.path + "/cpuset.cpus").c_str(), W_OK) == 0) return group;
    }
    return std::nullopt;
}

std::string list_of(const std::vector<std::uint32_t>& cpus) {
    std::string list;
    for (const auto cpu : cpus) list += (list.empty() ? "" : ",") + std::to_string(cpu);
    return list;
}

Error failure(const std::string& what) {
    auto error = file_error(what);
    error.code = errno == EINVAL || errno == ERANGE || errno == EOVERFLOW ? Code::invalid_argument : errno == ESRCH || errno == ENOENT ? Code::not_found : Code::unavailable;
    return error;
}

Status write_group(const Group& group, const std::vector<std::uint32_t>& cpus) {
    auto list = list_of(cpus);
    if (list.empty() && !group.unified) {  // as the group above
        auto above = read_file(AT_FDCWD, group.path.substr(0, group.path.rfind('/')) + "/cpuset.cpus", file_max);
        if (!above) return std::move(above).error();
        list = std::move(*above);
    }
    if (list.empty()) list = "\n";
    const auto file = group.path + "/cpuset.cpus";
    const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd || ::write(fd.get(), list.data(), list.size()) < 0) return failure(file);
    return {};
}

/// Every thread, those that begin meanwhile included.
Status write_threads(std::int64_t pid, const std::vector<std::uint32_t>& cpus) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const auto cpu : cpus)
        if (cpu >= cpus_max) return Error{.code = Code::invalid_argument, .what = "there is no CPU " + std::to_string(cpu)};
        else CPU_SET(cpu, &set);
    if (cpus.empty())
        for (std::size_t cpu = 0; cpu < cpus_max; ++cpu) CPU_SET(cpu, &set);
    const UniqueFd tasks(::open(("/proc/" + std::to_string(pid) + "/task").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!tasks) return failure("process " + std::to_string(pid));
    std::set<std::string> done;
    for (unsigned round = 0; round < rounds_max; ++round) {
        auto names = names_in(tasks.get());
        if (!names) return std::move(names).error();
        bool fresh = false;
        for (const auto& name : *names) {
            pid_t thread = 0;
            std::from_chars(name.data(), name.data() + name.size(), thread);
            if (thread <= 0 || !done.insert(name).second) continue;
            fresh = true;
            if (::sched_setaffinity(thread, sizeof set, &set) != 0 && errno != ESRCH) return failure("thread " + name);
        }
        if (!fresh) return {};
    }
    return {};
}

}  // namespace

Status confine_process(std::int64_t pid, const std::vector<std::uint32_t>& cpus, const std::string& cgroup_root) {
    if (pid <= 0) return Error{.code = Code::not_found, .what = "there is no process"};
    if (const auto group = group_of(pid, cgroup_root)) return write_group(*group, cpus);
    return write_threads(pid, cpus);
}

}  // namespace eve::plugins
