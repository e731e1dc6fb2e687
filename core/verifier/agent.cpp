#include "core/verifier/agent.hpp"

#include <map>
#include <optional>
#include <string>

#include "core/loop/while_alive.hpp"
#include "core/types/error_text.hpp"
#include "core/types/node.hpp"
#include "core/types/vault.hpp"
#include "core/types/volume.hpp"

namespace eve::verifier {
namespace {

using types::SwState;
using types::VerifyImageConfig;
using types::VerifyImageStatus;

constexpr Lanes::Options hashing{.time_limit = std::chrono::hours{12}};
constexpr std::chrono::seconds retry_interval{30};
constexpr std::size_t sha256_digits = 64;

bool is_sha256(const std::string& text) { return text.size() == sha256_digits && text.find_first_not_of("0123456789abcdef") == std::string::npos; }

std::string lower(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
    return text;
}

}  // namespace

struct Agent::Impl : WhileAlive<Agent::Impl> {
    /// One digest that is being looked after: what is asked for, what is so, and whether a job is under way.
    struct Item {
        std::optional<VerifyImageConfig> config;
        VerifyImageStatus status;
        bool known = false;  ///< `status` is published
        bool busy = false;
    };

    explicit Impl(Deps given) : deps(given) {}

    void start() {
        statuses = deps.bus.publish<VerifyImageStatus>({.agent = "verifier"});
        vault = deps.bus.subscribe<types::VaultStatus>({.agent = "vaultmgr"},
                                                       {.created = [this](const auto&, const types::VaultStatus& now) { on_vault(now); }});
    }

    void on_vault(const types::VaultStatus& now) {
        const bool ready = types::is_ready(now);
        if (!ready || started) return;
        started = true;
        recheck();
    }

    /// Files outlive their records: what an earlier life verified is read again, and only what is still right is published.
    void recheck() {
        deps.lanes.submit(
            "verifier", [&files = deps.files](const LaneContext& context) { return files.recheck(context); },
            guarded([this](Result<std::vector<VerifiedFile>> found) { on_rechecked(std::move(found)); }), hashing);
    }

    void on_rechecked(Result<std::vector<VerifiedFile>> found) {
        if (!found) {
            deps.log.write(Level::error, "verifier.recheck_failed", {{"error", found.error().what}});
            deps.loop.after(retry_interval, guarded_task([this] { recheck(); }));
            return;
        }
        for (const auto& file : *found) {
            Item& item = items[file.sha256];
            item.status = {};
            item.status.ImageSha256 = file.sha256;
            item.status.Name = file.sha256;
            item.status.FileLocation = file.location;
            item.status.Size = static_cast<std::int64_t>(file.size);
            item.status.MediaType = file.media_type;
            item.status.State = SwState::VERIFIED;
            item.known = true;
            publish(item);
        }
        std::vector<std::string> stale;
        for (const auto& [key, status] : statuses->items())
            if (!items.contains(key)) stale.push_back(key);
        for (const auto& key : stale) (void)statuses->unpublish(key);
        statuses->signal_restarted();
        deps.log.write(Level::info, "verifier.started", {{"verified_files", found->size()}});
        configs = deps.bus.subscribe<VerifyImageConfig>(
            {.agent = "volumemgr"}, {.created = [this](const std::string& key, const VerifyImageConfig& now) { on_config(key, now); },
                                     .deleted = [this](const std::string& key, const VerifyImageConfig&) { on_config(key, std::nullopt); }});
    }

    void on_config(const std::string& key, std::optional<VerifyImageConfig> config) {
        Item& item = items[key];
        // Another file for a digest that failed before is a new request.
        const bool again = config && item.known && types::has_error(item.status) && item.config && config->FileLocation != item.config->FileLocation;
        if (again && !item.busy) item.known = false;
        item.config = std::move(config);
        step(key);
    }

    /// One step of one digest towards what is asked for; called again when the step is done.
    void step(const std::string& key) {
        Item& item = items[key];
        if (item.busy) return;
        if (!item.config) {
            if (item.known) remove(key, item);
            else items.erase(key);
            return;
        }
        if (!item.known) {
            verify(key, item);
            return;
        }
        item.status.RefCount = item.config->RefCount;
        item.status.Expired = item.config->Expired;
        publish(item);
    }

    void verify(const std::string& key, Item& item) {
        const VerifyImageConfig& config = *item.config;
        item.known = true;
        item.status = {};
        item.status.ImageSha256 = config.ImageSha256;
        item.status.Name = config.Name;
        item.status.MediaType = config.MediaType;
        item.status.Size = config.Size;
        item.status.FileLocation = config.FileLocation;
        item.status.RefCount = config.RefCount;
        item.status.State = SwState::VERIFYING;
        const VerifyRequest request{.pending = config.FileLocation, .sha256 = lower(config.ImageSha256), .media_type = config.MediaType};
        if (request.pending.empty()) return fail(item, "no file location to verify");
        if (!is_sha256(request.sha256)) return fail(item, "not a sha256 of 64 hex digits: " + request.sha256.substr(0, sha256_digits + 1));
        item.status.PendingAdd = true;
        item.busy = true;
        publish(item);
        deps.lanes.submit(
            "verifier/" + key, [&files = deps.files, request](const LaneContext& context) { return files.verify(request, context); },
            guarded([this, key](Result<VerifiedFile> verified) {
                Item& done = items[key];
                done.busy = false;
                done.status.PendingAdd = false;
                if (verified) {
                    done.status.State = SwState::VERIFIED;
                    done.status.FileLocation = verified->location;
                    done.status.Size = static_cast<std::int64_t>(verified->size);
                    publish(done);
                } else {
                    deps.log.write(Level::warn, "verifier.refused", {{"sha256", key}, {"error", verified.error().what}});
                    const auto code = verified.error().code;
                    const bool says_nothing = code == Code::unavailable || code == Code::timed_out || code == Code::resource_exhausted;
                    fail(done, types::error_text(verified.error()), says_nothing ? "Will be asked for again" : "");
                }
                step(key);
            }),
            hashing);
    }

    void remove(const std::string& key, Item& item) {
        item.busy = true;
        item.status.PendingDelete = true;
        deps.lanes.submit(
            "verifier/" + key, [&files = deps.files, sha256 = lower(item.status.ImageSha256)](const LaneContext&) { return files.forget(sha256); },
            guarded([this, key](Status removed) {
                if (!removed) {
                    // Still busy: nothing else happens to it before it is gone.
                    deps.log.write(Level::warn, "verifier.remove_failed", {{"sha256", key}, {"error", removed.error().what}});
                    deps.loop.after(retry_interval, guarded_task([this, key] { remove(key, items[key]); }));
                    return;
                }
                Item& done = items[key];
                done.busy = false;
                done.known = false;
                (void)statuses->unpublish(key);
                step(key);
            }));
    }

    /// With a condition for another try it is not the content that is wrong.
    void fail(Item& item, std::string why, std::string retry_condition = {}) {
        types::set_error(item.status, {.Error = std::move(why), .ErrorRetryCondition = std::move(retry_condition)}, deps.loop.clock().wall_now());
        item.status.PendingAdd = false;
        publish(item);
    }

    void publish(const Item& item) {
        if (auto published = statuses->publish(item.status.ImageSha256, item.status); !published)
            deps.log.write(Level::error, "verifier.publish_failed", {{"sha256", item.status.ImageSha256}, {"error", published.error().what}});
    }

    Deps deps;
    std::unique_ptr<Publication<VerifyImageStatus>> statuses;
    std::unique_ptr<Subscription<types::VaultStatus>> vault;
    std::unique_ptr<Subscription<VerifyImageConfig>> configs;
    std::map<std::string, Item> items;
    bool started = false;
};

Agent::Agent(Deps deps) : impl_(std::make_shared<Impl>(deps)) { impl_->start(); }
Agent::~Agent() = default;

}  // namespace eve::verifier
