#include "core/zedrouter/numbers.hpp"

#include <algorithm>
#include <optional>

namespace eve::zedrouter {

bool NumberAllocator::taken(int number) const {
    return std::any_of(entries_.begin(), entries_.end(), [&](const auto& item) { return item.second.number == number; });
}

void NumberAllocator::restore(const std::string& key, NumberEntry entry) {
    if (entry.number < range_.first || entry.number > range_.last || entries_.contains(key) || taken(entry.number)) return;
    entry.in_use = false;
    entries_[key] = entry;
}

Result<int> NumberAllocator::allocate(const std::string& key, NumberOrder order, types::Time now) {
    if (const auto found = entries_.find(key); found != entries_.end()) {
        if (found->second.in_use) return found->second.number;
        found->second.in_use = true;
        found->second.last_used = now;
        changed_(key, &found->second);
        return found->second.number;
    }
    std::optional<int> number;
    for (int i = 0; i <= range_.last - range_.first && !number; ++i) {
        const int candidate = order == NumberOrder::lowest_first ? range_.first + i : range_.last - i;
        if (!taken(candidate)) number = candidate;
    }
    if (!number) {
        auto oldest = entries_.end();
        for (auto at = entries_.begin(); at != entries_.end(); ++at) {
            if (at->second.in_use) continue;
            if (oldest == entries_.end() || at->second.last_used < oldest->second.last_used) oldest = at;
        }
        if (oldest == entries_.end()) {
            return Error{Code::resource_exhausted,
                         "all " + std::to_string(range_.last - range_.first + 1) + " numbers are in use"};
        }
        number = oldest->second.number;
        const auto stolen_from = oldest->first;
        entries_.erase(oldest);
        changed_(stolen_from, nullptr);
    }
    auto& entry = entries_[key];
    entry = {.number = *number, .created = now, .last_used = now, .in_use = true};
    changed_(key, &entry);
    return *number;
}

void NumberAllocator::release(const std::string& key) {
    if (entries_.erase(key) != 0) changed_(key, nullptr);
}

void NumberAllocator::collect(types::Time limit) {
    for (auto at = entries_.begin(); at != entries_.end();) {
        if (at->second.in_use || !(at->second.created < limit)) {
            ++at;
            continue;
        }
        const auto key = at->first;
        at = entries_.erase(at);
        changed_(key, nullptr);
    }
}

const NumberEntry* NumberAllocator::find(const std::string& key) const {
    const auto found = entries_.find(key);
    return found == entries_.end() ? nullptr : &found->second;
}

bool NumberAllocator::empty() const {
    return std::none_of(entries_.begin(), entries_.end(), [](const auto& item) { return item.second.in_use; });
}

}  // namespace eve::zedrouter
