#pragma once
// pci/1 over sysfs: devices are bound for guests by driver_override, seen in the driver link, and given back the same way. What is reserved is
// read from sysfs each time: there is no record that could be wrong after a crash.

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "eve/pci.hpp"
#include "host_calls.hpp"
#include "sysfs.hpp"
#include "topology.hpp"

namespace eve::pci {

struct Options {
    std::string binding;                              ///< the driver for guests; empty: pciback if it is there, else vfio-pci
    HostFiles files;
    std::chrono::milliseconds write_limit{5000};      ///< for one write to sysfs
    std::chrono::milliseconds settle_limit{1000};     ///< for a driver link to follow
    std::chrono::milliseconds functions_limit{150000};  ///< for virtual functions to appear; a call's own limit is mostly shorter
};

class PciAssigner final : public Pci {
public:
    /// What it works on. All outlive it.
    struct Parts {
        Sysfs& sysfs;
        Vfio& vfio;
        FunctionSetter& functions;
    };
    PciAssigner(Parts parts, Options options) : sysfs_(parts.sysfs), vfio_(parts.vfio), functions_(parts.functions), options_(std::move(options)) {}

    Result<PciDescription> describe(const CallContext& call) override;
    Result<ProbeReport> probe(const CallContext& call) override;
    Result<std::vector<PciGroup>> groups(const CallContext& call) override;
    Result<std::vector<PciDevice>> reserve(const CallContext& call, const PciSet& set) override;
    Result<std::vector<PciDevice>> release(const CallContext& call, const std::vector<std::string>& addresses) override;
    Result<std::vector<PciDevice>> list(const CallContext& call) override;
    Result<std::vector<PciDevice>> split(const CallContext& call, const PciSplit& wanted) override;

private:
    using Devices = std::map<std::string, PciDevice>;
    /// A device as it was before.
    struct Before {
        std::string address;
        std::string driver;
        std::string driver_override;
    };

    std::string binding() const;
    bool has_iommu();
    Devices look();
    Status check_set(const PciSet& set, const Devices& devices);
    Status check_groups(const PciSet& set, const Devices& devices);
    Status bind(const CallContext& call, const PciDevice& device, const std::string& driver);
    Status unbind(const CallContext& call, const std::string& address);
    Status probe_driver(const CallContext& call, const std::string& address);
    Status give_back(const CallContext& call, const PciDevice& device);
    Status set_override(const CallContext& call, const std::string& address, const std::string& driver);
    bool settles(const CallContext& call, const std::string& address, const std::string& driver);
    Error rolled_back(std::vector<Before> done, Error error);
    Status set_function(const PciDevice& device, const std::string& mac, std::uint32_t vlan);
    std::string driver_of(const std::string& address) { return sysfs_.link_name(device_path(address) + "/driver"); }
    std::chrono::milliseconds write_limit(const CallContext& call) const;

    Sysfs& sysfs_;
    Vfio& vfio_;
    FunctionSetter& functions_;
    Options options_;
};

}  // namespace eve::pci
