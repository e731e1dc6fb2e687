#pragma once
// The interfaces of the machine as nim sees them. Values, and the effect that reads them.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "eve/result.hpp"

namespace eve::nim {

struct SeenInterface {
    std::string name;
    std::string mac;
    std::uint32_t mtu = 0;
    bool up = false;                         ///< administratively up and with carrier
    std::vector<std::string> addresses;      ///< "192.168.1.10/24", global and link-local, without temporary ones
    std::vector<std::string> gateways;       ///< of default routes that leave by it
    friend bool operator==(const SeenInterface&, const SeenInterface&) = default;
};

struct Observation {
    std::map<std::string, SeenInterface> interfaces;  ///< by name, without loopback
    std::vector<std::string> name_servers;            ///< of the machine's resolver, without loopback ones
    friend bool operator==(const Observation&, const Observation&) = default;
};

/// One caller at a time: nim's lane.
class LinkWorld {
public:
    virtual ~LinkWorld() = default;
    /// What is there now. [lane]
    virtual Result<Observation> observe() = 0;
    /// Calls `changed` on the loop, at least once after interfaces, addresses or routes have changed. [loop]
    virtual void watch(std::function<void()> changed) = 0;
};

}  // namespace eve::nim
