#pragma once
// How containerd is called over gRPC: the channel, what its errors mean, and calls that end when their limit does. Heavy: for the two files that
// see the stubs, grpc_containerd.cpp and grpc_content.cpp.

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include <grpcpp/grpcpp.h>

#include "common/limit.hpp"
#include "eve/result.hpp"

namespace eve::containerd {

inline constexpr int message_max = 64 << 20;
inline constexpr std::chrono::nanoseconds grpc_call_max = std::chrono::hours{24 * 365};  // a wait for a process may take its whole life
inline constexpr std::chrono::milliseconds patience_step{200};  // how soon a caller that gives up is heard

inline Error error_of(const grpc::Status& status, const std::string& what) {
    using grpc::StatusCode;
    auto code = Code::internal;
    switch (status.error_code()) {
        case StatusCode::UNAVAILABLE: code = Code::unavailable; break;
        case StatusCode::DEADLINE_EXCEEDED: code = Code::timed_out; break;
        case StatusCode::CANCELLED: code = Code::cancelled; break;
        case StatusCode::NOT_FOUND: code = Code::not_found; break;
        case StatusCode::ALREADY_EXISTS: code = Code::already_exists; break;
        case StatusCode::RESOURCE_EXHAUSTED: code = Code::resource_exhausted; break;
        case StatusCode::PERMISSION_DENIED: code = Code::permission_denied; break;
        case StatusCode::FAILED_PRECONDITION: code = Code::failed_precondition; break;
        case StatusCode::UNKNOWN: code = Code::failed_precondition; break;  // what containerd says of a runtime that failed
        default: break;
    }
    constexpr std::size_t words_max = 400;
    return {.code = code, .what = what + ": " + status.error_message().substr(0, words_max)};
}

/// A connection to the containerd that listens on the unix socket `address`, and its namespace `name`.
class Connection {
public:
    Connection(const std::string& address, std::string name) : namespace_(std::move(name)) {
        grpc::ChannelArguments arguments;
        arguments.SetMaxReceiveMessageSize(message_max);
        arguments.SetMaxSendMessageSize(message_max);
        arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
        // In spite of its name, how long one attempt may take: on a machine that is busy the first words take their time.
        arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 10'000);
        arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
        arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
        channel_ = grpc::CreateCustomChannel("unix:" + address, grpc::InsecureChannelCredentials(), arguments);
    }

    const std::string& name() const { return namespace_; }
    const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

    void prepare(grpc::ClientContext& context, const plugins::Limit& limit) const {
        context.AddMetadata("containerd-namespace", namespace_);
        const auto left = std::min<std::chrono::nanoseconds>(limit.left(), grpc_call_max);
        context.set_deadline(gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(left.count(), GPR_TIMESPAN)));
    }

    /// Waits for the one step that is under way; who gives up is heard. False: the stream has ended.
    static bool await(grpc::ClientContext& context, grpc::CompletionQueue& queue, const plugins::Limit& limit) {
        void* tag = nullptr;
        bool good = false;
        while (queue.AsyncNext(&tag, &good, gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(patience_step.count(), GPR_TIMESPAN))) ==
               grpc::CompletionQueue::TIMEOUT)
            if (limit.cancelled()) context.TryCancel();
        return good;
    }

    /// Before a queue goes: no step is under way any more.
    static void drain(grpc::CompletionQueue& queue) {
        queue.Shutdown();
        void* tag = nullptr;
        bool good = false;
        while (queue.Next(&tag, &good)) {}
    }

    /// One call within its limit.
    template <class Reply, class Begin> Status run(const std::string& what, const plugins::Limit& limit, Reply& reply, Begin begin) const {
        grpc::ClientContext context;
        prepare(context, limit);
        grpc::CompletionQueue queue;
        grpc::Status status;
        const auto reader = begin(context, queue);
        reader->Finish(&reply, &status, nullptr);
        await(context, queue, limit);
        drain(queue);
        if (status.ok()) return {};
        return error_of(status, what);
    }

private:
    std::string namespace_;
    std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace eve::containerd
