#pragma once
// Calling an eve_call_fn with records, and answering one: the two ends that both the node and a plugin have. Glue only.

#include <fcntl.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "eve/abi.h"
#include "eve/host.hpp"
#include "eve/result.hpp"
#include "eve/sdk/codec.hpp"

namespace eve {
EVE_SDK_NAMESPACE {
namespace sdk {

/// Deadlines on this boundary are points of CLOCK_MONOTONIC.
inline std::int64_t monotonic_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

inline std::int64_t deadline_after(std::chrono::nanoseconds left) {
    const auto now = monotonic_ns();
    const auto max = std::numeric_limits<std::int64_t>::max();
    return left.count() >= max - now ? max : now + left.count();
}

/// The limits of a call as its callee sees them.
class RequestContext final : public CallContext {
public:
    explicit RequestContext(const eve_request& request)
        : id_(request.id), deadline_ns_(request.deadline_ns), cancel_fd_(request.cancel_fd) {}

    std::uint64_t id() const override { return id_; }
    std::chrono::nanoseconds time_left() const override {
        if (deadline_ns_ == std::numeric_limits<std::int64_t>::max()) return std::chrono::nanoseconds::max();
        const auto now = monotonic_ns();
        return std::chrono::nanoseconds(deadline_ns_ > now ? deadline_ns_ - now : 0);
    }
    bool cancelled() const override {
        pollfd wait{.fd = cancel_fd_, .events = POLLIN, .revents = 0};
        return cancel_fd_ >= 0 && ::poll(&wait, 1, 0) > 0;
    }
    int cancel_fd() const override { return cancel_fd_; }

private:
    std::uint64_t id_;
    std::int64_t deadline_ns_;
    int cancel_fd_;
};

/// What a call answered: its body and descriptors, which it owns.
class ReplyBuffer {
public:
    explicit ReplyBuffer(std::size_t size_max) : size_max_(size_max) {}
    ~ReplyBuffer() {
        for (const int fd : fds_) ::close(fd);
    }
    ReplyBuffer(const ReplyBuffer&) = delete;
    ReplyBuffer& operator=(const ReplyBuffer&) = delete;

    eve_reply table() { return {.size = sizeof(eve_reply), .reserved = 0, .to = this, .body = &take_body, .fd = &take_fd}; }
    const std::string& body() const { return body_; }
    const std::vector<int>& fds() const { return fds_; }
    bool overflowed() const { return overflowed_; }

private:
    static std::int32_t take_body(void* to, const char* json, std::uint64_t size) {
        auto& self = *static_cast<ReplyBuffer*>(to);
        if (self.filled_ || (json == nullptr && size != 0)) return -1;
        if (size > self.size_max_) {
            self.overflowed_ = true;
            return -1;
        }
        try {
            self.body_.assign(json == nullptr ? "" : json, static_cast<std::size_t>(size));
        } catch (...) {
            return -1;
        }
        self.filled_ = true;
        return 0;
    }
    static std::int32_t take_fd(void* to, int fd) {
        auto& self = *static_cast<ReplyBuffer*>(to);
        if (self.fds_.size() >= EVE_FDS_MAX || fd < 0) return -1;
        try {
            self.fds_.push_back(fd);
        } catch (...) {
            return -1;
        }
        return static_cast<std::int32_t>(self.fds_.size() - 1);
    }

    std::size_t size_max_;
    bool filled_ = false;
    bool overflowed_ = false;
    std::string body_;
    std::vector<int> fds_;
};

/// The other side of the boundary: where its calls go and the numbers they get.
struct Peer {
    eve_call_fn call = nullptr;
    void* self = nullptr;
    std::atomic<std::uint64_t>* ids = nullptr;
};

struct CallLimits {
    std::int64_t deadline_ns = std::numeric_limits<std::int64_t>::max();
    int cancel_fd = -1;
    std::size_t request_size_max = EVE_REQUEST_SIZE_MAX;
    Strictness strictness = Strictness::must_understand;  ///< of the request: events and logs are must_ignore
};

/// The record that `method` answers, or the failure it tells.
template <class Reply, class Request>
Result<Reply> call(const Peer& peer, const char* method, const Request& request, const CallLimits& limits) {
    auto encoded = encode(request, limits.strictness, limits.request_size_max);
    if (!encoded) return std::move(encoded).error();
    const eve_request table{.size = sizeof(eve_request),
                            .fd_count = static_cast<std::uint32_t>(encoded->fds.size()),
                            .method = method,
                            .body = encoded->body.data(),
                            .body_size = encoded->body.size(),
                            .fds = encoded->fds.data(),
                            .id = peer.ids->fetch_add(1) + 1,
                            .deadline_ns = limits.deadline_ns,
                            .cancel_fd = limits.cancel_fd,
                            .reserved = 0};
    ReplyBuffer answer(EVE_REPLY_SIZE_MAX);
    auto reply = answer.table();
    const std::int32_t number = peer.call(peer.self, &table, &reply);
    if (number != EVE_OK) return decode_error(number, answer.body());
    if (answer.overflowed()) return Error{.code = Code::internal, .what = "the answer of " + std::string(method) + " is over the limit of 4 MiB"};
    auto decoded = decode<Reply>(answer.body(), Strictness::must_ignore, answer.fds());
    if (!decoded)
        return Error{.code = Code::internal,
                     .what = "the answer of " + std::string(method) + " cannot be read: " + decoded.error().what,
                     .field = decoded.error().field};
    return decoded;
}

/// Writes a failure as the answer and returns its number.
inline std::int32_t answer_error(eve_reply& reply, const Error& error) {
    const auto body = encode_error(error);
    if (!body.empty()) reply.body(reply.to, body.data(), body.size());
    return error.code == Code::ok ? EVE_INTERNAL : static_cast<std::int32_t>(error.code);
}

/// Writes a result as the answer and returns its number. Descriptors in it are dup'ed.
template <class Record> std::int32_t answer(eve_reply& reply, const Result<Record>& result) {
    if (!result) return answer_error(reply, result.error());
    auto encoded = encode(*result, Strictness::must_ignore, EVE_REPLY_SIZE_MAX);
    if (!encoded) return answer_error(reply, std::move(encoded).error().in("the answer"));
    for (const int fd : encoded->fds) {
        const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (copy < 0 || reply.fd(reply.to, copy) < 0) {
            if (copy >= 0) ::close(copy);
            return answer_error(reply, Error{.code = Code::internal, .what = "a descriptor of the answer could not be passed"});
        }
    }
    if (reply.body(reply.to, encoded->body.data(), encoded->body.size()) < 0) return EVE_RESOURCE_EXHAUSTED;
    return EVE_OK;
}

/// The record of a request, or why it is refused. The descriptors stay the caller's.
template <class Record> Result<Record> read_request(const eve_request& request, Strictness strictness) {
    if (request.body_size > EVE_REQUEST_SIZE_MAX || request.fd_count > EVE_FDS_MAX)
        return Error{.code = Code::invalid_argument, .what = "the request is over the limits"};
    if (request.body == nullptr && request.body_size != 0) return Error{.code = Code::invalid_argument, .what = "the request has no body"};
    std::vector<int> fds;
    if (request.fd_count > 0 && request.fds != nullptr) fds.assign(request.fds, request.fds + request.fd_count);
    return decode<Record>({request.body == nullptr ? "" : request.body, static_cast<std::size_t>(request.body_size)}, strictness, std::move(fds));
}

/// `step()` with every exception turned into an answer: none crosses the boundary.
template <class Callable> std::int32_t guarded(eve_reply& reply, Callable step) noexcept {
    try {
        try {
            return step();
        } catch (const std::bad_alloc&) {
            return answer_error(reply, Error{.code = Code::resource_exhausted, .what = "out of memory"});
        } catch (const std::exception& thrown) {
            return answer_error(reply, Error{.code = Code::internal, .what = std::string("exception: ") + thrown.what()});
        } catch (...) {
            return answer_error(reply, Error{.code = Code::internal, .what = "exception of an unknown type"});
        }
    } catch (...) {
        return EVE_INTERNAL;
    }
}

}  // namespace sdk
}  // EVE_SDK_NAMESPACE
}  // namespace eve
