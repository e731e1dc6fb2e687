#include "storage/volume_files.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>

#include "storage/child_process.hpp"
#include "storage/confine/confine.hpp"
#include "storage/container_volume.hpp"
#include "storage/content_store.hpp"
#include "storage/copy_file.hpp"
#include "storage/files.hpp"
#include "storage/hash.hpp"
#include "storage/qcow2_header.hpp"
#include "core/loop/unique_fd.hpp"

namespace eve::storage {
namespace {

using types::Format;

constexpr std::string_view half_made = ".creating";
constexpr std::size_t tool_output_bytes_max = 400;
constexpr int poll_interval_ms = 250;
constexpr std::array<std::pair<std::string_view, Format>, 9> extensions{{{"raw", Format::RAW},
                                                                         {"qcow", Format::QCOW},
                                                                         {"qcow2", Format::QCOW2},
                                                                         {"vhd", Format::VHD},
                                                                         {"vmdk", Format::VMDK},
                                                                         {"ova", Format::OVA},
                                                                         {"vhdx", Format::VHDX},
                                                                         {"container", Format::CONTAINER},
                                                                         {"iso", Format::ISO}}};

Error unsupported(Format format) {
    for (const auto& [name, value] : extensions)
        if (value == format) return Error{.code = Code::unsupported, .what = "volumes of format " + std::string(name) + " are not supported"};
    return Error{.code = Code::unsupported, .what = "volumes of format " + std::to_string(static_cast<int>(format)) + " are not supported"};
}

Result<std::string> read_start(int fd) {
    std::string start(qcow2_header_bytes, '\0');
    std::size_t have = 0;
    while (have < start.size()) {
        const ssize_t got = pread(fd, start.data() + have, start.size() - have, static_cast<off_t>(have));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return os_error("read the image's header");
        if (got == 0) break;
        have += static_cast<std::size_t>(got);
    }
    start.resize(have);
    return start;
}

/// Facts of an open image that is of the format it is said to be and stands by itself.
Result<volumemgr::VolumeFacts> inspect_open(int fd, Format format) {
    struct stat facts{};
    if (fstat(fd, &facts) != 0) return os_error("look at the image");
    volumemgr::VolumeFacts found{.virtual_bytes = static_cast<std::uint64_t>(facts.st_size),
                                 .disk_bytes = static_cast<std::uint64_t>(facts.st_blocks) * 512};
    if (format == Format::RAW || format == Format::ISO) return found;
    if (format != Format::QCOW2) return unsupported(format);
    auto start = read_start(fd);
    if (!start) return std::move(start).error();
    auto header = parse_qcow2_header(*start);
    if (!header) return std::move(header).error();
    found.virtual_bytes = header->virtual_bytes;
    return found;
}

class Files final : public volumemgr::VolumeFiles {
public:
    explicit Files(VolumeFilesOptions options) : options_(std::move(options)) {}

    Status recover() override {
        for (const bool encrypted : {true, false}) {
            if (auto made = make_directories(directory(encrypted)); !made) return made;
            auto names = list_directory(directory(encrypted));
            if (!names) return std::move(names).error();
            for (const auto& name : *names)
                if (name.ends_with(half_made))
                    if (auto removed = remove_tree(directory(encrypted) + "/" + name); !removed) return removed;
        }
        return {};
    }

    Result<std::vector<volumemgr::FoundVolume>> scan() override {
        std::vector<volumemgr::FoundVolume> found;
        for (const bool encrypted : {true, false}) {
            auto names = list_directory(directory(encrypted));
            if (!names && names.error().code == Code::not_found) continue;
            if (!names) return std::move(names).error();
            for (const auto& name : *names)
                if (const auto volume = parse_volume_name(name))
                    found.push_back({.path = directory(encrypted) + "/" + name,
                                     .id = volume->id,
                                     .generation = volume->generation,
                                     .format = volume->format,
                                     .encrypted = encrypted});
        }
        return found;
    }

    Result<volumemgr::VolumeFacts> inspect(const std::string& path, Format format) override {
        if (format == Format::CONTAINER) return inspect_container(path);
        const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
        if (!fd) return os_error("open " + path);
        return inspect_open(fd.get(), format);
    }

    Result<volumemgr::VolumeFacts> create(const volumemgr::VolumeOrder& order, const std::function<void(unsigned)>& progress,
                                          const LaneContext& context) override {
        if (access(order.path.c_str(), F_OK) == 0) return Error{.code = Code::already_exists, .what = order.path + " exists"};
        if (auto made = make_directories(parent_directory(order.path)); !made) return std::move(made).error();
        const std::string temporary = order.path + std::string(half_made);
        if (auto removed = remove_tree(temporary); !removed) return std::move(removed).error();
        if (order.format == Format::CONTAINER) return create_container(options_, order, temporary, progress, context);
        const UniqueFd fd(open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (!fd) return os_error("make " + temporary);
        auto made = fill(fd.get(), order, progress, context);
        if (made && (fsync(fd.get()) != 0 || renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, order.path.c_str(), RENAME_NOREPLACE) != 0))
            made = os_error("keep " + order.path);
        if (!made) {
            (void)unlink(temporary.c_str());
            return std::move(made).error();
        }
        if (auto synced = sync_directory(parent_directory(order.path)); !synced) return std::move(synced).error();
        return inspect_open(fd.get(), order.format);
    }

    Status destroy(const std::string& path) override {
        // Out of the way in one step: what a crash leaves of a removal is half-made like what it leaves of a creation.
        const std::string temporary = path + std::string(half_made);
        if (auto removed = remove_tree(temporary); !removed) return removed;
        if (rename(path.c_str(), temporary.c_str()) != 0) return errno == ENOENT ? Status{} : Status(os_error("remove " + path));
        return remove_tree(temporary);
    }

    Result<volumemgr::DiskSpace> space(const LaneContext& context) override {
        struct statvfs facts{};
        if (statvfs(options_.persist.c_str(), &facts) != 0) return os_error("space of " + options_.persist);
        volumemgr::DiskSpace space{.total_bytes = std::uint64_t{facts.f_blocks} * facts.f_frsize,
                                   .used_bytes = std::uint64_t{facts.f_blocks - facts.f_bfree} * facts.f_frsize};
        space.app_bytes = disk_usage(options_.store, context);
        for (const char* below :
             {"/vault/volumes", "/clear/volumes", "/vault/downloader", "/vault/verifier", "/snapshots", "/newlog"})
            space.app_bytes += disk_usage(options_.persist + below, context);
        return space;
    }

private:
    std::string directory(bool encrypted) const { return options_.persist + (encrypted ? "/vault/volumes" : "/clear/volumes"); }

    Status fill(int fd, const volumemgr::VolumeOrder& order, const std::function<void(unsigned)>& progress, const LaneContext& context) const {
        if (order.blob_sha256.empty()) {
            if (order.format != Format::RAW) return unsupported(order.format);
            return grow_raw(fd, order.size_bytes);
        }
        if (!is_sha256(order.blob_sha256)) return Error{.code = Code::invalid_argument, .what = "not a sha256"};
        const UniqueFd blob(open(blob_path(options_.store, order.blob_sha256).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
        if (!blob) return os_error("open blob " + order.blob_sha256);
        auto facts = inspect_open(blob.get(), order.format);
        if (!facts) return std::move(facts).error();
        if (order.format == Format::RAW || order.format == Format::ISO) {
            // Only at creation: what a guest writes into its own raw disk later is its own affair.
            auto start = read_start(blob.get());
            if (!start) return std::move(start).error();
            if (looks_like_qcow2(*start))
                return Error{.code = Code::invalid_argument, .what = "Disk format mismatch: the image is QCOW2 and was declared otherwise"};
        }
        if (auto copied = copy_file(blob.get(), fd, progress, context); !copied) return copied;
        if (order.size_bytes <= facts->virtual_bytes || order.format == Format::ISO) return {};
        return order.format == Format::RAW ? grow_raw(fd, order.size_bytes) : grow_qcow2(fd, order.size_bytes, context);
    }

    static Status grow_raw(int fd, std::uint64_t size) {
        if (size > qcow2_virtual_bytes_max) return Error{.code = Code::invalid_argument, .what = "impossible volume size"};
        if (ftruncate(fd, static_cast<off_t>(size)) != 0) return os_error("grow the volume");
        return {};
    }

    /// By qemu-img, which gets this one file as another user and nothing else.
    Status grow_qcow2(int fd, std::uint64_t size, const LaneContext& context) const {
        if (size > qcow2_virtual_bytes_max) return Error{.code = Code::invalid_argument, .what = "impossible volume size"};
        const bool as_root = geteuid() == 0;
        if (as_root && fchown(fd, confined_user_id, confined_user_id) != 0) return os_error("hand the volume to the image tool");
        auto grown = run_tool(fd, {options_.qemu_img, "resize", "-f", "qcow2", confined_path, std::to_string((size + 511) / 512 * 512)}, context);
        if (as_root && fchown(fd, 0, 0) != 0) return os_error("take the volume back from the image tool");
        return grown;
    }

    Status run_tool(int fd, const std::vector<std::string>& command, const LaneContext& context) const {
        int ends[2] = {-1, -1};
        if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return os_error("pipe to the image tool");
        const UniqueFd reader(ends[0]);
        UniqueFd writer(ends[1]);
        auto child = ChildProcess::start({.program = options_.confine, .arguments = command, .descriptors = {{writer.get(), 2}, {fd, confined_fd}}});
        if (!child) return std::move(child).error();
        writer.reset();
        std::string said;
        for (;;) {
            if (context.cancelled()) return Error{.code = Code::cancelled, .what = "the image tool was cancelled"};
            pollfd waiting[2] = {{.fd = reader.get(), .events = POLLIN, .revents = 0}, {.fd = context.cancel_fd(), .events = POLLIN, .revents = 0}};
            if (poll(waiting, 2, poll_interval_ms) <= 0 || waiting[0].revents == 0) continue;
            std::array<char, 512> buffer{};
            const ssize_t got = read(reader.get(), buffer.data(), buffer.size());
            if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
            if (got <= 0) break;
            if (said.size() < tool_output_bytes_max) said.append(buffer.data(), static_cast<std::size_t>(got));
        }
        const int status = child->wait();
        if (status == 0) return {};
        said.resize(std::min(said.size(), tool_output_bytes_max));
        for (char& c : said)
            if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) c = ' ';
        return Error{.code = said.find("No space left") != std::string::npos ? Code::resource_exhausted : Code::unavailable,
                     .what = "qemu-img resize ended with " + std::to_string(status) + ": " + said};
    }

    VolumeFilesOptions options_;
};

}  // namespace

std::unique_ptr<volumemgr::VolumeFiles> make_volume_files(VolumeFilesOptions options) { return std::make_unique<Files>(std::move(options)); }

std::optional<VolumeName> parse_volume_name(std::string_view name) {
    const auto hash = name.find('#'), dot = name.rfind('.');
    if (hash != 36 || dot == std::string_view::npos || dot <= hash + 1) return std::nullopt;
    const auto id = types::Uuid::parse(name.substr(0, hash));
    if (!id || id->to_string() != name.substr(0, hash)) return std::nullopt;
    VolumeName volume{.id = *id};
    const std::string_view number = name.substr(hash + 1, dot - hash - 1);
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), volume.generation);
    if (error != std::errc{} || end != number.data() + number.size() || volume.generation < 0) return std::nullopt;
    for (const auto& [extension, format] : extensions)
        if (extension == name.substr(dot + 1)) {
            volume.format = format;
            return volume;
        }
    return std::nullopt;
}

}  // namespace eve::storage
