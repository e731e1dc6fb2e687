// zedagent in a world that fails by seed: files that are bad, absent, unreadable or not writable, crashes at any moment, reboots, local commands.
// Whatever happens, what is published is some config that was accepted, whole; counters never go back; and once the faults stop, the node has
// the file's config. EVE_SEED=n runs one seed.

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "core/zedagent/agent.hpp"
#include "tests/doubles/fake_config_files.hpp"
#include "tests/doubles/fake_record_store.hpp"
#include "tests/doubles/recording_log.hpp"
#include "tests/doubles/seeds.hpp"
#include "tests/doubles/sim_loop.hpp"

namespace eve::zedagent {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t seeds_default = 150;
constexpr int ticks = 40;
constexpr int variants = 4;

std::string uuid_of(char kind, int n) { return std::string("00000000-0000-4000-8000-0000000000") + kind + std::to_string(n); }
const std::string first_app = uuid_of('a', 0);

/// Good configs of one to four apps, each with a volume of its own; the first app is in all of them.
std::string config_text(int variant, int revision) {
    std::string volumes, apps;
    for (int i = 0; i <= variant; ++i) {
        const std::string comma = i == 0 ? "" : ",";
        volumes += comma + R"({"uuid":")" + uuid_of('b', i) + R"(","origin":{"type":"VCOT_BLANK"},"maxsizebytes":1024})";
        apps += comma + R"({"uuidandversion":{"uuid":")" + uuid_of('a', i) + R"("},"displayname":")" + std::to_string(revision) +
                R"(","activate":true,"volumeRefList":[{"uuid":")" + uuid_of('b', i) + R"("}]})";
    }
    return R"({"id":{"uuid":"00000000-0000-4000-8000-000000000001","version":")" + std::to_string(revision) + R"("},"volumes":[)" + volumes +
           R"(],"apps":[)" + apps + "]}";
}

class World {
public:
    explicit World(std::uint64_t seed) : prng_(seed), lanes_(loop_, Prng{seed + 1}) { boot(); }

    std::uint64_t steps() const { return loop_.steps(); }

    void tick() {
        switch (prng_.below(10)) {
            case 0:
            case 1:
            case 2: put_good(); break;
            case 3: files_.put(prng_.chance(50) ? std::string("garbage") : config_text(2, revision_).substr(0, 100 + prng_.below(200))); break;
            case 4: files_.put(std::nullopt); break;
            case 5: crash(); break;
            case 6:
                if (prng_.chance(30)) reboot();
                break;
            case 7: command(); break;
            case 8:
                files_.write_fault = prng_.chance(50) ? std::optional(Error{.code = Code::resource_exhausted, .what = "no space"}) : std::nullopt;
                break;
            default: files_.fault = prng_.chance(30) ? std::optional(Error{.code = Code::unavailable, .what = "I/O error"}) : std::nullopt; break;
        }
        run(std::chrono::milliseconds{prng_.between(0, 60)});
        if (prng_.chance(5)) run(2min);
    }

    void heal() {
        files_.fault.reset();
        files_.write_fault.reset();
        put_good();
        run(5min);
    }

    void expect_converged() const {
        const auto* status = status_->get("global");
        ASSERT_NE(status, nullptr);
        EXPECT_TRUE(status->Accepted) << status->Error;
        EXPECT_EQ(status->Digest, config_digest(*files_.config));
        EXPECT_EQ(files_.checkpoints.at(Checkpoint::last), *files_.config);
        EXPECT_EQ(apps_->items().size(), static_cast<std::size_t>(last_variant_ + 1));
        ASSERT_NE(apps_->get(first_app), nullptr);
        EXPECT_EQ(apps_->get(first_app)->DisplayName, std::to_string(revision_));
    }

private:
    void boot() {
        bus_.emplace(Bus::Deps{.loop = loop_, .log = log_, .store = &store_, .lanes = &bus_lanes_});
        requests_ = bus_->publish<types::LocalAppCommand>({.agent = "zedclient"});
        apps_ = bus_->subscribe<types::AppInstanceConfig>({.agent = "zedagent"}, {.deleted =
                                                                                     [](const std::string& key, const types::AppInstanceConfig&) {
                                                                                         EXPECT_NE(key, first_app) << "it is in every config";
                                                                                     },
                                                                                 .restarted = [this](int) { batch_ended(); }});
        volumes_ = bus_->subscribe<types::VolumeConfig>({.agent = "zedagent"});
        status_ = bus_->subscribe<ConfigStatus>({.agent = "zedagent"});
        start();
    }
    void start() {
        process_ = std::make_unique<SimProcess>(loop_);
        agent_ = std::make_unique<Agent>(
            Agent::Deps{.bus = *bus_, .loop = *process_, .lanes = lanes_, .log = log_, .files = files_, .watch = files_});
    }
    void stop() {
        lanes_.drop_everything();
        agent_.reset();
        process_.reset();
    }
    void crash() {
        stop();
        run(1ms);
        start();
    }
    void reboot() {
        stop();
        requests_.reset();
        apps_.reset();
        volumes_.reset();
        status_.reset();
        bus_.reset();
        store_.reboot();
        boot();
    }

    void put_good() {
        last_variant_ = static_cast<int>(prng_.below(variants));
        files_.put(config_text(last_variant_, ++revision_));
    }
    void command() {
        types::LocalAppCommand request;
        request.Command = prng_.chance(50) ? types::AppCommand::AppCommandRestart : types::AppCommand::AppCommandPurge;
        request.LocalServerTimestamp = ++commands_;
        ASSERT_TRUE(requests_->publish(first_app, request));
    }

    void run(std::chrono::nanoseconds time) {
        loop_.run_for(time);
        check();
    }

    /// The first app is in every config: whatever was counted for it must never be taken back.
    void check() {
        const auto* app = apps_->get(first_app);
        if (app == nullptr) return;
        ASSERT_GE(app->LocalRestartCmd.Counter, restarts_);
        ASSERT_GE(app->LocalPurgeCmd.Counter, purges_);
        restarts_ = app->LocalRestartCmd.Counter;
        purges_ = app->LocalPurgeCmd.Counter;
        const auto parsed_commands = files_.checkpoints.find(Checkpoint::local_commands);
        if (restarts_ + purges_ > 0) {
            ASSERT_NE(parsed_commands, files_.checkpoints.end()) << "published before it was on disk";
        }
    }
    /// At a marker the table is one whole config: as many apps as its variant has, all of one revision.
    void batch_ended() {
        ASSERT_FALSE(apps_->items().empty()) << "apps were deleted although every config has one";
        const auto& revision = apps_->items().begin()->second->DisplayName;
        for (const auto& [key, app] : apps_->items()) EXPECT_EQ(app->DisplayName, revision);
    }

    Prng prng_;
    SimClock clock_;
    SimLoop loop_{clock_};
    RecordingLog log_;
    FakeRecordStore store_;
    FakeConfigFiles files_;
    SimLanes lanes_;
    SimLanes bus_lanes_{loop_, Prng{1}};
    std::optional<Bus> bus_;
    std::unique_ptr<Publication<types::LocalAppCommand>> requests_;
    std::unique_ptr<Subscription<types::AppInstanceConfig>> apps_;
    std::unique_ptr<Subscription<types::VolumeConfig>> volumes_;
    std::unique_ptr<Subscription<ConfigStatus>> status_;
    std::unique_ptr<SimProcess> process_;
    std::unique_ptr<Agent> agent_;
    int revision_ = 0;
    int last_variant_ = 0;
    std::uint64_t commands_ = 0;
    std::uint32_t restarts_ = 0;
    std::uint32_t purges_ = 0;
};

TEST(ZedagentSimulation, KeepsToOneAcceptedConfigAndConvergesOnceFaultsStop) {
    Seeds seeds(seeds_default);
    while (const auto seed = seeds.next()) {
        SCOPED_TRACE(replay(*seed));
        World world(*seed);
        for (int i = 0; i < ticks && !testing::Test::HasFailure(); ++i) world.tick();
        world.heal();
        world.expect_converged();
        seeds.made(world.steps());
        if (testing::Test::HasFailure()) return;
    }
}

}  // namespace
}  // namespace eve::zedagent
