#pragma once
// A small HTTP server on a thread of its own whose every answer a test scripts, also the dishonest ones.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace eve::test {

struct HttpRequest {
    std::string path;
    std::map<std::string, std::string> headers;  ///< names in lower case
    int number = 0;                              ///< how many requests came before
};

/// One connection: what a handler writes to it is what the client gets.
class HttpConnection {
public:
    explicit HttpConnection(int fd, const std::atomic<bool>& stopping) : fd_(fd), stopping_(stopping) {}
    /// False when the client is gone.
    bool write(std::string_view bytes) const {
        while (!bytes.empty()) {
            const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (n <= 0) return false;
            bytes.remove_prefix(static_cast<std::size_t>(n));
        }
        return true;
    }
    /// Until the client goes, or the server stops.
    void stall() const {
        pollfd waiting{.fd = fd_, .events = POLLRDHUP, .revents = 0};
        while (!stopping_ && poll(&waiting, 1, 50) == 0) {}
    }
    /// Ends with a reset rather than an orderly close.
    void reset() const {
        const linger hard{.l_onoff = 1, .l_linger = 0};
        setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    }

private:
    int fd_;
    const std::atomic<bool>& stopping_;
};

class HttpServer {
public:
    using Handler = std::function<void(const HttpRequest&, const HttpConnection&)>;

    explicit HttpServer(Handler handler, const char* address = "127.0.0.1") : handler_(std::move(handler)), address_(address) {
        listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in where{};
        where.sin_family = AF_INET;
        inet_pton(AF_INET, address, &where.sin_addr);
        socklen_t size = sizeof where;
        good_ = bind(listener_, reinterpret_cast<sockaddr*>(&where), size) == 0 && listen(listener_, 16) == 0 &&
                getsockname(listener_, reinterpret_cast<sockaddr*>(&where), &size) == 0;
        port_ = ntohs(where.sin_port);
        acceptor_ = std::thread([this] { accept_all(); });
    }
    ~HttpServer() {
        stopping_ = true;
        acceptor_.join();
        for (auto& one : connections_) one.join();
        close(listener_);
    }
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    bool good() const { return good_; }
    std::string url(const std::string& path) const { return "http://" + address_ + ":" + std::to_string(port_) + path; }
    int requests() const { return count_; }

private:
    void accept_all() {
        while (!stopping_) {
            pollfd waiting{.fd = listener_, .events = POLLIN, .revents = 0};
            if (poll(&waiting, 1, 50) <= 0) continue;
            const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            if (fd >= 0) connections_.emplace_back([this, fd] { serve(fd); });
        }
    }

    void serve(int fd) {
        std::string head;
        char byte = 0;
        while (!head.ends_with("\r\n\r\n") && head.size() < 65536 && recv(fd, &byte, 1, 0) == 1) head += byte;
        HttpRequest request;
        request.number = count_++;
        std::size_t at = head.find("\r\n");
        request.path = head.substr(4, head.find(' ', 4) - 4);
        while (at + 2 < head.size()) {
            const std::size_t end = head.find("\r\n", at + 2);
            if (end == std::string::npos || end == at + 2) break;
            std::string line = head.substr(at + 2, end - at - 2);
            const std::size_t colon = line.find(": ");
            for (std::size_t i = 0; i < colon && i < line.size(); ++i) line[i] = static_cast<char>(tolower(line[i]));
            if (colon != std::string::npos) request.headers[line.substr(0, colon)] = line.substr(colon + 2);
            at = end;
        }
        handler_(request, HttpConnection(fd, stopping_));
        close(fd);
    }

    Handler handler_;
    std::string address_;
    int listener_ = -1;
    std::uint16_t port_ = 0;
    bool good_ = false;
    std::atomic<bool> stopping_{false};
    std::atomic<int> count_{0};
    std::thread acceptor_;
    std::vector<std::thread> connections_;
};

/// Serves `content` honestly: ranges, a strong ETag, If-Range.
inline HttpServer::Handler honest(std::string content, std::string etag = "\"one\"") {
    return [content = std::move(content), etag = std::move(etag)](const HttpRequest& request, const HttpConnection& connection) {
        std::size_t from = 0;
        const auto range = request.headers.find("range");
        const auto condition = request.headers.find("if-range");
        if (range != request.headers.end() && (condition == request.headers.end() || condition->second == etag))
            from = std::stoul(range->second.substr(6));
        const std::string common = "ETag: " + etag + "\r\nContent-Type: application/octet-stream\r\nConnection: close\r\n";
        if (from == 0) connection.write("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(content.size()) + "\r\n" + common + "\r\n" + content);
        else
            connection.write("HTTP/1.1 206 Partial Content\r\nContent-Length: " + std::to_string(content.size() - from) +
                             "\r\nContent-Range: bytes " + std::to_string(from) + "-" + std::to_string(content.size() - 1) + "/" +
                             std::to_string(content.size()) + "\r\n" + common + "\r\n" + content.substr(from));
    };
}

}  // namespace eve::test
