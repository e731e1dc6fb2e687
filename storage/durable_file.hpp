#pragma once
// THE way a file that must last is written: a temporary in the same directory, synced, renamed over the old one, the directory synced. Whoever
// reads sees the old content or the new, whatever happened in between. Everything is beneath a directory's descriptor; symbolic links are not
// followed.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/loop/unique_fd.hpp"
#include "eve/result.hpp"

namespace eve::storage {

/// What `Status` says about a failed system call: the code by what the caller can do, the remedy as hint.
Error error_of(int number, std::string what);

/// How far a write has to reach before it counts.
enum class Reach {
    disk,    ///< survives a power cut
    memory,  ///< survives the process: for /run, which does not survive a power cut anyway
};
/// Whether the version that is replaced stays beside the new one, as NAME.bak.
enum class Previous { drop, keep };
/// What a half-written file is called: "tmp" and digits, as EVE's, or with a dot before it, which programs that read whole directories pass over.
enum class Temporary { plain, hidden };

struct WriteOptions {
    Reach reach = Reach::disk;
    Previous previous = Previous::drop;
    unsigned mode = 0600;  ///< whatever the umask is
    Temporary temporary = Temporary::plain;
    bool sync_directory = true;  ///< false: the caller does it once for several writes
};

/// A directory that files are written into and read from. [lane], or [loop] with Reach::memory
class DurableDirectory {
public:
    /// Opens `base`, then `relative` beneath it without following links. Errors: not_found; failed_precondition - a link, or not a directory.
    static Result<DurableDirectory> open(const std::string& base, std::string_view relative = {});
    /// As open, and makes what is missing, 0700, also `base`.
    static Result<DurableDirectory> make(const std::string& base, std::string_view relative = {});

    /// The file has this content.
    Status write(const std::string& name, std::string_view content, const WriteOptions& options = {}) const;
    /// The file and its .bak are gone, in the order that leaves no .bak alone; absent ones are fine.
    Status remove(const std::string& name, const WriteOptions& options = {}) const;
    /// Errors: not_found; failed_precondition - longer than `bytes_max`, or not a regular file; as the system said otherwise.
    Result<std::string> read(const std::string& name, std::size_t bytes_max) const;
    /// Puts one file in another's place, or out of the way.
    Status rename(const std::string& from, const std::string& to) const;
    /// Every name but "." and "..", sorted.
    Result<std::vector<std::string>> list() const;
    Status sync() const;
    /// Leftovers of writes that a crash cut short are gone. Only the owner of the directory may.
    void remove_temporaries() const;

    int descriptor() const { return fd_.get(); }
    const std::string& path() const { return path_; }

private:
    DurableDirectory(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
    static Result<DurableDirectory> walk(const std::string& base, std::string_view relative, bool make);
    Status keep_previous(const std::string& name) const;

    UniqueFd fd_;
    std::string path_;
};

/// JSON with its checksum behind it, in blanks that every reader of JSON passes over: what a disk changes later is detected, in a file that is
/// still EVE's.
std::string seal_json(std::string_view json);
/// Protocol buffers with their checksum before them, as a field that every reader passes over.
std::string seal_protobuf(std::string_view message);
/// What was sealed. A file without a seal (EVE's, a person's) is returned as it is. Errors: failed_precondition - not what was sealed.
Result<std::string> unseal_json(std::string file);
Result<std::string> unseal_protobuf(std::string file);

/// One file by its path; the directory exists.
Status write_durably(const std::string& path, std::string_view content, const WriteOptions& options = {});
Result<std::string> read_file(const std::string& path, std::size_t bytes_max);

}  // namespace eve::storage
