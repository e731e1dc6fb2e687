#include <algorithm>
#include <iterator>

#include "core/bus/engine.hpp"

namespace eve::bus {

namespace {
const std::string lane = "bus.journal";
}

void Journal::add(Entry entry) {
    wait(std::move(entry));
    schedule(std::chrono::nanoseconds{0});
}

void Journal::flush() {
    written_now_.clear();
    for (auto& entry : std::exchange(in_flight_, {})) waiting_.try_emplace(key_of(entry.change), std::move(entry));
    std::vector<StoreChange> batch;
    for (const auto& [key, entry] : waiting_)
        if (key.second) batch.push_back(entry.change);
    for (const auto& [key, entry] : waiting_)
        if (!key.second) batch.push_back(entry.change);
    waiting_.clear();
    const auto results = store_.commit(batch);
    for (std::size_t i = 0; i < batch.size() && i < results.size(); ++i) static_cast<void>(note(batch[i], results[i]));
    for (;;) {
        const auto left = store_.settle(settle_records);
        if (left && *left) continue;
        if (!left) log_.write(Level::warn, "bus.settle_failed", {{"error", left.error().what}, {"hint", left.error().hint}});
        return;
    }
}

void Journal::settle_after(std::chrono::nanoseconds delay) {
    if (settle_timer_ || settling_) return;
    settle_timer_ = loop_.after(delay, [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->settle();
    });
}

// A few files at a time: what is published meanwhile waits for these, not for all.
void Journal::settle() {
    settle_timer_.reset();
    if (posted_ || !in_flight_.empty()) return settle_after(settle_quiet);
    settling_ = true;
    lanes_->submit(
        lane, [&store = store_](const LaneContext&) { return store.settle(settle_records); },
        [weak = weak_from_this()](const Result<bool>& left) {
            const auto self = weak.lock();
            if (!self) return;
            self->settling_ = false;
            if (!left) {
                self->log_.write(Level::warn, "bus.settle_failed", {{"error", left.error().what}, {"hint", left.error().hint}});
                self->settle_after(store_retry);
            } else if (*left) {
                self->settle();
            }
        });
}

Journal::Key Journal::key_of(const StoreChange& change) {
    return {change.table, change.kind == StoreChange::Kind::marker ? std::nullopt : std::optional{change.key}};
}

void Journal::add_now(Entry entry) {
    const auto key = key_of(entry.change);
    if (written_now_.contains(key)) return add(std::move(entry));  // an older value is being written
    waiting_.erase(key);  // an older value that the disk refused
    const auto results = store_.commit({entry.change});
    if (!note(entry.change, results.empty() ? Status{} : results.front())) {
        wait(entry);
        schedule(store_retry);
    }
    tell(entry);
}

void Journal::wait(Entry entry) {
    auto key = key_of(entry.change);
    waiting_.insert_or_assign(std::move(key), std::move(entry));
}

void Journal::listen(const TableId& table, Stored stored) {
    if (stored) {
        listeners_[table] = std::move(stored);
    } else {
        listeners_.erase(table);
    }
}

void Journal::overlay(const TableId& table, StoredTable& records) const {
    const auto lay = [&](const Entry& entry) {
        const auto& change = entry.change;
        if (change.table != table) return;
        switch (change.kind) {
            case StoreChange::Kind::put: records.records[change.key] = change.json; break;
            case StoreChange::Kind::remove: records.records.erase(change.key); break;
            case StoreChange::Kind::marker: records.restart_counter = change.counter; break;
        }
    };
    for (const auto& entry : in_flight_) lay(entry);
    for (const auto& [key, entry] : waiting_) lay(entry);
}

void Journal::schedule(std::chrono::nanoseconds delay) {
    if (posted_ || !in_flight_.empty()) return;
    auto begin = [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->start();
    };
    if (delay.count() == 0) {
        posted_ = true;
        loop_.post(std::move(begin));
    } else if (!retry_) {
        retry_ = loop_.after(delay, std::move(begin));
    }
}

void Journal::start() {
    posted_ = false;
    if (retry_) loop_.cancel(*std::exchange(retry_, std::nullopt));
    if (waiting_.empty() || !in_flight_.empty()) return;
    std::vector<Entry> markers;  // never before the records that they come after
    for (auto& [key, entry] : waiting_) (key.second ? in_flight_ : markers).push_back(std::move(entry));
    waiting_.clear();
    std::move(markers.begin(), markers.end(), std::back_inserter(in_flight_));

    std::vector<StoreChange> batch;
    batch.reserve(in_flight_.size());
    for (const auto& entry : in_flight_) {
        batch.push_back(entry.change);
        written_now_.insert(key_of(entry.change));
    }
    if (lanes_ == nullptr) return finish(store_.commit(batch));
    lanes_->submit(
        lane, [&store = store_, batch = std::move(batch)](const LaneContext&) { return store.append(batch); },
        [weak = weak_from_this()](const std::vector<Status>& results) {
            if (const auto self = weak.lock()) self->finish(results);
        });
}

void Journal::finish(const std::vector<Status>& results) {
    const auto written = std::exchange(in_flight_, {});
    written_now_.clear();
    bool failed = false;
    for (std::size_t i = 0; i < written.size(); ++i) {
        if (note(written[i].change, i < results.size() ? results[i] : Status{})) continue;
        failed = true;
        waiting_.try_emplace(key_of(written[i].change), written[i]);  // unless a later change of it waits already
    }
    if (lanes_ != nullptr && store_.settles()) settle_after(settle_quiet);
    if (!waiting_.empty()) schedule(failed ? std::chrono::nanoseconds{store_retry} : std::chrono::nanoseconds{0});
    for (const auto& entry : written) tell(entry);
}

void Journal::tell(const Entry& entry) {
    const auto listener = listeners_.find(entry.change.table);
    if (listener != listeners_.end()) listener->second(entry);
}

// Whether it was stored; the first failure and the recovery are logged, not every try between them.
bool Journal::note(const StoreChange& change, const Status& result) {
    const auto& table = change.table;
    if (result) {
        if (failing_.erase(table) > 0) log_.write(Level::info, "bus.store_recovered", {{"topic", table.name()}});
        return true;
    }
    if (failing_.insert(table).second)
        log_.write(Level::error, "bus.store_failed",
                   {{"topic", table.name()}, {"key", change.key}, {"error", result.error().what}, {"hint", result.error().hint}});
    return false;
}

}  // namespace eve::bus
