#pragma once
// Looking into a plugin's file before it is trusted: who may have written it, what it exports, and what it says of itself in a plugin-host
// that may crash or hang at no cost.

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "core/plugin/plugin.hpp"
#include "eve/hypervisor.hpp"
#include "eve/result.hpp"

namespace eve::plugin {

/// What a file said of itself.
struct Inspection {
    Identity identity;
    Description description;
    ProbeReport probe;
};

/// Why a file is not used. `quarantined`: it crashed or hung, and is not tried again for a while unless it changes or the machine restarts.
struct Refusal {
    Error error;
    bool quarantined = false;
};

struct LoaderOptions {
    std::string plugin_host;                                        ///< the executable
    std::string cache_dir;                                          ///< gone after a reboot; made if missing; empty: no cache
    bool own_user_allowed = false;                                  ///< files of the node's own user are taken, not only root's
    std::vector<std::string> signature_keys;                        ///< Ed25519 public keys (PEM); not empty: FILE.so.sig must be by one of them
    std::chrono::nanoseconds load_limit = std::chrono::seconds{15};
    std::chrono::nanoseconds probe_limit = std::chrono::seconds{60};
    std::chrono::nanoseconds overtime = std::chrono::seconds{2};
    std::chrono::seconds quarantine = std::chrono::minutes{10};     ///< then it is tried again: a loaded machine makes a good file hang, too
};

/// Status of the file's owner and mode, and of its directory's. Errors: permission_denied, not_found.
Status check_owner(const std::string& file, bool own_user_allowed);

/// Whether the detached signature `file`.sig over the whole file was made with one of the keys. Errors: permission_denied.
Status check_signature(const std::string& file, const std::vector<std::string>& key_files);

/// SHA-256 of a file or text, as hexadecimal digits.
Result<std::string> digest_of_file(const std::string& file);
std::string digest_of_text(const std::string& text);

/// Every check and a look inside, with `host` as the plugin's host. Blocks. A verdict `supported` and a quarantine are remembered by the
/// file's digest and configuration.
class Loader {
public:
    explicit Loader(LoaderOptions options) : options_(std::move(options)) {}
    /// The value, or `refusal` is filled in and the result is its error.
    Result<Inspection> look_into(const std::string& file, HostServices& host, Refusal& refusal) const;

private:
    Result<Inspection> ask(const std::string& file, HostServices& host, bool& crashed) const;

    LoaderOptions options_;
};

}  // namespace eve::plugin
