#pragma once
// evectl app exec: a program in an app's container, with the operator's terminal or pipes.

#include <string>
#include <vector>

#include "eve/result.hpp"

namespace eve::evectl {

/// What `evectl app exec` ends with where it is not the program's own exit code: nothing was run, or how it ended is not known.
inline constexpr int exec_failed = 125;

struct ExecCommand {
    std::string socket;             ///< the node's
    std::string app;                ///< UUID
    std::vector<std::string> argv;
    std::string terminal_kind;      ///< $TERM of a terminal of ours
};

/// The program has run and ended; its exit code, or 128 and its signal. It has a terminal where our input and output are one.
///
/// Errors: what the node or the plugin says; unavailable - no node, or it is lost how the program ended.
Result<int> run_exec(const ExecCommand& command);

}  // namespace eve::evectl
