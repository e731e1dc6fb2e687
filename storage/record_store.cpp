#include "storage/record_store.hpp"

#include <map>
#include <set>

#include "core/bus/wire.hpp"
#include "storage/durable_file.hpp"

namespace eve::storage {

namespace {

constexpr std::string_view suffix = ".json";
constexpr std::string_view backup_suffix = ".json.bak";
constexpr std::string_view aside_suffix = ".damaged";
constexpr const char* marker = "restarted";
constexpr std::size_t marker_bytes_max = 32;
constexpr std::size_t record_bytes_max = json_bytes_max;
constexpr std::size_t name_max = 255;

std::string base_of(const Root& root, const bus::TableId& table) { return root.path(table.persistent ? "/persist/status" : "/run"); }

std::string file_of(const std::string& key) { return key + std::string(suffix); }
std::string backup_of(const std::string& key) { return key + std::string(backup_suffix); }
std::string aside_of(const std::string& key) { return file_of(key).substr(0, name_max - aside_suffix.size()) + std::string(aside_suffix); }

WriteOptions options_of(const bus::TableId& table) {
    if (!table.persistent) return {.reach = Reach::memory};
    return {.previous = Previous::keep, .sync_directory = false};
}

Status apply(const DurableDirectory& directory, const bus::StoreChange& change) {
    using Kind = bus::StoreChange::Kind;
    auto options = options_of(change.table);
    switch (change.kind) {
        case Kind::put: return directory.write(file_of(change.key), change.json, options);
        case Kind::remove: return directory.remove(file_of(change.key), options);
        case Kind::marker:
            options.previous = Previous::drop;
            if (change.counter == 0) return directory.remove(marker, options);
            return directory.write(marker, std::to_string(change.counter), options);
    }
    return {};
}

// Reads one table. With `repair` what is damaged is put right on disk, too.
class Reader {
public:
    Reader(const DurableDirectory& directory, bool persistent, bool repair) : directory_(directory), persistent_(persistent), repair_(repair) {}

    Result<bus::StoredTable> read() {
        if (repair_) directory_.remove_temporaries();
        auto names = directory_.list();
        if (!names) return std::move(names).error();
        std::set<std::string> keys;
        bool marked = false;
        for (const auto& name : *names) {
            if (name == marker) marked = true;
            if (name.ends_with(suffix) || (persistent_ && name.ends_with(backup_suffix))) keys.insert(name.substr(0, name.find(suffix)));
        }
        for (const auto& key : keys) read_record(key);
        if (marked) {
            const auto text = directory_.read(marker, marker_bytes_max);
            found_.restart_counter = text ? bus::wire::parse_counter(*text).value_or(1) : 1;
        }
        return std::move(found_);
    }

private:
    void read_record(const std::string& key) {
        auto content = directory_.read(file_of(key), record_bytes_max);
        if (content && !content->empty()) {
            found_.records.emplace(key, std::move(*content));
            return;
        }
        const bool absent = !content && content.error().code == Code::not_found;
        if (persistent_ && recover(key, absent ? "missing" : content ? "empty" : content.error().what)) return;
        if (absent) return;
        found_.problems.push_back(content ? directory_.path() + "/" + file_of(key) + " is empty" : content.error().what);
        if (repair_) static_cast<void>(directory_.rename(file_of(key), aside_of(key)));
    }

    bool recover(const std::string& key, const std::string& why) {
        auto previous = directory_.read(backup_of(key), record_bytes_max);
        if (!previous || previous->empty()) return false;
        found_.problems.push_back(directory_.path() + "/" + file_of(key) + " is " + why + "; its .bak was used");
        if (repair_)
            if (const auto written = directory_.write(file_of(key), *previous); !written) found_.problems.push_back(written.error().what);
        found_.records.emplace(key, std::move(*previous));
        return true;
    }

    const DurableDirectory& directory_;
    bool persistent_;
    bool repair_;
    bus::StoredTable found_;
};

Result<bus::StoredTable> read_table(const Root& root, const bus::TableId& table, bool repair) {
    const auto directory = DurableDirectory::open(base_of(root, table), table.name());
    if (!directory) {
        if (directory.error().code == Code::not_found) return bus::StoredTable{};
        return directory.error();
    }
    return Reader(*directory, table.persistent, repair).read();
}

}  // namespace

Result<bus::StoredTable> RecordStore::load(const bus::TableId& table) { return read_table(root_, table, true); }
Result<bus::StoredTable> RecordStore::peek(const bus::TableId& table) { return read_table(root_, table, false); }

std::vector<Status> RecordStore::commit(const std::vector<bus::StoreChange>& batch) {
    std::map<bus::TableId, Result<DurableDirectory>> directories;
    std::vector<Status> results;
    results.reserve(batch.size());
    for (const auto& change : batch) {
        auto found = directories.find(change.table);
        if (found == directories.end())
            found = directories.emplace(change.table, DurableDirectory::make(base_of(root_, change.table), change.table.name())).first;
        results.push_back(found->second ? apply(*found->second, change) : Status{found->second.error()});
    }
    for (const auto& [table, directory] : directories) {
        if (!table.persistent || !directory) continue;
        const auto synced = directory->sync();
        if (synced) continue;
        for (std::size_t i = 0; i < batch.size(); ++i)
            if (batch[i].table == table && results[i]) results[i] = synced;
    }
    return results;
}

Result<std::optional<std::string>> RecordStore::set_aside(const bus::TableId& table, const std::string& key) {
    const auto directory = DurableDirectory::open(base_of(root_, table), table.name());
    if (!directory) return directory.error();
    if (auto moved = directory->rename(file_of(key), aside_of(key)); !moved) return std::move(moved).error();
    if (!table.persistent) return std::optional<std::string>{};
    auto previous = directory->read(backup_of(key), record_bytes_max);
    if (!previous || previous->empty()) return std::optional<std::string>{};
    if (auto taken = directory->rename(backup_of(key), file_of(key)); !taken) return std::move(taken).error();
    return std::optional<std::string>{std::move(*previous)};
}

}  // namespace eve::storage
