#include "tests/doubles/image_builder.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <openssl/sha.h>

#include <array>
#include <cstdio>
#include <cstring>

namespace eve {
namespace {

std::string octal(std::uint64_t value, std::size_t width) {
    std::string text(width, '0');
    text.back() = '\0';
    for (std::size_t i = width - 1; i-- > 0; value >>= 3) text[i] = static_cast<char>('0' + (value & 7));
    return text;
}

void append_header(std::string& out, const TarEntry& entry, const std::string& name, char type, std::uint64_t size) {
    std::string header(512, '\0');
    const auto put = [&header](std::size_t at, const std::string& text, std::size_t most) { header.replace(at, std::min(text.size(), most), text, 0, most); };
    put(0, name, 100);
    put(100, octal(entry.mode, 8), 8);
    put(108, octal(entry.user, 8), 8);
    put(116, octal(entry.group, 8), 8);
    put(124, octal(size, 12), 12);
    put(136, octal(static_cast<std::uint64_t>(entry.time), 12), 12);
    header[156] = type;
    put(157, entry.link, 100);
    put(257, std::string("ustar\0", 6) + "00", 8);
    if (type == '3' || type == '4') {
        put(329, octal(1, 8), 8);
        put(337, octal(3, 8), 8);
    }
    header.replace(148, 8, "        ");
    unsigned sum = 0;
    for (const char c : header) sum += static_cast<unsigned char>(c);
    std::array<char, 8> text{};
    std::snprintf(text.data(), text.size(), "%06o", sum);
    header.replace(148, 7, std::string(text.data(), 6) + '\0');
    out += header;
}

void append_padded(std::string& out, const std::string& bytes) {
    out += bytes;
    out.append((512 - bytes.size() % 512) % 512, '\0');
}

std::string pax_record(const std::string& key, const std::string& value) {
    std::size_t length = key.size() + value.size() + 3;
    std::string text;
    do text = std::to_string(length) + " " + key + "=" + value + "\n";
    while (text.size() != length && (length = text.size(), true));
    return text;
}

std::string descriptor(const std::string& media_type, const std::string& digest, std::size_t size) {
    return R"({"mediaType":")" + media_type + R"(","digest":"sha256:)" + digest + R"(","size":)" + std::to_string(size) + "}";
}

}  // namespace

TarEntry tar_file(std::string name, std::string content, unsigned mode) {
    return {.name = std::move(name), .content = std::move(content), .mode = mode};
}
TarEntry tar_directory(std::string name, unsigned mode) { return {.name = std::move(name), .type = '5', .mode = mode}; }
TarEntry tar_link(std::string name, std::string target) { return {.name = std::move(name), .type = '2', .link = std::move(target), .mode = 0777}; }
TarEntry tar_hard_link(std::string name, std::string target) { return {.name = std::move(name), .type = '1', .link = std::move(target)}; }
TarEntry tar_device(std::string name, char type) { return {.name = std::move(name), .type = type, .mode = 0666}; }

std::string make_tar(const std::vector<TarEntry>& entries) {
    std::string out;
    for (const auto& entry : entries) {
        auto pax = entry.pax;
        if (entry.name.size() > 100) pax.emplace("path", entry.name);
        if (entry.link.size() > 100) pax.emplace("linkpath", entry.link);
        if (entry.user > 07777777) pax.emplace("uid", std::to_string(entry.user));
        if (entry.group > 07777777) pax.emplace("gid", std::to_string(entry.group));
        if (!pax.empty()) {
            std::string records;
            for (const auto& [key, value] : pax) records += pax_record(key, value);
            append_header(out, {}, "PaxHeaders/x", 'x', records.size());
            append_padded(out, records);
        }
        const auto size = entry.size >= 0 ? static_cast<std::uint64_t>(entry.size) : entry.type == '0' ? entry.content.size() : 0;
        append_header(out, entry, entry.name, entry.type, size);
        append_padded(out, entry.content);
    }
    return out + std::string(1024, '\0');
}

std::string pack(const std::string& bytes, types::OciPacking packing) {
    if (packing == types::OciPacking::none) return bytes;
    archive* const a = archive_write_new();
    archive_write_set_format_raw(a);
    if (packing == types::OciPacking::gzip) archive_write_add_filter_gzip(a);
    else archive_write_add_filter_zstd(a);
    archive_write_set_bytes_in_last_block(a, 1);
    std::string out(bytes.size() + bytes.size() / 8 + 65536, '\0');
    std::size_t used = 0;
    archive_write_open_memory(a, out.data(), out.size(), &used);
    archive_entry* const entry = archive_entry_new();
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_write_header(a, entry);
    archive_write_data(a, bytes.data(), bytes.size());
    archive_entry_free(entry);
    archive_write_close(a);
    archive_write_free(a);
    out.resize(used);
    return out;
}

std::string sha256_of(const std::string& bytes) {
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
    SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest.data());
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (const unsigned char byte : digest) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

void describe_image(TestImage& image, const std::string& settings) {
    std::string diff_ids, layers;
    for (const auto& layer : image.layers) {
        diff_ids += (diff_ids.empty() ? "\"sha256:" : ",\"sha256:") + layer.diff_id + "\"";
        layers += (layers.empty() ? "" : ",") + descriptor(layer.media_type, sha256_of(layer.bytes), layer.bytes.size());
    }
    image.config = R"({"architecture":")" + types::oci_here().architecture + R"(","os":"linux","config":{)" + settings +
                   R"(},"rootfs":{"type":"layers","diff_ids":[)" + diff_ids + "]}}";
    image.manifest = R"({"schemaVersion":2,"mediaType":")" + std::string(types::oci_media_manifest) + R"(","config":)" +
                     descriptor(std::string(types::oci_media_config), image.config_sha256(), image.config.size()) + R"(,"layers":[)" + layers + "]}";
}

TestImage make_image(const std::vector<std::vector<TarEntry>>& layers, types::OciPacking packing, const std::string& settings) {
    TestImage image;
    std::string media_type(types::oci_media_layer);
    if (packing == types::OciPacking::gzip) media_type += "+gzip";
    if (packing == types::OciPacking::zstd) media_type += "+zstd";
    for (const auto& entries : layers) {
        const std::string tar = make_tar(entries);
        image.layers.push_back({.bytes = pack(tar, packing), .media_type = media_type, .diff_id = sha256_of(tar)});
    }
    describe_image(image, settings);
    return image;
}

std::string make_index(const std::vector<std::pair<std::string, std::string>>& manifests) {
    std::string entries;
    for (const auto& [architecture, manifest] : manifests) {
        std::string entry = descriptor(std::string(types::oci_media_manifest), sha256_of(manifest), manifest.size());
        entry.pop_back();
        entries += (entries.empty() ? "" : ",") + entry + R"(,"platform":{"architecture":")" + architecture + R"(","os":"linux"}})";
    }
    return R"({"schemaVersion":2,"mediaType":")" + std::string(types::oci_media_index) + R"(","manifests":[)" + entries + "]}";
}

}  // namespace eve
