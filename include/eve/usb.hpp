#pragma once
// USB devices that come and go while a guest runs: an optional part of a hypervisor's plugin (usb/1), offered where `describe` lists it.

#include <cstdint>
#include <string>

#include "eve/domain.hpp"
#include "eve/host.hpp"
#include "eve/result.hpp"

namespace eve {
EVE_SDK_NAMESPACE {

/// A device plugged into the host, for one domain. `name` is the node's: unique among the domain's devices, [0-9a-zA-Z._-], at most 63 bytes.
struct UsbAttachment {
    DomainId domain;
    std::string name;
    std::uint32_t bus = 0;     ///< as the kernel numbers it
    std::uint32_t device = 0;  ///< its address on that bus, another one after each plugging
    friend bool operator==(const UsbAttachment&, const UsbAttachment&) = default;
};

/// USB devices of running domains. Holds for every method what eve/hypervisor.hpp says of its methods.
class Usb {
public:
    virtual ~Usb() = default;

    /// The domain has the device; a second call with the same name changes nothing. [lane]
    ///
    /// Errors: not_found - no such domain; failed_precondition - it does not run, or has no place left; unavailable - the monitor does not
    ///         answer, or the device is not there any more.
    virtual Status plug(const CallContext& call, const UsbAttachment& device) = 0;

    /// The domain does not have the device. Succeeds for what it never had, and for a domain that is gone. [lane]
    ///
    /// Errors: unavailable - the monitor does not answer, effect unknown.
    virtual Status unplug(const CallContext& call, const UsbAttachment& device) = 0;
};

}  // EVE_SDK_NAMESPACE
}  // namespace eve
