#include "storage/domain_host.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <iterator>
#include <memory>

#include "core/loop/unique_fd.hpp"
#include "storage/durable_file.hpp"

namespace eve::storage {
namespace {

constexpr const char* cloud_init_directory = "/run/domainmgr/cloudinit";
constexpr const char* active_directory = "/persist/vault/active-app-instance-config";
constexpr std::size_t cloud_init_bytes_max = std::size_t{16} << 20;
/// The mark of an ISO 9660 image stands behind its system area of 32 KiB.
constexpr std::size_t iso_mark_at = 32769;
constexpr std::size_t start_bytes = 64 * 1024;

std::string cloud_init_name(const types::Uuid& app) { return app.to_string() + ".cidata"; }
std::string marker_name(const types::Uuid& app) { return app.to_string() + ".json"; }

bool leads_out(const std::string& path) {
    return path.empty() || path.front() == '/' || path == ".." || path.starts_with("../") || path.ends_with("/..") || path.find("/../") != std::string::npos ||
           path.find('\0') != std::string::npos;
}

struct ArchiveCloser {
    void operator()(archive* a) const { archive_write_free(a); }
};
struct EntryCloser {
    void operator()(archive_entry* e) const { archive_entry_free(e); }
};

la_ssize_t append(archive* a, void* to, const void* data, std::size_t size) {
    auto& image = *static_cast<std::string*>(to);
    if (image.size() + size > cloud_init_bytes_max) {
        archive_set_error(a, ENOSPC, "larger than %zu bytes", cloud_init_bytes_max);
        return -1;
    }
    image.append(static_cast<const char*>(data), size);
    return static_cast<la_ssize_t>(size);
}

Status remove_from(const std::string& directory, const std::string& name, Reach reach) {
    const auto opened = DurableDirectory::open(directory);
    if (!opened) return opened.error().code == Code::not_found ? Status{} : Status(opened.error());
    return opened->remove(name, {.reach = reach});
}

}  // namespace

Result<std::string> cloud_init_image(const domainmgr::CloudInitDisk& disk) {
    std::string image;
    const std::unique_ptr<archive, ArchiveCloser> out(archive_write_new());
    const auto failure = [&](const std::string& what) {
        const char* text = archive_error_string(out.get());
        return Error{.code = Code::internal, .what = what + ": " + (text != nullptr ? text : "unknown")};
    };
    archive_write_set_format_iso9660(out.get());
    if (archive_write_set_options(out.get(), "iso9660:volume-id=cidata,iso9660:joliet,iso9660:rockridge=useful,iso9660:!zisofs") != ARCHIVE_OK)
        return failure("set up the cloud-init disk");
    if (archive_write_open(out.get(), &image, nullptr, append, nullptr) != ARCHIVE_OK) return failure("begin the cloud-init disk");
    for (const auto& file : disk.files) {
        if (leads_out(file.path)) return Error{.code = Code::invalid_argument, .what = "a file of the user data would lie outside its disk: " + file.path};
        const std::unique_ptr<archive_entry, EntryCloser> entry(archive_entry_new());
        archive_entry_set_pathname(entry.get(), file.path.c_str());
        archive_entry_set_size(entry.get(), static_cast<la_int64_t>(file.content.size()));
        archive_entry_set_filetype(entry.get(), AE_IFREG);
        archive_entry_set_perm(entry.get(), 0444);
        if (archive_write_header(out.get(), entry.get()) != ARCHIVE_OK) return failure("write " + file.path + " to the cloud-init disk");
        if (archive_write_data(out.get(), file.content.data(), file.content.size()) != static_cast<la_ssize_t>(file.content.size()))
            return failure("write " + file.path + " to the cloud-init disk");
    }
    if (archive_write_close(out.get()) != ARCHIVE_OK) return failure("finish the cloud-init disk");
    return image;
}

types::HostMemory parse_meminfo(const std::string& text) {
    const auto mib = [&](std::string_view name) -> std::uint64_t {
        const auto at = text.find("\n" + std::string(name) + ":");
        if (at == std::string::npos) return 0;
        const auto digits = text.find_first_of("0123456789", at);
        std::uint64_t kib = 0;
        if (digits != std::string::npos) std::from_chars(text.data() + digits, text.data() + text.size(), kib);
        return kib >> 10U;
    };
    types::HostMemory memory;
    memory.TotalMemoryMB = mib("MemTotal");
    memory.FreeMemoryMB = mib("MemAvailable");
    memory.KmemUsedEveMB = mib("Slab");
    return memory;
}

types::Format format_of(std::string_view start) {
    struct Mark {
        std::size_t at;
        std::string_view bytes;
        types::Format format;
    };
    using namespace std::string_view_literals;
    static constexpr auto marks = std::to_array<Mark>({
        {0, "QFI\xfb\0\0\0\x01"sv, types::Format::QCOW},
        {0, "QFI\xfb"sv, types::Format::QCOW2},
        {0, "KDMV"sv, types::Format::VMDK},
        {0, "# Disk DescriptorFile"sv, types::Format::VMDK},
        {0, "conectix"sv, types::Format::VHD},
        {0, "vhdxfile"sv, types::Format::VHDX},
        {iso_mark_at, "CD001"sv, types::Format::ISO},
    });
    for (const auto& mark : marks)
        if (start.size() >= mark.at + mark.bytes.size() && start.substr(mark.at, mark.bytes.size()) == mark.bytes) return mark.format;
    return types::Format::RAW;
}

Result<types::HostMemory> DomainHost::memory() {
    std::ifstream in("/proc/meminfo");
    const std::string text = "\n" + std::string(std::istreambuf_iterator<char>(in), {});
    types::HostMemory memory = parse_meminfo(text);
    if (memory.TotalMemoryMB == 0) return Error{.code = Code::unavailable, .what = "/proc/meminfo does not tell how much memory there is"};
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    memory.Ncpus = cpus > 0 ? static_cast<std::uint32_t>(cpus) : 1;
    return memory;
}

Result<types::Format> DomainHost::disk_format(const std::string& path) {
    const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!fd.valid()) return error_of(errno, "read " + path);
    std::string start(start_bytes, '\0');
    const ssize_t got = pread(fd.get(), start.data(), start.size(), 0);
    if (got < 0) return error_of(errno, "read " + path);
    return format_of(std::string_view(start).substr(0, static_cast<std::size_t>(got)));
}

Result<std::string> DomainHost::write_cloud_init(const domainmgr::CloudInitDisk& disk) {
    auto image = cloud_init_image(disk);
    if (!image) return std::move(image).error();
    const auto directory = DurableDirectory::make(root_.path(cloud_init_directory));
    if (!directory) return directory.error();
    const std::string name = cloud_init_name(disk.app);
    if (auto written = directory->write(name, *image, {.reach = Reach::memory}); !written) return std::move(written).error();
    return directory->path() + "/" + name;
}

Status DomainHost::remove_cloud_init(const types::Uuid& app) { return remove_from(root_.path(cloud_init_directory), cloud_init_name(app), Reach::memory); }

Status DomainHost::mark_active(const types::Uuid& app) {
    const auto directory = DurableDirectory::make(root_.path(active_directory));
    return directory ? directory->write(marker_name(app), "") : Status(directory.error());
}

Status DomainHost::clear_active(const types::Uuid& app) { return remove_from(root_.path(active_directory), marker_name(app), Reach::disk); }

}  // namespace eve::storage
