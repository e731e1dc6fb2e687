#include "core/bus/bus.hpp"

#include <algorithm>
#include <cstdlib>

#include "core/bus/engine.hpp"

namespace eve {

namespace bus {

namespace {

class OwnedPublication final : public PublicationHandle {
public:
    OwnedPublication(std::shared_ptr<Engine> engine, std::unique_ptr<Publication> core) : engine_(std::move(engine)), core_(std::move(core)) {}
    Status publish(const std::string& key, Value value) override { return core_->publish(key, std::move(value)); }
    Status unpublish(const std::string& key) override { return core_->unpublish(key); }
    const Table& table() const override { return core_->table(); }
    void set_restart_counter(int counter) override { core_->set_restart_counter(counter); }
    int restart_counter() const override { return core_->own_restart_counter(); }
    void close() override { core_->close(); }

private:
    std::shared_ptr<Engine> engine_;  // shared with the Bus: destroyed after the publication that refers to it
    std::unique_ptr<Publication> core_;
};

class OwnedSubscription final : public SubscriptionHandle {
public:
    explicit OwnedSubscription(std::shared_ptr<Subscription> core) : core_(std::move(core)) {}
    ~OwnedSubscription() override { core_->stop(); }
    OwnedSubscription(const OwnedSubscription&) = delete;
    OwnedSubscription& operator=(const OwnedSubscription&) = delete;
    const Table& table() const override { return core_->table(); }
    bool synchronized() const override { return core_->synchronized(); }
    int restart_counter() const override { return core_->restart_counter(); }

private:
    std::shared_ptr<Subscription> core_;  // shared with the delivery that may be under way
};

}  // namespace

Engine::Engine(Bus::Deps dependencies) : deps(dependencies) {
    if (deps.store != nullptr) journal = std::make_shared<Journal>(deps.loop, deps.log, *deps.store, deps.lanes);
}

Publication* Engine::publication(const TableId& id) const {
    const auto found = publications_.find(id.name());
    return found == publications_.end() ? nullptr : found->second;
}

std::unique_ptr<PublicationHandle> Engine::open(TableId id, const TypeInfo& type, std::unique_ptr<Table> table) {
    if (publication(id) != nullptr) {  // two owners of one table in one program: nothing that follows could be right
        deps.log.write(Level::error, "bus.published_twice", {{"topic", id.name()}});
        std::abort();
    }
    auto core = std::make_unique<Publication>(*this, id, type, std::move(table));
    publications_.emplace(id.name(), core.get());
    for (auto* subscription : subscriptions_[id.name()]) subscription->attach(*core);
    return std::make_unique<OwnedPublication>(shared_from_this(), std::move(core));
}

std::unique_ptr<SubscriptionHandle> Engine::listen(TableId id, const TypeInfo& type, std::unique_ptr<Table> table, AnyHandlers handlers) {
    auto core = std::make_shared<Subscription>(shared_from_this(), id, type, std::move(table), std::move(handlers));
    subscriptions_[id.name()].push_back(core.get());
    if (auto* local = publication(id)) {
        core->attach(*local);
    } else {
        deps.loop.post([core] { core->start(); });
    }
    return std::make_unique<OwnedSubscription>(std::move(core));
}

void Engine::forget(Subscription& subscription) {
    const auto found = subscriptions_.find(subscription.id().name());
    std::erase(found->second, &subscription);
    if (found->second.empty()) subscriptions_.erase(found);
}

}  // namespace bus

Bus::Bus(Deps deps) : engine_(std::make_shared<bus::Engine>(deps)) {}
Bus::~Bus() = default;

void Bus::flush() {
    if (engine_->journal) engine_->journal->flush();
}

namespace {
bus::TableId table_id(TopicName name, const TypeInfo& type) {
    return {.agent = std::move(name.agent), .scope = std::move(name.scope), .topic = type.name, .persistent = name.persistent};
}
}  // namespace

std::unique_ptr<bus::PublicationHandle> Bus::open(TopicName name, const TypeInfo& type, std::unique_ptr<bus::Table> table) {
    return engine_->open(table_id(std::move(name), type), type, std::move(table));
}

std::unique_ptr<bus::SubscriptionHandle> Bus::listen(TopicName name, const TypeInfo& type, std::unique_ptr<bus::Table> table,
                                                     bus::AnyHandlers handlers) {
    return engine_->listen(table_id(std::move(name), type), type, std::move(table), std::move(handlers));
}

}  // namespace eve
