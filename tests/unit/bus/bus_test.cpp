// Topics within one process, under virtual time.

#include <gmock/gmock.h>

#include "core/bus/bus.hpp"
#include "core/bus/table_trouble.hpp"
#include "tests/doubles/fake_record_store.hpp"
#include "tests/doubles/recording_log.hpp"
#include "tests/doubles/sim_loop.hpp"
#include "tests/unit/bus/listener.hpp"

namespace eve {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

class BusTest : public testing::Test {
protected:
    SimClock clock;
    SimLoop loop{clock};
    RecordingLog log;
    FakeRecordStore store;
    SimLanes lanes{loop, Prng{3}};
    Bus bus{{.loop = loop, .log = log, .store = &store, .lanes = &lanes}};
    const TopicName name{.agent = "zedmanager"};
    const TopicName durable{.agent = "zedmanager", .persistent = true};
    Listener heard;

    void settle() { ASSERT_TRUE(loop.run_until_idle()); }
};

TEST_F(BusTest, ASubscriberHearsWhatIsPublishedOneTurnLater) {
    const auto publication = bus.publish<Sample>(name);
    const auto subscription = bus.subscribe<Sample>(name, heard.handlers());
    settle();
    EXPECT_THAT(heard.take(), ElementsAre("synchronized"));
    ASSERT_TRUE(publication->publish("a", sample(1)));
    EXPECT_THAT(heard.take(), IsEmpty());
    settle();
    EXPECT_THAT(heard.take(), ElementsAre("+a=1"));
    ASSERT_NE(subscription->get("a"), nullptr);
    EXPECT_EQ(*subscription->get("a"), sample(1));
    ASSERT_TRUE(publication->publish("a", sample(2)));
    settle();
    EXPECT_THAT(heard.take(), ElementsAre("~a=1>2"));
    ASSERT_TRUE(publication->unpublish("a"));
    settle();
    EXPECT_THAT(heard.take(), ElementsAre("-a=2"));
    EXPECT_EQ(subscription->get("a"), nullptr);
}

TEST_F(BusTest, TheValueOfALateSubscriberIsTheLatest) {
    const auto publication = bus.publish<Sample>(name);
    ASSERT_TRUE(publication->publish("a", sample(1)));
    ASSERT_TRUE(publication->publish("a", sample(2)));
    settle();
    const auto subscription = bus.subscribe<Sample>(name, heard.handlers());
    EXPECT_FALSE(subscription->synchronized());
    settle();
    EXPECT_THAT(heard.take(), ElementsAre("+a=2", "synchronized"));
    EXPECT_TRUE(subscription->synchronized());
}

TEST_F(BusTest, SubscribingBeforeThePublisherExistsIsAllowed) {
    const auto subscription = bus.subscribe<Sample>(name, heard.handlers());
    settle();
    EXPECT_THAT(heard.take(), IsEmpty());
    const auto publication = bus.publish<Sample>(name);
    ASSERT_TRUE(publication->publish("a", sample(1)));
    settle();
    EXPECT_THAT(heard.take(), ElementsAre("+a=1", "synchronized"));
}

TEST_F(BusTest, AnEqualPublishIsNoEventAndTouchesNoFile) {
    const auto publication = bus.publish<Sample>(name);
    const auto subscription = bus.subscribe<Sample>(name, heard.handlers());
    ASSERT_TRUE(publication->publish("a", sample(1)));
    settle();
    const auto commits = store.commits;
    heard.take();
    ASSERT_TRUE(publication->publish("a", sample(1)));
    settle();
    EXPECT_THAT(heard.take(), IsEmpty());
    EXPECT_EQ(store.commits, commits);
}

TEST_F(BusTest, IntermediateValuesCollapseAndDeletesComeFirst) {
    const auto publication = bus.publish<Sample>(name);
    const auto subscription = bus.subscribe<Sample>(name, heard.handlers());
    ASSERT_TRUE(publication->publish("z", sample(1)));
    settle();
    heard.take();
    for (int n = 0; n < 5; ++n) ASSERT_TRUE(publication->publish("a", sample(n)));
    ASSERT_TRUE(publication->publish("ghost", sample(1)));
    ASSERT_TRUE(publication->unpublish("ghost"));
    ASSERT_TRUE(publication->unpublish("z"));
    settle();
    EXPECT_THAT(heard.take(), ElementsAre("-z=1", "+a=4"));
}

TEST_F(BusTest, ADeleteThatIsFollowedByAPublishIsAModify) {
    const auto publication = bus.publish<Sample>(name);
    const auto subscription = bus.subscribe<Sample>(name, heard.handlers());
    ASSERT_TRUE(publication->publish("a", sample(1)));
    settle();
    heard.take();
    ASSERT_TRUE(publication->unpublish("a"));
    ASSERT_TRUE(publication->publish("a", sample(2)));
    settle();
    EXPECT_THAT(heard.take(), ElementsAre("~a=1>2"));
}

TEST_F(BusTest, TheRestartMarkerNeverOvertakesData) {
    const auto publication = bus.publish<Sample>(name);
    const auto subscription = bus.subscribe<Sample>(name, heard.handlers());
    settle();
    heard.take();
    ASSERT_TRUE(publication->publish("a", sample(1)));
    publication->signal_restarted();
    ASSERT_TRUE(publication->publish("b", sample(2)));
    settle();
    EXPECT_THAT(heard.take(), ElementsAre("+a=1", "+b=2", "restarted 1"));
    publication->signal_restarted();
    settle();
    EXPECT_THAT(heard.take(), ElementsAre("restarted 2"));
    EXPECT_EQ(subscription->restart_counter(), 2);
    publication->clear_restarted();
    settle();
    EXPECT_THAT(heard.take(), ElementsAre("restarted 0"));
}

TEST_F(BusTest, TheMarkerOfAnInitialDumpComesAfterItsData) {
    const auto publication = bus.publish<Sample>(durable);
    ASSERT_TRUE(publication->publish("a", sample(1)));
    publication->signal_restarted();
    const auto subscription = bus.subscribe<Sample>(durable, heard.handlers());
    settle();
    const auto seen = heard.take();
    const auto at = [&](const std::string& what) { return std::find(seen.begin(), seen.end(), what) - seen.begin(); };
    EXPECT_LT(at("+a=1"), at("restarted 1"));
    EXPECT_EQ(seen.size(), 3U);
}

TEST_F(BusTest, WithoutAModifyHandlerCreatedIsCalled) {
    std::vector<std::int64_t> created;
    const auto publication = bus.publish<Sample>(name);
    const auto subscription = bus.subscribe<Sample>(name, {.created = [&](const std::string&, const Sample& now) { created.push_back(now.Number); }});
    ASSERT_TRUE(publication->publish("a", sample(1)));
    settle();
    ASSERT_TRUE(publication->publish("a", sample(2)));
    settle();
    EXPECT_THAT(created, ElementsAre(1, 2));
}

TEST_F(BusTest, AHandlerMayPublishAndMayDestroyItsOwnSubscription) {
    const auto publication = bus.publish<Sample>(name);
    std::unique_ptr<Subscription<Sample>> subscription;
    int calls = 0;
    subscription = bus.subscribe<Sample>(name, {.created = [&](const std::string&, const Sample&) {
        ++calls;
        ASSERT_TRUE(publication->publish("c", sample(3)));
        subscription.reset();
    }});
    ASSERT_TRUE(publication->publish("a", sample(1)));
    ASSERT_TRUE(publication->publish("b", sample(2)));
    settle();
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(publication->items().size(), 3U);
}

TEST_F(BusTest, WhatAHandlerPublishesIsHeardAfterTheWholeRound) {
    const auto publication = bus.publish<Sample>(name);
    Listener other;
    std::unique_ptr<Subscription<Sample>> subscription;
    auto handlers = heard.handlers();
    handlers.created = [&, note = handlers.created](const std::string& key, const Sample& now) {
        note(key, now);
        if (key == "a") static_cast<void>(publication->publish("b", sample(20)));
    };
    subscription = bus.subscribe<Sample>(name, handlers);
    ASSERT_TRUE(publication->publish("a", sample(1)));
    ASSERT_TRUE(publication->publish("b", sample(2)));
    settle();
    EXPECT_THAT(heard.take(), ElementsAre("+a=1", "+b=2", "synchronized", "~b=2>20"));
}

TEST_F(BusTest, BadKeysAreRefusedAndTheEmptyKeyIsLegal) {
    const auto publication = bus.publish<Sample>(name);
    EXPECT_EQ(publication->publish("a/b", sample(1)).error().code, Code::invalid_argument);
    EXPECT_EQ(publication->publish("a.json", sample(1)).error().code, Code::invalid_argument);
    EXPECT_EQ(publication->publish(std::string(251, 'k'), sample(1)).error().code, Code::invalid_argument);
    EXPECT_TRUE(publication->publish(std::string(250, 'k'), sample(1)));
    EXPECT_TRUE(publication->publish("", sample(1)));
    EXPECT_EQ(publication->unpublish("never").error().code, Code::not_found);
}

TEST_F(BusTest, ARecordTooLargeForAMessageIsRefusedAndTheOldOneStays) {
    const auto publication = bus.publish<Sample>(name);
    const auto subscription = bus.subscribe<Sample>(name, heard.handlers());
    ASSERT_TRUE(publication->publish("a", sample(1)));
    auto big = sample(2);
    big.Text.assign(48'000, 'x');
    EXPECT_TRUE(publication->publish("b", big));
    big.Text.assign(49'200, 'x');
    EXPECT_EQ(publication->publish("a", big).error().code, Code::resource_exhausted);
    big = sample(3);
    big.Large.assign(200'000, 'x');  // travels as a file
    EXPECT_TRUE(publication->publish("c", big));
    big.Large.assign(1 << 20, 'x');
    EXPECT_EQ(publication->publish("a", big).error().code, Code::resource_exhausted);
    settle();
    EXPECT_EQ(*publication->get("a"), sample(1));
    EXPECT_THAT(heard.take(), ElementsAre("+a=1", "+b=2", "+c=3", "synchronized"));
}

TEST_F(BusTest, APublisherThatCrashedComesBackWithItsRecordsAndSubscribersNoticeNothing) {
    auto publication = bus.publish<Sample>(name);
    const auto subscription = bus.subscribe<Sample>(name, heard.handlers());
    ASSERT_TRUE(publication->publish("a", sample(1)));
    publication->signal_restarted();
    settle();
    heard.take();
    publication.reset();
    settle();
    EXPECT_THAT(heard.take(), IsEmpty());
    publication = bus.publish<Sample>(name);
    ASSERT_NE(publication->get("a"), nullptr);
    EXPECT_EQ(publication->restart_counter(), 1);
    settle();
    EXPECT_THAT(heard.take(), IsEmpty());
    ASSERT_TRUE(publication->publish("a", sample(2)));
    settle();
    EXPECT_THAT(heard.take(), ElementsAre("~a=1>2"));
}

TEST_F(BusTest, WhatACrashingPublisherHadToldIsStillDelivered) {
    auto publication = bus.publish<Sample>(name);
    const auto subscription = bus.subscribe<Sample>(name, heard.handlers());
    ASSERT_TRUE(publication->publish("gone", sample(1)));
    settle();
    heard.take();
    ASSERT_TRUE(publication->publish("a", sample(1)));
    ASSERT_TRUE(publication->unpublish("gone"));
    publication.reset();
    publication = bus.publish<Sample>(name);
    ASSERT_TRUE(publication->publish("a", sample(2)));
    settle();
    EXPECT_THAT(heard.take(), ElementsAre("-gone=1", "+a=1", "~a=1>2"));
}

TEST_F(BusTest, CloseUnpublishesWhatIsNotPersistent) {
    auto publication = bus.publish<Sample>(name);
    const auto subscription = bus.subscribe<Sample>(name, heard.handlers());
    ASSERT_TRUE(publication->publish("a", sample(1)));
    publication->signal_restarted();
    settle();
    heard.take();
    publication->close();
    EXPECT_EQ(publication->publish("a", sample(1)).error().code, Code::failed_precondition);
    settle();
    EXPECT_THAT(heard.take(), ElementsAre("-a=1", "restarted 0"));
    EXPECT_THAT(store.tables.begin()->second.records, IsEmpty());
}

TEST_F(BusTest, CloseKeepsPersistentRecords) {
    auto publication = bus.publish<Sample>(durable);
    ASSERT_TRUE(publication->publish("a", sample(1)));
    settle();
    publication->close();
    settle();
    publication = bus.publish<Sample>(durable);
    EXPECT_NE(publication->get("a"), nullptr);
}

TEST_F(BusTest, PersistentRecordsAreStoredBeforeAnyoneHearsOfThem) {
    const auto publication = bus.publish<Sample>(durable);
    const bus::TableId table{.agent = "zedmanager", .topic = "Sample", .persistent = true};
    int heard_of = 0;
    const auto subscription = bus.subscribe<Sample>(durable, {.created = [&](const std::string& key, const Sample&) {
        ++heard_of;
        EXPECT_TRUE(store.tables[table].records.contains(key));
    }});
    for (int n = 0; n < 10; ++n) {
        ASSERT_TRUE(publication->publish("k" + std::to_string(n), sample(n)));
        EXPECT_NE(publication->get("k" + std::to_string(n)), nullptr);  // its owner sees it at once
        if (n % 3 == 0) loop.run_for(5ms);
    }
    settle();
    EXPECT_EQ(heard_of, 10);
    EXPECT_LT(store.commits, 10U);  // grouped
}

TEST_F(BusTest, FilesFollowABurstAFewAtATimeAndAreTriedAgainWhenTheDiskRefuses) {
    store.files_follow = true;
    const auto publication = bus.publish<Sample>(durable);
    const auto subscription = bus.subscribe<Sample>(durable, heard.handlers());
    for (int n = 0; n < 100; ++n) ASSERT_TRUE(publication->publish("k" + std::to_string(n), sample(n)));
    loop.run_for(50ms);
    EXPECT_EQ(subscription->items().size(), 100U) << "told when they are durable";
    EXPECT_EQ(store.unsettled, 100U) << "not in the middle of a burst";
    store.settle_fault = [] { return Status{Error{.code = Code::resource_exhausted, .what = "disk full"}}; };
    loop.run_for(5s);
    EXPECT_EQ(store.settle_calls, 1U);
    store.settle_fault = nullptr;
    loop.run_for(20s);
    EXPECT_EQ(store.unsettled, 0U);
    EXPECT_GE(store.settle_calls, 4U);
    const auto calls = store.settle_calls;
    loop.run_for(1h);
    EXPECT_EQ(store.settle_calls, calls) << "nothing wakes a node that idles";
}

TEST_F(BusTest, ANewLifeWithinAWriteBeginsWithWhatIsBeingWritten) {
    auto publication = bus.publish<Sample>(durable);
    ASSERT_TRUE(publication->publish("a", sample(1)));
    loop.step();  // the batch has been handed to the lane
    ASSERT_TRUE(publication->publish("a", sample(2)));
    publication.reset();
    publication = bus.publish<Sample>(durable);
    ASSERT_NE(publication->get("a"), nullptr);
    EXPECT_EQ(publication->get("a")->Number, 2);
}

TEST_F(BusTest, FlushWritesWhatWaitsAndWhatTheLaneNeverFinished) {
    const auto publication = bus.publish<Sample>(durable);
    ASSERT_TRUE(publication->publish("a", sample(1)));
    loop.step();  // handed to the lane
    ASSERT_TRUE(publication->publish("b", sample(2)));
    publication->signal_restarted();
    lanes.drop_everything();
    bus.flush();
    const auto& stored = store.tables.at({.agent = "zedmanager", .topic = "Sample", .persistent = true});
    EXPECT_EQ(stored.records.size(), 2U);
    EXPECT_EQ(stored.restart_counter, 1);
}

TEST_F(BusTest, AFullDiskStopsNoMessageAndTheFileFollows) {
    const auto publication = bus.publish<Sample>(durable);
    const auto subscription = bus.subscribe<Sample>(durable, heard.handlers());
    store.fault = [](const bus::StoreChange&) { return Status{Error{.code = Code::resource_exhausted, .what = "disk full"}}; };
    ASSERT_TRUE(publication->publish("a", sample(1)));
    loop.run_for(1min);
    EXPECT_EQ(subscription->items().size(), 1U);
    EXPECT_EQ(log.count("bus.store_failed"), 1U);
    store.fault = nullptr;
    loop.run_for(1min);
    EXPECT_EQ(log.count("bus.store_recovered"), 1U);
    EXPECT_EQ(store.tables.begin()->second.records.size(), 1U);
}

TEST_F(BusTest, WhileTheDiskRefusesANewRecordDoesNotWaitForTheRetryOfAnOldOne) {
    const auto publication = bus.publish<Sample>(durable);
    const auto subscription = bus.subscribe<Sample>(durable, heard.handlers());
    store.fault = [](const bus::StoreChange&) { return Status{Error{.code = Code::resource_exhausted, .what = "disk full"}}; };
    ASSERT_TRUE(publication->publish("a", sample(1)));
    loop.run_for(1s);
    ASSERT_TRUE(publication->publish("b", sample(2)));
    loop.run_for(1s);
    EXPECT_EQ(subscription->items().size(), 2U);
}

/// Files of which one table cannot be read.
class UnreadableStore final : public bus::RecordStore {
public:
    explicit UnreadableStore(FakeRecordStore& files) : files_(files) {}
    Result<bus::StoredTable> load(const bus::TableId& table) override {
        if (table.name() == unreadable) return Error{.code = Code::unavailable, .what = "read journal: Input/output error", .hint = "the disk fails"};
        return files_.load(table);
    }
    Result<bus::StoredTable> peek(const bus::TableId& table) override { return files_.peek(table); }
    std::vector<Status> commit(const std::vector<bus::StoreChange>& batch) override { return files_.commit(batch); }
    Result<std::optional<std::string>> set_aside(const bus::TableId& table, const std::string& key) override { return files_.set_aside(table, key); }

    std::string unreadable = "zedmanager/Sample";

private:
    FakeRecordStore& files_;
};

TEST_F(BusTest, ATableThatCouldNotBeReadIsToldWhereTheOperatorLooksUntilItCan) {
    UnreadableStore files{store};
    Bus other{{.loop = loop, .log = log, .store = &files, .lanes = &lanes}};
    const bus::TableId place{.agent = "zedbox", .topic = "TableTrouble"};
    {
        const auto publication = other.publish<Sample>(durable);
        const auto scoped = other.publish<Sample>({.agent = "zedmanager", .scope = "readable", .persistent = true});
        const auto plain = other.publish<Sample>({.agent = "volumemgr"});
        settle();
        const auto told = store.tables[place].records;
        ASSERT_EQ(told.size(), 1U);
        EXPECT_EQ(told.begin()->first, "zedmanager.Sample");
        const auto trouble = from_json<bus::TableTrouble>(told.begin()->second);
        ASSERT_TRUE(trouble);
        EXPECT_EQ(trouble->Table, "zedmanager/Sample");
        EXPECT_EQ(trouble->Problem, "read journal: Input/output error");
        EXPECT_EQ(trouble->Remedy, "the disk fails");
        EXPECT_TRUE(publication->items().empty());
    }
    files.unreadable.clear();
    const auto publication = other.publish<Sample>(durable);
    settle();
    EXPECT_THAT(store.tables[place].records, IsEmpty());
}

TEST_F(BusTest, ADamagedFileIsSetAsideAndStopsNothingElse) {
    const bus::TableId table{.agent = "zedmanager", .topic = "Sample", .persistent = false};
    store.tables[table].records = {{"bad", "{\"Number\":"}, {"good", R"({"Text":"n1","Number":1})"}};
    const auto publication = bus.publish<Sample>(name);
    EXPECT_EQ(publication->items().size(), 1U);
    EXPECT_TRUE(store.aside.contains({table, "bad"}));
    EXPECT_TRUE(log.has("bus.file_damaged"));
}

TEST_F(BusTest, APersistentSubscriptionReadsTheFilesBeforeItsPublisherExists) {
    const bus::TableId table{.agent = "zedmanager", .topic = "Sample", .persistent = true};
    store.tables[table].records = {{"a", R"({"Text":"n1","Number":1})"}};
    const auto subscription = bus.subscribe<Sample>(durable, heard.handlers());
    EXPECT_THAT(heard.take(), IsEmpty());
    settle();
    EXPECT_THAT(heard.take(), ElementsAre("+a=1"));
    const auto publication = bus.publish<Sample>(durable);
    settle();
    EXPECT_THAT(heard.take(), ElementsAre("synchronized"));
}

// The sweep: records that a new life of the publisher does not name.

class StaleRecords : public BusTest {
protected:
    std::unique_ptr<Publication<Sample>> publication = bus.publish<Sample>(name);
    std::unique_ptr<Subscription<Sample>> subscription = bus.subscribe<Sample>(name, heard.handlers());
    void lose_files_and_restart() {
        ASSERT_TRUE(publication->publish("a", sample(1)));
        ASSERT_TRUE(publication->publish("b", sample(2)));
        settle();
        publication.reset();
        store.tables.clear();
        publication = bus.publish<Sample>(name);
        settle();
        heard.take();
    }
};

TEST_F(StaleRecords, AreKeptUntilThePublisherSaysThatItsSetIsComplete) {
    lose_files_and_restart();
    EXPECT_EQ(subscription->items().size(), 2U);
    ASSERT_TRUE(publication->publish("a", sample(1)));
    settle();
    EXPECT_THAT(heard.take(), IsEmpty());
    publication->signal_restarted();
    settle();
    EXPECT_THAT(heard.take(), ElementsAre("-b=2", "restarted 1"));
}

TEST_F(StaleRecords, AreDroppedAfterAGraceWhenNoMarkerComes) {
    lose_files_and_restart();
    ASSERT_TRUE(publication->publish("a", sample(1)));
    loop.run_for(3min);
    EXPECT_THAT(heard.take(), ElementsAre("-b=2"));
}

TEST_F(StaleRecords, ThatAreDeletedByNameGoAtOnce) {
    lose_files_and_restart();
    ASSERT_TRUE(publication->publish("b", sample(3)));
    ASSERT_TRUE(publication->unpublish("b"));
    settle();
    EXPECT_THAT(heard.take(), ElementsAre("-b=2"));
}

// Thousands of random orders: whatever happens, at rest the subscriber knows what the publisher has.
TEST(BusProperty, AtRestEverySubscriberEqualsThePublisher) {
    for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Prng prng{seed};
        SimClock clock;
        SimLoop loop{clock};
        RecordingLog log;
        FakeRecordStore store;
        SimLanes lanes{loop, prng.fork()};
        if (prng.chance(30))
            store.fault = [&prng](const bus::StoreChange&) {
                return prng.chance(20) ? Status{Error{.code = Code::unavailable, .what = "bad luck"}} : Status{};
            };
        const TopicName name{.agent = "x", .scope = prng.chance(50) ? "s" : "", .persistent = prng.chance(50)};
        Bus bus{{.loop = loop, .log = log, .store = prng.chance(80) ? &store : nullptr, .lanes = prng.chance(80) ? &lanes : nullptr}};
        auto publication = bus.publish<Sample>(name);

        struct Mirror {
            std::map<std::string, std::int64_t> known;
            std::unique_ptr<Subscription<Sample>> subscription;
        };
        std::vector<std::unique_ptr<Mirror>> mirrors;
        std::int64_t clock_of_values = 0;
        const auto add = [&] {
            auto mirror = std::make_unique<Mirror>();
            auto* m = mirror.get();
            m->subscription = bus.subscribe<Sample>(name, {
                .created = [m](const std::string& key, const Sample& now) { EXPECT_TRUE(m->known.emplace(key, now.Number).second); },
                .modified = [m](const std::string& key, const Sample& now, const Sample& before) {
                    EXPECT_EQ(m->known.at(key), before.Number);
                    EXPECT_NE(now.Number, before.Number);
                    m->known[key] = now.Number;
                },
                .deleted = [m](const std::string& key, const Sample& last) {
                    EXPECT_EQ(m->known.at(key), last.Number);
                    m->known.erase(key);
                },
            });
            mirrors.push_back(std::move(mirror));
        };
        add();
        for (int step = 0; step < 60; ++step) {
            const auto key = "k" + std::to_string(prng.below(6));
            switch (prng.below(12)) {
                case 0: case 1: case 2: case 3: ASSERT_TRUE(publication->publish(key, sample(++clock_of_values))); break;
                case 4: case 5: static_cast<void>(publication->unpublish(key)); break;
                case 6: publication->signal_restarted(); break;
                case 7: loop.step(); break;
                case 8: loop.run_for(std::chrono::milliseconds{prng.below(50)}); break;
                case 9:
                    if (mirrors.size() < 4) add();
                    break;
                case 10:
                    if (!mirrors.empty()) mirrors.erase(mirrors.begin() + static_cast<std::ptrdiff_t>(prng.below(mirrors.size())));
                    break;
                default:
                    if (prng.chance(30)) publication.reset(), publication = bus.publish<Sample>(name);
                    break;
            }
        }
        store.fault = nullptr;
        loop.run_for(5min);
        for (const auto& mirror : mirrors) {
            EXPECT_TRUE(mirror->subscription->synchronized());
            ASSERT_EQ(mirror->subscription->items().size(), publication->items().size());
            ASSERT_EQ(mirror->known.size(), publication->items().size());
            for (const auto& [key, value] : publication->items()) {
                ASSERT_NE(mirror->subscription->get(key), nullptr);
                EXPECT_EQ(*mirror->subscription->get(key), *value);
                EXPECT_EQ(mirror->known.at(key), value->Number);
            }
        }
        if (testing::Test::HasFailure()) break;
    }
}

}  // namespace
}  // namespace eve
