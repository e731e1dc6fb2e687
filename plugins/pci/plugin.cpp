// The plugin's entry: assignment of PCI devices by VFIO and by xen-pciback.
#include <boost/describe.hpp>

#include "eve/sdk/plugin.hpp"
#include "pci_assigner.hpp"

namespace eve::pci {
namespace {

/// The operator's settings; empty and 0 mean the default.
struct Settings {
    std::string binding;
    std::string mounts;
    std::string swaps;
    std::string vfio;
    std::uint32_t write_limit_ms = 0;
};
BOOST_DESCRIBE_STRUCT(Settings, (), (binding, mounts, swaps, vfio, write_limit_ms))

}  // namespace

/// The assigner with the parts that it borrows.
class PciPlugin final : public Pci {
public:
    static Result<std::unique_ptr<PciPlugin>> open(HostServices& host) {
        auto settings = sdk::read_config<Settings>(host.config());
        if (!settings) return std::move(settings).error();
        Options options{.binding = settings->binding};
        if (!settings->mounts.empty()) options.files.mounts = settings->mounts;
        if (!settings->swaps.empty()) options.files.swaps = settings->swaps;
        if (settings->write_limit_ms != 0) options.write_limit = std::chrono::milliseconds(settings->write_limit_ms);
        return std::unique_ptr<PciPlugin>(new PciPlugin(host, std::move(options), settings->vfio.empty() ? "/dev/vfio" : settings->vfio));
    }

    Result<PciDescription> describe(const CallContext& call) override { return assigner_.describe(call); }
    Result<ProbeReport> probe(const CallContext& call) override { return assigner_.probe(call); }
    Result<std::vector<PciGroup>> groups(const CallContext& call) override { return assigner_.groups(call); }
    Result<std::vector<PciDevice>> reserve(const CallContext& call, const PciSet& set) override { return assigner_.reserve(call, set); }
    Result<std::vector<PciDevice>> release(const CallContext& call, const std::vector<std::string>& addresses) override {
        return assigner_.release(call, addresses);
    }
    Result<std::vector<PciDevice>> list(const CallContext& call) override { return assigner_.list(call); }
    Result<std::vector<PciDevice>> split(const CallContext& call, const PciSplit& wanted) override { return assigner_.split(call, wanted); }

private:
    PciPlugin(HostServices& host, Options options, std::string vfio)
        : sysfs_(host.config().sysfs.fd), vfio_(std::move(vfio)), assigner_({.sysfs = sysfs_, .vfio = vfio_, .functions = functions_}, std::move(options)) {}

    DirectorySysfs sysfs_;
    DeviceVfio vfio_;
    NetlinkFunctionSetter functions_;
    PciAssigner assigner_;
};

}  // namespace eve::pci

EVE_PLUGIN(eve::pci::PciPlugin, .id = "org.lfedge.eve.pci", .version = "0.1.0")
