// The demo image of scripts/make-guest-image under the KVM plugin: a real Linux reaches its banner and goes down by its power button.

#include <gtest/gtest.h>

#include <array>
#include <cstdio>

#include "tests/acceptance/kvm/watching.hpp"
#include "tests/conformance/plugin_fixture.hpp"

namespace eve::plugin {
namespace {

using namespace std::chrono_literals;

constexpr const char* app_id = "6ba7b812-9dad-11d1-80b4-00c04fd430c8";
constexpr const char* image_maker = SOURCE_ROOT "/scripts/make-guest-image";

TEST(LinuxGuest, BootsToItsBannerAndGoesDownByItsPowerButton) {
    if (::access("/usr/bin/qemu-system-x86_64", X_OK) != 0) GTEST_SKIP() << "qemu-system-x86_64 is not installed";
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to give QEMU a user of its own";
    const ScratchDir dir;
    const auto image = dir.path("guest.qcow2");
    const auto log = dir.path("image.log");
    const auto command = std::string(image_maker) + " " + image + " >" + log + " 2>&1 </dev/null";
    if (std::system(command.c_str()) != 0) GTEST_SKIP() << "no guest image can be made here: " << text_of(log);

    const TimedCall limit(60s);
    OpenPlugin node(dir, built("plugins/kvm.so"), "{}", Isolation::process);
    ASSERT_FALSE(node.error) << node.error->what;
    const DomainSpec spec{.id = {app_id},
                          .revision = 1,
                          .name = std::string(app_id) + ".1.1",
                          .mode = VirtualizationMode::hvm,
                          .memory = 256_MiB,
                          .vcpus = 1,
                          .disks = {{.id = "boot", .path = image, .format = DiskFormat::qcow2}}};
    const auto created = node.client->create(limit, spec);
    ASSERT_TRUE(created.ok()) << created.error().what;
    const auto started = node.client->start(limit, spec.id);
    ASSERT_TRUE(started.ok()) << started.error().what;
    const auto console = started->console_log_path;
    EXPECT_TRUE(eventually([&] { return text_of(console).find(" ready") != std::string::npos; }, 60s)) << text_of(console);
    const TimedCall more(60s);
    EXPECT_TRUE(node.client->stop(more, spec.id, StopMode::ask).ok());
    EXPECT_TRUE(eventually([&] {
        const auto info = node.client->inspect(TimedCall(5s), spec.id);
        return info.ok() && info->state == DomainState::halted;
    }, 30s)) << text_of(console);
    EXPECT_TRUE(node.client->destroy(TimedCall(30s), spec.id, DestroyMode::purge).ok());
}

}  // namespace
}  // namespace eve::plugin
