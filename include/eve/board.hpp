#pragma once
// What a board's vendor knows and nobody else does: devices that need something done before and after they change hands, and domains that
// need an argument more (board/1).

#include <cstdint>
#include <string>
#include <vector>

#include "eve/domain.hpp"
#include "eve/host.hpp"
#include "eve/pci.hpp"
#include "eve/result.hpp"

namespace eve {
EVE_SDK_NAMESPACE {

/// When a device changes hands. `bind`: from the host to guests. `unbind`: back. `reset`: a guest had it and the next one is to find it new.
/// `power`: the node goes down.
enum class BoardStep : std::uint8_t { unknown, bind, unbind, reset, power };

/// A device model, or one place, that this plugin looks after. Empty fields match everything.
struct BoardDevice {
    std::string vendor;   ///< four hexadecimal digits
    std::string device;
    std::string address;  ///< "0000:03:00.0"
    std::vector<std::string> quirks;   ///< names, for people
    std::vector<BoardStep> steps;      ///< before() and after() are called for these
    friend bool operator==(const BoardDevice&, const BoardDevice&) = default;
};

/// One device at one step.
struct BoardMoment {
    BoardStep step = BoardStep::unknown;
    PciDevice device;
    friend bool operator==(const BoardMoment&, const BoardMoment&) = default;
};

/// A domain that is about to be made, with the devices that it gets.
struct BoardDomain {
    DomainId id;
    std::string name;
    VirtualizationMode mode = VirtualizationMode::unknown;
    std::vector<PciDevice> devices;
    friend bool operator==(const BoardDomain&, const BoardDomain&) = default;
};

/// What the domain gets besides: arguments of its VMM in pairs ("-global", "vfio-pci.x-no-mmap=on"). The runtime takes only what stands in its
/// own list of allowed ones, and refuses the domain otherwise.
struct BoardAdjustment {
    std::vector<std::string> vmm_args;
    std::vector<std::string> notes;  ///< why, each one sentence for the operator
    friend bool operator==(const BoardAdjustment&, const BoardAdjustment&) = default;
};

/// The answer of `describe`. `id`, `version` and `methods` are filled in by the SDK.
struct BoardDescription {
    std::string id;
    std::string version;
    std::vector<std::string> methods;
    Limits limits;
    std::string config_schema;
    friend bool operator==(const BoardDescription&, const BoardDescription&) = default;
};

/// A board's quirks. Holds for every method what eve/hypervisor.hpp says of its methods.
class Board {
public:
    virtual ~Board() = default;

    /// What this plugin is. Has no effect. [lane]
    ///
    /// Errors: none expected.
    virtual Result<BoardDescription> describe(const CallContext& call) = 0;

    /// Whether this is its board. Has no effect. [lane]
    ///
    /// Errors: none expected: `declined` on any other board.
    virtual Result<ProbeReport> probe(const CallContext& call) = 0;

    /// Which devices it looks after, and at which steps it wants to be called. Constant while the instance lives. [lane]
    ///
    /// Errors: none expected.
    virtual Result<std::vector<BoardDevice>> devices(const CallContext& call) = 0;

    /// The device is ready for the step. Called only for what devices() listed. An error stops the step. [lane]
    ///
    /// Errors: failed_precondition - the step must not be taken now; unavailable - try again later.
    virtual Status before(const CallContext& call, const BoardMoment& moment) = 0;

    /// What the step needs afterwards was done. An error is reported; the step stays taken. [lane]
    ///
    /// Errors: unavailable - the device did not do as told.
    virtual Status after(const CallContext& call, const BoardMoment& moment) = 0;

    /// What a domain needs because of its devices; mostly nothing. Has no effect. [lane]
    ///
    /// Errors: failed_precondition - this domain must not have these devices.
    virtual Result<BoardAdjustment> adjust(const CallContext& call, const BoardDomain& domain) = 0;
};

}  // EVE_SDK_NAMESPACE
}  // namespace eve
