#pragma once
// The node's side of host/1: HostServices behind the C table that a plugin calls. And the request that a plugin is opened with.

#include <cstdint>
#include <string>
#include <vector>

#include "eve/abi.h"
#include "eve/host.hpp"
#include "eve/result.hpp"

namespace eve::plugin {

/// Answers a plugin's calls from `services`, which it borrows. Every value is checked: a plugin may be wrong or hostile. [any-thread]
class HostEndpoint {
public:
    explicit HostEndpoint(HostServices& services);

    /// Valid as long as this object.
    const eve_host& table() const { return table_; }
    std::int32_t call(const eve_request& request, eve_reply& reply) noexcept;
    /// Logs and events are quick and keep their order; the rest may block.
    static bool is_quick(const std::string& method);

private:
    HostServices& services_;
    eve_host table_;
};

/// The body of `open`, with the descriptors it refers to (borrowed from the configuration).
struct OpenRequest {
    std::string body;
    std::vector<int> fds;
};
Result<OpenRequest> encode_open(const PluginConfig& config);

/// The error that a refused `open` told: its body names the code.
Error open_error(const std::string& body);

}  // namespace eve::plugin
