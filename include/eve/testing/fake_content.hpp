#pragma once
// A content store in a directory that keeps the contract of eve/content.hpp: for tests of what stands above it, and as an example. Blobs are files
// named by their digits; ".part" is behind half-written ones, ".held" beside held ones.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "eve/content.hpp"

namespace eve {
EVE_SDK_NAMESPACE {
namespace testing {

class FakeContent final : public Content {
public:
    /// `directory` is an open directory, owned; `sha256` makes 64 hexadecimal digits of bytes. A step moves at most `step` bytes.
    FakeContent(int directory, std::function<std::string(std::string_view)> sha256, std::size_t step = std::size_t{1} << 20)
        : directory_(directory), sha256_(std::move(sha256)), step_(step) {}
    ~FakeContent() override { ::close(directory_); }
    FakeContent(const FakeContent&) = delete;
    FakeContent& operator=(const FakeContent&) = delete;

    Result<ContentInfo> stat(const CallContext&, const std::string& digest) override {
        const std::lock_guard lock(mutex_);
        if (!is_digest(digest)) return no_digest();
        return look(hex(digest));
    }

    Result<ContentWritten> write(const CallContext&, const ContentWrite& content) override {
        const std::lock_guard lock(mutex_);
        if (!is_digest(content.digest)) return no_digest();
        const std::string name = hex(content.digest), part = name + ".part";
        if (const auto there = look(name)) {
            if (there->size != content.size) return lie("it is kept already, with another size");
            return hold(name, content.size);
        }
        struct stat source{};
        if (::fstat(content.source.fd, &source) != 0 || !S_ISREG(source.st_mode) || static_cast<std::uint64_t>(source.st_size) != content.size.n)
            return lie("the source is not as long as it is said to be");
        const Descriptor to{::openat(directory_, part.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
        struct stat had{};
        if (to.fd < 0 || ::fstat(to.fd, &had) != 0) return failed(part);
        const auto offset = static_cast<std::uint64_t>(had.st_size);
        if (offset < content.size.n) {
            auto moved = move(content.source.fd, to.fd, offset, content.size.n - offset);
            if (!moved) return std::move(moved).error();
            const std::uint64_t now = offset + *moved;
            if (now < content.size.n) return ContentWritten{.stored = {now}};
        }
        std::string all(static_cast<std::size_t>(content.size.n), '\0');
        const auto got = ::pread(to.fd, all.data(), all.size(), 0);
        if (got != static_cast<ssize_t>(all.size()) || sha256_(all) != name) {
            ::unlinkat(directory_, part.c_str(), 0);
            return lie("the source has another digest than it is said to have");
        }
        auto held = hold(name, content.size);
        if (held && (::fsync(to.fd) != 0 || ::renameat(directory_, part.c_str(), directory_, name.c_str()) != 0)) return failed(name);
        return held;
    }

    Result<ContentPart> read(const CallContext&, const ContentRead& part) override {
        const std::lock_guard lock(mutex_);
        if (!is_digest(part.digest)) return no_digest();
        const auto info = look(hex(part.digest));
        if (!info) return info.error();
        if (const int mode = ::fcntl(part.target.fd, F_GETFL); mode < 0 || (mode & O_ACCMODE) == O_RDONLY)
            return Error{.code = Code::invalid_argument, .what = "the target cannot be written", .field = ".target"};
        if (part.offset.n >= info->size.n) return ContentPart{};
        const std::uint64_t rest = info->size.n - part.offset.n;
        const Descriptor from{::openat(directory_, hex(part.digest).c_str(), O_RDONLY | O_CLOEXEC)};
        auto moved = move(from.fd, part.target.fd, part.offset.n, part.size.n == 0 ? rest : std::min(rest, part.size.n));
        if (!moved) return std::move(moved).error();
        return ContentPart{.size = {*moved}};
    }

    Result<ContentPage> list(const CallContext&, const std::string& after) override {
        const std::lock_guard lock(mutex_);
        if (!after.empty() && !is_digest(after)) return no_digest();
        DIR* entries = ::fdopendir(::openat(directory_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (entries == nullptr) return failed("the directory");
        std::vector<std::string> names;
        while (const dirent* entry = ::readdir(entries))
            if (const std::string name = entry->d_name; is_digest("sha256:" + name) && "sha256:" + name > after) names.push_back(name);
        ::closedir(entries);
        std::sort(names.begin(), names.end());
        ContentPage page{.contents = {}, .more = names.size() > content_page_max};
        names.resize(std::min(names.size(), content_page_max));
        for (const auto& name : names)
            if (auto info = look(name)) page.contents.push_back(std::move(*info));
        return page;
    }

    Status remove(const CallContext&, const std::string& digest) override {
        const std::lock_guard lock(mutex_);
        if (!is_digest(digest)) return no_digest();
        const std::string name = hex(digest);
        if (const auto info = look(name); info && info->held) return Error{.code = Code::failed_precondition, .what = "it is held: release it first"};
        for (const char* ending : {".part", ".held", ""})
            if (::unlinkat(directory_, (name + ending).c_str(), 0) != 0 && errno != ENOENT) return failed(name);
        return {};
    }

    Status protect(const CallContext&, const ContentProtection& protection) override {
        const std::lock_guard lock(mutex_);
        if (!is_digest(protection.digest)) return no_digest();
        const std::string name = hex(protection.digest);
        if (protection.hold == ContentHold::released) {
            ::unlinkat(directory_, (name + ".held").c_str(), 0);
            return {};
        }
        if (protection.hold != ContentHold::held) return Error{.code = Code::invalid_argument, .what = "neither held nor released", .field = ".hold"};
        auto info = look(name);
        if (!info) return std::move(info).error();
        auto held = hold(name, info->size);
        return held ? Status{} : Status(std::move(held).error());
    }

private:
    struct Descriptor {
        int fd;
        explicit Descriptor(int owned) : fd(owned) {}
        ~Descriptor() {
            if (fd >= 0) ::close(fd);
        }
        Descriptor(const Descriptor&) = delete;
        Descriptor& operator=(const Descriptor&) = delete;
    };

    static bool is_digest(std::string_view text) {
        return text.size() == 71 && text.starts_with("sha256:") && text.find_first_not_of("0123456789abcdef", 7) == std::string_view::npos;
    }
    static std::string hex(const std::string& digest) { return digest.substr(7); }
    static Error no_digest() { return {.code = Code::invalid_argument, .what = "not a digest: sha256: and 64 digits", .field = ".digest"}; }
    static Error lie(std::string what) { return {.code = Code::invalid_argument, .what = std::move(what)}; }
    static Error failed(const std::string& what) {
        const Code code = errno == ENOSPC || errno == EDQUOT ? Code::resource_exhausted : Code::unavailable;
        return {.code = code, .what = what + ": " + std::strerror(errno)};
    }
    Result<ContentInfo> look(const std::string& name) const {
        struct stat facts{}, held{};
        if (::fstatat(directory_, name.c_str(), &facts, 0) != 0) return Error{.code = Code::not_found, .what = "no content of digest sha256:" + name};
        return ContentInfo{.digest = "sha256:" + name,
                           .size = {static_cast<std::uint64_t>(facts.st_size)},
                           .held = ::fstatat(directory_, (name + ".held").c_str(), &held, 0) == 0};
    }
    Result<ContentWritten> hold(const std::string& name, Bytes size) const {
        const Descriptor mark{::openat(directory_, (name + ".held").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)};
        if (mark.fd < 0) return failed(name);
        return ContentWritten{.stored = size, .complete = true};
    }
    /// A step from one file to the same place in another.
    Result<std::uint64_t> move(int from, int to, std::uint64_t offset, std::uint64_t size) const {
        std::string bytes(static_cast<std::size_t>(std::min<std::uint64_t>(size, step_)), '\0');
        const auto got = ::pread(from, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (got <= 0) return failed("read");
        const auto put = ::pwrite(to, bytes.data(), static_cast<std::size_t>(got), static_cast<off_t>(offset));
        if (put < 0) return failed("write");
        return static_cast<std::uint64_t>(put);
    }

    std::mutex mutex_;  // guards the directory's content
    int directory_;
    std::function<std::string(std::string_view)> sha256_;
    std::size_t step_;
};

}  // namespace testing
}  // EVE_SDK_NAMESPACE
}  // namespace eve
