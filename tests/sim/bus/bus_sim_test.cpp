// The bus between processes, with real sockets under virtual time: random orders of publish, delete, restart, reconnect, slow subscribers, a disk
// that refuses, records of any size. At rest every subscriber knows what the publisher has, and nothing else; what is too large is refused with
// an error, and nobody exits. A step is one such deed.

#include <gtest/gtest.h>

#include <set>

#include "core/bus/bus.hpp"
#include "core/bus/engine.hpp"
#include "core/bus/socket_transport.hpp"
#include "tests/doubles/fake_record_store.hpp"
#include "tests/doubles/seeds.hpp"
#include "tests/doubles/sim_io_loop.hpp"
#include "tests/doubles/temp_dir.hpp"
#include "tests/unit/bus/sample.hpp"

namespace eve {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t seeds_default = 80;
constexpr std::uint64_t shards = 4;
constexpr int rounds = 20;
constexpr std::int64_t deeds_max = 40;  ///< of a round
constexpr std::size_t readers_max = 3;
/// What a publisher did not name again is doubted for this long; before that come the pauses of a connection that is made again.
constexpr std::chrono::seconds rest_time = bus::stale_grace + 30s;

class SilentLog final : public Log {
public:
    using Log::write;
    void write(Level, std::string_view, Fields) override {}
};

class World {
public:
    World(std::uint64_t seed, const Root& root) : prng_(seed), root_(root), name_{.agent = "x", .persistent = prng_.chance(30)} {
        start_publisher();
        add_reader();
    }

    void round() {
        for (auto left = prng_.between(1, deeds_max); left > 0 && problem_.empty(); --left) deed();
    }

    void rest() {
        store_.fault = nullptr;
        for (auto& reader : readers_) reader->process.loop.paused = false;
        resting_ = true;
        run_for(rest_time);
        resting_ = false;
    }

    /// What is not as it must be at rest; empty if all is.
    std::string unequal() const {
        if (!problem_.empty()) return problem_;
        for (const auto& reader : readers_) {
            if (!reader->subscription->synchronized()) return "a subscriber is not synchronized";
            // As EVE's: one that connects to a publisher without a marker keeps its old one.
            const int marker = publication_->restart_counter();
            if (marker != 0 && reader->subscription->restart_counter() != marker) return "a subscriber has another marker";
            if (auto different = difference(reader->subscription->items()); !different.empty()) return different;
            for (const auto& [key, value] : publication_->items())
                if (!reader->known.contains(key)) return "the handlers did not tell of " + key;
            if (reader->known.size() != publication_->items().size()) return "the handlers told of more than there is";
        }
        if (auto different = difference(own_->items()); !different.empty()) return "within the process: " + different;
        return {};
    }

    std::uint64_t steps() const { return steps_; }

private:
    struct Process {
        Process(SimLoop& world, Log& log, FakeRecordStore& store, const Root& root)
            : loop(world),
              transport({.loop = loop, .log = log, .store = store, .root = root}),
              bus({.loop = loop, .log = log, .store = &store, .transport = &transport}) {}
        SimIoLoop loop;
        bus::SocketTransport transport;
        Bus bus;
    };
    struct Reader {
        Reader(World& world, const TopicName& name) : process(world.loop_, world.log_, world.store_, world.root_) {
            subscription = process.bus.subscribe<Sample>(
                name, {.created =
                           [this, &world](const std::string& key, const Sample&) {
                               if (!known.insert(key).second) world.problem_ = "created twice: " + key;
                           },
                       .modified =
                           [this, &world](const std::string& key, const Sample& now, const Sample& before) {
                               if (!known.contains(key) || now == before) world.problem_ = "modified, and not: " + key;
                           },
                       .deleted =
                           [this, &world](const std::string& key, const Sample&) {
                               if (known.erase(key) == 0) world.problem_ = "deleted, and never there: " + key;
                           }});
        }
        Process process;
        std::set<std::string> known;
        std::unique_ptr<Subscription<Sample>> subscription;
    };
    using Items = std::map<std::string, std::shared_ptr<const Sample>>;

    std::string difference(const Items& items) const {
        for (const auto& [key, value] : publication_->items()) {
            const auto found = items.find(key);
            if (found == items.end()) return key + " is not known";
            if (*found->second != *value) return key + " has another value";
        }
        for (const auto& [key, value] : items)
            if (publication_->get(key) == nullptr) return key + " is known, and is not there";
        return {};
    }

    void start_publisher() {
        publisher_ = std::make_unique<Process>(loop_, log_, store_, root_);
        publication_ = publisher_->bus.publish<Sample>(name_);
        own_ = publisher_->bus.subscribe<Sample>(name_);
    }
    void restart_publisher() {
        own_.reset();
        publication_.reset();
        publisher_.reset();
        if (prng_.chance(50)) run_for(std::chrono::milliseconds{prng_.below(3000)});
        if (prng_.chance(10)) store_.tables.clear();  // the machine, or its disk, has lost them
        start_publisher();
    }
    void add_reader() { readers_.push_back(std::make_unique<Reader>(*this, name_)); }
    Reader& some_reader() { return *readers_[prng_.below(readers_.size())]; }

    void publish(const std::string& key) {
        auto record = Sample{.Text = "n", .Number = ++value_};
        if (prng_.chance(3)) record.Text.assign(prng_.below(120'000), 'T');
        if (prng_.chance(3)) record.Large.assign(prng_.chance(10) ? prng_.below(2'000'000) : prng_.below(3000), 'L');
        const auto size = record.Text.size() + record.Large.size();
        const auto before = find(publication_->items(), key);
        const auto published = publication_->publish(key, std::move(record));
        if (published) return;
        constexpr std::size_t surely_fits = 30'000;
        if (published.error().code != Code::resource_exhausted) problem_ = "refused: " + published.error().what;
        if (size < surely_fits) problem_ = "a small record was refused: " + published.error().what;
        if (find(publication_->items(), key) != before) problem_ = "a record was refused, and the old one did not stay";
    }
    static std::shared_ptr<const Sample> find(const Items& items, const std::string& key) {
        const auto found = items.find(key);
        return found == items.end() ? nullptr : found->second;
    }

    void deed() {
        ++steps_;
        const auto key = "k" + std::to_string(prng_.below(5));
        switch (prng_.below(17)) {
            case 0:
            case 1:
            case 2:
            case 3:
            case 4: return publish(key);
            case 5:
            case 6: return static_cast<void>(publication_->unpublish(key));  // or it is not there
            case 7: return prng_.chance(80) ? publication_->signal_restarted() : publication_->clear_restarted();
            case 8: return run_for(std::chrono::milliseconds{prng_.pick<std::int64_t>({0, 1, 20, 700, 15'000, 200'000})});
            case 9:
            case 10:
                for (auto turns = prng_.below(8); turns > 0; --turns) static_cast<void>(turn(1h));
                return;
            case 11:
                if (readers_.size() < readers_max) return add_reader();
                readers_.erase(readers_.begin() + static_cast<std::ptrdiff_t>(prng_.below(readers_.size())));
                return;
            case 12: return some_reader().process.loop.break_connection(prng_);
            case 13: return publisher_->loop.break_connection(prng_);
            case 14: {
                auto& loop = some_reader().process.loop;
                loop.paused = !loop.paused;
                return;
            }
            case 15:
                store_.fault = nullptr;
                if (prng_.chance(30))
                    store_.fault = [](const auto&) -> Status { return Error{.code = Code::resource_exhausted, .what = "no space"}; };
                return;
            default:
                if (prng_.chance(50)) restart_publisher();
                return;
        }
    }

    /// One event, or one descriptor, of whoever's turn it is. Before the rest time may also go on while a descriptor waits: everybody is slow.
    /// False: nothing is due within `limit`.
    bool turn(std::chrono::nanoseconds limit) {
        std::vector<SimIoLoop*> loops;
        if (publisher_) loops.push_back(&publisher_->loop);
        for (auto& reader : readers_) loops.push_back(&reader->process.loop);
        const auto first = prng_.below(loops.size());
        bool some = false;
        for (std::size_t i = 0; i < loops.size() && !some; ++i) some = loops[(first + i) % loops.size()]->serve(prng_);
        if (some && prng_.chance(50)) return true;
        if (some && resting_) limit = 0ns;
        int events = 0;
        return loop_.run_until([&events] { return events++ == 1; }, limit) || some;
    }
    void run_for(std::chrono::nanoseconds time) {
        const Instant end = clock_.now() + time;
        constexpr int turns_max = 100'000;
        for (int turns = 0; clock_.now() <= end && turn(end - clock_.now()); ++turns) {
            if (turns < turns_max) continue;
            problem_ = "it does not come to rest";
            break;
        }
        clock_.advance_to(end);
    }

    Prng prng_;
    Root root_;
    TopicName name_;
    SimClock clock_;
    SimLoop loop_{clock_};
    SilentLog log_;
    FakeRecordStore store_;
    std::unique_ptr<Process> publisher_;
    std::unique_ptr<Publication<Sample>> publication_;
    std::unique_ptr<Subscription<Sample>> own_;
    std::vector<std::unique_ptr<Reader>> readers_;
    std::int64_t value_ = 0;
    std::uint64_t steps_ = 0;
    bool resting_ = false;
    std::string problem_;
};

class BusSeeds : public testing::TestWithParam<std::uint64_t> {};

TEST_P(BusSeeds, AtRestEverySubscriberEqualsThePublisher) {
    const TempDir temp;
    Seeds seeds(seeds_default, GetParam(), shards);
    while (const auto seed = seeds.next()) {
        SCOPED_TRACE(replay(*seed));
        World world(*seed, Root{temp.string()});
        for (int round = 0; round < rounds; ++round) {
            world.round();
            world.rest();
            ASSERT_EQ(world.unequal(), "") << "round " << round;
        }
        seeds.made(world.steps());
    }
}
INSTANTIATE_TEST_SUITE_P(Shard, BusSeeds, testing::Range(std::uint64_t{0}, shards));

}  // namespace
}  // namespace eve
