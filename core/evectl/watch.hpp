#pragma once
// Waiting for a node to publish something, by inotify on its directories.

#include <chrono>
#include <string>
#include <vector>

namespace eve::evectl {

/// Wakes when a file in one of its directories changes. A directory that does not exist yet is waited for by its nearest parent.
class DirectoryWatch {
public:
    explicit DirectoryWatch(std::vector<std::string> directories);
    ~DirectoryWatch();
    DirectoryWatch(const DirectoryWatch&) = delete;
    DirectoryWatch& operator=(const DirectoryWatch&) = delete;

    /// Returns when something changed since the last call, or after `limit`.
    void wait(std::chrono::milliseconds limit);

private:
    void arm();

    std::vector<std::string> directories_;
    int fd_ = -1;
};

}  // namespace eve::evectl
