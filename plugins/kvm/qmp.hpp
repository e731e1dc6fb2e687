#pragma once
// A client of QEMU's machine protocol (docs/interop/qmp-spec): one connection, commands with a limit, events. What QEMU says is foreign data:
// sizes, nesting and counts are bounded, nothing in it is trusted.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eve/result.hpp"
#include "limit.hpp"
#include "unique_fd.hpp"

namespace eve::kvm {

struct QmpEvent {
    std::string name;      ///< "SHUTDOWN"
    bool guest = false;    ///< of SHUTDOWN and RESET: by the guest itself
    std::string detail;    ///< reason or action, if there is one
    friend bool operator==(const QmpEvent&, const QmpEvent&) = default;
};

inline constexpr std::size_t qmp_message_max = 1U << 20;
inline constexpr int qmp_depth_max = 32;
inline constexpr int qmp_events_in_a_command_max = 1000;

class QmpClient {
public:
    /// Connected to the socket `name` in `directory`, greeted, capabilities agreed. A path of any length works.
    ///
    /// Errors: not_found - no such socket; unavailable - nobody listens, or what answers is no QEMU; timed_out, cancelled.
    static Result<QmpClient> open(int directory, const std::string& name, const Limit& limit);

    /// The same over a socket that is connected already.
    static Result<QmpClient> greet(UniqueFd socket, const Limit& limit);

    /// The command's "return" as JSON. `arguments` is a JSON object or empty.
    ///
    /// Errors: failed_precondition - QEMU refused, with its words; unavailable - the connection ended or the answer makes no sense;
    ///         timed_out (the effect may have happened), cancelled.
    Result<std::string> execute(std::string_view command, std::string_view arguments, const Limit& limit);

    /// The run state in QEMU's words ("running", "prelaunch", "shutdown").
    Result<std::string> run_state(const Limit& limit);
    /// The threads of the virtual CPUs, in order.
    Result<std::vector<std::int64_t>> cpu_threads(const Limit& limit);
    /// The password of the screen is set; it is written to no log.
    Status set_vnc_password(const std::string& password, const Limit& limit);

    /// The events that arrived and were not taken yet, without waiting.
    ///
    /// Errors: unavailable - the connection ended.
    Result<std::vector<QmpEvent>> take_events();

    int fd() const { return socket_.get(); }

private:
    explicit QmpClient(UniqueFd socket) : socket_(std::move(socket)) {}

    Status send(std::string_view text, const Limit& limit);
    Status receive();
    std::optional<std::string> line();
    Result<std::string> answer(std::uint64_t id, const Limit& limit);

    UniqueFd socket_;
    std::string input_;
    std::vector<QmpEvent> events_;
    std::uint64_t last_id_ = 0;
};

}  // namespace eve::kvm
