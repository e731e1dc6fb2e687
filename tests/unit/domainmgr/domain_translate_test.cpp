// From EVE's records to what a runtime is told, and the other pure parts of domainmgr.

#include <gmock/gmock.h>

#include "core/domainmgr/cloud_init.hpp"
#include "core/domainmgr/metrics.hpp"
#include "core/domainmgr/runtime_set.hpp"
#include "core/domainmgr/translate.hpp"

namespace eve::domainmgr {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

types::DomainConfig sample() {
    types::DomainConfig config;
    config.UUIDandVersion = {.UUID = types::Uuid::parse_or_nil("6ba7b810-9dad-11d1-80b4-00c04fd430c8"), .Version = "3"};
    config.DisplayName = "web";
    config.Activate = true;
    config.AppNum = 7;
    config.Memory = 1025;
    config.VCpus = 2;
    config.MaxCpus = 4;
    config.VirtualizationMode = types::VmMode::FML;
    config.BootLoader = "/usr/lib/xen/boot/OVMF_CODE.fd";
    config.PurgeCounter = 2;
    config.RestartCounter = 5;
    types::DiskConfig disk;
    disk.VolumeKey = "v#0";
    disk.FileLocation = "/persist/v.qcow2";
    disk.Format = types::Format::QCOW2;
    config.DiskConfigList = {disk};
    disk.VolumeKey = "i#0";
    disk.FileLocation = "/persist/i.iso";
    disk.Format = types::Format::ISO;
    config.DiskConfigList.push_back(disk);
    disk.VolumeKey = "c#0";
    disk.Target = types::Target::AppCustom;
    disk.Format = types::Format::RAW;
    config.DiskConfigList.push_back(disk);
    types::VifConfig vif;
    vif.Bridge = "bn1";
    vif.Vif = "nbu1x7";
    vif.Mac = types::MacAddress::parse_or_none("02:16:3e:00:00:07");
    vif.MTU = 1400;
    vif.VifOrder = 3;
    config.VifList = {vif};
    return config;
}

Description able() {
    Description description;
    description.capabilities = {.cpu_pinning = true, .vnc = true, .stop_ask = true, .memory_limit = true, .boot_order = true,
                                .network_order = true, .virtual_tpm = true, .oem_license = true};
    return description;
}

TEST(Translate, ATypicalApp) {
    const auto config = sample();
    const auto out = translate(
        {.config = config, .runtime = able(), .cloud_init_path = "/run/c.cidata", .overhead_bytes = 99, .resolution = "800x600"});
    ASSERT_TRUE(out) << out.error().what;
    const auto& spec = out->spec;
    EXPECT_EQ(spec.id.value, "6ba7b810-9dad-11d1-80b4-00c04fd430c8");
    EXPECT_EQ(spec.name, "6ba7b810-9dad-11d1-80b4-00c04fd430c8.3.7");
    EXPECT_EQ(spec.display_name, "web");
    EXPECT_EQ(spec.mode, VirtualizationMode::fml);
    EXPECT_EQ(spec.memory.n, 1025U * 1024);
    EXPECT_EQ(spec.memory_overhead.n, 99U);
    EXPECT_EQ(spec.vcpus, 2U);
    EXPECT_EQ(spec.vcpus_max, 4U);
    EXPECT_EQ(spec.firmware, "/usr/lib/xen/boot/OVMF_CODE.fd");
    EXPECT_EQ(spec.resolution, "800x600");
    EXPECT_EQ(spec.labels.at(label_purge), "2");
    EXPECT_EQ(spec.labels.at(label_restart), "5");
    EXPECT_TRUE(spec.virtual_tpm);
    ASSERT_EQ(spec.disks.size(), 4U);
    EXPECT_EQ(spec.disks[0], (Disk{.id = "v#0", .path = "/persist/v.qcow2", .format = DiskFormat::qcow2}));
    EXPECT_EQ(spec.disks[1], (Disk{.id = "i#0", .path = "/persist/i.iso", .format = DiskFormat::iso, .read_only = true, .cdrom = true}));
    EXPECT_EQ(spec.disks[2].target, DiskTarget::app_custom);
    EXPECT_EQ(spec.disks[3].id, "cloud-init");
    EXPECT_TRUE(spec.disks[3].cdrom);
    EXPECT_THAT(spec.vifs, ElementsAre(Vif{.name = "nbu1x7", .bridge = "bn1", .mac = "02:16:3e:00:00:07", .mtu = 1400}));
    EXPECT_TRUE(out->notes.empty());
}

TEST(Translate, WhatTheRuntimeLacksIsLeftOutWithANoteOrRefused) {
    auto config = sample();
    config.EnableVnc = true;
    config.BootOrder = types::BootOrder::BOOT_ORDER_USB;
    config.EnableOemWinLicenseKey = true;
    const auto out = translate({.config = config, .runtime = Description{}});
    ASSERT_TRUE(out);
    EXPECT_EQ(out->notes.size(), 3U);
    EXPECT_FALSE(out->spec.vnc.enabled);
    EXPECT_EQ(out->spec.boot_order, BootOrder::unknown);
    EXPECT_EQ(out->spec.memory_overhead.n, 0U);
    config.EnforceNetworkInterfaceOrder = true;
    EXPECT_EQ(translate({.config = config, .runtime = Description{}}).error().code, Code::unsupported);
    const auto ordered = translate({.config = config, .runtime = able()});
    ASSERT_TRUE(ordered);
    EXPECT_EQ(ordered->spec.vifs[0].order, 3U);
}

TEST(Translate, RefusesWhatContradictsItselfWithTheField) {
    const auto field_of = [](auto change) {
        auto config = sample();
        change(config);
        const auto out = translate({.config = config, .runtime = able()});
        return out ? std::string("accepted") : out.error().field;
    };
    EXPECT_EQ(field_of([](auto& c) { c.Memory = 0; }), ".Memory");
    EXPECT_EQ(field_of([](auto& c) { c.VCpus = -1; }), ".VCpus");
    EXPECT_EQ(field_of([](auto& c) { c.VCpus = 1 << 20; }), ".VCpus");
    EXPECT_EQ(field_of([](auto& c) { c.DiskConfigList[1].FileLocation = ""; }), ".DiskConfigList[1].FileLocation");
    EXPECT_EQ(field_of([](auto& c) { c.DiskConfigList[0].Format = types::Format::PVC; }), ".DiskConfigList[0].Format");
    EXPECT_EQ(field_of([](auto& c) { c.VifList[0].Bridge = ""; }), ".VifList[0]");
    EXPECT_EQ(field_of([](auto& c) { c.VifList[0].Mac = {}; }), ".VifList[0].Mac");
    EXPECT_EQ(field_of([](auto& c) { c.Service = true; }), ".Service");
    EXPECT_EQ(field_of([](auto& c) { c.CPUsPinned = true; }), ".CPUs");
    EXPECT_EQ(field_of([](auto& c) { c.IRQs = {5}; }), ".DtDev");
}

TEST(Translate, NamesAreWhatRuntimesTake) {
    auto config = sample();
    config.UUIDandVersion.Version = "1/2 \"x\"\n" + std::string(200, 'v');
    const auto name = domain_name(config);
    EXPECT_EQ(name.size(), 127U);
    EXPECT_EQ(name.find_first_not_of("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-"), std::string::npos);
    EXPECT_TRUE(name.ends_with(".7"));
}

TEST(Translate, ModesAreEvesAndUnknownOnesArePv) {
    EXPECT_EQ(runtime_mode(types::VmMode::PV), VirtualizationMode::pv);
    EXPECT_EQ(runtime_mode(types::VmMode::HVM), VirtualizationMode::hvm);
    EXPECT_EQ(runtime_mode(types::VmMode::FML), VirtualizationMode::fml);
    EXPECT_EQ(runtime_mode(types::VmMode::LEGACY), VirtualizationMode::legacy);
    EXPECT_EQ(runtime_mode(types::VmMode::NOHYPER), VirtualizationMode::container);
    EXPECT_EQ(runtime_mode(types::VmMode{200}), VirtualizationMode::pv);
}

TEST(Translate, TheRevisionChangesWithWhatTheRuntimeIsToldAndNotWithTheWishToRun) {
    const auto config = sample();
    auto other = config;
    other.Activate = other.UserActivate = false;
    other.Error = "x";
    EXPECT_EQ(revision_of(config), revision_of(other));
    other.Memory += 1;
    EXPECT_NE(revision_of(config), revision_of(other));
    EXPECT_NE(revision_of(config), 0U);
}

TEST(Translate, DiskStatusesHaveEvesDevices) {
    auto config = sample();
    auto disks = disk_statuses(config, "/run/c.cidata");
    ASSERT_EQ(disks.size(), 4U);
    EXPECT_EQ(disks[0].Devtype, "hdd");
    EXPECT_EQ(disks[0].Vdev, "xvda");
    EXPECT_EQ(disks[1].Devtype, "cdrom");
    EXPECT_EQ(disks[1].Format, types::Format::RAW);
    EXPECT_EQ(disks[2].Devtype, "AppCustom");
    EXPECT_EQ(disks[3].Vdev, "xvdz");
    config.VirtualizationMode = types::VmMode::LEGACY;
    EXPECT_EQ(disk_statuses(config, "")[0].Devtype, "legacy");
}

std::string content_of(const CloudInitDisk& disk, const std::string& path) {
    for (const auto& file : disk.files)
        if (file.path == path) return file.content;
    return "(absent)";
}

types::DomainConfig with_user_data(const std::string& text) {
    auto config = sample();
    config.CloudInitUserData = types::to_base64({text.begin(), text.end()});
    return config;
}

TEST(CloudInit, HasTheIdentityAndTheUserData) {
    auto config = with_user_data("#cloud-config\nruncmd: []\n");
    auto disk = cloud_init_disk(config);
    ASSERT_TRUE(disk && *disk);
    EXPECT_EQ(content_of(**disk, "user-data"), "#cloud-config\nruncmd: []\n");
    EXPECT_EQ(content_of(**disk, "meta-data"),
              "instance-id: 6ba7b810-9dad-11d1-80b4-00c04fd430c8/3\nlocal-hostname: 6ba7b810-9dad-11d1-80b4-00c04fd430c8\n");
    config.CloudInitVersion = 9;
    EXPECT_THAT(content_of(**cloud_init_disk(config), "meta-data"), HasSubstr("/9\n"));
}

TEST(CloudInit, TheHostNameIsLeftToUserDataThatSetsIt) {
    for (const char* line : {"hostname: web", "fqdn: web.example", "preserve_hostname: true"})
        EXPECT_EQ(content_of(**cloud_init_disk(with_user_data(std::string("#cloud-config\n") + line + "\n")), "meta-data").find("local-hostname"),
                  std::string::npos)
            << line;
    EXPECT_TRUE(sets_hostname("hostname: x"));
    EXPECT_FALSE(sets_hostname("#cloud-config\n  hostname: nested\n"));
}

TEST(CloudInit, NoDiskWithoutUserDataOrWhereTheMetadataServerServes) {
    EXPECT_FALSE(*cloud_init_disk(sample()));
    auto config = with_user_data("x");
    config.MetaDataType = types::MetaDataType::MetaDataOpenStack;
    EXPECT_FALSE(*cloud_init_disk(config));
    config.MetaDataType = types::MetaDataType::MetaDataNone;
    EXPECT_FALSE(*cloud_init_disk(config));
}

TEST(CloudInit, RefusesWhatIsNotBase64AndWhatItCannotDecrypt) {
    auto config = sample();
    config.CloudInitUserData = "not base64!";
    EXPECT_EQ(cloud_init_disk(config).error().field, ".CloudInitUserData");
    config.CloudInitUserData.reset();
    config.IsCipher = true;
    EXPECT_THAT(cloud_init_disk(config).error().what, HasSubstr("encrypted"));
    config.CloudInitUserData = types::to_base64({'x'});
    EXPECT_TRUE(*cloud_init_disk(config));  // clear text beside it is EVE's fallback
}

types::DomainConfig container_with(const std::string& user_data) {
    auto config = with_user_data(user_data);
    config.VirtualizationMode = types::VmMode::NOHYPER;
    config.Kernel = "/hostfs/boot/kernel";
    auto& root = config.DiskConfigList.front();
    root.Format = types::Format::CONTAINER;
    root.FileLocation = "/persist/v.container";
    config.DiskConfigList[1].MountDir = "/data";
    config.DiskConfigList[1].DisplayName = "settings";
    return config;
}

TEST(Container, IsToldItsVolumesAndVariablesAndNothingOfAVm) {
    const auto config = container_with("# who\nNAME = 'web'\n\nEMPTY=\r\nPATH=/a:/b=c\n");
    EXPECT_FALSE(*cloud_init_disk(config));
    const auto translated = translate({.config = config, .runtime = able(), .overhead_bytes = 1U << 20});
    ASSERT_TRUE(translated) << translated.error().what;
    const auto& spec = translated->spec;
    EXPECT_EQ(spec.mode, VirtualizationMode::container);
    EXPECT_THAT(spec.env, ElementsAre(Pair("EMPTY", ""), Pair("NAME", "web"), Pair("PATH", "/a:/b=c")));
    EXPECT_EQ(spec.kernel + spec.firmware, "");
    EXPECT_EQ(spec.memory_overhead.n, 0U);
    EXPECT_FALSE(spec.virtual_tpm);
    EXPECT_EQ(spec.disks[1].mount_dir, "/data");
    EXPECT_EQ(spec.disks[1].name, "settings");
}

TEST(Container, UserDataOfAnotherFormIsRefusedWithItsLine) {
    EXPECT_THAT(container_data(container_with("A=1\nB\n")).error().what, HasSubstr("line 2"));
    EXPECT_THAT(container_data(container_with("=1\n")).error().what, HasSubstr("line 1"));
    EXPECT_EQ(container_data(container_with("#cloud-config\n")).error().code, Code::unsupported);
    EXPECT_TRUE(container_data(with_user_data("no variables, and no container"))->env.empty());
}

TEST(CloudInit, JunosFindsItsConfigurationUnderItsOwnName) {
    const auto disk = cloud_init_disk(with_user_data("#junos-config\nsystem {}\n"));
    EXPECT_EQ(content_of(**disk, "juniper.conf"), "#junos-config\nsystem {}\n");
    EXPECT_EQ(content_of(**disk, "user-data"), "(absent)");
}

TEST(Metrics, MemoryIsInMiBAndCpuTimePerCpu) {
    auto config = sample();
    const DomainStats stats{.cpu = std::chrono::seconds(10), .memory_allocated = 512_MiB, .memory_used = eve::Bytes{128 * 1048576 + 524288}};
    const auto metric = domain_metric(config, stats, types::Time(WallTime{5, 0}));
    EXPECT_EQ(metric.CPUTotalNs, 5'000'000'000U);
    EXPECT_EQ(metric.AllocatedMB, 512U);
    EXPECT_EQ(metric.UsedMemory, 129U);
    EXPECT_EQ(metric.AvailableMemory, 383U);
    EXPECT_TRUE(metric.Activated);
    EXPECT_EQ(inactive_metric(config, {}).UsedMemory, 0U);
}

TEST(RuntimeSet, NoRuntimeIsCalledMoreOftenAtOnceThanItCanBear) {
    RuntimeSlot slot({.description = {.id = "x", .limits = {.calls_in_flight_max = 2}}});
    std::vector<int> told;
    EXPECT_TRUE(slot.enter([] {}));
    EXPECT_TRUE(slot.enter([] {}));
    EXPECT_FALSE(slot.enter([&] { told.push_back(3); }));
    EXPECT_FALSE(slot.enter([&] {
        told.push_back(4);
        EXPECT_TRUE(slot.try_enter());
    }));
    EXPECT_FALSE(slot.enter([&] { told.push_back(5); }));
    slot.leave();  // 3 does not want its place any more: it goes to 4
    EXPECT_THAT(told, ElementsAre(3, 4));
    EXPECT_FALSE(slot.try_enter());
    slot.leave();
    EXPECT_THAT(told, ElementsAre(3, 4, 5));
}

TEST(RuntimeSet, TheFirstThatServesTheModeIsChosenAndNoneIsForgotten) {
    RuntimeSet set;
    set.update({{.description = {.id = "xen", .modes = {VirtualizationMode::pv}}},
                {.description = {.id = "kvm", .modes = {VirtualizationMode::pv, VirtualizationMode::hvm}, .capabilities = {.vhost = true}}}});
    EXPECT_EQ(set.choose(VirtualizationMode::pv)->id(), "xen");
    EXPECT_EQ(set.choose(VirtualizationMode::hvm)->id(), "kvm");
    EXPECT_EQ(set.choose(VirtualizationMode::container), nullptr);
    EXPECT_TRUE(set.capabilities().UseVHost);
    RuntimeSlot* xen = set.choose(VirtualizationMode::pv);
    set.update({{.description = {.id = "kvm", .modes = {VirtualizationMode::pv}}}});
    EXPECT_EQ(set.choose(VirtualizationMode::pv)->id(), "kvm");
    ASSERT_EQ(set.slots().size(), 2U);
    EXPECT_EQ(set.slots()[1].get(), xen);
}

}  // namespace
}  // namespace eve::domainmgr
