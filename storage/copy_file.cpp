#include "storage/copy_file.hpp"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "storage/files.hpp"

namespace eve::storage {
namespace {

constexpr off_t step_bytes = off_t{32} << 20;
constexpr std::size_t buffer_bytes = std::size_t{1} << 20;

/// One step by reading and writing, for file systems between which the kernel does not copy. The number of bytes, or -1.
ssize_t copy_by_hand(int from, int to, off_t at, off_t size) {
    std::vector<char> buffer(std::min(buffer_bytes, static_cast<std::size_t>(size)));
    const ssize_t got = pread(from, buffer.data(), buffer.size(), at);
    for (ssize_t written = 0; written < got;) {
        const ssize_t n = pwrite(to, buffer.data() + written, static_cast<std::size_t>(got - written), at + written);
        if (n < 0 && errno != EINTR) return -1;
        if (n > 0) written += n;
    }
    return got;
}

}  // namespace

Status copy_file(int from, int to, const std::function<void(unsigned)>& progress, const LaneContext& context) {
    struct stat facts{};
    if (fstat(from, &facts) != 0) return os_error("copy");
    const off_t size = facts.st_size;
    if (ioctl(to, FICLONE, from) == 0) {
        if (progress) progress(100);
        return {};
    }
    if (ftruncate(to, size) != 0) return os_error("copy");
    bool in_kernel = true;
    off_t at = 0;
    while (at < size) {
        off_t data = lseek(from, at, SEEK_DATA);
        if (data < 0 && errno == ENXIO) break;  // a hole to the end
        if (data < 0) data = at;
        off_t hole = lseek(from, data, SEEK_HOLE);
        if (hole < 0) hole = size;
        for (at = data; at < hole;) {
            if (context.cancelled()) return Error{.code = Code::cancelled, .what = "copying was cancelled"};
            const off_t step = std::min(step_bytes, hole - at);
            off_t in = at, out = at;
            ssize_t done = -1;
            if (in_kernel) {
                done = copy_file_range(from, &in, to, &out, static_cast<std::size_t>(step), 0);
                if (done == 0 || (done < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP))) in_kernel = false;
            }
            if (!in_kernel) done = copy_by_hand(from, to, at, step);
            if (done < 0 && errno == EINTR) continue;
            if (done < 0) return os_error("copy");
            if (done == 0) return Error{.code = Code::unavailable, .what = "copy: the file became shorter"};
            at += done;
            if (progress) progress(static_cast<unsigned>(100 * (static_cast<double>(at) / static_cast<double>(size))));
        }
    }
    return {};
}

}  // namespace eve::storage
