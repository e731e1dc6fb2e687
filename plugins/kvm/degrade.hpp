#pragma once
// What a plan loses because this machine does not have it, and what it gains so that QEMU needs no privilege: two pure steps between EVE's
// form and what is run.

#include <cstdint>
#include <string>
#include <vector>

#include "qemu_config.hpp"

namespace eve::kvm {

/// What was found of this machine, by trying.
struct HostFacts {
    bool kvm = false;          ///< a guest ran on the CPU
    std::string kvm_reason;    ///< why not
    bool vhost_net = false;
    bool vhost_vsock = false;
    bool io_uring = false;
    bool iommu = false;        ///< there are IOMMU groups
    friend bool operator==(const HostFacts&, const HostFacts&) = default;
};

/// The plan without what this machine cannot do. Returns a sentence for each thing taken away.
std::vector<std::string> degrade(QemuPlan& plan, const HostFacts& facts);

/// One descriptor that QEMU is started with, in place of a path that it would need rights to open.
struct Handover {
    enum class Kind : std::uint8_t {
        config,        ///< the configuration text
        copy,          ///< the content of `path`, readable
        read_only,     ///< `path` opened for reading
        read_write,    ///< `path` opened for both
        append,        ///< the console's log
        listen,        ///< a listening unix socket called `path` in the domain's directory
        report,        ///< the file `path` in the domain's directory, which the guest appends to
        share,         ///< a connection to what serves a file system; `path` is its directory in the domain's
        tap,           ///< the interface called `path`
        vhost_net,
        vhost_vsock,
    };
    Kind kind = Kind::config;
    std::string path;
    std::uint32_t fd = 0;      ///< its number in QEMU
    std::string section;       ///< whose it is, for error messages
    friend bool operator==(const Handover&, const Handover&) = default;
};

/// The first number that is handed over; 0 to 2 are the standard ones.
inline constexpr std::uint32_t first_handed_fd = 3;

/// The plan with every path that needs a right replaced by a descriptor, seccomp on and no script run; the descriptors to hand over, in the
/// order of their numbers.
std::vector<Handover> confine(QemuPlan& plan);

}  // namespace eve::kvm
