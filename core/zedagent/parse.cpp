#include "core/zedagent/parse.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>
#include <tuple>
#include <utility>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/util/json_util.h>

#include "core/zedagent/parse_internal.hpp"
#include "core/zedagent/proto/config.pb.h"

namespace eve::zedagent {
namespace {

namespace pb = ::google::protobuf;
namespace wire_common = ::org::lfedge::eve::common;

constexpr std::size_t shown_max = 80;
constexpr int vlan_id_max = 4094;

// ---- JSON: protobuf's own reader names no field and swallows unknown enum names, so the document is compared with the messages first.

class JsonCheck {
public:
    explicit JsonCheck(std::vector<std::string>& unknown) : unknown_(unknown) {}

    std::optional<Error> message(const pb::Descriptor& type, const pb::Value& value, const std::string& path) {
        if (value.kind_case() != pb::Value::kStructValue) return mismatch(path, "an object", value);
        std::set<std::string> names;  // the map's own order is random
        for (const auto& [name, member] : value.struct_value().fields()) names.insert(name);
        for (const auto& name : names) {
            const auto& member = value.struct_value().fields().at(name);
            const std::string place = path.empty() ? shown(name) : path + "." + shown(name);
            const auto* field = find(type, name);
            if (field == nullptr) {
                if (unknown_.size() < notices_max) unknown_.push_back(place);
                continue;
            }
            if (member.kind_case() == pb::Value::kNullValue) continue;
            if (auto error = this->field(*field, member, place)) return error;
        }
        return std::nullopt;
    }

private:
    static const pb::FieldDescriptor* find(const pb::Descriptor& type, const std::string& name) {
        for (int i = 0; i < type.field_count(); ++i)
            if (type.field(i)->json_name() == name || type.field(i)->name() == name) return type.field(i);
        return nullptr;
    }

    static const char* kind_name(const pb::Value& value) {
        switch (value.kind_case()) {
            case pb::Value::kNumberValue: return "a number";
            case pb::Value::kStringValue: return "a text";
            case pb::Value::kBoolValue: return "a boolean";
            case pb::Value::kStructValue: return "an object";
            case pb::Value::kListValue: return "a list";
            default: return "null";
        }
    }

    static Error mismatch(const std::string& path, std::string_view wanted, const pb::Value& value) {
        return refusal(path, "must be " + std::string(wanted) + ", not " + kind_name(value), "correct the value of this field");
    }

    std::optional<Error> field(const pb::FieldDescriptor& field, const pb::Value& value, const std::string& path) {
        if (field.is_map()) {
            if (value.kind_case() != pb::Value::kStructValue) return mismatch(path, "an object", value);
            for (const auto& [key, member] : value.struct_value().fields())
                if (member.kind_case() != pb::Value::kStringValue) return mismatch(path, "an object of texts", member);
            return std::nullopt;
        }
        if (!field.is_repeated()) return single(field, value, path);
        if (value.kind_case() != pb::Value::kListValue) return mismatch(path, "a list", value);
        for (int i = 0; i < value.list_value().values_size(); ++i)
            if (auto error = single(field, value.list_value().values(i), at(path, i))) return error;
        return std::nullopt;
    }

    std::optional<Error> single(const pb::FieldDescriptor& field, const pb::Value& value, const std::string& path) {
        using Field = pb::FieldDescriptor;
        const auto kind = value.kind_case();
        switch (field.cpp_type()) {
            case Field::CPPTYPE_MESSAGE:
                if (field.message_type()->full_name() != "google.protobuf.Timestamp") return message(*field.message_type(), value, path);
                if (kind != pb::Value::kStringValue || !types::Time::parse(value.string_value()))
                    return refusal(path, "must be a time", "write it as 2026-01-31T12:00:00Z");
                return std::nullopt;
            case Field::CPPTYPE_STRING:
                return kind == pb::Value::kStringValue
                           ? std::nullopt
                           : std::optional(mismatch(path, field.type() == Field::TYPE_BYTES ? "base64 text" : "a text", value));
            case Field::CPPTYPE_BOOL: return kind == pb::Value::kBoolValue ? std::nullopt : std::optional(mismatch(path, "true or false", value));
            case Field::CPPTYPE_ENUM: return enumeration(*field.enum_type(), value, path);
            case Field::CPPTYPE_INT32: return integer<std::int32_t>(value, path);
            case Field::CPPTYPE_UINT32: return integer<std::uint32_t>(value, path);
            case Field::CPPTYPE_INT64: return integer<std::int64_t>(value, path);
            case Field::CPPTYPE_UINT64: return integer<std::uint64_t>(value, path);
            case Field::CPPTYPE_DOUBLE:
            case Field::CPPTYPE_FLOAT: return kind == pb::Value::kNumberValue ? std::nullopt : std::optional(mismatch(path, "a number", value));
        }
        return std::nullopt;
    }

    static std::optional<Error> enumeration(const pb::EnumDescriptor& type, const pb::Value& value, const std::string& path) {
        if (value.kind_case() == pb::Value::kNumberValue) return integer<std::int32_t>(value, path);
        if (value.kind_case() != pb::Value::kStringValue) return mismatch(path, "a name of " + type.name(), value);
        if (type.FindValueByName(value.string_value()) != nullptr) return std::nullopt;
        std::string names;
        for (int i = 0; i < type.value_count(); ++i) names += (i == 0 ? "" : ", ") + type.value(i)->name();
        return refusal(path, "\"" + shown(value.string_value()) + "\" is no " + type.name(), "give one of " + names);
    }

    template <class Integer> static std::optional<Error> integer(const pb::Value& value, const std::string& path) {
        constexpr auto min = std::numeric_limits<Integer>::min();
        constexpr auto max = std::numeric_limits<Integer>::max();
        const auto wrong = [&] {
            return refusal(path, "must be a whole number of " + std::to_string(min) + " to " + std::to_string(max),
                           "correct the value of this field");
        };
        if (value.kind_case() == pb::Value::kNumberValue) {
            const double number = value.number_value();
            // 2^63 and 2^64 are the first doubles beyond; `max` itself is not one.
            const bool fits = number == std::floor(number) && number >= static_cast<double>(min) && number < static_cast<double>(max) + 1.0;
            return fits ? std::nullopt : std::optional(wrong());
        }
        if (value.kind_case() != pb::Value::kStringValue) return mismatch(path, "a number", value);
        const auto& text = value.string_value();
        Integer number{};
        const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
        return failed == std::errc{} && end == text.data() + text.size() ? std::nullopt : std::optional(wrong());
    }

    std::vector<std::string>& unknown_;
};

std::string one_line(std::string_view text) {
    std::string out;
    for (const char c : text.substr(0, 2 * shown_max)) out += (c == '\n' || c == '\t') ? ' ' : (c >= ' ' && c <= '~') ? c : '?';
    return out;
}

std::optional<Error> read_json(std::string_view bytes, wire::EdgeDevConfig& config, std::vector<std::string>& unknown) {
    const pb::StringPiece text(bytes.data(), bytes.size());
    pb::Value document;
    if (const auto read = pb::util::JsonStringToMessage(text, &document); !read.ok())
        return refusal("", "not JSON: " + one_line(std::string_view(read.message().data(), read.message().size())),
                       "check the file with a JSON tool; the text around the mistake is shown");
    if (auto error = JsonCheck(unknown).message(*wire::EdgeDevConfig::descriptor(), document, "")) return error;
    pb::util::JsonParseOptions options;
    options.ignore_unknown_fields = true;
    if (const auto read = pb::util::JsonStringToMessage(text, &config, options); !read.ok())
        return refusal("", "not a device config: " + one_line(std::string_view(read.message().data(), read.message().size())),
                       "compare the file with examples/quickstart.json");
    return std::nullopt;
}

std::optional<Error> read_binary(std::string_view bytes, wire::EdgeDevConfig& config) {
    if (config.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return std::nullopt;
    return refusal("", "neither JSON nor a binary EdgeDevConfig", "write the EdgeDevConfig as protobuf JSON or as a serialised message");
}

// ---- Sections

std::optional<types::DeviceOpsCmd> ops_command(bool present, const wire::DeviceOpsCmd& from) {
    if (!present) return std::nullopt;
    types::DeviceOpsCmd out;
    out.Counter = from.counter();
    out.DesiredState = from.desiredstate();
    out.OpsTime = from.opstime();
    return out;
}

void parse_items(const wire::EdgeDevConfig& config, const ParseContext& context, DeviceConfig& out) {
    out.items = types::configured_config_items();
    const types::ConfigItemValueMap none;
    const auto& before = context.items_before != nullptr ? *context.items_before : none;
    for (const auto& item : config.configitems()) {
        auto applied = types::apply_config_item(out.items, before, item.key(), item.value());
        if (applied || out.item_problems.size() >= notices_max) continue;
        out.item_problems.push_back(
            {.name = shown(item.key()), .error = applied.error().what, .unknown = applied.error().code == Code::not_found});
    }
}

types::Bytes to_bytes(const std::string& text) { return {text.begin(), text.end()}; }

/// Nothing is decrypted yet: the block is passed on and says so.
types::CipherBlockStatus cipher_block(bool present, const wire_common::CipherBlock& from, const std::string& id, types::Time now) {
    types::CipherBlockStatus out;
    if (!present) return out;
    out.CipherBlockID = id;
    out.CipherContextID = from.ciphercontextid();
    out.InitialValue = to_bytes(from.initialvalue());
    out.CipherData = to_bytes(from.cipherdata());
    out.ClearTextHash = to_bytes(from.cleartextsha256());
    out.IsCipher = !from.cipherdata().empty();
    if (out.IsCipher) set_error(out, "encrypted data cannot be read: this node decrypts none yet", now);
    return out;
}

Status parse_datastores(const wire::EdgeDevConfig& config, types::Time now, DeviceConfig& out) {
    std::set<types::Uuid> seen;
    for (int i = 0; i < config.datastores_size(); ++i) {
        const auto& from = config.datastores(i);
        const auto field = at("datastores", i);
        auto uuid = object_uuid(from.id(), field + ".id");
        if (!uuid) return std::move(uuid).error();
        if (!seen.insert(*uuid).second) return refusal(field + ".id", "datastore " + uuid->to_string() + " is given twice", "remove one");
        types::DatastoreConfig store;
        static_cast<types::CipherBlockStatus&>(store) = cipher_block(from.has_cipherdata(), from.cipherdata(), uuid->to_string(), now);
        store.UUID = *uuid;
        store.DsType = wire::DsType_IsValid(from.dtype()) ? wire::DsType_Name(from.dtype()) : wire::DsType_Name(wire::DsUnknown);
        store.Fqdn = from.fqdn();
        store.ApiKey = from.apikey();
        store.Password = from.password();
        store.Dpath = from.dpath();
        store.Region = from.region().empty() ? "us-west-2" : from.region();
        for (const auto& pem : from.dscertpem()) store.DsCertPEM.push_back(to_bytes(pem));
        out.datastores.push_back(std::move(store));
    }
    return {};
}

bool is_sha256(std::string_view text) {
    return text.size() == 64 && std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Status parse_content_trees(const wire::EdgeDevConfig& config, DeviceConfig& out) {
    std::set<types::Uuid> stores;
    for (const auto& store : out.datastores) stores.insert(store.UUID);
    std::set<types::Uuid> seen;
    for (int i = 0; i < config.contentinfo_size(); ++i) {
        const auto& from = config.contentinfo(i);
        const auto field = at("contentInfo", i);
        auto uuid = object_uuid(from.uuid(), field + ".uuid");
        if (!uuid) return std::move(uuid).error();
        if (!seen.insert(*uuid).second) return refusal(field + ".uuid", "content tree " + uuid->to_string() + " is given twice", "remove one");
        types::ContentTreeConfig tree;
        tree.ContentID = *uuid;
        std::vector<std::pair<std::string, std::string>> ids;
        for (int d = 0; d < from.ds_ids_list_size(); ++d) ids.emplace_back(from.ds_ids_list(d), at(field + ".dsIdsList", d));
        if (ids.empty()) ids.emplace_back(from.dsid(), field + ".dsId");
        for (const auto& [text, place] : ids) {
            auto id = object_uuid(text, place);
            if (!id) return std::move(id).error();
            if (!stores.contains(*id))
                return refusal(place, "there is no datastore " + id->to_string(), "add it to datastores, or name one of those");
            tree.DatastoreIDList.push_back(*id);
        }
        tree.RelativeURL = from.url();
        tree.Format = static_cast<types::Format>(from.iformat());
        tree.ContentSha256 = from.sha256();
        for (char& c : tree.ContentSha256)
            if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
        if (!tree.ContentSha256.empty() && !is_sha256(tree.ContentSha256))
            return refusal(field + ".sha256", "\"" + shown(from.sha256()) + "\" is no SHA-256",
                           "give the 64 hexadecimal digits that sha256sum prints");
        tree.MaxDownloadSize = from.maxsizebytes();
        tree.GenerationCounter = from.generation_count();
        tree.DisplayName = from.displayname();
        tree.CustomMeta = from.custom_meta_data();
        tree.IsLocal = true;
        out.content_trees.push_back(std::move(tree));
    }
    return {};
}

Status parse_volumes(const wire::EdgeDevConfig& config, DeviceConfig& out) {
    std::map<types::Uuid, const types::ContentTreeConfig*> trees;
    for (const auto& tree : out.content_trees) trees[tree.ContentID] = &tree;
    std::set<std::pair<types::Uuid, std::int64_t>> referenced;
    for (const auto& app : config.apps())
        for (const auto& ref : app.volumereflist()) referenced.emplace(types::Uuid::parse_or_nil(ref.uuid()), ref.generationcount());
    std::set<types::Uuid> seen;
    for (int i = 0; i < config.volumes_size(); ++i) {
        const auto& from = config.volumes(i);
        const auto field = at("volumes", i);
        auto uuid = object_uuid(from.uuid(), field + ".uuid");
        if (!uuid) return std::move(uuid).error();
        if (!seen.insert(*uuid).second) return refusal(field + ".uuid", "volume " + uuid->to_string() + " is given twice", "remove one");
        types::VolumeConfig volume;
        volume.VolumeID = *uuid;
        volume.VolumeContentOriginType = static_cast<types::VolumeContentOriginType>(from.origin().type());
        switch (from.origin().type()) {
            case wire::VCOT_BLANK: break;
            case wire::VCOT_DOWNLOAD: {
                const auto place = field + ".origin.downloadContentTreeID";
                auto id = object_uuid(from.origin().downloadcontenttreeid(), place);
                if (!id) return std::move(id).error();
                const auto tree = trees.find(*id);
                if (tree == trees.end())
                    return refusal(place, "there is no content tree " + id->to_string(), "add it to contentInfo, or name one of those");
                volume.ContentID = *id;
                volume.CustomMeta = tree->second->CustomMeta;
                break;
            }
            default:
                return refusal(field + ".origin.type", "the volume's content comes from nowhere", "give VCOT_BLANK or VCOT_DOWNLOAD");
        }
        if (from.maxsizebytes() < 0) return refusal(field + ".maxsizebytes", "must not be negative", "give bytes, or 0 for the image's own size");
        volume.MaxVolSize = static_cast<std::uint64_t>(from.maxsizebytes());
        volume.ReadOnly = from.readonly();
        volume.GenerationCounter = from.generationcount();
        volume.Encrypted = !from.clear_text();
        volume.DisplayName = from.displayname();
        volume.HasNoAppReferences = !referenced.contains({*uuid, from.generationcount()});
        volume.Target = static_cast<types::Target>(from.target());
        out.volumes.push_back(std::move(volume));
    }
    return {};
}

void parse_resources(const wire::VmConfig& from, types::VmConfig& out) {
    out.Kernel = from.kernel();
    out.Ramdisk = from.ramdisk();
    out.Memory = from.memory();
    out.MaxMem = from.maxmem();
    out.VCpus = from.vcpus();
    out.MaxCpus = from.maxcpus();
    out.RootDev = from.rootdev();
    out.ExtraArgs = from.extraargs();
    out.BootLoader = from.bootloader();
    out.DeviceTree = from.devicetree();
    out.DtDev.assign(from.dtdev().begin(), from.dtdev().end());
    out.IRQs.assign(from.irqs().begin(), from.irqs().end());
    out.IOMem.assign(from.iomem().begin(), from.iomem().end());
    const int mode = from.virtualizationmode();
    out.VirtualizationMode = mode >= 0 && mode <= static_cast<int>(types::VmMode::LEGACY) ? static_cast<types::VmMode>(mode) : types::VmMode::PV;
    out.EnableVnc = from.enable_vnc();
    out.VncDisplay = from.vncdisplay();
    out.VncPasswd = from.vncpasswd();
    out.CPUsPinned = from.pin_cpu();
    out.VMMMaxMem = from.vmm_maxmem();
    out.EnableVncShimVM = from.enable_vnc_shim_vm();
    out.EnforceNetworkInterfaceOrder = from.enforce_network_interface_order();
    out.EnableOemWinLicenseKey = from.enable_oem_win_license_key();
    out.DisableVirtualTPM = from.disable_vtpm();
}

/// The app's own order, else the device's.
void choose_boot_order(const wire::VmConfig& from, const types::ConfigItems& items, types::AppInstanceConfig& app) {
    using types::BootOrder;
    using types::BootOrderSource;
    app.ControllerBootOrder = static_cast<BootOrder>(from.boot_order());
    if (app.ControllerBootOrder != BootOrder::BOOT_ORDER_UNSPECIFIED) {
        app.FixedResources.BootOrder = app.ControllerBootOrder;
        app.BootOrderSource = BootOrderSource::BootOrderSourceController;
        return;
    }
    const auto device = items.text("app.boot.order");
    if (device.empty()) return;
    app.FixedResources.BootOrder = device == "usb" ? BootOrder::BOOT_ORDER_USB : BootOrder::BOOT_ORDER_NOUSB;
    app.BootOrderSource = BootOrderSource::BootOrderSourceDeviceProperty;
}

types::AppInstanceOpsCmd instance_command(const wire::InstanceOpsCmd& from) {
    types::AppInstanceOpsCmd out;
    out.Counter = from.counter();
    out.ApplyTime = from.opstime();
    return out;
}

void parse_io_adapters(const wire::AppInstanceConfig& from, types::AppInstanceConfig& app) {
    for (const auto& adapter : from.adapters()) {
        types::IoAdapter out;
        out.Type = static_cast<types::IoType>(static_cast<std::uint8_t>(adapter.type()));
        out.Name = adapter.name();
        out.IntfOrder = adapter.interface_order();
        if (out.Type == types::IoType::IoNetEthVF && adapter.has_eth_vf()) {
            const auto& vf = adapter.eth_vf();
            if (vf.vlan_id() > vlan_id_max) {
                app.Errors.push_back("adapter " + shown(adapter.name()) + ": VLAN " + std::to_string(vf.vlan_id()) + " is out of range");
                continue;
            }
            if (auto mac = types::MacAddress::parse(vf.mac()); mac) out.EthVf.Mac = mac->to_string();
            else app.Errors.push_back("adapter " + shown(adapter.name()) + ": \"" + shown(vf.mac()) + "\" is no MAC address");
            out.EthVf.VlanID = static_cast<std::uint16_t>(vf.vlan_id());
        }
        app.IoAdapterList.push_back(std::move(out));
    }
}

void parse_snapshot(const wire::SnapshotConfig& from, types::SnapshotConfig& out) {
    out.ActiveSnapshot = from.active_snapshot();
    out.MaxSnapshots = from.max_snapshots();
    out.RollbackCmd = instance_command(from.rollback_cmd());
    for (const auto& snapshot : from.snapshots()) {
        types::SnapshotDesc desc;
        desc.SnapshotID = snapshot.id();
        desc.SnapshotType = static_cast<types::SnapshotType>(snapshot.type());
        out.Snapshots.push_back(std::move(desc));
    }
}

bool is_base64(std::string_view text) {
    std::string joined;
    for (const char c : text)
        if (c != '\n' && c != '\r') joined += c;
    return types::from_base64(joined).ok();
}

Status parse_volume_refs(const wire::AppInstanceConfig& from, const std::map<types::Uuid, std::int64_t>& generations, const std::string& field,
                         types::AppInstanceConfig& app) {
    for (int i = 0; i < from.volumereflist_size(); ++i) {
        const auto& ref = from.volumereflist(i);
        const auto place = at(field + ".volumeRefList", i) + ".uuid";
        auto id = object_uuid(ref.uuid(), place);
        if (!id) return std::move(id).error();
        const auto generation = generations.find(*id);
        if (generation == generations.end())
            return refusal(place, "there is no volume " + id->to_string(), "add it to volumes, or name one of those");
        if (generation->second != ref.generationcount())
            app.Errors.push_back("volume " + id->to_string() + " is wanted in generation " + std::to_string(ref.generationcount()) +
                                 ", but the config makes generation " + std::to_string(generation->second));
        types::VolumeRefConfig out;
        out.VolumeID = *id;
        out.GenerationCounter = ref.generationcount();
        out.AppUUID = app.UUIDandVersion.UUID;
        out.MountDir = ref.mount_dir();
        out.VerifyOnly = true;
        app.VolumeRefConfigList.push_back(std::move(out));
    }
    return {};
}

Status parse_apps(const wire::EdgeDevConfig& config, types::Time now, DeviceConfig& out) {
    std::map<types::Uuid, std::int64_t> generations;
    for (const auto& volume : out.volumes) generations[volume.VolumeID] = volume.GenerationCounter;
    InstanceTypes instances;
    for (const auto& network : out.network_instances) instances.emplace(network.UUID, network.Type);
    const types::ConfigItems items(out.items);
    std::set<types::Uuid> seen;
    for (int i = 0; i < config.apps_size(); ++i) {
        const auto& from = config.apps(i);
        const auto field = at("apps", i);
        auto uuid = object_uuid(from.uuidandversion().uuid(), field + ".uuidandversion.uuid");
        if (!uuid) return std::move(uuid).error();
        if (!seen.insert(*uuid).second)
            return refusal(field + ".uuidandversion.uuid", "app " + uuid->to_string() + " is given twice", "remove one");
        types::AppInstanceConfig app;
        static_cast<types::CipherBlockStatus&>(app) = cipher_block(from.has_cipherdata(), from.cipherdata(), uuid->to_string(), now);
        if (app.IsCipher) app.Errors.push_back("user data: " + app.Error);
        app.UUIDandVersion.UUID = *uuid;
        app.UUIDandVersion.Version = from.uuidandversion().version();
        app.DisplayName = from.displayname();
        parse_resources(from.fixedresources(), app.FixedResources);
        choose_boot_order(from.fixedresources(), items, app);
        app.DisableLogs = from.fixedresources().disablelogs();
        if (auto refs = parse_volume_refs(from, generations, field, app); !refs) return refs;
        if (from.drives_size() > 0 && from.volumereflist_size() == 0)
            app.Errors.push_back("drives are the old form of storage and are not read; use volumes and volumeRefList");
        app.Activate = from.activate();
        parse_adapters(from, instances, app);
        parse_io_adapters(from, app);
        app.RestartCmd = instance_command(from.restart());
        app.PurgeCmd = instance_command(from.purge());
        if (!from.userdata().empty()) {
            app.CloudInitUserData = from.userdata();
            if (!is_base64(from.userdata())) app.Errors.push_back("user data is not base64");
        }
        app.RemoteConsole = from.remoteconsole();
        if (auto address = types::IpAddress::parse(from.collectstatsipaddr()); address) app.CollectStatsIPAddr = *address;
        else app.Errors.push_back("collectStatsIPAddr: \"" + shown(from.collectstatsipaddr()) + "\" is no IP address");
        app.MetaDataType = static_cast<types::MetaDataType>(static_cast<std::uint8_t>(from.metadatatype()));
        app.ProfileList.assign(from.profile_list().begin(), from.profile_list().end());
        app.Delay = std::chrono::seconds{from.start_delay_in_seconds()};
        app.Service = from.service();
        if (app.Service && app.FixedResources.VirtualizationMode != types::VmMode::NOHYPER)
            app.Errors.push_back("service app instance " + uuid->to_string() + " must have virtualizationMode NOHYPER");
        app.CloudInitVersion = from.cloud_init_version();
        if (from.has_snapshot()) parse_snapshot(from.snapshot(), app.Snapshot);
        app.IsDesignatedNodeID = true;
        app.AffinityType = static_cast<types::Affinity>(static_cast<std::uint8_t>(from.affinity()));
        app.DeploymentType = static_cast<types::AppRuntimeType>(from.runtime_type());
        out.apps.push_back(std::move(app));
    }
    return {};
}

void name_what_is_not_acted_on(const wire::EdgeDevConfig& config, DeviceConfig& out) {
    const std::tuple<const char*, bool> sections[] = {
        {"base", config.base_size() > 0},
        {"baseos", config.has_baseos()},
        {"bonds", config.bonds_size() > 0},
        {"cipherContexts", config.ciphercontexts_size() > 0},
        {"cluster", config.has_cluster()},
        {"disks", config.has_disks()},
        {"edgeview", config.has_edgeview()},
        {"locConfig", config.has_loc_config()},
        {"localProfileServer", !config.local_profile_server().empty()},
        {"patchEnvelopes", config.patchenvelopes_size() > 0},
        {"pnacs", config.pnacs_size() > 0},
        {"reboot", config.has_reboot()},
        {"scepProfiles", config.scep_profiles_size() > 0},
        {"shutdown", config.has_shutdown()},
        {"vlans", config.vlans_size() > 0},
    };
    for (const auto& [name, given] : sections)
        if (given) out.not_acted_on.emplace_back(name);
    for (int i = 0; i < config.networks_size() && out.not_acted_on.size() < notices_max; ++i)
        if (config.networks(i).has_wireless()) out.not_acted_on.push_back(at("networks", i) + ".wireless");
}

}  // namespace

std::string at(std::string_view list, int index) { return std::string(list) + "[" + std::to_string(index) + "]"; }

Error refusal(std::string field, std::string what, std::string hint) {
    return Error{.code = Code::invalid_argument,
                 .what = field.empty() ? std::move(what) : field + ": " + what,
                 .field = std::move(field),
                 .hint = std::move(hint)};
}

std::string shown(std::string_view text) {
    std::string out = one_line(text.substr(0, shown_max));
    return text.size() > shown_max ? out + "..." : out;
}

Result<types::Uuid> object_uuid(const std::string& text, const std::string& field) {
    if (text.empty()) return refusal(field, "the UUID is missing", "give one, as uuidgen prints it");
    auto uuid = types::Uuid::parse(text);
    if (!uuid) return refusal(field, "\"" + shown(text) + "\" is no UUID", "write it as 01234567-89ab-cdef-0123-456789abcdef");
    if (uuid->is_nil()) return refusal(field, "the nil UUID names nothing", "give one, as uuidgen prints it");
    return uuid;
}

Result<DeviceConfig> parse(std::string_view bytes, const ParseContext& context) {
    if (bytes.size() > config_bytes_max)
        return Error{.code = Code::resource_exhausted,
                     .what = "the config has " + std::to_string(bytes.size()) + " bytes, at most " + std::to_string(config_bytes_max) + " are read",
                     .hint = "split what the apps carry, such as user data, into volumes"};
    const pb::LogSilencer silence;  // it writes to stderr what is returned here
    wire::EdgeDevConfig config;
    DeviceConfig out;
    const auto start = bytes.find_first_not_of(" \t\r\n");
    if (start == std::string_view::npos) return refusal("", "the config is empty", "write an EdgeDevConfig; see examples/quickstart.json");
    const bool json = bytes[start] == '{';
    if (auto error = json ? read_json(bytes, config, out.unknown_fields) : read_binary(bytes, config)) return *std::move(error);

    const types::Time now(context.now);
    auto uuid = object_uuid(config.id().uuid(), "id.uuid");
    if (!uuid) return std::move(uuid).error();
    out.id.UUID = *uuid;
    out.id.Version = config.id().version();
    if (config.has_config_timestamp()) {
        types::Time timestamp;
        timestamp.seconds = config.config_timestamp().seconds();
        timestamp.nanoseconds = config.config_timestamp().nanos();
        if (timestamp.nanoseconds < 0 || timestamp.nanoseconds > 999'999'999) return refusal("configTimestamp", "is no time", "correct it");
        out.timestamp = timestamp;
    }
    out.device_name = config.device_name();
    out.maintenance_mode = config.maintenance_mode();
    out.global_profile = config.global_profile();
    out.reboot = ops_command(config.has_reboot(), config.reboot());
    out.shutdown = ops_command(config.has_shutdown(), config.shutdown());
    parse_items(config, context, out);
    if (auto done = parse_datastores(config, now, out); !done) return std::move(done).error();
    if (auto done = parse_physical_io(config, out); !done) return std::move(done).error();
    if (auto done = parse_networks(config, now, out); !done) return std::move(done).error();
    parse_ports(config, now, out);
    if (auto done = parse_network_instances(config, now, out); !done) return std::move(done).error();
    if (auto done = parse_content_trees(config, out); !done) return std::move(done).error();
    if (auto done = parse_volumes(config, out); !done) return std::move(done).error();
    if (auto done = parse_apps(config, now, out); !done) return std::move(done).error();
    name_what_is_not_acted_on(config, out);
    return out;
}

std::string config_digest(std::string_view bytes) {
    unsigned char digest[EVP_MAX_MD_SIZE] = {};
    unsigned int length = 0;
    if (EVP_Digest(bytes.data(), bytes.size(), digest, &length, EVP_sha256(), nullptr) != 1) return "";
    std::string out;
    for (unsigned int i = 0; i < length; ++i) {
        constexpr std::string_view digits = "0123456789abcdef";
        out += digits[digest[i] >> 4];
        out += digits[digest[i] & 15];
    }
    return out;
}

namespace {

void keep_error_time(types::ErrorDescription& now, const types::ErrorDescription& before) {
    if (!now.Error.empty() && now.Error == before.Error) now.ErrorTime = before.ErrorTime;
}

template <class Record, class Key> void keep_error_times(std::vector<Record>& now, const std::vector<Record>& before, Key key) {
    std::map<types::Uuid, const Record*> old;
    for (const auto& record : before) old[key(record)] = &record;
    for (auto& record : now)
        if (const auto it = old.find(key(record)); it != old.end()) keep_error_time(record, *it->second);
}

void keep_failure_time(types::TestResults& now, const types::TestResults& before) {
    if (!now.LastError.empty() && now.LastError == before.LastError) now.LastFailed = before.LastFailed;
}

}  // namespace

void keep_times(DeviceConfig& now, const DeviceConfig& before) {
    keep_error_times(now.datastores, before.datastores, [](const auto& store) { return store.UUID; });
    keep_error_times(now.networks, before.networks, [](const auto& network) { return network.UUID; });
    keep_error_times(now.network_instances, before.network_instances, [](const auto& network) { return network.UUID; });
    keep_error_times(now.apps, before.apps, [](const auto& app) { return app.UUIDandVersion.UUID; });
    keep_failure_time(now.ports, before.ports);
    for (std::size_t i = 0; i < std::min(now.ports.Ports.size(), before.ports.Ports.size()); ++i)
        keep_failure_time(now.ports.Ports[i], before.ports.Ports[i]);
    auto same_but_later = before.ports;
    same_but_later.TimePriority = now.ports.TimePriority;
    for (auto& port : same_but_later.Ports) port.ConfigSource.SubmittedAt = now.ports.TimePriority;
    auto candidate = now.ports;
    for (auto& port : candidate.Ports) port.ConfigSource.SubmittedAt = now.ports.TimePriority;
    if (candidate == same_but_later) now.ports = before.ports;
}

void add_local_counters(DeviceConfig& config, const LocalCounters& local) {
    const auto generation = [&](const types::Uuid& volume) {
        const auto it = local.volumes.find(volume);
        return it == local.volumes.end() ? 0 : it->second;
    };
    for (auto& volume : config.volumes) volume.LocalGenerationCounter = generation(volume.VolumeID);
    for (auto& app : config.apps) {
        for (auto& ref : app.VolumeRefConfigList) ref.LocalGenerationCounter = generation(ref.VolumeID);
        const auto it = local.apps.find(app.UUIDandVersion.UUID);
        if (it == local.apps.end()) continue;
        app.LocalRestartCmd = it->second.RestartCmd;
        app.LocalPurgeCmd = it->second.PurgeCmd;
    }
}

types::AppInstanceConfig without_large_parts(types::AppInstanceConfig app) {
    const std::size_t clear = app.CloudInitUserData ? app.CloudInitUserData->size() : 0;
    std::size_t rules = 0;
    for (auto& adapter : app.AppNetAdapterList) {
        rules += adapter.ACLs.size();
        adapter.ACLs.clear();
    }
    app.Errors.push_back("the app's config is too large for a message: " + std::to_string(clear) + " bytes of user data, " +
                         std::to_string(app.CipherData.size()) + " of encrypted user data, " + std::to_string(rules) + " access rules");
    app.CloudInitUserData.reset();
    app.CipherData.clear();
    return app;
}

std::string volume_key(const types::VolumeConfig& volume) {
    // As Go adds: past the end it begins again.
    const auto sum = static_cast<std::uint64_t>(volume.GenerationCounter) + static_cast<std::uint64_t>(volume.LocalGenerationCounter);
    return volume.VolumeID.to_string() + "#" + std::to_string(static_cast<std::int64_t>(sum));
}

}  // namespace eve::zedagent
