// zedbox: every agent in one executable, chosen by the name it is called by. The only place, with agents.cpp, that names concrete types.

#include <sys/stat.h>
#include <unistd.h>

#include <boost/program_options.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "core/plugin/rights.hpp"
#include "core/zedbox/options.hpp"
#include "core/zedbox/process.hpp"
#include "core/zedbox/run.hpp"

namespace {

namespace po = boost::program_options;
using eve::zedbox::Options;

constexpr const char* usage = R"(usage: zedbox node [OPTIONS]                 the whole node in one process
       zedbox AGENT --foreground [OPTIONS]   that agent alone, over sockets, beside EVE's own or ours
       zedbox [OPTIONS]                      EVE's way: waits for agents to be called by their names (symbolic links to zedbox)
       AGENT [OPTIONS]                       asks a running zedbox to start it; without one runs it here

  --root DIR             EVE's absolute paths are put under DIR (default /)
  --plugins DIR          where plugins are (default: beside this executable, or where they were installed)
  --plugin-order A,B     try these, in this order, instead of the built-in order
  --plugin-config N=FILE one JSON object for plugin N; may be given more than once
  --content PLUGIN       the plugin that keeps the content of containers' images (default: none, the node's own store does)
  --isolation HOW        process or in-process, for all plugins (default: as each plugin asks)
  --guest-user UID[:GID] what guests run as (default 65533:65533)
  --unsupervised         node: no parent that starts it again, also where neither systemd nor EVE's watchdog is (for debuggers)
  --log-level LEVEL      debug, info, warn or error (default info)
)";

/// Where an executable's helpers and plugins are: beside it in a build tree, in the libexec and library folders once installed.
void fill_in_places(Options& options) {
    std::error_code error;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
    const auto folder = self.parent_path();
    const auto prefix = folder.parent_path();
    const bool built = std::filesystem::exists(folder / "plugin-host", error);
    if (options.libexec_dir.empty()) options.libexec_dir = (built ? folder : prefix / "libexec" / "evenode").string();
    if (options.plugin_dir.empty()) options.plugin_dir = (built ? prefix / "plugins" : prefix / "lib" / "evenode" / "plugins").string();
}

std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> parts;
    std::size_t begin = 0;
    while (begin <= text.size() && !text.empty()) {
        const std::size_t comma = std::min(text.find(',', begin), text.size());
        if (comma > begin) parts.push_back(text.substr(begin, comma - begin));
        begin = comma + 1;
    }
    return parts;
}

std::string agent_list() {
    std::string list = "\nagents:\n";
    for (const auto& agent : eve::zedbox::agents()) {
        std::string name = agent.name;
        name.resize(14, ' ');
        list += "  " + name + agent.summary + "\n";
    }
    return list;
}

int complain(const std::string& what) {
    std::cerr << "zedbox: " << what << "; see zedbox --help\n";
    return 2;
}

}  // namespace

int main(int argc, char** argv) try {
    // Nothing this process makes is for others to read, whatever it was started with.
    umask(077);

    po::options_description described;
    Options options;
    std::string order, guest_user, word;
    std::vector<std::string> plugin_configs;
    bool foreground = false, debug = false, unsupervised = false;
    auto add = described.add_options();
    add("help,h", "");
    add("root", po::value(&options.root), "");
    add("plugins", po::value(&options.plugin_dir), "");
    add("plugin-order", po::value(&order), "");
    add("plugin-config", po::value(&plugin_configs)->composing(), "");
    add("content", po::value(&options.content), "");
    add("isolation", po::value(&options.isolation), "");
    add("libexec", po::value(&options.libexec_dir), "");
    add("guest-user", po::value(&guest_user), "");
    add("log-level", po::value(&options.log_level), "");
    add("unsupervised", po::bool_switch(&unsupervised), "");
    add("foreground", po::bool_switch(&foreground), "");
    add("debug,d", po::bool_switch(&debug), "");  // EVE's flag of every agent
    add("word", po::value(&word), "");
    po::positional_options_description positions;
    positions.add("word", 1);
    po::variables_map values;
    po::store(po::command_line_parser(argc, argv).options(described).positional(positions).run(), values);
    po::notify(values);

    if (values.contains("help")) {
        std::cout << usage << agent_list();
        return 0;
    }
    if (debug) options.log_level = "debug";
    if (options.log_level != "debug" && options.log_level != "info" && options.log_level != "warn" && options.log_level != "error")
        return complain("--log-level is debug, info, warn or error, not '" + options.log_level + "'");
    if (!options.isolation.empty() && options.isolation != "process" && options.isolation != "in-process")
        return complain("--isolation is process or in-process, not '" + options.isolation + "'");
    if (options.content.find_first_of("/\n") != std::string::npos) return complain("--content is the name of a plugin, not '" + options.content + "'");
    if (!guest_user.empty() && std::sscanf(guest_user.c_str(), "%u:%u", &options.guest_uid, &options.guest_gid) < 1)
        return complain("--guest-user is a number or two ('65533:65533'), not '" + guest_user + "'");
    if (options.guest_gid == 0) options.guest_gid = options.guest_uid;
    options.plugin_order = split(order);
    for (const auto& text : plugin_configs) {
        const auto equals = text.find('=');
        if (equals == 0 || equals == std::string::npos) return complain("--plugin-config is NAME=FILE, not '" + text + "'");
        options.plugin_config_files[text.substr(0, equals)] = text.substr(equals + 1);
    }
    options.supervise = !unsupervised;
    fill_in_places(options);
    if (!eve::rights::keep_only(eve::rights::node)) return complain("capabilities could not be dropped: " + std::string(std::strerror(errno)));

    const std::string called = std::filesystem::path(argv[0]).filename().string();
    if (called != "zedbox") {
        if (eve::zedbox::find_agent(called) == nullptr) return complain("this executable was called '" + called + "', which is no agent of this node");
        return foreground ? eve::zedbox::run_agents(options, {called}) : eve::zedbox::run_applet(options, called, {argv + 1, argv + argc});
    }
    if (word.empty()) return eve::zedbox::run_on_request(options);
    if (word == "node") return eve::zedbox::run_node(options);
    if (eve::zedbox::find_agent(word) == nullptr) return complain("'" + word + "' is no agent of this node");
    return foreground ? eve::zedbox::run_agents(options, {word}) : eve::zedbox::run_applet(options, word, {argv + 2, argv + argc});
} catch (const std::exception& error) {
    return complain(error.what());
}
