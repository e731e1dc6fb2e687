// The content pipeline under seeded chaos: configs come and go, effects fail, replies get lost, wrong bytes arrive, the node is killed and the
// machine rebooted. Then the faults stop, and the node must have exactly what is asked for, and nothing else. EVE_SEED=n runs one seed.

#include <gtest/gtest.h>

#include "tests/doubles/content_node.hpp"
#include "tests/doubles/seeds.hpp"

namespace eve {
namespace {

using namespace std::chrono_literals;
using types::SwState;

constexpr unsigned images_max = 4, volumes_max = 6, apps_max = 3;
constexpr int chaos_steps = 40;

class World {
public:
    explicit World(std::uint64_t seed) : prng_(seed), storage_(prng_.fork()) {
        for (unsigned i = 1; i <= images_max; ++i) contents_.push_back("content of image " + std::to_string(i));
        wish_datastore(wish_, 1, "images.test");
        faults_ = {.fail_percent = static_cast<unsigned>(prng_.below(40)),
                   .lost_reply_percent = static_cast<unsigned>(prng_.below(30)),
                   .wrong_percent = static_cast<unsigned>(prng_.below(20))};
        storage_.set_faults(faults_);
        for (unsigned i = 0; i < images_max; ++i) storage_.serve(url(i + 1), contents_[i]);
        boot();
    }

    std::uint64_t steps() const { return loop_.steps(); }

    std::string options() const {
        return "fail " + std::to_string(faults_.fail_percent) + "%, lost reply " + std::to_string(faults_.lost_reply_percent) + "%, wrong " +
               std::to_string(faults_.wrong_percent) + "%";
    }

    void chaos() {
        for (int i = 0; i < chaos_steps && problem_.empty(); ++i) {
            const auto what = prng_.below(100);
            if (what < 60) change();
            else if (what < 75) crash(false);
            else if (what < 82) crash(true);
            run(std::chrono::milliseconds{prng_.between(0, prng_.chance(30) ? 900'000 : 300)});
        }
    }

    void heal() {
        storage_.set_faults({});
        node_->apply(wish_);
        run(3h);  // past every back-off and retry, and several looks for garbage
    }

    /// Why the node is not where it should be; empty if it is.
    std::string converged() {
        if (!problem_.empty()) return problem_;
        for (const auto& [key, config] : wish_.trees) {
            const auto* tree = node_->tree_statuses->get(key);
            if (tree == nullptr) return "no tree " + key;
            if (tree->State != SwState::LOADED || !tree->Error.empty())
                return "tree " + key + " is at " + to_string(tree->State) + ": " + tree->Error;
            if (tree->Blobs.size() != 3) return "tree without its three blobs";
        }
        for (const auto& [key, config] : wish_.volumes) {
            const auto* volume = node_->volume_statuses->get(key);
            if (volume == nullptr) return "no volume " + key;
            unsigned references = 1;
            bool wanted = false;
            for (const auto& [ref_key, ref] : wish_.refs) {
                if (volumemgr::volume_key(ref) != key) continue;
                ++references;
                wanted = wanted || !ref.VerifyOnly;
            }
            if (references == 1) wanted = config.HasNoAppReferences;
            if (volume->RefCount != references) return "references of " + key;
            const bool has_content = config.ContentID.is_nil() || wish_.trees.contains(config.ContentID.to_string());
            if (!has_content) continue;
            if (volume->State < (wanted ? SwState::CREATED_VOLUME : SwState::LOADED))
                return "volume " + key + " is at " + to_string(volume->State) + ": " + volume->Error;
            if (!volume->Error.empty()) return "volume " + key + " has an error: " + volume->Error;
        }
        for (const auto& [key, config] : wish_.refs)
            if (node_->ref_statuses->get(key) == nullptr) return "no answer to reference " + key;
        if (node_->tree_statuses->items().size() != wish_.trees.size()) return "a tree too many";
        for (const auto& [key, status] : node_->volume_statuses->items())
            if (!wish_.volumes.contains(key) && !referenced(key)) return "volume " + key + " too many";
        if (node_->ref_statuses->items().size() != wish_.refs.size()) return "an answer too many";
        if (!node_->downloads->items().empty() || !node_->download_statuses->items().empty()) return "a download is left";
        if (!node_->verifications->items().empty() || !node_->verify_statuses->items().empty()) return "a verification is left";
        if (!node_->pending->items().empty()) return "an intent is left";
        if (!storage_.pending.empty() || !storage_.verified.empty()) return "a file is left on the way";
        if (!storage_.half_made.empty()) return "a half-made volume is left";
        for (const auto& [sha, content] : storage_.blobs)
            if (SimStorage::digest(content) != sha && content.find("content of image") != std::string::npos)
                return "a blob in the store is not its digest";
        if (storage_.stored.size() != wish_.trees.size()) return "images left: " + std::to_string(storage_.stored.size());
        std::set<std::string> needed;
        for (const auto& [key, tree] : node_->tree_statuses->items()) needed.insert(tree->Blobs.begin(), tree->Blobs.end());
        if (storage_.blobs.size() != needed.size())
            return "blobs left: " + std::to_string(storage_.blobs.size()) + " not " + std::to_string(needed.size());
        for (const auto& [path, file] : storage_.volumes)
            if (node_->volume_statuses->get(volumemgr::volume_key(file.id, file.generation, 0)) == nullptr) return "a file of no volume: " + path;
        return {};
    }

    /// What the agents say to each other about it, for one who looks for the reason.
    std::string records() const {
        std::string all;
        const auto add = [&all](const char* what, const auto& items) {
            for (const auto& [key, record] : items) all += std::string("\n") + what + " " + key + " " + to_json(*record);
        };
        add("tree", node_->tree_statuses->items());
        add("blob", node_->blob_statuses->items());
        add("download asked", node_->downloads->items());
        add("download", node_->download_statuses->items());
        add("verification asked", node_->verifications->items());
        add("verification", node_->verify_statuses->items());
        return all;
    }

private:
    static std::string url(unsigned image) { return "http://images.test/image" + std::to_string(image); }

    bool referenced(const std::string& key) const {
        for (const auto& [ref_key, ref] : wish_.refs)
            if (volumemgr::volume_key(ref) == key) return true;
        return false;
    }

    void boot() { node_ = std::make_unique<ContentNode>(loop_, storage_, store_, prng_.fork()); }

    void crash(bool reboot) {
        node_.reset();
        if (reboot) store_.reboot();
        boot();
        node_->apply(wish_);
    }

    /// One change of what is asked for.
    void change() {
        const auto image = static_cast<unsigned>(prng_.between(1, images_max));
        const auto volume = static_cast<unsigned>(prng_.between(1, volumes_max));
        const auto app = static_cast<unsigned>(prng_.between(1, apps_max));
        switch (prng_.below(8)) {
            case 0:
            case 1: wish_tree(wish_, image, "image" + std::to_string(image), SimStorage::digest(contents_[image - 1])); break;
            case 2: wish_.trees.erase(tree_key(image)); break;
            case 3:
            case 4: {
                // A volume keeps what it was made from as long as its key lives.
                if (wish_.volumes.contains(key_of(volume)) || referenced(key_of(volume)) || volume_lives(key_of(volume))) break;
                auto& config = wish_volume(wish_, volume, volume > images_max ? 0 : volume);
                config.ReadOnly = true;
                config.HasNoAppReferences = prng_.chance(30);
                break;
            }
            case 5: wish_.volumes.erase(key_of(volume)); break;
            case 6:
                if (wish_.volumes.contains(key_of(volume))) wish_ref(wish_, app, volume, prng_.chance(40));
                break;
            default: wish_.refs.erase(ref_key(app, volume)); break;
        }
        node_->apply(wish_);
    }
    bool volume_lives(const std::string& key) const { return node_->volume_statuses->get(key) != nullptr; }

    void run(std::chrono::nanoseconds time) {
        const auto end = clock_.now() + time;
        (void)loop_.run_until(
            [&] {
                check();
                return !problem_.empty() || clock_.now() >= end;
            },
            time);
    }

    /// What must hold at every moment.
    void check() {
        for (const auto& [key, volume] : node_->volume_statuses->items()) {
            if (volume->State != SwState::CREATED_VOLUME) continue;
            const auto file = storage_.volumes.find(volume->FileLocation);
            // Its removal may be under way; but what is offered to an app is there.
            if (volume->SubState != types::VolumeSubState::VolumeSubStateCreated) continue;
            if (file == storage_.volumes.end()) {
                if (volume->RefCount > 0 && node_->volumes->get(key) != nullptr) problem_ = "volume " + key + " is said to exist and does not";
                continue;
            }
            if (volume->VolumeContentOriginType != types::VolumeContentOriginType::VCOT_DOWNLOAD) continue;
            bool verified = false;
            for (const auto& content : contents_) verified = verified || content == file->second.content;
            if (!verified) problem_ = "volume " + key + " was made of something that was not verified";
        }
        for (const auto& [key, ref] : node_->ref_statuses->items())
            if (ref->State == SwState::CREATED_VOLUME && ref->ActiveFileLocation.empty()) problem_ = "a reference without its file";
    }

    Prng prng_;
    SimClock clock_;
    SimLoop loop_{clock_};
    SimStorage storage_;
    FakeRecordStore store_;
    ContentWish wish_;
    SimStorage::Faults faults_;
    std::vector<std::string> contents_;
    std::string problem_;
    std::unique_ptr<ContentNode> node_;
};

void run_seed(std::uint64_t seed, Seeds& seeds) {
    World world(seed);
    SCOPED_TRACE(replay(seed) + " (" + world.options() + ")");
    world.chaos();
    world.heal();
    EXPECT_EQ(world.converged(), "") << world.records();
    seeds.made(world.steps());
}

constexpr std::uint64_t seeds_default = 100;

TEST(ContentSim, ConvergesOnceFaultsStop) {
    Seeds seeds(seeds_default);
    while (const auto seed = seeds.next()) {
        run_seed(*seed, seeds);
        if (HasFailure()) return;
    }
}

}  // namespace
}  // namespace eve
