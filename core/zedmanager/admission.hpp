#pragma once
// Memory admission: may one more app be started beside those that are up? Pure arithmetic over figures that the agent collects.

#include <cstdint>
#include <optional>
#include <vector>

#include "core/types/errors.hpp"

namespace eve::zedmanager {

/// The node's memory without the app that asks.
struct MemoryView {
    bool known = false;               ///< HostMemory was published
    std::uint64_t total = 0;          ///< bytes of the machine
    std::uint64_t reserved = 0;       ///< bytes kept for the node itself
    std::uint64_t used = 0;           ///< bytes of the other apps that are up, or on their way up
    std::uint64_t halting = 0;        ///< the part of `used` whose apps are no longer wanted
    std::vector<types::Uuid> others;  ///< the other apps that are up, or on their way up

    friend bool operator==(const MemoryView&, const MemoryView&) = default;
};

/// Nothing if `need` bytes fit; else why not, how bad that is, what will change it, and who holds the memory.
/// Source: EVE pkg/pillar/cmd/zedmanager/memorysizemgmt.go.
std::optional<types::ErrorDescription> refuse_memory(std::uint64_t need, const MemoryView& memory);

}  // namespace eve::zedmanager
