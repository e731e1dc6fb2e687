#include "core/log/event_log.hpp"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/doubles/sim_loop.hpp"
#include "tests/doubles/temp_dir.hpp"

namespace eve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class EventLogTest : public testing::Test {
protected:
    TempDir temp;
    SimClock clock;
    std::string path = (temp.path() / "zedbox" / "events.log").string();
    EventLog::Options options() const { return {.path = path, .stderr_level = std::nullopt}; }
    std::vector<nlohmann::json> lines() const {
        std::vector<nlohmann::json> all;
        std::ifstream in(path);
        for (std::string line; std::getline(in, line);) all.push_back(nlohmann::json::parse(line));
        return all;
    }
};

TEST_F(EventLogTest, ALineHasWhatNewlogdReadsAndItsFieldsAsData) {
    clock.set_wall({.seconds = 1'700'000'000, .nanoseconds = 5});
    EventLog log{clock, options()};
    log.in_name_of("domainmgr")->write(Level::warn, "domain.start_failed",
                                       {{"domain", "7f"}, {"attempt", 3}, {"final", false}, {"msg", "inner \"quoted\"\n"}});
    const auto all = lines();
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0]["level"], "warning");
    EXPECT_EQ(all[0]["time"], "2023-11-14T22:13:20.000000005Z");
    EXPECT_EQ(all[0]["msg"], "domain.start_failed");
    EXPECT_EQ(all[0]["source"], "domainmgr");
    EXPECT_EQ(all[0]["pid"], ::getpid());
    EXPECT_TRUE(all[0].contains("func") && all[0].contains("file"));
    EXPECT_EQ(all[0]["attempt"], 3);
    EXPECT_EQ(all[0]["final"], false);
    EXPECT_EQ(all[0]["msg_"], "inner \"quoted\"\n");
}

TEST_F(EventLogTest, LevelsAreCommonOrOfANameAndCanChange) {
    EventLog log{clock, options()};
    log.write(Level::debug, "bus.a");
    log.set_level_of("bus", Level::debug);
    log.write(Level::debug, "bus.b");
    log.write(Level::debug, "other.c");
    log.set_level_of("bus", std::nullopt);
    log.write(Level::debug, "bus.d");
    log.set_file_level(Level::error);
    log.write(Level::warn, "bus.e");
    log.write(Level::error, "bus.f");
    std::vector<std::string> seen;
    for (const auto& line : lines()) seen.push_back(line["msg"]);
    EXPECT_THAT(seen, ElementsAre("bus.b", "bus.f"));
}

TEST_F(EventLogTest, TheFileIsBounded) {
    auto bounded = options();
    bounded.file_bytes = 10'000;
    EventLog log{clock, bounded};
    for (int n = 0; n < 1000; ++n) log.write(Level::info, "test.event", {{"n", n}});
    std::uintmax_t total = 0;
    for (const auto& entry : std::filesystem::directory_iterator(temp.path() / "zedbox")) total += entry.file_size();
    EXPECT_LE(total, 20'500U);
    EXPECT_EQ(lines().back()["n"], 999);
}

TEST_F(EventLogTest, WhatIsLoggedIsNeverAFormat) {
    EventLog log{clock, options()};
    log.write(Level::info, "test.{}", {{"{0}", "{:d}"}});
    EXPECT_EQ(lines().at(0)["{0}"], "{:d}");
}

TEST_F(EventLogTest, ThreadsMayLogAtOnce) {
    EventLog log{clock, options()};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&log] {
            for (int n = 0; n < 200; ++n) log.write(Level::info, "test.event", {{"n", n}});
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(lines().size(), 800U);
}

TEST_F(EventLogTest, WithoutAFileTheNodeGoesOn) {
    auto nowhere = options();
    nowhere.path = (temp.path() / "file" / "below" / "events.log").string();
    std::ofstream(temp.path() / "file") << "";
    EventLog log{clock, nowhere};
    log.write(Level::info, "test.event");
    EXPECT_FALSE(std::filesystem::exists(nowhere.path));
}

TEST_F(EventLogTest, PeopleReadNamesAndValuesAndNoControlCharactersReachTheirTerminal) {
    const auto line = human_line({.seconds = 3661, .nanoseconds = 0}, Level::error, "app.failed", {{"app", "web"}, {"why", "a \x1b[2J b"}, {"n", 2}});
    EXPECT_THAT(line, HasSubstr("01:01:01 ERROR app.failed app=web why=\""));
    EXPECT_THAT(line, HasSubstr(" n=2"));
    EXPECT_THAT(line, Not(HasSubstr("\x1b")));
}

TEST(Levels, HaveEvesNames) {
    EXPECT_EQ(level_from_string("warning"), Level::warn);
    EXPECT_EQ(level_from_string("trace"), Level::debug);
    EXPECT_EQ(level_from_string("fatal"), Level::error);
    EXPECT_EQ(level_from_string("loud"), std::nullopt);
}

}  // namespace
}  // namespace eve
