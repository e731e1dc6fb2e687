#pragma once
// Where `evectl app exec` knocks: a socket for root alone. Who asks for a program in a domain is connected with the plugin that runs that domain;
// what they say to each other then does not pass through the node.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/log/log.hpp"
#include "core/loop/loop.hpp"
#include "eve/exec.hpp"
#include "eve/hypervisor.hpp"
#include "eve/result.hpp"

namespace eve::zedbox {

inline constexpr const char* exec_socket = "/run/domainmgr/exec.sock";

/// A runtime that may have the domain; `exec` is null where it runs nothing further in its domains. Both outlive the door.
struct ExecRuntime {
    std::string name;
    Hypervisor* hypervisor = nullptr;
    Exec* exec = nullptr;
};

/// Open until destroyed. [loop]
class ExecDoor {
public:
    struct Deps {
        IoLoop& loop;
        Lanes& lanes;
        Log& log;
        const Clock& clock;
        std::function<std::vector<ExecRuntime>()> runtimes;  ///< called in lanes
    };
    /// Errors: already_exists - another process listens at `path`; unavailable - it cannot be made.
    static Result<std::unique_ptr<ExecDoor>> open(const std::string& path, Deps deps);
    ~ExecDoor();
    ExecDoor(const ExecDoor&) = delete;
    ExecDoor& operator=(const ExecDoor&) = delete;

private:
    struct State;
    explicit ExecDoor(std::shared_ptr<State> state);
    std::shared_ptr<State> state_;  // jobs in lanes look whether it is still there
};

}  // namespace eve::zedbox
