#include "core/evectl/node_files.hpp"

#include <signal.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace eve::evectl {
namespace {

constexpr std::uintmax_t record_bytes_max = 1U << 20U;
constexpr std::string_view suffix = ".json";

std::string read_file(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

std::map<std::string, std::string> NodeFiles::texts(const std::string& directory) {
    std::map<std::string, std::string> found;
    std::error_code error;
    for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
        const std::string name = entry->path().filename().string();
        std::error_code ignored;
        if (!name.ends_with(suffix) || entry->file_size(ignored) > record_bytes_max) continue;
        found.emplace(name.substr(0, name.size() - suffix.size()), read_file(entry->path()));
    }
    return found;
}

std::string NodeFiles::text(const std::string& path) {
    std::error_code error;
    const auto size = std::filesystem::file_size(path, error);
    return error || size > record_bytes_max ? std::string() : read_file(path);
}

long NodeFiles::running(std::string_view name) const {
    const std::string text = read_file(root_.path("/run/" + std::string(name) + ".pid"));
    long pid = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), pid);
    if (parsed.ec != std::errc{} || pid <= 0) return 0;
    return kill(static_cast<pid_t>(pid), 0) == 0 || errno == EPERM ? pid : 0;
}

long NodeFiles::node_running() const {
    const long one = running("zedbox");
    return one != 0 ? one : running("zedagent");
}

std::vector<std::string> NodeFiles::agents_not_running() const {
    std::vector<std::string> missing;
    for (const char* name : {"zedagent", "client", "vaultmgr", "nim", "domainmgr", "zedmanager", "zedrouter", "downloader", "verifier", "volumemgr"})
        if (running(name) == 0) missing.emplace_back(name);
    return missing;
}

}  // namespace eve::evectl
