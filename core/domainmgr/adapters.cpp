#include "core/domainmgr/adapters.hpp"

#include <algorithm>

namespace eve::domainmgr {

namespace {

bool is_network(types::IoType type) {
    using types::IoType;
    return type == IoType::IoNetEth || type == IoType::IoNetWLAN || type == IoType::IoNetWWAN || type == IoType::IoNetEthPF;
}

types::IoBundle bundle_of(const types::PhysicalIOAdapter& adapter) {
    types::IoBundle bundle;
    bundle.Type = static_cast<types::IoType>(adapter.Ptype);
    bundle.Phylabel = adapter.Phylabel;
    bundle.Logicallabel = adapter.Logicallabel;
    bundle.AssignmentGroup = adapter.Assigngrp;
    bundle.ParentAssignmentGroup = adapter.Parentassigngrp;
    bundle.Usage = adapter.Usage;
    bundle.Ifname = adapter.Phyaddr.Ifname;
    bundle.PciLong = adapter.Phyaddr.PciLong;
    bundle.Irq = adapter.Phyaddr.Irq;
    bundle.Ioports = adapter.Phyaddr.Ioports;
    bundle.Serial = adapter.Phyaddr.Serial;
    bundle.UsbAddr = adapter.Phyaddr.UsbAddr;
    bundle.UsbProduct = adapter.Phyaddr.UsbProduct;
    bundle.Vfs = adapter.Vfs;
    bundle.Cbattr = adapter.Cbattr;
    if (bundle.Ifname.empty() && is_network(bundle.Type)) bundle.Ifname = bundle.Logicallabel.empty() ? bundle.Phylabel : bundle.Logicallabel;
    return bundle;
}

}  // namespace

types::AssignableAdapters assignable_adapters(const types::PhysicalIOAdapterList& model, const types::DeviceNetworkStatus& network) {
    types::AssignableAdapters table;
    table.Initialized = model.Initialized;
    for (const auto& adapter : model.AdapterList) {
        auto bundle = bundle_of(adapter);
        const auto port = std::find_if(network.Ports.begin(), network.Ports.end(), [&](const types::NetworkPortStatus& p) {
            return is_network(bundle.Type) && (p.IfName == bundle.Ifname || (!p.Phylabel.empty() && p.Phylabel == bundle.Phylabel));
        });
        if (port != network.Ports.end()) {
            bundle.IsPort = true;
            bundle.Cost = port->Cost;
            bundle.MacAddr = port->MacAddr.to_string();
        }
        table.IoBundleList.push_back(std::move(bundle));
    }
    // A port keeps its whole group with the node.
    for (auto& bundle : table.IoBundleList)
        if (!bundle.IsPort && !bundle.AssignmentGroup.empty())
            bundle.IsPort = std::any_of(table.IoBundleList.begin(), table.IoBundleList.end(), [&](const types::IoBundle& other) {
                return other.IsPort && is_network(other.Type) && other.AssignmentGroup == bundle.AssignmentGroup;
            });
    return table;
}

}  // namespace eve::domainmgr
