#pragma once
// One app and what the other agents say of it, in the hands of a test: change a fact, look(), read what zedmanager would publish.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>

#include "core/zedmanager/step.hpp"

namespace eve::zedmanager {

using types::Inprogress;
using types::SwState;

inline types::Uuid uuid(std::uint8_t last) {
    std::array<std::uint8_t, 16> bytes{};
    bytes[15] = last;
    return types::Uuid{bytes};
}

class AppStory : public testing::Test {
protected:
    AppStory() {
        node.now = types::Time{WallTime{.seconds = 1'700'000'000}};
        node.at = Instant{std::chrono::hours{1}};
        node.may_activate = true;
        node.delay_base = node.now;
        node.memory = {.known = true, .total = std::uint64_t{8} << 30};
        config.UUIDandVersion = {.UUID = app, .Version = "1"};
        config.DisplayName = "web";
        config.FixedResources.Memory = 512 * 1024;
        config.FixedResources.VCpus = 1;
        config.Activate = true;
        config.VolumeRefConfigList = {reference(1), reference(2)};
        config.AppNetAdapterList = {adapter("eth0", 20)};
    }

    types::VolumeRefConfig reference(std::uint8_t volume, std::int64_t generation = 0) const {
        return {.VolumeID = uuid(volume), .GenerationCounter = generation, .AppUUID = app, .VerifyOnly = true};
    }
    types::AppNetAdapterConfig adapter(const std::string& name, std::uint8_t network_instance) const {
        types::AppNetAdapterConfig made;
        made.Name = name;
        made.Network = uuid(network_instance);
        return made;
    }
    static types::ACE rule(const std::string& name) {
        types::ACE made;
        made.Name = name;
        return made;
    }

    // ---- what the other agents say

    void volume_is(const types::VolumeRefConfig& reference, SwState volume_state) {
        auto& status = volumes[reference_key(reference)];
        status.VolumeID = reference.VolumeID;
        status.GenerationCounter = reference.GenerationCounter;
        status.LocalGenerationCounter = reference.LocalGenerationCounter;
        status.AppUUID = reference.AppUUID;
        status.State = volume_state;
        status.VerifyOnly = volume_state < SwState::CREATING_VOLUME;
        status.ActiveFileLocation = volume_state == SwState::CREATED_VOLUME ? "/persist/vault/volumes/" + volume_key(reference) + ".qcow2" : "";
        status.ContentFormat = types::Format::QCOW2;
    }
    void all_volumes_are(SwState volume_state) {
        for (const auto& each : config.VolumeRefConfigList) volume_is(each, volume_state);
    }
    void network_is_up() {
        types::AppNetworkStatus status;
        status.UUIDandVersion = config.UUIDandVersion;
        status.AppNum = 1;
        status.Activated = true;
        for (const auto& each : state.network ? state.network->AppNetAdapterList : config.AppNetAdapterList) {
            types::AppNetAdapterStatus made;
            static_cast<types::AppNetAdapterConfig&>(made) = each;
            made.Vif = "nbu1x1";
            made.Bridge = "bn1";
            status.AppNetAdapterList.push_back(made);
        }
        network = status;
    }
    void network_is_down() { network->Activated = false; }
    void domain_is(SwState domain_state) {
        if (!domain) domain.emplace();
        domain->UUIDandVersion = config.UUIDandVersion;
        domain->State = domain_state;
        domain->Activated = domain_state == SwState::RUNNING || domain_state == SwState::HALTING;
        domain->DomainId = domain_state == SwState::HALTED || domain_state == SwState::INSTALLED ? 0 : 7;
        domain->DomainName = app.to_string() + ".1.1";
        if (domain_state == SwState::RUNNING) domain->BootTime = node.now;
    }
    void domain_fails(const std::string& error) {
        domain_is(SwState::HALTED);
        domain->Error = error;
        domain->ErrorTime = node.now;
        domain->ErrorSeverity = types::ErrorSeverity::ErrorSeverityError;
        domain->BootFailed = true;
    }

    // ---- what zedmanager makes of it

    void look() {
        const Decision decision = settle(state, seen(), node);
        state = decision.next;
        wake_at = decision.wake_at;
        const Decision again = step(state, seen(), node);
        EXPECT_EQ(again.next, state) << "a second look at the same facts changed the mind";
    }
    void wait(std::chrono::nanoseconds time) {
        node.at += time;
        node.now = node.now + time;
    }
    void pass_settle_time() {
        wait(halt_settle_time);
        look();
    }
    Observed seen() const {
        Observed observed;
        observed.config = has_config ? &config : nullptr;
        observed.config_absent = !has_config;
        for (const auto& [key, status] : volumes) observed.volumes[key] = &status;
        observed.network = network ? &*network : nullptr;
        observed.network_heard = true;
        observed.domain = domain ? &*domain : nullptr;
        observed.domain_heard = true;
        return observed;
    }

    /// From nothing to a guest that runs.
    void run_up() {
        look();
        all_volumes_are(SwState::CREATED_VOLUME);
        look();
        network_is_up();
        look();
        domain_is(SwState::BOOTING);
        look();
        domain_is(SwState::RUNNING);
        look();
        ASSERT_EQ(state.status.State, SwState::RUNNING);
        ASSERT_TRUE(state.status.Activated);
        ASSERT_EQ(state.status.Error, "");
    }
    /// zedmanager is started again: only what was published is left.
    void restart_agent() {
        AppState left;
        left.status = state.status;
        left.volume_refs = state.volume_refs;
        left.network = state.network;
        left.domain = state.domain;
        left.purge_counter = state.purge_counter;
        left.reloaded = true;
        state = left;
    }
    /// The node was rebooted: only persistent records are left.
    void reboot() {
        AppState left;
        left.purge_counter = state.purge_counter;
        state = left;
        volumes.clear();
        network.reset();
        domain.reset();
    }
    const types::VolumeRefConfig& published(const types::VolumeRefConfig& which) const { return state.volume_refs.at(reference_key(which)); }
    bool is_published(const types::VolumeRefConfig& which) const { return state.volume_refs.contains(reference_key(which)); }

    const types::Uuid app = uuid(100);
    types::AppInstanceConfig config;
    bool has_config = true;
    std::map<std::string, types::VolumeRefStatus> volumes;
    std::optional<types::AppNetworkStatus> network;
    std::optional<types::DomainStatus> domain;
    NodeView node;
    AppState state;
    std::optional<Instant> wake_at;
};

}  // namespace eve::zedmanager
