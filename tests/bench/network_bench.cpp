// A thousand rules in one transaction beside nft reading the same from a file and rule by rule; two hundred app interfaces made and removed
// beside ip with a batch and ip one by one. In a network namespace of its own.

#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <thread>

#include "core/loop/asio_loop.hpp"
#include "net/netlink.hpp"
#include "net/nftables.hpp"
#include "plugins/kvm/tap.hpp"
#include "tests/bench/report.hpp"

namespace eve {
namespace {

using bench::report;

/// Runs a program, its output dropped; true when it succeeded.
bool run(std::vector<std::string> words) {
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    pid_t child = 0;
    const bool started = posix_spawnp(&child, argv[0], &quiet, nullptr, argv.data(), environ) == 0;
    posix_spawn_file_actions_destroy(&quiet);
    int status = 0;
    return started && waitpid(child, &status, 0) == child && status == 0;
}

double milliseconds(const Clock& clock, const std::function<bool()>& work) {
    const auto begun = clock.now();
    if (!work()) std::fprintf(stderr, "network_bench: a step failed\n");
    return std::chrono::duration<double, std::milli>(clock.now() - begun).count();
}

std::vector<std::string> rules(std::size_t count, unsigned generation) {
    std::vector<std::string> all;
    for (std::size_t n = 0; n < count; ++n)
        all.push_back("ip daddr 10." + std::to_string(generation) + "." + std::to_string(n / 250) + "." + std::to_string(n % 250 + 1) + " tcp dport " +
                      std::to_string(1000 + n) + " accept");
    return all;
}

void thousand_rules(const Clock& clock, const std::string& scratch) {
    constexpr std::size_t count = 1000;
    constexpr unsigned rounds = 7;
    const std::string hook = "type filter hook forward priority filter; policy drop;";
    std::vector<double> ours, file, single;
    net::Nftables nftables;
    for (unsigned round = 0; round < rounds; ++round) {
        const auto wanted = rules(count, round);
        ours.push_back(milliseconds(clock, [&] {
            return static_cast<bool>(nftables.apply({{.family = "inet", .sets = {}, .chains = {{.name = "forward", .hook = hook, .rules = wanted}}}}));
        }));
        const std::string name = scratch + "/rules.nft";
        std::ofstream text(name, std::ios::trunc);
        text << "table inet peer\nflush table inet peer\ntable inet peer { chain forward { " << hook << "\n";
        for (const auto& rule : wanted) text << rule << "\n";
        text << "}\n}\n";
        text.close();
        file.push_back(milliseconds(clock, [&] { return run({"nft", "-f", name}); }));
        if (round > 0) continue;  // it takes seconds
        run({"nft", "add", "table", "inet", "single"});
        run({"nft", "add", "chain", "inet", "single", "forward"});
        single.push_back(milliseconds(clock, [&] {
            bool good = true;
            for (const auto& rule : wanted) good = run({"nft", "add", "rule", "inet", "single", "forward", rule}) && good;
            return good;
        }));
    }
    for (const auto& [who, values] : {std::pair{"evenode", &ours}, std::pair{"nft -f", &file}, std::pair{"nft, rule by rule", &single}})
        report("1,000 rules replaced", who, *values, "ms");
}

/// Every interface whose name begins so, in one call.
bool remove_all(const std::string& prefix) {
    auto netlink = net::Netlink::open();
    if (!netlink) return false;
    auto links = (*netlink)->links();
    if (!links) return false;
    std::erase_if(*links, [&](const net::Link& link) { return !link.name.starts_with(prefix); });
    const auto removed = (*netlink)->remove(*links);
    return removed && removed->empty();
}

void two_hundred_interfaces(const Clock& clock, const std::string& scratch) {
    constexpr unsigned count = 200, rounds = 5, holders_at_once = 8;  // as many calls as the kvm plugin takes
    run({"ip", "link", "add", "bn1", "type", "bridge"});
    run({"ip", "link", "set", "bn1", "up"});
    const auto name = [](unsigned n) { return "nbu1x" + std::to_string(n); };
    const auto batch = [&](const char* file, const std::function<std::string(unsigned)>& lines) {
        const std::string path = scratch + "/" + file;
        std::ofstream text(path, std::ios::trunc);
        for (unsigned n = 0; n < count; ++n) text << lines(n);
        return path;
    };
    const auto up = batch("up", [&](unsigned n) {
        return "tuntap add dev " + name(n) + " mode tap\nlink set " + name(n) + " master bn1\nlink set " + name(n) + " up\n";
    });
    const auto down = batch("down", [&](unsigned n) { return "link del " + name(n) + "\n"; });
    std::vector<double> ours_up, ours_down, let_go, batch_up, batch_down, single_up, single_down;
    for (unsigned round = 0; round < rounds; ++round) {
        std::vector<kvm::UniqueFd> taps;
        ours_up.push_back(milliseconds(clock, [&] {
            for (unsigned n = 0; n < count; ++n) {
                auto tap = kvm::open_tap({.name = name(n), .bridge = "bn1", .guest_mac = "02:16:3e:00:00:01", .mtu = 0});
                if (!tap) return false;
                taps.push_back(std::move(*tap));
            }
            return true;
        }));
        ours_down.push_back(milliseconds(clock, [&] {
            const bool removed = remove_all("nbu1x");
            taps.clear();  // their holders' part
            return removed && !kvm::interface_exists(name(0));
        }));
        for (unsigned n = 0; n < count; ++n) {
            auto tap = kvm::open_tap({.name = name(n), .bridge = "bn1", .guest_mac = "02:16:3e:00:00:01", .mtu = 0});
            if (tap) taps.push_back(std::move(*tap));
        }
        let_go.push_back(milliseconds(clock, [&] {
            std::vector<std::thread> holders;
            for (unsigned holder = 0; holder < holders_at_once; ++holder)
                holders.emplace_back([&, holder] {
                    for (unsigned n = holder; n < taps.size(); n += holders_at_once) taps[n] = {};
                });
            for (auto& holder : holders) holder.join();
            taps.clear();
            return !kvm::interface_exists(name(0));
        }));
        batch_up.push_back(milliseconds(clock, [&] { return run({"ip", "-batch", up}); }));
        batch_down.push_back(milliseconds(clock, [&] { return run({"ip", "-batch", down}); }));
        if (round > 0) continue;
        single_up.push_back(milliseconds(clock, [&] {
            bool good = true;
            for (unsigned n = 0; n < count; ++n)
                good = run({"ip", "tuntap", "add", "dev", name(n), "mode", "tap"}) && run({"ip", "link", "set", name(n), "master", "bn1"}) &&
                       run({"ip", "link", "set", name(n), "up"}) && good;
            return good;
        }));
        single_down.push_back(milliseconds(clock, [&] {
            bool good = true;
            for (unsigned n = 0; n < count; ++n) good = run({"ip", "link", "del", name(n)}) && good;
            return good;
        }));
    }
    for (const auto& [who, values] : {std::pair{"evenode", &ours_up}, std::pair{"ip -batch", &batch_up}, std::pair{"ip, one by one", &single_up}})
        report("200 app interfaces up", who, *values, "ms");
    for (const auto& [who, values] : {std::pair{"evenode", &ours_down}, std::pair{"ip -batch", &batch_down}, std::pair{"ip, one by one", &single_down}})
        report("200 app interfaces down", who, *values, "ms");
    report("200 app interfaces let go of by their guests, eight at once", "evenode", let_go, "ms");
}

/// Of networks that go.
void fifty_bridges(const Clock& clock, const std::string& scratch) {
    constexpr unsigned count = 50, rounds = 3;
    const auto name = [](unsigned n) { return "bn" + std::to_string(n + 2); };
    std::ofstream add(scratch + "/bridges", std::ios::trunc), remove(scratch + "/no-bridges", std::ios::trunc);
    for (unsigned n = 0; n < count; ++n) {
        add << "link add " << name(n) << " up type bridge\n";
        remove << "link del " << name(n) << "\n";
    }
    add.close();
    remove.close();
    run({"ip", "link", "del", "bn1"});
    std::vector<double> ours, batch;
    for (unsigned round = 0; round < rounds; ++round) {
        run({"ip", "-batch", scratch + "/bridges"});
        ours.push_back(milliseconds(clock, [&] { return remove_all("bn"); }));
        run({"ip", "-batch", scratch + "/bridges"});
        batch.push_back(milliseconds(clock, [&] { return run({"ip", "-batch", scratch + "/no-bridges"}); }));
    }
    report("50 bridges removed", "evenode", ours, "ms");
    report("50 bridges removed", "ip -batch", batch, "ms");
}

}  // namespace
}  // namespace eve

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: network_bench DIRECTORY   the directory is for scratch files\n");
        return 2;
    }
    if (unshare(CLONE_NEWNET) != 0) {
        std::perror("network_bench: a network namespace of its own");
        return 1;
    }
    const eve::SystemClock clock;
    eve::thousand_rules(clock, argv[1]);
    eve::two_hundred_interfaces(clock, argv[1]);
    eve::fifty_bridges(clock, argv[1]);
}
