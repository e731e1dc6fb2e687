#include "core/downloader/plan.hpp"

#include <algorithm>

#include "core/downloader/registry.hpp"

namespace eve::downloader {
namespace {

constexpr std::size_t url_bytes_max = 8192;
constexpr std::string_view registry_type = "DsContainerRegistry";

/// Go's path.Join: no empty parts, no "." and no way up beyond the root.
std::string join_path(std::initializer_list<std::string_view> parts) {
    std::vector<std::string> kept;
    for (std::string_view part : parts) {
        while (!part.empty()) {
            const auto slash = part.find('/');
            const std::string piece(part.substr(0, slash));
            part.remove_prefix(slash == std::string_view::npos ? part.size() : slash + 1);
            if (piece.empty() || piece == ".") continue;
            if (piece == "..") {
                if (!kept.empty()) kept.pop_back();
            } else {
                kept.push_back(piece);
            }
        }
    }
    std::string path;
    for (const auto& piece : kept) path += "/" + piece;
    return path;
}

/// Bytes that must not stand in a URL are escaped; what is escaped already stays.
std::string escape(std::string_view text) {
    static constexpr char digits[] = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte > 0x20 && byte < 0x7f && std::string_view("\"<>\\^`{|}#").find(c) == std::string_view::npos) {
            out += c;
        } else {
            out += '%';
            out += digits[byte >> 4];
            out += digits[byte & 15];
        }
    }
    return out;
}

Result<Source> source_in_registry(const types::DatastoreConfig& datastore, const std::string& name) {
    const auto image = parse_image_reference(datastore.Fqdn, datastore.Dpath, name);
    if (!image) return image.error();
    Source source{.url = manifest_url(*image), .registry_scope = pull_scope(*image), .user = datastore.ApiKey, .password = datastore.Password};
    // The name does not say what it names, and registries keep manifests and blobs apart. Blobs first: who has none of that digest says so, while a
    // blob that is asked for as a manifest is a server's error to some (docker-registry answers 500).
    if (!image->sha256.empty()) {
        source.fallback_url = source.url;
        source.url = blob_url(*image);
    }
    for (const auto& pem : datastore.DsCertPEM) source.certificates.emplace_back(pem.begin(), pem.end());
    return source;
}

}  // namespace

Result<Source> source_of(const types::DatastoreConfig& datastore, const std::string& name, bool name_is_url, const types::ConfigItems& items) {
    const bool registry = datastore.DsType == registry_type;
    if (registry && !datastore.IsCipher) return source_in_registry(datastore, name);
    if (!registry && datastore.DsType != "DsHttp" && datastore.DsType != "DsHttps" && !datastore.DsType.empty())
        return Error{.code = Code::unsupported, .what = "unsupported transport method " + datastore.DsType};
    if (datastore.IsCipher)
        return Error{.code = Code::failed_precondition, .what = "the credentials of the datastore are encrypted and cannot be read"};
    Source source;
    const auto question = name.find('?');
    const std::string path = name.substr(0, question), query = question == std::string::npos ? "" : name.substr(question);
    if (name_is_url) {
        source.url = name;
    } else {
        std::string host = datastore.Fqdn;
        if (host.find("://") == std::string::npos) host = (datastore.DsType == "DsHttps" ? "https://" : "http://") + host;
        const auto slash = host.find('/', host.find("://") + 3);
        const std::string base = slash == std::string::npos ? "" : host.substr(slash);
        source.url = host.substr(0, slash) + escape(join_path({base, datastore.Dpath, path})) + query;
    }
    const auto plain = [](char c) { return static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) < 0x7f; };
    const bool http = source.url.starts_with("http://"), https = source.url.starts_with("https://");
    if ((!http && !https) || source.url.size() > url_bytes_max || !std::all_of(source.url.begin(), source.url.end(), plain))
        return Error{.code = Code::invalid_argument,
                     .what = "no URL can be made of datastore " + datastore.UUID.to_string() + " and the object's name"};
    if (!datastore.ApiKey.empty() && (https || items.boolean("datastore.http.security.allowinsecureauth"))) {
        source.authorization = datastore.ApiKey + (datastore.Password.empty() ? "" : " " + datastore.Password);
        if (source.authorization.find_first_of("\r\n") != std::string::npos || source.authorization.find('\0') != std::string::npos)
            return Error{.code = Code::invalid_argument, .what = "the credentials of the datastore contain a line break"};
    }
    for (const auto& pem : datastore.DsCertPEM) source.certificates.emplace_back(pem.begin(), pem.end());
    return source;
}

std::vector<std::string> source_addresses(const types::DeviceNetworkStatus& network, std::uint32_t cost_max) {
    std::vector<const types::NetworkPortStatus*> ports;
    for (const auto& port : network.Ports)
        if (port.IsMgmt && port.Cost <= cost_max) ports.push_back(&port);
    std::stable_sort(ports.begin(), ports.end(), [](const auto* a, const auto* b) { return a->Cost < b->Cost; });
    std::vector<std::string> addresses;
    for (const auto* port : ports)
        for (const auto& info : port->AddrInfoList)
            if (!info.Addr.empty() && !info.Addr.is_link_local()) addresses.push_back(info.Addr.to_string());
    return addresses;
}

types::ErrorDescription describe_failure(std::string text, std::uint64_t retries, types::Duration retry_time) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(retry_time).count();
    return {.Error = std::move(text),
            .ErrorSeverity = types::severity_of_retries(retries, retry_time),
            .ErrorRetryCondition = "Will retry in " + std::to_string(seconds) + "s; have retried " + std::to_string(retries) + " times"};
}

std::string digest_in_name(const std::string& name) {
    constexpr std::string_view mark = "@sha256:";
    const auto at = name.rfind(mark);
    return at == std::string::npos ? "" : name.substr(at + mark.size());
}

}  // namespace eve::downloader
