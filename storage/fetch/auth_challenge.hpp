#pragma once
// What a registry says when it wants to know who asks: the WWW-Authenticate header, read strictly. A header that is not understood is no challenge.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace eve::storage::fetch {

inline constexpr std::size_t challenge_bytes_max = 4096;
inline constexpr std::size_t realm_bytes_max = 2048;

enum class AuthScheme : std::uint8_t { basic, bearer };

struct AuthChallenge {
    AuthScheme scheme = AuthScheme::basic;
    std::string realm;    ///< for bearer the token server's URL: http or https, no user in it, no fragment
    std::string service;
    friend bool operator==(const AuthChallenge&, const AuthChallenge&) = default;
};

/// The challenges of one header that can be met, in its order; empty if it has none or is malformed.
std::vector<AuthChallenge> parse_challenges(std::string_view header);

/// The URL to ask for a token. `service` and `scope` are escaped.
std::string token_url(const AuthChallenge& challenge, std::string_view scope);

/// The value of a Basic Authorization header.
std::string basic_authorization(std::string_view user, std::string_view password);

/// The token of a token server's answer; empty if there is none that may go into a header.
std::string parse_token(std::string_view json);

}  // namespace eve::storage::fetch
