// A plugin that does everything wrong, at random and seeded: fails, hangs, crashes, answers late, twice, rubbish or a gigabyte. Whatever it does,
// the call comes back in time, what is said of the domain afterwards is true, and other apps are untouched.
//
// EVE_PLUGIN_FAULTS=N tries N faults each way instead of some hundreds.

#include <cstdlib>
#include <set>

#include "core/plugin/frame.hpp"
#include "eve/testing/call_context.hpp"
#include "tests/conformance/plugin_fixture.hpp"
#include "tests/doubles/prng.hpp"

namespace eve::plugin {
namespace {

constexpr std::chrono::milliseconds short_limit{50};
constexpr std::chrono::milliseconds long_limit{20'000};
constexpr std::int64_t slack_ns = 5'000'000'000;  // a machine with other work
constexpr int bystanders = 5;

struct Action {
    const char* label;            // as the mock reads it
    std::set<Code> codes;         // one of which comes
    bool works = true;            // the call has its effect
    bool dies = false;            // the plugin's host does not outlive it
    bool waits = false;           // takes until the limit, or longer
};

const std::vector<Action>& quick() {
    static const std::vector<Action> all{
        {"fail", {Code::unavailable}, false},    {"fail:resource_exhausted", {Code::resource_exhausted}, false},
        {"throw", {Code::internal}, false},      {"lose_reply", {Code::unavailable}},
        {"lie", {Code::ok}, false},              {"delay:3", {Code::ok}},
        {"rubbish", {Code::internal}},           {"huge", {Code::internal}},
        {"gigabyte", {Code::internal}},          {"twice", {Code::ok}},
    };
    return all;
}
const std::vector<Action>& deadly() {
    static const std::vector<Action> all{{"crash", {Code::unavailable}, false, true}, {"exit", {Code::unavailable}, false, true}};
    return all;
}
const std::vector<Action>& slow() {
    static const std::vector<Action> all{{"slow", {Code::cancelled, Code::timed_out}, false, false, true},
                                         {"late:600", {Code::timed_out}, true, true, true}};
    return all;
}
const Action hang{"hang", {Code::timed_out}, false, true, true};

class Faults : public ::testing::TestWithParam<Isolation> {
protected:
    bool isolated() const { return GetParam() == Isolation::process; }
    static std::size_t count(std::size_t ordinary) {
        const char* text = std::getenv("EVE_PLUGIN_FAULTS");
        return text == nullptr ? ordinary : std::strtoul(text, nullptr, 10);
    }
    static DomainSpec spec(const std::string& id, Labels labels = {}) {
        return {.id = {id}, .revision = 1, .name = id, .labels = std::move(labels), .mode = VirtualizationMode::hvm, .memory = 64_MiB, .vcpus = 1};
    }
    void open() {
        plugin_.reset();
        plugin_ = std::make_unique<OpenPlugin>(dir_, built("plugins/mock.so"), "{}", GetParam());
        ASSERT_FALSE(plugin_->error) << plugin_->error->what;
        returns_ = 0;
    }
    void make_bystanders() {
        for (int i = 0; i < bystanders; ++i) {
            const auto id = "bystander" + std::to_string(i);
            ASSERT_TRUE(plugin_->client->create(call_, spec(id)));
            ASSERT_TRUE(plugin_->client->start(call_, {id}));
        }
    }
    Code make(const std::string& method, const std::string& id, const Labels& labels) {
        auto& client = *plugin_->client;
        const auto code = [](const auto& result) { return result ? Code::ok : result.error().code; };
        if (method == "create") return code(client.create(call_, spec(id, labels)));
        if (method == "start") return code(client.start(call_, {id}));
        if (method == "stop") return code(client.stop(call_, {id}, StopMode::cut));
        if (method == "inspect") return code(client.inspect(call_, {id}));
        return code(client.destroy(call_, {id}, DestroyMode::purge));
    }
    bool on_disk(const std::string& id) const { return std::filesystem::exists(dir_.path("state") + "/" + id + ".json"); }

    /// One fault and all that must hold after it.
    void suffer(const Action& action, const std::string& method, std::size_t number) {
        SCOPED_TRACE("fault " + std::to_string(number) + ": " + action.label + " in " + method);
        const std::string victim = "victim" + std::to_string(number);
        const Labels labels{{"mock." + method, action.label}};
        call_.left = long_limit;
        if (method != "create") {
            ASSERT_TRUE(plugin_->client->create(call_, spec(victim, labels)));
            if (method == "stop") {
                ASSERT_TRUE(plugin_->client->start(call_, {victim}));
            }
        }
        const auto expect_disk = on_disk(victim);
        if (action.waits) call_.left = short_limit;
        const auto limit_ns = std::chrono::nanoseconds(call_.left).count();
        const auto begun_ns = monotonic_ns();
        const auto code = make(method, victim, labels);
        const auto took_ns = monotonic_ns() - begun_ns;
        call_.left = long_limit;
        ASSERT_TRUE(action.codes.contains(code)) << to_string(code);
        if (action.waits) {
            ASSERT_LT(took_ns, limit_ns + slack_ns) << "the deadline was not kept";
        }
        if (action.dies) {
            if (!isolated() && action.label == hang.label) {
                ASSERT_NE(plugin_->plugin->trouble(), "");
                return;
            }
            ASSERT_TRUE(plugin_->changes.wait_for_returns(++returns_));
        }
        if (!action.dies) {  // what a late answer still does is not known
            const bool there = method == "create" ? action.works : method == "destroy" ? !action.works : true;
            ASSERT_EQ(on_disk(victim), there);
        } else if (method != "create" && method != "destroy") {
            ASSERT_EQ(on_disk(victim), expect_disk);
        }
        // The others, and the truth about this one.
        const auto listed = plugin_->client->list(call_);
        ASSERT_TRUE(listed) << listed.error().what;
        int running = 0;
        bool seen = false;
        for (const auto& domain : *listed) {
            if (domain.id.value.starts_with("bystander")) running += domain.state == DomainState::running ? 1 : 0;
            seen = seen || domain.id.value == victim;
        }
        ASSERT_EQ(running, bystanders);
        ASSERT_EQ(seen, on_disk(victim));
        std::filesystem::remove(dir_.path("state") + "/" + victim + ".json");
    }

    ScratchDir dir_;
    ::eve::testing::FakeCall call_;
    std::unique_ptr<OpenPlugin> plugin_;
    unsigned returns_ = 0;
    const std::vector<std::string> methods_{"create", "start", "stop", "inspect", "destroy"};
};

TEST_P(Faults, AreAnsweredInTimeAndTouchNobodyElse) {
    constexpr std::uint64_t seed = 20'24;
    Prng prng(seed);
    const auto faults = count(isolated() ? 300 : 600);
    open();
    make_bystanders();
    const auto descriptors = open_descriptors();
    for (std::size_t i = 0; i < faults && !HasFatalFailure(); ++i) {
        const auto dice = prng.below(100);
        // In process a crash is the process's: that is why isolation exists.
        if (dice < 6 && isolated()) suffer(prng.pick(deadly()), prng.pick(methods_), i);
        else if (dice < 8) suffer(prng.pick(slow()), prng.pick(methods_), i);
        else if (dice < 9 && isolated()) suffer(hang, prng.pick(methods_), i);
        else suffer(prng.pick(quick()), prng.pick(methods_), i);
    }
    EXPECT_LE(open_descriptors(), descriptors + 2);
    std::printf("%zu faults\n", faults);
}

TEST_P(Faults, AHangInProcessCostsThatInstanceOnly) {
    if (isolated()) GTEST_SKIP() << "what hangs in a host is killed with it";
    open();
    make_bystanders();
    for (std::size_t i = 0; i < methods_.size() && !HasFatalFailure(); ++i) {
        suffer(hang, methods_[i], i);
        for (const auto& method : methods_) {  // nothing more is asked of it, and nobody waits
            const auto begun_ns = monotonic_ns();
            EXPECT_EQ(make(method, "bystander0", {}), Code::unavailable);
            EXPECT_LT(monotonic_ns() - begun_ns, slack_ns);
        }
        open();  // a new life finds every domain
        const auto listed = plugin_->client->list(call_);
        ASSERT_TRUE(listed);
        EXPECT_GE(listed->size(), std::size_t{bystanders});
    }
}

INSTANTIATE_TEST_SUITE_P(Plugin, Faults, ::testing::Values(Isolation::in_process, Isolation::process),
                         [](const auto& parameter) { return parameter.param == Isolation::process ? "isolated" : "in_process"; });

}  // namespace
}  // namespace eve::plugin
