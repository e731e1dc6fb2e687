// What image servers, images and the files beside them say.

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <netinet/in.h>
#include <poll.h>

#include <atomic>
#include <mutex>
#include <string>
#include <thread>

#include "core/loop/unique_fd.hpp"
#include "core/types/oci.hpp"
#include "net/dnsmasq.hpp"
#include "storage/durable_file.hpp"
#include "storage/fetch/http_transfer.hpp"
#include "storage/fetch/protocol.hpp"
#include "storage/qcow2_header.hpp"
#include "storage/transfer_notes.hpp"
#include "storage/verify_files.hpp"
#include "storage/volume_files.hpp"
#include "tests/fuzz/targets.hpp"

namespace eve::fuzz {

namespace fetch = storage::fetch;

void content_range(std::string_view bytes) {
    const auto range = fetch::parse_content_range(bytes);
    if (!range || range->unsatisfied) return;
    require(range->first <= range->last, "a range ends where it begins or later");
    require(range->total == 0 || range->last < range->total, "a range lies within the whole");
}

void fetch_packet(std::string_view bytes) {
    if (const auto order = fetch::decode_order(bytes)) {
        const auto packet = fetch::encode(*order);
        require(packet && *fetch::decode_order(*packet) == *order, "an order that was read can be sent on");
    }
    if (const auto report = fetch::decode_report(bytes)) {
        const auto packet = fetch::encode(*report);
        require(packet.size() <= fetch::packet_bytes_max, "a report fits into a packet");
        require(fetch::decode_report(packet).ok(), "a report that was read can be sent on");
    }
}

void qcow2_header(std::string_view bytes) {
    const auto header = storage::parse_qcow2_header(bytes);
    if (!header) return;
    require(storage::looks_like_qcow2(bytes), "it begins as qcow2 does");
    require(header->virtual_bytes <= storage::qcow2_virtual_bytes_max, "its size is possible");
}

void lease_file(std::string_view bytes) { (void)net::parse_leases(std::string(bytes)); }

// Notes of transfers, names of files, manifests, seals.
void stored_file(std::string_view bytes) {
    if (const auto point = storage::parse_progress(bytes)) {
        const auto again = storage::parse_progress(storage::format_progress(*point));
        require(again && again->offset == point->offset && again->etag == point->etag, "progress that was read can be written");
    }
    (void)storage::noted_digest(bytes, {});
    if (const auto name = storage::parse_verified_name(bytes)) {
        const auto again = storage::parse_verified_name(storage::verified_name(name->sha256, name->media_type));
        require(again && again->sha256 == name->sha256 && again->media_type == name->media_type, "a verified name survives");
    }
    (void)storage::parse_volume_name(bytes);
    (void)from_json<types::OciIndex>(bytes);
    (void)from_json<types::OciManifest>(bytes);
    require(*storage::unseal_json(storage::seal_json(bytes)) == bytes, "a seal comes off");
    require(*storage::unseal_protobuf(storage::seal_protobuf(bytes)) == bytes, "a seal comes off");
    (void)storage::unseal_json(std::string(bytes));
    (void)storage::unseal_protobuf(std::string(bytes));
}

namespace {

// A server on the loopback whose answers, one for each connection, are the parts of the input that 0xff separates.
class Server {
public:
    Server() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        require(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), size) == 0 && ::listen(socket_.get(), 16) == 0 &&
                    ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0,
                "there is a loopback");
        port_ = ntohs(address.sin_port);
        thread_ = std::thread([this] { serve(); });
    }
    ~Server() {
        ending_ = true;
        ::shutdown(socket_.get(), SHUT_RDWR);
        thread_.join();
    }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    std::string answer_with(std::string_view script) {
        const std::lock_guard lock(mutex_);
        script_ = script;
        return "http://127.0.0.1:" + std::to_string(port_) + "/image";
    }

private:
    std::string next() {
        const std::lock_guard lock(mutex_);
        const auto end = script_.find('\xff');
        auto part = script_.substr(0, end);
        script_.erase(0, end == std::string::npos ? end : end + 1);
        return part;
    }
    void serve() {
        while (!ending_) {
            const UniqueFd peer(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (!peer) continue;
            std::string request;
            char buffer[4096];
            pollfd wait{.fd = peer.get(), .events = POLLIN, .revents = 0};
            while (request.find("\r\n\r\n") == std::string::npos && ::poll(&wait, 1, 1000) > 0) {
                const auto got = ::recv(peer.get(), buffer, sizeof buffer, 0);
                if (got <= 0) break;
                request.append(buffer, static_cast<std::size_t>(got));
            }
            const auto answer = next();
            (void)::send(peer.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
            ::shutdown(peer.get(), SHUT_WR);
        }
    }

    UniqueFd socket_;
    std::uint16_t port_ = 0;
    std::atomic<bool> ending_{false};
    std::mutex mutex_;
    std::string script_;
    std::thread thread_;
};

/// One transfer from a server that answers with what follows the first byte of `bytes`.
void transfer(std::string_view bytes, bool registry) {
    static Server server;
    constexpr std::uint64_t size_max = 4096;
    constexpr std::string_view before = "0123456789";
    int pair[2];
    require(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0, "a socket pair");
    const UniqueFd ours(pair[0]), theirs(pair[1]), target(::memfd_create("target", MFD_CLOEXEC));
    require(::write(target.get(), before.data(), before.size()) == static_cast<ssize_t>(before.size()), "a target");
    fetch::Order order{.size_max = size_max, .stall_seconds = 1, .tries_max = 2, .first_delay_ms = 0};
    const auto choice = bytes.empty() ? 0U : static_cast<unsigned char>(bytes[0]);
    if ((choice & 1) != 0) {
        order.resume_from = before.size();
        order.validator_etag = "\"v1\"";
    }
    order.url = server.answer_with(bytes.empty() ? bytes : bytes.substr(1));
    if (registry) {
        order.registry_scope = "repository:shop/web:pull";
        order.fallback_url = order.url + "-else";
        if ((choice & 2) != 0) {
            order.user = "app";
            order.password = "open sesame";
        }
    }
    const auto report = fetch::run_transfer(order, {.target = target.get(), .control = theirs.get(), .roots = {}, .report = [&](const fetch::Progress& now) {
                                                        require(now.current <= size_max, "more than may be was received");
                                                    }});
    struct stat facts {};
    require(::fstat(target.get(), &facts) == 0 && static_cast<std::uint64_t>(facts.st_size) <= size_max, "the file is within its limit");
    if (const auto* done = std::get_if<fetch::Done>(&report)) require(done->size == static_cast<std::uint64_t>(facts.st_size), "the size is the file's");
    require(!std::holds_alternative<fetch::Progress>(report), "it ends with a result");
    if (const auto* failed = std::get_if<fetch::Failed>(&report)) {
        require(!failed->what.empty(), "a failure has a sentence");
        require(failed->what.find("open sesame") == std::string::npos, "without the password in it");
    }
}

}  // namespace

void http_response(std::string_view bytes) { transfer(bytes, false); }

// A registry, and the token server that it names, which is the same one: ports are not known to an input.
void registry_answer(std::string_view bytes) { transfer(bytes, true); }

}  // namespace eve::fuzz
