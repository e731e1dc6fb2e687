#include "guest/network.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/files.hpp"
#include "guest/devices.hpp"

namespace eve::kvm::guest {
namespace {

std::string interface_with(const std::string& mac) {
    std::string found;
    if (DIR* listing = ::opendir("/sys/class/net"); listing != nullptr) {
        while (const auto* entry = ::readdir(listing))
            if (entry->d_name[0] != '.' && text_of("/sys/class/net/" + std::string(entry->d_name) + "/address").starts_with(mac)) found = entry->d_name;
        ::closedir(listing);
    }
    return found;
}

bool rename_interface(const std::string& from, const std::string& to) {
    const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::memcpy(request.ifr_name, from.c_str(), std::min(from.size(), sizeof request.ifr_name - 1));
    std::memcpy(request.ifr_newname, to.c_str(), std::min(to.size(), sizeof request.ifr_newname - 1));
    return from == to || ::ioctl(socket.get(), SIOCSIFNAME, &request) == 0;
}

}  // namespace

Result<Network> Network::begin(const std::vector<std::string>& macs) {
    auto link = plugins::Rtnetlink::open();
    if (!link) return std::move(link).error();
    Network network(std::move(*link));
    if (const auto loopback = network.link_.index_of("lo"))
        if (auto up = network.link_.set_up(*loopback); !up) return std::move(up).error();
    // By way of names that the kernel gives nobody: another one may be called eth0 by now.
    for (std::size_t at = 0; at < macs.size(); ++at) {
        std::string mac = macs[at];
        std::transform(mac.begin(), mac.end(), mac.begin(), [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c; });
        std::string name;
        if (!eventually([&] { return !(name = interface_with(mac)).empty(); }, std::chrono::seconds{5}))
            return Error{.code = Code::not_found, .what = "no network interface has the address " + mac};
        if (!rename_interface(name, "eve" + std::to_string(at))) return plugins::file_error(name);
    }
    for (std::size_t at = 0; at < macs.size(); ++at) {
        const auto name = "eth" + std::to_string(at);
        if (!rename_interface("eve" + std::to_string(at), name)) return plugins::file_error(name);
        const auto index = network.link_.index_of(name);
        if (!index) return index.error();
        if (auto up = network.link_.set_up(*index); !up) return std::move(up).error();
        auto client = plugins::DhcpInterface::open(name, *index, macs[at], static_cast<std::uint32_t>(monotonic_ns()));
        if (!client) return std::move(client).error();
        network.interfaces_.push_back(std::move(*client));
    }
    if (!macs.empty()) {
        const UniqueFd file(::open(resolv_conf_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
        if (!file) return plugins::file_error(resolv_conf_path);
        ::fchmod(file.get(), 0644);
    }
    return network;
}

void Network::serve(std::int64_t now_ns) {
    bool changed = false;
    for (auto& interface : interfaces_)
        if (interface.serve(now_ns)) {
            interface.apply(link_, [](const Error&) {});  // a lease that the kernel does not take shows as a missing address
            changed = true;
        }
    if (!changed) return;
    std::vector<plugins::DhcpLease> leases;
    for (const auto& interface : interfaces_)
        if (interface.applied()) leases.push_back(*interface.applied());
    const auto text = plugins::resolv_conf(leases);
    const UniqueFd file(::open(resolv_conf_path, O_WRONLY | O_TRUNC | O_CLOEXEC));
    [[maybe_unused]] const auto written = ::write(file.get(), text.data(), text.size());
}

std::int64_t Network::wake_at() const {
    auto wake = std::numeric_limits<std::int64_t>::max();
    for (const auto& interface : interfaces_) wake = std::min(wake, interface.wake_at());
    return wake;
}

bool Network::has_all_addresses() const {
    return std::all_of(interfaces_.begin(), interfaces_.end(), [](const auto& interface) { return interface.applied().has_value(); });
}

std::vector<int> Network::fds() const {
    std::vector<int> fds;
    for (const auto& interface : interfaces_) fds.push_back(interface.fd());
    return fds;
}

}  // namespace eve::kvm::guest
