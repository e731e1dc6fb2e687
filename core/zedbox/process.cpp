#include "core/zedbox/process.hpp"

#include <string>

namespace eve::zedbox {
namespace {

EventLog::Options log_options(const Options& options, const Root& root) {
    EventLog::Options out;
    out.path = EventLog::path_under(root);
    out.file_level = out.stderr_level.emplace(level_from_string(options.log_level).value_or(Level::info));
    return out;
}

}  // namespace

Process::Process(const Options& chosen)
    : options(chosen),
      root(chosen.root),
      loop(clock),
      log(clock, log_options(chosen, root)),
      records(root),
      transport({.loop = loop, .log = log, .store = records, .root = root}),
      lanes(std::make_unique<ThreadLanes>(loop)),
      bus({.loop = loop, .log = log, .store = &records, .lanes = lanes.get(), .transport = &transport}) {}

}  // namespace eve::zedbox
