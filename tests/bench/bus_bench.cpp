// The bus beside what carries it: a publish to its handler in this process and in another one, against a bare socket with the same record;
// records made durable one by one and in groups, against write, fsync and rename for each.

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "core/bus/bus.hpp"
#include "core/bus/socket_transport.hpp"
#include "core/loop/asio_loop.hpp"
#include "storage/record_store.hpp"
#include "tests/bench/report.hpp"
#include "tests/doubles/recording_log.hpp"
#include "tests/bench/record.hpp"

namespace eve {
namespace {

using bench::report;

constexpr std::size_t record_bytes = 1024;

double microseconds(Instant from, Instant to) { return std::chrono::duration<double, std::micro>(to - from).count(); }

void pin_to_first_cpu() {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    sched_setaffinity(0, sizeof one, &one);
}

struct MemoryDirectory {
    std::string path = "/dev/shm/bus_bench.XXXXXX";
    MemoryDirectory() { path = mkdtemp(path.data()) == nullptr ? "" : path; }
    ~MemoryDirectory() {
        std::error_code ignored;
        if (!path.empty()) std::filesystem::remove_all(path, ignored);
    }
    MemoryDirectory(const MemoryDirectory&) = delete;
    MemoryDirectory& operator=(const MemoryDirectory&) = delete;
};

/// One process's end of the bus.
struct End {
    End(const Clock& clock, const std::string& root)
        : loop(clock), store(Root{root}), transport({.loop = loop, .log = log, .store = store, .root = Root{root}, .retry = std::chrono::milliseconds{5}}),
          bus({.loop = loop, .log = log, .store = &store, .transport = &transport}) {}
    AsioLoop loop;
    RecordingLog log;
    storage::RecordStore store;
    bus::SocketTransport transport;
    Bus bus;
};

BenchRecord filled(const Clock& clock) {
    return BenchRecord{.Text = std::string(record_bytes - 64, 'x'), .Number = clock.now().time_since_epoch().count()};
}

/// Each publish is made by the handler of the one before: nothing is collapsed.
void in_one_process(const Clock& clock) {
    constexpr int rounds = 200, publishes = 1000;
    std::vector<double> each;
    AsioLoop loop(clock);
    RecordingLog log;
    Bus bus({.loop = loop, .log = log});
    auto publication = bus.publish<BenchRecord>({.agent = "bench"});
    int left = 0;
    Instant begun;
    BenchRecord value = filled(clock);
    const auto next = [&] {
        value.Number++;
        static_cast<void>(publication->publish("key", value));
    };
    const auto round = [&] {
        left = publishes;
        begun = clock.now();
        next();
    };
    auto subscription = bus.subscribe<BenchRecord>({.agent = "bench"}, {.created = [&](const std::string&, const BenchRecord&) {
        if (--left > 0) return next();
        each.push_back(microseconds(begun, clock.now()) / publishes);
        if (each.size() == rounds) return loop.stop();
        round();
    }});
    loop.post(round);
    loop.run();
    report("publish -> handler, in process, 1 KiB", "evenode", each, "us");
}

/// The subscriber takes the time from the record; both processes read the same clock.
void to_another_process(const Clock& clock, bool pinned) {
    constexpr std::size_t samples = 3000;
    const MemoryDirectory root;  // /run is in memory on every node
    std::array<int, 2> answer{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, answer.data()) != 0) return;
    if (pinned) pin_to_first_cpu();
    const pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        End end(clock, root.path);
        const auto subscription = end.bus.subscribe<BenchRecord>({.agent = "bench"}, {.created = [&](const std::string&, const BenchRecord& now) {
            const double took = microseconds(Instant{std::chrono::nanoseconds{now.Number}}, clock.now());
            if (write(answer[1], &took, sizeof took) != sizeof took) _exit(1);
        }});
        end.loop.run();
        _exit(0);
    }
    End end(clock, root.path);
    const auto publication = end.bus.publish<BenchRecord>({.agent = "bench"});
    std::vector<double> each;
    end.loop.watch(answer[0], Ready::readable, [&] {
        double took = 0;
        if (read(answer[0], &took, sizeof took) != sizeof took || each.size() == samples) return end.loop.stop();
        each.push_back(took);
        static_cast<void>(publication->publish("key", filled(clock)));
    });
    static_cast<void>(publication->publish("key", filled(clock)));
    end.loop.run();
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    close(answer[0]);
    close(answer[1]);
    if (each.size() > 100) each.erase(each.begin(), each.begin() + 100);  // what came while the two found each other
    report(std::string("publish -> handler, other process, 1 KiB, ") + (pinned ? "pinned" : "not pinned"), "evenode", each, "us");
}

/// The floor: the same bytes through a socket of the same kind, epoll on both ends, no records.
void bare_socket(const Clock& clock, bool pinned) {
    constexpr std::size_t samples = 3000;
    std::array<int, 2> there{}, back{};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, there.data()) != 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, back.data()) != 0) return;
    if (pinned) pin_to_first_cpu();
    const auto wait_for = [](int fd) {
        const int poller = epoll_create1(EPOLL_CLOEXEC);
        epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
        return poller;
    };
    const pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        const int poller = wait_for(there[1]);
        std::array<char, record_bytes> message{};
        epoll_event event{};
        while (epoll_wait(poller, &event, 1, -1) == 1 && read(there[1], message.data(), message.size()) > 0) {
            std::int64_t sent = 0;
            std::memcpy(&sent, message.data(), sizeof sent);
            const double took = microseconds(Instant{std::chrono::nanoseconds{sent}}, clock.now());
            if (write(back[1], &took, sizeof took) != sizeof took) break;
        }
        _exit(0);
    }
    const int poller = wait_for(back[0]);
    std::array<char, record_bytes> message{};
    std::vector<double> each;
    while (each.size() < samples) {
        const std::int64_t now = clock.now().time_since_epoch().count();
        std::memcpy(message.data(), &now, sizeof now);
        if (write(there[0], message.data(), message.size()) < 0) break;
        epoll_event event{};
        double took = 0;
        if (epoll_wait(poller, &event, 1, 1000) != 1 || read(back[0], &took, sizeof took) != sizeof took) break;
        each.push_back(took);
    }
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    for (const int fd : {there[0], there[1], back[0], back[1], poller}) close(fd);
    report(std::string("publish -> handler, other process, 1 KiB, ") + (pinned ? "pinned" : "not pinned"), "bare socket", each, "us");
}

/// `directory` is on the disk that /persist would be on.
void durable(const Clock& clock, const std::string& directory) {
    constexpr std::size_t keys = 512, group = 64, rounds = 7;
    const std::string json(record_bytes, 'x');
    std::vector<double> single, grouped, settled, peer, floor;
    for (std::size_t round = 0; round < rounds; ++round) {
        const std::string base = directory + "/round" + std::to_string(round);
        storage::RecordStore store{Root{base}};
        const bus::TableId table{.agent = "bench", .topic = "BenchRecord", .persistent = true};
        const auto change = [&](std::size_t n) {
            return bus::StoreChange{.kind = bus::StoreChange::Kind::put, .table = table, .key = "key" + std::to_string(n), .json = "\"" + json + "\""};
        };
        static_cast<void>(store.commit({change(keys + 1)}));
        auto begun = clock.now();
        for (std::size_t n = 0; n < keys / 8; ++n) static_cast<void>(store.append({change(n)}));
        single.push_back(1e6 * (keys / 8) / microseconds(begun, clock.now()));
        begun = clock.now();
        for (std::size_t n = 0; n < keys; n += group) {
            std::vector<bus::StoreChange> batch;
            for (std::size_t i = 0; i < group; ++i) batch.push_back(change(n + i));
            static_cast<void>(store.append(batch));
        }
        grouped.push_back(1e6 * keys / microseconds(begun, clock.now()));
        begun = clock.now();
        static_cast<void>(store.settle(keys));
        settled.push_back(1e6 * keys / microseconds(begun, clock.now()));
        const std::string name = base + "/peer";
        begun = clock.now();
        for (std::size_t n = 0; n < keys / 8; ++n) {
            const int fd = open((name + ".new").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
            if (fd < 0 || write(fd, json.data(), json.size()) < 0 || fsync(fd) != 0) break;
            close(fd);
            if (rename((name + ".new").c_str(), (name + std::to_string(n)).c_str()) != 0) break;
        }
        peer.push_back(1e6 * (keys / 8) / microseconds(begun, clock.now()));
        // What the disk allows whoever is to be durable once a record.
        const int log = open((base + "/floor").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        begun = clock.now();
        for (std::size_t n = 0; n < keys / 8; ++n)
            if (write(log, json.data(), json.size()) < 0 || fdatasync(log) != 0) break;
        floor.push_back(1e6 * (keys / 8) / microseconds(begun, clock.now()));
        close(log);
    }
    report("durable publishes a second, one by one", "evenode", single, "/s");
    report("durable publishes a second, one by one", "write, fsync, rename", peer, "/s");
    report("durable publishes a second, one by one", "append, fdatasync", floor, "/s");
    report("durable publishes a second, groups of 64", "evenode", grouped, "/s");
    report("durable publishes a second, groups of 64", "write, fsync, rename", peer, "/s");
    report("files that follow them later, a second", "evenode", settled, "/s");
}

}  // namespace
}  // namespace eve

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: bus_bench DIRECTORY   the directory is for durable records, on a real disk\n");
        return 2;
    }
    const eve::SystemClock clock;
    eve::in_one_process(clock);
    for (const bool pinned : {false, true}) {  // pinning stays: last
        eve::to_another_process(clock, pinned);
        eve::bare_socket(clock, pinned);
        if (!pinned) eve::durable(clock, argv[1]);
    }
}
