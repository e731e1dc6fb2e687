#pragma once
// A topic's records without their type, so that everything below the typed surface is compiled once: core/types' TypeInfo knows equality and
// JSON, a table here is read without casts by its owner and without types by the engine.

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/types/codec.hpp"

namespace eve::bus {

/// A record whose type only its TypeInfo knows. Immutable, so that publisher, subscribers and sockets share it.
using Value = std::shared_ptr<const void>;

/// The keyed records of one topic, behind which a std::map of the real type stands.
class Table {
public:
    virtual ~Table() = default;
    virtual Value find(const std::string& key) const = 0;  ///< null if unknown
    virtual void set(const std::string& key, Value value) = 0;
    virtual void erase(const std::string& key) = 0;
    virtual std::vector<std::string> keys() const = 0;  ///< sorted
    virtual std::size_t size() const = 0;
};

template <class T> class TypedTable final : public Table {
public:
    using Items = std::map<std::string, std::shared_ptr<const T>>;
    const Items& items() const { return items_; }

    Value find(const std::string& key) const override {
        const auto found = items_.find(key);
        return found == items_.end() ? nullptr : Value(found->second);
    }
    void set(const std::string& key, Value value) override { items_[key] = std::static_pointer_cast<const T>(std::move(value)); }
    void erase(const std::string& key) override { items_.erase(key); }
    std::vector<std::string> keys() const override {
        std::vector<std::string> all;
        all.reserve(items_.size());
        for (const auto& [key, value] : items_) all.push_back(key);
        return all;
    }
    std::size_t size() const override { return items_.size(); }

private:
    Items items_;
};

}  // namespace eve::bus
