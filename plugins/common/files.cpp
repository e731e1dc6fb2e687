#include "common/files.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

namespace eve::plugins {
namespace {

constexpr int listen_backlog = 8;
constexpr std::size_t path_max = 4096;
constexpr int attempts_max = 10000;  // a renaming takes microseconds: so many in a row are an attack, or nothing is left of the machine

Status write_all(int fd, std::string_view text, const std::string& name) {
    while (!text.empty()) {
        const auto written = ::write(fd, text.data(), text.size());
        if (written < 0) {
            if (errno == EINTR) continue;
            return file_error(name);
        }
        text.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
}

/// Nobody changes it any more; what is returned was opened for reading, as QEMU asks of a descriptor that it reads from.
Result<UniqueFd> sealed(UniqueFd file, const char* name) {
    if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) return file_error(name);
    UniqueFd reader(::open(("/proc/self/fd/" + std::to_string(file.get())).c_str(), O_RDONLY | O_CLOEXEC));
    if (!reader) return file_error(name);
    return reader;
}

UniqueFd new_memory_file(const char* name) { return UniqueFd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING)); }

}  // namespace

int open_resolved(int directory, const char* path, std::uint64_t flags, std::uint64_t mode, std::uint64_t resolve) {
    open_how how{.flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve};
    int file = -1;
    for (int attempt = 0; attempt < attempts_max; ++attempt) {
        file = static_cast<int>(::syscall(SYS_openat2, directory, path, &how, sizeof how));
        if (file >= 0 || (errno != EAGAIN && errno != EINTR)) break;
    }
    return file;
}

Error file_error(const std::string& what) {
    const int number = errno;
    const auto code = number == ENOENT ? Code::not_found
                      : number == EACCES || number == EPERM || number == EROFS ? Code::permission_denied
                      : number == ENOSPC || number == EDQUOT || number == EMFILE || number == ENFILE || number == ENOMEM ? Code::resource_exhausted
                      : number == EEXIST ? Code::already_exists
                                         : Code::unavailable;
    return {.code = code, .what = what + ": " + std::strerror(number)};
}

Result<UniqueFd> make_directory(int parent, const std::string& name) {
    const bool made = ::mkdirat(parent, name.c_str(), 0700) == 0;
    if (!made && errno != EEXIST) return file_error(name);
    if (made && ::fsync(parent) != 0) return file_error(name);
    return open_directory(parent, name);
}

Result<UniqueFd> open_directory(int parent, const std::string& name) {
    UniqueFd opened(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    if (!opened) return file_error(name);
    return opened;
}

Result<std::vector<std::string>> names_in(int directory) {
    // A descriptor of its own: the position in a directory belongs to the open file, and other calls may be reading it.
    const int own = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR* listing = own < 0 ? nullptr : ::fdopendir(own);
    if (listing == nullptr) {
        auto error = file_error("directory");
        if (own >= 0) ::close(own);
        return error;
    }
    std::vector<std::string> names;
    while (const auto* entry = ::readdir(listing)) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") names.emplace_back(name);
    }
    ::closedir(listing);
    std::sort(names.begin(), names.end());
    return names;
}

Status write_file(int directory, const std::string& name, std::string_view text) {
    const auto temporary = name + ".tmp";
    UniqueFd file(::openat(directory, temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file) return file_error(name);
    if (auto written = write_all(file.get(), text, name); !written) return written;
    if (::fsync(file.get()) != 0) return file_error(name);
    if (::renameat(directory, temporary.c_str(), directory, name.c_str()) != 0) return file_error(name);
    if (::fsync(directory) != 0) return file_error(name);
    return {};
}

Result<std::string> read_file(int directory, const std::string& name, std::size_t size_max) {
    UniqueFd file(::openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!file) return file_error(name);
    std::string text;
    char buffer[8192];
    while (true) {
        const auto got = ::read(file.get(), buffer, sizeof buffer);
        if (got == 0) return text;
        if (got < 0) {
            if (errno == EINTR) continue;
            return file_error(name);
        }
        text.append(buffer, static_cast<std::size_t>(got));
        if (text.size() > size_max) return Error{.code = Code::unavailable, .what = name + " is larger than it can be"};
    }
}

std::string tail_of(int directory, const std::string& name, std::size_t size) {
    UniqueFd file(::openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    struct stat status{};
    if (!file || ::fstat(file.get(), &status) != 0) return {};
    const auto wanted = static_cast<off_t>(size);
    std::string text(static_cast<std::size_t>(std::min(status.st_size, wanted)), '\0');
    const auto got = ::pread(file.get(), text.data(), text.size(), std::max<off_t>(0, status.st_size - wanted));
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
}

bool file_exists(int directory, const std::string& name) { return ::faccessat(directory, name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0; }

Status empty_directory(int directory) {
    auto names = names_in(directory);
    if (!names) return std::move(names).error();
    for (const auto& name : *names) {
        if (::unlinkat(directory, name.c_str(), 0) == 0 || errno == ENOENT) continue;
        if (errno == EISDIR || errno == EPERM) {
            if (auto inner = open_directory(directory, name)) {
                if (auto names_inside = names_in(inner->get()))
                    for (const auto& file : *names_inside) ::unlinkat(inner->get(), file.c_str(), 0);
            }
            if (::unlinkat(directory, name.c_str(), AT_REMOVEDIR) == 0) continue;
        }
        return file_error(name);
    }
    return {};
}

Result<UniqueFd> memory_file(const char* name, std::string_view text) {
    auto file = new_memory_file(name);
    if (!file) return file_error(name);
    if (auto written = write_all(file.get(), text, name); !written) return std::move(written).error();
    return sealed(std::move(file), name);
}

Result<UniqueFd> memory_copy(const char* name, const std::string& path) {
    UniqueFd from(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status{};
    if (!from || ::fstat(from.get(), &status) != 0) return file_error(path);
    if (!S_ISREG(status.st_mode)) return Error{.code = Code::failed_precondition, .what = path + " is not a file"};
    auto file = new_memory_file(name);
    if (!file) return file_error(name);
    for (off_t at = 0; at < status.st_size;) {
        const auto sent = ::sendfile(file.get(), from.get(), &at, static_cast<std::size_t>(status.st_size - at));
        if (sent < 0 && errno != EINTR) return file_error(path);
        if (sent == 0) break;
    }
    return sealed(std::move(file), name);
}

void rotate_log(int directory, const std::string& name, off_t size_max) {
    UniqueFd file(::openat(directory, name.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    struct stat status{};
    if (!file || ::fstat(file.get(), &status) != 0 || status.st_size <= size_max) return;
    const auto kept = name + ".1";
    const auto temporary = kept + ".tmp";
    UniqueFd old(::openat(directory, temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    auto at = status.st_size - size_max;
    if (old && ::sendfile(old.get(), file.get(), &at, static_cast<std::size_t>(size_max)) >= 0)
        ::renameat(directory, temporary.c_str(), directory, kept.c_str());
    if (::ftruncate(file.get(), 0) != 0) return;
}

Result<UniqueFd> listen_at(int directory, const std::string& name) {
    const auto path = "/proc/self/fd/" + std::to_string(directory) + "/" + name;
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    if (path.size() >= sizeof address.sun_path) return Error{.code = Code::invalid_argument, .what = "the socket's name is too long"};
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    ::unlinkat(directory, name.c_str(), 0);
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket) return file_error(name);
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return file_error(name);
    if (::fchmodat(directory, name.c_str(), 0600, 0) != 0 || ::listen(socket.get(), listen_backlog) != 0) return file_error(name);
    return socket;
}

std::string path_of(int directory) {
    char path[path_max];
    const auto size = ::readlink(("/proc/self/fd/" + std::to_string(directory)).c_str(), path, sizeof path);
    return size > 0 ? std::string(path, static_cast<std::size_t>(size)) : std::string();
}

}  // namespace eve::plugins
