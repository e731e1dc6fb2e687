#pragma once
// The channel against the stream: one consumer listens at /run/<agent>/<Topic>.sock, short-lived producers each leave one datagram of JSON.

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/log/log.hpp"
#include "core/loop/loop.hpp"
#include "eve/result.hpp"

namespace eve::bus {

/// The consumer, until destroyed. Producers that are neither root nor our user, or say nothing for five seconds, are dismissed. [loop]
class ReverseChannel {
public:
    using Handler = std::function<void(std::string_view json)>;
    /// Errors: already_exists - another process consumes there.
    static Result<std::unique_ptr<ReverseChannel>> listen(IoLoop& loop, Log& log, const std::string& path, Handler handler);
    ~ReverseChannel();
    ReverseChannel(const ReverseChannel&) = delete;
    ReverseChannel& operator=(const ReverseChannel&) = delete;

private:
    struct State;
    explicit ReverseChannel(std::shared_ptr<State> state);
    std::shared_ptr<State> state_;  // shared with the call that may be under way
};

/// The producer: the datagram is the consumer's to read. Errors: unavailable, not_found - nobody listens.
Status send_reverse(const std::string& path, std::string_view json);

}  // namespace eve::bus
