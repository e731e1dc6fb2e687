#pragma once
// The devices that apps may ask for, for a person and for machines; and what an app would get, worked out as the node itself does.

#include "core/evectl/node_files.hpp"
#include "core/evectl/report.hpp"

namespace eve::evectl {

/// Who has each adapter, where it is bound, and why it cannot be assigned.
Report report_adapters(const NodeFiles& node);
/// What the app would get, what would be bound for it, and what would go along; or why it gets nothing. Touches nothing.
Report report_adapter_plan(const NodeFiles& node, const AppName& app);

}  // namespace eve::evectl
