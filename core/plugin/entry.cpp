#include "core/plugin/entry.hpp"

#include <dlfcn.h>

#define BOOST_DLL_USE_STD_FS
#include <boost/dll/shared_library.hpp>
#include <cstddef>
#include <cstring>
#include <exception>
#include <string_view>

namespace eve::plugin {
namespace {

/// Whether the text ends within `size_max` and is printable ASCII.
bool is_label(const char* text, std::size_t size_max) {
    if (text == nullptr) return false;
    const auto size = ::strnlen(text, size_max + 1);
    if (size == 0 || size > size_max) return false;
    for (const char c : std::string_view(text, size))
        if (c < ' ' || c > '~') return false;
    return true;
}

}  // namespace

Error abi_mismatch(unsigned major) {
    return Error{.code = Code::unsupported,
                 .what = "plugin needs ABI " + std::to_string(major) + ".x, host offers " + std::to_string(EVE_ABI_MAJOR) + "." +
                         std::to_string(EVE_ABI_MINOR),
                 .hint = "build it with an SDK of version " + std::to_string(EVE_ABI_MAJOR) + ".x, or use the node's release that it was made for"};
}

Status check_entry(const eve_plugin_entry& entry) {
    const auto broken = [](std::string what) {
        return Error{.code = Code::invalid_argument, .what = std::move(what), .hint = "build it with EVE_PLUGIN and eve_add_plugin() of the SDK"};
    };
    if (entry.magic != EVE_ABI_MAGIC) return broken("its entry " EVE_PLUGIN_ENTRY_SYMBOL " does not begin with the magic number");
    if (entry.abi_major != EVE_ABI_MAJOR) return abi_mismatch(entry.abi_major);
    if (entry.host_abi_minor_min > EVE_ABI_MINOR)
        return Error{.code = Code::unsupported,
                     .what = "plugin needs ABI " + std::to_string(EVE_ABI_MAJOR) + "." + std::to_string(entry.host_abi_minor_min) +
                             " or later, host offers " + std::to_string(EVE_ABI_MAJOR) + "." + std::to_string(EVE_ABI_MINOR),
                     .hint = "update the node"};
    constexpr auto needed = offsetof(eve_plugin_entry, close) + sizeof(entry.close);
    if (entry.size < needed) return broken("its entry has " + std::to_string(entry.size) + " bytes, " + std::to_string(needed) + " are needed");
    if (!is_label(entry.id, 127) || !is_label(entry.version, 127) || !is_label(entry.interfaces, 1023) || !is_label(entry.built_with, 255))
        return broken("its entry lacks an id, a version, interfaces or built_with of printable ASCII");
    if (entry.open == nullptr || entry.call == nullptr || entry.close == nullptr) return broken("its entry lacks a function");
    return {};
}

Result<const eve_plugin_entry*> load_entry(const std::string& path) {
    try {
        // The throwing form: the other one loses what dlerror says. RTLD_NODELETE keeps the file loaded beyond this object: unloading would
        // take code away under threads and handlers that a vendor's library left behind.
        namespace load_mode = boost::dll::load_mode;
        const auto for_ever = static_cast<load_mode::type>(RTLD_NODELETE);
        const boost::dll::shared_library library(path, load_mode::rtld_now | load_mode::rtld_local | for_ever);
        if (!library.has(EVE_PLUGIN_ENTRY_SYMBOL)) {
            for (unsigned major = EVE_ABI_MAJOR + 1; major < EVE_ABI_MAJOR + 10; ++major)
                if (library.has("eve_plugin_entry_v" + std::to_string(major))) return abi_mismatch(major);
            return Error{.code = Code::invalid_argument,
                         .what = "has no symbol " EVE_PLUGIN_ENTRY_SYMBOL ": not a plugin",
                         .hint = "write EVE_PLUGIN(...) in one of its sources, or take the file out of the directory"};
        }
        const auto* entry = &library.get<const eve_plugin_entry>(EVE_PLUGIN_ENTRY_SYMBOL);
        if (auto good = check_entry(*entry); !good) return std::move(good).error();
        return entry;
    } catch (const std::exception& thrown) {
        return Error{.code = Code::invalid_argument,
                     .what = std::string("cannot be loaded: ") + thrown.what(),
                     .hint = "see with `ldd -r` which library or symbol is missing"};
    }
}

}  // namespace eve::plugin
