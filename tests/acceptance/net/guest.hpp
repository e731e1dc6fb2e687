#pragma once
// Network namespaces without names: a process that sleeps in each, gone when the test ends, however it ends. A guest is one with the far end
// of a veth whose near end is called like an app's interface.

#include <memory>
#include <string>
#include <vector>

namespace eve {

struct Output {
    int exit_code = -1;
    std::string text;
    bool ok() const { return exit_code == 0; }
};

/// Runs a program of this test's namespace to its end; killed after 10 s.
Output run(std::vector<std::string> arguments);

class Namespace {
public:
    Namespace();
    ~Namespace();
    Namespace(const Namespace&) = delete;
    Namespace& operator=(const Namespace&) = delete;
    /// Runs a program in it.
    Output run(std::vector<std::string> arguments) const;
    /// Starts a program in it that runs until the namespace goes or stop_all().
    void start(std::vector<std::string> arguments);
    void stop_all();
    std::string pid() const { return std::to_string(pid_); }

private:
    int pid_ = -1;
    std::vector<int> children_;
};

/// Why these tests cannot run here, or empty.
std::string what_is_missing();

}  // namespace eve
