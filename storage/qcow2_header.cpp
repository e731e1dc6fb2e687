#include "storage/qcow2_header.hpp"

#include <algorithm>
#include <string>

namespace eve::storage {
namespace {

// Offsets and bits of QEMU's docs/interop/qcow2.txt.
constexpr std::string_view magic{"QFI\xfb", 4};
constexpr std::size_t v2_length = 72, v3_length = 104;
constexpr std::uint64_t feature_dirty = 1, feature_corrupt = 2, feature_data_file = 4, feature_compression = 8, feature_extended_l2 = 16;
constexpr std::uint64_t features_known = feature_dirty | feature_corrupt | feature_data_file | feature_compression | feature_extended_l2;
constexpr std::uint32_t extension_end = 0, extension_backing_format = 0xE2792ACA, extension_data_file = 0x44415441, extension_encryption = 0x0537be77;
constexpr std::uint32_t snapshots_max = 1024;
constexpr std::uint64_t l1_bytes_max = std::uint64_t{32} << 20;  // QEMU's own limit

std::uint32_t be32(std::string_view bytes, std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
    return value;
}

std::uint64_t be64(std::string_view bytes, std::size_t at) { return std::uint64_t{be32(bytes, at)} << 32 | be32(bytes, at + 4); }

Error refuse(std::string what) { return Error{.code = Code::invalid_argument, .what = "qcow2 image: " + std::move(what)}; }

}  // namespace

bool looks_like_qcow2(std::string_view start) { return start.starts_with(magic); }

Result<Qcow2Header> parse_qcow2_header(std::string_view start) {
    if (!looks_like_qcow2(start) || start.size() < v2_length) return refuse("no such header");
    Qcow2Header header;
    header.version = be32(start, 4);
    if (header.version != 2 && header.version != 3) return refuse("version " + std::to_string(header.version) + " is not known");
    if (be64(start, 8) != 0 || be32(start, 16) != 0) return refuse("it names a backing file");
    header.cluster_bits = be32(start, 20);
    if (header.cluster_bits < 9 || header.cluster_bits > 21) return refuse("impossible cluster size");
    header.virtual_bytes = be64(start, 24);
    if (header.virtual_bytes > qcow2_virtual_bytes_max) return refuse("impossible virtual size");
    if (be32(start, 32) != 0) return refuse("it is encrypted");
    const std::uint64_t l1_bytes = std::uint64_t{be32(start, 36)} * 8;
    const std::uint64_t cluster = std::uint64_t{1} << header.cluster_bits;
    if (l1_bytes > l1_bytes_max || be64(start, 40) % cluster != 0 || be64(start, 48) % cluster != 0) return refuse("impossible tables");
    header.snapshots = be32(start, 60);
    if (header.snapshots > snapshots_max) return refuse("too many snapshots");

    std::uint64_t length = v2_length;
    if (header.version == 3) {
        if (start.size() < v3_length) return refuse("cut short");
        const std::uint64_t incompatible = be64(start, 72);
        if ((incompatible & feature_data_file) != 0) return refuse("it names an external data file");
        if ((incompatible & feature_corrupt) != 0) return refuse("it is marked corrupt");
        if ((incompatible & ~features_known) != 0) return refuse("it needs a feature that is not known");
        length = be32(start, 100);
        if (length < v3_length || length % 8 != 0 || length > cluster) return refuse("impossible header length");
    }
    const std::uint64_t end = std::min<std::uint64_t>(cluster, qcow2_header_bytes);
    for (std::uint64_t at = length; at + 8 <= end;) {
        if (at + 8 > start.size()) return refuse("cut short");
        const std::uint32_t kind = be32(start, at), size = be32(start, at + 4);
        if (kind == extension_end) break;
        if (kind == extension_data_file) return refuse("it names an external data file");
        if (kind == extension_backing_format) return refuse("it names the format of a backing file");
        if (kind == extension_encryption) return refuse("it is encrypted");
        if (size > end || at + 8 + size > end) return refuse("impossible header extension");
        at += 8 + (std::uint64_t{size} + 7) / 8 * 8;
    }
    return header;
}

}  // namespace eve::storage
