#pragma once
// Container images made byte by byte, good ones and hostile ones: tar archives with any header, layers packed as they say or not, manifests and
// configs that hold together or lie.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/types/oci.hpp"

namespace eve {

/// One member of a tar archive. `type` is the tar header's: '0' file, '1' hard link, '2' link, '3' and '4' device nodes, '5' directory, '6' FIFO.
struct TarEntry {
    std::string name;
    char type = '0';
    std::string content;
    std::string link;
    unsigned mode = 0644;
    std::uint64_t user = 0, group = 0;
    std::map<std::string, std::string> pax;  ///< records of an extended header before it
    std::int64_t size = -1;                  ///< what the header says; -1: the truth
    std::int64_t time = 1'600'000'000;
};

/// Lines for tables.
TarEntry tar_file(std::string name, std::string content = "x", unsigned mode = 0644);
TarEntry tar_directory(std::string name, unsigned mode = 0755);
TarEntry tar_link(std::string name, std::string target);
TarEntry tar_hard_link(std::string name, std::string target);
TarEntry tar_device(std::string name, char type = '3');

std::string make_tar(const std::vector<TarEntry>& entries);
std::string pack(const std::string& bytes, types::OciPacking packing);
std::string sha256_of(const std::string& bytes);

/// An image: its blobs by digest, and what names them. The defaults hold together; tests change what they want to.
struct TestImage {
    struct Layer {
        std::string bytes, media_type, diff_id;  ///< packed, how it is announced, the digest unpacked
    };
    std::vector<Layer> layers;
    std::string config;    ///< JSON
    std::string manifest;  ///< JSON

    std::string config_sha256() const { return sha256_of(config); }
    std::string manifest_sha256() const { return sha256_of(manifest); }
};
/// `settings`: JSON members of the config's "config" object, for example R"("Cmd":["/bin/sh"])".
TestImage make_image(const std::vector<std::vector<TarEntry>>& layers, types::OciPacking packing = types::OciPacking::gzip,
                     const std::string& settings = "");
/// The config and the manifest again, from the layers as they are now.
void describe_image(TestImage& image, const std::string& settings = "");
/// An index of (architecture, manifest) pairs.
std::string make_index(const std::vector<std::pair<std::string, std::string>>& manifests);

}  // namespace eve
