#pragma once
// Running a further program inside a domain that runs (exec/1): an optional part of a hypervisor's plugin, offered where `describe` lists it. And
// the session's frames, which the plugin and the operator's program exchange without the node between them.

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eve/domain.hpp"
#include "eve/host.hpp"
#include "eve/result.hpp"

namespace eve {
EVE_SDK_NAMESPACE {

/// A program to run in a domain beside what runs there, with the rights that the domain's own has.
struct ExecRequest {
    DomainId domain;
    std::vector<std::string> argv;  ///< argv[0] is looked for where the domain's own PATH says
    std::vector<std::string> env;   ///< "NAME=value", in addition to the domain's own
    std::string directory;          ///< where it starts; empty: where the domain's own program did
    bool terminal = false;          ///< it gets a terminal instead of three pipes
    std::uint32_t rows = 0;         ///< of the terminal; 0: not known
    std::uint32_t columns = 0;
    Fd session;                     ///< a connected stream socket, dup'ed: frames in both directions until the plugin closes it
    friend bool operator==(const ExecRequest&, const ExecRequest&) = default;
};

/// What was started.
struct ExecStarted {
    std::int64_t pid = 0;  ///< on the host; 0: not known
    friend bool operator==(const ExecStarted&, const ExecStarted&) = default;
};

/// Programs in running domains. Holds for every method what eve/hypervisor.hpp says of its methods.
class Exec {
public:
    virtual ~Exec() = default;

    /// The program runs; from now on the session is the plugin's. It says `started`, passes on what is written and typed, tells at last how the
    /// program ended, and closes the session. Who closes his end of the session ends the program. It also ends with the plugin's process, and
    /// with the domain. On failure nothing was written to the session. [lane]
    ///
    /// Errors: not_found - no such domain, or no such program in it; failed_precondition - it does not run; invalid_argument - a field, named;
    ///         resource_exhausted - too many sessions; unavailable - the runtime below does not answer, effect unknown.
    virtual Result<ExecStarted> exec(const CallContext& call, const ExecRequest& request) = 0;
};

/// What a frame of a session carries. Each is one byte of kind, four of size (least first), and so many bytes.
enum class ExecFrame : std::uint8_t {
    unknown,
    started,  ///< from the plugin, first; empty
    input,    ///< to the program; empty: no more comes
    output,   ///< from the program
    errors,   ///< from the program, beside its output; never with a terminal
    resize,   ///< of the terminal: two numbers of two bytes, least first: rows, columns
    exited,   ///< from the plugin, last: one byte, the exit code
    killed,   ///< likewise: one byte, the signal
    lost,     ///< likewise: how it ended cannot be told; a sentence
    refused,  ///< from the node, instead of `started`: an Error as JSON
    request,  ///< to the node, first: what to run, as JSON
};
inline constexpr std::size_t exec_frame_header = 5;
inline constexpr std::size_t exec_frame_max = std::size_t{64} << 10;  ///< bytes carried by one frame

/// A frame as it travels. Errors: none; what is over the limit is the caller's mistake and is cut.
inline std::string exec_frame(ExecFrame kind, std::string_view body) {
    body = body.substr(0, exec_frame_max);
    std::string bytes(1, static_cast<char>(kind));
    for (unsigned shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<char>((body.size() >> shift) & 0xffU));
    bytes.append(body);
    return bytes;
}

/// Frames out of what arrives in pieces.
class ExecFrames {
public:
    struct Frame {
        ExecFrame kind = ExecFrame::unknown;
        std::string body;
    };
    void append(std::string_view bytes) { pending_.append(bytes); }
    /// The next whole frame, or none yet. Errors: invalid_argument - this is no session; nothing more can be read from it.
    Result<std::optional<Frame>> next() {
        if (pending_.size() < exec_frame_header) return std::optional<Frame>{};
        std::size_t size = 0;
        for (unsigned at = 0; at < 4; ++at) size |= std::size_t{static_cast<unsigned char>(pending_[at + 1])} << (8 * at);
        const auto kind = static_cast<std::uint8_t>(pending_[0]);
        if (size > exec_frame_max || kind == 0 || kind > static_cast<std::uint8_t>(ExecFrame::request))
            return Error{.code = Code::invalid_argument, .what = "what the other side of the session sent is no frame"};
        if (pending_.size() < exec_frame_header + size) return std::optional<Frame>{};
        Frame frame{.kind = static_cast<ExecFrame>(kind), .body = pending_.substr(exec_frame_header, size)};
        pending_.erase(0, exec_frame_header + size);
        return std::optional<Frame>(std::move(frame));
    }

private:
    std::string pending_;
};

}  // EVE_SDK_NAMESPACE
}  // namespace eve
