#include "storage/unpack/layer.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "core/loop/unique_fd.hpp"
#include "storage/hash.hpp"
#include "storage/unpack/gzip.hpp"

namespace eve::storage::unpack {
namespace {

constexpr std::string_view whiteout = ".wh.", opaque = ".wh..wh..opq", reserved = ".wh..wh.";
constexpr mode_t permission_bits = 07777, missing_directory_mode = 0755;
constexpr std::size_t block_bytes = std::size_t{256} << 10;
constexpr std::array<unsigned char, 2> gzip_magic{0x1f, 0x8b};

Error hostile(std::string what) { return Error{.code = Code::invalid_argument, .what = std::move(what)}; }

std::string quoted(std::string_view text) {
    std::string out = "'";
    for (const char c : text.substr(0, 120)) out += static_cast<unsigned char>(c) >= 0x20 && static_cast<unsigned char>(c) < 0x7f ? c : '?';
    return out + "'";
}

Error os_failure(const std::string& what) {
    const int why = errno;
    const bool full = why == ENOSPC || why == EDQUOT || why == EFBIG;
    const bool image = why == ENAMETOOLONG || why == ELOOP || why == ENOTDIR || why == EMLINK || why == EINVAL || why == EILSEQ;
    return Error{.code = full ? Code::resource_exhausted : image ? Code::invalid_argument : Code::unavailable, .what = what + ": " + std::strerror(why)};
}

struct FreeArchive {
    void operator()(archive* a) const { archive_read_free(a); }
};
using ArchiveReader = std::unique_ptr<archive, FreeArchive>;

std::string message_of(archive* a) {
    const char* text = archive_error_string(a);
    return text == nullptr ? "no reason given" : text;
}

/// The packed layer as a stream of unpacked bytes, hashed and counted on the way.
class Stream {
public:
    Stream(int fd, types::OciPacking packing, std::uint64_t bytes_max) : fd_(fd), packing_(packing), bytes_max_(bytes_max) {}

    Status open() {
        struct stat facts{};
        if (fstat(fd_, &facts) != 0) return os_failure("look at the layer");
        packed_bytes_ = static_cast<std::uint64_t>(facts.st_size);
        if (lseek(fd_, 0, SEEK_SET) != 0) return os_failure("read the layer");
        if (packing_ == types::OciPacking::none) return {};
        if (packing_ == types::OciPacking::gzip) {
            std::array<unsigned char, 2> start{};
            if (pread(fd_, start.data(), start.size(), 0) != static_cast<ssize_t>(start.size()) || start != gzip_magic)
                return hostile("the layer is announced as packed by gzip and is not");
            gzip_ = std::make_unique<GzipReader>(fd_);
            return {};
        }
        zstd_.reset(archive_read_new());
        if (!zstd_) return Error{.code = Code::resource_exhausted, .what = "no memory for the layer"};
        archive* a = zstd_.get();
        archive_read_support_format_raw(a);
        archive_read_support_format_empty(a);
        if (archive_read_support_filter_zstd(a) != ARCHIVE_OK)
            return Error{.code = Code::unsupported, .what = "layers packed by zstd cannot be read here"};
        archive_entry* entry = nullptr;
        if (archive_read_open_fd(a, fd_, block_bytes) != ARCHIVE_OK || archive_read_next_header(a, &entry) != ARCHIVE_OK)
            return hostile("the layer cannot be unpacked: " + message_of(a));
        // One packing, and the one that was announced: neither another nor one within the other.
        if (archive_filter_count(a) != 2 || archive_filter_code(a, 0) != ARCHIVE_FILTER_ZSTD)
            return hostile("the layer is announced as packed by zstd and is not");
        return {};
    }

    /// The next bytes; 0 at the end, -1 with `failure()` set.
    la_ssize_t next(const void** bytes) {
        la_ssize_t size = 0;
        if (gzip_) {
            auto got = gzip_->read(block_.data(), block_.size());
            if (!got) return fail(std::move(got).error());
            size = static_cast<la_ssize_t>(*got);
        } else {
            do size = zstd_ ? archive_read_data(zstd_.get(), block_.data(), block_.size()) : read(fd_, block_.data(), block_.size());
            while (size == ARCHIVE_RETRY || (!zstd_ && size < 0 && errno == EINTR));
            if (size < 0) return fail(zstd_ ? hostile("the layer cannot be unpacked: " + message_of(zstd_.get())) : os_failure("read the layer"));
        }
        hash_.update(block_.data(), static_cast<std::size_t>(size));
        bytes_ += static_cast<std::uint64_t>(size);
        // The headers of a tar file count too: entries may be small and many.
        if (bytes_ > ratio_free_bytes && bytes_ / ratio_max > packed_bytes_)
            return fail(hostile("the layer of " + std::to_string(packed_bytes_) + " bytes unpacks to more than " + std::to_string(ratio_max) +
                                " times as much"));
        if (bytes_ > bytes_max_ + bytes_max_ / 4 + ratio_free_bytes)
            return fail(too_large(bytes_max_));
        *bytes = block_.data();
        return size;
    }

    static la_ssize_t read_callback(archive*, void* self, const void** bytes) { return static_cast<Stream*>(self)->next(bytes); }

    /// The digest of all of it, what is behind the last entry included.
    Result<std::string> finish() {
        const void* bytes = nullptr;
        for (;;) {
            const la_ssize_t size = next(&bytes);
            if (size < 0) return *failure_;
            if (size == 0) return hash_.finish();
        }
    }

    const std::optional<Error>& failure() const { return failure_; }

private:
    la_ssize_t fail(Error error) {
        if (!failure_) failure_ = std::move(error);
        return -1;
    }

    int fd_;
    types::OciPacking packing_;
    std::uint64_t bytes_max_;
    std::uint64_t packed_bytes_ = 0, bytes_ = 0;
    ArchiveReader zstd_;
    std::unique_ptr<GzipReader> gzip_;
    Sha256 hash_;
    std::vector<char> block_ = std::vector<char>(block_bytes);
    std::optional<Error> failure_;
};

using Names = std::vector<std::string>;

std::string joined(const Names& names) {
    std::string path;
    for (const auto& name : names) path += (path.empty() ? "" : "/") + name;
    return path;
}

/// The parts of a name in an archive. Errors: invalid_argument - absolute, upwards, too long.
Result<Names> parts_of(std::string_view name, const char* what) {
    if (name.empty()) return hostile(std::string(what) + " is empty");
    if (name.size() > path_bytes_max) return hostile(std::string(what) + " " + quoted(name) + "... is too long");
    if (name.front() == '/') return hostile(std::string(what) + " " + quoted(name) + " is absolute");
    Names parts;
    for (std::string_view rest = name; !rest.empty();) {
        const auto slash = rest.find('/');
        const auto part = rest.substr(0, slash);
        rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
        if (part.empty() || part == ".") continue;
        if (part == "..") return hostile(std::string(what) + " " + quoted(name) + " leads upwards");
        parts.emplace_back(part);
    }
    if (parts.size() > depth_max) return hostile(std::string(what) + " " + quoted(name) + " is too deep");
    return parts;
}

class Unpacker {
public:
    Unpacker(int root, const Budget& budget) : root_(root), budget_(budget), as_root_(geteuid() == 0) {}

    Result<LayerFacts> run(Stream& stream) {
        const ArchiveReader reader(archive_read_new());
        archive* a = reader.get();
        if (a == nullptr) return Error{.code = Code::resource_exhausted, .what = "no memory for the layer"};
        archive_read_support_format_tar(a);
        archive_read_support_format_empty(a);
        if (archive_read_open(a, &stream, nullptr, &Stream::read_callback, nullptr) != ARCHIVE_OK) return broken(stream, a);
        for (;;) {
            archive_entry* entry = nullptr;
            const int got = archive_read_next_header(a, &entry);
            if (stream.failure()) return *stream.failure();
            if (got == ARCHIVE_EOF) break;
            if (got != ARCHIVE_OK && got != ARCHIVE_WARN) return broken(stream, a);
            if (++facts_.entries > budget_.entries)
                return Error{.code = Code::resource_exhausted, .what = "the image has more than the " + std::to_string(budget_.entries) + " files it may have"};
            if (auto placed = place(stream, a, entry); !placed) return stream.failure() ? *stream.failure() : std::move(placed).error();
        }
        auto diff_id = stream.finish();
        if (!diff_id) return std::move(diff_id).error();
        facts_.diff_id = *std::move(diff_id);
        // Last, since what is put into a directory changes its time; deepest first, since a mode may close it.
        for (auto directory = directories_.rbegin(); directory != directories_.rend(); ++directory)
            if (auto set = finish_directory(*directory); !set) return std::move(set).error();
        return facts_;
    }

private:
    struct Directory {
        std::string path;
        mode_t mode = 0;
        std::array<timespec, 2> times{};
    };

    static Error broken(const Stream& stream, archive* a) {
        return stream.failure() ? *stream.failure() : hostile("the layer is not a tar archive that can be read: " + message_of(a));
    }

    Status place(const Stream& stream, archive* a, archive_entry* entry) {
        const char* raw = archive_entry_pathname(entry);
        if (raw == nullptr) return hostile("a file of the layer has a name that is no text");
        auto names = parts_of(raw, "the name");
        if (!names) return std::move(names).error();
        if (names->empty()) {
            if (archive_entry_filetype(entry) != AE_IFDIR) return hostile("the layer replaces the root directory");
            return make_directory(entry, "");
        }
        const std::string last = names->back();
        names->pop_back();
        if (std::any_of(names->begin(), names->end(), [](const std::string& name) { return name.starts_with(whiteout); }))
            return hostile("the name " + quoted(raw) + " is in a whiteout");
        auto parent = parent_of(*names, raw, true);
        if (!parent) return std::move(parent).error();
        if (last.starts_with(whiteout)) return white_out(*parent, last, raw);
        const std::string path = parent->empty() ? last : *parent + "/" + last;
        if (archive_entry_hardlink(entry) != nullptr) return make_hard_link(entry, path);
        switch (archive_entry_filetype(entry)) {
            case AE_IFDIR: return make_directory(entry, path);
            case AE_IFREG: return make_file(stream, a, entry, path);
            case AE_IFLNK: return make_link(entry, path, *parent);
            case AE_IFIFO: return make_fifo(entry, path);
            case AE_IFCHR:
            case AE_IFBLK:
                // A runtime makes its own /dev over the image's. Anywhere else a device node is a way to the node's devices.
                if (path.starts_with("dev/")) {
                    ++facts_.skipped;
                    return {};
                }
                return hostile("the layer holds the device node " + quoted(raw));
            default: return hostile("the layer holds " + quoted(raw) + ", which is no kind of file of an image");
        }
    }

    /// The directory of that name without any link in it, made where it is missing. Links that layers below left are followed as long as they are
    /// relative and stay inside.
    Result<std::string> parent_of(const Names& names, const std::string& whole, bool make) {
        const std::string asked = joined(names);
        if (parent_known_ && asked == parent_asked_) return parent_found_;
        std::deque<std::string> todo(names.begin(), names.end());
        Names out;
        int links = 0;
        while (!todo.empty()) {
            const std::string name = todo.front();
            todo.pop_front();
            if (name == "..") {
                if (out.empty()) return hostile("the name " + quoted(whole) + " leads out of the image by a link");
                out.pop_back();
                continue;
            }
            out.push_back(name);
            if (out.size() > depth_max) return hostile("the name " + quoted(whole) + " is too deep");
            const std::string path = joined(out);
            struct stat facts{};
            if (fstatat(root_, path.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0) {
                if (errno != ENOENT) return os_failure("look at " + quoted(path));
                if (!make) return Error{.code = Code::not_found, .what = quoted(whole) + " names nothing"};
                if (mkdirat(root_, path.c_str(), missing_directory_mode) != 0) return os_failure("make " + quoted(path));
                (void)fchmodat(root_, path.c_str(), missing_directory_mode, 0);
                continue;
            }
            if (S_ISDIR(facts.st_mode)) continue;
            if (!S_ISLNK(facts.st_mode)) return hostile("the name " + quoted(whole) + " goes through " + quoted(path) + ", which is no directory");
            if (++links > links_max) return hostile("the name " + quoted(whole) + " goes through too many links");
            std::array<char, path_bytes_max + 1> target{};
            const ssize_t size = readlinkat(root_, path.c_str(), target.data(), target.size());
            if (size <= 0 || static_cast<std::size_t>(size) >= target.size()) return hostile("the link " + quoted(path) + " cannot be followed");
            const std::string_view to(target.data(), static_cast<std::size_t>(size));
            if (to.front() == '/') return hostile("the name " + quoted(whole) + " goes through the absolute link " + quoted(path));
            out.pop_back();
            Names parts;
            for (std::string_view rest = to; !rest.empty();) {
                const auto slash = rest.find('/');
                const auto part = rest.substr(0, slash);
                rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
                if (!part.empty() && part != ".") parts.emplace_back(part);
            }
            todo.insert(todo.begin(), parts.begin(), parts.end());
        }
        parent_asked_ = asked;
        parent_found_ = joined(out);
        parent_known_ = true;
        return parent_found_;
    }

    /// What is there makes way, however deep it is.
    Status clear(const std::string& path) {
        struct stat facts{};
        if (fstatat(root_, path.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? Status{} : Status(os_failure("look at " + quoted(path)));
        parent_known_ = false;
        if (S_ISDIR(facts.st_mode)) return remove_tree(path, 0);
        return unlinkat(root_, path.c_str(), 0) == 0 ? Status{} : Status(os_failure("remove " + quoted(path)));
    }

    Result<Names> children_of(const std::string& path) const {
        const int fd = openat(root_, path.empty() ? "." : path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) return os_failure("open " + quoted(path));
        const std::unique_ptr<DIR, int (*)(DIR*)> directory(fdopendir(fd), closedir);
        if (!directory) {
            close(fd);
            return os_failure("open " + quoted(path));
        }
        Names names;
        errno = 0;
        while (const dirent* entry = readdir(directory.get())) {
            const std::string_view name = entry->d_name;
            if (name != "." && name != "..") names.emplace_back(name);
            errno = 0;
        }
        if (errno != 0) return os_failure("read " + quoted(path));
        return names;
    }

    Status remove_tree(const std::string& path, std::size_t depth) {
        if (depth > depth_max) return hostile("the image is too deep at " + quoted(path));
        (void)fchmodat(root_, path.c_str(), 0700, 0);
        auto names = children_of(path);
        if (!names) return std::move(names).error();
        for (const auto& name : *names) {
            const std::string child = path + "/" + name;
            if (unlinkat(root_, child.c_str(), 0) == 0) continue;
            if (errno != EISDIR && errno != EPERM) return os_failure("remove " + quoted(child));
            if (auto removed = remove_tree(child, depth + 1); !removed) return removed;
        }
        std::erase_if(directories_, [&path](const Directory& directory) { return directory.path == path; });
        return unlinkat(root_, path.c_str(), AT_REMOVEDIR) == 0 ? Status{} : Status(os_failure("remove " + quoted(path)));
    }

    /// What the layers below left there is gone; what this layer put there stays.
    Status remove_lower(const std::string& path, std::size_t depth) {
        struct stat facts{};
        if (fstatat(root_, path.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? Status{} : Status(os_failure("look at " + quoted(path)));
        if (!ours_.contains(path)) {
            const auto below = ours_.lower_bound(path + "/");
            const bool holds_ours = below != ours_.end() && below->starts_with(path + "/");
            if (!holds_ours) return clear(path);
        }
        return S_ISDIR(facts.st_mode) ? remove_lower_children(path, depth + 1) : Status{};
    }

    Status remove_lower_children(const std::string& path, std::size_t depth) {
        if (depth > depth_max) return hostile("the image is too deep at " + quoted(path));
        auto names = children_of(path);
        if (!names) return std::move(names).error();
        for (const auto& name : *names)
            if (auto removed = remove_lower(path.empty() ? name : path + "/" + name, depth); !removed) return removed;
        return {};
    }

    Status white_out(const std::string& parent, const std::string& name, const std::string& whole) {
        if (name == opaque) return remove_lower_children(parent, 0);
        if (name.starts_with(reserved)) return {};  // aufs's own notes
        const std::string target = name.substr(whiteout.size());
        if (target.empty() || target == "." || target == "..") return hostile("the whiteout " + quoted(whole) + " names no file");
        return remove_lower(parent.empty() ? target : parent + "/" + target, 0);
    }

    Status make_directory(archive_entry* entry, const std::string& path) {
        if (!path.empty()) {
            struct stat facts{};
            const bool there = fstatat(root_, path.c_str(), &facts, AT_SYMLINK_NOFOLLOW) == 0;
            if (there && !S_ISDIR(facts.st_mode))
                if (auto cleared = clear(path); !cleared) return cleared;
            if ((!there || !S_ISDIR(facts.st_mode)) && mkdirat(root_, path.c_str(), 0700) != 0) return os_failure("make " + quoted(path));
            ours_.insert(path);
        }
        const UniqueFd fd(openat(root_, path.empty() ? "." : path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!fd) return os_failure("open " + quoted(path));
        if (auto owned = own(fd.get(), entry, path); !owned) return owned;
        if (auto set = set_attributes(fd.get(), entry, path); !set) return set;
        // Open to us until the layer is done.
        if (fchmod(fd.get(), 0700) != 0) return os_failure("mode of " + quoted(path));
        directories_.push_back({.path = path, .mode = static_cast<mode_t>(archive_entry_perm(entry)) & permission_bits, .times = times_of(entry)});
        return {};
    }

    Status finish_directory(const Directory& directory) const {
        const char* path = directory.path.empty() ? "." : directory.path.c_str();
        struct stat facts{};
        if (fstatat(root_, path, &facts, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(facts.st_mode)) return {};  // this layer replaced it
        if (fchmodat(root_, path, directory.mode, 0) != 0) return os_failure("mode of " + quoted(directory.path));
        (void)utimensat(root_, path, directory.times.data(), AT_SYMLINK_NOFOLLOW);
        return {};
    }

    Status make_file(const Stream& stream, archive* a, archive_entry* entry, const std::string& path) {
        const la_int64_t said = archive_entry_size_is_set(entry) != 0 ? archive_entry_size(entry) : -1;
        if (said < 0) return hostile(quoted(path) + " has no size");
        const auto size = static_cast<std::uint64_t>(said);
        if (size > budget_.bytes - facts_.bytes) return too_large(budget_.bytes);
        facts_.bytes += size;
        if (auto cleared = clear(path); !cleared) return cleared;
        const UniqueFd fd(openat(root_, path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
        if (!fd) return os_failure("make " + quoted(path));
        ours_.insert(path);
        std::uint64_t end = 0;
        for (;;) {
            const void* bytes = nullptr;
            std::size_t count = 0;
            la_int64_t offset = 0;
            const int got = archive_read_data_block(a, &bytes, &count, &offset);
            if (got == ARCHIVE_EOF) break;
            if (got == ARCHIVE_RETRY) continue;
            if (got != ARCHIVE_OK) return broken(stream, a);
            if (offset < 0 || static_cast<std::uint64_t>(offset) < end || static_cast<std::uint64_t>(offset) > size ||
                count > size - static_cast<std::uint64_t>(offset))
                return hostile(quoted(path) + " has more than the " + std::to_string(size) + " bytes it says");
            end = static_cast<std::uint64_t>(offset);
            for (std::size_t done = 0; done < count;) {
                const ssize_t n = pwrite(fd.get(), static_cast<const char*>(bytes) + done, count - done, static_cast<off_t>(end + done));
                if (n < 0 && errno == EINTR) continue;
                if (n <= 0) return os_failure("write " + quoted(path));
                done += static_cast<std::size_t>(n);
            }
            end += count;
        }
        if (end != size && ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return os_failure("write " + quoted(path));
        if (auto owned = own(fd.get(), entry, path); !owned) return owned;
        if (fchmod(fd.get(), static_cast<mode_t>(archive_entry_perm(entry)) & permission_bits) != 0) return os_failure("mode of " + quoted(path));
        if (auto set = set_attributes(fd.get(), entry, path); !set) return set;
        const auto times = times_of(entry);
        (void)futimens(fd.get(), times.data());
        return {};
    }

    Status make_hard_link(archive_entry* entry, const std::string& path) {
        auto names = parts_of(archive_entry_hardlink(entry), "the hard link's target");
        if (!names) return std::move(names).error();
        if (names->empty()) return hostile("the hard link " + quoted(path) + " names a directory");
        const std::string last = names->back();
        names->pop_back();
        auto parent = parent_of(*names, archive_entry_hardlink(entry), false);
        if (!parent) {
            if (parent.error().code == Code::not_found) return hostile("the hard link " + quoted(path) + " names a file that is not in the image");
            return std::move(parent).error();
        }
        const std::string target = parent->empty() ? last : *parent + "/" + last;
        if (target == path) return hostile("the hard link " + quoted(path) + " names itself");
        struct stat facts{};
        if (fstatat(root_, target.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0)
            return hostile("the hard link " + quoted(path) + " names a file that is not in the image");
        if (S_ISDIR(facts.st_mode)) return hostile("the hard link " + quoted(path) + " names a directory");
        if (path.starts_with(target + "/")) return hostile("the hard link " + quoted(path) + " is in what it names");
        if (target.starts_with(path + "/")) return hostile("the hard link " + quoted(path) + " replaces what it names");
        if (auto cleared = clear(path); !cleared) return cleared;
        if (linkat(root_, target.c_str(), root_, path.c_str(), 0) != 0) return os_failure("link " + quoted(path));
        ours_.insert(path);
        return {};
    }

    Status make_link(archive_entry* entry, const std::string& path, const std::string& parent) {
        const char* raw = archive_entry_symlink(entry);
        const std::string_view target = raw == nullptr ? "" : raw;
        if (target.empty() || target.size() > path_bytes_max) return hostile("the link " + quoted(path) + " has no target, or one that is too long");
        if (target.front() != '/' && climbs(parent, target)) return hostile("the link " + quoted(path) + " leads out of the image, to " + quoted(target));
        if (auto cleared = clear(path); !cleared) return cleared;
        parent_known_ = false;
        if (symlinkat(raw, root_, path.c_str()) != 0) return os_failure("link " + quoted(path));
        ours_.insert(path);
        if (as_root_) {
            auto owner = owner_of(entry, path);
            if (!owner) return std::move(owner).error();
            if (fchownat(root_, path.c_str(), owner->first, owner->second, AT_SYMLINK_NOFOLLOW) != 0) return os_failure("owner of " + quoted(path));
        }
        const auto times = times_of(entry);
        (void)utimensat(root_, path.c_str(), times.data(), AT_SYMLINK_NOFOLLOW);
        return {};
    }

    /// Whether a relative target, read from `parent`, goes above the root at any step.
    static bool climbs(const std::string& parent, std::string_view target) {
        std::int64_t depth = parent.empty() ? 0 : 1 + std::count(parent.begin(), parent.end(), '/');
        for (std::string_view rest = target; !rest.empty();) {
            const auto slash = rest.find('/');
            const auto part = rest.substr(0, slash);
            rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
            if (part.empty() || part == ".") continue;
            depth += part == ".." ? -1 : 1;
            if (depth < 0) return true;
        }
        return false;
    }

    Status make_fifo(archive_entry* entry, const std::string& path) {
        if (auto cleared = clear(path); !cleared) return cleared;
        if (mknodat(root_, path.c_str(), S_IFIFO | 0600, 0) != 0) return os_failure("make " + quoted(path));
        ours_.insert(path);
        if (as_root_) {
            auto owner = owner_of(entry, path);
            if (!owner) return std::move(owner).error();
            if (fchownat(root_, path.c_str(), owner->first, owner->second, AT_SYMLINK_NOFOLLOW) != 0) return os_failure("owner of " + quoted(path));
        }
        if (fchmodat(root_, path.c_str(), static_cast<mode_t>(archive_entry_perm(entry)) & permission_bits, 0) != 0)
            return os_failure("mode of " + quoted(path));
        return {};
    }

    static Result<std::pair<uid_t, gid_t>> owner_of(archive_entry* entry, const std::string& path) {
        constexpr la_int64_t id_max = 0xfffffffe;
        const la_int64_t user = archive_entry_uid(entry), group = archive_entry_gid(entry);
        if (user < 0 || user > id_max || group < 0 || group > id_max) return hostile(quoted(path) + " has an owner that cannot be");
        return std::pair{static_cast<uid_t>(user), static_cast<gid_t>(group)};
    }

    Status own(int fd, archive_entry* entry, const std::string& path) const {
        auto owner = owner_of(entry, path);
        if (!owner) return std::move(owner).error();
        if (as_root_ && fchown(fd, owner->first, owner->second) != 0) return os_failure("owner of " + quoted(path));
        return {};
    }

    /// File capabilities and the users' own attributes. Those of overlay file systems and security modules of another machine mean nothing here.
    static Status set_attributes(int fd, archive_entry* entry, const std::string& path) {
        const int count = archive_entry_xattr_reset(entry);
        if (count < 0 || static_cast<std::size_t>(count) > attributes_max) return hostile(quoted(path) + " has too many attributes");
        const char* name = nullptr;
        const void* value = nullptr;
        std::size_t size = 0;
        while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
            const std::string_view known = name;
            if (known != "security.capability" && !known.starts_with("user.")) continue;
            if (size > attribute_bytes_max) return hostile(quoted(path) + " has an attribute that is too long");
            if (fsetxattr(fd, name, value, size, 0) == 0 || errno == ENOTSUP) continue;
            if (errno == EPERM && geteuid() != 0) continue;
            return os_failure("attribute " + quoted(known) + " of " + quoted(path));
        }
        return {};
    }

    static std::array<timespec, 2> times_of(archive_entry* entry) {
        const timespec time{.tv_sec = archive_entry_mtime(entry), .tv_nsec = std::clamp<long>(archive_entry_mtime_nsec(entry), 0, 999'999'999)};
        return {time, time};
    }

    int root_;
    Budget budget_;
    bool as_root_;
    LayerFacts facts_;
    std::set<std::string> ours_;  ///< what this layer put there
    std::vector<Directory> directories_;
    bool parent_known_ = false;
    std::string parent_asked_, parent_found_;
};

}  // namespace

Result<LayerFacts> unpack_layer(int layer, int root, types::OciPacking packing, const Budget& budget) {
    Stream stream(layer, packing, budget.bytes);
    if (auto opened = stream.open(); !opened) return std::move(opened).error();
    return Unpacker(root, budget).run(stream);
}

}  // namespace eve::storage::unpack
