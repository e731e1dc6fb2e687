#pragma once
// EVE's absolute paths under a directory of choice: the node of a test, a bench or a second node beside the first.

#include <string>
#include <string_view>

namespace eve {

/// The directory that EVE's paths are put under; "" or "/" is the machine's own root.
class Root {
public:
    explicit Root(std::string prefix = {}) : prefix_(std::move(prefix)) {
        while (!prefix_.empty() && prefix_.back() == '/') prefix_.pop_back();
    }

    /// "/run/x" under the prefix. /var/run is /run, as EVE's two spellings mean one place.
    std::string path(std::string_view absolute) const {
        constexpr std::string_view var_run = "/var/run";
        if (absolute.starts_with(var_run) && (absolute.size() == var_run.size() || absolute[var_run.size()] == '/')) absolute.remove_prefix(4);
        std::string result = prefix_;
        if (!absolute.starts_with('/')) result += '/';
        return result += absolute;
    }
    const std::string& prefix() const { return prefix_; }

private:
    std::string prefix_;
};

}  // namespace eve
