#include "storage/cidata_image.hpp"

#include <memory>

#include <archive.h>
#include <archive_entry.h>

namespace eve::storage {

namespace {

struct FreeArchive {
    void operator()(archive* a) const { archive_write_free(a); }
};
struct FreeEntry {
    void operator()(archive_entry* e) const { archive_entry_free(e); }
};

la_ssize_t append(archive* a, void* image, const void* bytes, std::size_t count) {
    auto& out = *static_cast<std::string*>(image);
    if (out.size() + count > cidata_bytes_max) {
        archive_set_error(a, -1, "the image is too large");
        return -1;
    }
    out.append(static_cast<const char*>(bytes), count);
    return static_cast<la_ssize_t>(count);
}

Error failed(archive* a, const char* what) {
    const char* why = archive_error_string(a);
    return {.code = Code::internal, .what = std::string(what) + ": " + (why == nullptr ? "libarchive" : why)};
}

/// Relative, without "." and ".." and empty parts.
bool stays_inside(std::string_view path) {
    if (path.empty() || path.size() > 1024 || path.find('\0') != std::string_view::npos) return false;
    while (true) {
        const auto slash = path.find('/');
        const auto part = path.substr(0, slash);
        if (part.empty() || part == "." || part == "..") return false;
        if (slash == std::string_view::npos) return true;
        path.remove_prefix(slash + 1);
    }
}

}  // namespace

Result<std::string> cidata_image(const domainmgr::CloudInitDisk& disk) {
    if (disk.files.size() > cidata_files_max) return Error{.code = Code::invalid_argument, .what = "too many files for a cloud-init disk"};
    std::size_t total = 0;
    for (const auto& file : disk.files) {
        if (!stays_inside(file.path)) return Error{.code = Code::invalid_argument, .what = "cloud-init file " + file.path + " leaves the disk"};
        total += file.content.size();
        if (total > cidata_bytes_max / 2) return Error{.code = Code::invalid_argument, .what = "more cloud-init data than a disk of it may hold"};
    }
    const std::unique_ptr<archive, FreeArchive> writer(archive_write_new());
    archive* a = writer.get();
    std::string image;
    if (a == nullptr || archive_write_set_format_iso9660(a) != ARCHIVE_OK ||
        archive_write_set_options(a, "volume-id=cidata,joliet,rockridge=useful,!pad") != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(a, 1) != ARCHIVE_OK || archive_write_open(a, &image, nullptr, append, nullptr) != ARCHIVE_OK)
        return a == nullptr ? Error{.what = "libarchive: no memory"} : failed(a, "make a cloud-init disk");
    for (const auto& file : disk.files) {
        const std::unique_ptr<archive_entry, FreeEntry> owned(archive_entry_new());
        archive_entry* entry = owned.get();
        if (entry == nullptr) return Error{.what = "libarchive: no memory"};
        archive_entry_set_pathname_utf8(entry, file.path.c_str());
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, 0444);
        archive_entry_set_size(entry, static_cast<la_int64_t>(file.content.size()));
        archive_entry_set_mtime(entry, 0, 0);
        if (archive_write_header(a, entry) != ARCHIVE_OK) return failed(a, "add a file to the cloud-init disk");
        if (!file.content.empty() &&
            archive_write_data(a, file.content.data(), file.content.size()) != static_cast<la_ssize_t>(file.content.size()))
            return failed(a, "write a file of the cloud-init disk");
    }
    if (archive_write_close(a) != ARCHIVE_OK) return failed(a, "finish the cloud-init disk");
    return image;
}

}  // namespace eve::storage
