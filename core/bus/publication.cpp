#include <algorithm>

#include "core/bus/engine.hpp"
#include "core/bus/table_trouble.hpp"
#include "core/bus/wire.hpp"

namespace eve::bus {

Publication::Publication(Engine& engine, TableId id, const TypeInfo& type, std::unique_ptr<Table> table)
    : engine_(engine), id_(std::move(id)), type_(type), incarnation_("local:" + std::to_string(++engine.incarnations)), table_(std::move(table)) {
    load();
    if (engine_.journal) engine_.journal->listen(id_, [this](const Journal::Entry& entry) { show(entry); });
    serve();
}

Publication::~Publication() { leave(); }

void Publication::leave() {
    if (closed_) return;
    closed_ = true;
    service_.reset();
    if (engine_.journal) engine_.journal->listen(id_, nullptr);
    engine_.forget(id_);
    for (auto* subscription : std::exchange(subscribers_, {})) subscription->orphan();
}

void Publication::load() {
    if (!engine_.journal) return;
    auto stored = engine_.deps.store->load(id_);
    auto& log = engine_.deps.log;
    if (!stored) {
        log.write(Level::error, "bus.load_failed", {{"topic", id_.name()}, {"error", stored.error().what}, {"hint", stored.error().hint}});
        report_trouble(&stored.error());
        stored = StoredTable{};
    } else {
        report_trouble(nullptr);
    }
    for (const auto& problem : stored->problems) log.write(Level::warn, "bus.file_damaged", {{"topic", id_.name()}, {"problem", problem}});
    if (id_.persistent) engine_.journal->loaded();
    engine_.journal->overlay(id_, *stored);
    for (auto& [key, json] : stored->records) {
        auto value = read(key, json);
        if (!value) continue;
        table_->set(key, value);
        visible_[key] = std::move(value);
    }
    counter_ = visible_counter_ = stored->restart_counter;
}

// Where evectl finds it. Only of persistent tables: others are made anew with each life of the machine.
void Publication::report_trouble(const Error* error) {
    if (!id_.persistent) return;
    StoreChange change{.kind = StoreChange::Kind::remove, .table = {.agent = table_trouble_agent, .topic = type_info<TableTrouble>().name}};
    change.key = id_.name();
    std::replace(change.key.begin(), change.key.end(), '/', '.');
    if (error != nullptr) {
        change.kind = StoreChange::Kind::put;
        change.json = to_json(TableTrouble{.Table = id_.name(), .Problem = error->what, .Remedy = error->hint});
    } else if (const auto before = engine_.deps.store->peek(change.table); !before || !before->records.contains(change.key)) {
        return;
    }
    engine_.journal->add_now({.change = std::move(change), .value = nullptr});
}

// A damaged record gives way to its previous version, if there is one that can be read, and stops nothing else.
Value Publication::read(const std::string& key, std::string json) {
    auto& log = engine_.deps.log;
    for (;;) {
        std::shared_ptr<void> value = type_.make();
        const auto parsed = from_json(type_, json, value.get());
        if (parsed) return value;
        log.write(Level::warn, "bus.file_damaged", {{"topic", id_.name()}, {"key", key}, {"problem", parsed.error().what}});
        auto previous = engine_.deps.store->set_aside(id_, key);
        if (!previous) log.write(Level::warn, "bus.set_aside_failed", {{"topic", id_.name()}, {"key", key}, {"error", previous.error().what}});
        if (!previous || !*previous) return nullptr;
        json = std::move(**previous);
    }
}

void Publication::serve() {
    if (engine_.deps.transport == nullptr) return;
    auto service = engine_.deps.transport->serve(*this);
    if (service) {
        service_ = std::move(*service);
    } else {
        engine_.deps.log.write(Level::error, "bus.serve_failed",
                               {{"topic", id_.name()}, {"error", service.error().what}, {"hint", service.error().hint}});
    }
}

Status Publication::publish(const std::string& key, Value value) {
    if (closed_) return Error{.code = Code::failed_precondition, .what = "publish " + id_.name() + ": closed"};
    const auto before = table_->find(key);
    if (before && type_.equal(before.get(), value.get())) return {};
    if (auto valid = wire::check_key(key); !valid) return std::move(valid).error().in("publish " + id_.name());
    auto json = to_json(type_, value.get());
    if (auto fits = wire::check_size(type_, key, json); !fits) return std::move(fits).error().in("publish " + id_.name() + " " + key);
    table_->set(key, value);
    store({.change = {.kind = StoreChange::Kind::put, .table = id_, .key = key, .json = std::move(json)}, .value = std::move(value)});
    return {};
}

Status Publication::unpublish(const std::string& key) {
    if (closed_) return Error{.code = Code::failed_precondition, .what = "unpublish " + id_.name() + ": closed"};
    if (!table_->find(key)) return Error{.code = Code::not_found, .what = "unpublish " + id_.name() + ": no record " + key};
    const auto own = key;  // the caller's may be the table's
    table_->erase(own);
    store({.change = {.kind = StoreChange::Kind::remove, .table = id_, .key = own}, .value = nullptr});
    return {};
}

void Publication::set_restart_counter(int counter) {
    if (closed_ || counter == counter_) return;
    counter_ = counter;
    store({.change = {.kind = StoreChange::Kind::marker, .table = id_, .counter = counter}, .value = nullptr});
}

void Publication::close() {
    if (closed_) return;
    if (!id_.persistent)
        for (const auto& key : table_->keys()) static_cast<void>(unpublish(key));
    set_restart_counter(0);
    leave();
}

void Publication::store(Journal::Entry entry) {
    if (!engine_.journal) return show(entry);
    if (id_.persistent) {
        engine_.journal->add(std::move(entry));
    } else {
        engine_.journal->add_now(std::move(entry));
    }
}

void Publication::show(const Journal::Entry& entry) {
    const auto& change = entry.change;
    if (change.kind == StoreChange::Kind::marker) {
        visible_counter_ = change.counter;
        for (auto* subscription : subscribers_) subscription->marked();
        if (service_) service_->marked();
        return;
    }
    if (change.kind == StoreChange::Kind::put) {
        visible_[change.key] = entry.value;
    } else {
        visible_.erase(change.key);
    }
    for (auto* subscription : subscribers_) subscription->dirty(change.key);
    if (service_) service_->changed(change.key);
}

std::vector<std::string> Publication::keys() const {
    std::vector<std::string> all;
    all.reserve(visible_.size());
    for (const auto& [key, value] : visible_) all.push_back(key);
    return all;
}

Value Publication::find(const std::string& key) const {
    const auto found = visible_.find(key);
    return found == visible_.end() ? nullptr : found->second;
}

std::optional<std::string> Publication::json(const std::string& key) const {
    const auto value = find(key);
    if (!value) return std::nullopt;
    return to_json(type_, value.get(), KeyOrder::sorted);
}

}  // namespace eve::bus
