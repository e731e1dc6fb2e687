#include "tests/sim/node/device_config.hpp"

#include "core/zedmanager/records.hpp"
#include "tests/sim/node/node.hpp"

namespace eve::sim {
namespace {

std::string quoted(const std::string& text) { return '"' + text + '"'; }

void add(std::string& list, const std::string& item) { list += (list.empty() ? "" : ",") + item; }

std::string instance(std::uint8_t number, const std::string& port) {
    const auto net = "10." + std::to_string(number) + ".0.";
    return R"({"uuidandversion":{"uuid":)" + quoted(uuid(0xee, number).to_string()) + R"(,"version":"1"},"displayname":"net)" +
           std::to_string(number) + R"(","instType":"ZnetInstLocal","activate":true,"ipType":"IPV4",)" + port + R"("ip":{"subnet":")" + net +
           R"(0/24","gateway":")" + net + R"(1","dhcpRange":{"start":")" + net + R"(128","end":")" + net + R"(254"}}})";
}

std::string command(const char* name, std::uint32_t counter) {
    return counter == 0 ? "" : quoted(name) + R"(:{"counter":)" + std::to_string(counter) + "},";
}

std::string app_text(const types::AppInstanceConfig& app) {
    std::string references, interfaces;
    for (const auto& reference : app.VolumeRefConfigList)
        add(references, R"({"uuid":)" + quoted(reference.VolumeID.to_string()) + R"(,"generationCount":)" +
                            std::to_string(reference.GenerationCounter) + "}");
    for (const auto& adapter : app.AppNetAdapterList)
        add(interfaces, R"({"name":)" + quoted(adapter.Name) + R"(,"networkId":)" + quoted(adapter.Network.to_string()) +
                            R"(,"acls":[{"id":1,"matches":[{"type":"ip","value":"0.0.0.0/0"}]}]})");
    return R"({"uuidandversion":{"uuid":)" + quoted(app.UUIDandVersion.UUID.to_string()) + R"(,"version":)" +
           quoted(app.UUIDandVersion.Version) + R"(},"displayname":)" + quoted(app.DisplayName) + R"(,"activate":)" +
           (app.Activate ? "true" : "false") + "," + command("restart", app.RestartCmd.Counter) + command("purge", app.PurgeCmd.Counter) +
           R"("start_delay_in_seconds":)" + std::to_string(std::chrono::duration_cast<std::chrono::seconds>(app.Delay).count()) +
           R"(,"fixedresources":{"memory":)" + std::to_string(app.FixedResources.Memory) + R"(,"vcpus":)" +
           std::to_string(app.FixedResources.VCpus) + R"(,"virtualizationMode":"HVM"},"volumeRefList":[)" + references +
           R"(],"interfaces":[)" + interfaces + "]}";
}

}  // namespace

std::string device_config(const DeviceWish& wish) {
    const auto store = quoted(uuid(0xdc, 1).to_string());
    const auto tree = quoted(uuid(0xcc, 1).to_string());
    const auto network = quoted(uuid(0xdd, 2).to_string());
    std::string volumes, apps;
    for (const auto& [key, app] : wish.apps) {
        add(apps, app_text(app));
        for (const auto& reference : app.VolumeRefConfigList) {
            const auto last = reference.VolumeID.bytes()[15];
            const std::string origin = last % 2 == 1 ? R"({"type":"VCOT_BLANK"})" : R"({"type":"VCOT_DOWNLOAD","downloadContentTreeID":)" + tree + "}";
            add(volumes, R"({"uuid":)" + quoted(reference.VolumeID.to_string()) + R"(,"generationCount":)" +
                             std::to_string(reference.GenerationCounter) + R"(,"origin":)" + origin +
                             R"(,"maxsizebytes":1048576,"displayName":"volume","clear_text":)" + (last > 1 ? "true" : "false") + "}");
        }
    }
    return R"({"id":{"uuid":)" + quoted(uuid(0xdd, 1).to_string()) + R"(,"version":")" + std::to_string(wish.revision) +
           R"("},"configItems":[{"key":"timer.boot.retry","value":"60"},{"key":"timer.download.retry","value":"60"}],)"
           R"("deviceIoList":[{"ptype":"PhyIoNetEth","phylabel":"eth0","logicallabel":"eth0","phyaddrs":{"Ifname":"eth0"},)"
           R"("assigngrp":"eth0","usage":"PhyIoUsageMgmtAndApps"}],)"
           R"("networks":[{"id":)" + network + R"(,"type":"V4","ip":{"dhcp":"Static","subnet":"192.0.2.0/24","gateway":"192.0.2.1"}}],)"
           R"("systemAdapterList":[{"name":"eth0","uplink":true,"networkUUID":)" + network + R"(,"addr":"192.0.2.10"}],)"
           R"("networkInstances":[)" + instance(1, R"("port":{"type":"PhyIoNetEth","name":"eth0"},)") + "," + instance(2, "") +
           R"(],"datastores":[{"id":)" + store + R"(,"dType":"DsHttp","fqdn":"http://images.example"}],"contentInfo":[{"uuid":)" + tree +
           R"(,"dsIdsList":[)" + store + R"(],"URL":"disk","iformat":"QCOW2","sha256":)" + quoted(wish.content_sha256) +
           R"(,"maxSizeBytes":"1000000","displayName":"disk"}],"volumes":[)" + volumes + R"(],"apps":[)" + apps + "]}";
}

std::string spoil(Prng& prng, const std::string& good) {
    const auto with = [&](const std::string& part) { return good.substr(0, good.size() - 1) + "," + part + "}"; };
    switch (prng.below(6)) {
        case 0: return "";
        case 1: return good.substr(0, 1 + prng.below(good.size() - 1));  // torn
        case 2: return "\x08\x96 not a config";
        case 3: return with(R"("maintenance_mode":"perhaps")");
        case 4:  // an app whose volume is nowhere
            return R"({"id":{"uuid":)" + quoted(uuid(0xdd, 1).to_string()) + R"(,"version":"1"},"apps":[{"uuidandversion":{"uuid":)" +
                   quoted(uuid(0xaa, 9).to_string()) + R"(},"volumeRefList":[{"uuid":)" + quoted(uuid(9, 9).to_string()) + "}]}]}";
        default:  // the same datastore twice
            return R"({"id":{"uuid":)" + quoted(uuid(0xdd, 1).to_string()) + R"(,"version":"1"},"datastores":[{"id":)" +
                   quoted(uuid(0xdc, 1).to_string()) + R"(,"dType":"DsHttp"},{"id":)" + quoted(uuid(0xdc, 1).to_string()) + R"(,"dType":"DsHttp"}]})";
    }
}

}  // namespace eve::sim
