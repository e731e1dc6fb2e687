#pragma once
// The host as domainmgr asks it: memory, formats of disks, cloud-init disks, markers of apps that were active.

#include <string>

#include "core/domainmgr/effects.hpp"
#include "core/loop/root.hpp"

namespace eve::storage {

/// Markers are /persist/vault/active-app-instance-config/<uuid>.json, disks /run/domainmgr/cloudinit/<uuid>.cidata.
class DomainFiles final : public domainmgr::Host {
public:
    /// What an earlier life left half written is gone.
    explicit DomainFiles(Root root, std::string proc = "/proc");

    Result<types::HostMemory> memory() override;
    std::uint32_t reserved_cpus() override;
    Result<types::Format> disk_format(const std::string& path) override;
    Result<std::string> write_cloud_init(const domainmgr::CloudInitDisk& disk) override;
    Status remove_cloud_init(const types::Uuid& app) override;
    Status set_active(const std::vector<domainmgr::ActiveMark>& marks) override;
    Result<std::vector<domainmgr::UsbDevice>> usb_devices() override;

private:
    Root root_;
    std::string proc_;
};

/// The format of which `start` are an image's first bytes; RAW for anything without a mark.
types::Format image_format(std::string_view start);

}  // namespace eve::storage
