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
constexpr std::size_t seal_bytes_max = 64;
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
        case Kind::put: return directory.write(file_of(change.key), change.table.persistent ? seal_json(change.json) : change.json, options);
        case Kind::remove: return directory.remove(file_of(change.key), options);
        case Kind::marker:
            options.previous = Previous::drop;
            if (change.counter == 0) return directory.remove(marker, options);
            return directory.write(marker, std::to_string(change.counter), options);
    }
    return {};
}

// What the file of a record holds. Errors: not_found; else a sentence on what makes it useless.
Result<std::string> read_record_file(const DurableDirectory& directory, const std::string& name) {
    auto content = directory.read(name, record_bytes_max + seal_bytes_max);
    if (!content) return content;
    if (content->empty()) return Error{.code = Code::failed_precondition, .what = directory.path() + "/" + name + " is empty"};
    auto record = unseal_json(std::move(*content));
    if (!record) return std::move(record).error().in(directory.path() + "/" + name);
    return record;
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
        auto record = read_record_file(directory_, file_of(key));
        if (record) {
            found_.records.emplace(key, std::move(*record));
            return;
        }
        const bool absent = record.error().code == Code::not_found;
        if (persistent_ && recover(key, record.error())) return;
        if (absent) return;
        found_.problems.push_back(record.error().what);
        if (repair_) static_cast<void>(directory_.rename(file_of(key), aside_of(key)));
    }

    bool recover(const std::string& key, const Error& why) {
        auto previous = read_record_file(directory_, backup_of(key));
        if (!previous) {
            if (previous.error().code == Code::not_found) return false;
            // Alone and of no use it would be tried, and named, at each start.
            found_.problems.push_back(previous.error().what);
            if (repair_) static_cast<void>(directory_.rename(backup_of(key), aside_of(key)));
            return false;
        }
        found_.problems.push_back((why.code == Code::not_found ? directory_.path() + "/" + file_of(key) + " is missing" : why.what) +
                                  "; its .bak was used");
        if (repair_) {
            if (why.code != Code::not_found) static_cast<void>(directory_.rename(file_of(key), aside_of(key)));
            if (const auto written = directory_.write(file_of(key), seal_json(*previous)); !written) found_.problems.push_back(written.error().what);
        }
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

Result<RecordStore::Directory> RecordStore::directory(const bus::TableId& table) {
    const std::lock_guard lock(mutex_);
    auto& known = directories_[table];
    if (!known) {
        auto made = DurableDirectory::make(base_of(root_, table), table.name());
        if (!made) return std::move(made).error();
        known = std::make_shared<const DurableDirectory>(std::move(*made));
    }
    return known;
}

Status RecordStore::write(const bus::StoreChange& change, Result<Directory>& directory) {
    if (!directory) return directory.error();
    auto written = apply(**directory, change);
    if (written || written.error().code != Code::not_found) return written;
    {
        const std::lock_guard lock(mutex_);
        directories_.erase(change.table);
    }
    directory = this->directory(change.table);
    if (!directory) return directory.error();
    return apply(**directory, change);
}

std::vector<Status> RecordStore::commit(const std::vector<bus::StoreChange>& batch) {
    std::map<bus::TableId, Result<Directory>> directories;
    std::vector<Status> results;
    results.reserve(batch.size());
    std::set<bus::TableId> dirty;
    for (const auto& change : batch) {
        auto found = directories.find(change.table);
        if (found == directories.end()) found = directories.emplace(change.table, directory(change.table)).first;
        // What a record was before goes first: one sync for all of them.
        if (!change.table.persistent || change.kind != bus::StoreChange::Kind::remove || !found->second) continue;
        if ((*found->second)->remove(backup_of(change.key), {.sync_directory = false})) dirty.insert(change.table);
    }
    for (const auto& table : dirty) static_cast<void>((*directories.at(table))->sync());  // one that fails is noticed below
    for (const auto& change : batch) results.push_back(write(change, directories.at(change.table)));
    for (const auto& [table, directory] : directories) {
        if (!table.persistent || !directory) continue;
        const auto synced = (*directory)->sync();
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
    auto previous = read_record_file(*directory, backup_of(key));
    if (!previous) return std::optional<std::string>{};
    if (auto taken = directory->rename(backup_of(key), file_of(key)); !taken) return std::move(taken).error();
    return std::optional<std::string>{std::move(*previous)};
}

}  // namespace eve::storage
