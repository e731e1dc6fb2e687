#pragma once
// The kernel's tree of devices, below one descriptor: nothing outside of it can be named. Writes are made by a child process, because an unbind
// blocks in the kernel, unkillably, for as long as somebody uses the device.

#include <sys/types.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "eve/result.hpp"

namespace eve::pci {

/// Paths are relative to the tree's root: "bus/pci/devices". Not found is not_found, whatever else fails is unavailable or permission_denied.
class Sysfs {
public:
    virtual ~Sysfs() = default;
    /// The file's text without the white space round it.
    virtual Result<std::string> read(const std::string& path) = 0;
    /// The kernel took the text. Errors: timed_out - the write has not returned in time; it goes on, and pending() says so.
    virtual Status write(const std::string& path, const std::string& text, std::chrono::milliseconds limit) = 0;
    /// Whether an earlier write to this path has not returned yet.
    virtual bool pending(const std::string& path) = 0;
    /// Where a symbolic link points, as it stands there.
    virtual Result<std::string> target(const std::string& path) = 0;
    /// What is in a directory, sorted; empty when there is no such directory.
    virtual std::vector<std::string> names(const std::string& path) = 0;
    virtual bool exists(const std::string& path) = 0;

    /// The last part of a link's target, or empty.
    std::string link_name(const std::string& path);
    /// read(), or empty.
    std::string text(const std::string& path);
};

/// The real one, or a directory that stands for it. Borrows the descriptor.
class DirectorySysfs final : public Sysfs {
public:
    explicit DirectorySysfs(int root) : root_(root) {}
    Result<std::string> read(const std::string& path) override;
    Status write(const std::string& path, const std::string& text, std::chrono::milliseconds limit) override;
    bool pending(const std::string& path) override;
    Result<std::string> target(const std::string& path) override;
    std::vector<std::string> names(const std::string& path) override;
    bool exists(const std::string& path) override;

private:
    int root_;
    std::map<std::string, pid_t> blocked_;  ///< writers that have not returned
};

}  // namespace eve::pci
