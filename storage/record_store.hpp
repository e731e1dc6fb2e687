#pragma once
// The bus's records as EVE keeps them: one JSON file per key in ROOT/run/<agent>/[<scope>/]<topic> or ROOT/persist/status/<the same>, the
// restart marker in a file of its own, and for persistent tables the previous version beside each record.

#include <map>
#include <memory>
#include <mutex>

#include "core/bus/effects.hpp"
#include "core/loop/root.hpp"

namespace eve::storage {

class DurableDirectory;

class RecordStore final : public bus::RecordStore {
public:
    explicit RecordStore(Root root) : root_(std::move(root)) {}

    Result<bus::StoredTable> load(const bus::TableId& table) override;
    Result<bus::StoredTable> peek(const bus::TableId& table) override;
    std::vector<Status> commit(const std::vector<bus::StoreChange>& batch) override;
    Result<std::optional<std::string>> set_aside(const bus::TableId& table, const std::string& key) override;

private:
    // Both owners: the map of what is open, and the commit that writes into it.
    using Directory = std::shared_ptr<const DurableDirectory>;
    Result<Directory> directory(const bus::TableId& table);
    /// In the table's directory, which is made and opened again when somebody removed it.
    Status write(const bus::StoreChange& change, Result<Directory>& directory);

    Root root_;
    std::mutex mutex_;                            ///< commits come from the loop and from a lane
    std::map<bus::TableId, Directory> directories_;  ///< a node has some fifty tables and writes into them all the time
};

}  // namespace eve::storage
