#include "core/zedmanager/ledger.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "core/zedmanager/step.hpp"
#include "tests/doubles/prng.hpp"

namespace eve::zedmanager {
namespace {

types::AppInstanceStatus app(std::uint8_t number, std::int64_t kib) {
    std::array<std::uint8_t, 16> bytes{};
    bytes[15] = number;
    types::AppInstanceStatus status;
    status.UUIDandVersion.UUID = types::Uuid{bytes};
    status.FixedResources.Memory = kib;
    return status;
}

TEST(Ledger, CountsEachAppOnce) {  // S11
    auto error = app(1, 1), running = app(2, 1), halting = app(3, 1), starting = app(4, 1), idle = app(5, 1);
    error.Error = "x";
    error.Activated = running.Activated = halting.Activated = true;
    Ledger ledger;
    ledger.set("error", error, true);
    ledger.set("running", running, true);
    ledger.set("halting", halting, false);
    ledger.set("starting", starting, true);
    ledger.set("idle", idle, false);
    EXPECT_EQ(ledger.summary().TotalError, 1);
    EXPECT_EQ(ledger.summary().TotalRunning, 1);
    EXPECT_EQ(ledger.summary().TotalStopping, 1);
    EXPECT_EQ(ledger.summary().TotalStarting, 1);
    for (int n = 0; n < 300; ++n) ledger.set(std::to_string(n), running, true);
    EXPECT_EQ(ledger.summary().TotalRunning, 255) << "the counter is a byte";
    for (int n = 0; n < 300; ++n) ledger.erase(std::to_string(n));
    EXPECT_EQ(ledger.summary().TotalRunning, 1);
}

TEST(Ledger, MemoryOfTheOthersIsNamedOnlyWhileTheyHoldIt) {
    auto first = app(1, 1024);
    first.ActivateInprogress = true;
    Ledger ledger;
    ledger.set("1", first, true);
    ledger.set("2", app(2, 4096), true);
    MemoryView of_second;
    ledger.add_memory_without("2", of_second);
    EXPECT_EQ(of_second.used, 1024U * 1024);
    EXPECT_EQ(of_second.halting, 0U);
    EXPECT_EQ(ledger.holders_without("2"), std::vector{first.UUIDandVersion.UUID});
    EXPECT_TRUE(ledger.holders_without("1").empty());
    ledger.set("1", first, false);
    ledger.add_memory_without("2", of_second);
    EXPECT_EQ(of_second.halting, 1024U * 1024) << "no longer wanted";
    ledger.erase("1");
    ledger.erase("1");
    ledger.add_memory_without("2", of_second);
    EXPECT_EQ(of_second.used, 0U);
    EXPECT_EQ(of_second.halting, 0U);
}

TEST(Ledger, AfterAnyHistoryTheSumsAreThoseOfTheAppsThatAreThere) {
    Prng prng(7);
    Ledger ledger;
    std::map<std::string, std::pair<types::AppInstanceStatus, bool>> apps;
    for (int n = 0; n < 5000; ++n) {
        const auto number = static_cast<std::uint8_t>(prng.below(20));
        const auto key = std::to_string(number);
        if (prng.below(5) == 0) {
            ledger.erase(key);
            apps.erase(key);
        } else {
            auto status = app(number, static_cast<std::int64_t>(prng.below(1000)));
            status.Activated = prng.below(2) == 0;
            const bool wanted = prng.below(2) == 0;
            ledger.set(key, status, wanted);
            apps[key] = {status, wanted};
        }
        const auto asking = std::to_string(prng.below(20));
        MemoryView told, summed;
        ledger.add_memory_without(asking, told);
        for (const auto& [other, entry] : apps) {
            if (other == asking || !holds_memory(entry.first)) continue;
            summed.used += memory_need(entry.first);
            if (!entry.second) summed.halting += memory_need(entry.first);
        }
        ASSERT_EQ(told, summed);
    }
}

}  // namespace
}  // namespace eve::zedmanager
