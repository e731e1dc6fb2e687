#pragma once
// A registry's token server, small: over TLS it gives who has the right user and password a token for what he asks for, signed as
// docker-registry wants it, and remembers what it was asked.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace eve::test {

class TokenServer {
public:
    struct Settings {
        std::string certificate, key;  ///< PEM files: of the server, and what the tokens are signed with
        std::string service, issuer;
        std::string authorization;     ///< the header's value that is let in; empty: everybody
        std::int64_t now = 0;          ///< seconds since the epoch
    };
    explicit TokenServer(Settings settings) : settings_(std::move(settings)), context_(SSL_CTX_new(TLS_server_method())) {
        SSL_CTX_use_certificate_file(context_.get(), settings_.certificate.c_str(), SSL_FILETYPE_PEM);
        SSL_CTX_use_PrivateKey_file(context_.get(), settings_.key.c_str(), SSL_FILETYPE_PEM);
        listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        bind(listener_, reinterpret_cast<sockaddr*>(&address), size);
        listen(listener_, 16);
        getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
        port_ = ntohs(address.sin_port);
        thread_ = std::thread([this] { serve(); });
    }
    ~TokenServer() {
        stopping_ = true;
        shutdown(listener_, SHUT_RDWR);
        thread_.join();
        close(listener_);
    }
    TokenServer(const TokenServer&) = delete;
    TokenServer& operator=(const TokenServer&) = delete;

    std::string realm() const { return "https://127.0.0.1:" + std::to_string(port_) + "/token"; }
    /// The targets of all requests so far.
    std::vector<std::string> asked() const {
        const std::lock_guard lock(mutex_);
        return asked_;
    }

private:
    template <auto Free> struct Freed {
        template <class T> void operator()(T* object) const { Free(object); }
    };
    template <class T, auto Free> using Owned = std::unique_ptr<T, Freed<Free>>;

    static std::string base64(std::string_view bytes, bool for_url) {
        std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
        const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
        text.resize(static_cast<std::size_t>(size));
        if (!for_url) return text;
        for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
        while (text.ends_with('=')) text.pop_back();
        return text;
    }
    std::string certificate_base64() const {
        const Owned<BIO, BIO_free> file(BIO_new_file(settings_.certificate.c_str(), "r"));
        const Owned<X509, X509_free> certificate(PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr));
        unsigned char* der = nullptr;
        const int size = i2d_X509(certificate.get(), &der);
        const std::string text = base64({reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)}, false);
        OPENSSL_free(der);
        return text;
    }
    /// ES256: the two numbers of the signature, 32 bytes each.
    std::string signature(const std::string& text) const {
        constexpr int number = 32;
        const Owned<BIO, BIO_free> file(BIO_new_file(settings_.key.c_str(), "r"));
        const Owned<EVP_PKEY, EVP_PKEY_free> key(PEM_read_bio_PrivateKey(file.get(), nullptr, nullptr, nullptr));
        const Owned<EVP_MD_CTX, EVP_MD_CTX_free> digest(EVP_MD_CTX_new());
        std::vector<unsigned char> der(256);
        std::size_t size = der.size();
        EVP_DigestSignInit(digest.get(), nullptr, EVP_sha256(), nullptr, key.get());
        EVP_DigestSign(digest.get(), der.data(), &size, reinterpret_cast<const unsigned char*>(text.data()), text.size());
        const unsigned char* at = der.data();
        const Owned<ECDSA_SIG, ECDSA_SIG_free> parsed(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(size)));
        std::string both(2 * number, '\0');
        BN_bn2binpad(ECDSA_SIG_get0_r(parsed.get()), reinterpret_cast<unsigned char*>(both.data()), number);
        BN_bn2binpad(ECDSA_SIG_get0_s(parsed.get()), reinterpret_cast<unsigned char*>(both.data()) + number, number);
        return both;
    }
    std::string token(const std::string& repository) const {
        const auto time = [this](int seconds) { return std::to_string(settings_.now + seconds); };
        const std::string head = base64(R"({"typ":"JWT","alg":"ES256","x5c":[")" + certificate_base64() + "\"]}", true);
        const std::string claims = base64(R"({"iss":")" + settings_.issuer + R"(","sub":"app","aud":")" + settings_.service + R"(","exp":)" + time(600) +
                                              R"(,"nbf":)" + time(-60) + R"(,"iat":)" + time(0) + R"(,"jti":"1","access":[{"type":"repository","name":")" +
                                              repository + R"(","actions":["pull"]}]})",
                                          true);
        return head + "." + claims + "." + base64(signature(head + "." + claims), true);
    }

    static std::string unescaped(std::string_view text) {
        std::string plain;
        for (std::size_t at = 0; at < text.size(); ++at) {
            if (text[at] != '%' || at + 2 >= text.size()) plain += text[at];
            else plain += static_cast<char>(std::stoi(std::string(text.substr(at + 1, 2)), nullptr, 16)), at += 2;
        }
        return plain;
    }
    std::string answer(const std::string& request) {
        const std::string target = request.substr(4, request.find(' ', 4) - 4);
        {
            const std::lock_guard lock(mutex_);
            asked_.push_back(unescaped(target));
        }
        const auto respond = [](const char* status, const std::string& body) {
            return std::string("HTTP/1.1 ") + status + "\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
        };
        if (!settings_.authorization.empty() && request.find("Authorization: " + settings_.authorization + "\r\n") == std::string::npos) return respond("401 Unauthorized", "{}");
        const std::string plain = unescaped(target);
        constexpr std::string_view before = "scope=repository:", after = ":pull";
        const auto from = plain.find(before);
        const auto to = plain.find(after, from);
        if (from == std::string::npos || to == std::string::npos) return respond("400 Bad Request", "{}");
        return respond("200 OK", R"({"token":")" + token(plain.substr(from + before.size(), to - from - before.size())) + "\"}");
    }
    void serve() {
        while (!stopping_) {
            const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            if (fd < 0) continue;
            const timeval patience{.tv_sec = 5, .tv_usec = 0};
            setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
            const Owned<SSL, SSL_free> tls(SSL_new(context_.get()));
            SSL_set_fd(tls.get(), fd);
            if (SSL_accept(tls.get()) == 1) {
                std::string request;
                char buffer[4096];
                int got = 0;
                while (request.find("\r\n\r\n") == std::string::npos && (got = SSL_read(tls.get(), buffer, sizeof buffer)) > 0)
                    request.append(buffer, static_cast<std::size_t>(got));
                const std::string text = request.size() > 4 ? answer(request) : "";
                if (!text.empty()) SSL_write(tls.get(), text.data(), static_cast<int>(text.size()));
                SSL_shutdown(tls.get());
            }
            close(fd);
        }
    }

    Settings settings_;
    Owned<SSL_CTX, SSL_CTX_free> context_;
    int listener_ = -1;
    std::uint16_t port_ = 0;
    std::atomic<bool> stopping_{false};
    mutable std::mutex mutex_;
    std::vector<std::string> asked_;
    std::thread thread_;
};

}  // namespace eve::test
