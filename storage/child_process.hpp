#pragma once
// A program run without a shell: chosen descriptors, an empty environment, its own process group; dead and reaped when this object is gone.

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "eve/result.hpp"

namespace eve::storage {

struct ChildOptions {
    std::string program;
    std::vector<std::string> arguments;
    std::vector<std::pair<int, int>> descriptors;  ///< ours, and the number it has there: 2 to 15; 0 and 1 are /dev/null
};

class ChildProcess {
public:
    /// Errors: unavailable - it cannot be started.
    static Result<ChildProcess> start(const ChildOptions& options);
    ChildProcess(ChildProcess&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
    ChildProcess& operator=(ChildProcess&&) = delete;
    ~ChildProcess() { end(); }

    /// It does not run any more when this returns. Idempotent.
    void end();
    /// Waits until it ends by itself; its exit status, or 128 and the signal.
    int wait();

private:
    explicit ChildProcess(pid_t pid) : pid_(pid) {}
    pid_t pid_ = -1;
};

}  // namespace eve::storage
