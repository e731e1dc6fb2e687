#pragma once
// The markers of apps that run, for zedmanager after a reboot: written in groups, one sync for all that came while the last group was written.

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "core/domainmgr/effects.hpp"
#include "core/loop/loop.hpp"

namespace eve::domainmgr {

/// Which apps are marked. The last word on an app counts. [loop]
class ActiveMarks {
public:
    using Done = std::function<void(Status)>;
    ActiveMarks(Lanes& lanes, Host& host) : lanes_(lanes), host_(host) {}

    /// The app is marked, or not, when `done` is told so. A later word on the same app that overtakes this one answers for both.
    void set(const types::Uuid& app, bool active, Done done);

private:
    struct Wish {
        bool active = false;
        std::vector<Done> done;
    };
    void write();

    Lanes& lanes_;
    Host& host_;
    std::map<types::Uuid, Wish> wishes_;
    bool writing_ = false;
    std::shared_ptr<char> alive_ = std::make_shared<char>();  ///< watched by the completions; this object is its only owner
};

}  // namespace eve::domainmgr
