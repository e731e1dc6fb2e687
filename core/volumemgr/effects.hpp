#pragma once
// What volumemgr needs of the world: a store of content by digest, files that are volumes, and how full the disk is. Plain blocking calls, made in
// lanes. storage/ implements them on Linux, tests/doubles in simulation.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/loop/loop.hpp"
#include "core/types/volume.hpp"
#include "eve/result.hpp"

namespace eve::volumemgr {

struct StoredBlob {
    std::string sha256;
    std::string media_type;
    std::uint64_t size = 0;
    friend bool operator==(const StoredBlob&, const StoredBlob&) = default;
};

/// A name and what it reaches, root first.
struct StoredImage {
    std::string name;
    std::vector<StoredBlob> blobs;
    friend bool operator==(const StoredImage&, const StoredImage&) = default;
};

/// A blob on its way into the store: either a verified file, or a few bytes made here.
struct IncomingBlob {
    std::string sha256;
    std::string media_type;
    std::string path;
    std::string content;
};

/// Content by digest, and images: names of a root blob. Blobs that no image reaches may go at any time.
class ContentStore {
public:
    virtual ~ContentStore() = default;
    /// Every image that is whole, by name. [lane]
    virtual Result<std::vector<StoredImage>> images() = 0;
    /// All `blobs` are in the store and `image` names the first of them, durably; an image of that name is replaced. A blob that is there already
    /// needs no source. On an error the store holds what it held. [lane]
    ///
    /// Errors: invalid_argument - content or names that cannot be; not_found - a source is missing; failed_precondition - made bytes without their
    /// digest;
    ///         resource_exhausted; cancelled; unavailable.
    virtual Status ingest(const std::string& image, const std::vector<IncomingBlob>& blobs, const LaneContext& context) = 0;
    /// The bytes of one small blob: of the verified file `path` or, if that is empty, of the store. [lane]
    ///
    /// Errors: not_found - missing, or not of that digest; resource_exhausted - longer than `bytes_max`; unavailable.
    virtual Result<std::string> read(const std::string& sha256, const std::string& path, std::uint64_t bytes_max) = 0;
    /// The image (unless empty) is gone, and so are those of `blobs` that no other image reaches. Idempotent. [lane]
    virtual Status remove(const std::string& image, const std::vector<std::string>& blobs) = 0;
    /// Images not in `keep` are gone, and so is every blob that no image reaches. Returns how many blobs went. [lane]
    virtual Result<std::uint64_t> collect(const std::vector<std::string>& keep) = 0;
};

/// A file that is named like a volume.
struct FoundVolume {
    std::string path;
    types::Uuid id;
    std::int64_t generation = 0;  ///< both counters of the config added up
    types::Format format = {};
    bool encrypted = false;
};

struct VolumeFacts {
    std::uint64_t virtual_bytes = 0;  ///< what the guest sees
    std::uint64_t disk_bytes = 0;     ///< what it takes here
    friend bool operator==(const VolumeFacts&, const VolumeFacts&) = default;
};

struct VolumeOrder {
    std::string path;
    types::Format format = {};
    std::string blob_sha256;       ///< what it is filled from: a disk's image, or the manifest of a container's; empty: a blank volume
    std::uint64_t size_bytes = 0;  ///< grown to this if smaller, never shrunk; 0: as the image
};

/// How full the disk is that volumes are on.
struct DiskSpace {
    std::uint64_t total_bytes = 0;
    std::uint64_t used_bytes = 0;
    std::uint64_t app_bytes = 0;  ///< of that, in directories that hold app content
};

class VolumeFiles {
public:
    virtual ~VolumeFiles() = default;
    /// Both volume directories exist and nothing half-made is in them. Before the first create only. [lane]
    virtual Status recover() = 0;
    /// The volumes in both directories. What else is there is left alone. [lane]
    virtual Result<std::vector<FoundVolume>> scan() = 0;
    /// Errors: not_found; invalid_argument - the file is not of that format, or names another file; unsupported - the format; unavailable. [lane]
    virtual Result<VolumeFacts> inspect(const std::string& path, types::Format format) = 0;
    /// The whole volume is at `path`, durably; until then nothing is there. `progress` gets a percentage, in the lane. A container's volume is a
    /// directory: rootfs/ with its layers unpacked, and image-config.json, the image's config as it came. [lane]
    ///
    /// Errors: already_exists; not_found - the blob; invalid_argument - not an image of that format, or one that names another file; unsupported -
    /// the
    ///         format; resource_exhausted; cancelled; unavailable.
    virtual Result<VolumeFacts> create(const VolumeOrder& order, const std::function<void(unsigned)>& progress, const LaneContext& context) = 0;
    /// Neither the volume nor a half-made one is at `path`. Idempotent. [lane]
    virtual Status destroy(const std::string& path) = 0;
    /// [lane]
    virtual Result<DiskSpace> space(const LaneContext& context) = 0;
};

}  // namespace eve::volumemgr
