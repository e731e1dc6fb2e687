#include "core/domainmgr/active_marks.hpp"

#include <utility>

namespace eve::domainmgr {

namespace {

constexpr const char* lane = "domainmgr/active";
constexpr std::chrono::minutes write_limit{2};

}  // namespace

void ActiveMarks::set(const types::Uuid& app, bool active, Done done) {
    auto& wish = wishes_[app];
    wish.active = active;
    wish.done.push_back(std::move(done));
    if (!writing_) write();
}

void ActiveMarks::write() {
    writing_ = true;
    std::vector<ActiveMark> marks;
    std::vector<Done> done;
    for (auto& [app, wish] : std::exchange(wishes_, {})) {
        marks.push_back({.app = app, .active = wish.active});
        for (auto& each : wish.done) done.push_back(std::move(each));
    }
    lanes_.submit(
        lane, [&host = host_, marks = std::move(marks)](const LaneContext&) { return host.set_active(marks); },
        [this, alive = std::weak_ptr<char>(alive_), done = std::move(done)](const Status& written) {
            if (alive.expired()) return;
            writing_ = false;
            if (!wishes_.empty()) write();
            for (const auto& each : done) each(written);
        },
        Lanes::Options{.time_limit = write_limit});
}

}  // namespace eve::domainmgr
