#pragma once
// The bus's records as EVE keeps them: one JSON file per key in ROOT/run/<agent>/[<scope>/]<topic> or ROOT/persist/status/<the same>, the
// restart marker in a file of its own, and for persistent tables the previous version beside each record.

#include "core/bus/effects.hpp"
#include "core/loop/root.hpp"

namespace eve::storage {

class RecordStore final : public bus::RecordStore {
public:
    explicit RecordStore(Root root) : root_(std::move(root)) {}

    Result<bus::StoredTable> load(const bus::TableId& table) override;
    Result<bus::StoredTable> peek(const bus::TableId& table) override;
    std::vector<Status> commit(const std::vector<bus::StoreChange>& batch) override;
    Result<std::optional<std::string>> set_aside(const bus::TableId& table, const std::string& key) override;

private:
    Root root_;
};

}  // namespace eve::storage
