#pragma once
// What lanes, timers and posted tasks call when they are done, although the object that asked may be gone by then.

#include <memory>
#include <utility>

#include "core/loop/loop.hpp"

namespace eve {

/// Base of an object that lives in a shared_ptr and waits for answers.
template <class Self>
class WhileAlive : public std::enable_shared_from_this<Self> {
protected:
    /// `f`, or nothing once this object is gone.
    template <class F>
    auto guarded(F f) {
        return [alive = this->weak_from_this(), f = std::move(f)](auto result) mutable {
            if (const auto held = alive.lock()) f(std::move(result));
        };
    }
    template <class F>
    Loop::Task guarded_task(F f) {
        return [alive = this->weak_from_this(), f = std::move(f)] {
            if (const auto held = alive.lock()) f();
        };
    }
};

}  // namespace eve
