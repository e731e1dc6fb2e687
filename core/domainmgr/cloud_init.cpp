#include "core/domainmgr/cloud_init.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "core/types/values.hpp"

namespace eve::domainmgr {

namespace {

using types::MetaDataType;

/// The version by which a guest knows that its cloud-init is new.
std::string instance_version(const types::DomainConfig& config) {
    return config.CloudInitVersion > 0 ? std::to_string(config.CloudInitVersion) : config.UUIDandVersion.Version;
}

/// The user data in clear text, or none.
Result<std::optional<std::string>> user_data_of(const types::DomainConfig& config) {
    const bool clear_text = config.CloudInitUserData && !config.CloudInitUserData->empty();
    if (!clear_text) {
        if (!config.IsCipher) return std::optional<std::string>{};
        return Error{.code = Code::invalid_argument,
                     .what = "the cloud-init data is encrypted and cannot be decrypted here",
                     .field = ".CipherBlockStatus",
                     .hint = "give the user data in clear text as well, or without encryption"};
    }
    auto decoded = types::from_base64(*config.CloudInitUserData);
    if (!decoded)
        return Error{.code = Code::invalid_argument,
                     .what = "the cloud-init data is not base64",
                     .field = ".CloudInitUserData",
                     .hint = "encode the user data once with base64"};
    return std::optional(std::string(decoded->begin(), decoded->end()));
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view blanks = " \t\r";
    text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
    return text.substr(0, text.find_last_not_of(blanks) + 1);
}

/// One "NAME=value".
Status add_variable(std::string_view line, std::size_t number, std::map<std::string, std::string>& env) {
    const auto equals = line.find('=');
    const auto name = trimmed(line.substr(0, equals));
    if (equals == std::string_view::npos || name.empty() || line.find('\0') != std::string_view::npos)
        return Error{.code = Code::invalid_argument,
                     .what = "line " + std::to_string(number) + " of the container's user data is not NAME=value",
                     .field = ".CloudInitUserData",
                     .hint = "a container takes variables, one NAME=value a line"};
    auto value = trimmed(line.substr(equals + 1));
    if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'') && value.back() == value.front()) value = value.substr(1, value.size() - 2);
    env.insert_or_assign(std::string(name), std::string(value));
    return {};
}

}  // namespace

bool is_container(const types::DomainConfig& config) {
    return !config.DiskConfigList.empty() && config.DiskConfigList.front().Format == types::Format::CONTAINER;
}

Result<ContainerData> container_data(const types::DomainConfig& config) {
    ContainerData data;
    if (!is_container(config) || config.MetaDataType == MetaDataType::MetaDataNone) return data;
    const auto text = user_data_of(config);
    if (!text) return text.error();
    if (!*text) return data;
    std::string_view rest = **text;
    if (rest.starts_with("#cloud-config"))
        return Error{.code = Code::unsupported,
                     .what = "a container does not read #cloud-config",
                     .field = ".CloudInitUserData",
                     .hint = "give it variables, one NAME=value a line"};
    for (std::size_t number = 1; !rest.empty(); ++number) {
        const auto end = rest.find('\n');
        const auto line = trimmed(rest.substr(0, end));
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
        if (line.empty() || line.starts_with('#')) continue;
        if (auto added = add_variable(line, number, data.env); !added) return std::move(added).error();
    }
    return data;
}

bool sets_hostname(std::string_view user_data) {
    static constexpr std::array<std::string_view, 3> keys = {"hostname:", "fqdn:", "preserve_hostname:"};
    while (!user_data.empty()) {
        const auto end = user_data.find('\n');
        const std::string_view line = user_data.substr(0, end);
        for (const auto key : keys)
            if (line.starts_with(key)) return true;
        user_data.remove_prefix(end == std::string_view::npos ? user_data.size() : end + 1);
    }
    return false;
}

Result<std::optional<CloudInitDisk>> cloud_init_disk(const types::DomainConfig& config) {
    if (config.MetaDataType != MetaDataType::MetaDataDrive && config.MetaDataType != MetaDataType::MetaDataDriveMultipart)
        return std::optional<CloudInitDisk>{};
    if (is_container(config)) return std::optional<CloudInitDisk>{};
    auto user_data_in = user_data_of(config);
    if (!user_data_in) return std::move(user_data_in).error();
    if (!*user_data_in) return std::optional<CloudInitDisk>{};
    const std::string user_data = std::move(**user_data_in);
    const std::string uuid = config.UUIDandVersion.UUID.to_string();

    std::string meta_data = "instance-id: " + uuid + "/" + instance_version(config) + "\n";
    if (!sets_hostname(user_data)) meta_data += "local-hostname: " + uuid + "\n";
    CloudInitDisk disk{.app = config.UUIDandVersion.UUID, .files = {{"meta-data", std::move(meta_data)}}};
    // Juniper's guests look for their configuration under its own name.
    const bool junos = user_data.find("#junos-config") != std::string::npos;
    disk.files.push_back({junos ? "juniper.conf" : "user-data", user_data});
    return std::optional(std::move(disk));
}

}  // namespace eve::domainmgr
