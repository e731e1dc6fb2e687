#pragma once
// What every client of a plugin does: refuse what was not declared, pass the limits on, decode the answer. Heavy: included by the clients' .cpp
// files only.

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "core/plugin/plugin.hpp"
#include "eve/sdk/call.hpp"

namespace eve::plugin {

/// Where calls go: a plugin, the methods that it declared (empty: not asked yet, only `describe`), and the numbers of calls.
struct Caller {
    Plugin& plugin;
    const std::vector<std::string>& methods;
    std::atomic<std::uint64_t>& ids;

    /// What `method` answers. Errors: unsupported - not declared; cancelled; those of the method.
    template <class Reply, class Request> Result<Reply> ask(const std::string& method, const CallContext& call, const Request& request) const {
        if (!method.ends_with(".describe") && std::find(methods.begin(), methods.end(), method) == methods.end())
            return Error{.code = Code::unsupported, .what = plugin.identity().id + " does not offer " + method};
        if (call.cancelled()) return Error{.code = Code::cancelled, .what = "cancelled before " + method};
        const sdk::Peer peer{.call = &Plugin::call_fn, .self = &plugin, .ids = &ids};
        return sdk::call<Reply>(peer, method.c_str(), request,
                                {.deadline_ns = sdk::deadline_after(call.time_left()), .cancel_fd = call.cancel_fd()});
    }
    /// The same for a method that answers nothing.
    template <class Request> Status tell(const std::string& method, const CallContext& call, const Request& request) const {
        auto told = ask<message::Empty>(method, call, request);
        if (!told) return std::move(told).error();
        return {};
    }
};

/// A member of a reply.
template <class Record, class Member> Result<Member> member_of(Result<Record> record, Member Record::* member) {
    if (!record) return std::move(record).error();
    return std::move((*record).*member);
}

}  // namespace eve::plugin
