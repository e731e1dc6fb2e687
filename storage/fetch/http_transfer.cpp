#include "storage/fetch/http_transfer.hpp"

#include <curl/curl.h>
#include <netinet/in.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>

#include "core/types/oci.hpp"
#include "storage/fetch/auth_challenge.hpp"
#include "storage/hash.hpp"

namespace eve::storage::fetch {
namespace {

constexpr std::uint64_t report_interval_us = 200'000;
constexpr std::uint64_t worthwhile_bytes = std::uint64_t{1} << 20;  ///< a try that brought so much does not count as failed
constexpr long connect_seconds_max = 30;
constexpr long buffer_bytes = 256 * 1024;
constexpr std::size_t challenges_max = 8;

std::optional<std::uint64_t> to_number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
    return value;
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r' || text.back() == '\n')) text.remove_suffix(1);
    return text;
}

/// An address that means this machine or this link: a redirect from elsewhere must not lead there.
bool is_local(const sockaddr* address) {
    if (address->sa_family == AF_INET) {
        const auto ip = ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr);
        return (ip >> 24) == 127 || (ip >> 24) == 0 || (ip >> 16) == 0xa9fe || (ip >> 28) >= 14;
    }
    if (address->sa_family == AF_INET6) {
        const in6_addr& ip = reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(&ip)) {
            sockaddr_in inner{};
            inner.sin_family = AF_INET;
            std::memcpy(&inner.sin_addr, ip.s6_addr + 12, 4);
            return is_local(reinterpret_cast<const sockaddr*>(&inner));
        }
        return IN6_IS_ADDR_LOOPBACK(&ip) || IN6_IS_ADDR_UNSPECIFIED(&ip) || IN6_IS_ADDR_LINKLOCAL(&ip) || IN6_IS_ADDR_MULTICAST(&ip);
    }
    return true;
}

/// Scheme, host and port, for comparing who gets the Authorization header.
std::string origin_of(const std::string& url) {
    const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(), curl_url_cleanup);
    if (!parsed || curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return {};
    std::string origin;
    for (const CURLUPart part : {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT}) {
        char* text = nullptr;
        if (curl_url_get(parsed.get(), part, &text, CURLU_DEFAULT_PORT) == CURLUE_OK) {
            origin += text;
            origin += '|';
        }
        curl_free(text);
    }
    return origin;
}

/// The two kinds of URL that are served, by their scheme; empty for any other.
std::string scheme_of(const std::string& url) {
    const auto colon = url.find("://");
    std::string scheme = url.substr(0, colon == std::string::npos ? 0 : colon);
    std::transform(scheme.begin(), scheme.end(), scheme.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return scheme == "http" || scheme == "https" ? scheme : "";
}

/// What one response said before its body.
struct Response {
    long status = 0;
    std::size_t header_bytes = 0;
    std::string etag, last_modified, content_type, location;
    std::vector<AuthChallenge> challenges;
    std::optional<ContentRange> range;
    std::optional<std::uint64_t> length, retry_after_s;
};

enum class Verdict {
    undecided,  ///< headers still come
    take,       ///< the body goes to the file
    discard,    ///< the body is of an error or redirect
    changed,    ///< not the content we have a part of: start over
    complete,   ///< nothing is missing
    stop,       ///< `failure_` says why
};

class Transfer {
public:
    Transfer(const Order& order, const TransferIo& io)
        : order_(order),
          io_(io),
          url_(order.url),
          authorization_(order.authorization),
          fallback_left_(!order.fallback_url.empty()),
          etag_(order.validator_etag),
          last_modified_(order.validator_last_modified) {}

    Report run() {
        if (scheme_of(order_.url).empty() || (fallback_left_ && origin_of(order_.fallback_url) != origin_of(order_.url)))
            return Failed{.code = Code::unsupported, .what = "not an http or https URL"};
        if (order_.resume_from > 0) {
            auto hashed = hash_prefix(io_.target, order_.resume_from, hash_, [this] { return abandoned(); });
            if (hashed) offset_ = order_.resume_from;
            else if (hashed.error().code == Code::cancelled) return cancelled();
            else if (auto fresh = start_over(); !fresh) return *failure_;
        } else if (!start_over()) {
            return *failure_;
        }
        std::uint64_t delay_ms = order_.first_delay_ms;
        int changes = 0;
        for (std::uint64_t tries = 1;; ++tries) {
            const std::uint64_t before = offset_;
            failure_.reset();
            const Verdict verdict = attempt();
            if (verdict == Verdict::complete) return done();
            if (verdict == Verdict::changed) {
                if (++changes > content_changes_max)
                    return Failed{.code = Code::unavailable, .what = "the content keeps changing while it is received"};
                if (!start_over()) return *failure_;
                continue;
            }
            if (verdict == Verdict::stop) return *failure_;
            if (offset_ >= before + worthwhile_bytes) tries = 0, delay_ms = order_.first_delay_ms;
            const std::uint64_t wait_ms = std::max(delay_ms, failure_->retry_after_ms);
            if (tries >= order_.tries_max || wait_ms > delay_ms_max) return *failure_;
            if (!wait(wait_ms)) return cancelled();
            delay_ms = std::min(delay_ms * 2, delay_ms_max);
        }
    }

private:
    /// One request and the redirects it leads to. undecided: it failed in a way that another try may mend.
    Verdict attempt() {
        std::string url = url_;
        bool secure = scheme_of(url) == "https";
        redirected_ = false;
        bool asked_who = false;
        for (int hop = 0;; ++hop) {
            const bool at_home = origin_of(url) == origin_of(order_.url);
            const Verdict verdict = request(url, at_home);
            if (verdict != Verdict::discard) return verdict;
            if (response_.status == 401 && at_home && !order_.registry_scope.empty() && !asked_who) {
                asked_who = true;
                if (const Verdict met = meet_challenge(); met != Verdict::complete) return met;
                continue;
            }
            if ((response_.status == 404 || response_.status == 410) && at_home && fallback_left_) {
                fallback_left_ = false;
                url = url_ = order_.fallback_url;
                continue;
            }
            const bool redirect = response_.status >= 301 && response_.status <= 308 && response_.status != 304 && !redirect_url_.empty();
            if (!redirect) return refuse_status();
            if (hop >= redirects_max) return stop(Code::failed_precondition, "too many redirects");
            const std::string scheme = scheme_of(redirect_url_);
            if (scheme.empty()) return stop(Code::failed_precondition, "redirected to something that is not http or https");
            if (secure && scheme != "https") return stop(Code::failed_precondition, "redirected from https to http");
            secure = scheme == "https";
            redirected_ = true;
            url = redirect_url_;
        }
    }

    /// Shows the registry who asks: `authorization_` is set, and the verdict is complete.
    Verdict meet_challenge() {
        const AuthChallenge* chosen = nullptr;
        for (const auto& challenge : response_.challenges)
            if (chosen == nullptr || (chosen->scheme == AuthScheme::basic && challenge.scheme == AuthScheme::bearer)) chosen = &challenge;
        if (chosen == nullptr) return stop(Code::permission_denied, "the registry refuses, and does not say what it wants");
        const std::string basic = order_.user.empty() ? "" : basic_authorization(order_.user, order_.password);
        if (chosen->scheme == AuthScheme::basic) {
            if (basic.empty()) return stop(Code::permission_denied, "the registry wants a user and a password, and the datastore has none");
            if (authorization_ == basic) return stop(Code::permission_denied, "the registry refuses the datastore's user and password");
            authorization_ = basic;
            return Verdict::complete;
        }
        const std::string url = token_url(*chosen, order_.registry_scope);
        if (scheme_of(order_.url) == "https" && scheme_of(url) != "https")
            return stop(Code::failed_precondition, "the registry's token server is not asked without TLS");
        return ask_for_token(url, basic);
    }

    Verdict ask_for_token(const std::string& url, const std::string& basic) {
        const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle(curl_easy_init(), curl_easy_cleanup);
        CURL* const easy = handle.get();
        if (easy == nullptr) return stop(Code::resource_exhausted, "no memory for a transfer");
        const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(
            basic.empty() ? nullptr : curl_slist_append(nullptr, ("Authorization: " + basic).c_str()), curl_slist_free_all);
        char text[CURL_ERROR_SIZE] = {};
        std::string answer;
        // Another server, named by the registry: not one of this machine, unless the registry is.
        redirected_ = origin_of(url) != origin_of(order_.url);
        refused_address_ = false;
        configure(easy, url, headers.get(), text);
        curl_easy_setopt(easy, CURLOPT_TIMEOUT, connect_seconds_max);
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Transfer::on_token);
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, &answer);
        const CURLcode code = curl_easy_perform(easy);
        redirected_ = false;
        long status = 0;
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        if (refused_address_) return stop(Code::failed_precondition, "the registry names a local address as its token server");
        if (code != CURLE_OK) return retry(Code::unavailable, std::string("token server: ") + (text[0] != 0 ? text : curl_easy_strerror(code)));
        if (status == 401 || status == 403)
            return stop(Code::permission_denied, basic.empty() ? "the token server wants a user and a password, and the datastore has none"
                                                               : "the token server refuses the datastore's user and password");
        if (status == 429 || status >= 500) return retry(Code::unavailable, "the token server answered " + std::to_string(status));
        if (status != 200) return stop(Code::failed_precondition, "the token server answered " + std::to_string(status));
        const std::string token = parse_token(answer);
        if (token.empty()) return stop(Code::failed_precondition, "the token server's answer has no token that can be used");
        authorization_ = "Bearer " + token;
        token_had_ = true;
        return Verdict::complete;
    }

    static std::size_t on_token(char* data, std::size_t, std::size_t size, void* into) {
        auto& answer = *static_cast<std::string*>(into);
        if (answer.size() + size > error_body_bytes_max) return 0;
        answer.append(data, size);
        return size;
    }

    /// What every request has in common.
    void configure(CURL* easy, const std::string& url, curl_slist* headers, char* text) {
        curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
        curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
        curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
        curl_easy_setopt(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
        curl_easy_setopt(easy, CURLOPT_USERAGENT, "evenode");
        curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, text);
        curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT,
                         std::min(connect_seconds_max, static_cast<long>(std::max<std::uint64_t>(order_.stall_seconds, 1))));
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, static_cast<long>(std::max<std::uint64_t>(order_.stall_seconds, 1)));
        curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, buffer_bytes);
        curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
        curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
        curl_blob roots{.data = const_cast<char*>(io_.roots.data()), .len = io_.roots.size(), .flags = CURL_BLOB_NOCOPY};
        if (!io_.roots.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &roots);
        const std::string local = "host!" + order_.source_address;
        if (!order_.source_address.empty()) curl_easy_setopt(easy, CURLOPT_INTERFACE, local.c_str());
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, &Transfer::on_socket);
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, this);
    }

    Verdict request(const std::string& url, bool send_authorization) {
        const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle(curl_easy_init(), curl_easy_cleanup);
        CURL* const easy = handle.get();
        if (easy == nullptr) return stop(Code::resource_exhausted, "no memory for a transfer");
        response_ = {};
        redirect_url_.clear();
        verdict_ = Verdict::undecided;
        discarded_ = 0;
        last_report_us_ = 0;
        refused_address_ = false;
        easy_ = easy;
        char text[CURL_ERROR_SIZE] = {};

        curl_slist* list = nullptr;
        const auto add = [&list](const std::string& line) {
            if (curl_slist* longer = curl_slist_append(list, line.c_str())) list = longer;
        };
        if (offset_ > 0) {
            add("Range: bytes=" + std::to_string(offset_) + "-");
            if (!etag_.empty()) add("If-Range: " + etag_);
            else if (!last_modified_.empty()) add("If-Range: " + last_modified_);
        }
        if (!authorization_.empty() && send_authorization) add("Authorization: " + authorization_);
        if (!order_.registry_scope.empty()) add(accept_header());
        const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(list, curl_slist_free_all);

        configure(easy, url, headers.get(), text);
        curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &Transfer::on_header);
        curl_easy_setopt(easy, CURLOPT_HEADERDATA, this);
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Transfer::on_body);
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
        curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, &Transfer::on_progress);
        curl_easy_setopt(easy, CURLOPT_XFERINFODATA, this);

        const CURLcode code = curl_easy_perform(easy);
        char* location = nullptr;
        if (curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &location) == CURLE_OK && location != nullptr) redirect_url_ = location;
        easy_ = nullptr;
        if (verdict_ == Verdict::stop || verdict_ == Verdict::changed || verdict_ == Verdict::complete) return verdict_;
        if (verdict_ == Verdict::discard && (code == CURLE_OK || code == CURLE_WRITE_ERROR)) return Verdict::discard;
        if (code == CURLE_OK && verdict_ == Verdict::take) {
            if (total_ != 0 && offset_ != total_) return retry(Code::unavailable, "the server ended the body early");
            return Verdict::complete;
        }
        if (code == CURLE_OK) return retry(Code::unavailable, "the server sent no answer");
        if (refused_address_) return stop(Code::failed_precondition, "redirected to a local address");
        const std::string why = text[0] != 0 ? text : curl_easy_strerror(code);
        switch (code) {
            case CURLE_URL_MALFORMAT: return stop(Code::invalid_argument, "malformed URL");
            case CURLE_UNSUPPORTED_PROTOCOL: return stop(Code::unsupported, why);
            case CURLE_PEER_FAILED_VERIFICATION:
            case CURLE_SSL_CACERT_BADFILE:
            case CURLE_SSL_CERTPROBLEM: return stop(Code::unavailable, why);
            case CURLE_OPERATION_TIMEDOUT:
                if (response_.status != 0 || offset_ > 0)
                    return retry(Code::timed_out, "no progress for " + std::to_string(order_.stall_seconds) + " s");
                return retry(Code::timed_out, why);
            default: return retry(Code::unavailable, why);
        }
    }

    Verdict decide() {
        const Response& r = response_;
        if (r.status == 200) {
            if (offset_ > 0 && !start_over()) return Verdict::stop;
            total_ = r.length.value_or(0);
            etag_ = r.etag.starts_with("W/") ? "" : r.etag;
            last_modified_ = r.last_modified;
            return accept();
        }
        if (r.status == 206) {
            if (offset_ == 0) return stop(Code::failed_precondition, "a part was sent where the whole was asked for");
            if (!r.range || r.range->unsatisfied || r.range->first != offset_) return Verdict::changed;
            if (!etag_.empty() && !r.etag.empty() && r.etag != etag_) return Verdict::changed;
            if (!last_modified_.empty() && !r.last_modified.empty() && r.last_modified != last_modified_) return Verdict::changed;
            if (total_ != 0 && r.range->total != 0 && r.range->total != total_) return Verdict::changed;
            if (r.range->total != 0) total_ = r.range->total;
            if (etag_.empty() && !r.etag.starts_with("W/")) etag_ = r.etag;
            if (last_modified_.empty()) last_modified_ = r.last_modified;
            return accept();
        }
        if (r.status == 416 && offset_ > 0) {
            const bool whole = r.range && r.range->unsatisfied && r.range->total == offset_;
            if (whole) total_ = offset_;
            return whole ? Verdict::complete : Verdict::changed;
        }
        return Verdict::discard;
    }

    Verdict accept() {
        content_type_ = response_.content_type;
        if (order_.size_max != 0 && total_ > order_.size_max) return too_large();
        send_progress();
        return Verdict::take;
    }

    Verdict too_large() {
        return stop(Code::failed_precondition,
                    "the object is larger than the " + std::to_string(order_.size_max) + " bytes it may have (size in image config incorrect)");
    }

    Verdict refuse_status() {
        const long status = response_.status;
        const std::string what = "the server answered " + std::to_string(status);
        if (status == 404 || status == 410) return stop(Code::not_found, what);
        if (status == 401 || status == 403 || status == 407) return stop(Code::permission_denied, what);
        if (status == 408 || status == 425 || status == 429 || status >= 500) {
            const std::uint64_t seconds = std::min<std::uint64_t>(response_.retry_after_s.value_or(0), 86'400);
            failure_ = Failed{.code = Code::unavailable, .what = what, .retry_after_ms = seconds * 1000};
            return Verdict::undecided;
        }
        return stop(Code::failed_precondition, what);
    }

    Verdict retry(Code code, std::string what) {
        failure_ = Failed{.code = code, .what = std::move(what)};
        return Verdict::undecided;
    }

    Verdict stop(Code code, std::string what) {
        failure_ = Failed{.code = code, .what = std::move(what)};
        return Verdict::stop;
    }

    /// False with `failure_` set if the file cannot be emptied.
    bool start_over() {
        hash_ = Sha256();
        offset_ = 0;
        total_ = 0;
        etag_.clear();
        last_modified_.clear();
        if (ftruncate(io_.target, 0) == 0) return true;
        failure_ = Failed{.code = Code::unavailable, .what = std::string("cannot empty the target: ") + std::strerror(errno)};
        return false;
    }

    Report done() {
        if (ftruncate(io_.target, static_cast<off_t>(offset_)) != 0)
            return Failed{.code = Code::unavailable, .what = std::string("cannot end the target: ") + std::strerror(errno)};
        return Done{.size = offset_, .sha256 = hash_.finish(), .content_type = content_type_, .authorization = token_had_ ? authorization_ : ""};
    }

    static Failed cancelled() { return Failed{.code = Code::cancelled, .what = "the transfer was cancelled"}; }

    bool abandoned() const {
        char byte = 0;
        return recv(io_.control, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
    }

    /// False when the node gave up meanwhile.
    bool wait(std::uint64_t ms) const {
        pollfd waiting{.fd = io_.control, .events = POLLRDHUP, .revents = 0};
        return poll(&waiting, 1, static_cast<int>(std::min<std::uint64_t>(ms, delay_ms_max))) == 0;
    }

    void send_progress() { io_.report(Progress{.current = offset_, .total = total_, .etag = etag_, .last_modified = last_modified_}); }

    static std::size_t on_header(char* data, std::size_t, std::size_t size, void* self) { return static_cast<Transfer*>(self)->header({data, size}); }

    std::size_t header(std::string_view line) {
        constexpr std::size_t abort_transfer = 0;
        if (line.starts_with("HTTP/")) {
            const std::size_t so_far = response_.header_bytes;
            response_ = {};
            response_.header_bytes = so_far;
            const auto space = line.find(' ');
            if (space != std::string_view::npos) response_.status = static_cast<long>(to_number(line.substr(space + 1, 3)).value_or(0));
        }
        response_.header_bytes += line.size();
        if (response_.header_bytes > header_bytes_max) {
            verdict_ = stop(Code::failed_precondition, "the header of the answer is too long");
            return abort_transfer;
        }
        if (trim(line).empty()) {
            if (response_.status < 200) return line.size();
            verdict_ = decide();
            return verdict_ == Verdict::take || verdict_ == Verdict::discard ? line.size() : abort_transfer;
        }
        const auto colon = line.find(':');
        if (colon == std::string_view::npos) return line.size();
        const std::string name(line.substr(0, colon));
        const std::string_view value = trim(line.substr(colon + 1));
        const auto is = [&name](const char* other) { return strcasecmp(name.c_str(), other) == 0; };
        if (is("etag")) response_.etag = value.substr(0, 256);
        else if (is("last-modified")) response_.last_modified = value.substr(0, 64);
        else if (is("content-type")) response_.content_type = value.substr(0, 256);
        else if (is("content-length")) response_.length = to_number(value);
        else if (is("content-range")) response_.range = parse_content_range(value);
        else if (is("retry-after")) response_.retry_after_s = to_number(value);
        else if (is("www-authenticate") && response_.challenges.size() < challenges_max) {
            for (auto& challenge : parse_challenges(value)) response_.challenges.push_back(std::move(challenge));
        }
        return line.size();
    }

    static std::string accept_header() {
        std::string line = "Accept: ";
        for (const auto type : {types::oci_media_index, types::oci_media_manifest, types::docker_media_list, types::docker_media_manifest})
            line += std::string(type) + ", ";
        return line + "*/*";
    }

    static std::size_t on_body(char* data, std::size_t, std::size_t size, void* self) { return static_cast<Transfer*>(self)->body(data, size); }

    std::size_t body(const char* data, std::size_t size) {
        constexpr std::size_t abort_transfer = 0;
        if (verdict_ == Verdict::discard) {
            discarded_ += size;
            return discarded_ > error_body_bytes_max ? abort_transfer : size;
        }
        if (verdict_ != Verdict::take) return abort_transfer;
        if ((order_.size_max != 0 && offset_ + size > order_.size_max) || (total_ != 0 && offset_ + size > total_)) {
            verdict_ =
                total_ != 0 && offset_ + size > total_ ? stop(Code::failed_precondition, "the server sends more than it announced") : too_large();
            return abort_transfer;
        }
        hash_.update(data, size);
        for (std::size_t written = 0; written < size;) {
            const ssize_t n = pwrite(io_.target, data + written, size - written, static_cast<off_t>(offset_ + written));
            if (n < 0 && errno == EINTR) continue;
            if (n <= 0) {
                const int why = n < 0 ? errno : ENOSPC;
                const bool full = why == ENOSPC || why == EDQUOT || why == EFBIG;
                verdict_ = stop(full ? Code::resource_exhausted : Code::unavailable,
                                std::string("cannot write: ") + std::strerror(why) + (full ? "; free space on the node's disk" : ""));
                return abort_transfer;
            }
            written += static_cast<std::size_t>(n);
        }
        offset_ += size;
        return size;
    }

    static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) { return static_cast<Transfer*>(self)->tick(); }

    int tick() {
        curl_off_t elapsed_us = 0;
        curl_easy_getinfo(easy_, CURLINFO_TOTAL_TIME_T, &elapsed_us);
        const auto now = static_cast<std::uint64_t>(elapsed_us);
        if (now < last_report_us_ + report_interval_us) return 0;
        last_report_us_ = now;
        if (abandoned()) {
            verdict_ = stop(Code::cancelled, "the transfer was cancelled");
            return 1;
        }
        if (verdict_ == Verdict::take) send_progress();
        return 0;
    }

    static curl_socket_t on_socket(void* self, curlsocktype, curl_sockaddr* address) { return static_cast<Transfer*>(self)->open_socket(*address); }

    curl_socket_t open_socket(const curl_sockaddr& address) {
        const bool local = is_local(&address.addr);
        if (!redirected_) origin_local_ = origin_local_ || local;
        if (redirected_ && local && !origin_local_) {
            refused_address_ = true;
            return CURL_SOCKET_BAD;
        }
        return socket(address.family, address.socktype | SOCK_CLOEXEC, address.protocol);
    }

    const Order& order_;
    const TransferIo& io_;
    std::string url_;            ///< where it is: the order's, or the second one
    std::string authorization_;  ///< what is shown at home
    bool fallback_left_;
    Sha256 hash_;
    std::uint64_t offset_ = 0;  ///< so much is in the file and in the hash
    std::uint64_t total_ = 0;   ///< 0: unknown
    std::string etag_, last_modified_, content_type_;
    Response response_;
    std::string redirect_url_;
    Verdict verdict_ = Verdict::undecided;
    std::optional<Failed> failure_;
    std::size_t discarded_ = 0;
    std::uint64_t last_report_us_ = 0;
    bool token_had_ = false;  ///< `authorization_` is of a token server
    CURL* easy_ = nullptr;
    bool redirected_ = false, origin_local_ = false, refused_address_ = false;
};

}  // namespace

std::optional<ContentRange> parse_content_range(std::string_view text) {
    if (!text.starts_with("bytes ")) return std::nullopt;
    text.remove_prefix(6);
    const auto slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const std::string_view span = text.substr(0, slash), whole = text.substr(slash + 1);
    ContentRange range;
    if (whole != "*") {
        const auto total = to_number(whole);
        if (!total) return std::nullopt;
        range.total = *total;
    }
    if (span == "*") {
        range.unsatisfied = true;
        return whole == "*" ? std::nullopt : std::optional(range);
    }
    const auto dash = span.find('-');
    if (dash == std::string_view::npos) return std::nullopt;
    const auto first = to_number(span.substr(0, dash)), last = to_number(span.substr(dash + 1));
    if (!first || !last || *first > *last || (range.total != 0 && *last >= range.total)) return std::nullopt;
    range.first = *first;
    range.last = *last;
    return range;
}

Report run_transfer(const Order& order, const TransferIo& io) { return Transfer(order, io).run(); }

}  // namespace eve::storage::fetch
