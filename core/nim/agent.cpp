#include "core/nim/agent.hpp"

#include <optional>
#include <string>
#include <utility>

#include "core/nim/describe.hpp"
#include "core/loop/while_alive.hpp"
#include "core/types/network.hpp"

namespace eve::nim {
namespace {

using namespace std::chrono_literals;

constexpr const char* lane = "nim";
constexpr auto observe_retry = 5s;

}  // namespace

class Agent::Impl : public WhileAlive<Agent::Impl> {
public:
    explicit Impl(Deps deps) : deps_(deps) {}

    void start() {
        pub_status_ = deps_.bus.publish<types::DeviceNetworkStatus>({.agent = "nim"});
        pub_list_ = deps_.bus.publish<types::DevicePortConfigList>({.agent = "nim", .persistent = true});
        if (const auto* old = pub_status_->get("global")) before_ = *old;
        sub_config_ =
            deps_.bus.subscribe<types::DevicePortConfig>({.agent = "zedagent"}, {.created = [this](const std::string& key, const auto& now) {
                                                             if (key != "zedagent") return;
                                                             config_ = now;
                                                             if (config_->Key.empty()) config_->Key = key;
                                                             report();
                                                         }});
        deps_.links.watch(guarded_task([this] { observe(); }));
        observe();
    }
    void stop() {
        if (timer_) deps_.loop.cancel(*timer_);
    }

private:
    void observe() {
        if (observing_) {
            again_ = true;
            return;
        }
        observing_ = true;
        deps_.lanes.submit(
            lane, [&links = deps_.links](const LaneContext&) { return links.observe(); },
            guarded([this](Result<Observation> seen) { observed(std::move(seen)); }));
    }

    void observed(Result<Observation> seen) {
        observing_ = false;
        if (seen) {
            seen_ = std::move(*seen);
            report();
        } else {
            deps_.log.write(Level::error, "interfaces.not_observed", {{"error", seen.error().what}});
            if (!timer_) {
                timer_ = deps_.loop.after(observe_retry, guarded_task([this] {
                                              timer_.reset();
                                              observe();
                                          }));
            }
        }
        if (std::exchange(again_, false)) observe();
    }

    void report() {
        if (!config_ || !seen_) return;
        auto status = describe(*config_, *seen_, before_, deps_.loop.clock().wall_now());
        if (status.State != before_.State)
            deps_.log.write(Level::info, "ports.state", {{"state", static_cast<int>(status.State)}, {"ports", status.Ports.size()}});
        before_ = status;
        if (auto published = pub_status_->publish("global", std::move(status)); !published)
            deps_.log.write(Level::error, "status.not_published", {{"error", published.error().what}});
        types::DevicePortConfigList list;
        list.PortConfigList.push_back(*config_);
        list.PortConfigList.front().State = before_.State;
        if (auto published = pub_list_->publish("global", std::move(list)); !published)
            deps_.log.write(Level::error, "status.not_published", {{"error", published.error().what}});
    }

    Deps deps_;
    bool observing_ = false;
    bool again_ = false;
    std::optional<types::DevicePortConfig> config_;
    std::optional<Observation> seen_;
    types::DeviceNetworkStatus before_;
    std::optional<TimerId> timer_;
    std::unique_ptr<Publication<types::DeviceNetworkStatus>> pub_status_;
    std::unique_ptr<Publication<types::DevicePortConfigList>> pub_list_;
    std::unique_ptr<Subscription<types::DevicePortConfig>> sub_config_;
};

Agent::Agent(Deps deps) : impl_(std::make_shared<Impl>(deps)) { impl_->start(); }

Agent::~Agent() { impl_->stop(); }

}  // namespace eve::nim
