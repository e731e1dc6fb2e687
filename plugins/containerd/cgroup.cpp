#include "containerd/cgroup.hpp"

#include <charconv>
#include <string_view>

#include <fcntl.h>
#include <unistd.h>

#include "common/files.hpp"

namespace eve::containerd {
namespace {

constexpr std::size_t file_max = 64U << 10;

std::string text_of(const std::string& path) {
    auto text = plugins::read_file(AT_FDCWD, path, file_max);
    return text ? std::move(*text) : std::string();
}

std::uint64_t number_in(std::string_view text) {
    std::uint64_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

/// Of a file of lines "name number".
std::uint64_t value_of(std::string_view text, std::string_view name) {
    while (!text.empty()) {
        const auto end = text.find('\n');
        const auto line = text.substr(0, end);
        if (line.size() > name.size() && line.starts_with(name) && line[name.size()] == ' ') return number_in(line.substr(name.size() + 1));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return 0;
}

}  // namespace

Cgroups::Cgroups(std::string root) : root_(std::move(root)), unified_(::access((root_ + "/cgroup.controllers").c_str(), F_OK) == 0) {}

std::string Cgroups::memory(const std::string& path, const char* file) const { return text_of(root_ + (unified_ ? "" : "/memory") + path + "/" + file); }

std::uint64_t Cgroups::oom_kills(const std::string& path) const {
    return value_of(memory(path, unified_ ? "memory.events" : "memory.oom_control"), "oom_kill");
}

std::chrono::nanoseconds Cgroups::cpu_time(const std::string& path) const {
    const auto ns = unified_ ? value_of(text_of(root_ + path + "/cpu.stat"), "usage_usec") * 1000 : number_in(text_of(root_ + "/cpuacct" + path + "/cpuacct.usage"));
    return std::chrono::nanoseconds(static_cast<std::int64_t>(ns));
}

Bytes Cgroups::memory_used(const std::string& path) const { return Bytes{number_in(memory(path, unified_ ? "memory.current" : "memory.usage_in_bytes"))}; }

Bytes Cgroups::memory_used_max(const std::string& path) const {
    return Bytes{number_in(memory(path, unified_ ? "memory.peak" : "memory.max_usage_in_bytes"))};
}

std::set<std::string> Cgroups::below(const std::string& path) const {
    std::set<std::string> all;
    const auto add = [&](const std::string& directory) {
        const plugins::UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!fd) return;
        if (auto names = plugins::names_in(fd.get())) all.insert(names->begin(), names->end());
    };
    if (unified_) {
        add(root_ + path);
        return all;
    }
    const plugins::UniqueFd root(::open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (const auto names = plugins::names_in(root.get()))
        for (const auto& name : *names) add(root_ + "/" + name + path);
    return all;
}

void Cgroups::remove(const std::string& path) const {
    if (unified_) {
        ::rmdir((root_ + path).c_str());
        return;
    }
    const plugins::UniqueFd root(::open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (const auto names = plugins::names_in(root.get()))
        for (const auto& name : *names) ::rmdir((root_ + "/" + name + path).c_str());
}

}  // namespace eve::containerd
