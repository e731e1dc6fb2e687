#include "core/domainmgr/agent_impl.hpp"

#include "core/domainmgr/cloud_init.hpp"

namespace eve::domainmgr {

void Agent::Impl::prepare(Entry& entry) {
    const std::string uuid = uuid_of(entry);
    auto& domain = entry.domain;
    const auto refuse = [&](Error error, std::optional<Instant> retry_at) {
        deps_.log.write(Level::warn, "domain.prepare_failed", {{"domain", uuid}, {"error", error.what}});
        on_prepare_failed(domain, error, now(), retry_at);
        // Not from inside kick(): it is still at work on this domain.
        entry.busy = true;
        deps_.loop.post(later([this, uuid] {
            if (Entry* refused = find(uuid)) refused->busy = false;
            settle(uuid);
        }));
    };
    entry.runtime = runtimes_.choose(runtime_mode(domain.config.VirtualizationMode));
    if (entry.runtime == nullptr) {
        runtime_is_missed();
        refuse({.code = Code::unsupported,
                .what = "no runtime of this node can run the app in its virtualization mode",
                .hint = "evectl plugins shows what each runtime offers and why others were declined"},
               next_look());
        return;
    }
    if (auto taken = take_cpus(entry); !taken) {
        entry.wants_cpus = true;
        refuse(taken.error(), next_look());
        return;
    }
    entry.wants_cpus = false;
    auto disk = cloud_init_disk(domain.config);
    if (!disk) {
        refuse(disk.error(), next_look());
        return;
    }
    entry.busy = true;
    const std::uint64_t revision = domain.desired.revision;
    submit(
        "domain/" + uuid, files_limit,
        [&host = deps_.host, disks = domain.config.DiskConfigList, cloud_init = *std::move(disk)](const LaneContext&) -> Result<std::string> {
            for (const auto& volume : disks) {
                // The format of the others is not trusted either: the runtime is told it and never guesses.
                if (volume.Format != types::Format::QCOW2 && volume.Format != types::Format::RAW) continue;
                auto format = host.disk_format(volume.FileLocation);
                if (!format) return std::move(format).error().in("volume " + volume.VolumeKey);
                if (volume.Format == types::Format::QCOW2 && *format != volume.Format)
                    return Error{.code = Code::failed_precondition,
                                 .what = "volume " + volume.VolumeKey + " is " + to_string(*format) + ", not " + to_string(volume.Format)};
            }
            if (!cloud_init) return std::string();
            return host.write_cloud_init(*cloud_init);
        },
        [this, uuid, revision](Result<std::string> path) {
            Entry* prepared = find(uuid);
            if (prepared == nullptr) return;
            if (path && prepared->domain.desired.wanted() && prepared->domain.desired.revision == revision) {
                borrow(uuid, revision, *path);
                return;
            }
            prepared->busy = false;
            if (!path) {
                deps_.log.write(Level::warn, "domain.prepare_failed", {{"domain", uuid}, {"error", path.error().what}});
                on_prepare_failed(prepared->domain, path.error(), now(), next_look());
            } else if (!path->empty()) {
                prepared->domain.history.released = false;
            }
            settle(uuid);
        });
}

/// USB devices come and go while their app runs, so they are looked for as long as one may get some.
void Agent::Impl::usb_round() {
    std::set<types::Uuid> running;
    for (const auto& [uuid, entry] : domains_)
        if (entry.domain.status.State == types::SwState::RUNNING && entry.runtime != nullptr && entry.runtime->runtime().usb)
            running.insert(entry.domain.config.UUIDandVersion.UUID);
    desk_.on_table(devices_.table());
    desk_.on_running(running);
    const auto& bundles = devices_.table().IoBundleList;
    const bool wanted = std::any_of(bundles.begin(), bundles.end(), [&](const types::IoBundle& bundle) {
        return is_usb_device(bundle) && running.contains(bundle.UsedByUUID);
    });
    if (usb_looking_ || (!wanted && desk_.due().empty())) return;
    usb_looking_ = true;
    submit("domainmgr/usb", look_limit, [&host = deps_.host](const LaneContext&) { return host.usb_devices(); },
           [this](Result<std::vector<UsbDevice>> plugged) {
               usb_looking_ = false;
               if (plugged) desk_.on_devices({plugged->begin(), plugged->end()});
               for (const auto& action : desk_.due()) usb_act(action);
               if (!usb_timer_)
                   usb_timer_ = deps_.loop.after(usb_interval, later([this] {
                       usb_timer_.reset();
                       usb_round();
                   }));
           });
}

void Agent::Impl::usb_act(const UsbAction& action) {
    const std::string uuid = action.domain.to_string();
    const Entry* entry = find(uuid);
    const std::string name = usb_name(action.device);
    if (entry == nullptr || entry->runtime == nullptr || !usb_under_way_.insert(name).second) return;
    const bool attach = action.kind == UsbAction::Kind::attach;
    submit(
        "domain/" + uuid, step_limit,
        [usb = entry->runtime->runtime().usb, &clock = deps_.loop.clock(), id = ++calls_, attach,
         device = UsbAttachment{.domain = DomainId{uuid}, .name = name, .bus = action.device.bus, .device = action.device.device}](const LaneContext& lane) {
            const LaneCall call(lane, clock, id);
            return attach ? usb->plug(call, device) : usb->unplug(call, device);
        },
        [this, action, attach, uuid, name](Status done) {
            usb_under_way_.erase(name);
            deps_.log.write(done ? Level::info : Level::warn, attach ? "domain.usb_attached" : "domain.usb_detached",
                            {{"domain", uuid}, {"device", name}, {"error", done ? std::string() : done.error().what}});
            // What failed is still due at the next round.
            if (done) desk_.done(action);
        });
}

/// The last part of preparing: the devices of the host that it asks for.
void Agent::Impl::borrow(const std::string& uuid, std::uint64_t revision, const std::string& cloud_init_path) {
    Entry& entry = *find(uuid);
    const auto state_of = [this](const types::Uuid& app) {
        const Entry* other = find(app.to_string());
        return other == nullptr ? types::SwState::INITIAL : other->domain.status.State;
    };
    devices_.lend({.config = entry.domain.config,
                   .container = runtime_mode(entry.domain.config.VirtualizationMode) == VirtualizationMode::container,
                   .runtime = entry.runtime == nullptr ? eve::Capabilities{} : entry.runtime->runtime().description.capabilities,
                   .state_of = state_of},
                  [this, uuid, revision, cloud_init_path](Devices::Answer answer) {
                      Entry* asked = find(uuid);
                      if (asked == nullptr) return;
                      asked->busy = false;
                      if (!answer.lent) {
                          deps_.log.write(Level::warn, "domain.adapters_refused", {{"domain", uuid}, {"error", answer.refused.Error}});
                          on_adapters_refused(asked->domain, answer.refused, next_look());
                      } else if (asked->domain.desired.wanted() && asked->domain.desired.revision == revision) {
                          asked->cloud_init_path = cloud_init_path;
                          asked->lent = *std::move(answer.lent);
                          on_prepared(asked->domain, cloud_init_path);
                      } else if (!cloud_init_path.empty()) {
                          asked->domain.history.released = false;
                      }
                      settle(uuid);
                  });
}

/// What it was lent goes to whoever waits for it, at once.
void Agent::Impl::give_back_devices(Entry& entry) {
    entry.lent = {};
    if (entry.domain.config.IoAdapterList.empty() && entry.domain.status.IoAdapterList.empty()) return;
    if (!devices_.take_back(entry.domain.config.UUIDandVersion.UUID)) return;
    const std::string freed = uuid_of(entry);
    for (auto& [uuid, other] : domains_) {
        if (uuid == freed || !other.domain.status.AdaptersFailed) continue;
        other.domain.history.not_before = deps_.loop.now();
        deps_.loop.post(later([this, waiting = uuid] { kick(waiting); }));
    }
}

}  // namespace eve::domainmgr
