#include "storage/durable_file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>

#include "storage/checksum.hpp"

namespace eve::storage {

namespace {

constexpr std::string_view temporary_prefix = "tmp";
constexpr std::string_view backup_suffix = ".bak";
constexpr std::size_t name_max = 255;
constexpr unsigned private_mode = 0600;  // the umask takes nothing from it that matters
constexpr int directory_flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

std::string temporary_name(Temporary kind = Temporary::plain) {
    std::uint64_t random = 0;
    [[maybe_unused]] const auto got = ::getrandom(&random, sizeof random, 0);
    char text[24];
    std::snprintf(text, sizeof text, "%stmp%016llx", kind == Temporary::hidden ? "." : "", static_cast<unsigned long long>(random));
    return text;
}

// "tmp" and digits, as written here and by EVE; never a record, whose name ends in .json.
bool is_temporary(std::string_view name) {
    if (name.starts_with('.')) name.remove_prefix(1);
    return name.starts_with(temporary_prefix) && name.size() > temporary_prefix.size() &&
           name.find_first_not_of("0123456789abcdef", temporary_prefix.size()) == std::string_view::npos;
}

Status write_all(int fd, std::string_view content) {
    while (!content.empty()) {
        const auto written = ::write(fd, content.data(), content.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return error_of(errno, "write");
        content.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
}

// "/a/b/c" is /a/b and c.
std::pair<std::string, std::string> split(const std::string& path) {
    const auto slash = path.rfind('/');
    if (slash == std::string::npos) return {".", path};
    return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

}  // namespace

Error error_of(int number, std::string what) {
    Error error{.code = Code::unavailable, .what = std::move(what) + ": " + std::strerror(number)};
    switch (number) {
        case ENOSPC:
        case EDQUOT:
            error.code = Code::resource_exhausted;
            error.hint = "free space on that file system";
            break;
        case EMFILE:
        case ENFILE:
            error.code = Code::resource_exhausted;
            error.hint = "raise the limit of open files (LimitNOFILE of the service, fs.file-max), or see what holds them under /proc/PID/fd";
            break;
        case ENOMEM:
            error.code = Code::resource_exhausted;
            error.hint = "free memory on the node: deactivate an app, or give apps less";
            break;
        case ENOENT: error.code = Code::not_found; break;
        case EEXIST: error.code = Code::already_exists; break;
        case EROFS:
            error.code = Code::permission_denied;
            error.hint = "the file system is read-only: look into the kernel log for errors of the disk, check it, mount it again";
            break;
        case EACCES:
        case EPERM:
            error.code = Code::permission_denied;
            error.hint = "run as root, or make the directory's owner the user of this process";
            break;
        case ELOOP:
            error.code = Code::failed_precondition;
            error.hint = "a symbolic link stands where a file or directory of the node belongs: remove it";
            break;
        case ENOTDIR:
            error.code = Code::failed_precondition;
            error.hint = "a file stands where a directory of the node belongs: move it away";
            break;
        case ENAMETOOLONG:
        case EINVAL: error.code = Code::invalid_argument; break;
        case EIO: error.hint = "the disk fails: look into the kernel log"; break;
        default: break;
    }
    return error;
}

Result<DurableDirectory> DurableDirectory::open(const std::string& base, std::string_view relative) { return walk(base, relative, false); }
Result<DurableDirectory> DurableDirectory::make(const std::string& base, std::string_view relative) { return walk(base, relative, true); }

Result<DurableDirectory> DurableDirectory::walk(const std::string& base, std::string_view relative, bool make) {
    auto path = base.empty() ? std::string("/") : base;
    UniqueFd fd(::open(path.c_str(), directory_flags));
    if (!fd && errno == ENOENT && make) {
        const auto [parent, name] = split(path);
        if (name.empty() || parent == path) return error_of(ENOENT, "open " + path);
        auto above = walk(parent, {}, true);
        if (!above) return std::move(above).error();
        if (::mkdirat(above->descriptor(), name.c_str(), 0700) != 0 && errno != EEXIST) return error_of(errno, "make " + path);
        if (auto synced = above->sync(); !synced) return std::move(synced).error();
        fd = UniqueFd(::openat(above->descriptor(), name.c_str(), directory_flags));
    }
    if (!fd) return error_of(errno, "open " + path);
    while (!relative.empty()) {
        const auto slash = relative.find('/');
        const std::string name(relative.substr(0, slash));
        relative.remove_prefix(slash == std::string_view::npos ? relative.size() : slash + 1);
        if (name.empty()) continue;
        if (path.back() != '/') path += '/';
        path += name;
        if (name == "." || name == "..") return Error{.code = Code::invalid_argument, .what = path + ": leads out of its directory"};
        UniqueFd next(::openat(fd.get(), name.c_str(), directory_flags | O_NOFOLLOW));
        if (!next && errno == ENOENT && make) {
            if (::mkdirat(fd.get(), name.c_str(), 0700) != 0 && errno != EEXIST) return error_of(errno, "make " + path);
            if (::fsync(fd.get()) != 0) return error_of(errno, "sync the directory of " + path);
            next = UniqueFd(::openat(fd.get(), name.c_str(), directory_flags | O_NOFOLLOW));
        }
        if (!next) return error_of(errno, "open " + path);
        fd = std::move(next);
    }
    return DurableDirectory(std::move(fd), std::move(path));
}

Status DurableDirectory::write(const std::string& name, std::string_view content, const WriteOptions& options) const {
    const auto failed = [&](const char* step) { return error_of(errno, std::string(step) + " " + path_ + "/" + name); };
    std::string temporary;
    UniqueFd fd;
    do {
        temporary = temporary_name(options.temporary);
        fd = UniqueFd(::openat(fd_.get(), temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, options.mode));
    } while (!fd && errno == EEXIST);
    if (!fd) return failed("create a temporary for");
    const auto give_up = [&](Error error) {
        ::unlinkat(fd_.get(), temporary.c_str(), 0);
        return error;
    };
    if (options.mode != private_mode && ::fchmod(fd.get(), options.mode) != 0) return give_up(failed("set the mode of"));
    if (auto written = write_all(fd.get(), content); !written) return give_up(std::move(written).error().in(path_ + "/" + name));
    if (options.reach == Reach::disk && ::fsync(fd.get()) != 0) return give_up(failed("sync"));
    if (options.previous == Previous::keep)
        if (auto kept = keep_previous(name); !kept) return give_up(std::move(kept).error());
    if (::renameat(fd_.get(), temporary.c_str(), fd_.get(), name.c_str()) != 0) return give_up(failed("rename a temporary to"));
    return options.reach == Reach::disk && options.sync_directory ? sync() : Status{};
}

// The old version gets a second name; no byte is copied, and it was synced when it was written.
Status DurableDirectory::keep_previous(const std::string& name) const {
    const auto backup = name + std::string(backup_suffix);
    if (backup.size() > name_max) return {};  // as EVE: such names have no .bak
    struct stat facts {};
    if (::fstatat(fd_.get(), name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(facts.st_mode) || facts.st_size == 0) return {};
    const auto temporary = temporary_name();
    if (::linkat(fd_.get(), name.c_str(), fd_.get(), temporary.c_str(), 0) != 0) return error_of(errno, "keep " + path_ + "/" + name);
    // rename() of two names of one file does nothing and leaves both.
    const bool renamed = ::renameat(fd_.get(), temporary.c_str(), fd_.get(), backup.c_str()) == 0;
    const int number = errno;
    ::unlinkat(fd_.get(), temporary.c_str(), 0);
    return renamed ? Status{} : Status{error_of(number, "keep " + path_ + "/" + name)};
}

Status DurableDirectory::remove(const std::string& name, const WriteOptions& options) const {
    const auto gone = [&](const std::string& victim) -> Result<bool> {
        if (victim.size() > name_max) return false;
        if (::unlinkat(fd_.get(), victim.c_str(), 0) == 0) return true;
        if (errno == ENOENT) return false;
        return error_of(errno, "remove " + path_ + "/" + victim);
    };
    const auto backup = gone(name + std::string(backup_suffix));
    if (!backup) return backup.error();
    // A disk that kept the .bak alone would bring an older version back.
    if (*backup && options.reach == Reach::disk)
        if (auto synced = sync(); !synced) return synced;
    if (const auto file = gone(name); !file) return file.error();
    return options.reach == Reach::disk && options.sync_directory ? sync() : Status{};
}

Result<std::string> DurableDirectory::read(const std::string& name, std::size_t bytes_max) const {
    const auto whole = path_ + "/" + name;
    const UniqueFd fd(::openat(fd_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat facts {};
    if (!fd || ::fstat(fd.get(), &facts) != 0) return error_of(errno, "read " + whole);
    if (!S_ISREG(facts.st_mode)) return Error{.code = Code::failed_precondition, .what = "read " + whole + ": not a regular file"};
    const auto too_long = [&] {
        return Error{.code = Code::failed_precondition, .what = "read " + whole + ": longer than " + std::to_string(bytes_max) + " bytes"};
    };
    if (static_cast<std::uint64_t>(facts.st_size) > bytes_max) return too_long();
    std::string content(static_cast<std::size_t>(facts.st_size) + 1, '\0');  // one more byte shows the end without another call
    std::size_t filled = 0;
    for (;;) {
        const auto got = ::read(fd.get(), content.data() + filled, content.size() - filled);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return error_of(errno, "read " + whole);
        if (got == 0) break;
        filled += static_cast<std::size_t>(got);
        if (filled > bytes_max) return too_long();
        if (filled == content.size()) content.resize(2 * content.size());
    }
    content.resize(filled);
    return content;
}

Status DurableDirectory::rename(const std::string& from, const std::string& to) const {
    if (::renameat(fd_.get(), from.c_str(), fd_.get(), to.c_str()) != 0) return error_of(errno, "rename " + path_ + "/" + from + " to " + to);
    return {};
}

Result<std::vector<std::string>> DurableDirectory::list() const {
    const int copy = ::openat(fd_.get(), ".", directory_flags);  // a position of its own
    if (copy < 0) return error_of(errno, "list " + path_);
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::fdopendir(copy), ::closedir);
    if (!directory) {
        ::close(copy);
        return error_of(errno, "list " + path_);
    }
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(directory.get())) {
        std::string name = entry->d_name;
        if (name != "." && name != "..") names.push_back(std::move(name));
    }
    std::sort(names.begin(), names.end());
    return names;
}

Status DurableDirectory::sync() const {
    if (::fsync(fd_.get()) != 0) return error_of(errno, "sync " + path_);
    return {};
}

void DurableDirectory::remove_temporaries() const {
    const auto names = list();
    if (!names) return;
    for (const auto& name : *names)
        if (is_temporary(name)) ::unlinkat(fd_.get(), name.c_str(), 0);
}

namespace {

// Behind JSON: a blank for each 0 and a tab for each 1, then the end of the line.
constexpr std::size_t blanks = 32;
constexpr std::size_t json_seal_bytes = blanks + 1;
std::string json_seal(std::string_view json) {
    const auto sum = checksum(json);
    std::string seal(blanks, ' ');
    for (std::size_t bit = 0; bit < blanks; ++bit)
        if ((sum >> bit & 1U) != 0) seal[bit] = '\t';
    return seal + '\n';
}

// Before protocol buffers: field 536870911, the highest, as fixed32.
constexpr std::string_view protobuf_tag = "\xfd\xff\xff\xff\x0f";
constexpr std::size_t protobuf_seal_bytes = protobuf_tag.size() + sizeof(std::uint32_t);
std::string protobuf_seal(std::string_view message) {
    const auto sum = checksum(message);
    std::string seal(protobuf_tag);
    for (unsigned shift = 0; shift < 32; shift += 8) seal += static_cast<char>(sum >> shift & 0xffU);
    return seal;
}

Error changed_since() {
    return {.code = Code::failed_precondition, .what = "is not what was written: its checksum differs", .hint = "the disk fails, or somebody edited it"};
}

}  // namespace

std::string seal_json(std::string_view json) { return std::string(json) + json_seal(json); }
std::string seal_protobuf(std::string_view message) { return protobuf_seal(message).append(message); }

Result<std::string> unseal_json(std::string file) {
    if (file.size() >= json_seal_bytes) {
        const auto content = file.size() - json_seal_bytes;
        if (file.ends_with(json_seal(std::string_view(file).substr(0, content)))) {
            file.resize(content);
            return file;
        }
    }
    // An end of line is an editor's; blanks are what is left of a seal.
    const auto end = file.find_last_not_of(" \t\r\n") + 1;
    if (file.find_first_of(" \t", end) != std::string::npos) return changed_since();
    return file;
}

Result<std::string> unseal_protobuf(std::string file) {
    if (!file.starts_with(protobuf_tag)) return file;
    if (file.size() < protobuf_seal_bytes || !file.starts_with(protobuf_seal(std::string_view(file).substr(protobuf_seal_bytes)))) return changed_since();
    file.erase(0, protobuf_seal_bytes);
    return file;
}

Status write_durably(const std::string& path, std::string_view content, const WriteOptions& options) {
    const auto [parent, name] = split(path);
    const auto directory = DurableDirectory::open(parent);
    if (!directory) return directory.error();
    return directory->write(name, content, options);
}

Result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
    const auto [parent, name] = split(path);
    const auto directory = DurableDirectory::open(parent);
    if (!directory) return directory.error();
    return directory->read(name, bytes_max);
}

}  // namespace eve::storage
