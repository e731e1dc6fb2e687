#pragma once
// What a node has published, read from its record files: works whether or not the node runs, and asks nothing of it.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/loop/root.hpp"
#include "core/types/codec.hpp"
#include "eve/result.hpp"

namespace eve::evectl {

class NodeFiles {
public:
    explicit NodeFiles(Root root) : root_(std::move(root)) {}

    /// The records of agent's topic, by key. A file that cannot be read as one is left out: its writer will write it again.
    template <class T> std::map<std::string, T> table(std::string_view agent) const { return parse<T>("/run/" + std::string(agent)); }
    template <class T> std::map<std::string, T> persistent_table(std::string_view agent) const {
        return parse<T>("/persist/status/" + std::string(agent));
    }
    /// The one record of that key, or its zero value.
    template <class T> T record(std::string_view agent, const std::string& key) const {
        auto record = from_json<T>(text(directory<T>(agent) + "/" + key + ".json"));  // alone: a table may have a thousand others
        return record ? std::move(*record) : T{};
    }

    /// Where the files of a topic are, for watching.
    template <class T> std::string directory(std::string_view agent) const {
        return root_.path("/run/" + std::string(agent) + "/" + std::string(type_info<T>().name));
    }

    /// The pid of the running node or agent of that name, or 0.
    long running(std::string_view name) const;
    /// The pid of the node that runs in one process, or of zedagent where each agent has its own, or 0.
    long node_running() const;
    /// The agents that do not run. All of them have pid files in both shapes.
    std::vector<std::string> agents_not_running() const;

    const Root& root() const { return root_; }

private:
    template <class T> std::map<std::string, T> parse(const std::string& folder) const {
        std::map<std::string, T> records;
        for (const auto& [key, text] : texts(root_.path(folder + "/" + std::string(type_info<T>().name))))
            if (auto record = from_json<T>(text)) records.emplace(key, std::move(*record));
        return records;
    }
    static std::map<std::string, std::string> texts(const std::string& directory);
    /// The file's text; empty if it is not there or too long.
    static std::string text(const std::string& path);

    Root root_;
};

}  // namespace eve::evectl
