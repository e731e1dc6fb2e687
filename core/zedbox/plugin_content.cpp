#include "core/zedbox/plugin_content.hpp"

#include <atomic>
#include <chrono>
#include <optional>
#include <utility>

#include "core/plugin/registry.hpp"

namespace eve::zedbox {
namespace {

constexpr std::chrono::seconds open_again{5};  ///< after a plugin that could not be opened

}  // namespace

class PluginContents::Keeper final : public Content {
public:
    Keeper(PluginContents& all, std::string name) : all_(all), process_(all.process_), name_(std::move(name)) {}

    Result<ContentInfo> stat(const CallContext& call, const std::string& digest) override {
        return asked<ContentInfo>([&](Content& content) { return content.stat(call, digest); });
    }
    Result<ContentWritten> write(const CallContext& call, const ContentWrite& content) override {
        return asked<ContentWritten>([&](Content& to) { return to.write(call, content); });
    }
    Result<ContentPart> read(const CallContext& call, const ContentRead& part) override {
        return asked<ContentPart>([&](Content& content) { return content.read(call, part); });
    }
    Result<ContentPage> list(const CallContext& call, const std::string& after) override {
        return asked<ContentPage>([&](Content& content) { return content.list(call, after); });
    }
    Status remove(const CallContext& call, const std::string& digest) override {
        auto content = opened();
        return content ? (*content)->remove(call, digest) : Status(std::move(content).error());
    }
    Status protect(const CallContext& call, const ContentProtection& protection) override {
        auto content = opened();
        return content ? (*content)->protect(call, protection) : Status(std::move(content).error());
    }

private:
    template <class T, class Ask> Result<T> asked(Ask ask) {
        auto content = opened();
        if (!content) return std::move(content).error();
        return ask(**content);
    }

    Result<Content*> opened() {
        const std::lock_guard lock(mutex_);
        if (changed_.exchange(false) && registry_) all_.show(name_, registry_->status());
        if (content_ != nullptr) return content_;
        if (failed_ && process_.clock.now() < next_) return *failed_;
        auto options = registry_options(process_);
        options.order = {name_};
        options.services.clear();
        options.service_prefix.assign(1, '/');  // no file is called so: nothing but the one
        options.state_dir = process_.root.path("/persist/content-plugins");
        options.run_dir = process_.root.path("/run/content-plugins");
        registry_ = std::make_unique<plugin::Registry>(std::move(options),
                                                       plugin::Registry::Deps{.log = process_.log, .on_event = {}, .on_change = [this](const auto&, const auto&) { changed_ = true; }});
        registry_->open();
        all_.show(name_, registry_->status());
        for (const auto& used : registry_->used())
            if (used.name == name_) content_ = used.content;
        if (content_ != nullptr) {
            failed_.reset();
            return content_;
        }
        failed_ = Error{.code = Code::unavailable, .what = "plugin " + name_ + " does not keep content"};
        for (const auto& status : registry_->status()) {
            if (status.name != name_) continue;
            if (status.state != plugin::PluginState::used) failed_->what = "plugin " + name_ + " cannot be used: " + status.reason;
            failed_->hint = status.hint;
        }
        if (registry_->status().empty()) failed_->what = "plugin " + name_ + " is not installed";
        registry_.reset();
        next_ = process_.clock.now() + open_again;
        return *failed_;
    }

    PluginContents& all_;
    Process& process_;
    const std::string name_;
    std::atomic<bool> changed_ = false;  ///< its host died, or is back: what was shown of it is old
    std::mutex mutex_;  // guards what follows
    std::unique_ptr<plugin::Registry> registry_;
    Content* content_ = nullptr;  // the registry's
    std::optional<Error> failed_;
    Instant next_{};
};

PluginContents::PluginContents(Process& process) : process_(process), list_(process, "volumemgr") {}
PluginContents::~PluginContents() = default;

Content& PluginContents::find(const std::string& name) {
    const std::lock_guard lock(mutex_);
    auto& keeper = keepers_[name];
    if (!keeper) keeper = std::make_unique<Keeper>(*this, name);
    return *keeper;
}

/// For `evectl plugins`: these hosts are others than domainmgr's.
void PluginContents::show(const std::string& name, std::vector<plugin::PluginStatus> statuses) {
    const std::lock_guard lock(shown_mutex_);
    shown_[name] = std::move(statuses);
    std::vector<plugin::PluginStatus> all;
    for (const auto& [keeper, seen] : shown_) all.insert(all.end(), seen.begin(), seen.end());
    list_.write(all);
}

}  // namespace eve::zedbox
