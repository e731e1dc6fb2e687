#pragma once
// Programs that an operator runs in containers (exec/1): each has a session, a socket whose frames go to and come from the program's pipes. Two
// threads a session: one moves bytes, one waits for the end.

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "containerd/containerd_api.hpp"
#include "eve/exec.hpp"
#include "common/unique_fd.hpp"

namespace eve::containerd {

inline constexpr std::size_t exec_sessions_max = 32;

class ExecSessions {
public:
    /// Borrows containerd.
    explicit ExecSessions(ExecApi& containerd);
    /// Every program has been killed, every session closed; no thread is left.
    ~ExecSessions();
    ExecSessions(const ExecSessions&) = delete;
    ExecSessions& operator=(const ExecSessions&) = delete;

    /// The program of `request` runs in the container whose OCI specification is `spec`; its pipes are in a directory below `directory`, which is
    /// the container's. [any-thread]
    ///
    /// Errors: those of Exec::exec().
    Result<ExecStarted> start(const ExecRequest& request, std::string_view spec, int directory, const Limit& limit);

    /// Programs that an earlier life of the plugin left in the container are killed, their pipes removed. [any-thread]
    void clear_leftovers(const std::string& container, int directory, const Limit& limit);

private:
    class Session;
    void forget_finished();

    ExecApi& containerd_;
    std::mutex mutex_;  // guards what follows
    std::list<std::unique_ptr<Session>> sessions_;
    std::uint64_t started_ = 0;
};

}  // namespace eve::containerd
