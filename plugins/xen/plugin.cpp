// The plugin's entry: Xen as a runtime of domains.
#include "eve/sdk/plugin.hpp"
#include "xen_hypervisor.hpp"

EVE_PLUGIN(eve::xen::XenHypervisor, .id = "org.lfedge.eve.xen", .version = "0.1.0")
