#pragma once
// A directory of a test's own under /tmp, gone with the test.

#include <stdlib.h>

#include <filesystem>
#include <string>

namespace eve {

class TempDir {
public:
    TempDir() {
        std::string name = (std::filesystem::temp_directory_path() / "eve-test-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) throw std::filesystem::filesystem_error("mkdtemp", std::error_code(errno, std::generic_category()));
        path_ = name;
    }
    ~TempDir() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;

    const std::filesystem::path& path() const { return path_; }
    std::string string() const { return path_.string(); }

private:
    std::filesystem::path path_;
};

}  // namespace eve
