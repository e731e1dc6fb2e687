#pragma once
// The plugin's side of every interface: which methods it has and how a call of one becomes a call of the author's class. Glue only; what a
// class does not implement is never instantiated.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "eve/abi.h"
#include "eve/board.hpp"
#include "eve/content.hpp"
#include "eve/cpus.hpp"
#include "eve/exec.hpp"
#include "eve/hypervisor.hpp"
#include "eve/pci.hpp"
#include "eve/sdk/call.hpp"
#include "eve/sdk/codec.hpp"
#include "eve/usb.hpp"

namespace eve {
EVE_SDK_NAMESPACE {
namespace sdk {

/// A call on its way into a plugin.
class Incoming {
public:
    Incoming(const eve_request& request, eve_reply& reply) : request_(request), reply_(reply), context_(request) {}

    const CallContext& context() const { return context_; }
    /// Whether it is this one.
    bool is(std::string_view method) const { return method == request_.method; }
    bool of(std::string_view interface) const {
        const std::string_view method = request_.method;
        return method.size() > interface.size() && method.starts_with(interface) && method[interface.size()] == '.';
    }
    /// Answers with what `step` makes of the request's body.
    template <class Body, class Step> std::int32_t with(Step step) {
        auto body = read_request<Body>(request_, Strictness::must_understand);
        if (!body) return answer_error(reply_, body.error());
        return answer(reply_, step(static_cast<const Body&>(*body)));
    }
    std::int32_t unknown() {
        return answer_error(reply_, Error{.code = Code::unsupported, .what = "method " + std::string(request_.method) + " is not known to this side"});
    }

private:
    const eve_request& request_;
    eve_reply& reply_;
    RequestContext context_;
};

/// A list in a reply is a record's member.
template <class Record, class Element> Result<Record> wrapped(Result<std::vector<Element>> list, std::vector<Element> Record::* member) {
    if (!list) return std::move(list).error();
    Record record;
    record.*member = std::move(*list);
    return record;
}
inline Result<message::Observed> observed(Result<DomainInfo> info) {
    if (!info) return std::move(info).error();
    return message::Observed{.domain = std::move(*info)};
}
inline Result<message::Empty> done(Status status) {
    if (!status) return std::move(status).error();
    return message::Empty{};
}

/// An interface as a plugin serves it: its name, its methods, and `dispatch`. `fill` completes what describe() answers.
template <class Interface> struct Serving;

template <> struct Serving<Hypervisor> {
    static constexpr std::string_view name = "hypervisor/1";
    static constexpr std::array methods = {"hypervisor/1.describe", "hypervisor/1.probe",   "hypervisor/1.validate", "hypervisor/1.create",
                                           "hypervisor/1.start",    "hypervisor/1.stop",    "hypervisor/1.destroy",  "hypervisor/1.inspect",
                                           "hypervisor/1.list",     "hypervisor/1.stats"};
    template <class Class, class Fill> static std::int32_t dispatch(Class& plugin, Incoming& call, Fill fill) {
        Hypervisor& hypervisor = plugin;
        const auto& context = call.context();
        using message::Empty, message::WithId, message::WithSpec;
        if (call.is("hypervisor/1.describe")) return call.with<Empty>([&](const Empty&) { return fill(hypervisor.describe(context)); });
        if (call.is("hypervisor/1.probe")) return call.with<Empty>([&](const Empty&) { return hypervisor.probe(context); });
        if (call.is("hypervisor/1.validate"))
            return call.with<WithSpec>(
                [&](const WithSpec& body) { return wrapped(hypervisor.validate(context, body.spec), &message::Problems::problems); });
        if (call.is("hypervisor/1.create"))
            return call.with<WithSpec>([&](const WithSpec& body) { return observed(hypervisor.create(context, body.spec)); });
        if (call.is("hypervisor/1.start")) return call.with<WithId>([&](const WithId& body) { return observed(hypervisor.start(context, body.id)); });
        if (call.is("hypervisor/1.stop"))
            return call.with<message::Stop>([&](const message::Stop& body) { return observed(hypervisor.stop(context, body.id, body.mode)); });
        if (call.is("hypervisor/1.destroy"))
            return call.with<message::Destroy>([&](const message::Destroy& body) { return observed(hypervisor.destroy(context, body.id, body.mode)); });
        if (call.is("hypervisor/1.inspect"))
            return call.with<WithId>([&](const WithId& body) { return observed(hypervisor.inspect(context, body.id)); });
        if (call.is("hypervisor/1.list"))
            return call.with<Empty>([&](const Empty&) { return wrapped(hypervisor.list(context), &message::Observations::domains); });
        if (call.is("hypervisor/1.stats")) return call.with<Empty>([&](const Empty&) { return hypervisor.stats(context); });
        return call.unknown();
    }
};

template <> struct Serving<Usb> {
    static constexpr std::string_view name = "usb/1";
    static constexpr std::array methods = {"usb/1.plug", "usb/1.unplug"};
    template <class Class, class Fill> static std::int32_t dispatch(Class& plugin, Incoming& call, Fill) {
        Usb& usb = plugin;
        if (call.is("usb/1.plug")) return call.with<UsbAttachment>([&](const UsbAttachment& body) { return done(usb.plug(call.context(), body)); });
        if (call.is("usb/1.unplug")) return call.with<UsbAttachment>([&](const UsbAttachment& body) { return done(usb.unplug(call.context(), body)); });
        return call.unknown();
    }
};

template <> struct Serving<Exec> {
    static constexpr std::string_view name = "exec/1";
    static constexpr std::array methods = {"exec/1.exec"};
    template <class Class, class Fill> static std::int32_t dispatch(Class& plugin, Incoming& call, Fill) {
        Exec& exec = plugin;
        if (call.is("exec/1.exec")) return call.with<ExecRequest>([&](const ExecRequest& body) { return exec.exec(call.context(), body); });
        return call.unknown();
    }
};

template <> struct Serving<Cpus> {
    static constexpr std::string_view name = "cpus/1";
    static constexpr std::array methods = {"cpus/1.confine"};
    template <class Class, class Fill> static std::int32_t dispatch(Class& plugin, Incoming& call, Fill) {
        Cpus& cpus = plugin;
        if (call.is("cpus/1.confine"))
            return call.with<CpuConfinement>([&](const CpuConfinement& body) { return done(cpus.confine(call.context(), body)); });
        return call.unknown();
    }
};

template <> struct Serving<Content> {
    static constexpr std::string_view name = "content/1";
    static constexpr std::array methods = {"content/1.stat", "content/1.write", "content/1.read", "content/1.list", "content/1.remove", "content/1.protect"};
    template <class Class, class Fill> static std::int32_t dispatch(Class& plugin, Incoming& call, Fill) {
        Content& content = plugin;
        const auto& context = call.context();
        using message::ContentAfter, message::ContentDigest;
        if (call.is("content/1.stat")) return call.with<ContentDigest>([&](const ContentDigest& body) { return content.stat(context, body.digest); });
        if (call.is("content/1.write")) return call.with<ContentWrite>([&](const ContentWrite& body) { return content.write(context, body); });
        if (call.is("content/1.read")) return call.with<ContentRead>([&](const ContentRead& body) { return content.read(context, body); });
        if (call.is("content/1.list")) return call.with<ContentAfter>([&](const ContentAfter& body) { return content.list(context, body.after); });
        if (call.is("content/1.remove"))
            return call.with<ContentDigest>([&](const ContentDigest& body) { return done(content.remove(context, body.digest)); });
        if (call.is("content/1.protect"))
            return call.with<ContentProtection>([&](const ContentProtection& body) { return done(content.protect(context, body)); });
        return call.unknown();
    }
};

template <> struct Serving<Pci> {
    static constexpr std::string_view name = "pci/1";
    static constexpr std::array methods = {"pci/1.describe", "pci/1.probe", "pci/1.groups", "pci/1.reserve", "pci/1.release", "pci/1.list", "pci/1.split"};
    template <class Class, class Fill> static std::int32_t dispatch(Class& plugin, Incoming& call, Fill fill) {
        Pci& pci = plugin;
        const auto& context = call.context();
        using message::Empty, message::PciAddresses, message::PciDevices;
        if (call.is("pci/1.describe")) return call.with<Empty>([&](const Empty&) { return fill(pci.describe(context)); });
        if (call.is("pci/1.probe")) return call.with<Empty>([&](const Empty&) { return pci.probe(context); });
        if (call.is("pci/1.groups")) return call.with<Empty>([&](const Empty&) { return wrapped(pci.groups(context), &message::PciGroups::groups); });
        if (call.is("pci/1.reserve"))
            return call.with<PciSet>([&](const PciSet& set) { return wrapped(pci.reserve(context, set), &PciDevices::devices); });
        if (call.is("pci/1.release"))
            return call.with<PciAddresses>([&](const PciAddresses& set) { return wrapped(pci.release(context, set.devices), &PciDevices::devices); });
        if (call.is("pci/1.list")) return call.with<Empty>([&](const Empty&) { return wrapped(pci.list(context), &PciDevices::devices); });
        if (call.is("pci/1.split"))
            return call.with<PciSplit>([&](const PciSplit& wanted) { return wrapped(pci.split(context, wanted), &PciDevices::devices); });
        return call.unknown();
    }
};

template <> struct Serving<Board> {
    static constexpr std::string_view name = "board/1";
    static constexpr std::array methods = {"board/1.describe", "board/1.probe", "board/1.devices", "board/1.before", "board/1.after", "board/1.adjust"};
    template <class Class, class Fill> static std::int32_t dispatch(Class& plugin, Incoming& call, Fill fill) {
        Board& board = plugin;
        const auto& context = call.context();
        using message::Empty;
        if (call.is("board/1.describe")) return call.with<Empty>([&](const Empty&) { return fill(board.describe(context)); });
        if (call.is("board/1.probe")) return call.with<Empty>([&](const Empty&) { return board.probe(context); });
        if (call.is("board/1.devices"))
            return call.with<Empty>([&](const Empty&) { return wrapped(board.devices(context), &message::BoardDevices::devices); });
        if (call.is("board/1.before")) return call.with<BoardMoment>([&](const BoardMoment& moment) { return done(board.before(context, moment)); });
        if (call.is("board/1.after")) return call.with<BoardMoment>([&](const BoardMoment& moment) { return done(board.after(context, moment)); });
        if (call.is("board/1.adjust")) return call.with<BoardDomain>([&](const BoardDomain& domain) { return board.adjust(context, domain); });
        return call.unknown();
    }
};

/// Calls `each` with every interface that Class implements.
template <class Class, class Each> constexpr void for_each_interface(Each each) {
    const auto one = [&]<class Interface>(std::type_identity<Interface> interface) {
        if constexpr (std::is_base_of_v<Interface, Class>) each(interface);
    };
    one(std::type_identity<Hypervisor>{});
    one(std::type_identity<Usb>{});
    one(std::type_identity<Exec>{});
    one(std::type_identity<Cpus>{});
    one(std::type_identity<Content>{});
    one(std::type_identity<Pci>{});
    one(std::type_identity<Board>{});
}

template <class Class>
inline constexpr bool serves_something = std::is_base_of_v<Hypervisor, Class> || std::is_base_of_v<Pci, Class> || std::is_base_of_v<Board, Class>;

/// "hypervisor/1 usb/1", ended by NUL.
template <class Class>
inline constexpr auto interface_names = [] {
    std::array<char, 64> names{};
    std::size_t size = 0;
    for_each_interface<Class>([&]<class Interface>(std::type_identity<Interface>) {
        if (size > 0) names[size++] = ' ';
        for (const char c : Serving<Interface>::name) names[size++] = c;
    });
    return names;
}();

/// Answers one call of any interface that Class implements.
template <class Class> std::int32_t serve(Class& plugin, const eve_plugin_entry& entry, const eve_request& request, eve_reply& reply) {
    Incoming call(request, reply);
    // What the author declared with EVE_PLUGIN, and every method of the class.
    const auto fill = [&](auto description) {
        if (!description) return description;
        description->id = entry.id;
        description->version = entry.version;
        description->methods.clear();
        for_each_interface<Class>([&]<class Interface>(std::type_identity<Interface>) {
            const auto& methods = Serving<Interface>::methods;
            description->methods.insert(description->methods.end(), methods.begin(), methods.end());
        });
        return description;
    };
    std::int32_t answered = -1;
    for_each_interface<Class>([&]<class Interface>(std::type_identity<Interface>) {
        if (answered < 0 && call.of(Serving<Interface>::name)) answered = Serving<Interface>::dispatch(plugin, call, fill);
    });
    return answered < 0 ? call.unknown() : answered;
}

}  // namespace sdk
}  // EVE_SDK_NAMESPACE
}  // namespace eve
