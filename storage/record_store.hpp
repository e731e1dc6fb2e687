#pragma once
// The bus's records as EVE keeps them: one JSON file per key in ROOT/run/<agent>/[<scope>/]<topic> or ROOT/persist/status/<the same>, the
// restart marker in a file of its own, and for persistent tables the previous version beside each record. A burst of changes of a persistent
// table is made durable in the table's log (table_log.hpp); the files follow.

#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "core/bus/effects.hpp"
#include "core/loop/root.hpp"

namespace eve::storage {

class DurableDirectory;

/// A log that grew this long is settled before more is appended; at four times of it, because the disk refuses the files, appends fail.
inline constexpr std::uint64_t table_log_bytes_max = std::uint64_t{4} << 20U;
/// What an earlier life left in a log is settled by load() if it is no more than this; else it is read from the log, and settle() does it: a slow
/// disk must not hold the loop.
inline constexpr std::size_t settled_by_load_max = 8;

class RecordStore final : public bus::RecordStore {
public:
    explicit RecordStore(Root root);
    ~RecordStore() override;

    /// A persistent table of which something stands in the way of everything else (no directory, no journal) is put aside under a name of its own.
    /// One that cannot be read is held: nothing is written to it until a load succeeds.
    Result<bus::StoredTable> load(const bus::TableId& table) override;
    Result<bus::StoredTable> peek(const bus::TableId& table) override;
    std::vector<Status> commit(const std::vector<bus::StoreChange>& batch) override;
    std::vector<Status> append(const std::vector<bus::StoreChange>& batch) override;
    Result<bool> settle(std::size_t most) override;
    bool settles() const override { return true; }
    Result<std::optional<std::string>> set_aside(const bus::TableId& table, const std::string& key) override;

private:
    // Both owners: the map of what is open, and the commit that writes into it.
    using Directory = std::shared_ptr<const DurableDirectory>;
    Result<Directory> directory(const bus::TableId& table);
    /// In the table's directory, which is made and opened again when somebody removed it.
    Status write(const bus::StoreChange& change, Result<Directory>& directory);

    Result<bus::StoredTable> load_files(const bus::TableId& table);
    /// What makes the table unreadable has another name: that.
    Result<std::string> put_aside(const bus::TableId& table);
    void hold(const bus::TableId& table, bool held);
    Status held(const bus::TableId& table);

    std::vector<Status> write_files(const std::vector<bus::StoreChange>& batch);
    /// The table's log and what of it is not in files yet; what an earlier life left in it is read. `make`: also if there is none.
    enum class Absent { is_null, is_made };
    struct Log;
    Result<Log*> log_of(const bus::TableId& table, Absent absent);
    Status append_to(const bus::TableId& table, const std::vector<const bus::StoreChange*>& changes);
    /// As settle, of one table.
    Result<bool> settle(Log& log, std::size_t most);

    Root root_;
    std::mutex mutex_;                               ///< commits come from the loop and from a lane
    std::map<bus::TableId, Directory> directories_;  ///< a node has some fifty tables and writes into them all the time
    std::set<bus::TableId> held_;                    ///< could not be read, and are not written over
    std::mutex logs_mutex_;                          ///< before mutex_; held while a log or the files that it is about are written
    std::map<bus::TableId, std::unique_ptr<Log>> logs_;
};

}  // namespace eve::storage
