#include "tests/doubles/fake_record_store.hpp"

#include <algorithm>

namespace eve {

Result<bus::StoredTable> FakeRecordStore::load(const bus::TableId& table) {
    const auto found = tables.find(table);
    return found == tables.end() ? bus::StoredTable{} : found->second;
}

std::vector<Status> FakeRecordStore::append(const std::vector<bus::StoreChange>& batch) {
    if (files_follow) unsettled += batch.size();
    return commit(batch);
}

Result<bool> FakeRecordStore::settle(std::size_t most) {
    ++settle_calls;
    if (settle_fault)
        if (auto allowed = settle_fault(); !allowed) return std::move(allowed).error();
    unsettled -= std::min(unsettled, most);
    return unsettled > 0;
}

std::vector<Status> FakeRecordStore::commit(const std::vector<bus::StoreChange>& batch) {
    ++commits;
    std::vector<Status> results;
    for (const auto& change : batch) {
        results.push_back(fault ? fault(change) : Status{});
        if (!results.back()) continue;
        auto& table = tables[change.table];
        using Kind = bus::StoreChange::Kind;
        switch (change.kind) {
            case Kind::put: table.records[change.key] = change.json; break;
            case Kind::remove: table.records.erase(change.key); break;
            case Kind::marker: table.restart_counter = change.counter; break;
        }
    }
    return results;
}

Result<std::optional<std::string>> FakeRecordStore::set_aside(const bus::TableId& table, const std::string& key) {
    tables[table].records.erase(key);
    aside.insert({table, key});
    return std::optional<std::string>{};
}

void FakeRecordStore::reboot() {
    std::erase_if(tables, [](const auto& entry) { return !entry.first.persistent; });
}

}  // namespace eve
