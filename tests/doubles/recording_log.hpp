#pragma once
// A Log that remembers, for tests that ask what was said.

#include <algorithm>
#include <mutex>
#include <string>
#include <vector>

#include "core/log/log.hpp"

namespace eve {

class RecordingLog final : public Log {
public:
    struct Event {
        Level level;
        std::string name;
        Fields fields;
    };

    using Log::write;
    void write(Level level, std::string_view event, Fields fields) override {
        const std::lock_guard lock(mutex_);
        events_.push_back(Event{.level = level, .name = std::string(event), .fields = std::move(fields)});
    }
    std::vector<Event> events() const {
        const std::lock_guard lock(mutex_);
        return events_;
    }
    std::size_t count(std::string_view event) const {
        const auto all = events();
        return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [event](const Event& e) { return e.name == event; }));
    }
    bool has(std::string_view event) const { return count(event) > 0; }
    void clear() {
        const std::lock_guard lock(mutex_);
        events_.clear();
    }

private:
    mutable std::mutex mutex_;  // lanes log too
    std::vector<Event> events_;
};

}  // namespace eve
