// Which plugins a node uses: the operator's order, else the hypervisor type, else the built-in order; and what it says of the others.

#include "core/plugin/registry.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>

#include "eve/testing/call_context.hpp"
#include "tests/conformance/plugin_fixture.hpp"

namespace eve::plugin {
namespace {

using ::testing::HasSubstr;

class RegistryTest : public ::testing::Test {
protected:
    RegistryTest() {
        options_.directories = {dir_.path("plugins")};
        options_.own_user_allowed = true;
        options_.hypervisor_type_file = dir_.path("eve-hv-type");
        options_.state_dir = dir_.path("persist");
        options_.run_dir = dir_.path("run");
        options_.plugin_host = built("bin/plugin-host");
        options_.keeper = {.executable = built("bin/keeper"), .cgroup_parent = {}};
        std::filesystem::create_directories(options_.directories[0]);
        ::chmod(options_.directories[0].c_str(), 0755);
    }
    void install(const std::string& name, const std::string& from = built("plugins/mock.so")) {
        const auto to = options_.directories[0] + "/" + name + ".so";
        std::filesystem::copy_file(from, to);
        ::chmod(to.c_str(), 0755);
    }
    /// What the mock called `name` answers when it is asked whether it works here.
    void says(const std::string& name, const std::string& verdict) {
        std::filesystem::create_directories(options_.state_dir + "/" + name);
        std::ofstream(options_.state_dir + "/" + name + "/probe", std::ios::trunc) << verdict;
    }
    Registry& open() {
        registry_ = std::make_unique<Registry>(options_, Registry::Deps{.log = log_, .on_event = {}, .on_change = {}});
        registry_->open();
        return *registry_;
    }
    PluginStatus status_of(const std::string& name) {
        for (auto& status : registry_->status())
            if (status.name == name) return status;
        ADD_FAILURE() << name << " is not listed";
        return {};
    }

    ScratchDir dir_;
    QuietLog log_;
    RegistryOptions options_;
    std::unique_ptr<Registry> registry_;
    ::eve::testing::FakeCall call_;
};

TEST_F(RegistryTest, TheFirstThatIsSupportedServesTheMode) {
    for (const auto* name : {"first", "second", "third"}) install(name);
    options_.order = {"first", "second", "third"};
    options_.plugins["first"].config = R"({"probe":"declined"})";
    auto* hypervisor = open().for_mode(VirtualizationMode::hvm);
    ASSERT_NE(hypervisor, nullptr);
    EXPECT_TRUE(hypervisor->list(call_));
    EXPECT_EQ(status_of("first").state, PluginState::declined);
    EXPECT_EQ(status_of("second").state, PluginState::used);
    EXPECT_GT(status_of("second").host_pid, 0);
    EXPECT_EQ(status_of("third").state, PluginState::spare) << "it adds no mode";
    EXPECT_EQ(registry_->used().size(), 1U);
    EXPECT_EQ(registry_->used()[0].name, "second");
    EXPECT_NE(registry_->used()[0].content, nullptr) << "it serves content/1 besides";
}

TEST_F(RegistryTest, AHostThatIsKilledAtItsStartIsNotHeldAgainstThePlugin) {
    install("mock");
    options_.order = {"mock"};
    // The first and the third start are killed: one while the plugin is looked into, one when it is opened for use.
    const auto killed = dir_.path("killed-at-start"), count = dir_.path("count");
    std::ofstream(killed) << "#!/bin/sh\necho >>" << count << "\ncase $(wc -l <" << count << ") in 1 | 3) kill -9 $$;; esac\nexec "
                          << built("bin/plugin-host") << " \"$@\"\n";
    ::chmod(killed.c_str(), 0755);
    options_.plugin_host = killed;
    auto* hypervisor = open().for_mode(VirtualizationMode::hvm);
    EXPECT_EQ(status_of("mock").state, PluginState::used) << status_of("mock").reason;
    ASSERT_NE(hypervisor, nullptr);
    EXPECT_TRUE(hypervisor->list(call_));
}

TEST_F(RegistryTest, BrokenAndBadOnesAreKeptWithTheirReasons) {
    install("broken");
    install("bad", std::string(BAD_PLUGINS) + "/wrong_major.so");
    install("crashing", std::string(BAD_PLUGINS) + "/crashes_when_loaded.so");
    options_.order = {"broken", "bad", "crashing", "missing"};
    options_.plugins["broken"].config = R"({"probe":"broken"})";
    EXPECT_EQ(open().for_mode(VirtualizationMode::pv), nullptr);
    EXPECT_EQ(status_of("broken").state, PluginState::broken);
    EXPECT_EQ(status_of("broken").reason, "its configuration says so");
    EXPECT_EQ(status_of("bad").state, PluginState::refused);
    EXPECT_THAT(status_of("bad").reason, HasSubstr("plugin needs ABI 2.x"));
    EXPECT_EQ(status_of("crashing").state, PluginState::quarantined);
    EXPECT_TRUE(log_.has("plugin.not_installed"));
    EXPECT_THAT(to_json(registry_->status()), HasSubstr(R"("state":"quarantined")"));
}

TEST_F(RegistryTest, WhatCouldNotWorkIsLookedIntoAgainWhenAsked) {
    install("later");
    install("crashing", std::string(BAD_PLUGINS) + "/crashes_when_loaded.so");
    options_.order = {"later", "crashing"};
    says("later", "broken");
    auto& registry = open();
    EXPECT_EQ(registry.for_mode(VirtualizationMode::hvm), nullptr);
    EXPECT_FALSE(registry.open_again());
    EXPECT_EQ(status_of("later").state, PluginState::broken);
    says("later", "declined");
    EXPECT_FALSE(registry.open_again());
    EXPECT_EQ(status_of("later").state, PluginState::declined);
    says("later", "supported");
    EXPECT_TRUE(registry.open_again());
    EXPECT_EQ(status_of("later").state, PluginState::used) << status_of("later").reason;
    auto* later = registry.for_mode(VirtualizationMode::hvm);
    ASSERT_NE(later, nullptr);
    EXPECT_TRUE(later->list(call_));
    EXPECT_EQ(status_of("crashing").state, PluginState::quarantined) << "for its time, whoever asks";
    EXPECT_FALSE(registry.open_again());
    EXPECT_EQ(registry.for_mode(VirtualizationMode::hvm), later);
}

TEST_F(RegistryTest, OneThatCouldWorkLaterDoesNotPushOutWhoIsInUse) {
    install("later");
    install("works");
    options_.order = {"later", "works"};
    says("later", "broken");
    auto& registry = open();
    auto* works = registry.for_mode(VirtualizationMode::hvm);
    ASSERT_NE(works, nullptr);
    says("later", "supported");
    EXPECT_FALSE(registry.open_again());
    EXPECT_EQ(status_of("later").state, PluginState::spare);
    EXPECT_EQ(registry.for_mode(VirtualizationMode::hvm), works);
}

TEST_F(RegistryTest, WithoutAnOrderMockIsNotUsed) {
    install("mock");
    EXPECT_EQ(open().for_mode(VirtualizationMode::hvm), nullptr);
    EXPECT_EQ(status_of("mock").state, PluginState::not_asked);
}

TEST_F(RegistryTest, TheHypervisorTypeFileNamesOne) {
    install("kvm");
    install("mock");
    std::ofstream(options_.hypervisor_type_file) << " mock\n";
    open();
    EXPECT_EQ(status_of("mock").state, PluginState::used);
    EXPECT_EQ(status_of("kvm").state, PluginState::not_asked);
    std::ofstream(options_.hypervisor_type_file, std::ios::trunc) << "\n";
    open();
    EXPECT_EQ(status_of("kvm").state, PluginState::used) << "an empty file says nothing";
}

TEST_F(RegistryTest, IsolationIsChosenPerPlugin) {
    install("mock");
    options_.order = {"mock"};
    options_.plugins["mock"].isolation = Isolation::in_process;
    open();
    EXPECT_EQ(status_of("mock").host_pid, ::getpid());
    EXPECT_TRUE(registry_->for_mode(VirtualizationMode::hvm)->list(call_));
}

}  // namespace
}  // namespace eve::plugin
