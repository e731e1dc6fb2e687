#pragma once
// What the bus knows about a record's type at run time, so that everything below the typed surface is compiled once: equality, JSON both
// ways, and a typed table that is read without casts by its owner and without types by the engine.

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/types/codec.hpp"
#include "eve/result.hpp"

namespace eve::bus {

/// A record whose type only its RecordType knows. Immutable, so that publisher, subscribers and sockets share it.
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

/// The operations of one record type.
struct RecordType {
    std::string topic;  ///< EVE's name of the type without its package: the topic's name on the wire and on disk
    bool (*equal)(const void* a, const void* b);
    std::string (*to_json)(const void* value);
    Result<Value> (*from_json)(std::string_view text);
};

/// The operations of `T`, from its description in core/types.
template <class T> RecordType record_type() {
    return RecordType{
        .topic = std::string(types::type_info<T>().name),
        .equal = [](const void* a, const void* b) { return *static_cast<const T*>(a) == *static_cast<const T*>(b); },
        .to_json = [](const void* value) { return types::to_json(*static_cast<const T*>(value)); },
        .from_json = [](std::string_view text) -> Result<Value> {
            auto parsed = types::from_json<T>(text);
            if (!parsed) return std::move(parsed).error();
            return Value(std::make_shared<const T>(std::move(*parsed)));
        },
    };
}

}  // namespace eve::bus
