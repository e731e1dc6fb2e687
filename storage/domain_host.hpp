#pragma once
// What domainmgr asks of the machine: its memory, what format a disk has, cloud-init disks and the markers of active apps.

#include "core/domainmgr/effects.hpp"
#include "core/loop/root.hpp"

namespace eve::storage {

/// Files under ROOT/run/domainmgr and ROOT/persist/vault. [lane]
class DomainHost final : public domainmgr::Host {
public:
    explicit DomainHost(Root root) : root_(std::move(root)) {}

    Result<types::HostMemory> memory() override;
    Result<types::Format> disk_format(const std::string& path) override;
    Result<std::string> write_cloud_init(const domainmgr::CloudInitDisk& disk) override;
    Status remove_cloud_init(const types::Uuid& app) override;
    Status mark_active(const types::Uuid& app) override;
    Status clear_active(const types::Uuid& app) override;

private:
    Root root_;
};

/// An ISO 9660 image (Joliet and Rock Ridge) labelled "cidata" with these files, in memory. Errors: invalid_argument - a path that leads out.
Result<std::string> cloud_init_image(const domainmgr::CloudInitDisk& disk);

/// The numbers of a /proc/meminfo text.
types::HostMemory parse_meminfo(const std::string& text);

/// The format of which `start`, the first bytes of a disk, has the mark; RAW without one.
types::Format format_of(std::string_view start);

}  // namespace eve::storage
