#include "records.hpp"

#include "eve/sdk/codec.hpp"

namespace eve::kvm {

BOOST_DESCRIBE_STRUCT(Settings, (), (qemu, machine, accel, ovmf_code, ovmf_vars, ovmf_vars_dir, virtiofsd, container_vm_dir, vnc_listen, uid, gid, uid_first, console_log_max))
BOOST_DESCRIBE_STRUCT(DomainRecord, (), (spec, number, uid, notes))

namespace {
constexpr std::size_t record_size_max = 512U << 10;
}

Result<Settings> read_settings(const PluginConfig& config) {
    auto settings = config.config.empty() ? Result<Settings>(Settings{}) : sdk::read_config<Settings>(config);
    if (!settings) return settings;
    if (settings->container_vm_dir.empty()) settings->container_vm_dir = EVE_CONTAINER_VM_DIR;
    if (settings->accel != "auto" && settings->accel != "kvm" && settings->accel != "tcg")
        return Error{.code = Code::invalid_argument, .what = "accel is auto, kvm or tcg", .field = ".accel"};
    for (const auto& [path, field] : {std::pair{settings->qemu, ".qemu"}, {settings->ovmf_code, ".ovmf_code"}, {settings->ovmf_vars, ".ovmf_vars"}, {settings->virtiofsd, ".virtiofsd"},
                                      {settings->container_vm_dir, ".container_vm_dir"}})
        if (path.empty() || path.front() != '/') return Error{.code = Code::invalid_argument, .what = "the path must be absolute", .field = field};
    return settings;
}

std::string settings_schema() {
    return R"({"type":"object","additionalProperties":false,"properties":{
"qemu":{"type":"string","description":"QEMU's executable"},
"machine":{"type":"string","description":"machine type, pc-q35-3.1 by default"},
"accel":{"enum":["auto","kvm","tcg"],"description":"auto: KVM where a test guest runs, else emulation"},
"ovmf_code":{"type":"string","description":"UEFI firmware of FML guests"},
"ovmf_vars":{"type":"string","description":"its variables at first start"},
"ovmf_vars_dir":{"type":"string","description":"directory of OVMF_VARS_<width>x<height>.fd"},
"virtiofsd":{"type":"string","description":"serves the file systems of containers in virtual machines"},
"container_vm_dir":{"type":"string","description":"directory of their kernel and initramfs, made by scripts/make-container-vm"},
"vnc_listen":{"type":"string","description":"address of VNC servers, 127.0.0.1 by default"},
"uid":{"type":"integer","description":"user of every QEMU; 0: the node's guest user, else one for each domain"},
"gid":{"type":"integer"},
"uid_first":{"type":"integer","description":"first of the users of domains"},
"console_log_max_bytes":{"type":"integer","description":"size at which a console's log is rotated; one old log is kept"}}})";
}

Result<std::string> record_text(const DomainRecord& record) {
    auto encoded = sdk::encode(record, sdk::Strictness::must_understand, record_size_max);
    if (!encoded) return std::move(encoded).error();
    return std::move(encoded->body);
}

Result<DomainRecord> read_record(std::string_view text) { return sdk::decode<DomainRecord>(text, sdk::Strictness::must_ignore, {}); }

}  // namespace eve::kvm
