#pragma once
// The downloader's decisions as pure functions: where an object is, from which address to ask, what to say of a failure.

#include <cstdint>
#include <string>
#include <vector>

#include "core/types/config_items.hpp"
#include "core/types/network.hpp"
#include "core/types/volume.hpp"
#include "eve/result.hpp"

namespace eve::downloader {

/// Where an object is, and what to show to get it.
struct Source {
    std::string url;
    std::string fallback_url;  ///< asked when `url` is not found
    std::string authorization;
    std::string registry_scope, user, password;
    std::vector<std::string> certificates;
    friend bool operator==(const Source&, const Source&) = default;
};

/// The object `name` of `datastore`. A query in the name stays byte for byte. Of a container registry: the blob or else the manifest of that digest, or
/// the manifest of that tag.
/// Errors: unsupported - the datastore's transport; invalid_argument - no such URL can be made; failed_precondition - its credentials are encrypted.
Result<Source> source_of(const types::DatastoreConfig& datastore, const std::string& name, bool name_is_url, const types::ConfigItems& items);

/// Addresses of management ports that cost no more than `cost_max`, cheapest port first.
std::vector<std::string> source_addresses(const types::DeviceNetworkStatus& network, std::uint32_t cost_max);

/// What a failed download shows: the text, when it is tried again, and how bad it is by now.
types::ErrorDescription describe_failure(std::string text, std::uint64_t retries, types::Duration retry_time);

/// The digest that a name of the form "...@sha256:<hex>" resolves to by itself, as it is written there; empty for other names.
std::string digest_in_name(const std::string& name);

}  // namespace eve::downloader
