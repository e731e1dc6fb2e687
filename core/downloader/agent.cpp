#include "core/downloader/agent.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "core/downloader/plan.hpp"
#include "core/loop/while_alive.hpp"
#include "core/types/error_text.hpp"
#include "core/types/node.hpp"
#include "core/types/vault.hpp"

namespace eve::downloader {
namespace {

using types::DownloaderConfig;
using types::DownloaderStatus;
using types::SwState;

constexpr Lanes::Options transferring{.time_limit = std::chrono::hours{24 * 14}};  // a slow line is no fault: stalls are what is limited
constexpr Lanes::Options resolving{.time_limit = std::chrono::minutes{15}};
constexpr std::chrono::seconds sweep_interval{300};
constexpr std::chrono::hours retry_after_max{24};

/// One way to get the object: what to ask for, and from where.
struct Attempt {
    FetchRequest request;
};

struct Outcome {
    std::optional<FetchOutcome> got;
    std::string error;
    std::chrono::nanoseconds retry_after{0};
    bool cancelled = false;
};

/// Tries them in order; the first that works ends it.
Outcome try_all(Transport& transport, std::vector<Attempt> attempts, const std::function<void(FetchProgress)>& progress, const LaneContext& context) {
    Outcome outcome;
    for (auto& attempt : attempts) {
        auto got = transport.fetch(attempt.request, progress, context);
        if (got) return {.got = std::move(*got), .error = {}};
        const Error& error = got.error();
        if (error.code == Code::cancelled || context.cancelled()) return {.got = {}, .error = "download cancelled by user", .cancelled = true};
        if (error.retry_after) outcome.retry_after = std::max<std::chrono::nanoseconds>(outcome.retry_after, *error.retry_after);
        const std::string text = attempt.request.url.substr(0, attempt.request.url.find('?')) + ": " + types::error_text(error);
        if (outcome.error.find(text) == std::string::npos) outcome.error += (outcome.error.empty() ? "" : " / ") + text;
    }
    return outcome;
}

}  // namespace

struct Agent::Impl : WhileAlive<Agent::Impl> {
    struct Item {
        std::optional<DownloaderConfig> config;
        DownloaderStatus status;
        bool known = false;     ///< `status` is published
        bool removing = false;  ///< its files are being removed
        std::optional<JobId> job;
        bool giving_up = false;      ///< the job was told to stop
        bool start_over = false;     ///< what is there is not to be continued
        bool waits_network = false;  ///< it failed for want of an address
        std::optional<TimerId> retry;
    };

    explicit Impl(Deps given) : deps(given) {}

    void start() {
        auto& bus = deps.bus;
        statuses = bus.publish<DownloaderStatus>({.agent = "downloader"});
        resolved = bus.publish<types::ResolveStatus>({.agent = "downloader"});
        vault = bus.subscribe<types::VaultStatus>(
            {.agent = "vaultmgr"}, {.created = [this](const auto&, const types::VaultStatus& now) {
                vault_ready = vault_ready || types::is_ready(now);
                check_gates();
            }});
        items_topic =
            bus.subscribe<types::ConfigItemValueMap>({.agent = "zedagent"}, {.created = [this](const auto&, const types::ConfigItemValueMap& now) {
                                                         settings = types::ConfigItems(now);
                                                         have_settings = true;
                                                         check_gates();
                                                     }});
        network = bus.subscribe<types::DeviceNetworkStatus>({.agent = "nim"}, {.created = [this](const auto&, const types::DeviceNetworkStatus&) {
                                                                check_gates();
                                                                for (const auto& key : keys())
                                                                    if (items[key].waits_network) retry_now(key);
                                                                for (const auto& key : resolve_keys())
                                                                    if (resolutions[key].waits_network) resolve_again(key);
                                                            }});
        datastores = bus.subscribe<types::DatastoreConfig>(
            {.agent = "zedagent"}, {.created = [this](const std::string&, const types::DatastoreConfig& now) {
                for (const auto& key : keys()) {
                    const auto& config = items[key].config;
                    if (config && std::count(config->DatastoreIDList.begin(), config->DatastoreIDList.end(), now.UUID) > 0) retry_now(key);
                }
                for (const auto& key : resolve_keys())
                    if (resolutions[key].config.DatastoreID == now.UUID && resolutions[key].retry) resolve_again(key);
            }});
    }

    /// Nothing is received before there is a place to keep it, a way to get it, and the operator's limits are known.
    void check_gates() {
        if (started || !vault_ready || !have_settings || addresses().empty()) return;
        started = true;
        deps.log.write(Level::info, "downloader.started");
        for (const auto& [key, status] : statuses->items()) old.push_back(key);
        configs = deps.bus.subscribe<DownloaderConfig>(
            {.agent = "volumemgr"}, {.created = [this](const std::string& key, const DownloaderConfig& now) { on_config(key, now); },
                                     .deleted = [this](const std::string& key, const DownloaderConfig&) { on_config(key, std::nullopt); },
                                     .synchronized = [this] { forget_old(); }});
        resolves = deps.bus.subscribe<types::ResolveConfig>(
            {.agent = "volumemgr"}, {.created = [this](const std::string& key, const types::ResolveConfig& now) { on_resolve(key, now); },
                                     .deleted = [this](const std::string& key, const types::ResolveConfig&) { forget_resolve(key); }});
        deps.loop.after(sweep_interval, guarded_task([this] { sweep(); }));
    }

    /// Statuses of an earlier life that nobody asks for any more. Their files stay until the sweep: the request may come back.
    void forget_old() {
        for (const auto& key : old)
            if (!items.contains(key)) (void)statuses->unpublish(key);
        old.clear();
    }

    std::vector<std::string> keys() const {
        std::vector<std::string> all;
        for (const auto& [key, item] : items) all.push_back(key);
        return all;
    }

    std::vector<std::string> resolve_keys() const {
        std::vector<std::string> all;
        for (const auto& [key, resolution] : resolutions) all.push_back(key);
        return all;
    }

    std::vector<std::string> addresses() const {
        const auto* status = network ? network->get("global") : nullptr;
        return status == nullptr ? std::vector<std::string>{} : source_addresses(*status, settings.number("network.download.max.cost"));
    }

    types::Time now() const { return deps.loop.clock().wall_now(); }
    std::chrono::seconds retry_time() const { return settings.seconds("timer.download.retry"); }

    void on_config(const std::string& key, std::optional<DownloaderConfig> config) {
        Item& item = items[key];
        const bool asked_again = config && item.config && config->LastRetry != item.config->LastRetry;
        item.config = std::move(config);
        if (asked_again && item.known) {
            // What was received did not verify: all of it again.
            item.start_over = true;
            item.status.LastRetry = item.config->LastRetry;
            item.status.State = SwState::DOWNLOADING;
            item.status.Size = 0;
            item.status.CurrentSize = item.status.TotalSize = 0;
            item.status.Progress = 0;
            types::clear_error(item.status);
            stop_retry(item);
            give_up(item);
        }
        step(key);
    }

    /// One step of one download towards what is asked for; called again whenever something about it changed.
    void step(const std::string& key) {
        Item& item = items[key];
        if (item.removing) return;
        if (!item.config) {
            if (item.job) give_up(item);
            else if (item.known) remove(key, item);
            else forget(key);
            return;
        }
        if (!item.known) adopt_request(item);
        if (item.status.Expired && item.config->RefCount != 0) types::clear_error(item.status);
        item.status.RefCount = item.config->RefCount;
        item.status.Expired = item.config->RefCount == 0;
        if (item.config->RefCount == 0) {
            stop_retry(item);
            give_up(item);
            std::erase(queue, key);
            publish(key, item);
            return;
        }
        publish(key, item);
        const bool wanted = item.status.State != SwState::DOWNLOADED && !item.job && !item.retry;
        if (wanted && std::find(queue.begin(), queue.end(), key) == queue.end()) queue.push_back(key);
        start_next();
    }

    void adopt_request(Item& item) {
        const DownloaderConfig& config = *item.config;
        item.known = true;
        item.status = {};
        item.status.ImageSha256 = config.ImageSha256;
        item.status.DatastoreIDList = config.DatastoreIDList;
        item.status.Target = config.Target;
        item.status.Name = config.Name;
        item.status.NameIsURL = config.NameIsURL;
        item.status.LastUse = now();
        item.status.LastRetry = config.LastRetry;
        item.status.State = SwState::DOWNLOADING;
        item.start_over = !config.LastRetry.is_zero() && item.start_over;
    }

    void start_next() {
        while (running < transfers_max && !queue.empty()) {
            const std::string key = queue.front();
            queue.erase(queue.begin());
            transfer(key, items[key]);
        }
    }

    void transfer(const std::string& key, Item& item) {
        const DownloaderConfig& config = *item.config;
        item.waits_network = false;
        std::vector<Attempt> attempts;
        std::string refused;
        const auto from = addresses();
        for (const auto& id : config.DatastoreIDList) {
            const auto* datastore = datastores->get(id.to_string());
            if (datastore == nullptr) return fail(key, item, "no datastore " + id.to_string() + " is known", {});
            auto source = source_of(*datastore, config.Name, config.NameIsURL, settings);
            if (!source) {
                refused += (refused.empty() ? "" : " / ") + source.error().what;
                continue;
            }
            for (const auto& address : from)
                attempts.push_back({.request = {.url = source->url,
                                                .fallback_url = source->fallback_url,
                                                .authorization = source->authorization,
                                                .registry_scope = source->registry_scope,
                                                .user = source->user,
                                                .password = source->password,
                                                .ca_certificates = source->certificates,
                                                .source_address = address,
                                                .target = config.Target,
                                                .size_max = config.Size,
                                                .stall_limit = settings.seconds("timer.download.stalled"),
                                                .start_over = item.start_over}});
        }
        if (from.empty()) {
            item.waits_network = true;
            return fail(key, item, "No IP management port addresses with cost <= " + std::to_string(settings.number("network.download.max.cost")),
                        {});
        }
        if (attempts.empty()) return fail(key, item, refused.empty() ? "no datastore is given" : refused, {});
        item.start_over = false;
        item.giving_up = false;
        ++running;
        auto report = [this, alive = weak_from_this(), &loop = deps.loop, key](FetchProgress progress) {
            loop.post([this, alive, key, progress] {
                if (alive.lock()) on_progress(key, progress);
            });
        };
        item.job = deps.lanes.submit(
            "downloader/" + key,
            [&transport = deps.transport, attempts = std::move(attempts), report = std::move(report)](const LaneContext& context) {
                return try_all(transport, attempts, report, context);
            },
            guarded([this, key](Outcome outcome) { on_ended(key, std::move(outcome)); }), transferring);
    }

    void on_progress(const std::string& key, FetchProgress progress) {
        const auto found = items.find(key);
        if (found == items.end() || !found->second.job || found->second.giving_up) return;
        DownloaderStatus& status = found->second.status;
        status.CurrentSize = static_cast<std::int64_t>(progress.current);
        status.TotalSize = static_cast<std::int64_t>(progress.total);
        status.Progress =
            progress.total == 0 ? 0 : static_cast<std::uint64_t>(100 * (static_cast<double>(progress.current) / static_cast<double>(progress.total)));
        publish(key, found->second);
    }

    void on_ended(const std::string& key, Outcome outcome) {
        Item& item = items[key];
        item.job.reset();
        --running;
        const bool given_up = item.giving_up;
        item.giving_up = false;
        if (outcome.got && !given_up) {
            types::clear_error(item.status);
            item.status.State = SwState::DOWNLOADED;
            item.status.Progress = 100;
            item.status.Size = outcome.got->size;
            item.status.TotalSize = item.status.CurrentSize = static_cast<std::int64_t>(outcome.got->size);
            item.status.ContentType = outcome.got->content_type;
            item.status.ModTime = now();
            item.status.OrigError.clear();
            deps.log.write(Level::info, "downloader.downloaded", {{"sha256", key}, {"bytes", outcome.got->size}});
        } else if (!given_up && !outcome.cancelled) {
            fail(key, item, std::move(outcome.error), outcome.retry_after);
        } else if (item.config && item.config->RefCount == 0) {
            types::set_error(item.status, "download cancelled by user", now());
        }
        step(key);
        start_next();
    }

    void fail(const std::string& key, Item& item, std::string why, std::chrono::nanoseconds wish) {
        const auto wait = std::max<std::chrono::nanoseconds>(retry_time(), std::min<std::chrono::nanoseconds>(wish, retry_after_max));
        item.status.OrigError = why;
        types::set_error(item.status, describe_failure(std::move(why), static_cast<std::uint64_t>(item.status.RetryCount), wait), now());
        deps.log.write(Level::warn, "downloader.failed", {{"sha256", key}, {"error", item.status.Error}, {"retries", item.status.RetryCount}});
        stop_retry(item);
        item.retry = deps.loop.after(wait, guarded_task([this, key] { retry_now(key); }));
        publish(key, item);
    }

    void retry_now(const std::string& key) {
        const auto found = items.find(key);
        if (found == items.end() || !found->second.retry) return;
        Item& item = found->second;
        stop_retry(item);
        ++item.status.RetryCount;
        types::set_error(item.status,
                         {.Error = item.status.OrigError,
                          .ErrorTime = item.status.ErrorTime,
                          .ErrorSeverity = types::severity_of_retries(static_cast<std::uint64_t>(item.status.RetryCount), retry_time()),
                          .ErrorRetryCondition = "Retrying; attempt " + std::to_string(item.status.RetryCount)},
                         now());
        step(key);
    }

    void stop_retry(Item& item) {
        if (item.retry) deps.loop.cancel(*item.retry);
        item.retry.reset();
    }

    void give_up(Item& item) {
        if (!item.job || item.giving_up) return;
        item.giving_up = true;
        deps.lanes.cancel(*item.job);
    }

    void remove(const std::string& key, Item& item) {
        item.removing = true;
        item.status.State = SwState::INITIAL;
        deps.lanes.submit(
            "downloader/" + key, [&files = deps.files, target = item.status.Target](const LaneContext&) { return files.remove(target); },
            guarded([this, key](Status removed) {
                if (!removed) deps.log.write(Level::warn, "downloader.remove_failed", {{"sha256", key}, {"error", removed.error().what}});
                Item& done = items[key];
                done.removing = false;
                done.known = false;
                (void)statuses->unpublish(key);
                step(key);
            }));
    }

    void forget(const std::string& key) {
        std::erase(queue, key);
        stop_retry(items[key]);
        items.erase(key);
    }

    /// Files that belong to no request any more, for example of a life that ended before it could clean up.
    void sweep() {
        std::vector<std::string> targets;
        for (const auto& [key, item] : items)
            if (item.known || item.config) targets.push_back(item.known ? item.status.Target : item.config->Target);
        deps.lanes.submit(
            "downloader/sweep", [&files = deps.files, targets](const LaneContext&) { return files.remove_others(targets); },
            guarded([this](Result<std::uint64_t> removed) {
                if (removed && *removed > 0) deps.log.write(Level::info, "downloader.swept", {{"files", *removed}});
            }));
        deps.loop.after(sweep_interval, guarded_task([this] { sweep(); }));
    }

    // ---- tags of container registries ----

    struct Resolution {
        types::ResolveConfig config;
        types::ResolveStatus status;
        std::optional<JobId> job;
        std::optional<TimerId> retry;
        bool stale = false;          ///< asked anew while its job runs
        bool waits_network = false;
    };

    /// A name with a digest in it says the answer itself; a tag is asked for.
    void on_resolve(const std::string& key, const types::ResolveConfig& config) {
        Resolution& resolution = resolutions[key];
        resolution.config = config;
        resolution.status = {};
        resolution.status.DatastoreID = config.DatastoreID;
        resolution.status.Name = config.Name;
        resolution.status.Counter = config.Counter;
        if (resolution.job) {
            resolution.stale = true;
            deps.lanes.cancel(*resolution.job);
            return;
        }
        ask(key, resolution);
    }

    void forget_resolve(const std::string& key) {
        if (const auto found = resolutions.find(key); found != resolutions.end()) {
            if (found->second.job) deps.lanes.cancel(*found->second.job);
            if (found->second.retry) deps.loop.cancel(*found->second.retry);
            resolutions.erase(found);
        }
        (void)resolved->unpublish(key);
    }

    void ask(const std::string& key, Resolution& resolution) {
        if (resolution.retry) deps.loop.cancel(*resolution.retry);
        resolution.retry.reset();
        resolution.waits_network = false;
        resolution.status.ImageSha256 = digest_in_name(resolution.config.Name);
        if (!resolution.status.ImageSha256.empty()) return (void)resolved->publish(key, resolution.status);
        const auto* datastore = datastores->get(resolution.config.DatastoreID.to_string());
        if (datastore == nullptr)
            return fail_resolve(key, resolution, {.code = Code::not_found, .what = "no datastore " + resolution.config.DatastoreID.to_string() + " is known"});
        auto source = source_of(*datastore, resolution.config.Name, false, settings);
        if (!source) return fail_resolve(key, resolution, source.error());
        if (source->registry_scope.empty())
            return fail_resolve(key, resolution, {.code = Code::unsupported, .what = "only container registries have tags"});
        std::vector<Attempt> attempts;
        for (const auto& address : addresses())
            attempts.push_back({.request = {.url = source->url,
                                            .registry_scope = source->registry_scope,
                                            .user = source->user,
                                            .password = source->password,
                                            .ca_certificates = source->certificates,
                                            .source_address = address,
                                            .stall_limit = settings.seconds("timer.download.stalled")}});
        if (attempts.empty()) {
            resolution.waits_network = true;
            return fail_resolve(key, resolution,
                                {.code = Code::unavailable,
                                 .what = "No IP management port addresses with cost <= " + std::to_string(settings.number("network.download.max.cost"))});
        }
        resolution.job = deps.lanes.submit(
            "downloader/resolve/" + key,
            [&transport = deps.transport, attempts = std::move(attempts)](const LaneContext& context) -> Result<std::string> {
                std::optional<Error> last;
                for (const auto& attempt : attempts) {
                    auto answer = transport.resolve(attempt.request, context);
                    if (answer || context.cancelled()) return answer;
                    last = std::move(answer).error();
                }
                return *last;
            },
            guarded([this, key](Result<std::string> answer) { on_resolved(key, std::move(answer)); }), resolving);
    }

    void on_resolved(const std::string& key, Result<std::string> answer) {
        const auto found = resolutions.find(key);
        if (found == resolutions.end()) return;
        Resolution& resolution = found->second;
        resolution.job.reset();
        if (resolution.stale) {
            resolution.stale = false;
            return ask(key, resolution);
        }
        if (!answer) return fail_resolve(key, resolution, answer.error());
        types::clear_error(resolution.status);
        resolution.status.OrigError.clear();
        resolution.status.ImageSha256 = *std::move(answer);
        deps.log.write(Level::info, "downloader.resolved", {{"name", resolution.config.Name}, {"sha256", resolution.status.ImageSha256}});
        (void)resolved->publish(key, resolution.status);
    }

    void fail_resolve(const std::string& key, Resolution& resolution, const Error& error) {
        auto wait = std::chrono::nanoseconds(retry_time());
        if (error.retry_after) wait = std::max<std::chrono::nanoseconds>(wait, std::min<std::chrono::nanoseconds>(*error.retry_after, retry_after_max));
        resolution.status.OrigError = types::error_text(error);
        types::set_error(resolution.status, describe_failure(resolution.status.OrigError, static_cast<std::uint64_t>(resolution.status.RetryCount), wait), now());
        deps.log.write(Level::warn, "downloader.resolve_failed", {{"name", resolution.config.Name}, {"error", error.what}});
        resolution.retry = deps.loop.after(wait, guarded_task([this, key] { resolve_again(key); }));
        (void)resolved->publish(key, resolution.status);
    }

    void resolve_again(const std::string& key) {
        const auto found = resolutions.find(key);
        if (found == resolutions.end() || found->second.job) return;
        ++found->second.status.RetryCount;
        ask(key, found->second);
    }

    void publish(const std::string& key, const Item& item) {
        if (auto published = statuses->publish(key, item.status); !published)
            deps.log.write(Level::error, "downloader.publish_failed", {{"sha256", key}, {"error", published.error().what}});
    }

    Deps deps;
    std::unique_ptr<Publication<DownloaderStatus>> statuses;
    std::unique_ptr<Publication<types::ResolveStatus>> resolved;
    std::unique_ptr<Subscription<types::VaultStatus>> vault;
    std::unique_ptr<Subscription<types::ConfigItemValueMap>> items_topic;
    std::unique_ptr<Subscription<types::DeviceNetworkStatus>> network;
    std::unique_ptr<Subscription<types::DatastoreConfig>> datastores;
    std::unique_ptr<Subscription<DownloaderConfig>> configs;
    std::unique_ptr<Subscription<types::ResolveConfig>> resolves;
    types::ConfigItems settings;
    bool vault_ready = false, have_settings = false, started = false;
    std::map<std::string, Item> items;
    std::map<std::string, Resolution> resolutions;
    std::vector<std::string> queue;  ///< wants to start, in this order
    std::vector<std::string> old;
    std::size_t running = 0;
};

Agent::Agent(Deps deps) : impl_(std::make_shared<Impl>(deps)) { impl_->start(); }
Agent::~Agent() = default;

}  // namespace eve::downloader
