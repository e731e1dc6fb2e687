#include "core/evectl/tables.hpp"

#include <algorithm>
#include <filesystem>

namespace eve::evectl {

namespace {
constexpr std::size_t entries_max = 100'000;  ///< looked at; beyond what a node has
constexpr std::string_view damaged = ".damaged";

/// "k.json.damaged", "journal.damaged.2"
bool is_aside(const std::string& name) {
    const auto at = name.rfind(damaged);
    if (at == std::string::npos) return false;
    const auto rest = std::string_view(name).substr(at + damaged.size());
    return rest.empty() || (rest.size() == 2 && rest[0] == '.' && rest[1] >= '2' && rest[1] <= '9');
}
}  // namespace

std::vector<bus::TableTrouble> unread_tables(const NodeFiles& node) {
    std::vector<bus::TableTrouble> all;
    for (auto& [key, trouble] : node.table<bus::TableTrouble>(bus::table_trouble_agent)) all.push_back(trouble);
    return all;
}

std::vector<std::string> put_aside(const NodeFiles& node) {
    namespace fs = std::filesystem;
    std::vector<std::string> found;
    std::error_code error;
    std::size_t seen = 0;
    const auto options = fs::directory_options::skip_permission_denied;
    for (fs::recursive_directory_iterator entry(node.root().path("/persist/status"), options, error), end; !error && entry != end; entry.increment(error)) {
        if (++seen > entries_max) break;
        if (!is_aside(entry->path().filename().string())) continue;
        entry.disable_recursion_pending();
        found.push_back(entry->path().string());
    }
    std::sort(found.begin(), found.end());
    if (found.size() > asides_shown_max) found.resize(asides_shown_max);
    return found;
}

std::string tables_text(const std::vector<bus::TableTrouble>& unread, const std::vector<std::string>& aside) {
    std::string text;
    for (const auto& trouble : unread)
        text += "\ntable " + trouble.Table + ": error: could not be read: " + trouble.Problem +
                "\n    it counts as empty, and nothing is written over what it holds: what the node learns now is lost when it ends\n    " +
                (trouble.Remedy.empty() ? "" : trouble.Remedy + "; ") + "then start the node again\n";
    for (const auto& path : aside)
        text += "note: " + path + " was damaged and is no longer in use; keep a copy if what it holds matters, then remove it\n";
    return text;
}

}  // namespace eve::evectl
