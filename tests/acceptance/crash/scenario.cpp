#include "tests/acceptance/crash/scenario.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "core/types/app.hpp"
#include "core/types/codec.hpp"
#include "core/types/domain.hpp"
#include "core/types/network.hpp"
#include "core/types/volume.hpp"

namespace eve::crash {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr const char* app_one = "00000000-0000-4000-8000-000000200001";
constexpr const char* app_two = "00000000-0000-4000-8000-000000200002";

milliseconds since(Clock::time_point begin) { return std::chrono::duration_cast<milliseconds>(Clock::now() - begin); }

std::string text_of(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

/// Output of a program in the namespace; what it prints to standard error too.
std::string output_of(const std::string& ns, const std::vector<std::string>& words) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return {};
    const pid_t pid = ::fork();
    if (pid == 0) {
        const int fd = ::open(("/run/netns/" + ns).c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0 || ::setns(fd, CLONE_NEWNET) != 0) std::_Exit(125);
        ::dup2(ends[1], 1);
        std::vector<char*> argv;
        for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
        argv.push_back(nullptr);
        ::execvp(argv[0], argv.data());
        std::_Exit(127);
    }
    ::close(ends[1]);
    std::string out;
    std::array<char, 4096> buffer{};
    ssize_t got = 0;
    while ((got = ::read(ends[0], buffer.data(), buffer.size())) > 0) out.append(buffer.data(), static_cast<std::size_t>(got));
    ::close(ends[0]);
    ::waitpid(pid, nullptr, 0);
    return out;
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

/// The device config as protobuf JSON.
struct Config {
    std::vector<int> apps;
    std::string target = "10.99.1.1";  ///< what app 1 may reach
    int restarts = 0;                  ///< of app 1
};

std::string json_of(const Config& config, const Bench& bench) {
    std::string apps, volumes, networks, contents;
    for (const int n : config.apps) {
        const auto number = std::to_string(n);
        const std::string comma = apps.empty() ? "" : ",";
        volumes += comma + R"({"uuid":"00000000-0000-4000-8000-00000030000)" + number + R"(","displayName":"volume)" + number +
                   R"(","clear_text":true,"generationCount":"0","origin":{"type":"VCOT_DOWNLOAD","downloadContentTreeID":"00000000-0000-4000-8000-000000400001"}})";
        apps += comma + R"({"uuidandversion":{"uuid":"00000000-0000-4000-8000-00000020000)" + number + R"(","version":"1"},"displayname":"app)" + number +
                R"(","activate":true,"fixedresources":{"memory":8192,"maxmem":8192,"vcpus":1,"maxcpus":1,"virtualizationMode":"HVM"},)" +
                (n == 1 && config.restarts > 0 ? R"("restart":{"counter":)" + std::to_string(config.restarts) + R"(,"opsTime":"2026-01-01"},)" : "") +
                R"("volumeRefList":[{"uuid":"00000000-0000-4000-8000-00000030000)" + number + R"(","generationCount":"0"}],"interfaces":[{"name":"eth0",)" +
                R"("networkId":"00000000-0000-4000-8000-000000100001","acls":[{"id":1,"matches":[{"type":"ip","value":")" +
                (n == 1 ? config.target : "10.99.2.2") + R"("}]}]}],"userData":"I2Nsb3VkLWNvbmZpZwo="})";
    }
    if (!config.apps.empty()) {
        networks = R"({"uuidandversion":{"uuid":"00000000-0000-4000-8000-000000100001","version":"1"},"displayname":"net1","instType":"ZnetInstLocal",)"
                   R"("activate":true,"port":{"type":"PhyIoNetEth","name":"eth0"},"ipType":"IPV4","disable_flowlog":true,)"
                   R"("ip":{"subnet":"10.11.0.0/24","gateway":"10.11.0.1","dhcpRange":{"start":"10.11.0.2","end":"10.11.0.100"}}})";
        contents = R"({"uuid":"00000000-0000-4000-8000-000000400001","dsId":"00000000-0000-4000-8000-000000500001","URL":")" + bench.image_file +
                   R"(","iformat":"RAW","sha256":")" + bench.image_sha256 + R"(","maxSizeBytes":")" + std::to_string(bench.image_size) +
                   R"(","displayName":"image"})";
    }
    return R"({"id":{"uuid":"00000000-0000-4000-8000-000000900001","version":"1"},"configItems":[{"key":"timer.boot.retry","value":"10"},)"
           R"({"key":"timer.download.retry","value":"60"},{"key":"timer.gc.vdisk","value":"60"}],"deviceIoList":[{"ptype":"PhyIoNetEth","phylabel":"eth0","logicallabel":"eth0",)"
           R"("assigngrp":"eth0","phyaddrs":{"Ifname":"eth0"},"usage":"PhyIoUsageMgmtAndApps"}],"networks":[{"id":"00000000-0000-4000-8000-000000600001",)"
           R"("type":"V4","ip":{"dhcp":"Client"}}],"systemAdapterList":[{"name":"eth0","uplink":true,"networkUUID":"00000000-0000-4000-8000-000000600001"}],)"
           R"("datastores":[{"id":"00000000-0000-4000-8000-000000500001","dType":"DsHttp","fqdn":")" +
           bench.image_url + R"("}],"networkInstances":[)" + networks + R"(],"contentInfo":[)" + contents + R"(],"volumes":[)" + volumes +
           R"(],"apps":[)" + apps + "]}";
}

class Script {
public:
    Script(const Bench& bench, const Trouble& trouble, const std::optional<Expectation>& expected)
        : bench_(bench), trouble_(trouble), expected_(expected), begin_(Clock::now()) {}

    Outcome run() {
        fs::remove_all(bench_.root);
        fs::create_directories(bench_.root + "/config");
        const auto network_before = network_now();
        {
            Tracer tracer(tracer_options());
            tracer_ = &tracer;
            if (trouble_.armed) tracer.arm(trouble_.trigger, trouble_.after);
            else tracer.arm();
            tracer.start();
            play();
            out_.hits = tracer.hits();
            out_.counts = tracer.counts();
            out_.starts = tracer.starts();
            if (!out_.wrong.empty()) describe_state();
            tracer_ = nullptr;
        }
        if (out_.wrong.empty()) check_leftovers(network_before);
        else clean_up();
        out_.whole = since(begin_);
        return std::move(out_);
    }

private:
    TracerOptions tracer_options() const {
        TracerOptions options;
        options.command = {bench_.bin + "/zedbox", "node", "--root", bench_.root, "--log-level", "info"};
        if (!bench_.real_guests) {
            const auto config = bench_.root + ".mock.json";
            std::ofstream(config) << R"({"guest":["/bin/sleep","86400"],"calls_in_flight_max":4})";
            for (const char* word : {"--plugin-order", "mock"}) options.command.emplace_back(word);
            options.command.emplace_back("--plugin-config");
            options.command.push_back("mock=" + config);
        }
        options.network_namespace = "/run/netns/" + bench_.node_ns;
        options.output = bench_.root + ".out";
        options.watched = node_roles();
        options.quiet = {"/log/", "events.log", ".out", ".touch"};
        options.in_child = trouble_.in_child;
        return options;
    }

    void wrong(const std::string& what) { out_.wrong.push_back(phase_ + ": " + what); }

    /// Waits until `holds` returns nothing; it returns what is still missing.
    bool until(const std::string& phase, const std::function<std::string()>& holds) {
        phase_ = phase;
        if (trouble_.at_phase) trouble_.at_phase(*tracer_, phase);
        const auto from = Clock::now();
        std::string missing;
        for (;;) {
            missing = holds();
            if (missing.empty()) break;
            if (since(from) > bench_.phase_limit) {
                wrong("not within " + std::to_string(bench_.phase_limit.count()) + " ms: " + missing);
                return false;
            }
            if (!out_.wrong.empty()) return false;
            if (trouble_.meanwhile) trouble_.meanwhile(*tracer_);
            std::this_thread::sleep_for(milliseconds{5});
        }
        if (const auto took = since(from); took > out_.slowest) {
            out_.slowest = took;
            out_.slowest_phase = phase;
        }
        return out_.wrong.empty();
    }

    template <class T> std::map<std::string, T> table(const std::string& agent) const {
        std::map<std::string, T> all;
        std::error_code failure;
        for (const auto& file : fs::directory_iterator(bench_.root + "/run/" + agent + "/" + std::string(type_info<T>().name), failure)) {
            if (file.path().extension() != ".json") continue;
            if (auto record = from_json<T>(text_of(file.path()))) all.emplace(file.path().stem().string(), std::move(*record));
        }
        return all;
    }

    void apply(const Config& config) {
        const auto path = bench_.root + "/config/device-config";
        std::ofstream(path + ".new") << json_of(config, bench_);
        fs::rename(path + ".new", path);
    }

    /// Empty, or why app is not running; its pid in `pid`.
    std::string running(const std::string& app, std::int64_t& pid) const {
        const auto apps = table<types::AppInstanceStatus>("zedmanager");
        const auto found = apps.find(app);
        if (found == apps.end()) return app + " is unknown";
        if (found->second.State != types::SwState::RUNNING)
            return app + " is in state " + std::to_string(static_cast<int>(found->second.State)) + " " + found->second.Error;
        for (const auto& [key, domain] : table<types::DomainStatus>("domainmgr"))
            if (domain.UUIDandVersion.UUID.to_string() == app && domain.State == types::SwState::RUNNING && domain.DomainId > 1) {
                pid = domain.DomainId;
                return {};
            }
        return app + " has no running domain";
    }

    std::vector<pid_t> guests() const {
        std::vector<pid_t> all;
        for (const auto& process : tracer_->processes())
            if (process.role == "sleep" || process.role.starts_with("qemu-system")) all.push_back(process.pid);
        return all;
    }
    bool is_guest(std::int64_t pid) const {
        const auto all = guests();
        return std::find(all.begin(), all.end(), static_cast<pid_t>(pid)) != all.end();
    }
    std::string guest_count(std::size_t wanted) const {
        const auto all = guests();
        return all.size() == wanted ? std::string() : std::to_string(all.size()) + " guests instead of " + std::to_string(wanted);
    }
    void must_live(std::int64_t pid, const std::string& app) {
        if (!is_guest(pid)) wrong(app + " lost its process " + std::to_string(pid));
    }

    std::string rules() const { return output_of(bench_.node_ns, {"nft", "list", "ruleset"}); }

    void play() {
        std::int64_t one = 0, two = 0;
        Config config{.apps = {1, 2}};
        apply(config);
        const auto both = [&]() -> std::string {
            std::int64_t first = 0, second = 0;
            if (auto missing = running(app_one, first); !missing.empty()) return missing;
            if (auto missing = running(app_two, second); !missing.empty()) return missing;
            if (auto missing = guest_count(2); !missing.empty()) return missing;
            if (!is_guest(first) || !is_guest(second)) return "the pids reported are no guests";
            one = first;
            two = second;
            return rules().find("10.99.1.1") == std::string::npos ? "no rule of app 1" : "";
        };
        if (!until("create", both)) return;

        config.target = "10.99.3.3";
        apply(config);
        const auto changed = [&]() -> std::string {
            must_live(one, "app 1");
            must_live(two, "app 2");
            const auto now = rules();
            if (now.find("10.99.3.3") == std::string::npos) return "the new rule is not there";
            return now.find("10.99.1.1") != std::string::npos ? "the old rule is still there" : "";
        };
        if (!until("ACL change", changed)) return;

        config.restarts = 1;
        apply(config);
        std::int64_t again = 0;
        const auto restarted = [&]() -> std::string {
            must_live(two, "app 2");
            std::int64_t pid = 0;
            if (auto missing = running(app_one, pid); !missing.empty()) return missing;
            if (pid == one) return "app 1 still has its old process";
            again = pid;
            return guest_count(2);
        };
        if (!until("restart", restarted)) return;

        config.apps = {2};
        apply(config);
        const auto first_gone = [&]() -> std::string {
            must_live(two, "app 2");
            const auto apps = table<types::AppInstanceStatus>("zedmanager");
            if (apps.contains(app_one)) return "app 1 is still reported, state " + std::to_string(static_cast<int>(apps.at(app_one).State));
            if (rules().find("10.99.3.3") != std::string::npos) return "its rule is still there";
            return guest_count(1);
        };
        if (!until("delete one", first_gone)) return;
        std::int64_t last = 0;
        if (auto missing = running(app_two, last); !missing.empty() || last != two) return wrong("app 2: " + missing + ", pid " + std::to_string(last));

        config.apps = {};
        apply(config);
        const auto gone = [&]() -> std::string {
            if (!table<types::AppInstanceStatus>("zedmanager").empty()) return "apps are still reported";
            if (!table<types::NetworkInstanceStatus>("zedrouter").empty()) return "the network is still reported";
            if (!table<types::VolumeStatus>("volumemgr").empty()) return "volumes are still reported";
            if (!table<types::ContentTreeStatus>("volumemgr").empty()) return "the content tree is still reported";
            for (const auto& process : tracer_->processes())
                if (process.role != "zedbox" && process.role != "plugin-host") return process.role + " " + std::to_string(process.pid) + " still runs";
            return guest_count(0);
        };
        if (!until("delete all", gone)) return;
        tracer_->disarm();
        if (!until("settle", [&] { return settled(); })) return;

        tracer_->hold();
        const auto stopped = [&]() -> std::string {
            for (const auto& process : tracer_->processes()) return process.role + " " + std::to_string(process.pid) + " still runs";
            return {};
        };
        if (const pid_t node = tracer_->node(); node > 0) ::kill(node, SIGTERM);
        if (!until("stop", stopped)) return;
    }

    /// The node is up and holds no more descriptors than a node to which nothing happened.
    std::string settled() {
        const auto node = static_cast<pid_t>(std::strtol(text_of(bench_.root + "/run/zedbox.pid").c_str(), nullptr, 10));
        if (node <= 0 || tracer_->node() <= 0 || ::kill(node, 0) != 0) return "the node is not up";
        std::error_code failure;
        out_.descriptors = 0;
        for (const auto& fd : fs::directory_iterator("/proc/" + std::to_string(node) + "/fd", failure)) out_.descriptors += fd.path().empty() ? 0U : 1U;
        if (table<types::DeviceNetworkStatus>("nim").empty()) return "nim is not up yet";
        // What nobody asks for is found by the next look for garbage, six seconds with this timer.gc.vdisk.
        for (const char* place : {"/persist/clear/volumes", "/persist/vault/store/blobs/sha256"})
            for (const auto& file : fs::directory_iterator(bench_.root + place, failure)) return file.path().string() + " is still there";
        if (expected_ && out_.descriptors > expected_->descriptors)
            return std::to_string(out_.descriptors) + " descriptors instead of " + std::to_string(expected_->descriptors);
        return {};
    }

    std::string network_now() const {
        auto text = links();
        for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{{"ip", "rule"}, {"ip", "route", "show", "table", "all"}, {"nft", "list", "tables"}})
            for (const auto& line : lines_of(output_of(bench_.node_ns, words)))
                if (line.find("fe80:") == std::string::npos) text += line + "\n";  // the kernel's own, when it is done with them
        return text;
    }
    std::string links() const {
        std::string names;
        for (const auto& line : lines_of(output_of(bench_.node_ns, {"ip", "-o", "link", "show"}))) {
            std::istringstream in(line);
            std::string number, name;
            in >> number >> name;
            names += name + "\n";
        }
        return names;
    }

    void check_leftovers(const std::string& network_before) {
        phase_ = "leftovers";
        if (const auto now = network_now(); now != network_before) wrong("the network was\n" + network_before + "and is now\n" + now);
        for (const auto& line : lines_of(text_of("/proc/self/mountinfo")))
            if (line.find(bench_.root + "/") != std::string::npos) wrong("mount " + line);
        std::error_code failure;
        for (fs::recursive_directory_iterator entry("/sys/fs/cgroup", fs::directory_options::skip_permission_denied, failure), end; !failure && entry != end; entry.increment(failure)) {
            if (!entry->is_directory(failure) || entry->is_symlink(failure)) continue;
            const auto name = entry->path().filename().string();
            if (name.find("00000000-0000-4000-8000-00000020000") == std::string::npos) continue;  // others may run beside us
            if (text_of(entry->path() / "cgroup.procs").empty()) wrong("cgroup " + entry->path().string());
        }
        for (fs::recursive_directory_iterator entry(bench_.root, failure), end; !failure && entry != end; entry.increment(failure)) {
            const auto path = entry->path().string().substr(bench_.root.size());
            if (path.find("/log/") != std::string::npos) continue;
            out_.files.insert(path);
            if (entry->is_socket(failure)) wrong("socket " + path);
        }
        if (expected_)
            for (const auto& file : out_.files)
                if (!expected_->files.contains(file) && !collected_later(file)) wrong("file " + file);
    }

    /// A node that dies between the wish to delete and the deed keeps zedrouter's reserved numbers for five minutes, and a half-done download
    /// until the downloader's sweep, in case the config comes back.
    static bool collected_later(const std::string& file) {
        static const std::vector<std::string> kept{"/persist/status/zedrouter/UuidToNum/", "/persist/status/zedrouter/AppInterfaceToNum/",
                                                   "/persist/status/zedrouter/AppMACGenerator/", "/persist/vault/downloader/pending/"};
        return std::any_of(kept.begin(), kept.end(), [&](const auto& place) { return file.starts_with(place); });
    }

    void describe_state() {
        for (const auto& process : tracer_->processes()) out_.wrong.push_back("  lives: " + process.role + " " + std::to_string(process.pid));
        for (const auto& [key, app] : table<types::AppInstanceStatus>("zedmanager"))
            out_.wrong.push_back("  app " + key + " state " + std::to_string(static_cast<int>(app.State)) + " error '" + app.Error + "'");
        for (const auto& [key, domain] : table<types::DomainStatus>("domainmgr"))
            out_.wrong.push_back("  domain " + key + " state " + std::to_string(static_cast<int>(domain.State)) + " pid " + std::to_string(domain.DomainId) +
                                 " error '" + domain.Error + "'");
        for (const auto& [key, volume] : table<types::VolumeStatus>("volumemgr"))
            out_.wrong.push_back("  volume " + key + " state " + std::to_string(static_cast<int>(volume.State)) + " error '" + volume.Error + "'");
    }

    /// A run that went wrong leaves its namespace as it can.
    void clean_up() const {
        for (const auto& line : lines_of(links())) {
            const auto name = line.substr(0, line.find_first_of("@:"));
            if (name != "lo" && name != "eth0") output_of(bench_.node_ns, {"ip", "link", "del", name});
        }
        output_of(bench_.node_ns, {"nft", "flush", "ruleset"});
        for (int table = 800; table < 812; ++table) output_of(bench_.node_ns, {"ip", "-6", "route", "del", "unreachable", "default", "table", std::to_string(table)});
        for (const char* family : {"-4", "-6"})
            for (const auto& line : lines_of(output_of(bench_.node_ns, {"ip", family, "route", "show", "table", "all"})))
                if (const auto at = line.find(" table 8"); at != std::string::npos)
                    output_of(bench_.node_ns, {"ip", family, "route", "flush", "table", line.substr(at + 7, 3)});
        for (const auto& line : lines_of(output_of(bench_.node_ns, {"ip", "rule"}))) {
            const auto preference = line.substr(0, line.find(':'));
            if (preference != "0" && preference != "32766" && preference != "32767") output_of(bench_.node_ns, {"ip", "rule", "del", "pref", preference});
        }
        std::error_code failure;
        for (fs::recursive_directory_iterator entry("/sys/fs/cgroup", fs::directory_options::skip_permission_denied, failure), end; !failure && entry != end; entry.increment(failure))
            if (entry->path().filename().string().find("00000000-0000-4000-8000-00000020000") != std::string::npos) ::rmdir(entry->path().c_str());
    }

    const Bench& bench_;
    const Trouble& trouble_;
    const std::optional<Expectation>& expected_;
    const Clock::time_point begin_;
    Tracer* tracer_ = nullptr;
    std::string phase_;
    Outcome out_;
};

}  // namespace

const std::vector<std::string>& node_roles() {
    static const std::vector<std::string> roles{"zedbox", "plugin-host", "keeper", "fetch", "confine", "dnsmasq", "qemu-img"};
    return roles;
}

Outcome run_scenario(const Bench& bench, const Trouble& trouble, const std::optional<Expectation>& expected) {
    return Script(bench, trouble, expected).run();
}

}  // namespace eve::crash
