#include "libxl_calls.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

namespace eve::xen {
namespace {

constexpr std::size_t errors_max = 360;
constexpr const char* userdata_name = "evenode";
constexpr std::size_t userdata_max = 512U << 10;
constexpr int pollfds_max = 256;

/// "file.c:12:function: Domain 3:what" is about what.
std::string_view without_origin(std::string_view text) {
    const auto at = text.find(": ");
    if (at != std::string_view::npos && text.substr(0, at).find(".c:") != std::string_view::npos) text.remove_prefix(at + 2);
    if (text.starts_with("Domain ")) {
        const auto colon = text.find(':');
        if (colon != std::string_view::npos && colon < 20) text.remove_prefix(colon + 1);
    }
    return text;
}

void take_message(xentoollog_logger* logger, xentoollog_level level, int errnoval, const char*, const char* format, va_list arguments) {
    if (level < XTL_ERROR) return;
    auto& log = *static_cast<CallLog*>(logger);
    std::array<char, 1024> line{};
    std::vsnprintf(line.data(), line.size(), format, arguments);
    auto text = std::string(without_origin(line.data()));
    if (errnoval >= 0) text += std::string(": ") + std::strerror(errnoval);
    std::replace_if(text.begin(), text.end(), [](unsigned char c) { return c < 0x20; }, ' ');
    if (log.errors.size() + text.size() + 2 > errors_max) return;  // the first ones are the cause
    log.errors += (log.errors.empty() ? "" : "; ") + text;
}

Code code_of_rc(int rc) {
    switch (rc) {
        case ERROR_NOMEM: return Code::resource_exhausted;
        case ERROR_DOMAIN_NOTFOUND: return Code::not_found;
        case ERROR_TIMEDOUT: return Code::timed_out;
        case ERROR_INVAL: return Code::failed_precondition;
        default: return Code::unavailable;
    }
}

char* copy(const std::string& text) { return text.empty() ? nullptr : ::strdup(text.c_str()); }
template <class T> T* array_of(std::size_t count) { return count == 0 ? nullptr : static_cast<T*>(std::calloc(count, sizeof(T))); }

SeenDomain seen(const libxl_dominfo& info) {
    SeenDomain domain{.domid = info.domid,
                      .paused = info.paused,
                      .shut_down = info.shutdown,
                      .why = info.shutdown_reason >= 0 && info.shutdown_reason <= 5 ? static_cast<Shutdown>(info.shutdown_reason) : Shutdown::other,
                      .dying = info.dying,
                      .vcpus = info.vcpu_online,
                      .memory_kib = info.current_memkb,
                      .memory_max_kib = info.max_memkb,
                      .cpu_ns = info.cpu_time};
    constexpr std::string_view digits = "0123456789abcdef";
    for (std::size_t i = 0; i < sizeof info.uuid.uuid; ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) domain.uuid += '-';
        domain.uuid += digits[info.uuid.uuid[i] >> 4];
        domain.uuid += digits[info.uuid.uuid[i] & 15];
    }
    return domain;
}

}  // namespace

CallLog::CallLog()
    : xentoollog_logger{.vmessage = take_message,
                        .progress = [](xentoollog_logger*, const char*, const char*, int, unsigned long, unsigned long) {},
                        .destroy = [](xentoollog_logger*) {}} {}

Result<std::unique_ptr<Session>> Session::open(const Libxl& libxl) {
    if (::access("/dev/xen/privcmd", F_OK) != 0 && ::access("/proc/xen/privcmd", F_OK) != 0)
        return Error{.code = Code::unsupported, .what = "this machine does not run under Xen, or is not its control domain (no /dev/xen/privcmd)"};
    std::unique_ptr<Session> session(new Session(libxl));
    const int rc = libxl.libxl_ctx_alloc(&session->context_, LIBXL_VERSION, 0, &session->log_);
    if (rc != 0) {
        session->context_ = nullptr;
        return session->failure(rc, "Xen cannot be controlled");
    }
    return session;
}

Session::~Session() {
    if (context_ != nullptr) libxl_.libxl_ctx_free(context_);
}

Error Session::failure(int code, const std::string& what) {
    auto text = what + (log_.errors.empty() ? " (libxl says " + std::to_string(code) + ")" : ": " + log_.errors);
    log_.errors.clear();
    return {.code = code_of_rc(code), .what = std::move(text)};
}

Result<SeenHost> Session::host() {
    libxl_physinfo info;
    libxl_.libxl_physinfo_init(&info);
    const int rc = libxl_.libxl_get_physinfo(context_, &info);
    if (rc != 0) return failure(rc, "Xen does not describe the machine");
    SeenHost host{.memory_kib = info.total_pages * 4,
                  .memory_free_kib = (info.free_pages + info.scrub_pages) * 4,
                  .cpus = info.nr_cpus,
                  .cpu_id_max = info.max_cpu_id,
                  .hvm = info.cap_hvm,
                  .directio = info.cap_hvm_directio};
    libxl_.libxl_physinfo_dispose(&info);
    if (const auto* version = libxl_.libxl_get_version_info(context_))
        host.version = std::to_string(version->xen_version_major) + "." + std::to_string(version->xen_version_minor) +
                       (version->xen_version_extra != nullptr ? version->xen_version_extra : "");
    return host;
}

Result<std::vector<SeenDomain>> Session::domains() {
    int count = 0;
    auto* list = libxl_.libxl_list_domain(context_, &count);
    if (list == nullptr) return failure(ERROR_FAIL, "Xen does not list its domains");
    std::vector<SeenDomain> domains;
    for (int i = 0; i < count; ++i)
        if (list[i].domid != 0) domains.push_back(seen(list[i]));
    libxl_.libxl_dominfo_list_free(list, count);
    return domains;
}

Result<SeenDomain> Session::domain(std::uint32_t domid) {
    libxl_dominfo info;
    libxl_.libxl_dominfo_init(&info);
    const int rc = libxl_.libxl_domain_info(context_, &info, domid);
    if (rc != 0) {
        auto error = failure(rc, "domain " + std::to_string(domid));
        return error;
    }
    auto domain = seen(info);
    libxl_.libxl_dominfo_dispose(&info);
    return domain;
}

Status Session::power_button(std::uint32_t domid) {
    const int rc = libxl_.libxl_send_trigger(context_, domid, LIBXL_TRIGGER_POWER, 0, nullptr);
    if (rc != 0) return failure(rc, "the power button cannot be pressed");
    return {};
}

Status Session::give_back(const XenPci& device) {
    void* control = libxl_.xc_interface_open(&log_, &log_, 0);
    if (control == nullptr) return failure(ERROR_FAIL, "Xen's hypercalls cannot be made");
    constexpr std::uint32_t quarantine = 0x7ff1;  // DOMID_IO of Xen's public headers
    const int rc = libxl_.xc_deassign_device(control, quarantine, device.domain << 16 | device.bus << 8 | device.device << 3 | device.function);
    const int reason = errno;
    libxl_.xc_interface_close(control);
    // ENODEV: it is not in quarantine; ENOSYS: there is no IOMMU.
    if (rc == 0 || reason == ENODEV || reason == ENOSYS) return {};
    return failure(ERROR_FAIL, std::string("Xen keeps the device in quarantine: ") + std::strerror(reason));
}

/// libxl's own record; every string and array in it is the C heap's, as its disposal expects.
class Session::Config {
public:
    Config(const Libxl& libxl, libxl_ctx* context, const XenConfig& from) : libxl_(libxl), context_(context) {
        libxl_.libxl_domain_config_init(&config_);
        fill(from);
        disks(from);
        nics(from);
        pcis(from);
        if (from.type == DomainType::hvm) machine(from);
        else if (from.screen) frame_buffer(*from.screen);
    }
    ~Config() { libxl_.libxl_domain_config_dispose(&config_); }
    Config(const Config&) = delete;
    Config& operator=(const Config&) = delete;
    libxl_domain_config* get() { return &config_; }

private:
    void fill(const XenConfig& from) {
        const auto type = from.type == DomainType::pv ? LIBXL_DOMAIN_TYPE_PV : from.type == DomainType::pvh ? LIBXL_DOMAIN_TYPE_PVH : LIBXL_DOMAIN_TYPE_HVM;
        auto& create = config_.c_info;
        create.type = type;
        create.name = copy(from.name);
        libxl_.libxl_uuid_from_string(&create.uuid, from.uuid.c_str());
        libxl_.libxl_defbool_set(&create.run_hotplug_scripts, true);
        auto& build = config_.b_info;
        libxl_.libxl_domain_build_info_init_type(&build, type);
        build.max_vcpus = static_cast<int>(from.vcpus_max);
        libxl_.libxl_cpu_bitmap_alloc(context_, &build.avail_vcpus, build.max_vcpus);
        for (std::uint32_t vcpu = 0; vcpu < from.vcpus; ++vcpu) libxl_.libxl_bitmap_set(&build.avail_vcpus, static_cast<int>(vcpu));
        build.max_memkb = from.memory_max_kib;
        build.target_memkb = from.memory_kib;
        build.kernel = copy(from.kernel);
        build.ramdisk = copy(from.ramdisk);
        build.cmdline = copy(from.command_line);
        if (!from.affinity.empty()) {
            build.vcpu_hard_affinity = array_of<libxl_bitmap>(from.affinity.size());
            build.num_vcpu_hard_affinity = static_cast<int>(from.affinity.size());
            for (std::size_t vcpu = 0; vcpu < from.affinity.size(); ++vcpu) {
                auto* map = &build.vcpu_hard_affinity[vcpu];
                libxl_.libxl_bitmap_init(map);
                if (libxl_.libxl_cpu_bitmap_alloc(context_, map, 0) != 0) continue;
                for (const auto cpu : from.affinity[vcpu]) libxl_.libxl_bitmap_set(map, static_cast<int>(cpu));
            }
            libxl_.libxl_defbool_set(&build.numa_placement, false);
        }
        // A domain that ended stays until the node has seen why.
        config_.on_poweroff = config_.on_reboot = config_.on_watchdog = config_.on_crash = config_.on_soft_reset = LIBXL_ACTION_ON_SHUTDOWN_PRESERVE;
    }

    void disks(const XenConfig& from) {
        config_.disks = array_of<libxl_device_disk>(from.disks.size());
        for (const auto& disk : from.disks) {
            auto& to = config_.disks[config_.num_disks++];
            libxl_.libxl_device_disk_init(&to);
            to.pdev_path = copy(disk.path);
            to.vdev = copy(disk.vdev);
            to.format = disk.format == "qcow"    ? LIBXL_DISK_FORMAT_QCOW
                        : disk.format == "qcow2" ? LIBXL_DISK_FORMAT_QCOW2
                        : disk.format == "vhd"   ? LIBXL_DISK_FORMAT_VHD
                                                 : LIBXL_DISK_FORMAT_RAW;
            to.readwrite = disk.read_only ? 0 : 1;
            to.is_cdrom = disk.cdrom ? 1 : 0;
            to.removable = to.is_cdrom;
        }
    }

    void nics(const XenConfig& from) {
        config_.nics = array_of<libxl_device_nic>(from.nics.size());
        for (const auto& nic : from.nics) {
            auto& to = config_.nics[config_.num_nics];
            libxl_.libxl_device_nic_init(&to);
            to.devid = config_.num_nics++;
            to.bridge = copy(nic.bridge);
            to.ifname = copy(nic.name);
            to.script = copy(nic.script);
            to.nictype = nic.emulated ? LIBXL_NIC_TYPE_VIF_IOEMU : LIBXL_NIC_TYPE_VIF;
            if (nic.mtu != 0) to.mtu = static_cast<int>(nic.mtu);
            for (std::size_t i = 0; i < 6; ++i) to.mac[i] = static_cast<std::uint8_t>(std::stoul(nic.mac.substr(3 * i, 2), nullptr, 16));
        }
    }

    void pcis(const XenConfig& from) {
        config_.pcidevs = array_of<libxl_device_pci>(from.pcis.size());
        for (const auto& pci : from.pcis) {
            auto& to = config_.pcidevs[config_.num_pcidevs++];
            libxl_.libxl_device_pci_init(&to);
            to.domain = static_cast<int>(pci.domain);
            to.bus = static_cast<std::uint8_t>(pci.bus);
            to.dev = static_cast<std::uint8_t>(pci.device);
            to.func = static_cast<std::uint8_t>(pci.function);
            to.permissive = pci.permissive;
            if (pci.relaxed_memory) to.rdm_policy = LIBXL_RDM_RESERVE_POLICY_RELAXED;
        }
        if (!from.pcis.empty() && from.type == DomainType::pv) libxl_.libxl_defbool_set(&config_.b_info.u.pv.e820_host, true);
    }

    void screen(libxl_vnc_info& vnc, const XenScreen& from) {
        libxl_.libxl_defbool_set(&vnc.enable, true);
        libxl_.libxl_defbool_set(&vnc.findunused, false);
        vnc.listen = copy(from.listen);
        vnc.display = static_cast<int>(from.display);
        vnc.passwd = copy(from.password.value);
    }

    void machine(const XenConfig& from) {
        auto& hvm = config_.b_info.u.hvm;
        config_.b_info.device_model_version = LIBXL_DEVICE_MODEL_VERSION_QEMU_XEN;
        hvm.boot = ::strdup("dc");
        hvm.hdtype = from.ahci ? LIBXL_HDTYPE_AHCI : LIBXL_HDTYPE_IDE;
        if (!from.uefi.empty()) {
            hvm.bios = LIBXL_BIOS_TYPE_OVMF;
            hvm.system_firmware = copy(from.uefi);
        }
        hvm.serial_list = array_of<char*>(from.serials.size() + 1);
        for (std::size_t i = 0; i < from.serials.size(); ++i) hvm.serial_list[i] = copy(from.serials[i]);
        if (from.screen) {
            screen(hvm.vnc, *from.screen);
            libxl_.libxl_defbool_set(&hvm.usb, true);
            hvm.usbdevice_list = array_of<char*>(2);
            hvm.usbdevice_list[0] = ::strdup("tablet");
        } else {
            libxl_.libxl_defbool_set(&hvm.vnc.enable, false);
            libxl_.libxl_defbool_set(&hvm.nographic, true);
            hvm.vga.kind = LIBXL_VGA_INTERFACE_TYPE_NONE;
            config_.b_info.video_memkb = 0;
        }
    }

    void frame_buffer(const XenScreen& from) {
        config_.vfbs = array_of<libxl_device_vfb>(1);
        config_.vkbs = array_of<libxl_device_vkb>(1);
        config_.num_vfbs = config_.num_vkbs = 1;
        libxl_.libxl_device_vfb_init(config_.vfbs);
        libxl_.libxl_device_vkb_init(config_.vkbs);
        screen(config_.vfbs->vnc, from);
    }

    const Libxl& libxl_;
    libxl_ctx* context_;
    libxl_domain_config config_{};
};

Status Session::has_memory_for(const XenConfig& config) {
    Config made(libxl_, context_, config);
    std::uint64_t needed = 0;
    const int rc = libxl_.libxl_domain_need_memory(context_, made.get(), 0, &needed);
    if (rc != 0) return failure(rc, "the memory that the domain needs cannot be told");
    auto seen = host();
    if (!seen) return std::move(seen).error();
    if (needed <= seen->memory_free_kib) return {};
    return Error{.code = Code::resource_exhausted,
                 .what = "the domain needs " + std::to_string((needed + 1023) / 1024) + " MiB of memory and Xen has " + std::to_string(seen->memory_free_kib / 1024) + " MiB left"};
}

Result<std::uint32_t> Session::create(const XenConfig& config, const std::string& keep) {
    Config made(libxl_, context_, config);
    std::uint32_t domid = 0;
    int rc = libxl_.libxl_domain_create_new(context_, made.get(), &domid, nullptr, nullptr);
    if (rc != 0) return failure(rc, "Xen cannot make the domain");
    if (keep.size() > userdata_max) return domid;
    rc = libxl_.libxl_userdata_store(context_, domid, userdata_name, reinterpret_cast<const std::uint8_t*>(keep.data()), static_cast<int>(keep.size()));
    if (rc != 0) {
        auto error = failure(rc, "what the node says of the domain cannot be kept beside it");
        libxl_.libxl_domain_destroy(context_, domid, nullptr);
        return error;
    }
    return domid;
}

Status Session::unpause(std::uint32_t domid) {
    const int rc = libxl_.libxl_domain_unpause(context_, domid, nullptr);
    if (rc != 0) return failure(rc, "Xen cannot let the domain run");
    return {};
}

Status Session::destroy(std::uint32_t domid) {
    const int rc = libxl_.libxl_domain_destroy(context_, domid, nullptr);
    if (rc != 0 && rc != ERROR_DOMAIN_NOTFOUND) return failure(rc, "Xen cannot destroy the domain");
    return {};
}

Result<std::string> Session::kept(std::uint32_t domid) {
    std::uint8_t* data = nullptr;
    int size = 0;
    const int rc = libxl_.libxl_userdata_retrieve(context_, domid, userdata_name, &data, &size);
    if (rc != 0) return failure(rc, "what is kept of the domain cannot be read");
    std::string text(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size));
    std::free(data);
    return text;
}

void Session::report_ends(int socket) {
    std::map<std::uint32_t, libxl_evgen_domain_death*> watches;
    while (true) {
        libxl_event* event = nullptr;
        while (libxl_.libxl_event_check(context_, &event, LIBXL_EVENTMASK_ALL, nullptr, nullptr) == 0) {
            const std::uint32_t domid = event->domid;
            libxl_.libxl_event_free(context_, event);
            if (const auto watch = watches.find(domid); watch != watches.end()) {
                libxl_.libxl_evdisable_domain_death(context_, watch->second);
                watches.erase(watch);
            }
            if (::send(socket, &domid, sizeof domid, MSG_NOSIGNAL) < 0) return;
        }
        std::array<pollfd, pollfds_max> polled{};
        int count = pollfds_max - 1;
        int wait_ms = -1;
        timeval now{};
        ::gettimeofday(&now, nullptr);
        if (libxl_.libxl_osevent_beforepoll(context_, &count, polled.data(), &wait_ms, now) != 0) return;
        const auto last = static_cast<std::size_t>(count);
        polled[last] = {.fd = socket, .events = POLLIN, .revents = 0};
        ::poll(polled.data(), last + 1, wait_ms);
        ::gettimeofday(&now, nullptr);
        libxl_.libxl_osevent_afterpoll(context_, count, polled.data(), now);
        if (polled[last].revents == 0) continue;
        std::uint32_t domid = 0;
        if (::recv(socket, &domid, sizeof domid, 0) != sizeof domid) return;
        if (watches.contains(domid)) continue;
        libxl_evgen_domain_death* watch = nullptr;
        if (libxl_.libxl_evenable_domain_death(context_, domid, 0, &watch) == 0) watches[domid] = watch;
        // Of one that ended before, libxl says nothing until another one ends.
        const auto seen_now = this->domain(domid);
        if ((!seen_now || seen_now->shut_down || seen_now->dying) && ::send(socket, &domid, sizeof domid, MSG_NOSIGNAL) < 0) return;
    }
}

}  // namespace eve::xen
