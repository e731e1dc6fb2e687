#include "core/zedmanager/explain.hpp"

#include <algorithm>

#include "core/zedmanager/problems.hpp"
#include "core/zedmanager/records.hpp"

namespace eve::zedmanager {

namespace {

using types::Inprogress;
using types::SwState;

std::string one_line(std::string text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ' || text.back() == '.')) text.pop_back();
    std::ranges::replace(text, '\n', ' ');
    return text;
}

/// What an operator can do about an error that does not go away by itself.
std::string advice(const types::AppInstanceStatus& app) {
    if (app.MissingMemory) return "Stop another app, give this one less memory, or add memory to the node.";
    if (app.Error.find("Need purge") != std::string::npos) return "Purge the app, or take the change back.";
    if (app.Error.find("Need restart") != std::string::npos) return "Restart the app, or take the change back.";
    if (app.ErrorSourceType == source_app_status) return "Correct the app's configuration.";
    if (app.ErrorSourceType == source_network) return "See the network instances (evectl networks), then correct the app's network adapters.";
    if (app.ErrorSourceType == source_domain) return "See the guest's console and the events (evectl app console, evectl events), then restart the app.";
    return "See the volumes (evectl volumes), then correct the image or its datastore.";
}

std::string of_error(const types::AppInstanceStatus& app) {
    std::string text = one_line(app.Error) + ". ";
    if (app.ErrorRetryCondition.empty()) return text + advice(app);
    text += "It is tried again by itself: " + one_line(app.ErrorRetryCondition) + ".";
    return app.MissingMemory ? text + " " + advice(app) : text;
}

std::string volume_name(const types::VolumeRefStatus& volume) {
    return volume.DisplayName.empty() ? volume_key(volume) : volume.DisplayName;
}

std::string of_volume(const types::VolumeRefStatus& volume) {
    const std::string name = "volume " + volume_name(volume);
    switch (volume.State) {
        case SwState::RESOLVING_TAG:
        case SwState::RESOLVED_TAG: return "Waits for the registry to resolve the tag of " + name + ".";
        case SwState::DOWNLOADING: return "Waits for the download of " + name + ".";
        case SwState::DOWNLOADED:
        case SwState::VERIFYING: return "Waits until the content of " + name + " is verified.";
        case SwState::VERIFIED:
        case SwState::LOADING: return "Waits until the content of " + name + " is in the content store.";
        case SwState::LOADED:
        case SwState::CREATING_VOLUME: return "Waits until " + name + " is created.";
        default: return "Waits for volumemgr to begin with " + name + ". If this lasts: is the volume in the configuration (evectl volumes)?";
    }
}

/// The volume that is furthest behind, or null if all are there.
const types::VolumeRefStatus* last_volume(const AppRecords& records) {
    const types::VolumeRefStatus* last = nullptr;
    for (const auto& own : records.app->VolumeRefStatusList) {
        const types::VolumeRefStatus* volume = &own;
        for (const auto* reported : records.volumes)
            if (reported != nullptr && reference_key(*reported) == reference_key(own)) volume = reported;
        if (volume->State < SwState::CREATED_VOLUME && (last == nullptr || volume->State < last->State)) last = volume;
    }
    return last;
}

std::string of_network(const AppRecords& records) {
    const auto* network = records.network;
    if (records.app->State == SwState::AWAITNETWORKINSTANCE || (network != nullptr && network->AwaitNetworkInstance))
        return "Waits for a network instance that is not there. Add it to the configuration, or take it out of the app (evectl networks).";
    if (network == nullptr) return "Waits for zedrouter to take up its network adapters.";
    if (!network->Activated) return "Waits for zedrouter to make its network.";
    return {};
}

std::string of_domain(const AppRecords& records) {
    const auto* domain = records.domain;
    if (domain == nullptr) return "Waits for domainmgr to take it up.";
    if (!domain->Error.empty()) return one_line(domain->Error) + ".";
    if (domain->Activated && domain->State == SwState::RUNNING) return {};
    if (domain->State == SwState::BOOTING) return "Waits for the guest to boot.";
    if (domain->State == SwState::BROKEN) return "The guest's machine failed. Restart the app.";
    return "Waits for domainmgr to start it.";
}

std::string of_purge(const AppRecords& records) {
    switch (records.app->PurgeInprogress) {
        case Inprogress::DownloadAndVerify: {
            const auto* volume = last_volume(records);
            return "Purge: the old app stays until the new content is there. " + (volume != nullptr ? of_volume(*volume) : std::string());
        }
        case Inprogress::BringDown: return "Purge: waits for the guest and its network to go down.";
        case Inprogress::RecreateVolumes: return "Purge: waits for the new volumes to be created.";
        default: return {};
    }
}

}  // namespace

std::string why_waiting(const AppRecords& records) {
    if (records.app == nullptr) return "Waits for zedmanager to take it up.";
    const auto& app = *records.app;
    if (!app.Error.empty()) return of_error(app);
    if (auto purge = of_purge(records); !purge.empty()) return purge;
    if (app.NoBootPriority) return "Waits for the apps that ran before the reboot; they are started first, for at most five minutes.";
    if (app.RestartInprogress == Inprogress::BringDown) return "Restart: waits for the guest to halt.";
    if (!records.wanted) return app.Activated ? "Waits for the guest to halt." : std::string();
    if (const auto* volume = last_volume(records); volume != nullptr && !app.Activated) return of_volume(*volume);
    if (app.State == SwState::START_DELAYED) return "Its start is delayed until " + app.StartTime.to_string() + ".";
    if (!app.Activated && !app.ActivateInprogress) return "Waits to be activated: is there a configuration with its network ports (evectl status)?";
    if (auto network = of_network(records); !network.empty()) return network;
    return of_domain(records);
}

}  // namespace eve::zedmanager
