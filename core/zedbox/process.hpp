#pragma once
// What all agents of one process share: loop, lanes, log, bus. Made once in main, given to each agent.

#include <memory>
#include <string>

#include "core/bus/bus.hpp"
#include "core/bus/socket_transport.hpp"
#include "core/log/event_log.hpp"
#include "core/loop/asio_loop.hpp"
#include "core/loop/root.hpp"
#include "core/zedbox/options.hpp"
#include "storage/record_store.hpp"

namespace eve::zedbox {

struct Process {
    explicit Process(const Options& chosen);

    const Options& options;
    Root root;
    SystemClock clock;
    AsioLoop loop;
    EventLog log;
    storage::RecordStore records;
    bus::SocketTransport transport;
    std::unique_ptr<ThreadLanes> lanes;  ///< ended before the agents whose effects it uses
    Bus bus;
};

/// An agent with its effects, until destroyed.
class RunningAgent {
public:
    virtual ~RunningAgent() = default;
};

struct AgentEntry {
    const char* name;
    const char* summary;
    std::unique_ptr<RunningAgent> (*start)(Process&);
};

/// The agents that this executable carries, in the order in which a node starts them.
const std::vector<AgentEntry>& agents();
/// The entry of that name, or null.
const AgentEntry* find_agent(const std::string& name);

}  // namespace eve::zedbox
