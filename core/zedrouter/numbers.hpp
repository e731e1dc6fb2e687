#pragma once
// Numbers that a node gives to apps, bridges and app interfaces, and gives again to the same one after a reboot. They travel in eight bits
// of a conntrack mark, so there are at most 255 of a kind.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/types/values.hpp"
#include "eve/result.hpp"

namespace eve::zedrouter {

/// One number. `in_use` false: reserved for its key, which had it in an earlier life.
struct NumberEntry {
    int number = 0;
    types::Time created;
    types::Time last_used;
    bool in_use = false;
    friend bool operator==(const NumberEntry&, const NumberEntry&) = default;
};

enum class NumberOrder { lowest_first, highest_first };

/// A table of numbers first..last. Decides only; `changed` tells its owner what to store (null: forgotten).
class NumberAllocator {
public:
    struct Range {
        int first = 0;
        int last = 0;
    };
    using Changed = std::function<void(const std::string& key, const NumberEntry* entry)>;
    NumberAllocator(Range range, Changed changed) : range_(range), changed_(std::move(changed)), used_(static_cast<std::size_t>(range.last - range.first + 1)) {}

    /// What an earlier life stored: reserved from now on. Out of range or twice the same number: ignored.
    void restore(const std::string& key, NumberEntry entry);
    /// The number of `key`: the one it has or had, else a free one, else the one reserved longest for somebody else.
    /// Errors: resource_exhausted - all are in use.
    Result<int> allocate(const std::string& key, NumberOrder order, types::Time now);
    void release(const std::string& key);
    /// Forgets reservations made before `limit`.
    void collect(types::Time limit);
    const NumberEntry* find(const std::string& key) const;
    bool empty() const;

private:
    bool free(int number) const { return !used_[static_cast<std::size_t>(number - range_.first)]; }
    Range range_;
    Changed changed_;
    std::map<std::string, NumberEntry> entries_;
    std::vector<bool> used_;  ///< from range_.first on: the numbers in `entries_`
};

}  // namespace eve::zedrouter
