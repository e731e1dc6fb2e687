#pragma once
// The devices of the virtual machine as its first process finds them: modules, serial ports, disks, the power button.

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "common/unique_fd.hpp"
#include "eve/result.hpp"

namespace eve::kvm::guest {

using plugins::UniqueFd;

std::int64_t monotonic_ns();

/// Waits for something that a driver makes a moment later. False: it did not come.
bool eventually(const std::function<bool()>& holds, std::chrono::milliseconds most);

/// proc, sys, dev and the control groups are mounted.
Status mount_kernel_file_systems();

/// The modules that /modules/<list> names are in the kernel, in that order, and their files are gone. One that the kernel has already, or does
/// not take, is passed over: what needs it will say so.
void load_modules(const std::string& list);

/// What the app writes goes here: the virtual console, else the serial line, as the bytes are.
UniqueFd open_console();

/// The virtual serial port of that name.
Result<UniqueFd> open_port(const std::string& name);

/// "/dev/vdb": the disk with that serial number.
Result<std::string> disk_with(const std::string& serial);

/// Where the power button is heard.
std::vector<UniqueFd> power_buttons();
/// Whether it was pressed.
bool pressed(int button);

/// No file is left in the directory.
void remove_files(const std::string& directory);

/// Text of a small file of the kernel, or empty.
std::string text_of(const std::string& path);
/// False: errno says why.
bool write_text(const std::string& path, std::string_view text);

}  // namespace eve::kvm::guest
