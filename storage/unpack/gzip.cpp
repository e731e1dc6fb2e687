#include "storage/unpack/gzip.hpp"

#include <isa-l/igzip_lib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>

namespace eve::storage::unpack {
namespace {

constexpr std::size_t input_bytes = std::size_t{256} << 10;
constexpr std::uint8_t magic[2] = {0x1f, 0x8b};

Error damaged(const char* why) { return {.code = Code::invalid_argument, .what = std::string("the layer cannot be unpacked: ") + why}; }

const char* reason(int code) {
    switch (code) {
        case ISAL_INVALID_WRAPPER: return "its gzip header is damaged";
        case ISAL_UNSUPPORTED_METHOD: return "its gzip header names an unknown method";
        case ISAL_INCORRECT_CHECKSUM: return "its gzip checksum is wrong";
        case ISAL_NEED_DICT: return "it needs a dictionary";
        default: return "its gzip data is damaged";
    }
}

}  // namespace

struct GzipReader::State {
    int fd;
    inflate_state inflate{};
    std::array<std::uint8_t, input_bytes> input{};
    bool begun = false;      ///< a member is being read
    bool input_ended = false;
    bool ended = false;

    /// At least `wanted` bytes of input are there, unless it ends before.
    Status fill(std::size_t wanted) {
        if (inflate.avail_in >= wanted || input_ended) return {};
        std::memmove(input.data(), inflate.next_in, inflate.avail_in);
        inflate.next_in = input.data();
        while (inflate.avail_in < wanted && !input_ended) {
            const ssize_t got = ::read(fd, input.data() + inflate.avail_in, input.size() - inflate.avail_in);
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) return Error{.code = Code::unavailable, .what = std::string("read the layer: ") + std::strerror(errno)};
            inflate.avail_in += static_cast<std::uint32_t>(got);
            input_ended = got == 0;
        }
        return {};
    }

    /// Whether another member follows.
    Result<bool> next_member() {
        if (auto filled = fill(sizeof magic); !filled) return std::move(filled).error();
        return inflate.avail_in >= sizeof magic && std::equal(std::begin(magic), std::end(magic), inflate.next_in);
    }
};

GzipReader::GzipReader(int fd) : state_(std::make_unique<State>()) {
    state_->fd = fd;
    isal_inflate_init(&state_->inflate);
    state_->inflate.next_in = state_->input.data();
    state_->inflate.avail_in = 0;
}

GzipReader::~GzipReader() = default;

Result<std::size_t> GzipReader::read(char* to, std::size_t size) {
    State& state = *state_;
    inflate_state& inflate = state.inflate;
    const auto wanted = static_cast<std::uint32_t>(std::min<std::size_t>(size, std::numeric_limits<std::int32_t>::max()));
    inflate.next_out = reinterpret_cast<std::uint8_t*>(to);
    inflate.avail_out = wanted;
    while (!state.ended && inflate.avail_out > 0) {
        if (!state.begun) {
            isal_inflate_reset(&inflate);
            inflate.crc_flag = ISAL_GZIP;
            state.begun = true;
        }
        if (auto filled = state.fill(1); !filled) return std::move(filled).error();
        const std::uint32_t in_before = inflate.avail_in, out_before = inflate.avail_out;
        const int code = isal_inflate(&inflate);
        if (code < 0 || code == ISAL_NEED_DICT) return damaged(reason(code));
        if (inflate.block_state == ISAL_BLOCK_FINISH) {
            state.begun = false;
            auto more = state.next_member();
            if (!more) return std::move(more).error();
            state.ended = !*more;
        } else if (in_before == inflate.avail_in && out_before == inflate.avail_out) {
            if (state.input_ended || inflate.avail_in == state.input.size()) return damaged("it ends in the middle");
            if (auto filled = state.fill(inflate.avail_in + std::size_t{1}); !filled) return std::move(filled).error();
        }
    }
    return wanted - inflate.avail_out;
}

}  // namespace eve::storage::unpack
