#pragma once
// Where the bus keeps its records: EVE's directories of one JSON file per key. Implemented in storage/record_store.cpp and, for simulation, in
// tests/doubles/fake_record_store.hpp.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "eve/result.hpp"

namespace eve::bus {

/// One table's place: ROOT/run/<agent>/[<scope>/]<topic> or ROOT/persist/status/<the same>.
struct TableId {
    std::string agent;
    std::string scope;
    std::string topic;
    bool persistent = false;

    /// "agent/scope/topic", as in EVE's logs and socket names.
    std::string name() const { return (agent.empty() ? "global" : agent) + "/" + (scope.empty() ? "" : scope + "/") + topic; }
    friend auto operator<=>(const TableId&, const TableId&) = default;
};

/// What the files of a table hold.
struct StoredTable {
    std::map<std::string, std::string> records;  ///< key to JSON
    int restart_counter = 0;
    std::vector<std::string> problems;  ///< one sentence for each file that could not be used; they stop nothing else
};

/// One change of one file.
struct StoreChange {
    enum class Kind { put, remove, marker };
    Kind kind = Kind::put;
    TableId table;
    std::string key;   ///< put, remove
    std::string json;  ///< put
    int counter = 0;   ///< marker; 0 removes the file
};

/// Files of records. [lane] for persistent tables, [loop] for others: those live in memory (/run) and are not synced.
class RecordStore {
public:
    virtual ~RecordStore() = default;
    /// What an earlier life of the publisher left. Damaged files are recovered from their .bak or moved aside, and named in `problems`.
    virtual Result<StoredTable> load(const TableId& table) = 0;
    /// As load, for a subscriber: nothing is changed on disk.
    virtual Result<StoredTable> peek(const TableId& table) = 0;
    /// Every change is durable (of persistent tables) and in its file, or has its own error, in the order of `batch`; one group of syncs for all.
    virtual std::vector<Status> commit(const std::vector<StoreChange>& batch) = 0;
    /// As commit, but the files of persistent tables may follow later, by settle(). load() and peek() see the changes at once.
    virtual std::vector<Status> append(const std::vector<StoreChange>& batch) { return commit(batch); }
    /// At most `most` more of what was appended is in its file; whether some is left.
    virtual Result<bool> settle(std::size_t /*most*/) { return false; }
    /// Whether append() leaves anything to settle(). [any-thread]
    virtual bool settles() const { return false; }
    /// The record's file is out of the way of the next load, kept for a person to look at. What its .bak held takes its place and is returned.
    virtual Result<std::optional<std::string>> set_aside(const TableId& table, const std::string& key) = 0;
};

}  // namespace eve::bus
