#pragma once
// Whether a silent process hangs, or only did not get the processor: what the kernel's scheduler says about it, added up.

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>

namespace eve::zedbox {

/// The first thread of a process, as /proc/PID/schedstat and /proc/PID/stat tell.
struct SchedulerSample {
    std::chrono::nanoseconds ran{0};      ///< since it was born
    std::chrono::nanoseconds waited{0};   ///< for a processor, in waits that are over
    bool runnable = false;                ///< it runs, or waits for a processor just now
};

/// Nothing where the kernel does not tell or the process is gone.
std::optional<SchedulerSample> sample_scheduler(pid_t pid);

/// How long a process has been silent though nothing kept it from speaking: it ran, slept or was stopped. Time in which it only waited for a
/// processor does not count, nor time in which we ourselves were away longer than we asked for (the machine slept, or starves us too).
class SilenceMeter {
public:
    /// It has just shown life.
    void begin(std::optional<SchedulerSample> now);
    /// `passed` later, of which `asked` were meant to pass.
    void add(std::chrono::nanoseconds asked, std::chrono::nanoseconds passed, std::optional<SchedulerSample> now);
    std::chrono::nanoseconds counted() const { return counted_; }

private:
    std::optional<SchedulerSample> last_;
    std::chrono::nanoseconds counted_{0};
};

}  // namespace eve::zedbox
