#include "storage/vault_directories.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "storage/durable_file.hpp"

namespace eve::storage {

Status VaultDirectories::make() {
    for (const char* path : {"/persist/vault", "/persist/clear"}) {
        auto directory = DurableDirectory::make(root_.path(path));
        if (!directory) return std::move(directory).error();
        if (fchmod(directory->descriptor(), 0700) != 0) return error_of(errno, root_.path(path));
    }
    return {};
}

bool VaultDirectories::has_tpm() { return access("/dev/tpmrm0", F_OK) == 0 || access("/dev/tpm0", F_OK) == 0; }

}  // namespace eve::storage
