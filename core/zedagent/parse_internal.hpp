#pragma once
// Between the two files that read the generated messages.

#include <map>
#include <string>
#include <string_view>

#include "core/zedagent/parse.hpp"

namespace org::lfedge::eve::config {
class EdgeDevConfig;
class AppInstanceConfig;
}  // namespace org::lfedge::eve::config

namespace eve::zedagent {

namespace wire = ::org::lfedge::eve::config;

/// "apps[3]".
std::string at(std::string_view list, int index);
/// A refusal of the whole config.
Error refusal(std::string field, std::string what, std::string hint);
/// The UUID of an object. Errors: invalid_argument - malformed or nil.
Result<types::Uuid> object_uuid(const std::string& text, const std::string& field);
/// Text from outside, fit for a sentence.
std::string shown(std::string_view text);

Status parse_physical_io(const wire::EdgeDevConfig& config, DeviceConfig& out);
Status parse_networks(const wire::EdgeDevConfig& config, types::Time now, DeviceConfig& out);
void parse_ports(const wire::EdgeDevConfig& config, types::Time now, DeviceConfig& out);
Status parse_network_instances(const wire::EdgeDevConfig& config, types::Time now, DeviceConfig& out);
/// The type of each network instance.
using InstanceTypes = std::map<types::Uuid, types::NetworkInstanceType>;
/// The app's adapters, and what is wrong with them in its Errors.
void parse_adapters(const wire::AppInstanceConfig& from, const InstanceTypes& instances, types::AppInstanceConfig& app);

}  // namespace eve::zedagent
