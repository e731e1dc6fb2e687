#pragma once
// What the plugin asks of the kernel outside sysfs: VFIO's groups, and settings of virtual functions.

#include <cstdint>
#include <map>
#include <string>

#include "eve/result.hpp"

namespace eve::pci {

/// VFIO's device files.
class Vfio {
public:
    virtual ~Vfio() = default;
    /// Which groups are seen to be open, and by whom ("qemu-system-x86, pid 77"). Disturbs nobody, but sees only processes of this machine's view.
    virtual std::map<std::string, std::string> holders() = 0;
    /// Whether somebody has the group open, found by opening it: not while a guest may be starting.
    virtual bool busy(const std::string& group) = 0;
    /// The group could be opened and put behind the IOMMU, as a VMM will. Errors: failed_precondition - what the machine lacks.
    virtual Status try_out(const std::string& group) = 0;
};

/// A virtual function's settings at its physical one.
struct FunctionSettings {
    std::string interface;  ///< of the physical function
    std::uint32_t index = 0;
    std::string mac;        ///< empty: none of its own
    std::uint32_t vlan = 0;
};
class FunctionSetter {
public:
    virtual ~FunctionSetter() = default;
    virtual Status set(const FunctionSettings& settings) = 0;
    /// The interface is administratively up.
    virtual Status bring_up(const std::string& interface) = 0;
};

class DeviceVfio final : public Vfio {
public:
    explicit DeviceVfio(std::string directory = "/dev/vfio") : directory_(std::move(directory)) {}
    std::map<std::string, std::string> holders() override;
    bool busy(const std::string& group) override;
    Status try_out(const std::string& group) override;

private:
    std::string directory_;
};

class NetlinkFunctionSetter final : public FunctionSetter {
public:
    Status set(const FunctionSettings& settings) override;
    Status bring_up(const std::string& interface) override;
};

}  // namespace eve::pci
