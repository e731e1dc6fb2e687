#pragma once
// The dnsmasq processes of local network instances. They outlive the node: a later life finds them by their pid file and goes on with them.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/zedrouter/effects.hpp"
#include "eve/result.hpp"
#include "net/process.hpp"

namespace eve::net {

/// Lines of dnsmasq's lease file; lines that are none are left out.
std::vector<zedrouter::SeenLease> parse_leases(const std::string& text);

/// Starts, tells and stops. Files are under `directory` (ROOT/run/zedrouter), named as EVE names them. [lane]
class DnsmasqSet {
public:
    /// What an earlier life did not finish writing there is removed.
    explicit DnsmasqSet(std::string directory);

    /// No other servers run than the given, and no files of others are left.
    std::vector<zedrouter::ItemFailure> stop_others(const std::vector<zedrouter::DhcpServerPlan>& desired);
    /// The server of `bridge` ends; apply() starts it again. For a bridge that is made anew: dnsmasq goes on listening on the one that was.
    Status restart(const std::string& bridge);
    /// The given servers run, each with the given files.
    std::vector<zedrouter::ItemFailure> apply(const std::vector<zedrouter::DhcpServerPlan>& desired);
    std::map<std::string, std::vector<zedrouter::SeenLease>> leases() const;
    /// The living processes, by bridge; for watching their end.
    const std::map<std::string, UniqueFd>& processes() const { return processes_; }
    std::string lease_directory() const { return directory_ + "/dnsmasq.leases"; }

private:
    Status apply_one(const zedrouter::DhcpServerPlan& desired);
    Status start(const std::string& bridge);
    Status stop(const std::string& bridge);
    void adopt(const std::string& bridge);
    std::string config_path(const std::string& bridge) const { return directory_ + "/dnsmasq." + bridge + ".conf"; }
    std::string pid_path(const std::string& bridge) const { return directory_ + "/dnsmasq." + bridge + ".pid"; }
    std::string lease_path(const std::string& bridge) const { return lease_directory() + "/" + bridge; }

    std::string directory_;
    std::map<std::string, UniqueFd> processes_;
};

}  // namespace eve::net
