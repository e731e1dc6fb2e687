#pragma once
// Limits of a call for tests: none, until the test sets them.

#include <chrono>
#include <cstdint>

#include "eve/host.hpp"

namespace eve {
EVE_SDK_NAMESPACE {
namespace testing {

/// A call without limits, unless they are set.
class FakeCall final : public CallContext {
public:
    std::uint64_t id() const override { return call_id; }
    std::chrono::nanoseconds time_left() const override { return left; }
    bool cancelled() const override { return is_cancelled; }
    int cancel_fd() const override { return fd; }

    std::uint64_t call_id = 1;
    std::chrono::nanoseconds left = std::chrono::nanoseconds::max();
    bool is_cancelled = false;
    int fd = -1;
};

}  // namespace testing
}  // EVE_SDK_NAMESPACE
}  // namespace eve
