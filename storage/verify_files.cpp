#include "storage/verify_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "storage/durable_file.hpp"
#include "storage/files.hpp"
#include "storage/hash.hpp"
#include "storage/transfer_notes.hpp"
#include "core/loop/unique_fd.hpp"

namespace eve::storage {
namespace {

constexpr std::size_t note_bytes_max = 16 * 1024;
constexpr std::size_t media_type_bytes_max = 150;  // the name must fit a directory entry

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/// What Go's url.PathEscape leaves as it is.
bool plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-_.~$&+=:@").find(c) != std::string_view::npos;
}

class Files final : public verifier::VerifyFiles {
public:
    explicit Files(std::string directory) : working_(directory + "/verifier"), verified_(directory + "/verified") {}

    Result<verifier::VerifiedFile> verify(const verifier::VerifyRequest& request, const LaneContext& context) override {
        if (!is_sha256(request.sha256)) return Error{.code = Code::invalid_argument, .what = "not a sha256: " + request.sha256.substr(0, 80)};
        if (request.media_type.size() > media_type_bytes_max) return Error{.code = Code::invalid_argument, .what = "the media type is too long"};
        for (const auto& directory : {working_, verified_})
            if (auto made = make_directories(directory); !made) return std::move(made).error();
        const std::string name = verified_name(request.sha256, request.media_type);
        const std::string working = working_ + "/" + name, final_path = verified_ + "/" + name;

        UniqueFd fd(open(request.pending.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
        struct stat facts{};
        if (!fd) {
            // A crash after the last rename and before the status left it here.
            if (errno == ENOENT) return already_verified(final_path, request, context);
            return os_error("open " + request.pending);
        }
        if (fstat(fd.get(), &facts) != 0) return os_error("open " + request.pending);
        if (!S_ISREG(facts.st_mode)) return Error{.code = Code::failed_precondition, .what = request.pending + " is not a file"};
        const auto note = read_file(digest_path(request.pending), note_bytes_max);
        // A note that would condemn the file is no proof: the disk may have changed the note.
        auto noted = note ? noted_digest(*note, facts) : std::nullopt;
        if (noted != request.sha256) noted.reset();

        // From here on it is in a place that only the verifier writes to.
        if (rename(request.pending.c_str(), working.c_str()) != 0) return os_error("move " + request.pending);
        (void)unlink(digest_path(request.pending).c_str());
        if (fchmod(fd.get(), 0400) != 0) return os_error("protect " + working);
        std::string computed;
        if (noted) {
            computed = *noted;
        } else {
            Sha256 hash;
            auto hashed = hash_prefix(fd.get(), static_cast<std::uint64_t>(facts.st_size), hash, [&context] { return context.cancelled(); });
            if (!hashed) {
                (void)rename(working.c_str(), request.pending.c_str());
                return std::move(hashed).error();
            }
            computed = hash.finish();
        }
        if (computed != request.sha256) {
            (void)unlink(working.c_str());
            return Error{.code = Code::failed_precondition, .what = "computed " + computed + " configured " + request.sha256};
        }
        if (fsync(fd.get()) != 0) return os_error("keep " + working);
        if (rename(working.c_str(), final_path.c_str()) != 0) return os_error("move to " + final_path);
        if (auto synced = sync_directory(verified_); !synced) return std::move(synced).error();
        return verifier::VerifiedFile{
            .location = final_path, .sha256 = request.sha256, .media_type = request.media_type, .size = static_cast<std::uint64_t>(facts.st_size)};
    }

    Result<std::vector<verifier::VerifiedFile>> recheck(const LaneContext& context) override {
        for (const auto& directory : {working_, verified_})
            if (auto made = make_directories(directory); !made) return std::move(made).error();
        auto half_done = list_directory(working_);
        auto names = list_directory(verified_);
        if (!half_done) return std::move(half_done).error();
        if (!names) return std::move(names).error();
        for (const auto& name : *half_done) (void)unlink((working_ + "/" + name).c_str());
        std::vector<verifier::VerifiedFile> found;
        for (const auto& name : *names) {
            if (context.cancelled()) return Error{.code = Code::cancelled, .what = "checking verified files was cancelled"};
            const std::string path = verified_ + "/" + name;
            const auto parsed = parse_verified_name(name);
            auto size =
                parsed ? hash_is(path, parsed->sha256, context) : Result<std::uint64_t>(Error{.code = Code::invalid_argument, .what = "name"});
            if (size) {
                found.push_back({.location = path, .sha256 = parsed->sha256, .media_type = parsed->media_type, .size = *size});
            } else if (size.error().code == Code::cancelled) {
                return std::move(size).error();
            } else {
                (void)unlink(path.c_str());
            }
        }
        return found;
    }

    Status forget(const std::string& sha256) override {
        for (const auto& directory : {working_, verified_}) {
            auto names = list_directory(directory);
            if (!names && names.error().code == Code::not_found) continue;
            if (!names) return std::move(names).error();
            for (const auto& name : *names)
                if (name.starts_with(sha256 + ".") && unlink((directory + "/" + name).c_str()) != 0 && errno != ENOENT)
                    return os_error("remove " + directory + "/" + name);
        }
        return {};
    }

private:
    static Result<std::uint64_t> hash_is(const std::string& path, const std::string& sha256, const LaneContext& context) {
        const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
        struct stat facts{};
        if (!fd || fstat(fd.get(), &facts) != 0) return os_error("open " + path);
        if (!S_ISREG(facts.st_mode)) return Error{.code = Code::failed_precondition, .what = path + " is not a file"};
        Sha256 hash;
        const auto size = static_cast<std::uint64_t>(facts.st_size);
        if (auto hashed = hash_prefix(fd.get(), size, hash, [&context] { return context.cancelled(); }); !hashed) return std::move(hashed).error();
        if (const std::string computed = hash.finish(); computed != sha256)
            return Error{.code = Code::failed_precondition, .what = "computed " + computed + " configured " + sha256};
        return size;
    }

    static Result<verifier::VerifiedFile> already_verified(const std::string& path, const verifier::VerifyRequest& request,
                                                           const LaneContext& context) {
        auto size = hash_is(path, request.sha256, context);
        if (!size)
            return size.error().code == Code::cancelled ? std::move(size).error()
                                                        : Error{.code = Code::not_found, .what = "no file " + request.pending};
        return verifier::VerifiedFile{.location = path, .sha256 = request.sha256, .media_type = request.media_type, .size = *size};
    }

    std::string working_, verified_;
};

}  // namespace

std::unique_ptr<verifier::VerifyFiles> make_verify_files(std::string directory) { return std::make_unique<Files>(std::move(directory)); }

std::string verified_name(const std::string& sha256, const std::string& media_type) {
    static constexpr char digits[] = "0123456789ABCDEF";
    std::string name = sha256 + ".";
    for (const char c : media_type) {
        if (plain(c)) {
            name += c;
        } else {
            name += '%';
            name += digits[static_cast<unsigned char>(c) >> 4];
            name += digits[static_cast<unsigned char>(c) & 15];
        }
    }
    return name;
}

std::optional<VerifiedName> parse_verified_name(std::string_view name) {
    if (name.size() < 66 || name[64] != '.' || !is_sha256(name.substr(0, 64))) return std::nullopt;
    VerifiedName parsed{.sha256 = std::string(name.substr(0, 64)), .media_type = {}};
    for (std::size_t i = 65; i < name.size(); ++i) {
        if (name[i] != '%') {
            parsed.media_type += name[i];
            continue;
        }
        if (i + 2 >= name.size() || hex_value(name[i + 1]) < 0 || hex_value(name[i + 2]) < 0) return std::nullopt;
        parsed.media_type += static_cast<char>(hex_value(name[i + 1]) * 16 + hex_value(name[i + 2]));
        i += 2;
    }
    return parsed;
}

}  // namespace eve::storage
