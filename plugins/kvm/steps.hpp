#pragma once
// What the files of KvmHypervisor share: names of files in a domain's directory, limits of steps, and small steps with both.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "eve/domain.hpp"
#include "eve/result.hpp"
#include "qemu_config.hpp"
#include "records.hpp"

namespace eve::kvm {

inline constexpr std::chrono::milliseconds call_max{28'000};  // a call is back within 30 s
inline constexpr std::chrono::milliseconds look_max{1500};    // inspect within 2 s
inline constexpr std::chrono::milliseconds quit_max{2000};    // before its power is cut
inline constexpr std::chrono::milliseconds poll_pause{10};
inline constexpr std::size_t last_words_max = 4096;
inline constexpr std::uint32_t domains_max = 4096;
inline constexpr const char* cut_name = "cut";
inline constexpr const char* asked_name = "asked";
inline constexpr const char* log_name = "qemu.log";
inline constexpr const char* console_log = "console.log";
inline constexpr const char* vars_directory = "ovmf";
inline constexpr std::string_view sandbox = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";

inline constexpr Architecture architecture =
#if defined(__aarch64__)
    Architecture::aarch64;
#else
    Architecture::x86_64;
#endif

inline std::string vars_file(const DomainId& id) { return id.value + "_OVMF_VARS.fd"; }

/// What start or create want of the outside and is not there is a precondition, whatever the file system calls it.
Error as_precondition(Error error);

/// The record in a domain's directory.
Result<DomainRecord> record_in(int directory);
Status write_record(int directory, const DomainRecord& record);

}  // namespace eve::kvm
