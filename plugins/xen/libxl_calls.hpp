#pragma once
// libxl, call by call, in plain values. What may wait for xenstored or for a script is called in a process of its own (in_child.hpp).

#include <optional>
#include <string>
#include <vector>

#include "libxl_library.hpp"
#include "xen.hpp"

namespace eve::xen {

/// libxl's messages: the errors of a call, shortened to what a person needs. libxl crashes without a logger.
struct CallLog : xentoollog_logger {
    CallLog();
    std::string errors;
};

/// One context of libxl. Not for several threads at once.
class Session {
public:
    /// Errors: unsupported - not a Xen machine; unavailable - one that does not answer.
    static Result<std::unique_ptr<Session>> open(const Libxl& libxl);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    Result<SeenHost> host();
    Result<std::vector<SeenDomain>> domains();
    Result<SeenDomain> domain(std::uint32_t domid);
    Status power_button(std::uint32_t domid);
    Status give_back(const XenPci& device);

    /// Errors: resource_exhausted - Xen has less than the domain takes.
    Status has_memory_for(const XenConfig& config);
    Result<std::uint32_t> create(const XenConfig& config, const std::string& keep);
    Status unpause(std::uint32_t domid);
    Status destroy(std::uint32_t domid);
    Result<std::string> kept(std::uint32_t domid);

    /// Writes the number of each domain that ended to `socket`, and watches those whose numbers come from there, until it is closed.
    void report_ends(int socket);

private:
    explicit Session(const Libxl& libxl) : libxl_(libxl) {}
    Error failure(int code, const std::string& what);
    class Config;  // libxl_domain_config of a XenConfig

    const Libxl& libxl_;
    CallLog log_;
    libxl_ctx* context_ = nullptr;
};

}  // namespace eve::xen
