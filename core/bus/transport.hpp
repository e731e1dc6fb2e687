#pragma once
// How tables reach other processes: what the engine asks of a driver and what it offers to it. The drivers of EVE's sockets and watched
// directories are made by core/bus/socket_transport.hpp; a simulation has none.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/bus/effects.hpp"
#include "core/types/codec.hpp"
#include "eve/result.hpp"

namespace eve::bus {

/// A publication as its driver sees it: what subscribers may know, which is what has been stored.
class Published {
public:
    virtual ~Published() = default;
    virtual const TableId& id() const = 0;
    virtual const TypeInfo& type() const = 0;
    virtual std::vector<std::string> keys() const = 0;
    virtual bool contains(const std::string& key) const = 0;
    virtual std::optional<std::string> json(const std::string& key) const = 0;  ///< nothing: no such record
    virtual int restart_counter() const = 0;
};

/// A publication served to other processes, until destroyed. [loop]
class Service {
public:
    virtual ~Service() = default;
    virtual void changed(const std::string& key) = 0;  ///< or deleted
    virtual void marked() = 0;                         ///< the restart counter changed
};

/// A subscription as its driver sees it. Every call may destroy the Feed that makes it. [loop]
class Sink {
public:
    virtual ~Sink() = default;
    /// A dump of the publisher's table begins. `incarnation` is the same as last time only if it is the same life of the same publication.
    virtual void begin(const std::string& incarnation) = 0;
    virtual void update(const std::string& key, std::string_view json) = 0;
    virtual void remove(const std::string& key) = 0;
    virtual void complete() = 0;
    virtual void restarted(int counter) = 0;
    /// The record as it was told last.
    virtual std::optional<std::string> last(const std::string& key) const = 0;
};

/// What keeps a subscription fed, until destroyed. [loop]
class Feed {
public:
    virtual ~Feed() = default;
};

class Transport {
public:
    virtual ~Transport() = default;
    /// Other processes can subscribe. Null without an error: this table is read from its directory.
    /// Errors: already_exists - another process publishes it.
    virtual Result<std::unique_ptr<Service>> serve(const Published& publication) = 0;
    /// The sink hears of the table whenever a publisher can be reached, never inside this call.
    virtual std::unique_ptr<Feed> feed(const TableId& table, const TypeInfo& type, std::shared_ptr<Sink> sink) = 0;
};

}  // namespace eve::bus
