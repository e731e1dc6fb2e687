#pragma once
// The bus's files in memory: they survive the crash of an agent or a process, /run does not survive a reboot. Faults are scripted.

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/bus/effects.hpp"

namespace eve {

class FakeRecordStore final : public bus::RecordStore {
public:
    Result<bus::StoredTable> load(const bus::TableId& table) override;
    Result<bus::StoredTable> peek(const bus::TableId& table) override { return load(table); }
    std::vector<Status> commit(const std::vector<bus::StoreChange>& batch) override;
    std::vector<Status> append(const std::vector<bus::StoreChange>& batch) override;
    Result<bool> settle(std::size_t most) override;
    bool settles() const override { return files_follow; }
    Result<std::optional<std::string>> set_aside(const bus::TableId& table, const std::string& key) override;

    /// The machine lost power and came back: /run is empty.
    void reboot();
    /// Asked before each change; an error leaves the old file.
    std::function<Status(const bus::StoreChange&)> fault;

    std::map<bus::TableId, bus::StoredTable> tables;
    std::set<std::pair<bus::TableId, std::string>> aside;
    std::size_t commits = 0;
    bool files_follow = false;  ///< as the real one: what is appended is in files only after settle()
    std::size_t unsettled = 0;  ///< records that wait for that
    std::size_t settle_calls = 0;
    std::function<Status()> settle_fault;
};

}  // namespace eve
