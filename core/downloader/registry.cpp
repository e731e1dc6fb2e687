#include "core/downloader/registry.hpp"

#include <algorithm>

namespace eve::downloader {
namespace {

constexpr std::size_t host_bytes_max = 255, repository_bytes_max = 255, tag_bytes_max = 128, name_bytes_max = 2048;
constexpr std::string_view digest_mark = "sha256:";

bool alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool letter_or_digit(char c) { return alphanumeric(c) || (c >= 'A' && c <= 'Z'); }

Error bad(const std::string& what, std::string_view text) {
    std::string shown;
    for (const char c : text.substr(0, 100)) shown += static_cast<unsigned char>(c) >= 0x20 && static_cast<unsigned char>(c) < 0x7f ? c : '?';
    return Error{.code = Code::invalid_argument, .what = what + " '" + shown + "'"};
}

bool good_host(std::string_view host) {
    if (host.empty() || host.size() > host_bytes_max) return false;
    std::string_view name = host, port;
    if (host.front() == '[') {  // IPv6
        const auto close = host.find(']');
        if (close == std::string_view::npos || close < 3) return false;
        name = host.substr(1, close - 1);
        if (name.find_first_not_of("0123456789abcdefABCDEF:.") != std::string_view::npos) return false;
        if (close + 1 < host.size() && host[close + 1] != ':') return false;
        port = close + 1 < host.size() ? host.substr(close + 2) : "0";
    } else {
        const auto colon = host.find(':');
        name = host.substr(0, colon);
        port = colon == std::string_view::npos ? "0" : host.substr(colon + 1);
        if (name.empty() || !letter_or_digit(name.front()) || name.find("..") != std::string_view::npos) return false;
        if (!std::all_of(name.begin(), name.end(), [](char c) { return letter_or_digit(c) || c == '.' || c == '-'; })) return false;
    }
    return !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string_view::npos;
}

/// Letters and digits, with single separators between them: ".", "_", "__", or dashes.
bool good_component(std::string_view part) {
    if (part.empty() || !alphanumeric(part.front()) || !alphanumeric(part.back())) return false;
    for (std::size_t i = 0; i < part.size(); ++i) {
        if (alphanumeric(part[i])) continue;
        std::size_t end = i;
        while (!alphanumeric(part[end])) ++end;
        const auto separator = part.substr(i, end - i);
        if (separator != "." && separator != "_" && separator != "__" && separator.find_first_not_of('-') != std::string_view::npos) return false;
        i = end;
    }
    return true;
}

bool good_tag(std::string_view tag) {
    if (tag.empty() || tag.size() > tag_bytes_max || !(letter_or_digit(tag.front()) || tag.front() == '_')) return false;
    return std::all_of(tag.begin(), tag.end(), [](char c) { return letter_or_digit(c) || c == '_' || c == '.' || c == '-'; });
}

}  // namespace

Result<ImageReference> parse_image_reference(std::string_view fqdn, std::string_view path, std::string_view name) {
    ImageReference image;
    const auto scheme_end = fqdn.find("://");
    const auto scheme = fqdn.substr(0, scheme_end == std::string_view::npos ? 0 : scheme_end);
    if (scheme != "docker" && scheme != "oci")
        return Error{.code = Code::unsupported, .what = "a container registry's address begins with docker:// or oci://"};
    fqdn.remove_prefix(scheme_end + 3);
    const auto slash = fqdn.find('/');
    const auto host = fqdn.substr(0, slash);
    const auto base = slash == std::string_view::npos ? std::string_view{} : fqdn.substr(slash + 1);
    if (!good_host(host)) return bad("not a host of a container registry:", host);
    if (name.size() > name_bytes_max || path.size() > name_bytes_max) return bad("not a name of an image:", name);
    image.host = host;

    auto rest = name;
    if (const auto at = rest.find('@'); at != std::string_view::npos) {
        auto digest = rest.substr(at + 1);
        if (!digest.starts_with(digest_mark)) return bad("not a name of an image:", name);
        digest.remove_prefix(digest_mark.size());
        if (digest.size() != 64) return bad("not a name of an image:", name);
        for (const char c : digest) {
            const char low = c >= 'A' && c <= 'F' ? static_cast<char>(c + ('a' - 'A')) : c;
            if (!(low >= '0' && low <= '9') && !(low >= 'a' && low <= 'f')) return bad("not a name of an image:", name);
            image.sha256 += low;
        }
        rest = rest.substr(0, at);
    }
    const auto last_slash = rest.rfind('/'), colon = rest.rfind(':');
    if (colon != std::string_view::npos && (last_slash == std::string_view::npos || colon > last_slash)) {
        image.tag = rest.substr(colon + 1);
        if (!good_tag(image.tag)) return bad("not a name of an image:", name);
        rest = rest.substr(0, colon);
    }
    if (image.tag.empty() && image.sha256.empty()) image.tag = "latest";

    std::size_t parts = 0;
    for (std::string_view text : {base, path, rest}) {
        while (!text.empty()) {
            const auto end = text.find('/');
            const auto part = text.substr(0, end);
            text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
            if (part.empty()) continue;
            if (!good_component(part)) return bad("not a name of an image:", name);
            image.repository += (parts++ == 0 ? "" : "/") + std::string(part);
        }
    }
    if (rest.empty() || parts == 0 || image.repository.size() > repository_bytes_max) return bad("not a name of an image:", name);
    if (image.host == "docker.io" || image.host == "index.docker.io") image.host = "registry-1.docker.io";
    if (image.host == "registry-1.docker.io" && parts == 1) image.repository = "library/" + image.repository;
    return image;
}

std::string manifest_url(const ImageReference& image) {
    return "https://" + image.host + "/v2/" + image.repository + "/manifests/" + (image.sha256.empty() ? image.tag : "sha256:" + image.sha256);
}

std::string blob_url(const ImageReference& image) { return "https://" + image.host + "/v2/" + image.repository + "/blobs/sha256:" + image.sha256; }

std::string pull_scope(const ImageReference& image) { return "repository:" + image.repository + ":pull"; }

}  // namespace eve::downloader
