#pragma once
// Running a program without a shell, and looking after a process that is not our child: by pidfd, so that a reused number is never signalled.

#include <chrono>
#include <string>
#include <vector>

#include "core/loop/unique_fd.hpp"
#include "eve/result.hpp"

namespace eve::net {

struct ProgramResult {
    int exit_code = 0;   ///< 128 + signal when a signal ended it
    std::string output;  ///< the first 4 KiB of what it wrote to standard error and output
};

/// The program has ended by itself within `limit`, or has been killed. `arguments[0]` is its absolute path. [lane]
/// Errors: not_found - no such program; timed_out - killed at the limit; unavailable - no process could be made.
Result<ProgramResult> run_program(const std::vector<std::string>& arguments, std::chrono::milliseconds limit);

/// The process `pid`, if it runs `program` and one of its arguments is `argument`; not_found otherwise.
Result<UniqueFd> open_process(int pid, const std::string& program, const std::string& argument);

/// Whether the process has ended, waiting for it at most `limit`. [lane]
bool wait_for_end(const UniqueFd& process, std::chrono::milliseconds limit);

/// Sends `signal`; a process that has ended is success.
Status send_signal(const UniqueFd& process, int signal);

/// What errno says, for an error's text.
std::string errno_text(int number);
/// An Error whose code follows from errno.
Error system_error(int number, const std::string& what);

}  // namespace eve::net
