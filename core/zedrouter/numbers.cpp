#include "core/zedrouter/numbers.hpp"

#include <algorithm>
#include <optional>

namespace eve::zedrouter {

void NumberAllocator::restore(const std::string& key, NumberEntry entry) {
    if (entry.number < range_.first || entry.number > range_.last || entries_.contains(key) || !free(entry.number)) return;
    used_[static_cast<std::size_t>(entry.number - range_.first)] = true;
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
        if (free(candidate)) number = candidate;
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
    used_[static_cast<std::size_t>(*number - range_.first)] = true;
    auto& entry = entries_[key];
    entry = {.number = *number, .created = now, .last_used = now, .in_use = true};
    changed_(key, &entry);
    return *number;
}

void NumberAllocator::release(const std::string& key) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return;
    used_[static_cast<std::size_t>(found->second.number - range_.first)] = false;
    entries_.erase(found);
    changed_(key, nullptr);
}

void NumberAllocator::collect(types::Time limit) {
    for (auto at = entries_.begin(); at != entries_.end();) {
        if (at->second.in_use || !(at->second.created < limit)) {
            ++at;
            continue;
        }
        const auto key = at->first;
        used_[static_cast<std::size_t>(at->second.number - range_.first)] = false;
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
