#include "core/domainmgr/cloud_init.hpp"

#include <array>

#include "core/types/values.hpp"

namespace eve::domainmgr {

namespace {

using types::MetaDataType;

/// The version by which a guest knows that its cloud-init is new.
std::string instance_version(const types::DomainConfig& config) {
    return config.CloudInitVersion > 0 ? std::to_string(config.CloudInitVersion) : config.UUIDandVersion.Version;
}

}  // namespace

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
    const bool clear_text = config.CloudInitUserData && !config.CloudInitUserData->empty();
    if (!clear_text) {
        if (!config.IsCipher) return std::optional<CloudInitDisk>{};
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
    const std::string user_data(decoded->begin(), decoded->end());
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
