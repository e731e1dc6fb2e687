#include "records.hpp"

#include "eve/sdk/codec.hpp"

namespace eve::xen {

BOOST_DESCRIBE_STRUCT(Settings, (), (pv_type, pvh_firmware, uefi_firmware, vif_script, console_logs, xenstored, vnc_listen))
BOOST_DESCRIBE_ENUM(Phase, unknown, creating, created, started, cut, rebooting)
BOOST_DESCRIBE_STRUCT(DomainRecord, (),
                      (spec, phase, domid, device_model, started_at, failure, quick_reboots, rebooted_ns, console_path, console_log_path, notes))

namespace {
constexpr std::size_t record_size_max = 512U << 10;
}

Result<Settings> read_settings(const PluginConfig& config) {
    if (config.config.empty()) return Settings{};
    auto settings = sdk::read_config<Settings>(config);
    if (!settings) return settings;
    if (settings->pv_type != "auto" && settings->pv_type != "pv")
        return Error{.code = Code::invalid_argument, .what = "pv_type is auto or pv", .field = ".pv_type"};
    for (const auto& [path, field] : {std::pair{settings->pvh_firmware, ".pvh_firmware"},
                                      {settings->uefi_firmware, ".uefi_firmware"},
                                      {settings->vif_script, ".vif_script"},
                                      {settings->console_logs, ".console_logs"},
                                      {settings->xenstored, ".xenstored"}})
        if (path.empty() || path.front() != '/') return Error{.code = Code::invalid_argument, .what = "the path must be absolute", .field = field};
    return settings;
}

std::string settings_schema() {
    return R"({"type":"object","additionalProperties":false,"properties":{
"pv_type":{"enum":["auto","pv"],"description":"type of PV apps; auto: PVH where CPU and kernel can, else PV"},
"pvh_firmware":{"type":"string","description":"kernel of PV apps that bring none"},
"uefi_firmware":{"type":"string","description":"UEFI of FML apps whose own is not there"},
"vif_script":{"type":"string","description":"Xen's hotplug script of network interfaces"},
"console_logs":{"type":"string","description":"directory that xenconsoled writes logs of guests to"},
"xenstored":{"type":"string","description":"socket of xenstored"},
"vnc_listen":{"type":"string","description":"address of VNC servers, 127.0.0.1 by default"}}})";
}

Result<std::string> record_text(const DomainRecord& record) {
    auto encoded = sdk::encode(record, sdk::Strictness::must_understand, record_size_max);
    if (!encoded) return std::move(encoded).error();
    return std::move(encoded->body);
}

Result<DomainRecord> read_record(std::string_view text) { return sdk::decode<DomainRecord>(text, sdk::Strictness::must_ignore, {}); }

}  // namespace eve::xen
