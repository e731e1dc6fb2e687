#pragma once
// EVE's way between processes: a SOCK_SEQPACKET listener per publication at ROOT/run/<name>.sock, and watched directories for the tables of
// agents "" and "zedclient", whose writers come and go.

#include <chrono>
#include <memory>

#include "core/bus/effects.hpp"
#include "core/bus/transport.hpp"
#include "core/log/log.hpp"
#include "core/loop/loop.hpp"
#include "core/loop/root.hpp"

namespace eve::bus {

class SocketTransport final : public Transport {
public:
    struct Deps {
        IoLoop& loop;
        Log& log;
        RecordStore& store;
        Root root;
        std::chrono::nanoseconds retry = std::chrono::seconds{10};          ///< between attempts to reach a publisher or a directory
        std::chrono::nanoseconds marker_delay = std::chrono::seconds{2};    ///< a directory's marker comes this much after its records
        std::chrono::nanoseconds request_limit = std::chrono::seconds{10};  ///< for a peer to say what it wants
    };
    explicit SocketTransport(Deps deps);
    ~SocketTransport() override;

    Result<std::unique_ptr<Service>> serve(const Published& publication) override;
    std::unique_ptr<Feed> feed(const TableId& table, const TypeInfo& type, std::shared_ptr<Sink> sink) override;

private:
    std::shared_ptr<const Deps> deps_;  // shared by the services and feeds
};

}  // namespace eve::bus
