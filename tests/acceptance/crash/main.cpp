// crash-anywhere: puts a node through a script (scenario.hpp) again and again, and kills one of its processes before call k, for k spread over
// all processes; two processes, the second while the node recovers from the first; or all at a random instant. Or lets call k fail, or come up
// short; or stops a process there for a while. Prints what went wrong with the one line that does it again.

#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/acceptance/crash/scenario.hpp"
#include "tests/doubles/prng.hpp"

namespace {

using namespace eve::crash;
using eve::Prng;

struct Options {
    Bench bench;
    std::string mode = "spread";
    std::string role;  // one kill: --role R --call K; --error ENOSPC and so on: one failure
    std::uint64_t call = 0;
    std::string error;
    std::chrono::milliseconds stopped{12'000};
    std::string then_role;
    std::uint64_t then_call = 0;
    std::uint64_t seed = 1;
    std::chrono::seconds seconds{60};
    unsigned runs = 1'000'000;
    bool verbose = false;
};

int usage() {
    std::fprintf(stderr,
                 "usage: crash-anywhere --root DIR --bin DIR --ns NAME --url URL --image FILE --sha256 HEX --size BYTES [--real]\n"
                 "       [--mode spread|all|recovery|mixed|fail|stop] [--seed N] [--seconds N] [--runs N] [--limit-ms N] [--verbose]\n"
                 "       [--role ROLE --call K [--error NAME] [--then-role ROLE --then-call K]] [--stopped-ms N]\n");
    return 2;
}

bool read_options(int argc, char** argv, Options& o) {
    for (int i = 1; i < argc; ++i) {
        const std::string name = argv[i];
        if (name == "--real") { o.bench.real_guests = true; continue; }
        if (name == "--verbose") { o.verbose = true; continue; }
        if (++i >= argc) return false;
        const std::string value = argv[i];
        const auto number = std::strtoull(value.c_str(), nullptr, 10);
        if (name == "--root") o.bench.root = value;
        else if (name == "--bin") o.bench.bin = value;
        else if (name == "--ns") o.bench.node_ns = value;
        else if (name == "--url") o.bench.image_url = value;
        else if (name == "--image") o.bench.image_file = value;
        else if (name == "--sha256") o.bench.image_sha256 = value;
        else if (name == "--size") o.bench.image_size = number;
        else if (name == "--limit-ms") o.bench.phase_limit = std::chrono::milliseconds{number};
        else if (name == "--mode") o.mode = value;
        else if (name == "--role") o.role = value;
        else if (name == "--call") o.call = number;
        else if (name == "--error") o.error = value;
        else if (name == "--stopped-ms") o.stopped = std::chrono::milliseconds{number};
        else if (name == "--then-role") o.then_role = value;
        else if (name == "--then-call") o.then_call = number;
        else if (name == "--seed") o.seed = number;
        else if (name == "--seconds") o.seconds = std::chrono::seconds{number};
        else if (name == "--runs") o.runs = static_cast<unsigned>(number);
        else return false;
    }
    return !o.bench.root.empty() && !o.bench.bin.empty() && !o.bench.node_ns.empty();
}

/// A way to fail, and the calls that the kernel may let fail so.
struct Failure {
    const char* name;
    Fault fault;
    int error;
    std::vector<long> calls;
};

const std::vector<Failure>& failures() {
    static const std::vector<long> disk{SYS_write, SYS_pwrite64, SYS_openat, SYS_mkdir, SYS_mkdirat, SYS_rename, SYS_renameat, SYS_linkat,
                                        SYS_symlink, SYS_ftruncate, SYS_fallocate, SYS_copy_file_range};
    static const std::vector<long> syncs{SYS_fsync, SYS_fdatasync, SYS_write, SYS_pwrite64, SYS_openat, SYS_unlinkat, SYS_unlink, SYS_renameat, SYS_rename};
    static const std::vector<long> descriptors{SYS_openat, SYS_socket, SYS_socketpair, SYS_pipe2, SYS_memfd_create, SYS_eventfd2, SYS_inotify_init1};
    static const std::vector<long> memory{SYS_clone, SYS_clone3, SYS_vfork, SYS_openat, SYS_sendmsg, SYS_sendto, SYS_socket, SYS_ioctl, SYS_mkdirat};
    static const std::vector<long> slow{SYS_openat, SYS_write, SYS_fsync, SYS_fdatasync, SYS_connect, SYS_sendto, SYS_sendmsg, SYS_flock};
    static const std::vector<Failure> all{
        {"EIO", Fault::fail, EIO, syncs},          {"ENOSPC", Fault::fail, ENOSPC, disk},     {"EDQUOT", Fault::fail, EDQUOT, disk},
        {"EINTR", Fault::fail, EINTR, slow},       {"EMFILE", Fault::fail, EMFILE, descriptors}, {"ENOMEM", Fault::fail, ENOMEM, memory},
        {"EAGAIN", Fault::fail, EAGAIN, {SYS_clone, SYS_clone3, SYS_vfork, SYS_fork}}, {"short", Fault::cut_short, 0, {SYS_write, SYS_pwrite64}},
    };
    return all;
}

const Failure* find_failure(const std::string& name) {
    for (const auto& failure : failures())
        if (name == failure.name) return &failure;
    return nullptr;
}

void print(const Outcome& out, const std::string& how, bool verbose) {
    if (out.wrong.empty() && !verbose) return;
    std::string hits;
    for (const auto& hit : out.hits) hits += (hits.empty() ? "" : "; ") + hit.role + ": " + hit.call;
    std::printf("%s  %s [%s] %lld ms, slowest %s %lld ms, %d starts\n", out.wrong.empty() ? "ok    " : "FAILED", how.c_str(), hits.c_str(),
                static_cast<long long>(out.whole.count()), out.slowest_phase.c_str(), static_cast<long long>(out.slowest.count()), out.starts);
    for (const auto& line : out.wrong) std::printf("        %s\n", line.c_str());
    std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    if (!read_options(argc, argv, options)) return usage();
    const auto& bench = options.bench;
    const auto log = bench.root + ".out";

    if (options.call != 0) {
        Trouble trouble{.trigger = {.role = options.role, .call = options.call}, .armed = true};
        if (const auto* failure = find_failure(options.error)) {
            trouble.trigger.fault = failure->fault;
            trouble.trigger.error = failure->error;
            trouble.trigger.calls = failure->calls;
        }
        if (options.then_call != 0) trouble.after = Trigger{.role = options.then_role, .call = options.then_call};
        const auto out = run_scenario(bench, trouble, std::nullopt);
        print(out, "--role " + options.role + " --call " + std::to_string(options.call), true);
        return out.wrong.empty() ? 0 : 1;
    }

    // What a run is like in which nothing happens: twice, since names may differ from run to run.
    Expectation expected;
    std::map<std::string, std::uint64_t> counts;
    for (int i = 0; i < 2; ++i) {
        std::remove(log.c_str());
        const auto out = run_scenario(bench, {}, std::nullopt);
        print(out, "nothing killed", true);
        if (!out.wrong.empty()) return 1;
        expected.files.insert(out.files.begin(), out.files.end());
        expected.descriptors = std::max(expected.descriptors, out.descriptors);
        for (const auto& [role, n] : out.counts) counts[role] = std::max(counts[role], n);
    }
    std::uint64_t total = 0;
    std::printf("calls counted:");
    for (const auto& [role, n] : counts) {
        std::printf(" %s %llu", role.c_str(), static_cast<unsigned long long>(n));
        total += n;
    }
    std::printf("; %zu descriptors, %zu files at the end\n", expected.descriptors, expected.files.size());
    std::fflush(stdout);

    const auto begin = std::chrono::steady_clock::now();
    unsigned runs = 0, failed = 0, missed = 0;
    std::chrono::milliseconds slowest{0};
    for (std::uint64_t seed = options.seed; runs < options.runs && std::chrono::steady_clock::now() - begin < options.seconds; ++seed, ++runs) {
        Prng prng(seed);
        Trouble trouble;
        std::string how;
        const auto draw = [&](bool whole) {
            // Half of the draws give every role the same chance, the other half every call.
            Trigger trigger;
            if (prng.below(2) == 0) {
                auto at = prng.below(counts.size());
                auto role = counts.begin();
                std::advance(role, static_cast<long>(at));
                trigger.role = role->first;
                trigger.call = 1 + prng.below(whole ? role->second : std::min<std::uint64_t>(role->second, 200));
            } else {
                auto at = prng.below(total);
                for (const auto& [role, n] : counts) {
                    trigger.role = role;
                    trigger.call = 1 + at;
                    if (at < n) break;
                    at -= n;
                }
                if (!whole) trigger.call = 1 + trigger.call % 500;
            }
            return trigger;
        };
        auto mode = options.mode;
        if (mode == "mixed") mode = std::vector<std::string>{"spread", "spread", "recovery", "all"}[prng.below(4)];
        if (mode == "spread" || mode == "recovery") {
            trouble.armed = true;
            trouble.trigger = draw(true);
            how = "--role " + trouble.trigger.role + " --call " + std::to_string(trouble.trigger.call);
            if (mode == "recovery") {
                trouble.after = draw(false);
                how += " --then-role " + trouble.after->role + " --then-call " + std::to_string(trouble.after->call);
            }
        } else if (mode == "fail") {
            const auto& failure = failures()[prng.below(failures().size())];
            trouble.armed = true;
            trouble.trigger = draw(true);
            // Only some calls are of that kind: about one in eight.
            trouble.trigger.call = 1 + trouble.trigger.call / 8;
            trouble.trigger.fault = failure.fault;
            trouble.trigger.error = failure.error;
            trouble.trigger.calls = failure.calls;
            how = "--error " + std::string(failure.name) + " --role " + trouble.trigger.role + " --call " + std::to_string(trouble.trigger.call);
        } else if (mode == "stop") {
            trouble.armed = true;
            trouble.trigger = draw(true);
            trouble.trigger.fault = Fault::stop;
            auto until = std::make_shared<std::optional<std::chrono::steady_clock::time_point>>();
            trouble.meanwhile = [until, stopped = options.stopped](Tracer& tracer) {
                const auto hits = tracer.hits();
                if (hits.empty()) return;
                if (!*until) *until = std::chrono::steady_clock::now() + stopped;
                else if (std::chrono::steady_clock::now() >= **until) tracer.let_go();
            };
            how = "stopped: --role " + trouble.trigger.role + " --call " + std::to_string(trouble.trigger.call);
        } else if (mode == "all") {
            // Kept by the callbacks of this run only.
            auto ticks = std::make_shared<std::uint64_t>(1 + prng.below(200));
            trouble.meanwhile = [ticks](Tracer& tracer) {
                if (*ticks != 0 && --*ticks == 0) tracer.kill_all(node_roles());
            };
            how = "all at once after " + std::to_string(*ticks) + " looks";
        }
        std::remove(log.c_str());
        const auto out = run_scenario(bench, trouble, expected);
        slowest = std::max(slowest, out.slowest);
        if (trouble.armed && out.hits.empty()) ++missed;
        if (!out.wrong.empty()) {
            ++failed;
            std::ifstream from(log, std::ios::binary);
            std::ofstream(log + "." + std::to_string(seed), std::ios::binary) << from.rdbuf();
        }
        print(out, "--seed " + std::to_string(seed) + " " + how, options.verbose);
    }
    std::printf("%u runs, %u went wrong, %u kills came too late to hit, slowest phase %lld ms\n", runs, failed, missed,
                static_cast<long long>(slowest.count()));
    return failed == 0 && runs > 0 ? 0 : 1;
}
