#include "core/zedbox/silence.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <string>

#include "core/loop/unique_fd.hpp"

namespace eve::zedbox {
namespace {

using std::chrono::nanoseconds;

/// One read of a file of /proc, cut off at what the two files here ever hold.
std::string read_short(const char* path) {
    const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
    std::array<char, 1024> text{};
    const auto got = ::read(fd.get(), text.data(), text.size());
    return got > 0 ? std::string(text.data(), static_cast<std::size_t>(got)) : std::string();
}

}  // namespace

std::optional<SchedulerSample> sample_scheduler(pid_t pid) {
    const auto directory = "/proc/" + std::to_string(pid);
    std::int64_t ran = 0;
    std::int64_t waited = 0;
    if (std::sscanf(read_short((directory + "/schedstat").c_str()).c_str(), "%" SCNd64 " %" SCNd64, &ran, &waited) != 2) return std::nullopt;
    // pid (name) state ...: the name may hold anything, also brackets.
    const auto stat = read_short((directory + "/stat").c_str());
    const auto bracket = stat.rfind(')');
    if (bracket == std::string::npos || bracket + 2 >= stat.size()) return std::nullopt;
    return SchedulerSample{.ran = nanoseconds{ran}, .waited = nanoseconds{waited}, .runnable = stat[bracket + 2] == 'R'};
}

void SilenceMeter::begin(std::optional<SchedulerSample> now) {
    last_ = now;
    counted_ = {};
}

void SilenceMeter::add(nanoseconds asked, nanoseconds passed, std::optional<SchedulerSample> now) {
    auto counts = std::min(asked, passed);
    if (now && last_) {
        const auto ran = now->ran - last_->ran;
        const auto waited = now->waited - last_->waited;
        // A wait is only noted when it is over: who is runnable now and has not run may have waited all the time.
        counts = std::clamp(now->runnable ? ran : passed - waited, nanoseconds{0}, counts);
    }
    last_ = now;
    counted_ += counts;
}

}  // namespace eve::zedbox
