#pragma once
// Everything that the plugin asks of Xen, one function for each thing asked, in plain values. The real one is libxl_xen.cpp, tests have a
// fake. Each call is back by its limit, whatever state xenstored or a hotplug script is in.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/limit.hpp"
#include "config.hpp"
#include "eve/result.hpp"

namespace eve::xen {

using plugins::Limit;

/// Why a domain shut itself down; the numbers are Xen's (sched.h).
enum class Shutdown : std::uint8_t { poweroff = 0, reboot = 1, suspend = 2, crash = 3, watchdog = 4, soft_reset = 5, other = 255 };

/// One domain as the hypervisor sees it.
struct SeenDomain {
    std::uint32_t domid = 0;
    std::string uuid;
    bool paused = false;
    bool shut_down = false;
    Shutdown why = Shutdown::other;
    bool dying = false;
    std::uint32_t vcpus = 0;
    std::uint64_t memory_kib = 0;
    std::uint64_t memory_max_kib = 0;
    std::uint64_t cpu_ns = 0;
    friend bool operator==(const SeenDomain&, const SeenDomain&) = default;
};

/// The machine as the hypervisor sees it.
struct SeenHost {
    std::string version;
    std::uint64_t memory_kib = 0;
    std::uint64_t memory_free_kib = 0;
    std::uint32_t cpus = 0;
    std::uint32_t cpu_id_max = 0;  ///< CPUs that are off have numbers, too
    bool hvm = false;
    bool directio = false;
    friend bool operator==(const SeenHost&, const SeenHost&) = default;
};

/// Xen's toolstack. Calls may come from several threads.
class Xen {
public:
    virtual ~Xen() = default;

    /// Success: this machine runs Xen, we are its control domain, and xenstored answers.
    ///
    /// Errors: unsupported - it is not such a machine, or Xen's libraries are missing; unavailable - it is, but something does not answer.
    virtual Status ready(const Limit& limit) = 0;

    /// By hypercalls alone: also answered when xenstored is dead.
    virtual Result<SeenHost> host() = 0;
    virtual Result<std::vector<SeenDomain>> domains() = 0;
    /// Errors: not_found - Xen has no such domain.
    virtual Result<SeenDomain> domain(std::uint32_t domid) = 0;

    /// The domain is there, paused, with its devices; its number. `keep` is text that stays with it as long as it exists. On failure nothing
    /// of it is left, but after timed_out and cancelled. Errors: resource_exhausted - Xen has less memory than it takes, in figures.
    virtual Result<std::uint32_t> create(const XenConfig& config, const std::string& keep, const Limit& limit) = 0;
    virtual Status unpause(std::uint32_t domid, const Limit& limit) = 0;
    /// The guest is asked to power off, by xenstore where it has drivers for that, and by its power button if `button`.
    virtual Status ask_to_halt(std::uint32_t domid, bool button, const Limit& limit) = 0;
    /// Nothing is left of it. A domain that is not there is a success.
    virtual Status destroy(std::uint32_t domid, const Limit& limit) = 0;
    /// The control domain has a device again that a domain had: until then Xen keeps it in quarantine, and its DMA ends nowhere.
    virtual Status give_back(const XenPci& device) = 0;
    /// What Xen's vif-bridge leaves in xenstore of an interface that has a name of our choosing is gone.
    virtual Status sweep(const std::string& vif, const Limit& limit) = 0;
    /// The pid of its device model; 0: it has none.
    virtual Result<std::int64_t> device_model(std::uint32_t domid, const Limit& limit) = 0;
    /// What create() was told to keep; empty: it was made by somebody else.
    virtual Result<std::string> kept(std::uint32_t domid, const Limit& limit) = 0;

    /// From now on `notice` is called, on a thread of its own, when a domain that is watched shut down or is gone; domid 0: look at all.
    virtual void listen(std::function<void(std::uint32_t domid)> notice) = 0;
    virtual void watch(std::uint32_t domid) = 0;
};

/// The real one.
std::unique_ptr<Xen> make_libxl_xen(const Settings& settings);

}  // namespace eve::xen
