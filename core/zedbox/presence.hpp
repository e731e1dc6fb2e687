#pragma once
// What the machine's watchdog and other agents see of an agent: its touch file, its pid file, and the exit code that it leaves.

#include <memory>
#include <string>

#include "core/loop/loop.hpp"
#include "core/loop/root.hpp"
#include "core/loop/unique_fd.hpp"
#include "eve/result.hpp"

namespace eve {

/// The right to be agent NAME of this node. Destroying it is what a crash leaves: a pid file whose owner is dead. [loop]
class AgentPresence {
public:
    static constexpr std::chrono::seconds touch_interval{25};

    /// ROOT/run/<agent>.pid names this process, ROOT/run/<agent>.touch is touched every 25 s from now on, an old <agent>.done is gone.
    /// Errors: already_exists - a living process is this agent; others as of files.
    static Result<std::unique_ptr<AgentPresence>> claim(Loop& loop, const Root& root, const std::string& agent);
    ~AgentPresence();
    AgentPresence(const AgentPresence&) = delete;
    AgentPresence& operator=(const AgentPresence&) = delete;

    /// After each event that shows the agent at work.
    void still_running();
    /// The agent ended by itself: its exit code is in ROOT/run/<agent>.done, its pid and touch files are gone.
    void finish(int exit_code);

private:
    AgentPresence(Loop& loop, std::string base, UniqueFd pid_file);
    void tick();

    Loop& loop_;
    std::string base_;  // ROOT/run/<agent>
    UniqueFd pid_file_;  // locked as long as this object lives
    TimerId timer_{};
    bool finished_ = false;
};

}  // namespace eve
