#pragma once
// The one thread of the plugin: hears of events and ends of domains, tells the node to look, and keeps the consoles' logs within their size.

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "eve/domain.hpp"
#include "eve/host.hpp"
#include "qmp.hpp"
#include "unique_fd.hpp"

namespace eve::kvm {

/// What happened to a domain, as far as the watcher knows.
using Notice = std::function<void(const DomainId&, DomainEventKind)>;

class Watcher {
public:
    /// `notice` is called on the watcher's thread; `log_size_max` is of one console log.
    Watcher(Notice notice, off_t log_size_max);
    /// No thread is left and nothing is called any more.
    ~Watcher();
    Watcher(const Watcher&) = delete;
    Watcher& operator=(const Watcher&) = delete;

    /// The domain whose files are in `directory` (dup'ed) is watched; a second call replaces what was watched. [any-thread]
    void watch(const DomainId& id, int directory);
    /// It is not watched any more. [any-thread]
    void forget(const DomainId& id);

private:
    struct Watched {
        UniqueFd directory;
        UniqueFd process;                    // a pidfd; none while unknown
        std::optional<QmpClient> listener;
        int attempts = 0;
        bool guest_ended = false;  // then `process` is its keeper
        bool ended = false;
    };

    void run();
    void has_ended(const DomainId& id, Watched& watched);
    void look_after(const DomainId& id, Watched& watched);
    void hear(const DomainId& id, Watched& watched);
    void wake() const;

    Notice notice_;
    off_t log_size_max_;
    UniqueFd wake_;
    std::mutex mutex_;   // guards changes_ and stopping_; the thread's own map needs none
    std::vector<std::pair<DomainId, std::optional<UniqueFd>>> changes_;
    bool stopping_ = false;
    std::map<DomainId, Watched> watched_;
    std::thread thread_;
};

}  // namespace eve::kvm
