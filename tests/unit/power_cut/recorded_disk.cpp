#include "tests/unit/power_cut/recorded_disk.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <filesystem>
#include <stdexcept>

namespace eve::power_cut {

namespace {

std::atomic<Recording*> active{nullptr};  // calls of the C library carry no context

std::optional<struct stat> facts_of(int directory, const char* path, int flags) {
    struct stat facts {};
    if (::syscall(SYS_newfstatat, directory, path, &facts, flags) != 0) return std::nullopt;
    return facts;
}
Recording::Inode inode_of(const struct stat& facts) { return {facts.st_dev, facts.st_ino}; }

void lay_tree(const Image& image, Node at, const std::string& path, std::map<std::string, std::string>& into) {
    for (const auto& [name, node] : image.directories.at(at)) {
        const auto below = path + name;
        if (image.directories.contains(node)) {
            into.emplace(below + "/", "");
            lay_tree(image, node, below + "/", into);
        } else {
            const auto file = image.files.find(node);
            into.emplace(below, file == image.files.end() ? "" : file->second);
        }
    }
}

}  // namespace

std::map<std::string, std::string> Image::tree() const {
    std::map<std::string, std::string> all;
    lay_tree(*this, 0, "", all);
    return all;
}

void apply(Image& image, const Op& op) {
    using Kind = Op::Kind;
    switch (op.kind) {
        case Kind::write: {
            auto& content = image.files[op.node];
            if (content.size() < op.offset + op.data.size()) content.resize(op.offset + op.data.size());
            content.replace(op.offset, op.data.size(), op.data);
            break;
        }
        case Kind::truncate: image.files[op.node].resize(op.offset); break;
        case Kind::set_entry: image.directories[op.node][op.name] = op.target; break;
        case Kind::drop_entry: image.directories[op.node].erase(op.name); break;
        case Kind::sync_file:
        case Kind::sync_directory: break;
    }
}

Recording::Recording(const std::string& root) {
    const auto facts = facts_of(AT_FDCWD, root.c_str(), 0);
    if (!facts) throw std::runtime_error("no directory " + root);
    nodes_[inode_of(*facts)] = 0;
    is_directory_[inode_of(*facts)] = true;
    for (const auto& entry : std::filesystem::directory_iterator(root)) before_.directories[0][entry.path().filename()] = adopt(entry.path(), before_);
    if (active.exchange(this) != nullptr) throw std::runtime_error("two recordings");
}

Recording::~Recording() { active = nullptr; }

Node Recording::adopt(const std::string& path, Image& image) {
    const auto facts = facts_of(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW);
    if (!facts) throw std::runtime_error("no file " + path);
    const auto [known, is_new] = nodes_.try_emplace(inode_of(*facts), last_ + 1);
    if (!is_new) return known->second;
    const auto node = ++last_;
    is_directory_[inode_of(*facts)] = S_ISDIR(facts->st_mode);
    if (!S_ISDIR(facts->st_mode)) {
        std::string content(static_cast<std::size_t>(facts->st_size), '\0');
        const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0 || ::pread(fd, content.data(), content.size(), 0) != facts->st_size) throw std::runtime_error("cannot read " + path);
        ::close(fd);
        image.files[node] = std::move(content);
        return node;
    }
    image.directories[node];
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
        const auto child = adopt(entry.path(), image);
        image.directories[node][entry.path().filename()] = child;
    }
    return node;
}

Image Recording::read(const std::string& root) {
    const Recording* const outer = active.exchange(nullptr);
    Image found;
    {
        const Recording reader(root);
        found = reader.before();
    }
    active = const_cast<Recording*>(outer);
    return found;
}

std::optional<Node> Recording::node(Inode inode) const {
    const auto found = nodes_.find(inode);
    return found == nodes_.end() ? std::nullopt : std::optional{found->second};
}

std::optional<Recording::Place> Recording::place(int directory, const char* path) const {
    const std::string whole = path;
    const auto slash = whole.rfind('/');
    const auto parent = slash == std::string::npos ? std::string(".") : slash == 0 ? std::string("/") : whole.substr(0, slash);
    const auto facts = facts_of(directory, parent.c_str(), 0);
    const auto known = facts ? node(inode_of(*facts)) : std::nullopt;
    if (!known) return std::nullopt;
    return Place{*known, slash == std::string::npos ? whole : whole.substr(slash + 1)};
}

void Recording::add(Op op) {
    op.call = calls_;
    ops_.push_back(std::move(op));
}

void Recording::created(int directory, const char* path, bool is_directory) {
    const std::lock_guard lock(mutex_);
    const auto where = place(directory, path);
    const auto facts = facts_of(directory, path, AT_SYMLINK_NOFOLLOW);
    if (!where || !facts) return;
    ++calls_;
    nodes_[inode_of(*facts)] = ++last_;
    is_directory_[inode_of(*facts)] = is_directory;
    if (is_directory) before_.directories[last_];  // nobody reaches it before its entry is there
    add({.kind = Op::Kind::set_entry, .node = where->directory, .name = where->name, .target = last_});
}

void Recording::made_nameless(int fd) {
    const std::lock_guard lock(mutex_);
    const auto facts = facts_of(fd, "", AT_EMPTY_PATH);
    if (!facts) return;
    nodes_[inode_of(*facts)] = ++last_;
    is_directory_[inode_of(*facts)] = false;
}

void Recording::wrote(int fd, std::uint64_t offset, std::uint64_t size) {
    const std::lock_guard lock(mutex_);
    const auto facts = facts_of(fd, "", AT_EMPTY_PATH);
    const auto known = facts ? node(inode_of(*facts)) : std::nullopt;
    if (!known || size == 0) return;
    // A descriptor of its own, since this one may be for writing only.
    const auto path = "/proc/self/fd/" + std::to_string(fd);
    const int reader = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path.c_str(), O_RDONLY | O_CLOEXEC, 0));
    std::string data(size, '\0');
    const auto got = ::syscall(SYS_pread64, reader, data.data(), data.size(), offset);
    ::syscall(SYS_close, reader);
    if (got != static_cast<long>(size)) throw std::runtime_error("what was written cannot be read back");
    ++calls_;
    add({.kind = Op::Kind::write, .node = *known, .offset = offset, .data = std::move(data)});
}

void Recording::truncated(int fd) {
    const std::lock_guard lock(mutex_);
    const auto facts = facts_of(fd, "", AT_EMPTY_PATH);
    const auto known = facts ? node(inode_of(*facts)) : std::nullopt;
    if (!known) return;
    ++calls_;
    add({.kind = Op::Kind::truncate, .node = *known, .offset = static_cast<std::uint64_t>(facts->st_size)});
}

void Recording::synced(int fd) {
    const std::lock_guard lock(mutex_);
    const auto facts = facts_of(fd, "", AT_EMPTY_PATH);
    const auto known = facts ? node(inode_of(*facts)) : std::nullopt;
    if (!known) return;
    ++calls_;
    add({.kind = S_ISDIR(facts->st_mode) ? Op::Kind::sync_directory : Op::Kind::sync_file, .node = *known});
}

void Recording::linked(Inode inode, int directory, const char* path) {
    const std::lock_guard lock(mutex_);
    const auto where = place(directory, path);
    const auto known = node(inode);
    if (!where) return;
    if (!known) throw std::runtime_error(std::string("a file from outside was linked to ") + path);
    ++calls_;
    add({.kind = Op::Kind::set_entry, .node = where->directory, .name = where->name, .target = *known});
}

void Recording::unlinked(int directory, const char* path) {
    const std::lock_guard lock(mutex_);
    const auto where = place(directory, path);
    if (!where) return;
    ++calls_;
    add({.kind = Op::Kind::drop_entry, .node = where->directory, .name = where->name});
}

void Recording::renamed(Inode inode, int from_directory, const char* from, int to_directory, const char* to) {
    const std::lock_guard lock(mutex_);
    const auto source = place(from_directory, from);
    const auto target = place(to_directory, to);
    const auto known = node(inode);
    if (!source && !target) return;
    if (!source || !target || !known) throw std::runtime_error(std::string("a rename over the border: ") + from + " to " + to);
    ++calls_;
    add({.kind = Op::Kind::set_entry, .node = target->directory, .name = target->name, .target = *known});
    add({.kind = Op::Kind::drop_entry, .node = source->directory, .name = source->name});
}

namespace {

int record_open(int directory, const char* path, int flags, mode_t mode) {
    auto* const recording = active.load();
    const bool may_create = recording != nullptr && (flags & O_CREAT) != 0;
    const bool existed = may_create && facts_of(directory, path, AT_SYMLINK_NOFOLLOW).has_value();
    const int fd = static_cast<int>(::syscall(SYS_openat, directory, path, flags, mode));
    if (recording == nullptr || fd < 0) return fd;
    const int number = errno;
    if ((flags & O_TMPFILE) == O_TMPFILE) {
        recording->made_nameless(fd);
    } else if (may_create && !existed) {
        recording->created(directory, path, false);
    } else if ((flags & O_TRUNC) != 0) {
        recording->truncated(fd);
    }
    errno = number;
    return fd;
}

template <class Call, class Note> auto noted(Call call, Note note) {
    const auto result = call();
    auto* const recording = active.load();
    if (recording == nullptr || result < 0) return result;
    const int number = errno;
    note(*recording, result);
    errno = number;
    return result;
}

int record_rename(int from_directory, const char* from, int to_directory, const char* to, unsigned flags) {
    const auto source = facts_of(from_directory, from, AT_SYMLINK_NOFOLLOW);
    const auto target = facts_of(to_directory, to, AT_SYMLINK_NOFOLLOW);
    return noted([&] { return static_cast<int>(::syscall(SYS_renameat2, from_directory, from, to_directory, to, flags)); },
                 [&](Recording& recording, int) {
                     if ((flags & ~static_cast<unsigned>(RENAME_NOREPLACE)) != 0) throw std::runtime_error("a kind of rename that is not modelled");
                     const bool same = source && target && inode_of(*source) == inode_of(*target);  // then rename() does nothing
                     if (source && !same) recording.renamed(inode_of(*source), from_directory, from, to_directory, to);
                 });
}

int record_link(int from_directory, const char* from, int to_directory, const char* to, int flags) {
    const auto source = facts_of(from_directory, from, (flags & AT_SYMLINK_FOLLOW) != 0 ? 0 : AT_SYMLINK_NOFOLLOW | (flags & AT_EMPTY_PATH));
    return noted([&] { return static_cast<int>(::syscall(SYS_linkat, from_directory, from, to_directory, to, flags)); },
                 [&](Recording& recording, int) {
                     if (source) recording.linked(inode_of(*source), to_directory, to);
                 });
}

}  // namespace

}  // namespace eve::power_cut

// In front of the C library's, for this executable and the shared libraries it loads.
#pragma GCC visibility push(default)
extern "C" {

using eve::power_cut::noted;
using eve::power_cut::Recording;

int openat(int directory, const char* path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    const auto mode = static_cast<mode_t>((flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, int) : 0);
    va_end(more);
    return eve::power_cut::record_open(directory, path, flags, mode);
}
int open(const char* path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    const auto mode = static_cast<mode_t>((flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, int) : 0);
    va_end(more);
    return eve::power_cut::record_open(AT_FDCWD, path, flags, mode);
}
ssize_t write(int fd, const void* data, size_t size) {
    return noted([&] { return static_cast<ssize_t>(::syscall(SYS_write, fd, data, size)); },
                 [&](Recording& recording, ssize_t count) {
                     const auto end = ::syscall(SYS_lseek, fd, 0L, SEEK_CUR);
                     if (end >= count) recording.wrote(fd, static_cast<std::uint64_t>(end - count), static_cast<std::uint64_t>(count));
                 });
}
ssize_t writev(int fd, const struct iovec* parts, int count) {
    return noted([&] { return static_cast<ssize_t>(::syscall(SYS_writev, fd, parts, count)); },
                 [&](Recording& recording, ssize_t size) {
                     const auto end = ::syscall(SYS_lseek, fd, 0L, SEEK_CUR);
                     if (end >= size) recording.wrote(fd, static_cast<std::uint64_t>(end - size), static_cast<std::uint64_t>(size));
                 });
}
ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
    return noted([&] { return static_cast<ssize_t>(::syscall(SYS_pwrite64, fd, data, size, offset)); },
                 [&](Recording& recording, ssize_t count) {
                     recording.wrote(fd, static_cast<std::uint64_t>(offset), static_cast<std::uint64_t>(count));
                 });
}
ssize_t copy_file_range(int from, off64_t* in, int to, off64_t* out, size_t size, unsigned flags) {
    const off64_t at = out != nullptr ? *out : ::syscall(SYS_lseek, to, 0L, SEEK_CUR);
    return noted([&] { return static_cast<ssize_t>(::syscall(SYS_copy_file_range, from, in, to, out, size, flags)); },
                 [&](Recording& recording, ssize_t count) {
                     recording.wrote(to, static_cast<std::uint64_t>(at), static_cast<std::uint64_t>(count));
                 });
}
int ftruncate(int fd, off_t size) noexcept {
    return noted([&] { return static_cast<int>(::syscall(SYS_ftruncate, fd, size)); }, [&](Recording& recording, int) { recording.truncated(fd); });
}
int fsync(int fd) {
    return noted([&] { return static_cast<int>(::syscall(SYS_fsync, fd)); }, [&](Recording& recording, int) { recording.synced(fd); });
}
int fdatasync(int fd) {
    return noted([&] { return static_cast<int>(::syscall(SYS_fdatasync, fd)); }, [&](Recording& recording, int) { recording.synced(fd); });
}
int rename(const char* from, const char* to) noexcept { return eve::power_cut::record_rename(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int from_directory, const char* from, int to_directory, const char* to) noexcept {
    return eve::power_cut::record_rename(from_directory, from, to_directory, to, 0);
}
int renameat2(int from_directory, const char* from, int to_directory, const char* to, unsigned flags) noexcept {
    return eve::power_cut::record_rename(from_directory, from, to_directory, to, flags);
}
int link(const char* from, const char* to) noexcept { return eve::power_cut::record_link(AT_FDCWD, from, AT_FDCWD, to, 0); }
int linkat(int from_directory, const char* from, int to_directory, const char* to, int flags) noexcept {
    return eve::power_cut::record_link(from_directory, from, to_directory, to, flags);
}
int unlinkat(int directory, const char* path, int flags) noexcept {
    return noted([&] { return static_cast<int>(::syscall(SYS_unlinkat, directory, path, flags)); },
                 [&](Recording& recording, int) { recording.unlinked(directory, path); });
}
int unlink(const char* path) noexcept { return ::unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char* path) noexcept { return ::unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int mkdirat(int directory, const char* path, mode_t mode) noexcept {
    return noted([&] { return static_cast<int>(::syscall(SYS_mkdirat, directory, path, mode)); },
                 [&](Recording& recording, int) { recording.created(directory, path, true); });
}
int mkdir(const char* path, mode_t mode) noexcept { return ::mkdirat(AT_FDCWD, path, mode); }
}
#pragma GCC visibility pop
