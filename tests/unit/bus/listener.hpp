#pragma once
// Writes down what a subscription's handlers are told.

#include <string>
#include <vector>

#include "core/bus/bus.hpp"
#include "tests/unit/bus/sample.hpp"

namespace eve {

struct Listener {
    std::vector<std::string> seen;
    std::vector<std::string> take() { return std::exchange(seen, {}); }

    Handlers<Sample> handlers() {
        return Handlers<Sample>{
            .created = [this](const std::string& key, const Sample& now) { seen.push_back("+" + key + "=" + std::to_string(now.Number)); },
            .modified =
                [this](const std::string& key, const Sample& now, const Sample& before) {
                    seen.push_back("~" + key + "=" + std::to_string(before.Number) + ">" + std::to_string(now.Number));
                },
            .deleted = [this](const std::string& key, const Sample& last) { seen.push_back("-" + key + "=" + std::to_string(last.Number)); },
            .restarted = [this](int counter) { seen.push_back("restarted " + std::to_string(counter)); },
            .synchronized = [this] { seen.push_back("synchronized"); },
        };
    }
};

}  // namespace eve
