// The plugin's entry: QEMU as a runtime of domains.
#include "eve/sdk/plugin.hpp"
#include "kvm_hypervisor.hpp"

EVE_PLUGIN(eve::kvm::KvmHypervisor, .id = "org.lfedge.eve.kvm", .version = "0.1.0")
