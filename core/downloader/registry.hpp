#pragma once
// Where an image is in a container registry: the datastore's and the content's texts, read strictly, and the URLs of the distribution API.

#include <string>
#include <string_view>

#include "eve/result.hpp"

namespace eve::downloader {

struct ImageReference {
    std::string host;        ///< with port, if one was given
    std::string repository;  ///< "library/nginx"
    std::string tag;         ///< "latest" if nothing was said
    std::string sha256;      ///< 64 lower-case hex digits, or empty; wins over the tag
    friend bool operator==(const ImageReference&, const ImageReference&) = default;
};

/// The image `name` ("nginx:1.25", "nginx@sha256:...") of the registry `fqdn` ("docker://host:port"), below `path` of it. Docker's own registry has
/// the names that Docker gives it.
///
/// Errors: unsupported - not a registry's scheme; invalid_argument - not a name of an image.
Result<ImageReference> parse_image_reference(std::string_view fqdn, std::string_view path, std::string_view name);

/// Of a manifest by tag or digest, and of a blob.
std::string manifest_url(const ImageReference& image);
std::string blob_url(const ImageReference& image);
/// What a token has to allow.
std::string pull_scope(const ImageReference& image);

}  // namespace eve::downloader
