// The plugin boundary, proven with plugins/mock: each test runs with the plugin's code in this process and in a plugin-host, through the same C
// calls. What only isolation can give (crashes, hangs) is proven for the isolated way alone, and says so.

#include <sys/eventfd.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "core/plugin/frame.hpp"
#include "eve/sdk/call.hpp"
#include "eve/testing/call_context.hpp"
#include "tests/conformance/plugin_fixture.hpp"

namespace eve::plugin {
namespace {

using ::testing::Values;

const DomainId web{"0a1b2c3d-0000-4000-8000-000000000001"};

DomainSpec spec(Labels labels = {}) {
    return {.id = web,
            .revision = 7,
            .name = "web.1.1",
            .labels = std::move(labels),
            .mode = VirtualizationMode::hvm,
            .memory = 64_MiB,
            .vcpus = 1,
            .disks = {{.id = "v#0", .path = "/v", .format = DiskFormat::qcow2}},
            .vifs = {{.name = "nbu1x1", .bridge = "bn1", .mac = "02:16:3e:00:00:01"}}};
}

class Boundary : public ::testing::TestWithParam<Isolation> {
protected:
    OpenPlugin& open(const std::string& config = "{}") {
        opened_ = std::make_unique<OpenPlugin>(dir_, built("plugins/mock.so"), config, GetParam());
        if (opened_->error) ADD_FAILURE() << opened_->error->what;
        return *opened_;
    }
    static std::string faulty(const std::string& method, const std::string& action, const std::string& more = "") {
        return R"({"faults":[{"method":")" + method + R"(","action":")" + action + "\"" + more + "}]}";
    }
    bool isolated() const { return GetParam() == Isolation::process; }
    /// A call in its raw form: the number, and the error that the body tells.
    Error raw(Plugin& plugin, const char* method, const std::string& body) {
        const eve_request request{.size = sizeof(eve_request),
                                  .fd_count = 0,
                                  .method = method,
                                  .body = body.data(),
                                  .body_size = body.size(),
                                  .fds = nullptr,
                                  .id = 99,
                                  .deadline_ns = monotonic_after(10'000'000'000),
                                  .cancel_fd = -1,
                                  .reserved = 0};
        sdk::ReplyBuffer answer(EVE_REPLY_SIZE_MAX);
        auto reply = answer.table();
        const auto number = plugin.call(request, reply);
        if (number == EVE_OK) return Error{.code = Code::ok};
        return sdk::decode_error(number, answer.body());
    }

    ScratchDir dir_;
    ::eve::testing::FakeCall call_;
    std::unique_ptr<OpenPlugin> opened_;
};

TEST_P(Boundary, ADomainLivesFromCreateToDestroy) {
    auto& client = *open().client;
    const auto created = client.create(call_, spec({{"app", "web"}}));
    ASSERT_TRUE(created) << created.error().what;
    EXPECT_EQ(created->state, DomainState::defined);
    EXPECT_EQ(created->presence, Presence::present);
    const auto started = client.start(call_, web);
    ASSERT_TRUE(started) << started.error().what;
    EXPECT_EQ(started->state, DomainState::running);
    const auto listed = client.list(call_);
    ASSERT_TRUE(listed);
    ASSERT_EQ(listed->size(), 1U);
    EXPECT_EQ((*listed)[0].revision, 7U);
    EXPECT_EQ((*listed)[0].labels, (Labels{{"app", "web"}}));
    const auto stopped = client.stop(call_, web, StopMode::ask);
    ASSERT_TRUE(stopped);
    EXPECT_EQ(stopped->state, DomainState::halted);
    const auto destroyed = client.destroy(call_, web, DestroyMode::purge);
    ASSERT_TRUE(destroyed);
    EXPECT_EQ(destroyed->presence, Presence::absent);
    EXPECT_TRUE(client.list(call_)->empty());
}

TEST_P(Boundary, TheSdkSaysWhoThePluginIsAndWhatItServes) {
    auto& plugin = open();
    const auto described = plugin.client->describe(call_);
    ASSERT_TRUE(described);
    EXPECT_EQ(described->id, "org.lfedge.eve.mock");
    EXPECT_EQ(described->methods.size(), 16U) << "ten of a hypervisor, six of content";
    EXPECT_EQ(plugin.plugin->identity().id, "org.lfedge.eve.mock");
    EXPECT_EQ(plugin.plugin->identity().abi, "1.0");
}

TEST_P(Boundary, ProblemsComeBackWithTheirFields) {
    auto wrong = spec();
    wrong.vcpus = 0;
    wrong.adapters = {{.kind = AdapterKind::pci, .name = "eth1", .address = "0000:03:00.0"}};
    auto& client = *open().client;
    const auto problems = client.validate(call_, wrong);
    ASSERT_TRUE(problems);
    ASSERT_EQ(problems->size(), 2U);
    EXPECT_EQ((*problems)[0].field, ".vcpus");
    EXPECT_EQ((*problems)[1].field, ".adapters");
    const auto refused = client.create(call_, wrong);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().field, ".vcpus");
}

TEST_P(Boundary, ARequestWithAnUnknownFieldIsRefusedByItsPath) {
    auto& plugin = *open().plugin;
    const auto error = raw(plugin, "hypervisor/1.create",
                           R"({"spec":{"id":"a","disks":[{"id":"x"},{"id":"y","io_limit":3}]}})");
    EXPECT_EQ(error.code, Code::unsupported);
    EXPECT_EQ(error.field, ".spec.disks[1].io_limit");
    EXPECT_EQ(error.what, ".spec.disks[1].io_limit is not known to this side");
}

TEST_P(Boundary, ARequestWithAnUnknownEnumValueOrARepeatedKeyOrAFloatIsRefused) {
    auto& plugin = *open().plugin;
    EXPECT_EQ(raw(plugin, "hypervisor/1.create", R"({"spec":{"mode":"quantum"}})").code, Code::unsupported);
    EXPECT_EQ(raw(plugin, "hypervisor/1.create", R"({"spec":{"vcpus":1,"vcpus":2}})").code, Code::invalid_argument);
    EXPECT_EQ(raw(plugin, "hypervisor/1.create", R"({"spec":{"vcpus":1.5}})").code, Code::invalid_argument);
    EXPECT_EQ(raw(plugin, "hypervisor/1.create", R"({"spec":{"vcpus":-1}})").code, Code::invalid_argument);
    EXPECT_EQ(raw(plugin, "hypervisor/1.create", R"({"spec":{"memory_bytes":18446744073709551616}})").code, Code::invalid_argument);
    EXPECT_EQ(raw(plugin, "hypervisor/1.create", "{\"spec\":" + std::string(300'000, '[')).code, Code::invalid_argument);
    EXPECT_EQ(raw(plugin, "hypervisor/1.create", "not JSON").code, Code::invalid_argument);
}

TEST_P(Boundary, AMethodThatIsNotKnownIsUnsupported) {
    EXPECT_EQ(raw(*open().plugin, "hypervisor/1.levitate", "{}").code, Code::unsupported);
    EXPECT_EQ(raw(*opened_->plugin, "hypervisor/2.create", "{}").code, Code::unsupported);
}

TEST_P(Boundary, AWrongConfigurationIsRefusedWithItsField) {
    const OpenPlugin plugin(dir_, built("plugins/mock.so"), R"({"guest":["/bin/true"],"colour":"red"})", GetParam());
    ASSERT_TRUE(plugin.error);
    EXPECT_EQ(plugin.error->code, Code::unsupported);
    EXPECT_EQ(plugin.error->field, ".colour");
}

TEST_P(Boundary, AFailureKeepsItsCode) {
    auto& client = *open(faulty("create", "fail", R"(,"code":"resource_exhausted","what":"no memory left")")).client;
    const auto created = client.create(call_, spec());
    ASSERT_FALSE(created);
    EXPECT_EQ(created.error().code, Code::resource_exhausted);
    EXPECT_EQ(created.error().what, "no memory left");
}

TEST_P(Boundary, AnExceptionIsAnInternalError) {
    auto& client = *open(faulty("start", "throw")).client;
    ASSERT_TRUE(client.create(call_, spec()));
    const auto started = client.start(call_, web);
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().code, Code::internal);
    EXPECT_EQ(started.error().what, "exception: scripted exception");
    EXPECT_TRUE(client.start(call_, web)) << "the plugin lives on";
}

TEST_P(Boundary, RubbishAndAnAnswerOverTheLimitAreInternalErrors) {
    auto& client = *open(R"({"faults":[{"method":"list","action":"rubbish"},{"method":"list","action":"huge"}]})").client;
    for (int i = 0; i < 2; ++i) {
        const auto listed = client.list(call_);
        ASSERT_FALSE(listed);
        EXPECT_EQ(listed.error().code, Code::internal) << listed.error().what;
    }
}

TEST_P(Boundary, ALostReplyLeavesItsEffect) {
    auto& client = *open(faulty("create", "lose_reply")).client;
    EXPECT_EQ(client.create(call_, spec()).error().code, Code::unavailable);
    const auto seen = client.inspect(call_, web);
    ASSERT_TRUE(seen);
    EXPECT_EQ(seen->presence, Presence::present);
    EXPECT_TRUE(client.create(call_, spec())) << "create is idempotent";
}

TEST_P(Boundary, ACancelledCallComesBackSoon) {
    auto& client = *open(faulty("start", "slow")).client;
    ASSERT_TRUE(client.create(call_, spec()));
    call_.fd = ::eventfd(0, EFD_CLOEXEC);
    std::thread canceller([fd = call_.fd] {
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto wrote = ::write(fd, &one, sizeof one);
    });
    const auto started = client.start(call_, web);
    canceller.join();
    ::close(call_.fd);
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().code, Code::cancelled);
}

TEST_P(Boundary, EventsAndLogsReachTheNode) {
    auto& plugin = open();
    EXPECT_TRUE(plugin.log.has("plugin.mock.opened"));
    ASSERT_TRUE(plugin.client->create(call_, spec()));
    ASSERT_TRUE(plugin.client->start(call_, web));
    ASSERT_TRUE(plugin.events.wait_for(2));
    const auto events = plugin.events.all();
    EXPECT_EQ(events[0].domain, web);
    EXPECT_EQ(events[0].state.state, DomainState::defined);
    EXPECT_EQ(events[1].state.state, DomainState::running);
    EXPECT_LT(events[0].seq, events[1].seq);
}

TEST_P(Boundary, DomainsAreFoundAgainByANewInstance) {
    ASSERT_TRUE(open().client->create(call_, spec({{"k", "v"}})));
    opened_.reset();
    const auto listed = open().client->list(call_);
    ASSERT_TRUE(listed);
    ASSERT_EQ(listed->size(), 1U);
    EXPECT_EQ((*listed)[0].id, web);
    EXPECT_EQ((*listed)[0].labels, (Labels{{"k", "v"}}));
}

TEST_P(Boundary, AGuestOutlivesThePluginAndItsEndIsKnown) {
    const std::string config = R"({"guest":["/bin/sleep","300"]})";
    auto& first = open(config);
    ASSERT_TRUE(first.client->create(call_, spec()));
    const auto started = first.client->start(call_, web);
    ASSERT_TRUE(started) << started.error().what;
    ASSERT_GT(started->pid, 0);
    const auto guest = sdk::identify(started->pid);
    opened_.reset();
    EXPECT_TRUE(sdk::alive(guest));
    auto& second = open(config);
    auto seen = second.client->inspect(call_, web);
    ASSERT_TRUE(seen);
    EXPECT_EQ(seen->state, DomainState::running);
    EXPECT_EQ(seen->pid, guest.pid);
    ASSERT_TRUE(sdk::signal_process(guest, SIGSEGV));
    ASSERT_TRUE(wait_until_gone(guest));
    do seen = second.client->inspect(call_, web);
    while (seen && seen->state == DomainState::running);  // until the keeper has written
    ASSERT_TRUE(seen);
    EXPECT_EQ(seen->state, DomainState::broken);
    EXPECT_EQ(seen->exit->signal, SIGSEGV);
    EXPECT_TRUE(second.client->destroy(call_, web, DestroyMode::purge));
}

TEST_P(Boundary, HundredsOfDomainsFitOneAnswer) {
    auto& client = *open().client;
    constexpr int count = 200;  // 300 KB: more than a datagram or a request would hold
    for (int i = 0; i < count; ++i) {
        auto one = spec({{"padding", std::string(1000, 'x')}});
        one.id.value = "d" + std::to_string(i);
        ASSERT_TRUE(client.create(call_, one));
    }
    const auto listed = client.list(call_);
    ASSERT_TRUE(listed) << listed.error().what;
    EXPECT_EQ(listed->size(), static_cast<std::size_t>(count));
}

TEST_P(Boundary, OpeningAndClosingLeavesNoDescriptor) {
    open();
    opened_.reset();
    const auto before = open_descriptors();
    for (int i = 0; i < 5; ++i) {
        ASSERT_TRUE(open().client->create(call_, spec()));
        opened_.reset();
    }
    EXPECT_EQ(open_descriptors(), before);
}

TEST_P(Boundary, AThreadOfThePluginMayCallTheHostWhileThePluginIsClosed) {
    auto& opened = open(R"({"farewell":true})");
    opened.client.reset();
    opened.plugin.reset();
    // A host that ends has nobody left to speak to.
    EXPECT_EQ(opened.log.has("plugin.mock.farewell"), !isolated());
}

TEST_P(Boundary, AStringThatIsNotUtf8IsRefusedBeforeItIsSent) {
    auto odd = spec();
    odd.disks[0].path = "/v\xff";
    const auto created = open().client->create(call_, odd);
    ASSERT_FALSE(created);
    EXPECT_EQ(created.error().code, Code::invalid_argument);
    EXPECT_EQ(created.error().field, ".spec.disks[0].path");
}

TEST_P(Boundary, ACrashCostsARestartAndNothingElse) {
    if (!isolated()) GTEST_SKIP() << "a crash in process is the process's: that is why isolation exists";
    auto& plugin = open(faulty("start", "crash"));
    ASSERT_TRUE(plugin.client->create(call_, spec()));
    const auto started = plugin.client->start(call_, web);
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().code, Code::unavailable);
    EXPECT_NE(started.error().what.find("SEGV"), std::string::npos) << started.error().what;
    ASSERT_TRUE(plugin.changes.wait_for_returns(1));
    EXPECT_EQ(plugin.plugin->generation(), 2U);
    const auto listed = plugin.client->list(call_);
    ASSERT_TRUE(listed) << listed.error().what;
    EXPECT_EQ(listed->size(), 1U);
}

TEST_P(Boundary, AHangIsEndedAtTheCallsLimit) {
    auto& plugin = open(faulty("start", "hang"));
    ASSERT_TRUE(plugin.client->create(call_, spec()));
    call_.left = std::chrono::milliseconds{300};
    const auto started = plugin.client->start(call_, web);
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().code, Code::timed_out);
    if (!isolated()) {  // the thread is given up, and nothing is asked of the plugin any more
        EXPECT_NE(plugin.plugin->trouble().find("hypervisor/1.start"), std::string::npos);
        const auto listed = plugin.client->list(call_);
        ASSERT_FALSE(listed);
        EXPECT_EQ(listed.error().code, Code::unavailable);
        EXPECT_NE(listed.error().hint, "");
        return;
    }
    ASSERT_TRUE(plugin.changes.wait_for_returns(1));
    EXPECT_NE(plugin.changes.last().find("hypervisor/1.start"), std::string::npos) << plugin.changes.last();
    call_.left = std::chrono::seconds{20};
    EXPECT_EQ(plugin.client->list(call_)->size(), 1U);
}

TEST_P(Boundary, AnAnswerThatComesTooLateIsDroppedAndThePluginIsUsedAgain) {
    auto& plugin = open(faulty("start", "late", R"(,"delay_ms":900)"));
    ASSERT_TRUE(plugin.client->create(call_, spec()));
    call_.left = std::chrono::milliseconds{100};
    const auto started = plugin.client->start(call_, web);
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().code, Code::timed_out);
    ASSERT_TRUE(plugin.changes.wait_for_returns(1));
    EXPECT_EQ(plugin.plugin->trouble(), "");
    EXPECT_EQ(plugin.plugin->generation(), 2U) << "what it did meanwhile is to be looked at";
    call_.left = std::chrono::seconds{20};
    EXPECT_EQ(plugin.client->list(call_)->size(), 1U);
}

TEST_P(Boundary, ASecondAnswerIsDropped) {
    auto& plugin = open(faulty("create", "twice"));
    EXPECT_TRUE(plugin.client->create(call_, spec()));
    EXPECT_EQ(plugin.client->list(call_)->size(), 1U);
}

TEST_P(Boundary, AGigabyteIsRefusedWithoutBeingKept) {
    auto& plugin = open(faulty("create", "gigabyte"));
    const auto created = plugin.client->create(call_, spec());
    ASSERT_FALSE(created);
    EXPECT_EQ(created.error().code, Code::internal);
    EXPECT_EQ(plugin.client->list(call_)->size(), 1U);
}

TEST_P(Boundary, AKilledHostIsReplacedWhileItsGuestRunsOn) {
    if (!isolated()) GTEST_SKIP() << "there is no host to kill";
    auto& plugin = open(R"({"guest":["/bin/sleep","300"]})");
    ASSERT_TRUE(plugin.client->create(call_, spec()));
    const auto started = plugin.client->start(call_, web);
    ASSERT_TRUE(started) << started.error().what;
    ::kill(static_cast<pid_t>(plugin.plugin->host_pid()), SIGKILL);
    ASSERT_TRUE(plugin.changes.wait_for_returns(1));
    const auto listed = plugin.client->list(call_);
    ASSERT_TRUE(listed) << listed.error().what;
    ASSERT_EQ(listed->size(), 1U);
    EXPECT_EQ((*listed)[0].pid, started->pid);
    EXPECT_EQ((*listed)[0].state, DomainState::running);
    EXPECT_TRUE(plugin.client->destroy(call_, web, DestroyMode::purge));
}

TEST_P(Boundary, OnlyAsManyCallsAsDeclaredAreInFlight) {
    auto& plugin = open(faulty("inspect", "slow"));
    ::eve::testing::FakeCall until_cancelled;
    const UniqueFd cancel(::eventfd(0, EFD_CLOEXEC));
    until_cancelled.fd = cancel.get();
    std::thread slow([&] { (void)plugin.client->inspect(until_cancelled, web); });
    call_.left = std::chrono::milliseconds{50};
    Result<std::vector<DomainInfo>> listed = std::vector<DomainInfo>{};
    const auto until_ns = monotonic_after(20'000'000'000);
    while (listed && monotonic_ns() < until_ns) listed = plugin.client->list(call_);  // until it meets the slow one
    const std::uint64_t one = 1;
    EXPECT_EQ(::write(cancel.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
    slow.join();
    ASSERT_FALSE(listed);
    EXPECT_EQ(listed.error().code, Code::timed_out);
    EXPECT_NE(listed.error().what.find("nothing was done"), std::string::npos);
    EXPECT_EQ(plugin.plugin->generation(), 1U) << "waiting for a turn kills nobody";
}

INSTANTIATE_TEST_SUITE_P(Plugin, Boundary, Values(Isolation::in_process, Isolation::process),
                         [](const auto& param) { return param.param == Isolation::process ? "Isolated" : "InProcess"; });

}  // namespace
}  // namespace eve::plugin
