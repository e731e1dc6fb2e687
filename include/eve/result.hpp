#pragma once
// Results and errors, for plugins and for the node alike: a value, or an Error whose code says what the caller should do and whose
// text says what happened. Standard library only.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#if defined(__GNUC__)
#define EVE_SDK_NAMESPACE inline namespace sdk_1_0 __attribute__((visibility("hidden")))
#else
#define EVE_SDK_NAMESPACE inline namespace sdk_1_0
#endif

namespace eve {
EVE_SDK_NAMESPACE {

/// What the caller should do about a failure. The numbers are the EVE_* of eve/abi.h.
enum class Code : std::int32_t {
    ok = 0,                   ///< never carried by an Error
    unavailable = 1,          ///< observe again, then retry with back-off
    timed_out = 2,            ///< as unavailable; the effect may have happened
    resource_exhausted = 3,   ///< retry with a longer back-off, report
    already_exists = 4,       ///< observe now: the caller's picture was stale
    not_found = 5,            ///< observe now: the caller's picture was stale
    failed_precondition = 6,  ///< do not retry until an input changes
    invalid_argument = 7,     ///< park the object, report; retry only on new input
    unsupported = 8,          ///< park the object, report; retry only on new input
    cancelled = 9,            ///< the caller gave up
    permission_denied = 10,   ///< park, report; an operator must act
    internal = 11,            ///< a defect of the callee; counts against its health
};

/// The code's name as it is written in logs and on the plugin boundary ("timed_out").
constexpr std::string_view to_string(Code code) {
    switch (code) {
        case Code::ok: return "ok";
        case Code::unavailable: return "unavailable";
        case Code::timed_out: return "timed_out";
        case Code::resource_exhausted: return "resource_exhausted";
        case Code::already_exists: return "already_exists";
        case Code::not_found: return "not_found";
        case Code::failed_precondition: return "failed_precondition";
        case Code::invalid_argument: return "invalid_argument";
        case Code::unsupported: return "unsupported";
        case Code::cancelled: return "cancelled";
        case Code::permission_denied: return "permission_denied";
        case Code::internal: return "internal";
    }
    return "internal";
}

/// The code of that name; an unknown name counts as internal.
constexpr Code code_from_string(std::string_view name) {
    for (std::int32_t n = 1; n <= 11; ++n)
        if (to_string(static_cast<Code>(n)) == name) return static_cast<Code>(n);
    return Code::internal;
}

/// Something an error is about: {"volume", "<key>"}, {"pci", "0000:03:00.0"}.
struct Entity {
    std::string kind;
    std::string id;
    friend bool operator==(const Entity&, const Entity&) = default;
};

/// Why something failed. `what` is one line for a person, at most 512 bytes, without secrets; context stands in front of it, outermost
/// first ("start app 7f: attach vda: no such file").
struct [[nodiscard]] Error {
    Code code = Code::internal;
    std::string what;
    std::string field;                                      ///< path of the input at fault (".disks[1].path"), or empty
    std::string hint;                                       ///< what to do about it, or empty
    std::optional<std::chrono::milliseconds> retry_after;   ///< when a retry may help; unset: the caller's own back-off
    std::vector<Entity> entities;

    /// The same error with one layer's context in front. Once per layer; do not repeat inner text.
    Error in(std::string_view context) && {
        what.insert(0, ": ");
        what.insert(0, context);
        return std::move(*this);
    }
    Error in(std::string_view context) const& { return Error(*this).in(context); }

    friend bool operator==(const Error&, const Error&) = default;
};

template <class T> class Result;
using Status = Result<void>;

/// A value or an Error. Reading the absent one is a programming error and throws std::bad_variant_access.
template <class T> class [[nodiscard]] Result {
public:
    using value_type = T;

    Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit, so that `return value;` works
    Result(Error error) : held_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit, so that `return Error{...};` works

    bool ok() const { return held_.index() == 0; }
    explicit operator bool() const { return ok(); }

    T& operator*() & { return std::get<0>(held_); }
    const T& operator*() const& { return std::get<0>(held_); }
    T&& operator*() && { return std::get<0>(std::move(held_)); }
    T* operator->() { return &std::get<0>(held_); }
    const T* operator->() const { return &std::get<0>(held_); }

    Error& error() & { return std::get<1>(held_); }
    const Error& error() const& { return std::get<1>(held_); }
    Error&& error() && { return std::get<1>(std::move(held_)); }

    T value_or(T other) && { return ok() ? std::get<0>(std::move(held_)) : std::move(other); }

private:
    std::variant<T, Error> held_;
};

/// Success without a value, or an Error.
template <> class [[nodiscard]] Result<void> {
public:
    using value_type = void;

    Result() = default;
    Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit, so that `return Error{...};` works

    bool ok() const { return !error_; }
    explicit operator bool() const { return ok(); }

    Error& error() & { return error_.value(); }
    const Error& error() const& { return error_.value(); }
    Error&& error() && { return std::move(error_).value(); }

private:
    std::optional<Error> error_;
};

}  // EVE_SDK_NAMESPACE
}  // namespace eve
