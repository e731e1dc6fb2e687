#include "storage/fetch/auth_challenge.hpp"

#include <algorithm>

#include "core/types/oci.hpp"

namespace eve::storage::fetch {
namespace {

constexpr std::size_t challenges_max = 8, parameters_max = 16, token_bytes_max = 12 * 1024;

bool token_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
    return out;
}

/// Reads tokens, quoted strings and separators of RFC 9110.
class Reader {
public:
    explicit Reader(std::string_view text) : rest_(text) {}
    bool end() const { return rest_.empty(); }
    bool spaces() {
        const bool any = !rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t');
        while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t')) rest_.remove_prefix(1);
        return any;
    }
    bool take(char c) {
        if (rest_.empty() || rest_.front() != c) return false;
        rest_.remove_prefix(1);
        return true;
    }
    std::string_view token() {
        std::size_t size = 0;
        while (size < rest_.size() && token_char(rest_[size])) ++size;
        const auto found = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return found;
    }
    bool quoted(std::string& out) {
        if (!take('"')) return false;
        while (!rest_.empty()) {
            char c = rest_.front();
            rest_.remove_prefix(1);
            if (c == '"') return true;
            if (c == '\\') {
                if (rest_.empty()) return false;
                c = rest_.front();
                rest_.remove_prefix(1);
            }
            if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) return false;
            out += c;
        }
        return false;
    }
    /// Whether a parameter ("name=") comes next.
    bool parameter_next() const {
        std::size_t at = 0;
        while (at < rest_.size() && token_char(rest_[at])) ++at;
        if (at == 0) return false;
        while (at < rest_.size() && (rest_[at] == ' ' || rest_[at] == '\t')) ++at;
        return at < rest_.size() && rest_[at] == '=';
    }

private:
    std::string_view rest_;
};

bool good_realm(const std::string& realm) {
    if (realm.empty() || realm.size() > realm_bytes_max) return false;
    if (!std::all_of(realm.begin(), realm.end(), [](char c) { return static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) < 0x7f; }))
        return false;
    const std::size_t start = realm.starts_with("https://") ? 8 : realm.starts_with("http://") ? 7 : 0;
    if (start == 0 || realm.find('#') != std::string::npos) return false;
    const auto host = std::string_view(realm).substr(start, realm.find_first_of("/?", start) - start);
    return !host.empty() && host.find('@') == std::string_view::npos && host.find('\\') == std::string_view::npos;
}

std::string escaped(std::string_view text) {
    static constexpr char digits[] = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string_view("-._~:/").find(c) != std::string_view::npos) {
            out += c;
        } else {
            out += '%';
            out += digits[byte >> 4];
            out += digits[byte & 15];
        }
    }
    return out;
}

}  // namespace

std::vector<AuthChallenge> parse_challenges(std::string_view header) {
    if (header.size() > challenge_bytes_max) return {};
    std::vector<AuthChallenge> found;
    Reader reader(header);
    std::size_t count = 0;
    reader.spaces();
    while (!reader.end()) {
        if (++count > challenges_max) return {};
        const std::string scheme = lower(reader.token());
        if (scheme.empty()) return {};
        const bool spaced = reader.spaces();
        AuthChallenge challenge;
        std::size_t parameters = 0;
        bool again = false;
        while (spaced && reader.parameter_next()) {
            if (++parameters > parameters_max) return {};
            const std::string name = lower(reader.token());
            reader.spaces();
            if (!reader.take('=')) return {};
            reader.spaces();
            std::string value;
            if (!reader.quoted(value)) {
                value = reader.token();
                if (value.empty()) return {};
            }
            std::string* const into = name == "realm" ? &challenge.realm : name == "service" ? &challenge.service : nullptr;
            if (into != nullptr && !into->empty()) return {};
            if (into != nullptr) *into = std::move(value);
            reader.spaces();
            again = reader.take(',');
            while (again && (reader.spaces() || reader.take(','))) {}
            if (!again) break;
        }
        if (!reader.end() && !again && !(parameters == 0 && reader.take(','))) return {};
        reader.spaces();
        if (scheme == "basic") {
            challenge.scheme = AuthScheme::basic;
            found.push_back(std::move(challenge));
        } else if (scheme == "bearer") {
            challenge.scheme = AuthScheme::bearer;
            if (good_realm(challenge.realm)) found.push_back(std::move(challenge));
        }
    }
    return found;
}

std::string token_url(const AuthChallenge& challenge, std::string_view scope) {
    std::string url = challenge.realm;
    char separator = url.find('?') == std::string::npos ? '?' : '&';
    const auto add = [&](std::string_view name, std::string_view value) {
        if (value.empty()) return;
        url += separator;
        url += name;
        url += '=';
        url += escaped(value);
        separator = '&';
    };
    add("service", challenge.service);
    add("scope", scope);
    return url;
}

std::string basic_authorization(std::string_view user, std::string_view password) {
    static constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const std::string plain = std::string(user) + ":" + std::string(password);
    std::string out = "Basic ";
    for (std::size_t i = 0; i < plain.size(); i += 3) {
        const std::size_t left = std::min<std::size_t>(3, plain.size() - i);
        std::uint32_t bits = 0;
        for (std::size_t k = 0; k < 3; ++k) bits = bits << 8 | (k < left ? static_cast<unsigned char>(plain[i + k]) : 0U);
        for (std::size_t k = 0; k < 4; ++k) out += k <= left ? digits[bits >> (18 - 6 * k) & 63] : '=';
    }
    return out;
}

std::string parse_token(std::string_view json) {
    const auto answer = from_json<types::OciToken>(json);
    if (!answer) return {};
    const std::string& token = answer->token.empty() ? answer->access_token : answer->token;
    if (token.size() > token_bytes_max) return {};
    const bool plain = std::all_of(token.begin(), token.end(), [](char c) { return static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) < 0x7f; });
    return plain ? token : std::string{};
}

}  // namespace eve::storage::fetch
