// The table of config items, the rule that reads them, and the reader.

#include "core/types/config_items.hpp"

#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

namespace eve::types {
namespace {

using ::testing::HasSubstr;

TEST(ConfigItemTable, DefaultsSatisfyTheirOwnRules) {
    for (const auto& spec : config_item_specs()) {
        const auto text = config_item_text(default_config_items().GlobalSettings.at(std::string(spec.name)));
        const auto parsed = parse_config_item(spec.name, text);
        ASSERT_TRUE(parsed) << parsed.error().what;
        EXPECT_EQ(parsed->Key, spec.name);
    }
}

TEST(ConfigItemTable, HoldsEveryItemOfTheSpecification) {
    struct Row {
        const char* name;
        std::uint32_t number, min, max;
    };
    constexpr std::uint32_t top = 0xffffffff;
    const Row rows[] = {
        {"timer.config.interval", 60, 5, 86400},
        {"timer.cert.interval", 86400, 60, top},
        {"timer.metric.interval", 60, 5, 3600},
        {"timer.metric.diskscan.interval", 300, 5, 3600},
        {"timer.deviceinfo.interval", 600, 30, top},
        {"timer.hardwarehealth.interval", 43200, 21600, top},
        {"timer.location.cloud.interval", 3600, 300, top},
        {"timer.location.app.interval", 20, 5, 3600},
        {"timer.ntpsources.interval", 600, 60, top},
        {"timer.send.timeout", 120, 0, 3600},
        {"timer.dial.timeout", 10, 0, 3600},
        {"timer.reboot.no.network", 604800, 120, top},
        {"timer.update.fallback.no.network", 300, 60, top},
        {"timer.test.baseimage.update", 600, 30, 3600},
        {"timer.download.retry", 600, 60, top},
        {"timer.download.stalled", 600, 20, top},
        {"timer.boot.retry", 600, 10, top},
        {"timer.gc.vdisk", 3600, 60, top},
        {"timer.defer.content.delete", 0, 0, 86400},
        {"timer.port.testduration", 30, 10, 3600},
        {"timer.port.testinterval", 300, 300, 3600},
        {"timer.port.testbetterinterval", 600, 0, top},
        {"timer.port.timeout", 15, 0, 3600},
        {"timer.port.georedo", 3600, 60, top},
        {"timer.port.georetry", 600, 5, top},
        {"timer.lps.profile.interval", 60, 3, 3600},
        {"timer.lps.radio.interval", 5, 3, 3600},
        {"timer.vault.ready.cutoff", 300, 60, top},
        {"timer.appcontainer.stats.interval", 300, 1, top},
        {"network.download.max.cost", 0, 0, 255},
        {"blob.download.max.retries", 5, 1, 10},
        {"storage.dom0.disk.minusage.percent", 20, 20, 80},
        {"storage.dom0.disk.maxusagebytes", 2147483648u, 104857600, top},
        {"storage.zfs.reserved.percent", 20, 1, 99},
        {"newlog.gzipfiles.ondisk.maxmegabytes", 2048, 10, top},
        {"memory.vmm.limit.MiB", 0, 0, 1u << 30},
        {"force.fallback.counter", 0, 0, top},
        {"scep.retry.interval", 300, 60, 3600},
        {"pnac.dhcp.reacquire.max.retries", 4, 0, 8},
        {"msrv.prometheus.metrics.rps", 1, 1, top},
        {"msrv.prometheus.metrics.burst", 10, 1, top},
        {"msrv.prometheus.metrics.idletimeout.seconds", 240, 1, top},
        {"gogc.forced.interval.seconds", 10, 0, 1000},
        {"gogc.forced.growth.memory.MiB", 50, 10, 1024},
        {"gogc.forced.growth.memory.percent", 20, 5, 300},
        {"goroutine.leak.detection.threshold", 5000, 1, top},
        {"kubernetes.drain.timeout", 24, 1, top},
        {"netdump.topic.maxcount", 10, 1, top},
    };
    for (const auto& row : rows) {
        const auto* spec = find_config_item(row.name);
        ASSERT_NE(spec, nullptr) << row.name;
        EXPECT_EQ(spec->type, ConfigItemType::ConfigItemTypeInt) << row.name;
        EXPECT_EQ(spec->number, row.number) << row.name;
        EXPECT_EQ(spec->min, row.min) << row.name;
        EXPECT_EQ(spec->max, row.max) << row.name;
    }
}

TEST(ConfigItemTable, EveryItemIsDocumented) {
    std::ifstream file(SOURCE_ROOT "/docs/config-items.md");
    std::stringstream text;
    text << file.rdbuf();
    for (const auto& spec : config_item_specs()) EXPECT_THAT(text.str(), HasSubstr("`" + std::string(spec.name) + "`"));
}

TEST(ConfigItemRule, BoundsAreAllowedAndWhatIsBeyondIsRefusedByName) {
    EXPECT_EQ(parse_config_item("timer.boot.retry", "10")->IntValue, 10u);
    EXPECT_EQ(parse_config_item("timer.boot.retry", "4294967295")->IntValue, 4294967295u);
    EXPECT_EQ(parse_config_item("network.download.max.cost", "255")->IntValue, 255u);
    for (const char* bad : {"9", "4294967296", "99999999999999999999", "", "-1", "+10", "1e3", " 10", "10 ", "0x10", "ten"}) {
        const auto parsed = parse_config_item("timer.boot.retry", bad);
        ASSERT_FALSE(parsed) << bad;
        EXPECT_EQ(parsed.error().code, Code::invalid_argument);
        EXPECT_EQ(parsed.error().field, "timer.boot.retry");
        EXPECT_THAT(parsed.error().what, HasSubstr("timer.boot.retry"));
        EXPECT_FALSE(parsed.error().hint.empty());
    }
}

TEST(ConfigItemRule, BooleansAndTriStatesAreReadAsGoReadsThem) {
    for (const char* yes : {"true", "1", "t", "T", "TRUE", "True"}) EXPECT_TRUE(parse_config_item("app.allow.vnc", yes)->BoolValue) << yes;
    for (const char* no : {"false", "0", "f", "F", "FALSE", "False"}) EXPECT_FALSE(parse_config_item("app.allow.vnc", no)->BoolValue) << no;
    EXPECT_FALSE(parse_config_item("app.allow.vnc", "yes"));
    EXPECT_EQ(parse_config_item("maintenance.mode", "enabled")->TriStateValue, TriState::TS_ENABLED);
    EXPECT_EQ(parse_config_item("maintenance.mode", "disabled")->TriStateValue, TriState::TS_DISABLED);
    EXPECT_EQ(parse_config_item("maintenance.mode", "none")->TriStateValue, TriState::TS_NONE);
    EXPECT_FALSE(parse_config_item("maintenance.mode", "true"));
}

TEST(ConfigItemRule, TextsFollowTheirOwnRule) {
    EXPECT_TRUE(parse_config_item("debug.default.loglevel", "Debug"));
    EXPECT_FALSE(parse_config_item("debug.default.loglevel", "loud"));
    EXPECT_TRUE(parse_config_item("debug.kernel.loglevel", "crit"));
    EXPECT_FALSE(parse_config_item("debug.kernel.loglevel", "trace"));
    EXPECT_TRUE(parse_config_item("app.boot.order", "nousb"));
    EXPECT_FALSE(parse_config_item("app.boot.order", "cdrom"));
    EXPECT_TRUE(parse_config_item("vector.config", "aGVsbG8="));
    EXPECT_FALSE(parse_config_item("vector.config", "aGVsbG8"));
    EXPECT_FALSE(parse_config_item("vector.config", "a=GVsbG8"));
}

TEST(ConfigItemRule, ABadValueKeepsThePreviousOneElseTheDefault) {
    auto before = configured_config_items();
    ASSERT_TRUE(apply_config_item(before, {}, "timer.boot.retry", "30"));
    auto now = configured_config_items();
    const auto kept = apply_config_item(now, before, "timer.boot.retry", "1");
    ASSERT_FALSE(kept);
    EXPECT_THAT(kept.error().what, HasSubstr("\"30\" stays in force"));
    EXPECT_EQ(ConfigItems(now).seconds("timer.boot.retry"), std::chrono::seconds{30});

    auto fresh = configured_config_items();
    EXPECT_FALSE(apply_config_item(fresh, {}, "timer.boot.retry", "1"));
    EXPECT_EQ(ConfigItems(fresh).number("timer.boot.retry"), 600u);
}

TEST(ConfigItemRule, AnUnknownItemChangesNothingAndIsNamed) {
    auto now = configured_config_items();
    const auto before = now;
    const auto applied = apply_config_item(now, {}, "timer.boot.rety", "30");
    ASSERT_FALSE(applied);
    EXPECT_EQ(applied.error().code, Code::not_found);
    EXPECT_THAT(applied.error().what, HasSubstr("timer.boot.rety"));
    EXPECT_EQ(now, before);
}

TEST(ConfigItemRule, ItemsOfOneAgentAreReadInBothSpellings) {
    ConfigItemValueMap now;
    EXPECT_TRUE(apply_config_item(now, {}, "agent.nim.debug.loglevel", "debug"));
    EXPECT_TRUE(apply_config_item(now, {}, "debug.zedrouter.remote.loglevel", "error"));
    const ConfigItems items(now);
    EXPECT_EQ(items.agent_log_level("nim"), "debug");
    EXPECT_EQ(items.agent_remote_log_level("zedrouter"), "error");
    EXPECT_EQ(items.agent_log_level("zedrouter"), "");
    ConfigItemValueMap next;
    EXPECT_FALSE(apply_config_item(next, now, "agent.nim.debug.loglevel", "loud"));
    EXPECT_EQ(ConfigItems(next).agent_log_level("nim"), "debug");
    for (const char* unknown : {"agent.nim", "agent..debug.loglevel", "agent.nim.colour", "agent.n-m.debug.loglevel", "debug.", ""})
        EXPECT_EQ(apply_config_item(next, {}, unknown, "info").error().code, Code::not_found) << unknown;
}

TEST(ConfigItemsReader, AnswersWithDefaultsWhereNothingIsSet) {
    const ConfigItems items;
    EXPECT_EQ(items.seconds("timer.download.retry"), std::chrono::seconds{600});
    EXPECT_TRUE(items.boolean("app.enable.tcp.mss.clamping"));
    EXPECT_EQ(items.text("debug.default.loglevel"), "info");
    EXPECT_EQ(items.tri_state("network.fallback.any.eth"), TriState::TS_DISABLED);
}

TEST(ConfigItemsReader, NeverTrustsTheTypeOfARecordFromOutside) {
    ConfigItemValueMap values;
    values.GlobalSettings["timer.boot.retry"].ItemType = ConfigItemType::ConfigItemTypeString;
    values.GlobalSettings["timer.boot.retry"].StrValue = "soon";
    const ConfigItems items(values);
    EXPECT_EQ(items.number("timer.boot.retry"), 600u);
    EXPECT_EQ(items.number("no.such.item"), 0u);
    EXPECT_EQ(items.text("timer.boot.retry"), "soon");
}

TEST(ConfigItemsReader, ConsoleUsbAndVgaAreOpenOnlyBeforeAnyConfig) {
    for (const char* name : {"debug.enable.console", "debug.enable.usb", "debug.enable.vga"}) {
        EXPECT_TRUE(ConfigItems(default_config_items()).boolean(name));
        EXPECT_FALSE(ConfigItems(configured_config_items()).boolean(name));
    }
}

}  // namespace
}  // namespace eve::types
