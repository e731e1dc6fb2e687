#include "tap.hpp"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>

#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace eve::kvm {
namespace {

Error failure(const std::string& what) {
    const int number = errno;
    const auto code = number == EPERM || number == EACCES ? Code::permission_denied
                      : number == EBUSY || number == EEXIST ? Code::already_exists
                      : number == ENODEV || number == ENOENT || number == EINVAL ? Code::failed_precondition
                      : number == ENOMEM || number == ENFILE || number == EMFILE ? Code::resource_exhausted
                                                                                 : Code::unavailable;
    return {.code = code, .what = what + ": " + std::strerror(number)};
}

std::optional<ifreq> request_for(const std::string& name) {
    ifreq request{};
    if (name.empty() || name.size() >= sizeof request.ifr_name) return std::nullopt;
    std::memcpy(request.ifr_name, name.c_str(), name.size() + 1);
    return request;
}

UniqueFd control_socket() { return UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)); }

Result<UniqueFd> attach(ifreq request, bool exclusive) {
    UniqueFd tun(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
    if (!tun) {
        if (errno == ENOENT || errno == ENXIO || errno == ENODEV)
            return Error{.code = Code::failed_precondition, .what = "/dev/net/tun is not there: this machine makes no tap interfaces"};
        return failure("/dev/net/tun");
    }
    const int flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (exclusive ? IFF_TUN_EXCL : 0);
    request.ifr_flags = static_cast<short>(flags);
    if (::ioctl(tun.get(), TUNSETIFF, &request) != 0) return failure(std::string("interface ") + request.ifr_name);
    return tun;
}

Status set_address(int control, ifreq request, const std::string& guest_mac) {
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    for (std::size_t byte = 0; byte < 6; ++byte) {
        std::uint8_t value = 0;
        std::from_chars(guest_mac.data() + byte * 3, guest_mac.data() + byte * 3 + 2, value, 16);
        request.ifr_hwaddr.sa_data[byte] = static_cast<char>(byte == 0 ? 0xfe : value);
    }
    if (::ioctl(control, SIOCSIFHWADDR, &request) != 0) return failure("address of its host's end");
    return {};
}

Status join(int control, const std::string& bridge, int index) {
    auto request = request_for(bridge);
    if (!request) return Error{.code = Code::failed_precondition, .what = "no bridge has the name '" + bridge + "'"};
    request->ifr_ifindex = index;
    if (::ioctl(control, SIOCBRADDIF, &*request) == 0) return {};
    if (errno == ENODEV) return Error{.code = Code::failed_precondition, .what = "there is no bridge " + bridge};
    if (errno == EOPNOTSUPP) return Error{.code = Code::failed_precondition, .what = bridge + " is not a bridge"};
    return failure("bridge " + bridge);
}

Status set_up(int control, const Tap& tap) {
    const auto named = *request_for(tap.name);
    if (tap.guest_mac.size() == 17)
        if (auto set = set_address(control, named, tap.guest_mac); !set) return set;
    if (tap.mtu != 0) {
        auto request = named;
        request.ifr_mtu = static_cast<int>(tap.mtu);
        if (::ioctl(control, SIOCSIFMTU, &request) != 0) return failure("MTU " + std::to_string(tap.mtu));
    }
    auto index = named;
    if (::ioctl(control, SIOCGIFINDEX, &index) != 0) return failure("its number");
    if (auto joined = join(control, tap.bridge, index.ifr_ifindex); !joined) return joined;
    auto flags = named;
    if (::ioctl(control, SIOCGIFFLAGS, &flags) != 0) return failure("its flags");
    flags.ifr_flags = static_cast<short>(flags.ifr_flags | IFF_UP);
    if (::ioctl(control, SIOCSIFFLAGS, &flags) != 0) return failure("up");
    return {};
}

}  // namespace

Result<UniqueFd> open_tap(const Tap& tap) {
    const auto request = request_for(tap.name);
    if (!request) return Error{.code = Code::invalid_argument, .what = "'" + tap.name + "' is no name of an interface"};
    auto tun = attach(*request, true);
    if (!tun) return tun;
    const auto control = control_socket();
    if (!control) return failure("socket");
    if (auto set = set_up(control.get(), tap); !set) return std::move(set).error().in("interface " + tap.name);
    return tun;
}

Status remove_tap(const std::string& name) {
    const auto request = request_for(name);
    if (!request || !interface_exists(name)) return {};
    // Attaching proves that it is a tap that nobody uses; without persistence it goes with our descriptor.
    auto tun = attach(*request, false);
    if (!tun) {
        auto error = std::move(tun).error();
        if (error.code == Code::already_exists) error.code = Code::unavailable;
        return error;
    }
    if (::ioctl(tun->get(), TUNSETPERSIST, 0) != 0) return failure("interface " + name);
    return {};
}

bool interface_exists(const std::string& name) {
    auto request = request_for(name);
    const auto control = control_socket();
    return request && control && ::ioctl(control.get(), SIOCGIFINDEX, &*request) == 0;
}

}  // namespace eve::kvm
