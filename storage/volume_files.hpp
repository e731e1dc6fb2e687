#pragma once
// Volumes as files: <id>#<generation>.<format> below the vault's and the clear volume directory.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/volumemgr/effects.hpp"
#include "storage/kept_content.hpp"

namespace eve::storage {

struct VolumeFilesOptions {
    std::string persist;  ///< ROOT/persist; its file system is the one whose space is counted
    std::string store;    ///< the content store's directory
    std::string confine;  ///< the program that image tools are run in
    std::string unpack;   ///< the program that unpacks layers of container images
    std::string qemu_img = "/usr/bin/qemu-img";
    std::uint64_t container_bytes_max = std::uint64_t{256} << 30;  ///< of one image, unpacked
    std::uint64_t container_entries_max = 4'000'000;
    ContentKeepers keepers = {};  ///< as the content store's
};

std::unique_ptr<volumemgr::VolumeFiles> make_volume_files(VolumeFilesOptions options);

/// The volume that `name` is the file name of; nothing for other names.
struct VolumeName {
    types::Uuid id;
    std::int64_t generation = 0;
    types::Format format = {};
};
std::optional<VolumeName> parse_volume_name(std::string_view name);

}  // namespace eve::storage
