#pragma once
// Our nftables tables: the pure rendering of a change into one transaction, and its execution through libnftables.

#include <string>
#include <vector>

#include "core/zedrouter/effects.hpp"
#include "eve/result.hpp"

namespace eve::net {

/// The commands that lead from `before` to `after` in one transaction; empty when nothing differs. Only chains and sets that differ are
/// touched; elements of a set filled elsewhere are never flushed.
std::string render_change(const std::vector<zedrouter::NftTable>& before, const std::vector<zedrouter::NftTable>& after);

/// The commands that make `tables` whatever stands there under their name.
std::string render_replacement(const std::vector<zedrouter::NftTable>& tables, const std::vector<std::string>& families);

/// Names of chains and sets in the text that "list table" prints; contents are marked as unknown, so that every chain is written again.
zedrouter::NftTable parse_names(const std::string& family, const std::string& listing);

/// Keeps what was last applied. One transaction per change. [lane]
class Nftables {
public:
    /// The kernel holds `desired`, whole, or what it held before.
    Status apply(const std::vector<zedrouter::NftTable>& desired);
    /// Forgets what was applied: the next apply() reads the kernel first.
    void forget() { known_ = false; }

private:
    Status learn();
    bool known_ = false;
    std::vector<zedrouter::NftTable> applied_;
};

}  // namespace eve::net
