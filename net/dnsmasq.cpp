#include "net/dnsmasq.hpp"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <set>
#include <sstream>

#include "storage/durable_file.hpp"

namespace eve::net {
namespace {

namespace fs = std::filesystem;

constexpr const char* program = "/usr/sbin/dnsmasq";
constexpr std::chrono::milliseconds start_limit{3'000};
constexpr std::chrono::milliseconds stop_limit{5'000};  // EVE waits 30 s; the lane has 30 s for everything
constexpr std::chrono::milliseconds kill_limit{2'000};
constexpr std::size_t file_bytes_max = 4U << 20;

std::string read_file(const std::string& path) { return storage::read_file(path, file_bytes_max).value_or(""); }

/// Whole or not at all, readable by everybody (dnsmasq is nobody). What lies in /run need not outlast a power cut. dnsmasq reads every file of
/// some directories, but none with a dot before its name.
Status write_file(const std::string& path, const std::string& text) {
    return storage::write_durably(path, text, {.reach = storage::Reach::memory, .mode = 0644, .temporary = storage::Temporary::hidden});
}

Status make_directory(const std::string& path) {
    std::error_code error;
    fs::create_directories(path, error);
    if (error) return system_error(error.value(), "make " + path);
    if (::chmod(path.c_str(), 0755) != 0) return system_error(errno, "chmod " + path);
    return {};
}

/// The directory that user nobody cannot pass through on the way to `path`, or empty.
std::string closed_to_others(const std::string& path) {
    for (fs::path at = fs::absolute(path); at != at.root_path(); at = at.parent_path()) {
        struct stat info {};
        if (::stat(at.c_str(), &info) == 0 && S_ISDIR(info.st_mode) && (info.st_mode & S_IXOTH) == 0) return at.string();
    }
    return {};
}

/// The node's root, its run and the given directory below them may be passed through by user nobody; what is in them is closed by itself.
void let_others_pass(const std::string& directory) {
    constexpr int levels = 3;
    fs::path at = fs::absolute(directory);
    for (int level = 0; level < levels && at != at.root_path(); ++level, at = at.parent_path()) {
        struct stat info {};
        if (::stat(at.c_str(), &info) == 0 && info.st_uid == ::geteuid() && (info.st_mode & S_IXOTH) == 0)
            ::chmod(at.c_str(), (info.st_mode & 07777) | S_IXOTH);
    }
}

struct DirectoryChange {
    bool changed = false;
    bool forgotten = false;  ///< an entry vanished or says something else than before
};

/// The directory holds exactly `files`. New names come as whole files, since dnsmasq reads a directory at any time.
Result<DirectoryChange> sync_directory(const std::string& path, const std::map<std::string, std::string>& files) {
    if (auto made = make_directory(path); !made) return made.error();
    DirectoryChange change;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(path, error)) {
        const auto name = entry.path().filename().string();
        if (files.contains(name)) continue;
        fs::remove(entry.path(), error);
        change.changed = change.forgotten = true;
    }
    for (const auto& [name, text] : files) {
        const auto file = path + "/" + name;
        const bool existed = fs::exists(file, error);
        if (existed && read_file(file) == text) continue;
        if (auto written = write_file(file, text); !written) return written.error();
        change.changed = true;
        change.forgotten = change.forgotten || existed;
    }
    return change;
}

/// MACs named by the files of dhcp-hosts, with the address each is given.
std::set<std::string> host_lines(const std::string& path) {
    std::set<std::string> lines;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(path, error)) lines.insert(read_file(entry.path().string()));
    return lines;
}

}  // namespace

std::vector<zedrouter::SeenLease> parse_leases(const std::string& text) {
    std::vector<zedrouter::SeenLease> leases;
    std::istringstream lines(text);
    std::string line;
    while (std::getline(lines, line)) {
        std::istringstream words(line);
        zedrouter::SeenLease lease;
        std::string client;
        if (!(words >> lease.expires >> lease.mac >> lease.address >> lease.host_name >> client)) continue;
        if (lease.host_name == "*") lease.host_name.clear();
        leases.push_back(std::move(lease));
    }
    return leases;
}

DnsmasqSet::DnsmasqSet(std::string directory) : directory_(std::move(directory)) {
    if (const auto own = storage::DurableDirectory::open(directory_)) own->remove_temporaries();
}

std::map<std::string, std::vector<zedrouter::SeenLease>> DnsmasqSet::leases() const {
    std::map<std::string, std::vector<zedrouter::SeenLease>> all;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(lease_directory(), error)) {
        const auto bridge = entry.path().filename().string();
        if (bridge.find('.') == std::string::npos) all[bridge] = parse_leases(read_file(entry.path().string()));
    }
    return all;
}

void DnsmasqSet::adopt(const std::string& bridge) {
    if (const auto known = processes_.find(bridge); known != processes_.end()) {
        if (!wait_for_end(known->second, std::chrono::milliseconds{0})) return;
        processes_.erase(known);
    }
    const auto text = read_file(pid_path(bridge));
    char* end = nullptr;
    const long pid = std::strtol(text.c_str(), &end, 10);
    constexpr long pid_max = 4'194'304;
    if (end == text.c_str() || pid <= 1 || pid > pid_max) return;
    if (auto process = open_process(static_cast<int>(pid), program, "--conf-file=" + config_path(bridge))) processes_[bridge] = std::move(*process);
}

Status DnsmasqSet::start(const std::string& bridge) {
    let_others_pass(directory_);
    const auto closed = closed_to_others(directory_);
    if (!closed.empty())
        return Error{.code = Code::failed_precondition,
                     .what = "dnsmasq runs as user nobody, who cannot pass through " + closed,
                     .hint = "chmod o+x " + closed};
    std::error_code error;
    fs::remove(pid_path(bridge), error);
    auto run = run_program({program, "--conf-file=" + config_path(bridge)}, start_limit);
    if (!run) return std::move(run).error().in("start dnsmasq");
    if (run->exit_code != 0) {
        std::string output = run->output;
        while (!output.empty() && output.back() == '\n') output.pop_back();
        return Error{Code::unavailable, output.empty() ? "dnsmasq ended with " + std::to_string(run->exit_code) : output};
    }
    adopt(bridge);
    if (!processes_.contains(bridge)) return Error{Code::unavailable, "dnsmasq ended right after its start"};
    return {};
}

Status DnsmasqSet::stop(const std::string& bridge) {
    const auto found = processes_.find(bridge);
    if (found == processes_.end()) return {};
    if (auto sent = send_signal(found->second, SIGTERM); !sent) return sent;
    if (!wait_for_end(found->second, stop_limit)) {
        if (auto sent = send_signal(found->second, SIGKILL); !sent) return sent;
        if (!wait_for_end(found->second, kill_limit)) return Error{Code::timed_out, "dnsmasq of " + bridge + " does not end"};
    }
    processes_.erase(found);
    return {};
}

Status DnsmasqSet::restart(const std::string& bridge) {
    adopt(bridge);
    return stop(bridge);
}

Status DnsmasqSet::apply_one(const zedrouter::DhcpServerPlan& desired) {
    const auto& bridge = desired.bridge;
    if (auto made = make_directory(directory_); !made) return made;
    if (auto made = make_directory(lease_directory()); !made) return made;
    adopt(bridge);
    const auto dhcp_directory = directory_ + "/dhcp-hosts." + bridge;
    const auto before = host_lines(dhcp_directory);
    auto hosts = sync_directory(directory_ + "/hosts." + bridge, desired.hosts);
    if (!hosts) return hosts.error();
    auto dhcp = sync_directory(dhcp_directory, desired.dhcp_hosts);
    if (!dhcp) return dhcp.error();

    const bool new_config = read_file(config_path(bridge)) != desired.config;
    const bool running = processes_.contains(bridge);
    // dnsmasq watches both directories by itself: new and changed files and removed host files need no signal. SIGHUP, which EVE sends, makes
    // dnsmasq 2.90 read freed memory when a lease of a dhcp-hosts file is active.
    if (running && !new_config && !dhcp->forgotten) return {};
    if (auto stopped = stop(bridge); !stopped) return stopped;
    if (dhcp->forgotten) {  // leases of MACs that left or have another address are taken out while nobody writes the file
        std::set<std::string> stay;
        for (const auto& [name, text] : desired.dhcp_hosts)
            if (before.contains(text)) stay.insert(text.substr(0, text.find(',')));
        std::istringstream lines(read_file(lease_path(bridge)));
        std::string kept;
        std::string line;
        while (std::getline(lines, line)) {
            const auto lease = parse_leases(line);
            if (lease.empty() || stay.contains(lease.front().mac)) kept += line + "\n";
        }
        if (auto written = write_file(lease_path(bridge), kept); !written) return written;
    }
    if (auto written = write_file(config_path(bridge), desired.config); !written) return written;
    return start(bridge);
}

std::vector<zedrouter::ItemFailure> DnsmasqSet::stop_others(const std::vector<zedrouter::DhcpServerPlan>& desired) {
    std::vector<zedrouter::ItemFailure> failures;
    std::set<std::string> wanted;
    for (const auto& server : desired) wanted.insert(server.bridge);
    std::set<std::string> present;
    std::error_code error;
    constexpr std::string_view prefix = "dnsmasq.";
    constexpr std::string_view suffix = ".conf";
    for (const auto& entry : fs::directory_iterator(directory_, error)) {
        const auto name = entry.path().filename().string();
        if (name.starts_with(prefix) && name.ends_with(suffix) && name.size() > prefix.size() + suffix.size())
            present.insert(name.substr(prefix.size(), name.size() - prefix.size() - suffix.size()));
    }
    for (const auto& bridge : present) {
        if (wanted.contains(bridge)) continue;
        adopt(bridge);
        if (auto stopped = stop(bridge); !stopped) {
            failures.push_back({{}, "dnsmasq " + bridge, stopped.error()});
            continue;
        }
        fs::remove(lease_path(bridge), error);
        fs::remove(pid_path(bridge), error);
        fs::remove_all(directory_ + "/hosts." + bridge, error);
        fs::remove_all(directory_ + "/dhcp-hosts." + bridge, error);
        fs::remove(config_path(bridge), error);
    }
    return failures;
}

std::vector<zedrouter::ItemFailure> DnsmasqSet::apply(const std::vector<zedrouter::DhcpServerPlan>& desired) {
    std::vector<zedrouter::ItemFailure> failures;
    for (const auto& server : desired)
        if (auto done = apply_one(server); !done) failures.push_back({server.owner, "dnsmasq " + server.bridge, done.error()});
    return failures;
}

}  // namespace eve::net
