#include "containerd/records.hpp"

#include <utility>

#include "eve/sdk/codec.hpp"

namespace eve::containerd {

BOOST_DESCRIBE_STRUCT(Settings, (),
                      (socket, containers, content, runtime, runtime_binary, runtime_root, no_pivot_root, cgroup_parent, cgroup_root, console_log_max, address_wait))
BOOST_DESCRIBE_STRUCT(DomainRecord, (), (spec, stop_signal, cgroup, notes))
BOOST_DESCRIBE_STRUCT(StartRecord, (), (at, process, without_address))

namespace {

constexpr std::size_t record_size_max = 512U << 10;

template <class Record> Result<std::string> text_of(const Record& record) {
    auto encoded = sdk::encode(record, sdk::Strictness::must_understand, record_size_max);
    if (!encoded) return std::move(encoded).error();
    return std::move(encoded->body);
}

}  // namespace

Result<Settings> read_settings(const PluginConfig& config) {
    if (config.config.empty()) return Settings{};
    auto settings = sdk::read_config<Settings>(config);
    if (!settings) return settings;
    for (const auto& [path, field] : {std::pair{settings->socket, ".socket"}, {settings->cgroup_parent, ".cgroup_parent"}, {settings->cgroup_root, ".cgroup_root"}})
        if (path.size() < 2 || path.front() != '/' || path.find("..") != std::string::npos)
            return Error{.code = Code::invalid_argument, .what = "the path must be absolute", .field = field};
    if (settings->containers.empty()) return Error{.code = Code::invalid_argument, .what = "the namespace must have a name", .field = ".containers"};
    if (settings->content.empty() || settings->content == settings->containers)
        return Error{.code = Code::invalid_argument, .what = "the namespace must have a name of its own", .field = ".content"};
    return settings;
}

std::string settings_schema() {
    return R"({"type":"object","additionalProperties":false,"properties":{
"socket":{"type":"string","description":"containerd's socket, /run/containerd/containerd.sock by default"},
"containers":{"type":"string","description":"containerd's namespace for apps, eve-user-apps by default"},
"content":{"type":"string","description":"containerd's namespace for image content, eve-content by default; nothing else may be in it"},
"runtime":{"type":"string","description":"the shim, io.containerd.runc.v2 by default"},
"runtime_binary":{"type":"string","description":"runc or crun, a name or a path; runc by default"},
"runtime_root":{"type":"string","description":"where runc or crun keeps its state, runc beside the socket by default"},
"no_pivot_root":{"type":"boolean","description":"for a host whose root file system is in memory"},
"cgroup_parent":{"type":"string","description":"group above all containers' groups, /eve-user-apps by default"},
"cgroup_root":{"type":"string","description":"where cgroups are mounted"},
"console_log_max_bytes":{"type":"integer","description":"size at which a log is rotated; one old log is kept"},
"address_wait_ns":{"type":"integer","description":"how long a start waits for the addresses of its interfaces"}}})";
}

Runtime runtime_of(const Settings& settings) {
    // Two containerds must not share it: their containers may have the same names. Of the host's own it is this place, too.
    const auto beside_socket = settings.socket.substr(0, settings.socket.rfind('/')) + "/runc";
    return {.name = settings.runtime,
            .binary = settings.runtime_binary,
            .root = settings.runtime_root.empty() ? beside_socket : settings.runtime_root,
            .no_pivot_root = settings.no_pivot_root};
}

Result<std::string> record_text(const DomainRecord& record) { return text_of(record); }
Result<DomainRecord> read_record(std::string_view text) { return sdk::decode<DomainRecord>(text, sdk::Strictness::must_ignore, {}); }
Result<std::string> start_text(const StartRecord& start) { return text_of(start); }
Result<StartRecord> read_start(std::string_view text) { return sdk::decode<StartRecord>(text, sdk::Strictness::must_ignore, {}); }

}  // namespace eve::containerd
