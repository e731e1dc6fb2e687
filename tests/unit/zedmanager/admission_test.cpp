#include "core/zedmanager/admission.hpp"

#include <gtest/gtest.h>

#include "core/types/vmm_overhead.hpp"

namespace eve::zedmanager {
namespace {

constexpr std::uint64_t kMib = 1024 * 1024;
using types::ErrorSeverity;

types::Uuid other_app() {
    std::array<std::uint8_t, 16> bytes{};
    bytes[0] = 1;
    return types::Uuid{bytes};
}

MemoryView thousand_with(std::uint64_t used) {
    MemoryView memory{.known = true, .total = 1000 * kMib, .reserved = 300 * kMib, .used = used};
    if (used != 0) memory.others = {other_app()};
    return memory;
}

TEST(MemoryAdmission, WhatFitsIsNotRefused) {
    EXPECT_FALSE(refuse_memory(300 * kMib, thousand_with(400 * kMib)));
    EXPECT_TRUE(refuse_memory(300 * kMib + 1, thousand_with(400 * kMib)));
}

TEST(MemoryAdmission, BesideARunningAppTheRefusalIsAWarningThatNamesItAndWillBeRetried) {
    const auto refusal = refuse_memory(400 * kMib, thousand_with(400 * kMib));
    ASSERT_TRUE(refusal);
    EXPECT_EQ(refusal->ErrorSeverity, ErrorSeverity::ErrorSeverityWarning);
    EXPECT_NE(refusal->ErrorRetryCondition.find("when one or more apps will shutdown"), std::string::npos);
    ASSERT_EQ(refusal->ErrorEntities.size(), 1U);
    EXPECT_EQ(refusal->ErrorEntities[0].EntityType, types::ErrorEntityType::ErrorEntityAppInstance);
    EXPECT_EQ(refusal->ErrorEntities[0].EntityID, other_app().to_string());
}

TEST(MemoryAdmission, AloneOnTheNodeTheRefusalIsAnErrorThatNothingWillChange) {
    const auto refusal = refuse_memory(800 * kMib, thousand_with(0));
    ASSERT_TRUE(refusal);
    EXPECT_EQ(refusal->ErrorSeverity, ErrorSeverity::ErrorSeverityError);
    EXPECT_EQ(refusal->ErrorRetryCondition, "");
}

TEST(MemoryAdmission, WhileAnAppIsHaltingThatWouldFreeEnoughTheRefusalIsANotice) {
    auto memory = thousand_with(400 * kMib);
    memory.halting = 400 * kMib;
    const auto refusal = refuse_memory(400 * kMib, memory);
    ASSERT_TRUE(refusal);
    EXPECT_EQ(refusal->ErrorSeverity, ErrorSeverity::ErrorSeverityNotice);
}

TEST(MemoryAdmission, BeforeTheMemoryIsKnownTheRefusalIsANotice) {
    const auto refusal = refuse_memory(1, MemoryView{});
    ASSERT_TRUE(refusal);
    EXPECT_EQ(refusal->ErrorSeverity, ErrorSeverity::ErrorSeverityNotice);
    EXPECT_EQ(refusal->ErrorRetryCondition, "when information about memory will be available");
}

TEST(MemoryAdmission, MoreUsedThanThereIsDoesNotWrap) { EXPECT_TRUE(refuse_memory(1, thousand_with(5000 * kMib))); }

TEST(VmmOverhead, IsTheDevicesLimitElseTheAppsElseAnEstimate) {
    types::VmConfig resources{.Memory = 2 * 1024 * 1024, .VCpus = 4};
    EXPECT_EQ(types::vmm_overhead(resources, {}) / kMib, 433U);  // 350 + 20 + 51.2 + 12
    EXPECT_EQ(types::vmm_overhead(resources, {.mmio_bytes = std::uint64_t{64} << 30}) / kMib, 1088U);
    resources.VMMMaxMem = 1024;
    EXPECT_EQ(types::vmm_overhead(resources, {}), kMib);
    EXPECT_EQ(types::vmm_overhead(resources, {.limit_bytes = 5}), 5U);
    resources.VirtualizationMode = types::VmMode::NOHYPER;
    EXPECT_EQ(types::vmm_overhead(resources, {.limit_bytes = 5}), 0U);
}

TEST(VmmOverhead, CountsCeilingOfCpusAndBoundsNonsense) {
    const types::VmConfig four{.Memory = 1024, .VCpus = 1, .MaxCpus = 4};
    const types::VmConfig one{.Memory = 1024, .VCpus = 1};
    EXPECT_EQ(types::vmm_overhead(four, {}) - types::vmm_overhead(one, {}), 9 * kMib);
    EXPECT_GT(types::vmm_overhead({.Memory = INT64_MAX, .VCpus = INT64_MAX}, {}), 0U);
    EXPECT_EQ(types::vmm_overhead({.Memory = -1, .VCpus = -1}, {}), 370 * kMib);
}

}  // namespace
}  // namespace eve::zedmanager
