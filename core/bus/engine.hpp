#pragma once
// The bus without types: who publishes what in this process, who listens, and the journal between a publish and its subscribers. Internal to
// core/bus.

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/bus/bus.hpp"
#include "core/bus/effects.hpp"
#include "core/bus/transport.hpp"

namespace eve::bus {

/// How long a record that a new life of its publisher does not name is kept when that publisher does not say that its set is complete.
inline constexpr std::chrono::minutes stale_grace{2};
/// Between two attempts to write what the disk refused.
inline constexpr std::chrono::seconds store_retry{10};
/// After a burst of persistent records until their files follow the log, and how many files are written before others get their turn.
inline constexpr std::chrono::milliseconds settle_quiet{100};
inline constexpr std::size_t settle_records = 32;

class Publication;
class Subscription;

/// Records written off the loop: one batch in flight, later changes of a key replace earlier ones that wait. Subscribers hear of a change when
/// its batch is durable; its file may follow.
class Journal : public std::enable_shared_from_this<Journal> {
public:
    Journal(Loop& loop, Log& log, RecordStore& store, Lanes* lanes) : loop_(loop), log_(log), store_(store), lanes_(lanes) {}

    /// What a change is, and the value that subscribers see once it is stored (null: deleted).
    struct Entry {
        StoreChange change;
        Value value;
    };
    /// Told when an entry has been stored, or could not be for now: the node goes on, the write is tried again.
    using Stored = std::function<void(const Entry&)>;

    /// Writes it with the next batch.
    void add(Entry entry);
    /// Writes it before returning.
    void add_now(Entry entry);
    /// Writes everything that waits or is being written, before returning; whatever the lane did of it already is written again.
    void flush();
    /// Who hears of a table's entries; null ends it. What is queued is written all the same.
    void listen(const TableId& table, Stored stored);
    /// A table was loaded: what an earlier life left for settle() is done soon.
    void loaded() {
        if (lanes_ != nullptr && store_.settles()) settle_after(settle_quiet);
    }
    /// Lays what is not written yet over what was read.
    void overlay(const TableId& table, StoredTable& records) const;

private:
    using Key = std::pair<TableId, std::optional<std::string>>;  // no key: the marker
    static Key key_of(const StoreChange& change);
    void wait(Entry entry);
    void schedule(std::chrono::nanoseconds delay);
    void start();
    void finish(const std::vector<Status>& results);
    void tell(const Entry& entry);
    bool note(const StoreChange& change, const Status& result);
    void settle_after(std::chrono::nanoseconds delay);
    void settle();

    Loop& loop_;
    Log& log_;
    RecordStore& store_;
    Lanes* lanes_;
    std::map<Key, Entry> waiting_;
    std::vector<Entry> in_flight_;
    std::set<Key> written_now_;  // the keys of in_flight_
    bool posted_ = false;
    std::optional<TimerId> retry_;
    std::optional<TimerId> settle_timer_;
    bool settling_ = false;
    std::set<TableId> failing_;
    std::map<TableId, Stored> listeners_;
};

/// One process's tables. Shared by the Bus, its handles and the tasks they posted.
class Engine : public std::enable_shared_from_this<Engine> {
public:
    explicit Engine(Bus::Deps deps);

    std::unique_ptr<PublicationHandle> open(TableId id, const TypeInfo& type, std::unique_ptr<Table> table);
    std::unique_ptr<SubscriptionHandle> listen(TableId id, const TypeInfo& type, std::unique_ptr<Table> table, AnyHandlers handlers);

    Publication* publication(const TableId& id) const;
    void forget(const TableId& id) { publications_.erase(id.name()); }
    void forget(Subscription& subscription);

    Bus::Deps deps;
    std::shared_ptr<Journal> journal;  // shared with the tasks it posted; null without a store
    std::uint64_t incarnations = 0;

private:
    // By name: on the wire, too, persistence is not part of it.
    std::map<std::string, Publication*> publications_;
    std::map<std::string, std::vector<Subscription*>> subscriptions_;
};

/// A table and what its subscribers may know of it.
class Publication final : public Published {
public:
    Publication(Engine& engine, TableId id, const TypeInfo& type, std::unique_ptr<Table> table);
    ~Publication() override;
    Publication(const Publication&) = delete;
    Publication& operator=(const Publication&) = delete;

    Status publish(const std::string& key, Value value);
    Status unpublish(const std::string& key);
    void set_restart_counter(int counter);
    void close();
    const Table& table() const { return *table_; }
    int own_restart_counter() const { return counter_; }

    // What subscribers may know.
    const TableId& id() const override { return id_; }
    const TypeInfo& type() const override { return type_; }
    std::vector<std::string> keys() const override;
    bool contains(const std::string& key) const override { return visible_.contains(key); }
    std::optional<std::string> json(const std::string& key) const override;
    int restart_counter() const override { return visible_counter_; }
    Value find(const std::string& key) const;
    const std::map<std::string, Value>& visible() const { return visible_; }
    const std::string& incarnation() const { return incarnation_; }

    void attach(Subscription& subscription) { subscribers_.push_back(&subscription); }
    void detach(Subscription& subscription) { std::erase(subscribers_, &subscription); }

private:
    void load();
    void report_trouble(const Error* error);
    Value read(const std::string& key, std::string json);
    void serve();
    void leave();
    void store(Journal::Entry entry);
    void show(const Journal::Entry& entry);

    Engine& engine_;
    TableId id_;
    const TypeInfo& type_;
    std::string incarnation_;
    std::unique_ptr<Table> table_;  // the owner's view
    int counter_ = 0;
    std::map<std::string, Value> visible_;
    int visible_counter_ = 0;
    std::vector<Subscription*> subscribers_;  // in the order in which they came
    std::unique_ptr<Service> service_;
    bool closed_ = false;
};

/// What one agent knows of a table, and the difference that it has not been told yet.
class Subscription final : public Sink, public std::enable_shared_from_this<Subscription> {
public:
    Subscription(std::shared_ptr<Engine> engine, TableId id, const TypeInfo& type, std::unique_ptr<Table> table, AnyHandlers handlers);

    void start();
    /// No handler runs any more.
    void stop();

    /// A publication of this process feeds it from now on.
    void attach(Publication& publication);
    /// It is gone, without having unpublished; what it had told is still delivered.
    void orphan();
    void dirty(const std::string& key);
    void marked() { wake(); }

    void begin(const std::string& incarnation) override;
    void update(const std::string& key, std::string_view json) override;
    void remove(const std::string& key) override;
    void complete() override;
    void restarted(int counter) override;
    std::optional<std::string> last(const std::string& key) const override;

    const TableId& id() const { return id_; }
    const Table& table() const { return *table_; }
    bool synchronized() const { return synchronized_; }
    int restart_counter() const { return counter_; }

private:
    // A difference taken at one moment: what is delivered is what was true then.
    struct Round {
        std::vector<std::string> deleted;
        std::vector<std::pair<std::string, Value>> changed;
        std::optional<std::string> incarnation;  // of an initial dump
        std::optional<int> counter;              // read before the records; unset: not changed
    };
    void wake();
    Round take();
    void deliver(const Round& round);
    void set(const std::string& key, const Value& value);
    void sweep();
    void load_files();

    std::shared_ptr<Engine> engine_;  // until stop()
    TableId id_;
    const TypeInfo& type_;
    std::unique_ptr<Table> table_;
    AnyHandlers handlers_;
    bool stopped_ = false;

    Publication* publication_ = nullptr;
    std::unique_ptr<Feed> feed_;
    std::set<std::string> dirty_;
    std::vector<Round> rounds_;  // last words of publications that are gone
    bool initial_ = false;       // the next round is a dump
    int told_counter_ = 0;       // by the publication that feeds it now
    bool awake_ = false;

    bool synchronized_ = false;
    int counter_ = 0;
    std::string incarnation_;         // of the publisher whose last whole dump came in
    std::string dumping_;             // of the publisher whose dump is coming in
    std::set<std::string> unnamed_;   // known, and not named by that dump so far
    std::set<std::string> suspects_;  // not named by the whole dump of a new incarnation
    std::uint64_t suspicion_ = 0;     // which set of suspects a grace timer is for
};

}  // namespace eve::bus
