#pragma once
// libxenlight, opened when it is needed: a node without Xen has none, and its struct layouts are its version's, so only the version that we
// were compiled against will do. Every function of it that we call is in this table and nowhere else.

#include <string>

// libxl.h guards no C++.
extern "C" {
#include <libxl.h>
#include <libxl_event.h>
#include <libxl_utils.h>
}

#include "eve/result.hpp"

namespace eve::xen {

#define EVE_LIBXL_FUNCTIONS(use)                                                                                                             \
    use(libxl_ctx_alloc) use(libxl_ctx_free) use(libxl_get_version_info) use(libxl_get_physinfo) use(libxl_physinfo_init)                    \
    use(libxl_physinfo_dispose) use(libxl_list_domain) use(libxl_dominfo_list_free) use(libxl_domain_info) use(libxl_dominfo_init)           \
    use(libxl_dominfo_dispose) use(libxl_domain_config_init) use(libxl_domain_config_dispose) use(libxl_domain_build_info_init_type)        \
    use(libxl_cpu_bitmap_alloc) use(libxl_bitmap_set) use(libxl_bitmap_init) use(libxl_bitmap_dispose) use(libxl_defbool_set)                \
    use(libxl_uuid_from_string) use(libxl_device_disk_init) use(libxl_device_nic_init) use(libxl_device_pci_init) use(libxl_device_vfb_init) \
    use(libxl_device_vkb_init) use(libxl_domain_need_memory) use(libxl_domain_create_new) use(libxl_domain_unpause) use(libxl_domain_destroy) \
    use(libxl_send_trigger) use(libxl_userdata_store) use(libxl_userdata_retrieve) use(libxl_evenable_domain_death)                          \
    use(libxl_evdisable_domain_death) use(libxl_event_check) use(libxl_event_free) use(libxl_osevent_beforepoll) use(libxl_osevent_afterpoll)

/// The functions, by their own names.
struct Libxl {
#define EVE_MEMBER(name) decltype(&::name) name = nullptr;
    EVE_LIBXL_FUNCTIONS(EVE_MEMBER)
    // Of libxenctrl, which libxl needs and brings: its header is no C++.
    void* (*xc_interface_open)(xentoollog_logger*, xentoollog_logger*, unsigned) = nullptr;
    int (*xc_interface_close)(void*) = nullptr;
    int (*xc_deassign_device)(void*, std::uint32_t domid, std::uint32_t device) = nullptr;
#undef EVE_MEMBER
};

/// The library, loaded for the life of the process.
///
/// Errors: unsupported - it is not installed, or is another version.
Result<Libxl> load_libxl();

}  // namespace eve::xen
