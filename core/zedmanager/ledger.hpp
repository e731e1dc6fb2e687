#pragma once
// What all apps together hold and how they fare, kept up to date one app at a time: a node with a thousand apps asks for it at every event.

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/types/app.hpp"
#include "core/zedmanager/admission.hpp"

namespace eve::zedmanager {

/// The node's apps as sums. Each app counts with what was last said of it.
class Ledger {
public:
    /// The app has this status, and shall run (`wanted`: wish and profile) or not.
    void set(const std::string& app, const types::AppInstanceStatus& status, bool wanted);
    /// The app is gone; an unknown one is ignored.
    void erase(const std::string& app);

    /// Memory of the apps but `asking` into `used` and `halting`; `others` is left empty, see holders_without().
    void add_memory_without(const std::string& asking, MemoryView& view) const;
    /// The apps but `asking` that are up, or on their way up.
    std::vector<types::Uuid> holders_without(const std::string& asking) const;
    /// Counts each app once: failing, else running, stopping, starting; idle ones not at all. Counters stop at 255.
    types::AppInstanceSummary summary() const;

private:
    enum class Outlook : std::uint8_t { idle, failing, running, stopping, starting };
    struct Share {
        types::Uuid uuid;
        std::uint64_t held = 0;  ///< bytes; 0 also of an app that is up and needs none
        bool holds = false;
        bool wanted = false;
        Outlook outlook = Outlook::idle;
    };
    void take(const Share& share);
    void give_back(const Share& share);

    std::map<std::string, Share> shares_;
    std::uint64_t used_ = 0;
    std::uint64_t halting_ = 0;
    std::array<std::uint32_t, 5> outlooks_{};
};

}  // namespace eve::zedmanager
