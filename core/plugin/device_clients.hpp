#pragma once
// eve::Pci, eve::Board, eve::Usb, eve::Exec, eve::Cpus and eve::Content as the node has them: each method is one call through the
// C boundary to a plugin, as with HypervisorClient.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/plugin/plugin.hpp"
#include "eve/board.hpp"
#include "eve/content.hpp"
#include "eve/cpus.hpp"
#include "eve/exec.hpp"
#include "eve/pci.hpp"
#include "eve/usb.hpp"

namespace eve::plugin {

/// A plugin that serves pci/1. Borrows the plugin.
class PciClient final : public Pci {
public:
    /// Asks the plugin what it is. Errors: those of describe(); unsupported - it does not assign devices.
    static Result<std::unique_ptr<PciClient>> connect(Plugin& plugin, const CallContext& call);
    const PciDescription& description() const { return description_; }

    Result<PciDescription> describe(const CallContext& call) override;
    Result<ProbeReport> probe(const CallContext& call) override;
    Result<std::vector<PciGroup>> groups(const CallContext& call) override;
    Result<std::vector<PciDevice>> reserve(const CallContext& call, const PciSet& set) override;
    Result<std::vector<PciDevice>> release(const CallContext& call, const std::vector<std::string>& addresses) override;
    Result<std::vector<PciDevice>> list(const CallContext& call) override;
    Result<std::vector<PciDevice>> split(const CallContext& call, const PciSplit& wanted) override;

private:
    explicit PciClient(Plugin& plugin) : plugin_(plugin) {}
    Plugin& plugin_;
    PciDescription description_;
    std::atomic<std::uint64_t> ids_{0};
};

/// A plugin that serves board/1. Borrows the plugin.
class BoardClient final : public Board {
public:
    /// Asks the plugin what it is. Errors: those of describe(); unsupported - it knows no board.
    static Result<std::unique_ptr<BoardClient>> connect(Plugin& plugin, const CallContext& call);
    const BoardDescription& description() const { return description_; }

    Result<BoardDescription> describe(const CallContext& call) override;
    Result<ProbeReport> probe(const CallContext& call) override;
    Result<std::vector<BoardDevice>> devices(const CallContext& call) override;
    Status before(const CallContext& call, const BoardMoment& moment) override;
    Status after(const CallContext& call, const BoardMoment& moment) override;
    Result<BoardAdjustment> adjust(const CallContext& call, const BoardDomain& domain) override;

private:
    explicit BoardClient(Plugin& plugin) : plugin_(plugin) {}
    Plugin& plugin_;
    BoardDescription description_;
    std::atomic<std::uint64_t> ids_{0};
};

/// The usb/1 part of a hypervisor's plugin, which declared `methods`. Borrows the plugin.
class UsbClient final : public Usb {
public:
    UsbClient(Plugin& plugin, std::vector<std::string> methods) : plugin_(plugin), methods_(std::move(methods)) {}
    Status plug(const CallContext& call, const UsbAttachment& device) override;
    Status unplug(const CallContext& call, const UsbAttachment& device) override;

private:
    Plugin& plugin_;
    std::vector<std::string> methods_;
    std::atomic<std::uint64_t> ids_{0};
};

/// The exec/1 part of a hypervisor's plugin, which declared `methods`. Borrows the plugin.
class ExecClient final : public Exec {
public:
    ExecClient(Plugin& plugin, std::vector<std::string> methods) : plugin_(plugin), methods_(std::move(methods)) {}
    Result<ExecStarted> exec(const CallContext& call, const ExecRequest& request) override;

private:
    Plugin& plugin_;
    std::vector<std::string> methods_;
    std::atomic<std::uint64_t> ids_{0};
};

/// The cpus/1 part of a hypervisor's plugin, which declared `methods`. Borrows the plugin.
class CpusClient final : public Cpus {
public:
    CpusClient(Plugin& plugin, std::vector<std::string> methods) : plugin_(plugin), methods_(std::move(methods)) {}
    Status confine(const CallContext& call, const CpuConfinement& confinement) override;

private:
    Plugin& plugin_;
    std::vector<std::string> methods_;
    std::atomic<std::uint64_t> ids_{0};
};

/// The content/1 part of a hypervisor's plugin, which declared `methods`. Borrows the plugin.
class ContentClient final : public Content {
public:
    ContentClient(Plugin& plugin, std::vector<std::string> methods) : plugin_(plugin), methods_(std::move(methods)) {}
    Result<ContentInfo> stat(const CallContext& call, const std::string& digest) override;
    Result<ContentWritten> write(const CallContext& call, const ContentWrite& content) override;
    Result<ContentPart> read(const CallContext& call, const ContentRead& part) override;
    Result<ContentPage> list(const CallContext& call, const std::string& after) override;
    Status remove(const CallContext& call, const std::string& digest) override;
    Status protect(const CallContext& call, const ContentProtection& protection) override;

private:
    Plugin& plugin_;
    std::vector<std::string> methods_;
    std::atomic<std::uint64_t> ids_{0};
};

/// What `describe` and `probe` of a plugin's first interface answer, whichever it is: the fields that all interfaces have.
Result<Description> describe_any(Plugin& plugin, const CallContext& call);
Result<ProbeReport> probe_any(Plugin& plugin, const CallContext& call);

/// Whether the plugin's entry names the interface ("pci/1").
bool serves(const Identity& identity, std::string_view interface);

}  // namespace eve::plugin
