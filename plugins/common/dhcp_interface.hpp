#pragma once
// One network interface that gets and keeps its address by DHCP: the client of dhcp.hpp with its socket, and the lease as the kernel has it.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "common/dhcp.hpp"
#include "common/link.hpp"
#include "common/unique_fd.hpp"
#include "eve/result.hpp"

namespace eve::plugins {

/// "02:16:3e:00:00:01" as bytes; what cannot be read is 0.
MacAddress mac_of(const std::string& text);

class DhcpInterface {
public:
    /// On interface `name` of the calling thread's network namespace; `number` tells its conversations from others'.
    static Result<DhcpInterface> open(const std::string& name, int index, const std::string& mac, std::uint32_t number);

    int fd() const { return socket_.get(); }
    /// When serve() has something to do although nothing came in.
    std::int64_t wake_at() const { return client_.wake_at(); }
    /// Takes what came in and sends what is due. True: apply() has something to do.
    bool serve(std::int64_t now_ns);
    /// The kernel has the lease's address, MTU and routes, and those of the lease before no more; what did not work is told.
    void apply(Rtnetlink& link, const std::function<void(const Error&)>& trouble);
    /// The lease that the kernel has.
    const std::optional<DhcpLease>& applied() const { return applied_; }

private:
    DhcpInterface(UniqueFd socket, int index, DhcpClient client) : socket_(std::move(socket)), index_(index), client_(std::move(client)) {}

    UniqueFd socket_;
    int index_;
    DhcpClient client_;
    std::optional<DhcpLease> applied_;
};

}  // namespace eve::plugins
