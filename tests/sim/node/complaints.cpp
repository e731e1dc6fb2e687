#include "tests/sim/node/complaints.hpp"

#include <set>

#include "core/zedmanager/records.hpp"
#include "core/zedmanager/step.hpp"

namespace eve::sim {

using types::Inprogress;
using types::SwState;

namespace {

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

void complain_of_app(const types::AppInstanceConfig& config, const Statuses& statuses, const World& world, std::vector<std::string>& out) {
    const std::string key = config.UUIDandVersion.UUID.to_string();
    const auto reported = statuses.find(key);
    const auto* status = reported == statuses.end() ? nullptr : reported->second.get();
    const auto complain = [&](const std::string& text) {
        out.push_back("app " + key.substr(34) + " " + text);
        if (status != nullptr)
            out.back() += " [state " + std::to_string(static_cast<int>(status->State)) + " activated " + std::to_string(status->Activated) +
                          std::to_string(status->ActivateInprogress) + " restart " + std::to_string(static_cast<int>(status->RestartInprogress)) +
                          " purge " + std::to_string(static_cast<int>(status->PurgeInprogress)) + " error " + status->Error + "]";
    };
    if (status == nullptr) return complain("is not reported");
    const auto found = world.guests.find(key);
    const bool runs = found != world.guests.end();
    if (status->FixedResources.Memory == 0) {  // never was acceptable
        if (!contains(status->Error, "Invalid Memory Size")) complain("was rejected without saying so: " + status->Error);
        return runs ? complain("runs although it was rejected") : void();
    }
    if (status->RestartInprogress != Inprogress::NotInprogress) complain("a restart has not ended");
    const bool parked = status->MissingMemory && status->PurgeInprogress == Inprogress::BringUp;  // it ends when the memory is there
    if (status->PurgeInprogress != Inprogress::NotInprogress && !parked)
        complain("a purge has not ended: " + std::to_string(static_cast<int>(status->PurgeInprogress)));

    std::set<std::string> wanted, held, disks;
    for (const auto& reference : config.VolumeRefConfigList) wanted.insert(zedmanager::volume_key(reference));
    for (const auto& volume : status->VolumeRefStatusList) held.insert(zedmanager::volume_key(volume));
    if (runs) disks = {found->second.disks.begin(), found->second.disks.end()};
    const bool broken = config.FixedResources.Memory == 0;
    if (!broken && (wanted != held) != contains(status->Error, "Need purge")) complain("volumes differ and error: " + status->Error);
    if (!broken && (config.FixedResources != status->FixedResources) != contains(status->Error, "Need restart"))
        complain("resources differ and error: " + status->Error);
    if (broken && !contains(status->Error, "Invalid Memory Size")) complain("a broken config is not reported");
    // The change was refused, and what the app had before is no longer to be had: it waits for its purge.
    bool lost = false;
    for (const auto& volume : held) lost = lost || !world.volumes.contains(volume);
    const bool unobtainable = world.volumes_need_config && wanted != held && lost && contains(status->Error, "Need purge");

    if (!config.Activate) {
        if (runs) complain("runs although it shall not");
        if (status->Activated || status->ActivateInprogress) complain("is reported as activated");
        if (unobtainable) return;
        if (status->State != SwState::HALTED) complain("is not HALTED: " + std::to_string(static_cast<int>(status->State)));
        return;
    }
    if (status->MissingMemory) {
        if (runs) complain("runs without memory");
        std::uint64_t used = zedmanager::memory_need(*status);
        for (const auto& [other, each] : statuses)
            if (other != key && zedmanager::holds_memory(*each)) used += zedmanager::memory_need(*each);
        if (used <= world.memory_bytes) complain("waits for memory that is free");
        return;
    }
    if (!runs && unobtainable) return;
    if (!runs) return complain("does not run: state " + std::to_string(static_cast<int>(status->State)) + " " + status->Error);
    if (status->State != SwState::RUNNING || !status->Activated) complain("runs but is not reported so");
    if (found->second.cpus != status->FixedResources.VCpus) complain("runs with other resources than reported");
    if (disks != held) complain("runs with other disks than reported");
}

void complain_of_memory(const Statuses& statuses, const World& world, std::vector<std::string>& out) {
    std::uint64_t held = 0;
    for (const auto& [key, status] : statuses)
        if (zedmanager::holds_memory(*status)) held += zedmanager::memory_need(*status);
    if (held > world.memory_bytes) out.push_back("the apps have " + std::to_string(held >> 20) + " MiB of " + std::to_string(world.memory_bytes >> 20));
}

}  // namespace eve::sim
