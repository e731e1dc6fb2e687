#include "storage/domain_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <optional>

#include "core/loop/unique_fd.hpp"
#include "storage/cidata_image.hpp"
#include "storage/durable_file.hpp"
#include "storage/usb_devices.hpp"

namespace eve::storage {

namespace {

constexpr const char* cloud_init_directory = "/run/domainmgr/cloudinit";
constexpr const char* active_directory = "/persist/vault/active-app-instance-config";
constexpr std::size_t proc_bytes_max = 64 * 1024;
constexpr std::size_t iso_mark_at = 0x8001;

/// Reads a file of /proc, whose size is not known before. Nothing if it cannot be read.
std::string read_proc(const std::string& path) {
    const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::string text;
    std::array<char, 4096> part{};
    while (fd.get() >= 0 && text.size() < proc_bytes_max) {
        const ssize_t got = read(fd.get(), part.data(), part.size());
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        text.append(part.data(), static_cast<std::size_t>(got));
    }
    return text;
}

/// The number after `name` in "Name:   123 kB" lines.
std::optional<std::uint64_t> kib_of(std::string_view text, std::string_view name) {
    std::size_t at = text.starts_with(name) ? 0 : text.find("\n" + std::string(name));
    if (at == std::string_view::npos) return std::nullopt;
    at = text.find_first_of("0123456789", at + name.size());
    std::uint64_t number = 0;
    if (at == std::string_view::npos || std::from_chars(text.data() + at, text.data() + text.size(), number).ec != std::errc{}) return std::nullopt;
    return number;
}

std::string marker_of(const types::Uuid& app) { return app.to_string() + ".json"; }
std::string disk_of(const types::Uuid& app) { return app.to_string() + ".cidata"; }

}  // namespace

types::Format image_format(std::string_view start) {
    using types::Format;
    if (start.starts_with(std::string_view("QFI\xfb\0\0\0\1", 8))) return Format::QCOW;
    if (start.starts_with("QFI\xfb")) return Format::QCOW2;
    if (start.starts_with("KDMV") || start.starts_with("COWD")) return Format::VMDK;
    if (start.starts_with("vhdxfile")) return Format::VHDX;
    if (start.starts_with("conectix")) return Format::VHD;
    if (start.size() >= iso_mark_at + 5 && start.substr(iso_mark_at, 5) == "CD001") return Format::ISO;
    return Format::RAW;
}

DomainFiles::DomainFiles(Root root, std::string proc) : root_(std::move(root)), proc_(std::move(proc)) {
    for (const char* path : {cloud_init_directory, active_directory})
        if (const auto directory = DurableDirectory::open(root_.path(path))) directory->remove_temporaries();
}

Result<std::vector<domainmgr::UsbDevice>> DomainFiles::usb_devices() { return read_usb_devices("/sys/bus/usb/devices"); }

Result<types::HostMemory> DomainFiles::memory() {
    const std::string memory = read_proc(proc_ + "/meminfo");
    const auto total = kib_of(memory, "MemTotal:");
    const auto available = kib_of(memory, "MemAvailable:");
    if (!total || !available) return Error{.code = Code::unavailable, .what = proc_ + "/meminfo does not say how much memory there is"};
    types::HostMemory host;
    host.TotalMemoryMB = *total / 1024;
    host.FreeMemoryMB = *available / 1024;
    host.UsedEveMB = kib_of(read_proc(proc_ + "/self/status"), "VmRSS:").value_or(0) / 1024;
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    host.Ncpus = cpus > 0 ? static_cast<std::uint32_t>(cpus) : 1;
    return host;
}

std::uint32_t DomainFiles::reserved_cpus() {
    constexpr std::string_view name = "eve_max_vcpus=";
    const std::string line = " " + read_proc(proc_ + "/cmdline");
    const auto at = line.find(" " + std::string(name));
    std::uint32_t number = 0;
    if (at == std::string::npos) return 1;
    const char* from = line.data() + at + 1 + name.size();
    const auto read = std::from_chars(from, line.data() + line.size(), number);
    const bool whole = read.ec == std::errc{} && (read.ptr == line.data() + line.size() || *read.ptr == ' ' || *read.ptr == '\n');
    return whole && number > 0 ? number : 1;
}

Result<types::Format> DomainFiles::disk_format(const std::string& path) {
    const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (fd.get() < 0) return error_of(errno, "open " + path);
    struct stat about {};
    if (fstat(fd.get(), &about) != 0) return error_of(errno, path);
    if (!S_ISREG(about.st_mode) && !S_ISBLK(about.st_mode))
        return Error{.code = Code::failed_precondition, .what = path + " is neither a file nor a block device"};
    std::string start(iso_mark_at + 5, '\0');
    std::size_t have = 0;
    while (have < start.size()) {
        const ssize_t got = pread(fd.get(), start.data() + have, start.size() - have, static_cast<off_t>(have));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return error_of(errno, "read " + path);
        if (got == 0) break;
        have += static_cast<std::size_t>(got);
    }
    return image_format(std::string_view(start).substr(0, have));
}

Result<std::string> DomainFiles::write_cloud_init(const domainmgr::CloudInitDisk& disk) {
    auto image = cidata_image(disk);
    if (!image) return std::move(image).error();
    auto directory = DurableDirectory::make(root_.path(cloud_init_directory));
    if (!directory) return std::move(directory).error();
    const std::string name = disk_of(disk.app);
    if (auto written = directory->write(name, *image, {.reach = Reach::memory}); !written) return std::move(written).error();
    return root_.path(std::string(cloud_init_directory) + "/" + name);
}

Status DomainFiles::remove_cloud_init(const types::Uuid& app) {
    auto directory = DurableDirectory::open(root_.path(cloud_init_directory));
    if (!directory) return directory.error().code == Code::not_found ? Status{} : std::move(directory).error();
    return directory->remove(disk_of(app), {.reach = Reach::memory});
}

// Empty files: there is nothing in them to sync, only their names.
Status DomainFiles::set_active(const std::vector<domainmgr::ActiveMark>& marks) {
    auto directory = DurableDirectory::make(root_.path(active_directory));
    if (!directory) return std::move(directory).error();
    Status result;
    for (const auto& mark : marks) {
        const auto name = marker_of(mark.app);
        const auto set = mark.active ? directory->write(name, "", {.reach = Reach::memory}) : directory->remove(name, {.reach = Reach::memory});
        if (!set && result) result = set;
    }
    const auto synced = directory->sync();
    return result ? synced : result;
}

}  // namespace eve::storage
