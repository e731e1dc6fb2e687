#include "core/evectl/commands.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <utility>

#include "core/evectl/adapters.hpp"
#include "core/evectl/console.hpp"
#include "core/evectl/exec.hpp"
#include "core/evectl/progress.hpp"
#include "core/evectl/report.hpp"
#include "core/evectl/terminal.hpp"
#include "core/evectl/watch.hpp"
#include "core/loop/asio_loop.hpp"
#include "core/types/app.hpp"
#include "core/types/domain.hpp"
#include "core/types/network.hpp"
#include "core/types/node.hpp"
#include "core/types/volume.hpp"
#include "core/zedagent/parse.hpp"
#include "core/zedagent/records.hpp"
#include "storage/durable_file.hpp"

namespace eve::evectl {
namespace {

constexpr int done = 0, failed = 1, usage = 2, timed_out = 3;
constexpr std::size_t bars_max = 12;           // as many lines at most for what is on its way
constexpr std::size_t columns_default = 79;
constexpr std::size_t tail_bytes = std::size_t{64} << 10;

int complain(const Error& error) {
    std::fprintf(stderr, "evectl: %s\n", error.what.c_str());
    if (!error.field.empty()) std::fprintf(stderr, "    at: %s\n", error.field.c_str());
    if (!error.hint.empty()) std::fprintf(stderr, "    %s\n", error.hint.c_str());
    return failed;
}

int wrong_usage(const std::string& what) {
    std::fprintf(stderr, "evectl: %s; see evectl --help\n", what.c_str());
    return usage;
}

class Session {
public:
    explicit Session(const Invocation& call) : call_(call), node_(Root(call.root)) {}

    int show(const Report& report) {
        if (!call_.quiet) std::fputs((call_.json ? report.json : report.text).c_str(), stdout);
        return done;
    }

    int status() {
        show(report_status(node_));
        return node_.node_running() != 0 ? done : failed;
    }

    int apply(const std::string& path) {
        std::ifstream in(path, std::ios::binary);
        if (!in) return complain({.code = Code::not_found, .what = "cannot read " + path, .hint = "give the path of an EdgeDevConfig, as JSON or binary"});
        const std::string bytes{std::istreambuf_iterator<char>(in), {}};
        const auto parsed = zedagent::parse(bytes, {.now = clock_.wall_now(), .items_before = nullptr});
        if (!parsed) {
            auto error = parsed.error();
            error.what = "the config is refused, the node's own stays in force: " + error.what;
            return complain(error);
        }
        const auto directory = storage::DurableDirectory::make(node_.root().path("/config"));
        const auto written = directory ? directory->write("device-config", bytes) : Status(directory.error());
        if (!written) return complain(written.error().in("give the node its config"));
        return await_config(zedagent::config_digest(bytes));
    }

    int wait(const std::string& wanted, const std::string& state) {
        const bool gone = state == "GONE";
        if (!gone && !is_state_name(state)) return wrong_usage("'" + state + "' is no state of EVE's (RUNNING, HALTED, BROKEN, ...) and not GONE");
        DirectoryWatch watch({node_.directory<types::AppInstanceStatus>("zedmanager"), node_.directory<types::AppNetworkStatus>("zedrouter"),
                              node_.directory<types::DomainStatus>("domainmgr"), node_.directory<types::VolumeStatus>("volumemgr"),
                              node_.directory<types::VolumeRefStatus>("volumemgr"), node_.directory<types::BlobStatus>("volumemgr")});
        const Instant deadline = clock_.now() + call_.timeout;
        std::string shown;
        BlobRates rates;
        for (;;) {
            const auto app = find_app(node_, wanted);
            if (!app && app.error().code == Code::invalid_argument) return complain(app.error());
            const AppProgress progress = app ? app_progress(node_, *app) : AppProgress{.line = "not known to the node"};
            std::vector<BlobProgress> blobs;
            if (app && !call_.quiet && (call_.json || call_.terminal)) {
                blobs = blobs_of(node_, *app);
                rates.see(blobs, clock_.now());
            }
            std::string now = call_.json ? progress_json(progress, blobs) : progress.line;
            if (call_.terminal && !call_.json)
                for (const auto& bar : progress_bars(blobs, columns(), bars_max)) now += "\n" + bar;
            if (now != shown) say(shown = std::move(now));
            if (gone ? !app : progress.state == state) return end_line(done);
            const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock_.now());
            if (left.count() <= 0) {
                end_line(done);
                std::fprintf(stderr, "evectl: %s is not %s after %lld s: %s\n", wanted.c_str(), state.c_str(),
                             static_cast<long long>(call_.timeout.count() / 1000), progress.line.c_str());
                return timed_out;
            }
            watch.wait(std::min(left, std::chrono::milliseconds{1000}));
        }
    }

    int restart(const AppName& app) {
        // As another local program would: a record in a directory that zedagent watches.
        types::LocalAppCommand command;
        command.Command = types::AppCommand::AppCommandRestart;
        const WallTime now = clock_.wall_now();
        command.LocalServerTimestamp = static_cast<std::uint64_t>(now.seconds) * 1'000'000'000U + static_cast<std::uint64_t>(now.nanoseconds);
        command.DeviceTimestamp = types::Time(now);
        const auto directory = storage::DurableDirectory::make(node_.directory<types::LocalAppCommand>("zedclient"));
        const auto written = directory ? directory->write(app.uuid + ".json", to_json(command), {.reach = storage::Reach::memory}) : Status(directory.error());
        if (!written) return complain(written.error().in("ask for a restart"));
        if (!call_.quiet) std::printf("%s will be restarted; evectl wait %s RUNNING shows when it is up.\n", app.name.c_str(), app.name.c_str());
        return done;
    }

    int with_app(const std::string& wanted, const std::function<int(const AppName&)>& act) {
        const auto app = find_app(node_, wanted);
        return app ? act(*app) : complain(app.error());
    }

    int console(const AppName& app) {
        const auto console = app_console(node_, app);
        if (console.socket.empty())
            return complain({.code = Code::unavailable, .what = app.name + " has no console now", .hint = "it has one while it runs: evectl app show " + app.name});
        return finish(attach_console(console.socket));
    }

    int exec(const AppName& app, std::vector<std::string> argv) {
        const auto code = run_exec({.socket = node_.root().path("/run/domainmgr/exec.sock"), .app = app.uuid, .argv = std::move(argv), .terminal_kind = call_.terminal_kind});
        if (code) return *code;
        complain(code.error());
        return exec_failed;
    }

    int logs(const AppName& app) {
        const auto console = app_console(node_, app);
        if (console.log.empty())
            return complain({.code = Code::unavailable, .what = app.name + " has no console log yet", .hint = "it has one once it was booted: evectl app show " + app.name});
        const auto print = [](std::string_view chunk) { return std::fwrite(chunk.data(), 1, chunk.size(), stdout) == chunk.size() && std::fflush(stdout) == 0; };
        return finish(read_file(console.log, tail_bytes, call_.follow ? Follow::yes : Follow::no, print));
    }

    int events() {
        std::string rest;  // of a line that is not complete yet
        const auto lines = [&](std::string_view chunk) {
            rest += chunk;
            std::size_t begin = 0;
            for (std::size_t end; (end = rest.find('\n', begin)) != std::string::npos; begin = end + 1) {
                const std::string line = rest.substr(begin, end - begin);
                if (std::puts((call_.json ? line : event_text(line)).c_str()) < 0) return false;
            }
            rest.erase(0, begin);
            return std::fflush(stdout) == 0;
        };
        return finish(read_file(node_.root().path("/run/zedbox/events.log"), tail_bytes, call_.follow ? Follow::yes : Follow::no, lines));
    }

    const NodeFiles& node() const { return node_; }

private:
    int finish(const Status& status) { return status ? done : complain(status.error()); }

    /// In a terminal the lines take the place of those that were said before.
    void say(const std::string& lines) {
        if (call_.quiet) return;
        if (call_.terminal && !call_.json) {
            std::printf("\r");
            if (lines_ > 1) std::printf("\033[%zuA", lines_ - 1);
            std::printf("\033[J%s", lines.c_str());
            lines_ = 1 + static_cast<std::size_t>(std::count(lines.begin(), lines.end(), '\n'));
        } else {
            std::printf("%s\n", lines.c_str());
        }
        std::fflush(stdout);
        in_line_ = call_.terminal && !call_.json;
    }
    static std::size_t columns() {
        const auto size = terminal_size();
        return size.ws_col == 0 ? columns_default : size.ws_col - 1U;
    }
    int end_line(int code) {
        if (std::exchange(in_line_, false)) std::printf("\n");
        return code;
    }

    /// Waits for zedagent's word on the file with this digest.
    int await_config(const std::string& digest) {
        if (node_.node_running() == 0) {
            if (!call_.quiet) std::printf("Stored; no node runs on this root: it will read the config when it starts.\n");
            return done;
        }
        DirectoryWatch watch({node_.directory<zedagent::ConfigStatus>("zedagent")});
        const Instant deadline = clock_.now() + std::min<std::chrono::nanoseconds>(call_.timeout, std::chrono::seconds{30});
        for (;;) {
            const auto status = node_.record<zedagent::ConfigStatus>("zedagent", "global");
            if (status.Digest == digest) {
                if (!status.Accepted) return complain({.code = Code::invalid_argument, .what = "the node refused the config: " + status.Error, .field = status.Field, .hint = status.Remedy});
                for (const auto& remark : config_remarks(status)) std::fprintf(stderr, "note: %s\n", remark.c_str());
                if (!call_.quiet) std::printf("Accepted.\n");
                return done;
            }
            const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock_.now());
            if (left.count() <= 0) {
                std::fprintf(stderr, "evectl: stored, but zedagent has not read it yet; evectl status and evectl events show why\n");
                return timed_out;
            }
            watch.wait(std::min(left, std::chrono::milliseconds{1000}));
        }
    }

    const Invocation& call_;
    SystemClock clock_;
    NodeFiles node_;
    bool in_line_ = false;
    std::size_t lines_ = 0;  ///< said last in a terminal
};

}  // namespace

int run(const Invocation& call) {
    Session session(call);
    const auto& words = call.words;
    const std::size_t count = words.size();
    const auto is = [&](std::initializer_list<const char*> expected, std::size_t total) {
        return count == total && std::equal(expected.begin(), expected.end(), words.begin());
    };

    if (is({"apps"}, 1)) return session.show(report_apps(session.node()));
    if (is({"volumes"}, 1)) return session.show(report_volumes(session.node()));
    if (is({"images"}, 1)) return session.show(report_images(session.node()));
    if (is({"networks"}, 1)) return session.show(report_networks(session.node()));
    if (is({"ports"}, 1)) return session.show(report_ports(session.node()));
    if (is({"adapters"}, 1)) return session.show(report_adapters(session.node()));
    if (is({"adapters", "plan"}, 3)) return session.with_app(words[2], [&](const AppName& app) { return session.show(report_adapter_plan(session.node(), app)); });
    if (is({"plugins"}, 1)) return session.show(report_plugins(session.node()));
    if (is({"status"}, 1)) return session.status();
    if (is({"events"}, 1)) return session.events();
    if (is({"apply"}, 2)) return session.apply(words[1]);
    if (is({"wait"}, 3)) return session.wait(words[1], words[2]);
    if (is({"app", "show"}, 3)) return session.with_app(words[2], [&](const AppName& app) { return session.show(report_app(session.node(), app)); });
    if (is({"app", "restart"}, 3)) return session.with_app(words[2], [&](const AppName& app) { return session.restart(app); });
    if (is({"app", "console"}, 3)) return session.with_app(words[2], [&](const AppName& app) { return session.console(app); });
    if (is({"app", "logs"}, 3)) return session.with_app(words[2], [&](const AppName& app) { return session.logs(app); });

    if (count >= 4 && words[0] == "app" && words[1] == "exec") {
        const auto code = session.with_app(words[2], [&](const AppName& app) { return session.exec(app, {words.begin() + 3, words.end()}); });
        return code == failed && !find_app(session.node(), words[2]) ? exec_failed : code;
    }

    std::string line;
    for (const auto& word : words) line += (line.empty() ? "" : " ") + word;
    return wrong_usage("no command reads '" + line + "'");
}

}  // namespace eve::evectl
