#include "storage/record_store.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "core/bus/wire.hpp"
#include "storage/durable_file.hpp"
#include "storage/table_log.hpp"

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
constexpr int read_retries = 2;
constexpr int asides_max = 9;

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

/// The disk, or a system short of something, refused to read: that says nothing about the file, which is left as it is.
bool may_pass(const Error& error) { return error.code == Code::unavailable || error.code == Code::resource_exhausted; }

// What the file of a record holds. Errors: not_found; else a sentence on what makes it useless.
Result<std::string> read_record_file(const DurableDirectory& directory, const std::string& name) {
    auto content = directory.read(name, record_bytes_max + seal_bytes_max);
    for (int again = 0; !content && may_pass(content.error()) && again < read_retries; ++again)
        content = directory.read(name, record_bytes_max + seal_bytes_max);
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
        if (repair_ && !may_pass(record.error())) static_cast<void>(directory_.rename(file_of(key), aside_of(key)));
    }

    bool recover(const std::string& key, const Error& why) {
        auto previous = read_record_file(directory_, backup_of(key));
        if (!previous) {
            if (previous.error().code == Code::not_found) return false;
            // Alone and of no use it would be tried, and named, at each start.
            found_.problems.push_back(previous.error().what);
            if (repair_ && !may_pass(previous.error())) static_cast<void>(directory_.rename(backup_of(key), aside_of(key)));
            return false;
        }
        found_.problems.push_back((why.code == Code::not_found ? directory_.path() + "/" + file_of(key) + " is missing" : why.what) +
                                  "; its .bak was used");
        if (repair_ && !may_pass(why)) {
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

void lay(bus::StoredTable& over, const bus::StoreChange& change) {
    using Kind = bus::StoreChange::Kind;
    switch (change.kind) {
        case Kind::put: over.records[change.key] = change.json; break;
        case Kind::remove: over.records.erase(change.key); break;
        case Kind::marker: over.restart_counter = change.counter; break;
    }
}

// What the log says besides the files: all of it when nobody may change anything, else what the disk did not let into them.
Result<bus::StoredTable> read_table(const Root& root, const bus::TableId& table, bool repair) {
    const auto directory = DurableDirectory::open(base_of(root, table), table.name());
    if (!directory) {
        if (directory.error().code == Code::not_found) return bus::StoredTable{};
        return directory.error();
    }
    auto found = Reader(*directory, table.persistent, repair).read();
    if (!found || !table.persistent) return found;
    const auto log = TableLog::read(*directory, table);
    if (!log) return log.error();
    for (const auto& change : log->changes) lay(*found, change);
    return found;
}

}  // namespace

struct RecordStore::Log {
    bus::TableId table;
    TableLog file;
    std::map<std::optional<std::string>, bus::StoreChange> pending;  ///< the last change of each key, or of the marker

    void add(const bus::StoreChange& change) {
        pending.insert_or_assign(change.kind == bus::StoreChange::Kind::marker ? std::nullopt : std::optional{change.key}, change);
    }
};

RecordStore::RecordStore(Root root) : root_(std::move(root)) {}
RecordStore::~RecordStore() = default;

Result<bus::StoredTable> RecordStore::load(const bus::TableId& table) {
    auto found = load_files(table);
    if (!table.persistent) return found;
    if (!found && found.error().code == Code::failed_precondition) {
        if (const auto kept = put_aside(table)) {
            const auto why = found.error().what;
            found = load_files(table);
            if (found) found->problems.push_back(why + "; it is kept as " + *kept + ", and what it held is not known to the node");
        }
    }
    hold(table, !found);
    return found;
}

Result<bus::StoredTable> RecordStore::load_files(const bus::TableId& table) {
    std::string problem;
    if (table.persistent) {
        const std::lock_guard lock(logs_mutex_);
        if (const auto directory = DurableDirectory::open(base_of(root_, table), table.name()))
            if (const auto left = TableLog::read(*directory, table)) problem = left->problem;
        if (const auto log = log_of(table, Absent::is_null); log && *log != nullptr && (*log)->pending.size() <= settled_by_load_max)
            static_cast<void>(settle(**log, settled_by_load_max));  // what fails stays in the log, and is read from there
    }
    auto found = read_table(root_, table, true);
    for (int again = 0; !found && may_pass(found.error()) && again < read_retries; ++again) found = read_table(root_, table, true);
    if (found && !problem.empty()) found->problems.push_back(problem);
    return found;
}

Result<std::string> RecordStore::put_aside(const bus::TableId& table) {
    {
        const std::lock_guard lock(logs_mutex_);
        logs_.erase(table);
    }
    {
        const std::lock_guard lock(mutex_);
        directories_.erase(table);
    }
    const auto base = base_of(root_, table);
    const auto own = DurableDirectory::open(base, table.name());
    const auto whole = table.name();
    const auto above = own ? Result<DurableDirectory>(Error{}) : DurableDirectory::open(base, whole.substr(0, whole.rfind('/')));
    if (!own && !above) return above.error();
    const auto& in = own ? *own : *above;
    const std::string name = own ? TableLog::name : table.topic;
    const auto taken = in.list();
    if (!taken) return taken.error();
    for (int number = 1; number <= asides_max; ++number) {
        const auto aside = name + std::string(aside_suffix) + (number == 1 ? "" : "." + std::to_string(number));
        if (std::binary_search(taken->begin(), taken->end(), aside)) continue;
        if (auto moved = in.rename(name, aside); !moved) return std::move(moved).error();
        if (auto synced = in.sync(); !synced) return std::move(synced).error();
        return in.path() + "/" + aside;
    }
    return Error{.code = Code::resource_exhausted, .what = in.path() + "/" + name + " was put aside too often", .hint = "remove those that nobody needs"};
}

void RecordStore::hold(const bus::TableId& table, bool held) {
    const std::lock_guard lock(mutex_);
    if (held) held_.insert(table);
    else held_.erase(table);
}

Status RecordStore::held(const bus::TableId& table) {
    const std::lock_guard lock(mutex_);
    if (!held_.contains(table)) return {};
    return Error{.code = Code::failed_precondition,
                 .what = "table " + table.name() + " could not be read at the start, and is not written over",
                 .hint = "see evectl status; start the node again when the table can be read"};
}

Result<bus::StoredTable> RecordStore::peek(const bus::TableId& table) { return read_table(root_, table, false); }

Result<RecordStore::Log*> RecordStore::log_of(const bus::TableId& table, Absent absent) {
    if (const auto known = logs_.find(table); known != logs_.end()) return known->second.get();
    auto in = absent == Absent::is_made ? directory(table) : Result<Directory>(Directory());
    if (absent == Absent::is_null) {
        auto opened = DurableDirectory::open(base_of(root_, table), table.name());
        if (!opened) return nullptr;
        in = std::make_shared<const DurableDirectory>(std::move(*opened));
    }
    if (!in) return in.error();
    auto content = TableLog::read(**in, table);
    if (!content) return std::move(content).error();
    if (absent == Absent::is_null && content->changes.empty() && content->problem.empty()) return nullptr;
    auto file = TableLog::open(**in);
    if (!file) return std::move(file).error();
    auto log = std::make_unique<Log>(Log{.table = table, .file = std::move(*file), .pending = {}});
    for (const auto& change : content->changes) log->add(change);
    return logs_.emplace(table, std::move(log)).first->second.get();
}

std::vector<Status> RecordStore::append(const std::vector<bus::StoreChange>& batch) {
    std::vector<Status> results(batch.size());
    std::map<bus::TableId, std::vector<std::size_t>> of_table;
    std::vector<bus::StoreChange> in_memory;
    std::vector<std::size_t> places;
    for (std::size_t n = 0; n < batch.size(); ++n) {
        if (batch[n].table.persistent) {
            of_table[batch[n].table].push_back(n);
        } else {
            in_memory.push_back(batch[n]);
            places.push_back(n);
        }
    }
    {
        const std::lock_guard lock(logs_mutex_);
        for (const auto& [table, numbers] : of_table) {
            std::vector<const bus::StoreChange*> changes;
            changes.reserve(numbers.size());
            for (const auto n : numbers) changes.push_back(&batch[n]);
            const auto appended = append_to(table, changes);
            for (const auto n : numbers) results[n] = appended;
        }
    }
    const auto written = write_files(in_memory);
    for (std::size_t n = 0; n < written.size(); ++n) results[places[n]] = written[n];
    return results;
}

Status RecordStore::append_to(const bus::TableId& table, const std::vector<const bus::StoreChange*>& changes) {
    if (auto refused = held(table); !refused) return refused;
    auto log = log_of(table, Absent::is_made);
    if (!log) return std::move(log).error();
    auto& file = (*log)->file;
    if (file.size() >= table_log_bytes_max) {
        const auto settled = settle(**log, std::numeric_limits<std::size_t>::max());
        if (!settled && file.size() >= 4 * table_log_bytes_max) return settled.error();
    }
    if (auto appended = file.append(changes); !appended) return appended;
    for (const auto* change : changes) (*log)->add(*change);
    return {};
}

Result<bool> RecordStore::settle(std::size_t most) {
    const std::lock_guard lock(logs_mutex_);
    Status failed;
    for (auto& [table, log] : logs_) {
        const auto before = log->pending.size();
        const auto left = settle(*log, most);
        if (!left) failed = left.error();
        else if (*left) return true;
        most -= std::min(most, before);
        if (most == 0) break;
    }
    if (!failed) return std::move(failed).error();
    return std::any_of(logs_.begin(), logs_.end(), [](const auto& item) { return !item.second->pending.empty(); });
}

Result<bool> RecordStore::settle(Log& log, std::size_t most) {
    std::vector<bus::StoreChange> batch;
    for (const auto& [key, change] : log.pending) {
        if (batch.size() == most) break;
        batch.push_back(change);
    }
    const auto results = write_files(batch);
    Status failed;
    for (std::size_t n = 0; n < batch.size(); ++n) {
        if (results[n]) log.pending.erase(batch[n].kind == bus::StoreChange::Kind::marker ? std::nullopt : std::optional{batch[n].key});
        else failed = results[n];
    }
    if (!failed) return std::move(failed).error();
    if (!log.pending.empty()) return true;
    if (auto cleared = log.file.clear(); !cleared) return std::move(cleared).error();
    return false;
}

// A table whose log is not empty goes through it: files that are newer than what it says would be put back by the next reader.
std::vector<Status> RecordStore::commit(const std::vector<bus::StoreChange>& batch) {
    const bool persistent = std::any_of(batch.begin(), batch.end(), [](const auto& change) { return change.table.persistent; });
    if (!persistent) return write_files(batch);
    std::set<bus::TableId> logged;
    {
        const std::lock_guard lock(logs_mutex_);
        for (const auto& change : batch)
            if (change.table.persistent)
                if (const auto log = log_of(change.table, Absent::is_null); !log || (*log != nullptr && (*log)->file.size() > 0)) logged.insert(change.table);
        if (logged.empty()) return write_files(batch);
    }
    auto results = append(batch);
    const std::lock_guard lock(logs_mutex_);
    for (const auto& table : logged) {
        const auto log = log_of(table, Absent::is_null);
        if (log && *log != nullptr) static_cast<void>(settle(**log, std::numeric_limits<std::size_t>::max()));  // durable all the same
    }
    return results;
}

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
    if (change.table.persistent)
        if (auto refused = held(change.table); !refused) return refused;
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

std::vector<Status> RecordStore::write_files(const std::vector<bus::StoreChange>& batch) {
    std::map<bus::TableId, Result<Directory>> directories;
    std::vector<Status> results;
    results.reserve(batch.size());
    std::set<bus::TableId> dirty;
    for (const auto& change : batch) {
        auto found = directories.find(change.table);
        if (found == directories.end()) found = directories.emplace(change.table, directory(change.table)).first;
        // What a record was before goes first: one sync for all of them.
        if (!change.table.persistent || change.kind != bus::StoreChange::Kind::remove || !found->second || !held(change.table)) continue;
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
    if (table.persistent) {
        const std::lock_guard lock(logs_mutex_);
        if (const auto log = log_of(table, Absent::is_null); log && *log != nullptr)
            if (auto settled = settle(**log, std::numeric_limits<std::size_t>::max()); !settled) return std::move(settled).error();
    }
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
