// The plugin's entry: containerd as a runtime of domains.
#include "containerd/container_hypervisor.hpp"
#include "eve/sdk/plugin.hpp"

namespace eve::containerd {

Result<std::unique_ptr<ContainerHypervisor>> ContainerHypervisor::open(HostServices& host) {
    auto settings = read_settings(host.config());
    if (!settings) return std::move(settings).error();
    auto trouble = [&host](const DomainId& id, const Error& error) {
        host.log(LogLevel::warn, "container.network", {{"domain", id.value}, {"error", error.what}});
    };
    Deps deps{.containerd = connect(settings->socket, settings->containers),
              .content = connect_content(settings->socket, settings->content),
              .network = linux_network(std::move(trouble), static_cast<off_t>(settings->console_log_max.n)),
              .interfaces = linux_host_interfaces([&host](const DomainId& id, const std::string& interface) {
                  host.log(LogLevel::error, "container.interface_lost", {{"domain", id.value}, {"interface", interface}});
              })};
    return open(host, std::move(*settings), std::move(deps));
}

}  // namespace eve::containerd

EVE_PLUGIN(eve::containerd::ContainerHypervisor, .id = "org.lfedge.eve.containerd", .version = "0.1.0")
