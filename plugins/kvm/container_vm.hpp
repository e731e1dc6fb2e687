#pragma once
// A container in a virtual machine, on the host's side: what its first process is told, what serves its file systems, and what its end means.

#include <optional>
#include <string>
#include <vector>

#include "common/container_image.hpp"
#include "eve/domain.hpp"
#include "eve/host.hpp"
#include "eve/result.hpp"
#include "guest/order.hpp"
#include "guest/report.hpp"
#include "limit.hpp"
#include "observe.hpp"
#include "unique_fd.hpp"

namespace eve::kvm {

/// Whether the domain is a container in a virtual machine.
inline bool is_container(const DomainSpec& spec) { return plugins::root_disk(spec) != nullptr; }

/// What its first process does, by the image in the root file system's directory. Files that come with the app are in it then. Says in `notes`
/// what of the image cannot be done.
///
/// Errors: failed_precondition - with the field.
Result<GuestOrder> guest_order(const DomainSpec& spec, std::vector<std::string>& notes);
/// The same by the texts alone. Pure.
Result<GuestOrder> guest_order(const DomainSpec& spec, const plugins::ImageConfig& image, std::string_view passwd, std::string_view group,
                               std::vector<std::string>& notes);

/// The RAM disk at `path` with the order behind it.
///
/// Errors: failed_precondition - it is not there: the text says what makes it.
Result<UniqueFd> ram_disk_with(const std::string& path, const GuestOrder& order);

/// A connection to a process of its own that serves the root file system in `source` and nothing else: it has namespaces and a root directory
/// of its own, and of root's rights those to make files for any user. Its files are in the directory `name` of the domain's.
Result<UniqueFd> share_directory(HostServices& host, const std::string& virtiofsd, const std::string& source, const DomainSpec& spec, int directory,
                                 const std::string& name);
/// Why a file system of a domain that runs is not served any more, one sentence, or empty.
std::string share_trouble(int directory);
/// No process serves a file system of the domain, whose own process is gone, and nothing is left of what did.
Status end_shares(int directory, const Limit& limit);

/// What the guest said of its app's end, if it did.
std::optional<ExitReport> exit_report_in(int directory);
/// What an end means. `asked`: it was asked to stop, or its power was cut.
Seen seen_report(const std::optional<ExitReport>& report, bool asked);

}  // namespace eve::kvm
