#pragma once
// Typed publish/subscribe, the only way agents meet. A topic is a keyed table of records: retained, last value wins, a publish equal to the
// stored value is no event. A restart marker travels in order with the data. Subscribers in this process are served directly, others over
// EVE's sockets; both see the same: per subscriber the keys that changed, collapsed, one loop turn later, deletes first. See docs/bus.md.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "core/bus/record.hpp"
#include "core/loop/loop.hpp"
#include "core/log/log.hpp"
#include "eve/result.hpp"

namespace eve {

/// Whose table of which record type: the rest of the name is type_info<T>().name. Agent "" is EVE's global tables, files only.
struct TopicName {
    std::string agent;
    std::string scope;
    bool persistent = false;  ///< the records survive a reboot, in /persist/status
};

/// What a subscriber wants to hear. Each is called on the loop, never inside subscribe() or publish(). A handler may publish, subscribe, and
/// destroy any subscription or publication, also its own.
template <class T> struct Handlers {
    std::function<void(const std::string& key, const T& now)> created;
    std::function<void(const std::string& key, const T& now, const T& before)> modified;  ///< unset: `created` is called
    std::function<void(const std::string& key, const T& last)> deleted;
    std::function<void(int counter)> restarted;  ///< everything published before the marker has been delivered
    std::function<void()> synchronized;          ///< once: the publisher's whole table has been delivered
};

namespace bus {

class RecordStore;
class Transport;

/// The untyped side of a Publication.
class PublicationHandle {
public:
    virtual ~PublicationHandle() = default;
    virtual Status publish(const std::string& key, Value value) = 0;
    virtual Status unpublish(const std::string& key) = 0;
    virtual const Table& table() const = 0;
    virtual void set_restart_counter(int counter) = 0;
    virtual int restart_counter() const = 0;
    virtual void close() = 0;
};

/// The untyped side of a Subscription.
class SubscriptionHandle {
public:
    virtual ~SubscriptionHandle() = default;
    virtual const Table& table() const = 0;
    virtual bool synchronized() const = 0;
    virtual int restart_counter() const = 0;
};

/// Handlers<T> without T.
struct AnyHandlers {
    std::function<void(const std::string& key, const void* now)> created;
    std::function<void(const std::string& key, const void* now, const void* before)> modified;
    std::function<void(const std::string& key, const void* last)> deleted;
    std::function<void(int counter)> restarted;
    std::function<void()> synchronized;
};

class Engine;

}  // namespace bus

/// One table of which this agent is the owner. Destroying it is what a crash of the agent is: nothing is unpublished, subscribers keep what they
/// have, and the next publication of that name begins with the records of this one. [loop]
template <class T> class Publication {
public:
    Publication(std::unique_ptr<bus::PublicationHandle> handle, const bus::TypedTable<T>& table) : handle_(std::move(handle)), table_(table) {}

    /// The record is stored and its subscribers will hear of it. Equal to the stored one: nothing happens.
    /// Errors: invalid_argument - the key cannot be a file name; resource_exhausted - too large for a message, the old record stays.
    Status publish(const std::string& key, T value) { return handle_->publish(key, std::make_shared<const T>(std::move(value))); }
    /// The record is gone. Errors: not_found - it never was.
    Status unpublish(const std::string& key) { return handle_->unpublish(key); }
    /// The record under `key`, or null. Borrowed until the next call that changes the table.
    const T* get(const std::string& key) const {
        const auto found = table_.items().find(key);
        return found == table_.items().end() ? nullptr : found->second.get();
    }
    const std::map<std::string, std::shared_ptr<const T>>& items() const { return table_.items(); }
    /// Tells subscribers, after everything published so far, that this set is complete (once more).
    void signal_restarted() { handle_->set_restart_counter(handle_->restart_counter() + 1); }
    void clear_restarted() { handle_->set_restart_counter(0); }
    int restart_counter() const { return handle_->restart_counter(); }
    /// An orderly end: the records of a non-persistent table are unpublished, the marker is cleared. Nothing can be published after it.
    void close() { handle_->close(); }

private:
    std::unique_ptr<bus::PublicationHandle> handle_;
    const bus::TypedTable<T>& table_;
};

/// What this agent knows of another's table. Destroying it ends the deliveries; no handler runs after that. [loop]
template <class T> class Subscription {
public:
    Subscription(std::unique_ptr<bus::SubscriptionHandle> handle, const bus::TypedTable<T>& table) : handle_(std::move(handle)), table_(table) {}

    /// The last value delivered for `key`, or null. Borrowed until the loop's next turn.
    const T* get(const std::string& key) const {
        const auto found = table_.items().find(key);
        return found == table_.items().end() ? nullptr : found->second.get();
    }
    const std::map<std::string, std::shared_ptr<const T>>& items() const { return table_.items(); }
    /// Whether the publisher's whole table was delivered once.
    bool synchronized() const { return handle_->synchronized(); }
    int restart_counter() const { return handle_->restart_counter(); }

private:
    std::unique_ptr<bus::SubscriptionHandle> handle_;
    const bus::TypedTable<T>& table_;
};

/// The topics of one process. Outlives every publication and subscription made from it. [loop]
class Bus {
public:
    struct Deps {
        Loop& loop;
        Log& log;
        bus::RecordStore* store = nullptr;    ///< null: records live as long as their publication
        Lanes* lanes = nullptr;               ///< null: persistent records are written inside publish()
        bus::Transport* transport = nullptr;  ///< null: this process only
    };
    explicit Bus(Deps deps);
    ~Bus();
    Bus(const Bus&) = delete;
    Bus& operator=(const Bus&) = delete;

    /// Every record published so far is in its file, or its disk refused it. For the end of a process, when its lanes have ended.
    void flush();
    /// This agent is the owner of the table, which begins with what an earlier life left in files. A second publication of a living one's name
    /// is a defect of the caller.
    template <class T> std::unique_ptr<Publication<T>> publish(TopicName name) {
        auto table = std::make_unique<bus::TypedTable<T>>();
        const auto& items = *table;
        return std::make_unique<Publication<T>>(open(std::move(name), type_info<T>(), std::move(table)), items);
    }
    /// Hears of the table from now on, whether or not its publisher exists yet.
    template <class T> std::unique_ptr<Subscription<T>> subscribe(TopicName name, Handlers<T> handlers = {}) {
        auto table = std::make_unique<bus::TypedTable<T>>();
        const auto& items = *table;
        auto handle = listen(std::move(name), type_info<T>(), std::move(table), erase(std::move(handlers)));
        return std::make_unique<Subscription<T>>(std::move(handle), items);
    }

private:
    template <class T> static bus::AnyHandlers erase(Handlers<T> typed) {
        bus::AnyHandlers any;
        if (typed.created)
            any.created = [f = std::move(typed.created)](const std::string& key, const void* now) { f(key, *static_cast<const T*>(now)); };
        if (typed.modified)
            any.modified = [f = std::move(typed.modified)](const std::string& key, const void* now, const void* before) {
                f(key, *static_cast<const T*>(now), *static_cast<const T*>(before));
            };
        if (typed.deleted)
            any.deleted = [f = std::move(typed.deleted)](const std::string& key, const void* last) { f(key, *static_cast<const T*>(last)); };
        any.restarted = std::move(typed.restarted);
        any.synchronized = std::move(typed.synchronized);
        return any;
    }
    std::unique_ptr<bus::PublicationHandle> open(TopicName name, const TypeInfo& type, std::unique_ptr<bus::Table> table);
    std::unique_ptr<bus::SubscriptionHandle> listen(TopicName name, const TypeInfo& type, std::unique_ptr<bus::Table> table,
                                                    bus::AnyHandlers handlers);

    std::shared_ptr<bus::Engine> engine_;
};

}  // namespace eve
