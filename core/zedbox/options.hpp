#pragma once
// How zedbox was called, read once in main.

#include <map>
#include <string>
#include <vector>

namespace eve::zedbox {

struct Options {
    std::string root = "/";                 ///< EVE's absolute paths are put under it
    std::string plugin_dir;                 ///< where plugins are looked for
    std::vector<std::string> plugin_order;  ///< the operator's; empty: /run/eve-hv-type, else built in
    std::map<std::string, std::string> plugin_config_files;  ///< by plugin: a file with one JSON object for it
    std::string content;                    ///< the plugin that keeps the content of containers' images; empty: the node's own store
    std::string isolation;                  ///< "process", "in-process", or empty for each plugin's default
    std::string libexec_dir;                ///< plugin-host, keeper, fetch
    std::string log_level = "info";
    bool supervise = true;                  ///< `node` may put a parent over itself
    unsigned guest_uid = 0;                 ///< what guests run as; 0: the user "evenode-guest", else 65533
    unsigned guest_gid = 0;
};

}  // namespace eve::zedbox
