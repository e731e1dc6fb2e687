// What images and networks say to the containerd plugin.

#include "plugins/common/dhcp.hpp"
#include "plugins/containerd/oci_spec.hpp"
#include "tests/fuzz/targets.hpp"

namespace eve::fuzz {

void image_config(std::string_view bytes) {
    const auto image = containerd::read_image_config(bytes);
    if (!image) {
        require(!image.error().what.empty(), "a refusal has a sentence");
        return;
    }
    if (const auto signal = containerd::signal_number(image->StopSignal)) require(*signal >= 1 && *signal <= 64, "a signal is one");
    const DomainSpec domain{.id = {"app"}, .mode = VirtualizationMode::container, .memory = 64_MiB, .vcpus = 1,
                            .disks = {{.path = "/image", .format = DiskFormat::container}}};
    const auto spec = containerd::runtime_spec({.domain = domain, .image = *image, .user = {}, .resolv_conf = {}, .cgroup_parent = "/parent"});
    if (!spec) return;
    require(!spec->process.args.empty(), "there is something to run");
    require(spec->root.path == "/image/rootfs", "an image does not choose where it is");
    require(spec->process.noNewPrivileges, "nor its rights");
    const auto text = containerd::spec_text(*spec);
    if (!text) return;
    const auto extra = containerd::extra_process_text(*text, {.argv = {"sh"}, .terminal = true});
    require(extra.ok(), "a further program can be run where the first one can");
}

void image_user(std::string_view bytes) {
    const auto first = bytes.find('\0');
    if (first == std::string_view::npos) return;
    const auto second = bytes.find('\0', first + 1);
    if (second == std::string_view::npos) return;
    const auto user = containerd::find_user(bytes.substr(0, first), bytes.substr(first + 1, second - first - 1), bytes.substr(second + 1));
    require(user || !user.error().what.empty(), "a refusal has a sentence");
}

void dhcp_packet(std::string_view bytes) {
    constexpr containerd::MacAddress mac{0x02, 0x16, 0x3e, 0, 0, 1};
    constexpr std::uint32_t number = 0x31323334;
    constexpr std::int64_t second = 1'000'000'000;
    (void)containerd::read_dhcp(bytes, number, mac);
    // As a server that says this once, and again to what is asked then.
    containerd::DhcpClient client(mac, "app", number);
    for (std::int64_t now = 0; now < 8 * second; now += second) {
        if (const auto send = client.due(now)) require(send->packet.size() >= 240, "what is asked is a message");
        client.receive(bytes, now);
        (void)client.expire(now);
        if (const auto& lease = client.lease()) {
            require(lease->address != 0 && lease->prefix <= 32, "an address is one");
            require(containerd::resolv_conf({*lease}).size() <= 16384, "a resolv.conf is not endless");
        }
    }
}

}  // namespace eve::fuzz
