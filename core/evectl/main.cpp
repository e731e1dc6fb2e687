// evectl: everything an operator at the bench can see and do.

#include <unistd.h>

#include <boost/program_options.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "core/evectl/commands.hpp"

namespace {

namespace po = boost::program_options;
using eve::evectl::Invocation;

constexpr const char* usage = R"(usage: evectl [--root DIR] [--json] COMMAND

  apply FILE                        give the node this device config (EdgeDevConfig, protobuf JSON or binary)
  apps                              every app: state, address, what is wrong and what to do
  app show APP                      one app in full
  app restart APP                   restart it, volumes kept
  app console APP                   its console; Ctrl-] leaves
  app exec APP -- CMD...            runs CMD in it, where its plugin can (containers); on a terminal with one. Ends with CMD's exit code; 125: not run
  app logs APP [--follow]           what it printed on its console
  wait APP STATE [--timeout SEC]    until the app is in EVE's state (RUNNING, HALTED, ...) or GONE; shows progress: in a terminal a bar with
                                    its rate for each layer that comes, with --json a line for each change
  volumes | images | networks | ports | plugins
  adapters                          the devices apps may ask for: who has each, and why one cannot be assigned
  adapters plan APP                 what APP would get and what would be bound for it; nothing is touched
  events [--follow]                 the node's event log
  status                            the node itself

  --root DIR    the root that the node was started with (default: $EVE_ROOT, else /)
  --json        for machines, on every command that shows something
  APP is a name, a UUID, or the beginning of one. Exit: 0 done, 1 failed, 2 wrong usage, 3 time is over.
)";

}  // namespace

int main(int argc, char** argv) try {
    po::options_description options;
    std::vector<std::string> words;
    const char* const environment = std::getenv("EVE_ROOT");
    Invocation call;
    double timeout_s = 0;
    auto add = options.add_options();
    add("help,h", "");
    add("root", po::value(&call.root)->default_value(environment != nullptr ? environment : "/"), "");
    add("json", po::bool_switch(&call.json), "");
    add("follow,f", po::bool_switch(&call.follow), "");
    add("quiet,q", po::bool_switch(&call.quiet), "");
    add("timeout", po::value(&timeout_s)->default_value(300), "");
    add("word", po::value(&words), "");
    po::positional_options_description positions;
    positions.add("word", -1);
    po::variables_map values;
    po::store(po::command_line_parser(argc, argv).options(options).positional(positions).run(), values);
    po::notify(values);

    if (values.contains("help")) {
        std::cout << usage;
        return 0;
    }
    if (timeout_s < 0 || timeout_s > 86400 * 365) {
        std::cerr << "evectl: --timeout must be between 0 and a year, in seconds\n";
        return 2;
    }
    call.timeout = std::chrono::milliseconds(static_cast<std::int64_t>(timeout_s * 1000));
    call.words = std::move(words);
    call.terminal = isatty(STDOUT_FILENO) == 1;
    if (const char* const kind = std::getenv("TERM"); kind != nullptr) call.terminal_kind = kind;
    if (call.words.empty()) {
        std::cerr << usage;
        return 2;
    }
    return eve::evectl::run(call);
} catch (const std::exception& error) {
    std::cerr << "evectl: " << error.what() << "; see evectl --help\n";
    return 2;
}
