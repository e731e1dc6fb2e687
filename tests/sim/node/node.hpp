#pragma once
// What every simulated node has, whichever of its agents are real: one number that decides everything, a world, its time, one bus, and the walk
// from chaos over the end of all faults to rest.

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "core/bus/bus.hpp"
#include "core/log/log.hpp"
#include "core/types/app.hpp"
#include "tests/doubles/fake_record_store.hpp"
#include "tests/doubles/prng.hpp"
#include "tests/doubles/sim_loop.hpp"
#include "tests/sim/node/world.hpp"

namespace eve::sim {

/// Drops what is logged, or says it, for one seed under study (EVE_SIM_LOG=1).
class SimLog final : public Log {
public:
    explicit SimLog(const Clock& clock);
    using Log::write;
    void write(Level level, std::string_view event, Fields fields) override;

private:
    const Clock& clock_;
    bool speak_;
};

class Node {
public:
    explicit Node(std::uint64_t seed_given) : seed(seed_given), prng(seed_given) {}
    virtual ~Node() = default;
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    /// Config changes, faults, crashes of agents and guests, for a while.
    void chaos();
    /// Faults stop, nothing is changed any more, and time passes until nothing is complained of, or long enough to say that it never ends.
    void heal();
    /// What is not as the config wants it, or not as it is reported; empty when the node has converged.
    virtual std::vector<std::string> complaints() = 0;
    /// What must never be, and was; else what is complained of.
    std::vector<std::string> faults();

    void run_for(std::chrono::nanoseconds time);

    const std::uint64_t seed;
    World world;
    Prng prng;
    SimClock clock;
    SimLoop loop{clock};
    SimLog log{clock};
    FakeRecordStore store;
    Bus bus{{.loop = loop, .log = log, .store = &store}};
    std::uint64_t steps = 0;  ///< events after which the world was checked

protected:
    /// Draws how much goes wrong.
    virtual void begin_faults() = 0;
    virtual void end_faults() = 0;
    /// One thing that a controller, a guest or fate does.
    virtual void do_something() = 0;
    /// Brings the picture of the world up to date and checks it.
    virtual void look() { world.check(); }
};

/// A UUID that is the same in every run: `kind` tells what it names.
types::Uuid uuid(std::uint8_t kind, std::uint8_t number);

/// What an app of a simulation may be like.
struct AppRange {
    std::int64_t volumes_min = 0, volumes_max = 3;
    std::uint8_t volume_kind_base = 0;  ///< volumes of app n have UUIDs of kind base + n
    bool may_be_broken = false;         ///< configs that no zedmanager can accept
};
types::AppInstanceConfig some_app(Prng& prng, std::uint8_t number, const AppRange& range);
/// A change as a controller makes it: of activation, resources, adapters or volumes, with or without the command that it needs.
void change_app(Prng& prng, types::AppInstanceConfig& config, const AppRange& range);

}  // namespace eve::sim
