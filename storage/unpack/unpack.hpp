#pragma once
// What the node and its unpack process agree on: one process unpacks one layer of one image. It gets the layer and the directory as descriptors,
// three numbers as arguments (`unpack PACKING BYTES_MAX ENTRIES_MAX`), and answers with one line on its socket.

#include <cstdint>
#include <string>
#include <string_view>

#include "eve/result.hpp"

namespace eve::storage::unpack {

inline constexpr int answer_fd = 3;  ///< a socket; one line comes, then its end
inline constexpr int layer_fd = 4;   ///< the packed layer, read only
inline constexpr int root_fd = 5;    ///< the directory that becomes the root file system
inline constexpr std::size_t answer_bytes_max = 2048;

/// How much an image may be when it is unpacked, all layers together.
struct Budget {
    std::uint64_t bytes = 0;
    std::uint64_t entries = 0;
};

/// What one layer came to.
struct LayerFacts {
    std::string diff_id;  ///< SHA-256 of the layer as it was before packing, 64 hex digits
    std::uint64_t bytes = 0;
    std::uint64_t entries = 0;
    std::uint64_t skipped = 0;  ///< device nodes under dev/, which a runtime makes by itself
    friend bool operator==(const LayerFacts&, const LayerFacts&) = default;
};

/// The image is larger than `bytes`. Who gave the budget knows why it was no more.
Error too_large(std::uint64_t bytes);
bool is_too_large(const Error& error);

std::string format_answer(const Result<LayerFacts>& facts);
/// Errors: those that the process reported; internal - the answer is nonsense.
Result<LayerFacts> parse_answer(std::string_view line);

}  // namespace eve::storage::unpack
