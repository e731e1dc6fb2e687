#include "core/bus/socket_transport.hpp"

#include "core/bus/socket_feed.hpp"
#include "core/bus/socket_service.hpp"

namespace eve::bus {

namespace {

// Ends the feed when its subscription does, also from within one of its own calls.
template <class State> class OwnedFeed final : public Feed {
public:
    explicit OwnedFeed(std::shared_ptr<State> state) : state_(std::move(state)) { state_->start(); }
    ~OwnedFeed() override { state_->stop(); }
    OwnedFeed(const OwnedFeed&) = delete;
    OwnedFeed& operator=(const OwnedFeed&) = delete;

private:
    std::shared_ptr<State> state_;  // shared with the call that may be under way
};

// Writers of these tables live shorter than a connection.
bool is_directory_watched(const TableId& table) { return table.agent.empty() || table.agent == "zedclient"; }

}  // namespace

SocketTransport::SocketTransport(Deps deps) : deps_(std::make_shared<const Deps>(std::move(deps))) {}
SocketTransport::~SocketTransport() = default;

Result<std::unique_ptr<Service>> SocketTransport::serve(const Published& publication) {
    if (is_directory_watched(publication.id())) return std::unique_ptr<Service>{};
    return SocketService::listen(deps_, publication);
}

std::unique_ptr<Feed> SocketTransport::feed(const TableId& table, const TypeInfo& type, std::shared_ptr<Sink> sink) {
    if (is_directory_watched(table))
        return std::make_unique<OwnedFeed<DirectoryFeed>>(std::make_shared<DirectoryFeed>(deps_, table, std::move(sink)));
    return std::make_unique<OwnedFeed<SocketFeed>>(std::make_shared<SocketFeed>(deps_, table, type, std::move(sink)));
}

}  // namespace eve::bus
