#pragma once
// What evectl shows, made from a node's published records: once as JSON for machines, once as text for people. Pure.

#include <string>
#include <vector>

#include "core/evectl/node_files.hpp"
#include "core/zedagent/records.hpp"
#include "eve/result.hpp"

namespace eve::evectl {

struct Report {
    std::string json;  ///< one document, with a newline
    std::string text;  ///< lines, with what to do about what is wrong
};

Report report_apps(const NodeFiles& node);
Report report_volumes(const NodeFiles& node);
/// Content that volumes are made of: name, digest, size, who uses it; each blob with how far it is.
Report report_images(const NodeFiles& node);
Report report_networks(const NodeFiles& node);
Report report_ports(const NodeFiles& node);
Report report_plugins(const NodeFiles& node);
Report report_status(const NodeFiles& node);

/// What zedagent did not take as it was given, one sentence each.
std::vector<std::string> config_remarks(const zedagent::ConfigStatus& config);
/// One line of the event log for a person.
std::string event_text(const std::string& json_line);

/// One app that the operator meant.
struct AppName {
    std::string uuid;
    std::string name;
};
/// The app of that UUID, beginning of a UUID, or display name. Errors: not_found, invalid_argument (more than one) - both name what there is.
Result<AppName> find_app(const NodeFiles& node, const std::string& wanted);
Report report_app(const NodeFiles& node, const AppName& app);

/// What `wait` watches: the state's name, whether an error stands, and one line of progress.
struct AppProgress {
    std::string state;
    bool error = false;
    bool activated = false;
    std::string line;
};
AppProgress app_progress(const NodeFiles& node, const AppName& app);
/// Whether `state` is a name of EVE's ("RUNNING").
bool is_state_name(const std::string& state);

/// Where an app's console is, as domainmgr published it; empty while there is none.
struct AppConsole {
    std::string socket;
    std::string log;
};
AppConsole app_console(const NodeFiles& node, const AppName& app);

}  // namespace eve::evectl
