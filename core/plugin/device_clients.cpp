#include "core/plugin/device_clients.hpp"

#include <utility>

#include "core/plugin/caller.hpp"

namespace eve::plugin {
namespace {

using message::Empty;

template <class Client> Result<std::unique_ptr<Client>> connected(std::unique_ptr<Client> client, auto& description, Plugin& plugin, const CallContext& call) {
    auto described = client->describe(call);
    if (!described) return std::move(described).error().in("describe " + plugin.identity().id);
    description = std::move(*described);
    return client;
}

std::string first_interface(const Identity& identity) { return identity.interfaces.substr(0, identity.interfaces.find(' ')); }

}  // namespace

Result<std::unique_ptr<PciClient>> PciClient::connect(Plugin& plugin, const CallContext& call) {
    auto client = std::unique_ptr<PciClient>(new PciClient(plugin));
    auto& description = client->description_;
    return connected(std::move(client), description, plugin, call);
}

Result<PciDescription> PciClient::describe(const CallContext& call) {
    return Caller{plugin_, description_.methods, ids_}.ask<PciDescription>("pci/1.describe", call, Empty{});
}

Result<ProbeReport> PciClient::probe(const CallContext& call) {
    return Caller{plugin_, description_.methods, ids_}.ask<ProbeReport>("pci/1.probe", call, Empty{});
}

Result<std::vector<PciGroup>> PciClient::groups(const CallContext& call) {
    return member_of(Caller{plugin_, description_.methods, ids_}.ask<message::PciGroups>("pci/1.groups", call, Empty{}), &message::PciGroups::groups);
}

Result<std::vector<PciDevice>> PciClient::reserve(const CallContext& call, const PciSet& set) {
    return member_of(Caller{plugin_, description_.methods, ids_}.ask<message::PciDevices>("pci/1.reserve", call, set), &message::PciDevices::devices);
}

Result<std::vector<PciDevice>> PciClient::release(const CallContext& call, const std::vector<std::string>& addresses) {
    return member_of(Caller{plugin_, description_.methods, ids_}.ask<message::PciDevices>("pci/1.release", call, message::PciAddresses{addresses}),
                     &message::PciDevices::devices);
}

Result<std::vector<PciDevice>> PciClient::list(const CallContext& call) {
    return member_of(Caller{plugin_, description_.methods, ids_}.ask<message::PciDevices>("pci/1.list", call, Empty{}), &message::PciDevices::devices);
}

Result<std::vector<PciDevice>> PciClient::split(const CallContext& call, const PciSplit& wanted) {
    return member_of(Caller{plugin_, description_.methods, ids_}.ask<message::PciDevices>("pci/1.split", call, wanted), &message::PciDevices::devices);
}

Result<std::unique_ptr<BoardClient>> BoardClient::connect(Plugin& plugin, const CallContext& call) {
    auto client = std::unique_ptr<BoardClient>(new BoardClient(plugin));
    auto& description = client->description_;
    return connected(std::move(client), description, plugin, call);
}

Result<BoardDescription> BoardClient::describe(const CallContext& call) {
    return Caller{plugin_, description_.methods, ids_}.ask<BoardDescription>("board/1.describe", call, Empty{});
}

Result<ProbeReport> BoardClient::probe(const CallContext& call) {
    return Caller{plugin_, description_.methods, ids_}.ask<ProbeReport>("board/1.probe", call, Empty{});
}

Result<std::vector<BoardDevice>> BoardClient::devices(const CallContext& call) {
    return member_of(Caller{plugin_, description_.methods, ids_}.ask<message::BoardDevices>("board/1.devices", call, Empty{}),
                     &message::BoardDevices::devices);
}

Status BoardClient::before(const CallContext& call, const BoardMoment& moment) {
    return Caller{plugin_, description_.methods, ids_}.tell("board/1.before", call, moment);
}

Status BoardClient::after(const CallContext& call, const BoardMoment& moment) {
    return Caller{plugin_, description_.methods, ids_}.tell("board/1.after", call, moment);
}

Result<BoardAdjustment> BoardClient::adjust(const CallContext& call, const BoardDomain& domain) {
    return Caller{plugin_, description_.methods, ids_}.ask<BoardAdjustment>("board/1.adjust", call, domain);
}

Status UsbClient::plug(const CallContext& call, const UsbAttachment& device) {
    return Caller{plugin_, methods_, ids_}.tell("usb/1.plug", call, device);
}

Status UsbClient::unplug(const CallContext& call, const UsbAttachment& device) {
    return Caller{plugin_, methods_, ids_}.tell("usb/1.unplug", call, device);
}

Result<ExecStarted> ExecClient::exec(const CallContext& call, const ExecRequest& request) {
    return Caller{plugin_, methods_, ids_}.ask<ExecStarted>("exec/1.exec", call, request);
}

Status CpusClient::confine(const CallContext& call, const CpuConfinement& confinement) {
    return Caller{plugin_, methods_, ids_}.tell("cpus/1.confine", call, confinement);
}

Result<ContentInfo> ContentClient::stat(const CallContext& call, const std::string& digest) {
    return Caller{plugin_, methods_, ids_}.ask<ContentInfo>("content/1.stat", call, message::ContentDigest{digest});
}

Result<ContentWritten> ContentClient::write(const CallContext& call, const ContentWrite& content) {
    return Caller{plugin_, methods_, ids_}.ask<ContentWritten>("content/1.write", call, content);
}

Result<ContentPart> ContentClient::read(const CallContext& call, const ContentRead& part) {
    return Caller{plugin_, methods_, ids_}.ask<ContentPart>("content/1.read", call, part);
}

Result<ContentPage> ContentClient::list(const CallContext& call, const std::string& after) {
    return Caller{plugin_, methods_, ids_}.ask<ContentPage>("content/1.list", call, message::ContentAfter{after});
}

Status ContentClient::remove(const CallContext& call, const std::string& digest) {
    return Caller{plugin_, methods_, ids_}.tell("content/1.remove", call, message::ContentDigest{digest});
}

Status ContentClient::protect(const CallContext& call, const ContentProtection& protection) {
    return Caller{plugin_, methods_, ids_}.tell("content/1.protect", call, protection);
}

Result<Description> describe_any(Plugin& plugin, const CallContext& call) {
    std::atomic<std::uint64_t> ids{0};
    return Caller{plugin, {}, ids}.ask<Description>(first_interface(plugin.identity()) + ".describe", call, Empty{});
}

Result<ProbeReport> probe_any(Plugin& plugin, const CallContext& call) {
    std::atomic<std::uint64_t> ids{0};
    const std::vector<std::string> methods{first_interface(plugin.identity()) + ".probe"};
    return Caller{plugin, methods, ids}.ask<ProbeReport>(methods[0], call, Empty{});
}

bool serves(const Identity& identity, std::string_view interface) {
    std::string_view rest = identity.interfaces;
    while (!rest.empty()) {
        const auto end = rest.find(' ');
        if (rest.substr(0, end) == interface) return true;
        rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    }
    return false;
}

}  // namespace eve::plugin
