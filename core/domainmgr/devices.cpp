#include "core/domainmgr/devices.hpp"

#include <algorithm>
#include <utility>

namespace eve::domainmgr {

namespace {

using namespace std::chrono_literals;

constexpr const char* lane_name = "domainmgr/devices";
constexpr std::chrono::nanoseconds job_limit = 2min;
constexpr std::chrono::nanoseconds retry_after = 1min;

class DeviceCall final : public CallContext {
public:
    DeviceCall(const LaneContext& lane, const Clock& clock) : lane_(lane), clock_(clock) {}
    std::uint64_t id() const override { return 0; }
    std::chrono::nanoseconds time_left() const override { return std::max(std::chrono::nanoseconds{0}, lane_.deadline() - clock_.now()); }
    bool cancelled() const override { return lane_.cancelled(); }
    int cancel_fd() const override { return lane_.cancel_fd(); }

private:
    const LaneContext& lane_;
    const Clock& clock_;
};

bool matches(const BoardDevice& rule, const PciDevice& device, BoardStep step) {
    return (rule.vendor.empty() || rule.vendor == device.vendor) && (rule.device.empty() || rule.device == device.device) &&
           (rule.address.empty() || rule.address == device.address) && std::find(rule.steps.begin(), rule.steps.end(), step) != rule.steps.end();
}

enum class Side { before, after };

/// What the boards' plugins do at a step of a device. An error before the step stops it.
Status at_step(const std::vector<std::shared_ptr<Board>>& boards, const CallContext& call, Side side, BoardStep step, const PciDevice& device) {
    for (const auto& board : boards) {
        const auto rules = board->devices(call);
        if (!rules || std::none_of(rules->begin(), rules->end(), [&](const BoardDevice& rule) { return matches(rule, device, step); })) continue;
        auto done = side == Side::before ? board->before(call, {.step = step, .device = device}) : board->after(call, {.step = step, .device = device});
        if (!done) return std::move(done).error().in("the board's plugin, for " + device.address);
    }
    return {};
}

std::string use_name(PciUse use) {
    switch (use) {
        case PciUse::unknown: return "unknown";
        case PciUse::idle: return "idle";
        case PciUse::bound: return "bound";
        case PciUse::essential: return "essential";
        case PciUse::reserved: return "reserved";
        case PciUse::assigned: return "assigned";
    }
    return "unknown";
}

bool for_guests(const PciDevice& device) { return device.use == PciUse::reserved || device.use == PciUse::assigned; }

}  // namespace

/// The host has each device behind these interfaces; as which interfaces.
Result<std::map<std::string, std::string>> Devices::to_host(const Assigner& assigner, const Seen& seen, const CallContext& call,
                                                            const std::map<std::string, std::string>& behind) {
    std::map<std::string, std::string> interfaces;
    for (const auto& [name, address] : behind) {
        const auto* device = seen.hardware.find(address);
        if (device == nullptr) return Error{.code = Code::not_found, .what = address + ": there is no such device"};
        PciDevice now = *device;
        if (for_guests(now)) {
            if (!assigner.pci) return Error{.code = Code::unavailable, .what = assigner.why_not};
            if (auto ready = at_step(seen.boards, call, Side::before, BoardStep::unbind, now); !ready) return std::move(ready).error();
            auto released = assigner.pci->release(call, {address});
            if (!released) return std::move(released).error();
            for (auto& each : *released)
                if (each.address == address) now = std::move(each);
            if (auto after = at_step(seen.boards, call, Side::after, BoardStep::unbind, now); !after) return std::move(after).error();
        }
        if (now.interfaces.empty())
            return Error{.code = Code::unavailable, .what = address + " makes no network interface with driver " + (now.driver.empty() ? "none" : now.driver) + " yet"};
        const bool as_modelled = std::find(now.interfaces.begin(), now.interfaces.end(), name) != now.interfaces.end();
        interfaces[name] = as_modelled ? name : now.interfaces.front();
    }
    return interfaces;
}

template <class Work, class Done> void Devices::submit(Work work, Done done) {
    deps_.lanes.submit(
        lane_name,
        [&runtimes = deps_.runtimes, &clock = deps_.loop.clock(), work = std::move(work)](const LaneContext& lane) mutable {
            return work(runtimes, DeviceCall(lane, clock));
        },
        [alive = std::weak_ptr<char>(alive_), done = std::move(done)](auto result) mutable {
            if (!alive.expired()) done(std::move(result));
        },
        Lanes::Options{.time_limit = job_limit});
}

// ---- what others say ----

void Devices::on_model(const types::PhysicalIOAdapterList& model) {
    model_ = model;
    not_before_.clear();
    recompute();
    refresh();
}

void Devices::on_network(const types::DeviceNetworkStatus& network) {
    inputs_.network = network;
    have_network_ = !network.DPCKey.empty() && !network.Ports.empty();
    recompute();
    refresh();
}

void Devices::on_access(bool usb, bool vga) {
    if (inputs_.usb_access == usb && inputs_.vga_access == vga) return;
    inputs_.usb_access = usb;
    inputs_.vga_access = vga;
    recompute();
}

void Devices::on_probed() { refresh(); }

types::PciInventory Devices::inventory() const {
    types::PciInventory out;
    out.Known = hardware_.known;
    out.Trouble = hardware_.trouble;
    for (const auto& [address, device] : hardware_.devices) {
        out.IOVirtualization = out.IOVirtualization || !device.group.empty();
        out.Devices.push_back({.Address = address,
                               .Vendor = device.vendor,
                               .Device = device.device,
                               .DeviceClass = device.device_class,
                               .Driver = device.driver,
                               .Group = device.group,
                               .Interfaces = device.interfaces,
                               .Disks = device.disks,
                               .Bridge = device.bridge,
                               .Use = use_name(device.use),
                               .Why = device.why});
    }
    return out;
}

// ---- the table ----

Devices::Seen Devices::look(Runtimes& runtimes, const CallContext& call) {
    Seen seen{.boards = runtimes.boards()};
    const auto assigner = runtimes.assigner();
    seen.hardware.trouble = assigner.why_not;
    if (!assigner.pci) return seen;
    auto devices = assigner.pci->list(call);
    if (!devices) {
        seen.hardware.trouble = devices.error().what;
        return seen;
    }
    seen.hardware.known = true;
    for (auto& device : *devices) seen.hardware.devices.emplace(device.address, std::move(device));
    return seen;
}

void Devices::refresh() {
    if (std::exchange(looking_, true)) {
        look_again_ = true;
        return;
    }
    submit([](Runtimes& runtimes, const CallContext& call) { return look(runtimes, call); },
           [this](Seen seen) {
               looking_ = false;
               hardware_ = std::move(seen.hardware);
               recompute();
               if (std::exchange(look_again_, false)) refresh();
           });
}

void Devices::recompute() {
    if (!ready()) return;
    const auto before = table_;
    table_ = merge_model(table_, model_, hardware_, wall());
    for (const auto& old : before.IoBundleList) {
        const bool referenced = std::any_of(table_.IoBundleList.begin(), table_.IoBundleList.end(),
                                            [&](const types::IoBundle& bundle) { return bundle.PciLong == old.PciLong; });
        if (old.IsPCIBack && !referenced) leftover_.insert(old.PciLong);
    }
    for (auto& bundle : table_.IoBundleList)
        if (const auto* device = hardware_.find(bundle.PciLong); !is_usb_device(bundle)) bundle.IsPCIBack = device != nullptr && for_guests(*device);
    validate(table_, hardware_, wall());
    decide_places(table_, hardware_, inputs_, wall());
    deps_.changed();
    make_functions();
    start_transfer();
}

void Devices::complain(const std::vector<std::string>& addresses, const std::string& text) {
    // A warning: the next try may succeed, and only a try can tell.
    for (auto& bundle : table_.IoBundleList)
        if (std::find(addresses.begin(), addresses.end(), bundle.PciLong) != addresses.end() && !bundle.PciLong.empty())
            set_errors(bundle, Blame::binding, text.empty() ? std::vector<Complaint>{} : std::vector<Complaint>{{.text = text, .warning = true}}, wall());
}

/// One group of devices goes to the guests' driver or back; then everything is looked at again.
void Devices::start_transfer() {
    if (transferring_ || !hardware_.known) return;
    auto wanted = transfers(table_, hardware_, inputs_);
    for (const auto& address : leftover_) wanted.insert(wanted.begin(), {.direction = Transfer::Direction::to_host, .addresses = {address}});
    const auto now = deps_.loop.now();
    const auto next = std::find_if(wanted.begin(), wanted.end(), [&](const Transfer& transfer) {
        return std::none_of(transfer.addresses.begin(), transfer.addresses.end(), [&](const std::string& address) {
            const auto* device = hardware_.find(address);
            const auto waits = not_before_.find(address);
            return (device != nullptr && device->use == PciUse::assigned) || (waits != not_before_.end() && waits->second > now);
        });
    });
    if (next == wanted.end()) return;
    transferring_ = true;
    const Transfer transfer = *next;
    struct Done {
        Status status;
        Seen seen;
    };
    submit(
        [transfer, needs = needs_of(table_)](Runtimes& runtimes, const CallContext& call) -> Done {
            auto seen = look(runtimes, call);
            const auto assigner = runtimes.assigner();
            if (!assigner.pci) return {.status = Error{.code = Code::unavailable, .what = assigner.why_not}, .seen = std::move(seen)};
            const auto step = transfer.direction == Transfer::Direction::to_guests ? BoardStep::bind : BoardStep::unbind;
            Status status;
            for (const auto& address : transfer.addresses)
                if (const auto* device = seen.hardware.find(address); device != nullptr && status)
                    status = at_step(seen.boards, call, Side::before, step, *device);
            if (!status) return {.status = std::move(status), .seen = std::move(seen)};
            Result<std::vector<PciDevice>> moved = std::vector<PciDevice>{};
            if (step == BoardStep::bind) {
                PciSet set{.needs = needs};
                for (const auto& address : transfer.addresses) set.devices.push_back({.address = address});
                moved = assigner.pci->reserve(call, set);
            } else {
                moved = assigner.pci->release(call, transfer.addresses);
            }
            if (!moved) return {.status = moved.error(), .seen = look(runtimes, call)};
            for (const auto& device : *moved)
                if (auto after = at_step(seen.boards, call, Side::after, step, device); !after) status = std::move(after);
            return {.status = std::move(status), .seen = look(runtimes, call)};
        },
        [this, transfer](Done done) {
            transferring_ = false;
            hardware_ = std::move(done.seen.hardware);
            const bool to_guests = transfer.direction == Transfer::Direction::to_guests;
            std::string addresses;
            for (const auto& address : transfer.addresses) addresses += (addresses.empty() ? "" : " ") + address;
            if (done.status) {
                deps_.log.write(Level::info, to_guests ? "devices.held_for_guests" : "devices.given_to_host", {{"devices", addresses}});
                for (const auto& address : transfer.addresses) leftover_.erase(address);
                complain(transfer.addresses, "");
            } else {
                deps_.log.write(Level::warn, "devices.transfer_failed",
                                {{"devices", addresses}, {"to", to_guests ? "guests" : "host"}, {"error", done.status.error().what}});
                for (const auto& address : transfer.addresses) {
                    not_before_[address] = deps_.loop.now() + retry_after;
                    if (hardware_.find(address) == nullptr) leftover_.erase(address);
                }
                complain(transfer.addresses, done.status.error().what);
                deps_.loop.after(retry_after + 1s, later([this] { refresh(); }));
            }
            recompute();
        });
}

/// Physical functions are split as the model says, and each virtual function is in the table.
void Devices::make_functions() {
    for (const auto& physical : std::vector<types::IoBundle>(table_.IoBundleList)) {
        if (physical.Type != types::IoType::IoNetEthPF || physical.Vfs.Count == 0 || has_hard_error(physical)) continue;
        const auto* device = hardware_.find(physical.PciLong);
        if (device == nullptr || split_failed_.contains(physical.PciLong)) continue;
        std::size_t known = 0;
        for (const auto& bundle : table_.IoBundleList) {
            const auto name = bundle.Type == types::IoType::IoNetEthVF ? parse_function_name(bundle.Phylabel) : std::nullopt;
            if (name && name->physical == physical.Phylabel) ++known;
        }
        if (known == physical.Vfs.Count && device->functions == physical.Vfs.Count) continue;
        split_failed_[physical.PciLong] = "under way";
        struct Done {
            Result<std::vector<PciDevice>> functions;
            Seen seen;
        };
        submit(
            [address = physical.PciLong, count = physical.Vfs.Count](Runtimes& runtimes, const CallContext& call) -> Done {
                const auto assigner = runtimes.assigner();
                if (!assigner.pci) return {.functions = Error{.code = Code::unavailable, .what = assigner.why_not}, .seen = look(runtimes, call)};
                auto functions = assigner.pci->split(call, {.address = address, .functions = count});
                return {.functions = std::move(functions), .seen = look(runtimes, call)};
            },
            [this, physical](Done done) {
                hardware_ = std::move(done.seen.hardware);
                if (!done.functions) {
                    const auto& error = done.functions.error();
                    split_failed_[physical.PciLong] = error.what;
                    deps_.log.write(Level::warn, "devices.split_failed", {{"device", physical.PciLong}, {"error", error.what}});
                    complain({physical.PciLong}, error.what);
                    deps_.changed();
                    if (error.code != Code::invalid_argument && error.code != Code::unsupported)
                        deps_.loop.after(retry_after, later([this, address = physical.PciLong] {
                            split_failed_.erase(address);
                            refresh();
                        }));
                    return;
                }
                split_failed_.erase(physical.PciLong);
                for (std::size_t i = 0; i < done.functions->size(); ++i) {
                    auto bundle = function_bundle(physical, static_cast<std::uint8_t>(i), (*done.functions)[i]);
                    const bool there = std::any_of(table_.IoBundleList.begin(), table_.IoBundleList.end(),
                                                   [&](const types::IoBundle& each) { return each.Phylabel == bundle.Phylabel; });
                    if (!there) table_.IoBundleList.push_back(std::move(bundle));
                }
                recompute();
            });
    }
}

// ---- domains ----

void Devices::lend(const Request& request, std::function<void(Answer)> done) {
    const auto& config = request.config;
    const auto app = config.UUIDandVersion.UUID;
    const auto answer = [this](std::function<void(Answer)> to, Answer with) {
        deps_.loop.post(later([to = std::move(to), with = std::move(with)] { to(with); }));
    };
    if (config.IoAdapterList.empty()) return answer(std::move(done), {.lent = Lent{}});
    auto reserved = reserve(table_, hardware_, config.IoAdapterList,
                            {.app = app, .container = request.container, .runtime = request.runtime, .state_of = request.state_of});
    if (!reserved.granted()) {
        reserved.error.ErrorTime = wall();
        return answer(std::move(done), {.refused = std::move(reserved.error)});
    }
    Lent lent{.adapters = adapters_of(table_, reserved, config.EnforceNetworkInterfaceOrder)};
    PciSet set{.devices = claims_of(table_, reserved), .needs = needs_of(table_)};
    deps_.changed();
    // What cannot be told apart goes with it, bound but not given.
    for (const auto& grant : reserved.grants)
        if (grant.handover == Handover::pci)
            for (const auto index : expanded_group(table_, hardware_, grant.index)) {
                const auto& address = table_.IoBundleList[index].PciLong;
                const bool known = std::any_of(set.devices.begin(), set.devices.end(), [&](const PciClaim& claim) { return claim.address == address; });
                if (!known && !address.empty()) set.devices.push_back({.address = address});
            }
    // A container's interfaces are the host's, moved: their devices must have the host's driver, not the guests'.
    std::map<std::string, std::string> behind;  // interface as the model calls it -> its device
    for (const auto& grant : reserved.grants) {
        const auto& bundle = table_.IoBundleList[grant.index];
        if (grant.handover == Handover::interface && hardware_.find(bundle.PciLong) != nullptr) behind[bundle.Ifname] = bundle.PciLong;
    }
    if (set.devices.empty() && behind.empty()) return answer(std::move(done), {.lent = std::move(lent)});
    struct Done {
        Status status;
        BoardAdjustment adjustment;
        Seen seen;
        std::map<std::string, std::string> interfaces = {};  // as the model calls them -> as they are called now
    };
    BoardDomain domain{.id = DomainId{app.to_string()}, .name = config.DisplayName};
    submit(
        [set, domain, behind](Runtimes& runtimes, const CallContext& call) mutable -> Done {
            auto seen = look(runtimes, call);
            const auto assigner = runtimes.assigner();
            auto interfaces = to_host(assigner, seen, call, behind);
            if (!interfaces) return {.status = std::move(interfaces).error(), .adjustment = {}, .seen = look(runtimes, call)};
            if (set.devices.empty()) return {.status = {}, .adjustment = {}, .seen = look(runtimes, call), .interfaces = std::move(*interfaces)};
            if (!assigner.pci) return {.status = Error{.code = Code::unavailable, .what = assigner.why_not}, .adjustment = {}, .seen = std::move(seen)};
            Status status;
            for (const auto& claim : set.devices) {
                const auto* device = seen.hardware.find(claim.address);
                if (device == nullptr || !status) continue;
                // Held for guests already, so the last one who had it was a guest, or nobody.
                status = at_step(seen.boards, call, Side::before, for_guests(*device) ? BoardStep::reset : BoardStep::bind, *device);
            }
            if (!status) return {.status = std::move(status), .adjustment = {}, .seen = std::move(seen)};
            auto bound = assigner.pci->reserve(call, set);
            if (!bound) return {.status = bound.error(), .adjustment = {}, .seen = look(runtimes, call)};
            domain.devices = *bound;
            BoardAdjustment all;
            for (const auto& device : *bound) {
                const auto* earlier = seen.hardware.find(device.address);
                const bool was_held = earlier != nullptr && for_guests(*earlier);
                if (auto after = at_step(seen.boards, call, Side::after, was_held ? BoardStep::reset : BoardStep::bind, device); !after)
                    all.notes.push_back(after.error().what);
            }
            for (const auto& board : seen.boards) {
                auto adjustment = board->adjust(call, domain);
                if (!adjustment) return {.status = adjustment.error(), .adjustment = {}, .seen = look(runtimes, call)};
                all.vmm_args.insert(all.vmm_args.end(), adjustment->vmm_args.begin(), adjustment->vmm_args.end());
                all.notes.insert(all.notes.end(), adjustment->notes.begin(), adjustment->notes.end());
            }
            return {.status = {}, .adjustment = std::move(all), .seen = look(runtimes, call), .interfaces = std::move(*interfaces)};
        },
        [this, app, set, lent = std::move(lent), done = std::move(done)](Done worked) mutable {
            hardware_ = std::move(worked.seen.hardware);
            std::vector<std::string> addresses;
            for (const auto& claim : set.devices) addresses.push_back(claim.address);
            if (worked.status) {
                lent.vmm_args = std::move(worked.adjustment.vmm_args);
                lent.notes = std::move(worked.adjustment.notes);
                for (auto& adapter : lent.adapters)
                    if (const auto now = worked.interfaces.find(adapter.address); adapter.kind == AdapterKind::interface && now != worked.interfaces.end())
                        adapter.address = now->second;
                complain(addresses, "");
                recompute();
                done({.lent = std::move(lent)});
                return;
            }
            release(table_, app);
            const auto& error = worked.status.error();
            deps_.log.write(Level::warn, "devices.lend_failed", {{"domain", app.to_string()}, {"error", error.what}});
            complain(addresses, error.what);
            recompute();
            Answer refused;
            refused.refused.Error = error.what;
            if (!error.hint.empty()) refused.refused.Error += " (" + error.hint + ")";
            refused.refused.ErrorSeverity = types::ErrorSeverity::ErrorSeverityError;
            refused.refused.ErrorRetryCondition = "will be tried again while it is wanted";
            refused.refused.ErrorTime = wall();
            done(std::move(refused));
        });
}

void Devices::adopt(const types::Uuid& app, const std::vector<types::IoAdapter>& adapters) {
    bool any = false;
    for (const auto& adapter : adapters)
        for (const auto index : lookup(table_, adapter.Name)) {
            auto& bundle = table_.IoBundleList[index];
            if (is_used(bundle)) continue;
            bundle.UsedByUUID = app;
            any = true;
        }
    if (any) recompute();
}

bool Devices::take_back(const types::Uuid& app) {
    if (!release(table_, app)) return false;
    not_before_.clear();
    recompute();
    refresh();
    return true;
}

}  // namespace eve::domainmgr
