#pragma once
// A node of which only the content pipeline is real: downloader, verifier and volumemgr on one bus and one simulated disk. The test is everyone else:
// zedagent, zedmanager, nim, vaultmgr, domainmgr.

#include <memory>
#include <string>

#include "core/bus/bus.hpp"
#include "core/downloader/agent.hpp"
#include "core/types/domain.hpp"
#include "core/types/network.hpp"
#include "core/types/node.hpp"
#include "core/types/volume.hpp"
#include "core/verifier/agent.hpp"
#include "core/volumemgr/agent.hpp"
#include "core/volumemgr/plan.hpp"
#include "tests/doubles/fake_record_store.hpp"
#include "tests/doubles/recording_log.hpp"
#include "tests/doubles/sim_loop.hpp"
#include "tests/doubles/sim_storage.hpp"

namespace eve {

/// What the controller and zedmanager want, kept outside the node: it outlives crashes of it.
struct ContentWish {
    std::map<std::string, types::DatastoreConfig> datastores;
    std::map<std::string, types::ContentTreeConfig> trees;
    std::map<std::string, types::VolumeConfig> volumes;
    std::map<std::string, types::VolumeRefConfig> refs;
};

class ContentNode {
public:
    ContentNode(SimLoop& world, SimStorage& storage, FakeRecordStore& store, Prng prng)
        : process_(world), lanes_(world, prng), bus_({.loop = process_, .log = log, .store = &store}) {
        vault_ = bus_.publish<types::VaultStatus>({.agent = "vaultmgr"});
        items_ = bus_.publish<types::ConfigItemValueMap>({.agent = "zedagent"});
        agent_status_ = bus_.publish<types::ZedAgentStatus>({.agent = "zedagent"});
        capabilities_ = bus_.publish<types::Capabilities>({.agent = "domainmgr"});
        network_ = bus_.publish<types::DeviceNetworkStatus>({.agent = "nim"});
        datastores = bus_.publish<types::DatastoreConfig>({.agent = "zedagent"});
        trees = bus_.publish<types::ContentTreeConfig>({.agent = "zedagent"});
        volumes = bus_.publish<types::VolumeConfig>({.agent = "zedagent"});
        refs = bus_.publish<types::VolumeRefConfig>({.agent = "zedmanager"});
        tree_statuses = bus_.subscribe<types::ContentTreeStatus>({.agent = "volumemgr"});
        blob_statuses = bus_.subscribe<types::BlobStatus>({.agent = "volumemgr"});
        volume_statuses = bus_.subscribe<types::VolumeStatus>({.agent = "volumemgr"});
        ref_statuses = bus_.subscribe<types::VolumeRefStatus>({.agent = "volumemgr"});
        downloads = bus_.subscribe<types::DownloaderConfig>({.agent = "volumemgr"});
        verifications = bus_.subscribe<types::VerifyImageConfig>({.agent = "volumemgr"});
        download_statuses = bus_.subscribe<types::DownloaderStatus>({.agent = "downloader"});
        verify_statuses = bus_.subscribe<types::VerifyImageStatus>({.agent = "verifier"});
        pending = bus_.subscribe<types::VolumeCreatePending>({.agent = "volumemgr", .persistent = true});

        (void)items_->publish("global", item_values);
        (void)agent_status_->publish("zedagent", {.Name = "zedagent", .ConfigGetStatus = types::ConfigGetStatus::ConfigGetSuccess});
        (void)capabilities_->publish("global", {});
        types::DeviceNetworkStatus network;
        network.DPCKey = "test";
        types::NetworkPortStatus port;
        port.IfName = "eth0";
        port.IsMgmt = port.IsL3Port = true;
        port.AddrInfoList.push_back({.Addr = types::IpAddress::parse_or_none("192.0.2.10")});
        network.Ports.push_back(port);
        (void)network_->publish("global", network);
        types::VaultStatus vault;
        vault.Name = "Application Data Store";
        vault.ConversionComplete = true;
        vault.Status = types::DataSecAtRestStatus::DATASEC_AT_REST_DISABLED;
        (void)vault_->publish(vault.Name, vault);

        downloader_ = std::make_unique<downloader::Agent>(
            downloader::Agent::Deps{.bus = bus_, .loop = process_, .lanes = lanes_, .log = log, .transport = storage, .files = storage});
        restart_verifier = [this, &storage] {
            verifier_.reset();
            verifier_ =
                std::make_unique<verifier::Agent>(verifier::Agent::Deps{.bus = bus_, .loop = process_, .lanes = lanes_, .log = log, .files = storage});
        };
        restart_verifier();
        volumemgr_ = std::make_unique<volumemgr::Agent>(volumemgr::Agent::Deps{
            .bus = bus_, .loop = process_, .lanes = lanes_, .log = log, .store = storage, .files = storage, .persist = "/persist"});
    }
    ~ContentNode() {
        lanes_.drop_everything();
        process_.crash();
    }

    void set_items(types::ConfigItemValueMap values) { (void)items_->publish("global", std::move(values)); }

    /// Publishes the wish as zedagent and zedmanager do: the difference, then the markers.
    void apply(const ContentWish& wish) {
        sync(*datastores, wish.datastores);
        sync(*trees, wish.trees);
        trees->signal_restarted();
        sync(*volumes, wish.volumes);
        volumes->signal_restarted();
        sync(*refs, wish.refs);
    }

private:
    template <class T>
    static void sync(Publication<T>& publication, const std::map<std::string, T>& wanted) {
        std::vector<std::string> gone;
        for (const auto& [key, record] : publication.items())
            if (!wanted.contains(key)) gone.push_back(key);
        for (const auto& key : gone) (void)publication.unpublish(key);
        for (const auto& [key, record] : wanted) (void)publication.publish(key, record);
    }

public:
    std::function<void()> restart_verifier;
    RecordingLog log;
    types::ConfigItemValueMap item_values = types::default_config_items();

private:
    SimProcess process_;
    SimLanes lanes_;
    Bus bus_;
    std::unique_ptr<Publication<types::VaultStatus>> vault_;
    std::unique_ptr<Publication<types::ConfigItemValueMap>> items_;
    std::unique_ptr<Publication<types::ZedAgentStatus>> agent_status_;
    std::unique_ptr<Publication<types::Capabilities>> capabilities_;
    std::unique_ptr<Publication<types::DeviceNetworkStatus>> network_;

public:
    std::unique_ptr<Publication<types::DatastoreConfig>> datastores;
    std::unique_ptr<Publication<types::ContentTreeConfig>> trees;
    std::unique_ptr<Publication<types::VolumeConfig>> volumes;
    std::unique_ptr<Publication<types::VolumeRefConfig>> refs;
    std::unique_ptr<Subscription<types::ContentTreeStatus>> tree_statuses;
    std::unique_ptr<Subscription<types::BlobStatus>> blob_statuses;
    std::unique_ptr<Subscription<types::VolumeStatus>> volume_statuses;
    std::unique_ptr<Subscription<types::VolumeRefStatus>> ref_statuses;
    std::unique_ptr<Subscription<types::DownloaderConfig>> downloads;
    std::unique_ptr<Subscription<types::VerifyImageConfig>> verifications;
    std::unique_ptr<Subscription<types::DownloaderStatus>> download_statuses;
    std::unique_ptr<Subscription<types::VerifyImageStatus>> verify_statuses;
    std::unique_ptr<Subscription<types::VolumeCreatePending>> pending;

private:
    std::unique_ptr<downloader::Agent> downloader_;
    std::unique_ptr<verifier::Agent> verifier_;
    std::unique_ptr<volumemgr::Agent> volumemgr_;
};

/// A UUID that is easy to tell from another.
inline types::Uuid test_uuid(unsigned kind, unsigned number) {
    std::array<std::uint8_t, 16> bytes{};
    bytes[0] = static_cast<std::uint8_t>(kind);
    bytes[15] = static_cast<std::uint8_t>(number);
    return types::Uuid(bytes);
}

/// Wishes in a line each.
inline void wish_datastore(ContentWish& wish, unsigned number, const std::string& host) {
    types::DatastoreConfig config;
    config.UUID = test_uuid(0xd0, number);
    config.DsType = "DsHttp";
    config.Fqdn = host;
    wish.datastores[config.UUID.to_string()] = config;
}
inline types::ContentTreeConfig& wish_tree(ContentWish& wish, unsigned number, const std::string& url, const std::string& sha) {
    types::ContentTreeConfig config;
    config.ContentID = test_uuid(0xc0, number);
    config.DatastoreIDList = {test_uuid(0xd0, 1)};
    config.RelativeURL = url;
    config.Format = types::Format::QCOW2;
    config.ContentSha256 = sha;
    config.MaxDownloadSize = 1'000'000;
    config.DisplayName = "tree" + std::to_string(number);
    config.IsLocal = true;
    return wish.trees[config.ContentID.to_string()] = config;
}
inline types::VolumeConfig& wish_volume(ContentWish& wish, unsigned number, unsigned tree, std::int64_t generation = 0) {
    types::VolumeConfig config;
    config.VolumeID = test_uuid(0xb0, number);
    config.GenerationCounter = generation;
    config.VolumeContentOriginType = tree == 0 ? types::VolumeContentOriginType::VCOT_BLANK : types::VolumeContentOriginType::VCOT_DOWNLOAD;
    if (tree != 0) config.ContentID = test_uuid(0xc0, tree);
    config.MaxVolSize = 1 << 20;
    config.DisplayName = "volume" + std::to_string(number);
    return wish.volumes[volumemgr::volume_key(config)] = config;
}
inline types::VolumeRefConfig& wish_ref(ContentWish& wish, unsigned app, unsigned volume, bool only_verify, std::int64_t generation = 0) {
    types::VolumeRefConfig config;
    config.VolumeID = test_uuid(0xb0, volume);
    config.GenerationCounter = generation;
    config.AppUUID = test_uuid(0xa0, app);
    config.VerifyOnly = only_verify;
    return wish.refs[volumemgr::volume_ref_key(config)] = config;
}
inline std::string ref_key(unsigned app, unsigned volume, std::int64_t generation = 0) {
    return volumemgr::volume_key(test_uuid(0xb0, volume), generation, 0) + "#" + test_uuid(0xa0, app).to_string();
}
inline std::string key_of(unsigned volume, std::int64_t generation = 0) { return volumemgr::volume_key(test_uuid(0xb0, volume), generation, 0); }
inline std::string tree_key(unsigned tree) { return test_uuid(0xc0, tree).to_string(); }

}  // namespace eve
