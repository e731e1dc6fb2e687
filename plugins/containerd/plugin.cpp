// The plugin's entry: containerd as a runtime of domains.
#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "containerd/container_hypervisor.hpp"
#include "eve/sdk/plugin.hpp"

namespace eve::containerd {
namespace {

/// A program of this installation: beside the one that runs, else in its libexec.
std::string installed(const std::string& name) {
    std::error_code failure;
    const auto own = std::filesystem::read_symlink("/proc/self/exe", failure).parent_path();
    const auto other = own.parent_path() / "libexec" / "evenode" / name;
    return ::access(other.c_str(), X_OK) == 0 ? other.string() : (own / name).string();
}

}  // namespace

Result<std::unique_ptr<ContainerHypervisor>> ContainerHypervisor::open(HostServices& host) {
    auto settings = read_settings(host.config());
    if (!settings) return std::move(settings).error();
    auto trouble = [&host](const DomainId& id, const Error& error) {
        host.log(LogLevel::warn, "container.network", {{"domain", id.value}, {"error", error.what}});
    };
    Deps deps{.containerd = connect(settings->socket, settings->containers),
              .content = connect_content(settings->socket, settings->content),
              .network = linux_network(std::move(trouble)),
              .interfaces = linux_host_interfaces([&host](const DomainId& id, const std::string& interface) {
                  host.log(LogLevel::error, "container.interface_lost", {{"domain", id.value}, {"interface", interface}});
              }),
              .console_logger = installed("console-log")};
    return open(host, std::move(*settings), std::move(deps));
}

}  // namespace eve::containerd

EVE_PLUGIN(eve::containerd::ContainerHypervisor, .id = "org.lfedge.eve.containerd", .version = "0.1.0")
