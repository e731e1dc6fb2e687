// What volumemgr, downloader and verifier make of configs together, case by case (the scenarios S34 to S58 that apply to disk images).

#include <gmock/gmock.h>

#include "core/types/oci.hpp"
#include "tests/doubles/content_node.hpp"

namespace eve {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;
using types::SwState;

class Pipeline : public testing::Test {
protected:
    Pipeline() { wish_datastore(wish, 1, "images.test"); }

    void boot() { node = std::make_unique<ContentNode>(loop, storage, store, Prng{7}); }
    void reboot() {
        node.reset();
        store.reboot();
        boot();
        apply();
    }
    void apply() {
        node->apply(wish);
        settle();
    }
    void settle() { ASSERT_TRUE(loop.run_until_idle()); }
    void pass(std::chrono::nanoseconds time) {
        loop.run_for(time);
        settle();
    }
    const types::VolumeStatus& volume(unsigned number, std::int64_t generation = 0) const {
        static const types::VolumeStatus none;
        const auto* status = node->volume_statuses->get(key_of(number, generation));
        EXPECT_NE(status, nullptr) << "no volume " << number;
        return status == nullptr ? none : *status;
    }
    const types::ContentTreeStatus& tree(unsigned number) const {
        static const types::ContentTreeStatus none;
        const auto* status = node->tree_statuses->get(tree_key(number));
        EXPECT_NE(status, nullptr) << "no tree " << number;
        return status == nullptr ? none : *status;
    }
    const types::VolumeRefStatus& ref(unsigned app, unsigned number) const {
        static const types::VolumeRefStatus none;
        const auto* status = node->ref_statuses->get(ref_key(app, number));
        EXPECT_NE(status, nullptr) << "no reference";
        return status == nullptr ? none : *status;
    }
    void set_item(const std::string& name, const std::string& value) {
        auto before = node->item_values;
        ASSERT_TRUE(types::apply_config_item(node->item_values, before, name, value));
        node->set_items(node->item_values);
        settle();
    }
    /// One tree, one volume of it, one app that wants it.
    std::string wish_app(bool only_verify = false) {
        const std::string sha = storage.serve("http://images.test/disk.qcow2", "a disk");
        wish_tree(wish, 1, "disk.qcow2", sha);
        wish_volume(wish, 1, 1);
        wish_ref(wish, 1, 1, only_verify);
        return sha;
    }

    SimClock clock;
    SimLoop loop{clock};
    SimStorage storage{Prng{1}};
    FakeRecordStore store;
    ContentWish wish;
    std::unique_ptr<ContentNode> node;
};

TEST_F(Pipeline, ADiskImageBecomesAnImageInTheStoreAndAVolumeOfIt) {
    const std::string sha = wish_app();
    boot();
    apply();
    EXPECT_EQ(tree(1).State, SwState::LOADED);
    ASSERT_EQ(tree(1).Blobs.size(), 3u) << "manifest, config, disk";
    EXPECT_EQ(tree(1).Blobs.back(), sha);
    EXPECT_TRUE(storage.stored.contains(tree_key(1) + "-disk.qcow2"));
    for (const auto& blob : tree(1).Blobs) {
        ASSERT_NE(node->blob_statuses->get(blob), nullptr);
        EXPECT_EQ(node->blob_statuses->get(blob)->State, SwState::LOADED);
        EXPECT_EQ(node->blob_statuses->get(blob)->RefCount, 1u);
    }
    EXPECT_EQ(volume(1).State, SwState::CREATED_VOLUME);
    EXPECT_EQ(volume(1).FileLocation, "/persist/clear/volumes/" + key_of(1) + ".qcow2");
    EXPECT_EQ(volume(1).RefCount, 2u);
    EXPECT_EQ(volume(1).Progress, 100u);
    EXPECT_EQ(ref(1, 1).State, SwState::CREATED_VOLUME);
    EXPECT_EQ(ref(1, 1).ActiveFileLocation, volume(1).FileLocation);
    EXPECT_EQ(ref(1, 1).Error, "");
    EXPECT_TRUE(node->downloads->items().empty()) << "handed back when loaded";
    EXPECT_TRUE(node->verifications->items().empty());
    EXPECT_TRUE(storage.pending.empty());
    EXPECT_TRUE(storage.verified.empty());
    EXPECT_TRUE(node->pending->items().empty());
}

TEST_F(Pipeline, AnEncryptedVolumeIsInTheVault) {
    wish_app();
    wish.volumes.begin()->second.Encrypted = true;
    boot();
    apply();
    EXPECT_THAT(volume(1).FileLocation, StartsWith("/persist/vault/volumes/"));
}

TEST_F(Pipeline, VerifyOnlyStopsAtLoadedUntilAnAppWantsMore) {
    wish_app(true);
    boot();
    apply();
    EXPECT_EQ(volume(1).State, SwState::LOADED);
    EXPECT_EQ(ref(1, 1).State, SwState::LOADED);
    EXPECT_EQ(storage.creates, 0u);
    wish_ref(wish, 1, 1, false);
    apply();
    EXPECT_EQ(ref(1, 1).State, SwState::CREATED_VOLUME);
}

TEST_F(Pipeline, AStandaloneVolumeIsMadeWithoutAnyApp) {
    wish_app();
    wish.refs.clear();
    boot();
    apply();
    EXPECT_EQ(volume(1).State, SwState::LOADED);
    wish.volumes.begin()->second.HasNoAppReferences = true;
    apply();
    EXPECT_EQ(volume(1).State, SwState::CREATED_VOLUME);
}

TEST_F(Pipeline, ADigestThatCannotBeOneIsRefusedBeforeAnythingIsMade) {
    for (const std::string& sha : {std::string("../../x"), std::string(63, 'a'), std::string(64, 'g')}) {
        wish_tree(wish, 1, "disk.qcow2", sha);
        boot();
        apply();
        EXPECT_NE(tree(1).Error, "") << sha;
        EXPECT_TRUE(node->blob_statuses->items().empty());
        EXPECT_EQ(storage.transfers, 0u);
        node.reset();
    }
}

TEST_F(Pipeline, ATreeWithoutADigestIsRefused) {
    wish_tree(wish, 1, "disk.qcow2", "");
    boot();
    apply();
    EXPECT_EQ(tree(1).Error, "no content sha256 defined");
}

TEST_F(Pipeline, AWrongDigestIsFetchedAgainSoManyTimesAndThenRefused) {
    storage.serve("http://images.test/disk.qcow2", "not what was meant");
    const std::string meant = SimStorage::digest("what was meant");
    wish_tree(wish, 1, "disk.qcow2", meant);
    wish_volume(wish, 1, 1);
    wish_ref(wish, 1, 1, false);
    boot();
    apply();
    pass(1h);
    EXPECT_EQ(storage.transfers, 6u) << "once, and blob.download.max.retries times";
    EXPECT_THAT(tree(1).Error, HasSubstr("computed " + SimStorage::digest("not what was meant") + " configured " + meant));
    EXPECT_EQ(tree(1).ErrorRetryCondition, "");
    EXPECT_EQ(tree(1).ErrorSeverity, types::ErrorSeverity::ErrorSeverityError);
    EXPECT_EQ(storage.creates, 0u);
    EXPECT_THAT(ref(1, 1).Error, HasSubstr("configured " + meant));
    EXPECT_EQ(ref(1, 1).ErrorSourceType, "types.VolumeStatus");
    EXPECT_LT(ref(1, 1).State, SwState::CREATING_VOLUME);
}

TEST_F(Pipeline, OneBadImageDoesNotTouchTheOthers) {
    wish_app();
    storage.serve("http://images.test/bad", "bad");
    wish_tree(wish, 2, "bad", SimStorage::digest("good"));
    wish_volume(wish, 2, 2);
    wish_ref(wish, 2, 2, false);
    boot();
    apply();
    EXPECT_EQ(ref(1, 1).State, SwState::CREATED_VOLUME);
    EXPECT_EQ(ref(1, 1).Error, "");
    EXPECT_NE(ref(2, 2).Error, "");
}

TEST_F(Pipeline, AMissingObjectIsAskedForAgainAtEachIntervalAndSaysSo) {
    const std::string sha = wish_app();
    storage.served.clear();
    boot();
    apply();
    EXPECT_THAT(tree(1).Error, HasSubstr("http://images.test/disk.qcow2: the server answered 404"));
    EXPECT_EQ(tree(1).ErrorRetryCondition, "Will retry in 600s; have retried 0 times");
    EXPECT_EQ(tree(1).ErrorSeverity, types::ErrorSeverity::ErrorSeverityNotice);
    EXPECT_EQ(tree(1).ErrorSourceType, "types.DownloaderStatus");
    EXPECT_THAT(volume(1).Error, StartsWith("Found error in content tree tree1 attached to volume volume1: "));
    pass(11 * 601s);
    EXPECT_EQ(node->download_statuses->get(sha)->RetryCount, 11);
    EXPECT_EQ(tree(1).ErrorSeverity, types::ErrorSeverity::ErrorSeverityWarning);
    storage.serve("http://images.test/disk.qcow2", "a disk");
    pass(601s);
    EXPECT_EQ(ref(1, 1).State, SwState::CREATED_VOLUME);
    EXPECT_EQ(ref(1, 1).Error, "");
    EXPECT_EQ(tree(1).Error, "");
}

TEST_F(Pipeline, TheSecondDatastoreIsUsedWhenTheFirstFails) {
    const std::string sha = storage.serve("http://mirror.test/disk.qcow2", "a disk");
    wish_datastore(wish, 2, "mirror.test");
    wish_tree(wish, 1, "disk.qcow2", sha).DatastoreIDList = {test_uuid(0xd0, 1), test_uuid(0xd0, 2)};
    boot();
    apply();
    EXPECT_EQ(tree(1).State, SwState::LOADED);
    EXPECT_EQ(tree(1).Error, "");
}

TEST_F(Pipeline, ATreeWaitsForItsDatastore) {
    wish_app();
    const auto datastores = std::exchange(wish.datastores, {});
    boot();
    apply();
    EXPECT_FALSE(tree(1).AllDatastoresResolved);
    EXPECT_EQ(tree(1).Error, "");
    wish.datastores = datastores;
    apply();
    EXPECT_EQ(ref(1, 1).State, SwState::CREATED_VOLUME);
}

TEST_F(Pipeline, TwoTreesShareABlobAndOneGoes) {
    wish_app();
    wish_tree(wish, 2, "copy.qcow2", wish.trees.begin()->second.ContentSha256);
    storage.serve("http://images.test/copy.qcow2", "a disk");
    boot();
    apply();
    const std::string sha = tree(1).ContentSha256;
    EXPECT_EQ(node->blob_statuses->get(sha)->RefCount, 2u);
    EXPECT_EQ(storage.transfers, 1u);
    wish.trees.erase(tree_key(2));
    apply();
    EXPECT_EQ(node->blob_statuses->get(sha)->RefCount, 1u);
    EXPECT_TRUE(storage.blobs.contains(sha));
    wish_volume(wish, 2, 1);
    wish_ref(wish, 2, 2, false);
    apply();
    EXPECT_EQ(ref(2, 2).State, SwState::CREATED_VOLUME);
}

TEST_F(Pipeline, WhenEverythingIsDeletedNothingIsLeft) {
    wish_app();
    wish_volume(wish, 2, 0);
    wish_ref(wish, 1, 2, false);
    boot();
    apply();
    EXPECT_EQ(storage.volumes.size(), 2u);
    wish = {};
    apply();
    EXPECT_TRUE(storage.volumes.empty());
    EXPECT_TRUE(storage.stored.empty());
    EXPECT_TRUE(storage.blobs.empty());
    EXPECT_TRUE(node->tree_statuses->items().empty());
    EXPECT_TRUE(node->blob_statuses->items().empty());
    EXPECT_TRUE(node->volume_statuses->items().empty());
    EXPECT_TRUE(node->ref_statuses->items().empty());
    EXPECT_TRUE(node->download_statuses->items().empty());
    EXPECT_TRUE(node->verify_statuses->items().empty());
}

TEST_F(Pipeline, AnAppKeepsAVolumeThatTheConfigDropped) {
    wish_app();
    boot();
    apply();
    wish.volumes.clear();
    wish.trees.clear();
    apply();
    EXPECT_EQ(volume(1).RefCount, 1u);
    EXPECT_EQ(storage.volumes.size(), 1u);
    wish.refs.clear();
    apply();
    EXPECT_TRUE(storage.volumes.empty());
}

TEST_F(Pipeline, ABlankVolumeHasItsSizeAndOneWithoutSizeIsRefused) {
    wish_volume(wish, 1, 0).MaxVolSize = 5000;
    wish_volume(wish, 2, 0).MaxVolSize = 0;
    wish_ref(wish, 1, 1, false);
    wish_ref(wish, 1, 2, false);
    boot();
    apply();
    EXPECT_EQ(volume(1).State, SwState::CREATED_VOLUME);
    EXPECT_EQ(volume(1).ContentFormat, types::Format::RAW);
    EXPECT_EQ(storage.volumes.begin()->second.size, 5000u);
    EXPECT_NE(volume(2).Error, "");
    EXPECT_EQ(storage.volumes.size(), 1u);
}

TEST_F(Pipeline, AVolumeWaitsForSpaceAndGoesOnByItselfWhenAnotherIsDeleted) {
    storage.total_bytes = std::uint64_t{10} << 30;
    wish_volume(wish, 1, 0).MaxVolSize = std::uint64_t{4} << 30;
    wish_volume(wish, 2, 0).MaxVolSize = std::uint64_t{4} << 30;
    wish_ref(wish, 1, 1, false);
    boot();
    apply();
    wish_ref(wish, 2, 2, false);
    apply();
    EXPECT_EQ(volume(1).State, SwState::CREATED_VOLUME);
    EXPECT_EQ(volume(2).ErrorSourceType, "types.DiskMetric");
    EXPECT_EQ(volume(2).ErrorRetryCondition, "Will retry when more space will be available");
    wish.volumes.erase(key_of(1));
    wish.refs.erase(ref_key(1, 1));
    apply();
    EXPECT_EQ(volume(2).State, SwState::CREATED_VOLUME);
    EXPECT_EQ(volume(2).Error, "");
}

TEST_F(Pipeline, TheDiskIsNotWalkedForEachOfManyVolumesNorWhileTheirAppsStart) {
    storage.total_bytes = std::uint64_t{10} << 30;
    boot();
    apply();
    const auto before = storage.looks_at_the_disk;
    for (unsigned number = 1; number <= 50; ++number) {
        wish_volume(wish, number, 0).MaxVolSize = std::uint64_t{1} << 20;
        wish_ref(wish, number, number, false);
        apply();
        pass(50ms);
        EXPECT_EQ(volume(number).State, SwState::CREATED_VOLUME);
    }
    pass(2s);
    EXPECT_GT(storage.looks_at_the_disk, before);
    EXPECT_LE(storage.looks_at_the_disk, before + 5);
}

TEST_F(Pipeline, SpaceMadeByOtherHandsIsNoticedSoon) {
    storage.total_bytes = std::uint64_t{6} << 30;
    wish_volume(wish, 1, 0).MaxVolSize = std::uint64_t{8} << 30;
    wish_ref(wish, 1, 1, false);
    boot();
    apply();
    EXPECT_EQ(volume(1).ErrorSourceType, "types.DiskMetric");
    storage.total_bytes = std::uint64_t{20} << 30;
    pass(15s);
    EXPECT_EQ(volume(1).State, SwState::CREATED_VOLUME);
    EXPECT_EQ(volume(1).Error, "");
}

TEST_F(Pipeline, AnExistingFileIsAdoptedWithoutADownload) {
    const std::string path = "/persist/clear/volumes/" + key_of(1, 3) + ".qcow2";
    storage.volumes[path] = {.content = "old", .size = 77, .id = test_uuid(0xb0, 1), .generation = 3, .format = types::Format::QCOW2};
    wish_tree(wish, 1, "disk.qcow2", storage.serve("http://images.test/disk.qcow2", "a disk"));
    auto& config = wish_volume(wish, 1, 1, 2);
    config.LocalGenerationCounter = 1;
    const auto moved = config;
    wish.volumes = {{key_of(1, 3), moved}};
    boot();
    apply();
    EXPECT_EQ(volume(1, 3).State, SwState::CREATED_VOLUME);
    EXPECT_EQ(volume(1, 3).FileLocation, path);
    EXPECT_EQ(volume(1, 3).SubState, types::VolumeSubState::VolumeSubStateCreated);
    EXPECT_EQ(storage.creates, 0u);
    EXPECT_EQ(storage.volumes[path].content, "old");
}

TEST_F(Pipeline, AfterARebootNothingIsFetchedOrMadeAgain) {
    wish_app();
    boot();
    apply();
    reboot();
    EXPECT_EQ(storage.transfers, 1u);
    EXPECT_EQ(storage.creates, 1u);
    EXPECT_EQ(tree(1).State, SwState::LOADED);
    EXPECT_EQ(tree(1).Blobs.size(), 3u);
    EXPECT_EQ(ref(1, 1).State, SwState::CREATED_VOLUME);
}

TEST_F(Pipeline, WhatWasVerifiedBeforeARebootIsNotFetchedAgain) {
    const std::string sha = wish_app();
    storage.verified["/verified/" + sha] = "a disk";
    storage.media_types["/verified/" + sha] = "application/vnd.oci.image.layer.v1.tar";
    boot();
    apply();
    EXPECT_EQ(storage.transfers, 0u);
    EXPECT_EQ(ref(1, 1).State, SwState::CREATED_VOLUME);
    EXPECT_TRUE(storage.verified.empty());
}

TEST_F(Pipeline, VerifiedFilesNobodyAsksForGoWithTheFirstLookForGarbage) {
    storage.verified["/verified/" + SimStorage::digest("old")] = "old";
    storage.media_types["/verified/" + SimStorage::digest("old")] = "x/y";
    storage.stored["gone-image"] = {.name = "gone-image", .blobs = {{.sha256 = SimStorage::digest("gone"), .media_type = "x/y", .size = 4}}};
    storage.blobs[SimStorage::digest("gone")] = "gone";
    const std::string stray = "/persist/clear/volumes/" + key_of(9) + ".raw";
    storage.volumes[stray] = {.id = test_uuid(0xb0, 9)};
    boot();
    apply();
    EXPECT_EQ(node->verifications->items().size(), 1u) << "echoed with no reference";
    EXPECT_TRUE(storage.volumes.contains(stray));
    pass(400s);
    EXPECT_TRUE(storage.verified.empty());
    EXPECT_TRUE(storage.stored.empty());
    EXPECT_TRUE(storage.volumes.empty());
    EXPECT_TRUE(node->verifications->items().empty());
}

TEST_F(Pipeline, AVerifierThatRestartsInsteadOfForgettingIsBelieved) {
    const std::string sha = wish_app();
    boot();
    node->apply(wish);
    ASSERT_TRUE(loop.run_until([&] { return !storage.pending.empty(); }));
    storage.set_faults({.lost_reply_percent = 100});  // verified, and said not to be
    ASSERT_TRUE(loop.run_until([&] { return node->log.has("volumemgr.download_again"); }));
    storage.set_faults({.fail_percent = 100});
    ASSERT_TRUE(loop.run_until([&] { return node->log.has("verifier.remove_failed"); }));
    storage.set_faults({});
    node->restart_verifier();
    pass(30min);
    EXPECT_EQ(ref(1, 1).State, SwState::CREATED_VOLUME) << tree(1).Error;
}

TEST_F(Pipeline, ContentWhoseDiskFailedTooOftenIsTriedAgainWhenTheDiskIsWell) {
    wish_app();
    storage.fail_verify = Error{.code = Code::unavailable, .what = "read: Input/output error"};
    boot();
    apply();
    pass(10min);
    EXPECT_NE(tree(1).Error, "");
    EXPECT_EQ(storage.transfers, 6u) << "blob.download.max.retries";
    pass(3h);
    EXPECT_LE(storage.transfers, 9u) << "and then one an hour";
    storage.fail_verify.reset();
    pass(2h);
    EXPECT_EQ(ref(1, 1).State, SwState::CREATED_VOLUME) << tree(1).Error;
}

TEST_F(Pipeline, ContentThatIsAlwaysWrongIsFetchedSoOftenAndNoMore) {
    wish_app();
    storage.fail_verify = Error{.code = Code::failed_precondition, .what = "computed X configured Y"};
    boot();
    apply();
    pass(24h);
    EXPECT_EQ(storage.transfers, 6u);
    EXPECT_EQ(tree(1).Error, "computed X configured Y");
}

TEST_F(Pipeline, AVolumeThatAnAppHoldsOutlivesARestartAlsoWithoutItsConfig) {
    wish_app();
    boot();
    apply();
    const auto path = volume(1).FileLocation;
    wish.volumes.clear();  // the controller went on to another generation, which zedmanager refused: the app runs on with what it has
    wish_volume(wish, 1, 1, 1);
    apply();
    for (const bool power_cut : {false, true}) {
        SCOPED_TRACE(power_cut);
        node.reset();
        if (power_cut) store.reboot();
        boot();
        apply();
        EXPECT_EQ(ref(1, 1).State, SwState::CREATED_VOLUME);
        EXPECT_EQ(ref(1, 1).ActiveFileLocation, path);
        pass(2h);  // looks for garbage
        EXPECT_TRUE(storage.volumes.contains(path));
    }
    wish.refs.clear();
    apply();
    pass(2h);
    EXPECT_FALSE(storage.volumes.contains(path)) << "nobody holds it any more";
}

TEST_F(Pipeline, AHeldVolumeWhoseConfigComesBackIsTheSameVolume) {
    wish_app();
    boot();
    apply();
    const auto before = wish.volumes;
    for (const bool power_cut : {false, true}) {
        SCOPED_TRACE(power_cut);
        wish.volumes.clear();
        wish_volume(wish, 1, 1, 1);
        apply();
        node.reset();
        if (power_cut) store.reboot();
        boot();
        apply();
        wish.volumes = before;  // the controller took its change back
        apply();
        EXPECT_EQ(ref(1, 1).State, SwState::CREATED_VOLUME);
        EXPECT_TRUE(volume(1).Error.empty()) << volume(1).Error;
    }
}

TEST_F(Pipeline, AHalfMadeVolumeIsRemovedBeforeItIsMadeAgain) {
    wish_app();
    boot();
    apply();
    // As after a power cut in the middle: the intent is on the disk, the file is not to be trusted.
    node.reset();
    const std::string path = storage.volumes.begin()->first;
    storage.volumes[path].content = "half";
    types::VolumeCreatePending record{.VolumeID = test_uuid(0xb0, 1), .ContentFormat = types::Format::QCOW2};
    store.reboot();
    ASSERT_TRUE(store.commit({{.kind = bus::StoreChange::Kind::put,
                               .table = {.agent = "volumemgr", .topic = "VolumeCreatePending", .persistent = true},
                               .key = key_of(1),
                               .json = to_json(record)}})[0]);
    boot();
    apply();
    EXPECT_EQ(storage.creates, 2u);
    EXPECT_EQ(storage.volumes[path].content, "a disk");
    EXPECT_TRUE(node->pending->items().empty());
}

TEST_F(Pipeline, AnotherSizeNeedsANewGenerationAndTheFileStaysAsItIs) {
    wish_app();
    boot();
    apply();
    wish_volume(wish, 1, 1).MaxVolSize = 2 << 20;
    apply();
    EXPECT_THAT(volume(1).Error, HasSubstr("generation counter not incremented"));
    EXPECT_EQ(volume(1).State, SwState::CREATED_VOLUME);
    EXPECT_EQ(storage.creates, 1u);
    wish_volume(wish, 1, 1).MaxVolSize = 1 << 20;
    apply();
    EXPECT_EQ(volume(1).Error, "") << "taken back";
}

TEST_F(Pipeline, AVolumeIsMadeOnlyAfterTheMarkerOfItsBatch) {
    wish_app();
    boot();
    apply();
    node->volumes->publish(key_of(2), wish_volume(wish, 2, 0)).ok();
    settle();
    EXPECT_EQ(node->volume_statuses->get(key_of(2)), nullptr);
    node->volumes->signal_restarted();
    settle();
    EXPECT_NE(node->volume_statuses->get(key_of(2)), nullptr);
}

TEST_F(Pipeline, AFailedCreationIsTriedAgainWithBackOffAndTheErrorGoes) {
    wish_app();
    storage.fail_creates = "no space left on device";
    storage.fail_code = Code::resource_exhausted;
    boot();
    apply();
    EXPECT_THAT(volume(1).Error, HasSubstr("no space left on device"));
    EXPECT_EQ(volume(1).ErrorRetryCondition, "Will retry in 10s");
    EXPECT_EQ(volume(1).ErrorSourceType, "types.VolumeStatus");
    pass(11s);
    EXPECT_EQ(volume(1).ErrorRetryCondition, "Will retry in 20s");
    storage.fail_creates.clear();
    pass(21s);
    EXPECT_EQ(volume(1).State, SwState::CREATED_VOLUME);
    EXPECT_EQ(volume(1).Error, "");
}

TEST_F(Pipeline, AnImageThatCannotBeUsedIsNotTriedAgain) {
    wish_app();
    storage.fail_creates = "qcow2 image: it names a backing file";
    storage.fail_code = Code::invalid_argument;
    boot();
    apply();
    pass(2h);
    EXPECT_EQ(storage.creates, 1u);
    EXPECT_EQ(volume(1).ErrorRetryCondition, "");
    EXPECT_THAT(ref(1, 1).Error, HasSubstr("it names a backing file"));
    wish = {};
    apply();
    EXPECT_TRUE(node->volume_statuses->items().empty()) << "and it can be deleted";
}

TEST_F(Pipeline, AppsDoNotShareAVolumeTheyWriteTo) {
    wish_app();
    wish_ref(wish, 2, 1, false);
    boot();
    apply();
    EXPECT_EQ(ref(2, 1).Error, "Multiple app instances (2) are trying to use the same file-based volume volume1");
    EXPECT_EQ(ref(2, 1).ErrorSourceType, "types.VolumeRefConfig");
    wish.refs.erase(ref_key(2, 1));
    apply();
    EXPECT_EQ(ref(1, 1).Error, "");
}

TEST_F(Pipeline, AppsShareAVolumeThatNobodyWritesTo) {
    wish_app();
    wish.volumes.begin()->second.ReadOnly = true;
    wish_ref(wish, 2, 1, false);
    boot();
    apply();
    EXPECT_EQ(ref(1, 1).Error, "");
    EXPECT_EQ(ref(2, 1).Error, "");
}

TEST_F(Pipeline, DeletedContentStaysAsLongAsTheOperatorSaid) {
    wish_app();
    boot();
    apply();
    set_item("timer.defer.content.delete", "100");
    const auto before = wish;
    wish = {};
    apply();
    EXPECT_TRUE(node->tree_statuses->items().empty());
    EXPECT_FALSE(storage.stored.empty());
    wish = before;
    apply();
    EXPECT_EQ(storage.transfers, 1u) << "the same content again is found where it was";
    pass(200s);
    EXPECT_FALSE(storage.stored.empty()) << "asking for it again ended its term";
    wish = {};
    apply();
    pass(200s);
    EXPECT_TRUE(storage.stored.empty());
}

TEST_F(Pipeline, ANodeThatRestartsAloneKeepsWhatItSaidOfVolumes) {
    wish_app();
    boot();
    apply();
    const auto created = volume(1).CreateTime;
    node.reset();  // no reboot: the records in /run are still there
    boot();
    bool vanished = false;
    node->apply(wish);
    loop.run_until(
        [&] {
            const auto* status = node->ref_statuses->get(ref_key(1, 1));
            if (status != nullptr && status->State != SwState::CREATED_VOLUME) vanished = true;
            return false;
        },
        5s);
    settle();
    EXPECT_FALSE(vanished) << "an app that runs never sees its volume go back";
    EXPECT_EQ(volume(1).CreateTime, created);
    EXPECT_EQ(storage.transfers, 1u);
}


// ---- containers ----

/// A registry of the simulated world, whose digests are the simulation's.
class Containers : public Pipeline {
protected:
    void SetUp() override {
        types::DatastoreConfig registry;
        registry.UUID = test_uuid(0xd0, 1);
        registry.DsType = "DsContainerRegistry";
        registry.Fqdn = "docker://registry.test";
        registry.ApiKey = "user";
        registry.Password = "secret";
        wish.datastores[registry.UUID.to_string()] = registry;
    }
    static std::string descriptor(std::string_view media_type, const std::string& content) {
        return R"({"mediaType":")" + std::string(media_type) + R"(","digest":"sha256:)" + SimStorage::digest(content) + R"(","size":)" +
               std::to_string(content.size()) + "}";
    }
    std::string serve_blob(const std::string& content) {
        return storage.serve("https://registry.test/v2/shop/web/blobs/sha256:" + SimStorage::digest(content), content);
    }
    std::string serve_manifest(const std::string& content, const std::string& tag = "") {
        if (!tag.empty()) storage.serve("https://registry.test/v2/shop/web/manifests/" + tag, content);
        return storage.serve("https://registry.test/v2/shop/web/manifests/sha256:" + SimStorage::digest(content), content);
    }
    /// An image of these layers; its manifest.
    std::string image(const std::vector<std::string>& layers) {
        const std::string config = R"({"architecture":"amd64","os":"linux","x":")" + layers.front() + "\"}";
        serve_blob(config);
        std::string list;
        for (const auto& layer : layers) {
            serve_blob(layer);
            list += (list.empty() ? "" : ",") + descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer);
        }
        return R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":)" + descriptor(types::oci_media_config, config) +
               R"(,"layers":[)" + list + "]}";
    }
    types::ContentTreeConfig& wish_image(unsigned number, const std::string& name) {
        auto& config = wish_tree(wish, number, name, "");
        config.Format = types::Format::CONTAINER;
        return config;
    }
    std::map<std::string, std::size_t> states() const {
        std::map<std::string, std::size_t> counts;
        for (const auto& [sha, blob] : node->blob_statuses->items()) ++counts[std::string(to_string(blob->State))];
        return counts;
    }
};

TEST_F(Containers, ATagBecomesADigestAndTheImageAVolume) {
    const std::string manifest = image({"base layer", "top layer"}), sha = serve_manifest(manifest, "1.0");
    wish_image(1, "shop/web:1.0");
    wish_volume(wish, 1, 1);
    wish_ref(wish, 1, 1, false);
    boot();
    apply();
    EXPECT_EQ(tree(1).State, SwState::LOADED) << tree(1).Error;
    EXPECT_EQ(tree(1).RelativeURL, "shop/web@sha256:" + sha);
    EXPECT_EQ(tree(1).ContentSha256, sha);
    EXPECT_FALSE(tree(1).HasResolverRef);
    ASSERT_EQ(tree(1).Blobs.size(), 4U);
    EXPECT_EQ(tree(1).Blobs.front(), sha);
    EXPECT_EQ(volume(1).State, SwState::CREATED_VOLUME) << volume(1).Error;
    EXPECT_EQ(volume(1).ContentFormat, types::Format::CONTAINER);
    EXPECT_TRUE(volume(1).FileLocation.ends_with(".container"));
    EXPECT_EQ(storage.volumes.at(volume(1).FileLocation).content, manifest);
    EXPECT_EQ(node->blob_statuses->get(sha)->MediaType, "application/vnd.oci.image.manifest.v1+json");
}

TEST_F(Containers, ATagIsLookedUpOnceAlsoOverAReboot) {
    serve_manifest(image({"layer"}), "latest");
    wish_image(1, "shop/web");
    wish_volume(wish, 1, 1);
    wish_ref(wish, 1, 1, false);
    boot();
    apply();
    ASSERT_EQ(tree(1).State, SwState::LOADED) << tree(1).Error;
    EXPECT_EQ(storage.resolves, 1U);
    const std::string first = tree(1).ContentSha256;
    serve_manifest(image({"another layer"}), "latest");
    reboot();
    EXPECT_EQ(tree(1).State, SwState::LOADED) << tree(1).Error;
    EXPECT_EQ(tree(1).ContentSha256, first);
    EXPECT_EQ(storage.resolves, 1U);
    // Deleted with the tree: the same content id asked for again is looked up anew.
    const ContentWish before = wish;
    wish.refs.clear();
    wish.volumes.clear();
    wish.trees.clear();
    apply();
    EXPECT_TRUE(storage.stored.empty());
    EXPECT_TRUE(storage.blobs.empty());
    wish = before;
    apply();
    EXPECT_EQ(tree(1).State, SwState::LOADED) << tree(1).Error;
    EXPECT_NE(tree(1).ContentSha256, first);
    EXPECT_EQ(storage.resolves, 2U);
}

TEST_F(Containers, OfAnIndexOnlyThisMachinesImageIsFetched) {
    const std::string ours = image({"ours"}), other = image({"theirs"});
    const std::string index = R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[)" +
                              [&] {
                                  std::string text = descriptor(types::oci_media_manifest, other);
                                  text.pop_back();
                                  text += R"(,"platform":{"architecture":"s390x","os":"linux"}},)" + descriptor(types::oci_media_manifest, ours);
                                  text.pop_back();
                                  return text + R"(,"platform":{"architecture":")" + types::oci_here().architecture + R"(","os":"linux"}})";
                              }() +
                              "]}";
    serve_manifest(ours);
    serve_manifest(index, "multi");
    wish_image(1, "shop/web:multi");
    wish_volume(wish, 1, 1);
    wish_ref(wish, 1, 1, false);
    boot();
    apply();
    EXPECT_EQ(tree(1).State, SwState::LOADED) << tree(1).Error;
    EXPECT_EQ(tree(1).Blobs.size(), 4U);  // index, manifest, config, layer
    EXPECT_EQ(storage.volumes.at(volume(1).FileLocation).content, ours);
    EXPECT_EQ(node->blob_statuses->get(SimStorage::digest("theirs")), nullptr);
    reboot();
    EXPECT_EQ(tree(1).State, SwState::LOADED) << tree(1).Error;
    EXPECT_EQ(volume(1).State, SwState::CREATED_VOLUME);
}

TEST_F(Containers, AnIndexWithoutThisMachineIsAnErrorThatSaysSo) {
    std::string entry = descriptor(types::oci_media_manifest, "{}");
    entry.pop_back();
    serve_manifest(R"({"schemaVersion":2,"manifests":[)" + entry + R"(,"platform":{"architecture":"s390x","os":"linux"}}]})", "latest");
    wish_image(1, "shop/web");
    boot();
    apply();
    EXPECT_NE(tree(1).Error.find("no manifest found for this platform"), std::string::npos) << tree(1).Error;
}

TEST_F(Containers, ALayerThatTwoImagesShareIsFetchedOnceAndKeptForTheOther) {
    serve_manifest(image({"shared base", "one"}), "one");
    serve_manifest(image({"shared base", "two"}), "two");
    wish_image(1, "shop/web:one");
    wish_image(2, "shop/web:two");
    for (unsigned i = 1; i <= 2; ++i) {
        wish_volume(wish, i, i);
        wish_ref(wish, i, i, false);
    }
    boot();
    apply();
    ASSERT_EQ(tree(1).State, SwState::LOADED) << tree(1).Error;
    ASSERT_EQ(tree(2).State, SwState::LOADED) << tree(2).Error;
    // Two manifests, one config (the same), the base once, two tops.
    EXPECT_EQ(storage.transfers, 6U);
    EXPECT_EQ(node->blob_statuses->get(SimStorage::digest("shared base"))->RefCount, 2U);
    wish.trees.erase(tree_key(1));
    wish.volumes.erase(key_of(1));
    wish.refs.erase(ref_key(1, 1));
    apply();
    EXPECT_EQ(node->blob_statuses->get(SimStorage::digest("shared base"))->RefCount, 1U);
    EXPECT_TRUE(storage.blobs.contains(SimStorage::digest("shared base")));
    EXPECT_FALSE(storage.blobs.contains(SimStorage::digest("one")));
    reboot();
    EXPECT_EQ(volume(2).State, SwState::CREATED_VOLUME) << volume(2).Error;
    EXPECT_EQ(storage.transfers, 6U);
}

TEST_F(Containers, AManifestThatLiesAboutASizeIsRefused) {
    std::string manifest = image({"layer"});
    const std::string size = "\"size\":5}]";
    manifest.replace(manifest.find(size), size.size(), "\"size\":9}]");
    serve_manifest(manifest, "latest");
    wish_image(1, "shop/web");
    boot();
    apply();
    EXPECT_NE(tree(1).Error.find("5 bytes, the manifest says 9"), std::string::npos) << tree(1).Error;
    EXPECT_TRUE(storage.stored.empty());
}

TEST_F(Containers, ARegistryThatIsAwayIsAskedAgain) {
    wish_image(1, "shop/web");
    boot();
    apply();
    EXPECT_EQ(tree(1).State, SwState::RESOLVING_TAG);
    EXPECT_FALSE(tree(1).Error.empty());
    EXPECT_FALSE(tree(1).ErrorRetryCondition.empty());
    serve_manifest(image({"layer"}), "latest");
    pass(2h);
    EXPECT_EQ(tree(1).State, SwState::LOADED) << tree(1).Error;
    EXPECT_TRUE(tree(1).Error.empty());
}

TEST_F(Containers, ContainersComeFromRegistriesAndDisksDoNot) {
    wish_image(1, "shop/web").Format = types::Format::QCOW2;
    wish_datastore(wish, 2, "images.test");
    wish_image(2, "rootfs.tar").DatastoreIDList = {test_uuid(0xd0, 2)};
    boot();
    apply();
    EXPECT_NE(tree(1).Error.find("only container images"), std::string::npos);
    EXPECT_NE(tree(2).Error.find("container registries only"), std::string::npos);
}

}  // namespace
}  // namespace eve
