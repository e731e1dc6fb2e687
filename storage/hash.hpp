#pragma once
// SHA-256 of bytes and of files, by OpenSSL (which uses the processor's instructions: four times coreutils).

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "eve/result.hpp"

namespace eve::storage {

/// A running SHA-256.
class Sha256 {
public:
    Sha256();
    ~Sha256();
    Sha256(Sha256&&) noexcept;
    Sha256& operator=(Sha256&&) noexcept;

    void update(const void* data, std::size_t size);
    /// The digest of everything so far as lower-case hex; the object starts again from nothing.
    std::string finish();

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// The digest of `bytes` as lower-case hex.
std::string sha256_hex(std::string_view bytes);

/// The digest of the first `size` bytes of `fd`, fed into `hash`. `stop` is asked every few megabytes. Errors: cancelled; unavailable - cannot be
/// read, or shorter.
Status hash_prefix(int fd, std::uint64_t size, Sha256& hash, const std::function<bool()>& stop);

/// Whether `text` is 64 lower-case hex digits.
bool is_sha256(std::string_view text);

}  // namespace eve::storage
