#pragma once
// Loading a plugin's file into this process: its entry, checked. Used by plugin-host, and by an agent for a plugin that it runs itself.

#include <string>

#include "eve/abi.h"
#include "eve/result.hpp"

namespace eve::plugin {

/// The entry of the file, which stays loaded for ever. Its constructors have run. Errors: invalid_argument - cannot be loaded, or no plugin, or a
/// broken one; unsupported - made for another ABI. The text is a sentence for the operator, the hint what to do.
Result<const eve_plugin_entry*> load_entry(const std::string& path);

/// Whether this node can use the entry; the error as of load_entry.
Status check_entry(const eve_plugin_entry& entry);

/// "plugin needs ABI 2.x, host offers 1.0", with its hint.
Error abi_mismatch(unsigned major);

}  // namespace eve::plugin
