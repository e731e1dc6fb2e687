#include "storage/container_volume.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <limits>
#include <memory>

#include "core/loop/unique_fd.hpp"
#include "core/types/oci.hpp"
#include "storage/child_process.hpp"
#include "storage/content_store.hpp"
#include "storage/durable_file.hpp"
#include "storage/files.hpp"
#include "storage/hash.hpp"
#include "storage/unpack/unpack.hpp"

namespace eve::storage {
namespace {

constexpr int poll_interval_ms = 250;
constexpr std::uint64_t kept_free_share = 20;  ///< a twentieth of what is free stays free

/// A small blob of the store, digest and all.
Result<std::string> read_blob(const VolumeFilesOptions& options, const std::string& sha256, const LaneContext& context) {
    if (!is_sha256(sha256)) return Error{.code = Code::invalid_argument, .what = "not a sha256"};
    auto text = read_file(blob_path(options.store, sha256), types::oci_manifest_bytes_max);
    if (!text && text.error().code == Code::not_found)
        return KeptContent(options.store, options.keepers).read(sha256, types::oci_manifest_bytes_max, context);
    if (!text) return text;
    if (sha256_hex(*text) != sha256) return Error{.code = Code::not_found, .what = "blob " + sha256 + " of the store is damaged"};
    return text;
}

/// A layer as an open file. What a runtime keeps takes its space in `temporary` meanwhile.
Result<UniqueFd> open_blob(const VolumeFilesOptions& options, const std::string& sha256, const std::string& temporary, const LaneContext& context) {
    UniqueFd blob(open(blob_path(options.store, sha256).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (blob) return blob;
    if (errno != ENOENT || !is_sha256(sha256)) return os_error("open blob " + sha256);
    return KeptContent(options.store, options.keepers).fetch(sha256, temporary, context);
}

const char* word(types::OciPacking packing) {
    switch (packing) {
        case types::OciPacking::gzip: return "gzip";
        case types::OciPacking::zstd: return "zstd";
        case types::OciPacking::none: break;
    }
    return "none";
}

/// One layer, by a process that can do nothing else.
Result<unpack::LayerFacts> unpack_one(const std::string& program, int layer, int root, types::OciPacking packing, const unpack::Budget& budget,
                                      const LaneContext& context) {
    int pair[2] = {-1, -1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return os_error("socket of the unpack process");
    const UniqueFd ours(pair[0]);
    UniqueFd theirs(pair[1]);
    auto child = ChildProcess::start({.program = program,
                                      .arguments = {word(packing), std::to_string(budget.bytes), std::to_string(budget.entries)},
                                      .descriptors = {{theirs.get(), unpack::answer_fd}, {layer, unpack::layer_fd}, {root, unpack::root_fd}}});
    if (!child) return std::move(child).error().in("unpack process");
    theirs.reset();
    std::string answer;
    for (;;) {
        if (context.cancelled()) return Error{.code = Code::cancelled, .what = "unpacking was cancelled"};
        pollfd waiting[2] = {{.fd = ours.get(), .events = POLLIN, .revents = 0}, {.fd = context.cancel_fd(), .events = POLLIN, .revents = 0}};
        if (poll(waiting, 2, poll_interval_ms) <= 0 || waiting[0].revents == 0) continue;
        std::array<char, 512> buffer{};
        const ssize_t got = read(ours.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        answer.append(buffer.data(), static_cast<std::size_t>(got));
        if (answer.size() > unpack::answer_bytes_max) break;
    }
    if (answer.empty()) {
        child->end();
        return Error{.code = Code::unavailable, .what = "the unpack process ended without an answer"};
    }
    return unpack::parse_answer(answer);
}

/// How much the disk has for an image.
std::uint64_t room(const std::string& path) {
    struct statvfs facts{};
    if (statvfs(path.c_str(), &facts) != 0) return std::numeric_limits<std::uint64_t>::max();
    const std::uint64_t free = std::uint64_t{facts.f_bavail} * facts.f_frsize;
    return free - free / kept_free_share;
}

Error no_room(std::uint64_t room) {
    return {.code = Code::resource_exhausted,
            .what = "there is not enough space on the disk: the image takes more than the " + std::to_string(room) + " bytes that are left for it",
            .hint = "free space on that file system"};
}

Status fill(const VolumeFilesOptions& options, const volumemgr::VolumeOrder& order, const std::string& temporary,
            const std::function<void(unsigned)>& progress, const LaneContext& context) {
    auto manifest_text = read_blob(options, order.blob_sha256, context);
    if (!manifest_text) return std::move(manifest_text).error().in("the image's manifest");
    auto manifest = types::parse_oci_manifest(*manifest_text, "");
    if (!manifest) return std::move(manifest).error();
    auto config_text = read_blob(options, types::oci_sha256(manifest->config.digest), context);
    if (!config_text) return std::move(config_text).error().in("the image's config");
    auto config = types::parse_oci_config(*config_text, manifest->layers.size(), types::oci_here());
    if (!config) return std::move(config).error();

    const std::string root_path = temporary + "/" + container_root;
    if (mkdir(temporary.c_str(), 0700) != 0 || mkdir(root_path.c_str(), 0755) != 0) return os_error("make " + temporary);
    const UniqueFd root(open(root_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    if (!root || fchmod(root.get(), 0755) != 0) return os_error("make " + root_path);

    const auto left = room(temporary);
    unpack::Budget budget{.bytes = std::min(left, options.container_bytes_max), .entries = options.container_entries_max};
    std::uint64_t all = 0, done = 0;
    for (const auto& layer : manifest->layers) all += layer.size;
    for (std::size_t i = 0; i < manifest->layers.size(); ++i) {
        const auto& layer = manifest->layers[i];
        const std::string name = "layer " + std::to_string(i + 1) + " of " + std::to_string(manifest->layers.size());
        const auto blob = open_blob(options, types::oci_sha256(layer.digest), temporary, context);
        if (!blob) return Error(blob.error()).in(name);
        struct stat facts{};
        if (fstat(blob->get(), &facts) != 0) return os_error(name);
        if (static_cast<std::uint64_t>(facts.st_size) != layer.size)
            return Error{.code = Code::invalid_argument, .what = name + " has another size than the manifest says"};
        auto unpacked = unpack_one(options.unpack, blob->get(), root.get(), types::oci_packing(layer.mediaType).value_or(types::OciPacking::none), budget, context);
        if (!unpacked && left < options.container_bytes_max && unpack::is_too_large(unpacked.error())) return no_room(left).in(name);
        if (!unpacked) return std::move(unpacked).error().in(name);
        if (unpacked->diff_id != types::oci_sha256(config->rootfs.diff_ids[i]))
            return Error{.code = Code::invalid_argument, .what = name + " unpacks to another digest than the image's config says"};
        budget.bytes -= std::min(budget.bytes, unpacked->bytes);
        budget.entries -= std::min(budget.entries, unpacked->entries);
        done += layer.size;
        progress(static_cast<unsigned>(100 * static_cast<double>(done) / static_cast<double>(all)));
    }
    // The one sync of the file system below is all that this and the layers need: until then nothing is at the volume's own place.
    if (auto written = write_durably(temporary + "/" + container_config, *config_text, {.reach = Reach::memory, .mode = 0644}); !written) return written;
    if (syncfs(root.get()) != 0) return os_error("keep " + temporary);  // far cheaper than each file for itself
    return {};
}

}  // namespace

Result<volumemgr::VolumeFacts> create_container(const VolumeFilesOptions& options, const volumemgr::VolumeOrder& order, const std::string& temporary,
                                                const std::function<void(unsigned)>& progress, const LaneContext& context) {
    auto made = fill(options, order, temporary, progress, context);
    if (made && renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, order.path.c_str(), RENAME_NOREPLACE) != 0) made = os_error("keep " + order.path);
    if (!made) {
        (void)remove_tree(temporary);  // what cannot be removed now goes when it is tried again
        return std::move(made).error();
    }
    if (auto synced = sync_directory(parent_directory(order.path)); !synced) return std::move(synced).error();
    return inspect_container(order.path);
}

Result<volumemgr::VolumeFacts> inspect_container(const std::string& path) {
    struct stat root{}, config{};
    const std::string root_path = path + "/" + container_root;
    if (lstat(path.c_str(), &root) != 0) return os_error("open " + path);
    if (lstat(root_path.c_str(), &root) != 0 || !S_ISDIR(root.st_mode) || lstat((path + "/" + container_config).c_str(), &config) != 0 ||
        !S_ISREG(config.st_mode))
        return Error{.code = Code::invalid_argument, .what = path + " is not the directory of a container's image"};
    const std::uint64_t bytes = disk_usage(root_path, steadfast());
    return volumemgr::VolumeFacts{.virtual_bytes = bytes, .disk_bytes = bytes};
}

Status remove_tree(const std::string& path) {
    if (unlink(path.c_str()) == 0 || errno == ENOENT) return {};
    if (errno != EISDIR && errno != EPERM) return os_error("remove " + path);
    const UniqueFd top(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!top) return os_error("remove " + path);
    // Every directory below is moved to the top before it is looked into: no path gets long, and one that something is mounted on cannot be moved.
    std::uint64_t number = 0;
    std::vector<std::string> moved;
    const auto empty = [&](int directory) -> Status {
        const int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        const std::unique_ptr<DIR, int (*)(DIR*)> entries(copy < 0 ? nullptr : fdopendir(copy), closedir);
        if (!entries) {
            const Error error = os_error("remove " + path);
            if (copy >= 0) close(copy);
            return error;
        }
        std::vector<std::string> names;
        while (const dirent* entry = readdir(entries.get()))
            if (const std::string_view name = entry->d_name; name != "." && name != "..") names.emplace_back(name);
        for (const auto& name : names) {
            if (directory == top.get() && std::find(moved.begin(), moved.end(), name) != moved.end()) continue;
            if (unlinkat(directory, name.c_str(), 0) == 0 || errno == ENOENT) continue;
            if (errno != EISDIR && errno != EPERM) return os_error("remove " + path + "/.../" + name);
            if (unlinkat(directory, name.c_str(), AT_REMOVEDIR) == 0) continue;
            std::string to;
            int failed = 0;
            do {
                to = ".removed" + std::to_string(number++);
                failed = renameat2(directory, name.c_str(), top.get(), to.c_str(), RENAME_NOREPLACE) == 0 ? 0 : errno;
            } while (failed == EEXIST);
            if (failed == EBUSY || failed == EXDEV)
                return Error{.code = Code::failed_precondition, .what = "something is mounted in " + path};
            if (failed != 0) return os_error("remove " + path + "/.../" + name);
            moved.push_back(to);
        }
        return {};
    };
    if (auto emptied = empty(top.get()); !emptied) return emptied;
    while (!moved.empty()) {
        const std::string name = moved.back();
        moved.pop_back();
        const UniqueFd directory(openat(top.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!directory) return os_error("remove " + path);
        if (auto emptied = empty(directory.get()); !emptied) return emptied;
        if (unlinkat(top.get(), name.c_str(), AT_REMOVEDIR) != 0) return os_error("remove " + path);
    }
    return rmdir(path.c_str()) == 0 || errno == ENOENT ? Status{} : Status(os_error("remove " + path));
}

}  // namespace eve::storage
