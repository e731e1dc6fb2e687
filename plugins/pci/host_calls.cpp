#include "host_calls.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/vfio.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <vector>

#include "common/unique_fd.hpp"

namespace eve::pci {
namespace {

using plugins::UniqueFd;

struct CloseDirectory {
    void operator()(DIR* directory) const { ::closedir(directory); }
};
using OpenDirectory = std::unique_ptr<DIR, CloseDirectory>;

bool is_number(const char* text) { return *text != '\0' && std::strspn(text, "0123456789") == std::strlen(text); }

/// The groups that processes have open, with the process as people know it.
std::map<std::string, std::string> processes_with_groups(const std::string& directory_of_groups) {
    std::map<std::string, std::string> found;
    const auto opened = [](const std::string& path) { return OpenDirectory(::opendir(path.c_str())); };
    const auto processes = opened("/proc");
    if (!processes) return found;
    while (const dirent* process = ::readdir(processes.get())) {
        if (!is_number(process->d_name)) continue;
        const std::string directory = std::string("/proc/") + process->d_name;
        const auto files = opened(directory + "/fd");
        if (!files) continue;
        while (const dirent* entry = ::readdir(files.get())) {
            std::array<char, 256> target{};
            const auto size = ::readlink((directory + "/fd/" + entry->d_name).c_str(), target.data(), target.size());
            if (size < 0) continue;
            const std::string file(target.data(), static_cast<std::size_t>(size));
            if (!file.starts_with(directory_of_groups + "/")) continue;
            const auto group = file.substr(directory_of_groups.size() + 1);
            if (!is_number(group.c_str())) continue;
            std::string name;
            std::ifstream(directory + "/comm") >> name;
            found.emplace(group, (name.empty() ? "a process" : name) + ", pid " + process->d_name);
        }
    }
    return found;
}

/// One netlink message under construction.
class Message {
public:
    Message(std::uint16_t type, int index) {
        nlmsghdr head{};
        head.nlmsg_type = type;
        head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
        add(head);
        ifinfomsg info{};
        info.ifi_family = AF_UNSPEC;
        info.ifi_index = index;
        add(info);
    }
    ifinfomsg* info() { return reinterpret_cast<ifinfomsg*>(bytes_.data() + NLMSG_HDRLEN); }
    template <class T> void attribute(std::uint16_t type, const T& value) {
        const auto at = open(type);
        add(value);
        close(at);
    }
    std::size_t open(std::uint16_t type) {
        const auto at = bytes_.size();
        rtattr head{};
        head.rta_type = type;
        add(head);
        return at;
    }
    void close(std::size_t at) { reinterpret_cast<rtattr*>(bytes_.data() + at)->rta_len = static_cast<std::uint16_t>(bytes_.size() - at); }

    Status send(const std::string& what) {
        const UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
        if (socket.get() < 0) return error(what, errno);
        reinterpret_cast<nlmsghdr*>(bytes_.data())->nlmsg_len = static_cast<std::uint32_t>(bytes_.size());
        if (::send(socket.get(), bytes_.data(), bytes_.size(), 0) < 0) return error(what, errno);
        alignas(nlmsghdr) std::array<char, 4096> answer{};
        const auto got = ::recv(socket.get(), answer.data(), answer.size(), 0);
        if (got < 0) return error(what, errno);
        const auto* head = reinterpret_cast<const nlmsghdr*>(answer.data());
        if (static_cast<std::size_t>(got) < NLMSG_HDRLEN + sizeof(nlmsgerr) || head->nlmsg_type != NLMSG_ERROR) return error(what, EBADMSG);
        const int number = -reinterpret_cast<const nlmsgerr*>(answer.data() + NLMSG_HDRLEN)->error;
        if (number != 0) return error(what, number);
        return {};
    }

private:
    template <class T> void add(const T& value) {
        const auto* from = reinterpret_cast<const char*>(&value);
        bytes_.insert(bytes_.end(), from, from + sizeof value);
        bytes_.resize((bytes_.size() + 3) & ~std::size_t{3});
    }
    static Error error(const std::string& what, int number) {
        return {.code = number == EPERM ? Code::permission_denied : Code::unavailable, .what = what + ": " + std::strerror(number)};
    }
    std::vector<char> bytes_;
};

Result<int> index_of(const std::string& interface) {
    const auto index = ::if_nametoindex(interface.c_str());
    if (index == 0) return Error{.code = Code::not_found, .what = "no network interface " + interface};
    return static_cast<int>(index);
}

}  // namespace

std::map<std::string, std::string> DeviceVfio::holders() { return processes_with_groups(directory_); }

bool DeviceVfio::busy(const std::string& group) {
    const UniqueFd opened(::open((directory_ + "/" + group).c_str(), O_RDWR | O_CLOEXEC));
    return opened.get() < 0 && errno == EBUSY;
}

Status DeviceVfio::try_out(const std::string& group) {
    const auto lacks = [](std::string what, std::string hint = {}) {
        return Error{.code = Code::failed_precondition, .what = std::move(what), .hint = std::move(hint)};
    };
    const auto file = directory_ + "/" + group;
    const UniqueFd opened(::open(file.c_str(), O_RDWR | O_CLOEXEC));
    if (opened.get() < 0) return lacks(file + ": " + std::strerror(errno), "the kernel makes it when a device of the group is bound to vfio-pci");
    const UniqueFd container(::open((directory_ + "/vfio").c_str(), O_RDWR | O_CLOEXEC));
    if (container.get() < 0) return lacks(directory_ + "/vfio: " + std::strerror(errno), "modprobe vfio");
    vfio_group_status status{};
    status.argsz = sizeof status;
    if (::ioctl(opened.get(), VFIO_GROUP_GET_STATUS, &status) == 0 && (status.flags & VFIO_GROUP_FLAGS_VIABLE) == 0)
        return lacks("IOMMU group " + group + " is not viable: a device of it is bound to a driver of the host");
    int number = container.get();
    if (::ioctl(opened.get(), VFIO_GROUP_SET_CONTAINER, &number) != 0) return lacks("IOMMU group " + group + ": " + std::strerror(errno));
    if (::ioctl(container.get(), VFIO_SET_IOMMU, static_cast<unsigned long>(VFIO_TYPE1v2_IOMMU)) == 0) return {};
    if (errno == EPERM)
        return lacks("the machine has no interrupt remapping, without which a guest could send interrupts as it likes",
                     "turn it on in the firmware (VT-d, AMD-Vi), or accept the risk: vfio_iommu_type1.allow_unsafe_interrupts=1");
    if (errno == ENODEV || errno == EINVAL) return lacks(std::string("the IOMMU's driver for guests is not there: ") + std::strerror(errno), "modprobe vfio_iommu_type1");
    return lacks("IOMMU group " + group + " cannot be put behind the IOMMU: " + std::strerror(errno));
}

Status NetlinkFunctionSetter::set(const FunctionSettings& settings) {
    const auto index = index_of(settings.interface);
    if (!index) return index.error();
    ifla_vf_mac mac{};
    mac.vf = settings.index;
    unsigned byte[6] = {};
    if (!settings.mac.empty()) {
        if (std::sscanf(settings.mac.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x", &byte[0], &byte[1], &byte[2], &byte[3], &byte[4], &byte[5]) != 6)
            return Error{.code = Code::invalid_argument, .what = settings.mac + " is not a MAC address"};
        for (std::size_t i = 0; i < 6; ++i) mac.mac[i] = static_cast<std::uint8_t>(byte[i]);
    }
    ifla_vf_vlan vlan{};
    vlan.vf = settings.index;
    vlan.vlan = settings.vlan;
    const auto what = "virtual function " + std::to_string(settings.index) + " of " + settings.interface;
    Message message(RTM_SETLINK, *index);
    const auto list = message.open(IFLA_VFINFO_LIST);
    const auto one = message.open(IFLA_VF_INFO);
    message.attribute(IFLA_VF_MAC, mac);
    message.attribute(IFLA_VF_VLAN, vlan);
    message.close(one);
    message.close(list);
    return message.send(what);
}

Status NetlinkFunctionSetter::bring_up(const std::string& interface) {
    const auto index = index_of(interface);
    if (!index) return index.error();
    Message message(RTM_NEWLINK, *index);
    message.info()->ifi_flags = IFF_UP;
    message.info()->ifi_change = IFF_UP;
    return message.send(interface);
}

}  // namespace eve::pci
