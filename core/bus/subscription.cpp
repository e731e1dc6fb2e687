#include "core/bus/engine.hpp"

namespace eve::bus {

Subscription::Subscription(std::shared_ptr<Engine> engine, TableId id, const TypeInfo& type, std::unique_ptr<Table> table, AnyHandlers handlers)
    : engine_(std::move(engine)), id_(std::move(id)), type_(type), table_(std::move(table)), handlers_(std::move(handlers)) {}

// Called by posts: by now the publications that this turn of the loop made are known.
void Subscription::start() {
    if (stopped_ || publication_ != nullptr || feed_) return;
    if (id_.persistent && incarnation_.empty()) load_files();
    if (!stopped_ && engine_->deps.transport != nullptr) feed_ = engine_->deps.transport->feed(id_, type_, shared_from_this());
}

void Subscription::stop() {
    stopped_ = true;
    if (publication_ != nullptr) publication_->detach(*this);
    publication_ = nullptr;
    feed_.reset();
    engine_->forget(*this);
    engine_.reset();
}

void Subscription::load_files() {
    if (!engine_->journal) return;
    const auto stored = engine_->deps.store->peek(id_);
    if (!stored) return;  // no directory yet, or the publisher will say what is wrong with it
    for (const auto& [key, json] : stored->records) {
        update(key, json);
        if (stopped_) return;
    }
    restarted(stored->restart_counter);
}

void Subscription::attach(Publication& publication) {
    feed_.reset();
    publication_ = &publication;
    publication.attach(*this);
    if (id_.persistent != publication.id().persistent) engine_->deps.log.write(Level::error, "bus.persistence_differs", {{"topic", id_.name()}});
    dirty_.clear();
    initial_ = true;
    told_counter_ = 0;
    wake();
}

void Subscription::orphan() {
    if (initial_ || !dirty_.empty() || publication_->restart_counter() != told_counter_) rounds_.push_back(take());
    publication_ = nullptr;
    wake();
    engine_->deps.loop.post([self = shared_from_this()] { self->start(); });
}

void Subscription::dirty(const std::string& key) {
    dirty_.insert(key);
    wake();
}

void Subscription::wake() {
    if (awake_ || stopped_) return;
    awake_ = true;
    engine_->deps.loop.post([self = shared_from_this()] {
        self->awake_ = false;
        auto rounds = std::exchange(self->rounds_, {});
        if (self->publication_ != nullptr) rounds.push_back(self->take());
        for (const auto& round : rounds) self->deliver(round);
    });
}

Subscription::Round Subscription::take() {
    Round round;
    if (const auto counter = publication_->restart_counter(); counter != told_counter_) round.counter = told_counter_ = counter;
    if (initial_) {
        round.incarnation = publication_->incarnation();
        round.changed.assign(publication_->visible().begin(), publication_->visible().end());
    }
    for (const auto& key : dirty_) {
        auto value = publication_->find(key);
        if (!value) {
            round.deleted.push_back(key);
        } else if (!initial_) {
            round.changed.emplace_back(key, std::move(value));
        }
    }
    dirty_.clear();
    initial_ = false;
    return round;
}

// A handler may stop this subscription: every step looks.
void Subscription::deliver(const Round& round) {
    if (round.incarnation) begin(*round.incarnation);
    for (const auto& key : round.deleted) remove(key);
    for (const auto& [key, value] : round.changed) set(key, value);
    if (round.incarnation) complete();
    if (round.counter) restarted(*round.counter);
}

void Subscription::begin(const std::string& incarnation) {
    if (stopped_) return;
    dumping_ = incarnation;
    unnamed_.clear();
    for (auto& key : table_->keys()) unnamed_.insert(std::move(key));
}

void Subscription::update(const std::string& key, std::string_view json) {
    if (stopped_) return;
    std::shared_ptr<void> value = type_.make();
    if (const auto read = from_json(type_, json, value.get())) {
        set(key, value);
    } else {
        unnamed_.erase(key);  // it exists, whatever it is
        suspects_.erase(key);
        engine_->deps.log.write(Level::warn, "bus.record_refused", {{"topic", id_.name()}, {"key", key}, {"error", read.error().what}});
    }
}

void Subscription::set(const std::string& key, const Value& value) {
    if (stopped_) return;
    unnamed_.erase(key);
    suspects_.erase(key);
    const auto before = table_->find(key);
    if (before && type_.equal(before.get(), value.get())) return;
    table_->set(key, value);
    if (before && handlers_.modified) {
        handlers_.modified(key, value.get(), before.get());
    } else if (handlers_.created) {
        handlers_.created(key, value.get());
    }
}

void Subscription::remove(const std::string& key) {
    if (stopped_) return;
    unnamed_.erase(key);
    suspects_.erase(key);
    const auto last = table_->find(key);
    if (!last) return;
    table_->erase(key);
    if (handlers_.deleted) handlers_.deleted(key, last.get());
}

// The rule of docs/bus.md for records that a whole dump does not name. The same life of the publisher deleted them while we were not
// connected. A new life begins with the files of the last one, so it deleted them too, unless it lost files: its word is awaited.
void Subscription::complete() {
    if (stopped_) return;
    const auto missing = std::exchange(unnamed_, {});
    const bool same_life = dumping_ == incarnation_;
    incarnation_ = dumping_;
    for (const auto& key : missing) {
        if (same_life && !suspects_.contains(key)) {
            remove(key);
            if (stopped_) return;
        } else {
            suspects_.insert(key);
        }
    }
    if (!suspects_.empty() && !same_life) {
        engine_->deps.log.write(Level::info, "bus.records_unconfirmed", {{"topic", id_.name()}, {"count", suspects_.size()}});
        const auto suspicion = ++suspicion_;
        engine_->deps.loop.after(stale_grace, [weak = weak_from_this(), suspicion] {
            const auto self = weak.lock();
            if (self && !self->stopped_ && self->suspicion_ == suspicion) self->sweep();
        });
    }
    if (synchronized_) return;
    synchronized_ = true;
    if (handlers_.synchronized) handlers_.synchronized();
}

void Subscription::restarted(int counter) {
    if (stopped_ || counter == counter_) return;
    counter_ = counter;
    if (counter != 0) sweep();
    if (!stopped_ && handlers_.restarted) handlers_.restarted(counter);
}

std::optional<std::string> Subscription::last(const std::string& key) const {
    const auto value = table_->find(key);
    if (!value) return std::nullopt;
    return to_json(type_, value.get());
}

void Subscription::sweep() {
    ++suspicion_;
    for (const auto& key : std::exchange(suspects_, {})) remove(key);
}

}  // namespace eve::bus
