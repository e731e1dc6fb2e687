// The power may go at any instruction: every disk that a power cut may leave loads, and holds all that was acknowledged.
//
// Tens of thousands of disks for each run; EVE_POWER_CUT_STATES=N tries up to N disks for each point in time, with more histories.

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "core/types/app.hpp"
#include "core/types/codec.hpp"
#include "plugins/kvm/files.hpp"
#include "storage/config_file.hpp"
#include "storage/content_store.hpp"
#include "storage/durable_file.hpp"
#include "storage/files.hpp"
#include "storage/hash.hpp"
#include "storage/record_store.hpp"
#include "storage/verify_files.hpp"
#include "storage/volume_files.hpp"
#include "tests/doubles/temp_dir.hpp"
#include "tests/unit/power_cut/crash_states.hpp"

namespace eve::power_cut {
namespace {

namespace fs = std::filesystem;
using bus::StoreChange;
using bus::TableId;

// A directory in memory, where there is one.
class MemoryDir {
public:
    MemoryDir() {
        if (::access("/dev/shm", W_OK) == 0) {
            path_ = "/dev/shm/eve-test-power-cut." + std::to_string(::getpid());
            fs::create_directory(path_);
        }
    }
    ~MemoryDir() {
        std::error_code ignored;
        if (!path_.empty()) fs::remove_all(path_, ignored);
    }
    MemoryDir(const MemoryDir&) = delete;
    MemoryDir& operator=(const MemoryDir&) = delete;
    std::string string() const { return path_.empty() ? fallback_.string() : path_; }

private:
    TempDir fallback_;
    std::string path_;
};

std::size_t states_per_point() {
    const char* text = std::getenv("EVE_POWER_CUT_STATES");
    return text == nullptr ? 30 : std::strtoul(text, nullptr, 10);
}

class PowerCut : public testing::Test {
protected:
    // Everything the calls did was seen, else the states say nothing.
    static void expect_all_recorded(const Recording& recording, const std::string& root) {
        auto image = recording.before();
        for (const auto& op : recording.ops()) apply(image, op);
        EXPECT_EQ(image.tree(), Recording::read(root).tree()) << "a call that changes the disk was not recorded";
    }

    TempDir live_;
    MemoryDir crashed_;
};

class Context final : public LaneContext {
public:
    Instant deadline() const override { return Instant::max(); }
    bool cancelled() const override { return false; }
    int cancel_fd() const override { return -1; }
};

// ---- Records ----

// What a key may hold: its last acknowledged value, or one that was being written.
struct Slot {
    TableId table;
    std::optional<std::string> key;  // none: the restart marker
    friend auto operator<=>(const Slot&, const Slot&) = default;
};
using Value = std::optional<std::string>;
struct Commit {
    std::size_t begin = 0, end = 0;  // between which ops it ran
    std::vector<StoreChange> batch;
};

Slot slot_of(const StoreChange& change) {
    return {change.table, change.kind == StoreChange::Kind::marker ? std::nullopt : std::optional{change.key}};
}
Value value_of(const StoreChange& change) {
    switch (change.kind) {
        case StoreChange::Kind::put: return change.json;
        case StoreChange::Kind::remove: return std::nullopt;
        case StoreChange::Kind::marker: return std::to_string(change.counter);
    }
    return std::nullopt;
}

std::map<Slot, std::set<Value>> allowed_at(const std::vector<Commit>& history, std::size_t point) {
    std::map<Slot, std::set<Value>> allowed;
    for (const auto& commit : history)
        for (const auto& change : commit.batch) {
            auto& values = allowed.try_emplace(slot_of(change), std::set<Value>{std::nullopt}).first->second;
            if (commit.end <= point) values.clear();
            if (commit.begin < point) values.insert(value_of(change));
        }
    return allowed;
}

std::string json_of(const std::string& key, int revision, std::size_t size) {
    return R"({"Key":")" + key + R"(","Revision":)" + std::to_string(revision) + R"(,"Filler":")" + std::string(size, static_cast<char>('a' + revision % 26)) + "\"}";
}

class PowerCutOfRecords : public PowerCut {
protected:
    const std::vector<TableId> tables_{{.agent = "zedmanager", .topic = "UuidToNum", .persistent = true},
                                       {.agent = "zedrouter", .scope = "x", .topic = "AppMACGenerator", .persistent = true}};

    // Publishes, removals, markers, in files or in the log, files that follow the log in part or whole, restarts of the process.
    std::vector<Commit> play(Prng& prng, Recording& recording, int commits, std::size_t batch_max) {
        std::vector<Commit> history;
        auto store = std::make_unique<storage::RecordStore>(Root{live_.string()});
        int revision = 0;
        for (int i = 0; i < commits; ++i) {
            if (prng.chance(10)) {
                store = std::make_unique<storage::RecordStore>(Root{live_.string()});
                for (const auto& table : tables_) EXPECT_TRUE(store->load(table));
            }
            Commit commit{.begin = recording.ops().size(), .batch = {}};
            std::set<Slot> used;  // the journal never gives one key twice
            const auto count = static_cast<std::size_t>(prng.between(1, static_cast<std::int64_t>(batch_max)));
            while (commit.batch.size() < count) {
                StoreChange change{.table = prng.pick(tables_), .key = "k" + std::to_string(prng.below(1 + batch_max))};
                if (prng.chance(20)) {
                    change.kind = StoreChange::Kind::remove;
                } else if (prng.chance(10)) {
                    change.kind = StoreChange::Kind::marker;
                    change.key.clear();
                    change.counter = static_cast<int>(prng.below(5));
                } else {
                    change.json = json_of(change.key, ++revision, prng.chance(8) ? 5000 : prng.below(700));
                }
                if (used.insert(slot_of(change)).second || used.size() > 2 * batch_max) commit.batch.push_back(std::move(change));
            }
            const auto results = prng.chance(60) ? store->append(commit.batch) : store->commit(commit.batch);
            for (const auto& result : results) EXPECT_TRUE(result) << result.error().what;
            commit.end = recording.ops().size();
            history.push_back(std::move(commit));
            if (prng.chance(30)) {
                EXPECT_TRUE(store->settle(1 + prng.below(batch_max)));
            }
        }
        return history;
    }

    // The first rule that the disk breaks, or nothing.
    std::string complaint(const std::map<Slot, std::set<Value>>& allowed) {
        storage::RecordStore store{Root{crashed_.string()}};
        std::map<TableId, bus::StoredTable> found;
        for (const auto& table : tables_) {
            auto loaded = store.load(table);
            if (!loaded) return table.name() + " does not load: " + loaded.error().what;
            found.emplace(table, std::move(*loaded));
        }
        for (const auto& [table, loaded] : found)
            for (const auto& [key, json] : loaded.records)
                if (!allowed.contains({table, key})) return table.name() + " has " + key + ", which nobody wrote";
        for (const auto& [slot, values] : allowed) {
            const auto& loaded = found.at(slot.table);
            Value value;
            if (slot.key) {
                const auto record = loaded.records.find(*slot.key);
                if (record != loaded.records.end()) value = record->second;
                if (values.contains(value)) continue;
                return slot.table.name() + " " + *slot.key + (value ? " holds what it may not: " + value->substr(0, 60) : " is lost");
            }
            value = std::to_string(loaded.restart_counter);
            if (!values.contains(value) && !(loaded.restart_counter == 0 && values.contains(std::nullopt)))
                return slot.table.name() + "'s marker is " + *value;
        }
        // What was put right on disk stays so, and the next write works.
        for (const auto& table : tables_) {
            storage::RecordStore again{Root{crashed_.string()}};
            const auto second = again.load(table);
            if (!second || second->records != found.at(table).records) return table.name() + " loads differently the second time";
            if (!second->problems.empty()) return table.name() + " has a problem again: " + second->problems.front();
        }
        return {};
    }

    void run(std::uint64_t seed, int commits, std::size_t batch_max, std::size_t& states) {
        for (const auto& entry : fs::directory_iterator(live_.path())) fs::remove_all(entry.path());
        Prng prng(seed);
        Recording recording(live_.string());
        const auto history = play(prng, recording, commits, batch_max);
        expect_all_recorded(recording, live_.string());
        const auto ops = recording.ops();
        std::string first;
        states += visit_crash_states(recording.before(), ops, {.seed = seed, .per_point = states_per_point()},
                                     [&](std::size_t point, const std::map<std::string, std::string>& tree) {
                                         if (!first.empty()) return;
                                         lay_out(crashed_.string(), tree);
                                         first = complaint(allowed_at(history, point));
                                         if (first.empty()) return;
                                         first += "\n  seed " + std::to_string(seed) + ", after op " + std::to_string(point) + " of " +
                                                  std::to_string(ops.size()) + "; on the disk:";
                                         for (const auto& [path, content] : tree)
                                             first += "\n    " + path + " (" + std::to_string(content.size()) + ") " + content.substr(0, 50);
                                         for (std::size_t i = point > 12 ? point - 12 : 0; i < point; ++i)
                                             first += "\n  op " + std::to_string(i) + " kind " + std::to_string(static_cast<int>(ops[i].kind)) + " node " +
                                                      std::to_string(ops[i].node) + " " + ops[i].name;
                                     });
        EXPECT_EQ(first, "");
    }
};

TEST_F(PowerCutOfRecords, LosesNothingAcknowledgedWhenOneIsWrittenAtATime) {
    std::size_t states = 0;
    for (std::uint64_t seed = 1; seed <= 20 && !HasFailure(); ++seed) run(seed, 20, 1, states);
    RecordProperty("states", static_cast<int>(states));
    std::printf("%zu disks\n", states);
    EXPECT_GT(states, 10'000U);
}

TEST_F(PowerCutOfRecords, LosesNothingAcknowledgedInGroups) {
    std::size_t states = 0;
    for (std::uint64_t seed = 101; seed <= 108 && !HasFailure(); ++seed) run(seed, 10, 6, states);
    std::printf("%zu disks\n", states);
    EXPECT_GT(states, 10'000U);
}

// A power cut while the node puts right what the last one left.
TEST_F(PowerCutOfRecords, LosesNothingWhenThePowerGoesAgainDuringRecovery) {
    std::size_t states = 0;
    std::string first;
    for (std::uint64_t seed = 201; seed <= 204 && first.empty(); ++seed) {
        for (const auto& entry : fs::directory_iterator(live_.path())) fs::remove_all(entry.path());
        Prng prng(seed);
        std::vector<Commit> history;
        std::vector<std::pair<std::size_t, std::map<std::string, std::string>>> chosen;
        {
            Recording recording(live_.string());
            history = play(prng, recording, 8, 3);
            visit_crash_states(recording.before(), recording.ops(), {.seed = seed, .per_point = 40},
                               [&](std::size_t point, const std::map<std::string, std::string>& tree) {
                                   if (prng.chance(5)) chosen.emplace_back(point, tree);
                               });
        }
        for (const auto& [point, tree] : chosen) {
            lay_out(live_.string(), tree);
            std::unique_ptr<Recording> recovery = std::make_unique<Recording>(live_.string());
            storage::RecordStore store{Root{live_.string()}};
            for (const auto& table : tables_) EXPECT_TRUE(store.load(table));
            const auto before = recovery->before();
            const auto ops = recovery->ops();
            recovery.reset();
            const auto allowed = allowed_at(history, point);
            states += visit_crash_states(before, ops, {.seed = seed, .per_point = 20}, [&](std::size_t, const std::map<std::string, std::string>& again) {
                if (!first.empty()) return;
                lay_out(crashed_.string(), again);
                first = complaint(allowed);
            });
            if (!first.empty()) break;
        }
    }
    EXPECT_EQ(first, "");
    std::printf("%zu disks\n", states);
    EXPECT_GT(states, 1'000U);
}

// ---- The other files that must last ----

// Plays `scenario` under a recording: it returns at which op each step was acknowledged; `check` says what is wrong with a disk.
using Step = std::pair<std::size_t, std::size_t>;  // begin and end
using Check = std::function<std::string(std::size_t point)>;

class PowerCutOfFiles : public PowerCut {
protected:
    std::size_t try_all(const Image& before, const std::vector<Op>& ops, std::size_t per_point, const Check& check) {
        std::string first;
        const auto states = visit_crash_states(before, ops, {.per_point = per_point}, [&](std::size_t point, const std::map<std::string, std::string>& tree) {
            if (!first.empty()) return;
            lay_out(crashed_.string(), tree);
            first = check(point);
            if (first.empty()) return;
            first += "\n  after op " + std::to_string(point) + " of " + std::to_string(ops.size()) + "; on the disk:";
            for (const auto& [path, content] : tree) first += "\n    " + path + " (" + std::to_string(content.size()) + ")";
        });
        EXPECT_EQ(first, "");
        std::printf("%zu disks\n", states);
        return states;
    }
    std::string read(const std::string& path) const { return storage::read_file(path, 1U << 20U).value_or("<" + path + " cannot be read>"); }
    Context context_;
};

TEST_F(PowerCutOfFiles, ACheckpointOfTheConfigIsTheOldOneOrTheNewOne) {
    std::vector<Step> steps;
    std::vector<std::string> contents;
    Recording recording(live_.string());
    {
        storage::ConfigFiles files{Root{live_.string()}};
        for (int i = 0; i < 8; ++i) {
            contents.push_back(i % 2 == 0 ? json_of("config", i, 300U * static_cast<unsigned>(i)) + "\n" : "\x0a\x05" + std::string(400, 'p'));
            const auto begin = recording.ops().size();
            ASSERT_TRUE(files.write_checkpoint(zedagent::Checkpoint::last, contents.back()));
            steps.emplace_back(begin, recording.ops().size());
        }
    }
    expect_all_recorded(recording, live_.string());
    const auto states = try_all(recording.before(), recording.ops(), 60, [&](std::size_t point) -> std::string {
        storage::ConfigFiles files{Root{crashed_.string()}};
        const auto found = files.read_checkpoint(zedagent::Checkpoint::last);
        std::set<std::string> allowed{"none"};
        for (std::size_t i = 0; i < steps.size(); ++i) {
            if (steps[i].second <= point) allowed.clear();
            if (steps[i].first < point) allowed.insert(contents[i]);
        }
        if (!found && found.error().code != Code::not_found) return found.error().what;
        return allowed.contains(found ? *found : "none") ? "" : "the checkpoint is not what was acknowledged";
    });
    EXPECT_GT(states, 150U);
}

TEST_F(PowerCutOfFiles, VerifiedContentTheStoreAndVolumesAreWholeOrNotThere) {
    constexpr std::size_t images = 3;
    std::vector<std::string> contents;
    std::vector<std::string> digests;
    std::vector<Step> verified, ingested, created;
    const auto persist = [](const std::string& root) { return root + "/persist"; };
    const auto store_in = [&](const std::string& root) { return persist(root) + "/vault/content"; };
    const auto volumes_in = [&](const std::string& root) {
        return storage::make_volume_files({.persist = persist(root), .store = store_in(root), .confine = "/nonexistent"});
    };
    const auto volume = [&](const std::string& root, std::size_t i) {
        return persist(root) + "/vault/volumes/00000000-0000-4000-8000-00000000000" + std::to_string(i) + "#0.raw";
    };
    Recording recording(live_.string());
    {
        const auto verifier = storage::make_verify_files(persist(live_.string()) + "/vault/verifier");
        const auto store = storage::make_content_store(store_in(live_.string()));
        const auto volumes = volumes_in(live_.string());
        ASSERT_TRUE(volumes->recover());
        ASSERT_TRUE(storage::make_directories(persist(live_.string()) + "/vault/downloader"));
        for (std::size_t i = 0; i < images; ++i) {
            contents.emplace_back(700 + 900 * i, static_cast<char>('A' + i));
            digests.push_back(storage::sha256_hex(contents[i]));
            const auto pending = persist(live_.string()) + "/vault/downloader/pending";
            ASSERT_TRUE(storage::write_durably(pending, contents[i]));
            auto begin = recording.ops().size();
            const auto file = verifier->verify({.pending = pending, .sha256 = digests[i], .media_type = "application/x-disk"}, context_);
            ASSERT_TRUE(file) << file.error().what;
            verified.emplace_back(begin, recording.ops().size());
            begin = recording.ops().size();
            const auto kept = store->ingest("image" + std::to_string(i),
                                            {{.sha256 = digests[i], .media_type = "application/x-disk", .path = file->location}}, context_);
            ASSERT_TRUE(kept) << kept.error().what;
            ingested.emplace_back(begin, recording.ops().size());
            begin = recording.ops().size();
            const auto made = volumes->create({.path = volume(live_.string(), i), .format = types::Format::RAW, .blob_sha256 = digests[i], .size_bytes = 5000},
                                              {}, context_);
            ASSERT_TRUE(made) << made.error().what;
            created.emplace_back(begin, recording.ops().size());
        }
    }
    expect_all_recorded(recording, live_.string());
    const auto states = try_all(recording.before(), recording.ops(), 60, [&](std::size_t point) -> std::string {
        const auto root = crashed_.string();
        const auto verifier = storage::make_verify_files(persist(root) + "/vault/verifier");
        const auto rechecked = verifier->recheck(context_);
        if (!rechecked) return "recheck: " + rechecked.error().what;
        const auto volumes = volumes_in(root);
        if (auto recovered = volumes->recover(); !recovered) return "recover: " + recovered.error().what;
        const auto found = storage::make_content_store(store_in(root))->images();
        if (!found) return "the store does not load: " + found.error().what;
        for (std::size_t i = 0; i < images; ++i) {
            const auto file = std::find_if(rechecked->begin(), rechecked->end(), [&](const auto& one) { return one.sha256 == digests[i]; });
            if (file == rechecked->end() && verified[i].second <= point) return "verified content " + std::to_string(i) + " is lost";
            if (file != rechecked->end() && read(file->location) != contents[i]) return "verified content " + std::to_string(i) + " is damaged";
            const auto image = std::find_if(found->begin(), found->end(), [&](const auto& one) { return one.name == "image" + std::to_string(i); });
            if (image == found->end() && ingested[i].second <= point) return "image " + std::to_string(i) + " is lost";
            if (image != found->end() && read(storage::blob_path(store_in(root), digests[i])) != contents[i]) return "image " + std::to_string(i) + " is damaged";
            const bool there = fs::exists(volume(root, i));
            auto whole = contents[i];
            whole.resize(5000);
            if (!there && created[i].second <= point) return "volume " + std::to_string(i) + " is lost";
            if (there && read(volume(root, i)) != whole) return "volume " + std::to_string(i) + " is damaged";
        }
        return "";
    });
    EXPECT_GT(states, 1'000U);
}

TEST_F(PowerCutOfFiles, ARecordOfTheKvmPluginIsTheOldOneOrTheNewOne) {
    std::vector<Step> steps;
    std::vector<std::string> contents;
    Recording recording(live_.string());
    {
        const kvm::UniqueFd base(::open(live_.string().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        const auto directory = kvm::make_directory(base.get(), "domain");
        ASSERT_TRUE(directory);
        for (int i = 0; i < 6; ++i) {
            contents.push_back(json_of("domain", i, 700));
            const auto begin = recording.ops().size();
            ASSERT_TRUE(kvm::write_file(directory->get(), "record.json", contents.back()));
            steps.emplace_back(begin, recording.ops().size());
        }
    }
    expect_all_recorded(recording, live_.string());
    try_all(recording.before(), recording.ops(), 60, [&](std::size_t point) -> std::string {
        std::set<std::string> allowed{"none"};
        for (std::size_t i = 0; i < steps.size(); ++i) {
            if (steps[i].second <= point) allowed.clear();
            if (steps[i].first < point) allowed.insert(contents[i]);
        }
        const auto found = storage::read_file(crashed_.string() + "/domain/record.json", 1U << 20U);
        return allowed.contains(found ? *found : "none") ? "" : "the record is not what was acknowledged";
    });
}

// ---- What a disk changes by itself ----

class BitRot : public testing::Test {
protected:
    TempDir temp_;
    static std::string flipped(std::string text, std::size_t at, unsigned bit) {
        text[at] = static_cast<char>(static_cast<unsigned char>(text[at]) ^ (1U << bit));
        return text;
    }
    static void put(const std::string& path, const std::string& content) { std::ofstream(path, std::ios::binary | std::ios::trunc) << content; }
    static std::string get(const std::string& path) {
        std::ifstream in(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
};

TEST_F(BitRot, OfARecordIsDetectedReportedAndThePreviousVersionTaken) {
    const TableId table{.agent = "zedmanager", .topic = "UuidToNum", .persistent = true};
    const auto directory = temp_.string() + "/persist/status/zedmanager/UuidToNum/";
    const auto older = json_of("k", 1, 120), newer = json_of("k", 2, 130);
    storage::RecordStore store{Root{temp_.string()}};
    for (const auto& json : {older, newer})
        ASSERT_TRUE(store.commit({{.kind = StoreChange::Kind::put, .table = table, .key = "k", .json = json}}).front());
    const auto good = get(directory + "k.json");
    const auto backup = get(directory + "k.json.bak");
    const auto check = [&](const std::string& damaged, const std::string& what) {
        put(directory + "k.json", damaged);
        put(directory + "k.json.bak", backup);
        const auto peeked = store.peek(table);
        const auto loaded = store.load(table);
        ASSERT_TRUE(loaded) << what;
        ASSERT_EQ(peeked->records, loaded->records) << what;
        ASSERT_TRUE(loaded->records.contains("k")) << what;
        const auto& found = loaded->records.at("k");
        // Without its seal a record is taken as EVE's: then it is the same record, or none that parses, and the bus sets it aside.
        const bool whole = found == newer;
        const bool cut = !whole && found == damaged && !from_json<types::UuidToNum>(found);
        ASSERT_TRUE(found == older || whole || cut) << what << ": " << found;
        ASSERT_TRUE(found != older || !loaded->problems.empty()) << what;
        if (cut) {
            ASSERT_EQ(*store.set_aside(table, "k"), std::optional{older}) << what;
        }
        ASSERT_EQ(store.load(table)->records.at("k"), cut ? older : found) << what;
    };
    for (std::size_t at = 0; at < good.size(); ++at) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            check(flipped(good, at, bit), "byte " + std::to_string(at) + " bit " + std::to_string(bit));
            if (HasFatalFailure()) return;
            if (at < newer.size()) {
                ASSERT_EQ(store.load(table)->records.at("k"), older) << at;
            }
        }
    }
    for (std::size_t size = 0; size < good.size(); ++size) {
        check(good.substr(0, size), "cut to " + std::to_string(size));
        if (HasFatalFailure()) return;
    }
}

TEST_F(BitRot, OfALogIsDetectedAndReportedAndWhatIsWholeIsTaken) {
    const TableId table{.agent = "zedmanager", .topic = "UuidToNum", .persistent = true};
    const auto path = temp_.string() + "/persist/status/zedmanager/UuidToNum/journal";
    const auto older = json_of("k", 1, 40), newer = json_of("k", 2, 60);
    std::vector<std::size_t> ends;
    {
        storage::RecordStore store{Root{temp_.string()}};
        for (const auto& json : {older, newer}) {
            ASSERT_TRUE(store.append({{.kind = StoreChange::Kind::put, .table = table, .key = "k", .json = json}}).front());
            ends.push_back(get(path).size());
        }
    }
    const auto good = get(path);
    const auto check = [&](const std::string& damaged, const std::string& what) {
        fs::remove(temp_.string() + "/persist/status/zedmanager/UuidToNum/k.json");
        fs::remove(temp_.string() + "/persist/status/zedmanager/UuidToNum/k.json.bak");
        put(path, damaged);
        storage::RecordStore store{Root{temp_.string()}};
        const auto peeked = store.peek(table);
        const auto loaded = store.load(table);
        ASSERT_TRUE(peeked && loaded) << what;
        ASSERT_EQ(peeked->records, loaded->records) << what;
        const auto found = loaded->records.find("k");
        const bool is_newer = found != loaded->records.end() && found->second == newer;
        const bool is_older = found != loaded->records.end() && found->second == older;
        ASSERT_TRUE(is_newer || is_older || found == loaded->records.end()) << what;
        ASSERT_TRUE(is_newer || !loaded->problems.empty()) << what;
        ASSERT_TRUE(store.load(table)->problems.empty()) << what << ": named at each start";
    };
    for (std::size_t at = 0; at < good.size(); ++at)
        for (unsigned bit = 0; bit < 8; ++bit) {
            check(flipped(good, at, bit), "byte " + std::to_string(at) + " bit " + std::to_string(bit));
            if (HasFatalFailure()) return;
        }
    for (std::size_t size = 1; size < good.size(); ++size) {
        if (size == ends[0]) continue;  // as if the second had never been written
        check(good.substr(0, size), "cut to " + std::to_string(size));
        if (HasFatalFailure()) return;
    }
}

TEST_F(BitRot, OfBothVersionsLosesThatRecordOnlyAndSaysSoOnce) {
    const TableId table{.agent = "zedmanager", .topic = "UuidToNum", .persistent = true};
    const auto directory = temp_.string() + "/persist/status/zedmanager/UuidToNum/";
    storage::RecordStore store{Root{temp_.string()}};
    for (const auto* key : {"k", "other"})
        for (int i = 0; i < 2; ++i)
            ASSERT_TRUE(store.commit({{.kind = StoreChange::Kind::put, .table = table, .key = key, .json = json_of(key, i, 20)}}).front());
    for (const auto* name : {"k.json", "k.json.bak"}) put(directory + name, flipped(get(directory + name), 9, 1));
    const auto loaded = store.load(table);
    ASSERT_TRUE(loaded);
    EXPECT_FALSE(loaded->records.contains("k"));
    EXPECT_EQ(loaded->records.at("other"), json_of("other", 1, 20));
    EXPECT_FALSE(loaded->problems.empty());
    const auto again = store.load(table);
    EXPECT_TRUE(again->problems.empty()) << again->problems.front();
    EXPECT_FALSE(again->records.contains("k"));
}

TEST_F(BitRot, OfACheckpointIsDetected) {
    const auto path = temp_.string() + "/persist/checkpoint/lastconfig";
    storage::ConfigFiles files{Root{temp_.string()}};
    for (const auto& content : {json_of("config", 1, 50) + "\n", std::string("\x0a\x05hello\x12\x03you", 12)}) {
        ASSERT_TRUE(files.write_checkpoint(zedagent::Checkpoint::last, content));
        const auto good = get(path);
        const auto check = [&](const std::string& damaged) {
            put(path, damaged);
            const auto found = files.read_checkpoint(zedagent::Checkpoint::last);
            if (!found || *found == content) return true;
            // Without its seal it is read as EVE's: then what is left must not be a shorter message, or another one.
            return found->find(content) != std::string::npos || content[0] == '{' || found->size() < good.size() - content.size();
        };
        for (std::size_t at = 0; at < good.size(); ++at)
            for (unsigned bit = 0; bit < 8; ++bit) ASSERT_TRUE(check(flipped(good, at, bit))) << at << " " << bit;
        for (std::size_t size = 0; size < good.size(); ++size) ASSERT_TRUE(check(good.substr(0, size))) << size;
        put(path, content);  // EVE's, without a seal
        EXPECT_EQ(*files.read_checkpoint(zedagent::Checkpoint::last), content);
    }
}

}  // namespace
}  // namespace eve::power_cut
