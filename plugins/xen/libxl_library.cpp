#include "libxl_library.hpp"

#include <dlfcn.h>

namespace eve::xen {

Result<Libxl> load_libxl() {
    // Never closed: a library that starts threads does not survive it.
    void* library = ::dlopen(EVE_LIBXL_SONAME, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library == nullptr)
        return Error{.code = Code::unsupported,
                     .what = "Xen's library " EVE_LIBXL_SONAME " is not here",
                     .hint = "on a Xen machine install libxenmisc of the version that this plugin was built with"};
    Libxl libxl;
#define EVE_RESOLVE(name)                                                                                          \
    libxl.name = reinterpret_cast<decltype(libxl.name)>(::dlsym(library, #name));                                  \
    if (libxl.name == nullptr) return Error{.code = Code::unsupported, .what = EVE_LIBXL_SONAME " has no " #name};
    EVE_LIBXL_FUNCTIONS(EVE_RESOLVE)
    EVE_RESOLVE(xc_interface_open)
    EVE_RESOLVE(xc_interface_close)
    EVE_RESOLVE(xc_deassign_device)
#undef EVE_RESOLVE
    return libxl;
}

}  // namespace eve::xen
