#pragma once
// The verifier's directories: DIRECTORY/verifier holds what is being verified, DIRECTORY/verified what was, named by digest and media type.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/verifier/effects.hpp"

namespace eve::storage {

/// `directory` is ROOT/persist/vault/verifier; made when first needed.
std::unique_ptr<verifier::VerifyFiles> make_verify_files(std::string directory);

/// "<sha256>.<media type escaped as a path segment of a URL>", and back: nothing if there is no digest or no media type.
std::string verified_name(const std::string& sha256, const std::string& media_type);
struct VerifiedName {
    std::string sha256;
    std::string media_type;
};
std::optional<VerifiedName> parse_verified_name(std::string_view name);

}  // namespace eve::storage
