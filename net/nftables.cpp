#include "net/nftables.hpp"

#include <nftables/libnftables.h>

#include <algorithm>
#include <memory>
#include <sstream>

namespace eve::net {
namespace {

using zedrouter::NftChain;
using zedrouter::NftSet;
using zedrouter::NftTable;

/// Stands for contents that were listed by name only; no real rule reads like this.
constexpr const char* unknown_contents = "?";
const char* const families[] = {"inet", "bridge"};

std::string table_name(const std::string& family) { return family + " " + zedrouter::nft_table_name; }

template <class Item> const Item* find(const std::vector<Item>& items, const std::string& name) {
    const auto found = std::find_if(items.begin(), items.end(), [&](const Item& item) { return item.name == name; });
    return found == items.end() ? nullptr : &*found;
}

const NftTable* find_table(const std::vector<NftTable>& tables, const std::string& family) {
    const auto found = std::find_if(tables.begin(), tables.end(), [&](const NftTable& table) { return table.family == family; });
    return found == tables.end() ? nullptr : &*found;
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const auto& word : words) text += (text.empty() ? "" : ", ") + word;
    return text;
}

void render_set(std::ostream& out, const std::string& table, const NftSet* before, const NftSet& after) {
    if (before && *before == after) return;
    const bool listed_only = before && before->type == unknown_contents;
    if (!before || listed_only)
        out << "add set " << table << " " << after.name << " { type " << after.type << ";" << (after.interval ? " flags interval;" : "") << " }\n";
    if (before && !after.filled_elsewhere) out << "flush set " << table << " " << after.name << "\n";
    if (!after.elements.empty()) out << "add element " << table << " " << after.name << " { " << joined(after.elements) << " }\n";
}

void render_table(std::ostream& out, const NftTable* before, const NftTable& after) {
    const std::string table = table_name(after.family);
    static const NftTable none;
    const NftTable& old = before ? *before : none;
    if (!before) out << "add table " << table << "\n";
    for (const auto& set : after.sets) render_set(out, table, find(old.sets, set.name), set);
    for (const auto& chain : after.chains)
        if (!find(old.chains, chain.name))
            out << "add chain " << table << " " << chain.name << (chain.hook.empty() ? "" : " { " + chain.hook + " }") << "\n";
    // Every chain that changes or goes is emptied first, so that nothing refers to a chain or set that is deleted below.
    for (const auto& chain : old.chains) {
        const auto* now = find(after.chains, chain.name);
        if (!now || now->rules != chain.rules) out << "flush chain " << table << " " << chain.name << "\n";
    }
    for (const auto& chain : after.chains) {
        const auto* was = find(old.chains, chain.name);
        if (was && was->rules == chain.rules) continue;
        for (const auto& rule : chain.rules) out << "add rule " << table << " " << chain.name << " " << rule << "\n";
    }
    for (const auto& chain : old.chains)
        if (!find(after.chains, chain.name)) out << "delete chain " << table << " " << chain.name << "\n";
    for (const auto& set : old.sets)
        if (!find(after.sets, set.name)) out << "delete set " << table << " " << set.name << "\n";
}

struct Execution {
    bool ok = false;
    std::string output;
    std::string errors;
};

Execution execute(const std::string& commands) {
    const std::unique_ptr<nft_ctx, decltype(&nft_ctx_free)> context(nft_ctx_new(NFT_CTX_DEFAULT), &nft_ctx_free);
    if (!context) return {.ok = false, .output = {}, .errors = "libnftables has no context"};
    nft_ctx_buffer_output(context.get());
    nft_ctx_buffer_error(context.get());
    Execution result;
    result.ok = nft_run_cmd_from_buffer(context.get(), commands.c_str()) == 0;
    if (const char* text = nft_ctx_get_output_buffer(context.get())) result.output = text;
    if (const char* text = nft_ctx_get_error_buffer(context.get())) result.errors = text;
    return result;
}

Error failure(const std::string& errors) {
    Code code = Code::invalid_argument;
    if (errors.find("Operation not permitted") != std::string::npos) code = Code::permission_denied;
    else if (errors.find("No such file") != std::string::npos) code = Code::not_found;
    else if (errors.find("not supported") != std::string::npos) code = Code::unsupported;
    constexpr std::size_t text_max = 300;
    std::string text = errors.substr(0, text_max);
    std::replace(text.begin(), text.end(), '\n', ' ');
    return Error{code, "nftables: " + text};
}

}  // namespace

std::string render_change(const std::vector<NftTable>& before, const std::vector<NftTable>& after) {
    std::ostringstream out;
    for (const auto& table : after) {
        const auto* old = find_table(before, table.family);
        if (!old || *old != table) render_table(out, old, table);
    }
    for (const auto& table : before)
        if (!find_table(after, table.family)) out << "delete table " << table_name(table.family) << "\n";
    return out.str();
}

std::string render_replacement(const std::vector<NftTable>& tables, const std::vector<std::string>& all_families) {
    std::ostringstream out;
    for (const auto& family : all_families)  // "add" first, so that deleting one that is not there is no error
        out << "add table " << table_name(family) << "\ndelete table " << table_name(family) << "\n";
    out << render_change({}, tables);
    return out.str();
}

NftTable parse_names(const std::string& family, const std::string& listing) {
    NftTable table{.family = family};
    std::istringstream lines(listing);
    std::string line;
    while (std::getline(lines, line)) {
        std::istringstream words(line);
        std::string kind;
        std::string name;
        std::string brace;
        if (!(words >> kind >> name >> brace) || brace != "{") continue;
        if (kind == "chain") table.chains.push_back({.name = name, .hook = {}, .rules = {unknown_contents}});
        if (kind == "set" || kind == "map") table.sets.push_back({.name = name, .type = unknown_contents});
    }
    return table;
}

Status Nftables::learn() {
    applied_.clear();
    for (const char* family : families) {
        const auto listed = execute("list table " + table_name(family));
        if (listed.ok) applied_.push_back(parse_names(family, listed.output));
        else if (const auto error = failure(listed.errors); error.code == Code::permission_denied) return error;
    }
    known_ = true;
    return {};
}

Status Nftables::apply(const std::vector<NftTable>& desired) {
    const bool trusted = known_;
    if (!known_)
        if (auto learned = learn(); !learned) return learned;
    const auto commands = render_change(applied_, desired);
    if (commands.empty()) return {};
    auto done = execute(commands);
    if (!done.ok && trusted) {  // somebody else changed our tables: look again
        if (auto learned = learn(); !learned) return learned;
        done = execute(render_change(applied_, desired));
    }
    if (!done.ok) {  // tables of another version stand in the way: replace them, still in one transaction
        const auto replaced = execute(render_replacement(desired, {"inet", "bridge"}));
        if (!replaced.ok) {
            known_ = false;
            return failure(done.errors);
        }
    }
    applied_ = desired;
    return {};
}

}  // namespace eve::net
