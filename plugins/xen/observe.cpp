#include "observe.hpp"

namespace eve::xen {

Observation observe(const DomainRecord& record, const std::optional<SeenDomain>& seen, bool device_model) {
    if (!seen) {
        if (!record.failure.empty()) return {DomainState::broken, record.failure};
        switch (record.phase) {
            case Phase::cut: return {DomainState::halted, "its power was cut"};
            case Phase::rebooting: return {DomainState::starting, "the guest reboots"};
            case Phase::started: return {DomainState::broken, "Xen does not have the domain any more: it was destroyed by another hand"};
            default: return {DomainState::broken, "its creation was interrupted"};
        }
    }
    if (record.phase == Phase::rebooting && record.failure.empty()) return {DomainState::starting, "the guest reboots"};
    if (seen->dying) return {record.phase == Phase::cut ? DomainState::halted : DomainState::halting, "Xen is taking the domain down"};
    if (seen->shut_down) {
        switch (seen->why) {
            case Shutdown::poweroff: return {DomainState::halted, "the guest powered itself off"};
            case Shutdown::suspend: return {DomainState::halted, "the guest suspended itself"};
            case Shutdown::crash: return {DomainState::broken, "the guest crashed"};
            case Shutdown::watchdog: return {DomainState::broken, "the guest's watchdog ended it"};
            case Shutdown::reboot:
            case Shutdown::soft_reset:
                if (!record.failure.empty()) return {DomainState::broken, record.failure};
                if (record.phase != Phase::started) return {DomainState::halted, "the guest rebooted while it was being ended"};
                return {DomainState::starting, "the guest reboots"};
            case Shutdown::other: break;
        }
        return {DomainState::broken, "the guest ended for a reason that Xen does not name"};
    }
    if (record.phase == Phase::creating) return {DomainState::broken, "its creation was interrupted"};
    if (record.device_model.pid != 0 && !device_model) return {DomainState::broken, "its device model (QEMU) died"};
    if (record.phase == Phase::created) return {seen->paused ? DomainState::defined : DomainState::running, ""};
    return {seen->paused ? DomainState::paused : DomainState::running, ""};
}

bool wants_reboot(const DomainRecord& record, const std::optional<SeenDomain>& seen) {
    if (record.phase == Phase::rebooting) return record.failure.empty();  // and was cut short by the plugin's end
    return record.phase == Phase::started && record.failure.empty() && seen && !seen->dying && seen->shut_down &&
           (seen->why == Shutdown::reboot || seen->why == Shutdown::soft_reset);
}

}  // namespace eve::xen
