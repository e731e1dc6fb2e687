#pragma once
// A client of xenstored with a limit on every word: libxenstore waits for ever when the daemon hangs. Only what the plugin needs.

#include <cstdint>
#include <string>
#include <string_view>

#include "common/limit.hpp"
#include "common/unique_fd.hpp"
#include "eve/result.hpp"

namespace eve::xen {

enum class DaemonState : std::uint8_t { answers, hangs, dead };
/// What becomes of who talks to the daemon at this socket.
DaemonState daemon_state(const std::string& socket, const plugins::Limit& limit);

/// A connection to xenstored.
class Store {
public:
    /// Connected to the daemon at this socket. It may still hang: the first word tells.
    ///
    /// Errors: unavailable - no socket, or nobody listens there.
    static Result<Store> open(const std::string& socket, const plugins::Limit& limit);

    /// The value at a path. not_found: there is none.
    Result<std::string> read(std::string_view path, const plugins::Limit& limit);
    Status write(std::string_view path, std::string_view value, const plugins::Limit& limit);
    /// With all beneath it. A path that is not there is a success.
    Status remove(std::string_view path, const plugins::Limit& limit);

private:
    explicit Store(plugins::UniqueFd fd) : fd_(std::move(fd)) {}
    Result<std::string> ask(std::uint32_t type, std::string_view body, const plugins::Limit& limit);
    Status move(void* bytes, std::size_t size, short direction, const plugins::Limit& limit) const;

    plugins::UniqueFd fd_;
};

}  // namespace eve::xen
