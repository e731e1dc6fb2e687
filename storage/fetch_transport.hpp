#pragma once
// Starts one fetch process for each transfer, hands it open descriptors, and keeps what must last: the file, how far it is, what it hashed to. The
// process is taken for hostile: its reports are checked, and it is dead before the file counts.

#include <memory>
#include <string>

#include "core/downloader/effects.hpp"
#include "core/loop/loop.hpp"

namespace eve::storage {

struct FetchOptions {
    std::string program;                                              ///< the fetch executable
    std::string system_roots = "/etc/ssl/certs/ca-certificates.crt";  ///< PEM; may be absent
    std::uint64_t tries_max = 7;
    std::chrono::milliseconds first_delay{1000};
    unsigned lives_max = 3;                       ///< processes for one transfer: one that dies is replaced and goes on where it was
    std::chrono::seconds checkpoint_interval{5};  ///< how much of a transfer a power cut may cost
};

std::unique_ptr<downloader::Transport> make_fetch_transport(FetchOptions options, const Clock& clock);

/// The pending directory `directory` (made when first needed).
std::unique_ptr<downloader::PendingFiles> make_pending_files(std::string directory);

}  // namespace eve::storage
