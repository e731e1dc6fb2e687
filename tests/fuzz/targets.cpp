#include "tests/fuzz/targets.hpp"

#include <cstdio>
#include <cstdlib>

namespace eve::fuzz {

const std::vector<Target>& targets() {
    static const std::vector<Target> all{
        {"device_config", device_config}, {"record_json", record_json},       {"bus_datagram", bus_datagram},
        {"bus_large_fields", bus_large_fields}, {"cloud_init", cloud_init},   {"qmp", qmp},
        {"http_response", http_response}, {"content_range", content_range},   {"fetch_packet", fetch_packet},
        {"qcow2_header", qcow2_header},   {"lease_file", lease_file},         {"stored_file", stored_file},
        {"plugin_frame", plugin_frame},   {"plugin_body", plugin_body},       {"elf", elf},
        {"registry_answer", registry_answer}, {"auth_challenge", auth_challenge}, {"oci_document", oci_document},
        {"image_reference", image_reference}, {"image_layer", image_layer}, {"exec_session", exec_session},
#ifdef EVE_FUZZ_CONTAINERS
        {"image_config", image_config},   {"image_user", image_user},         {"dhcp_packet", dhcp_packet},
#endif
        {"exit_report", exit_report},
    };
    return all;
}

const Target* find_target(std::string_view name) {
    for (const auto& target : targets())
        if (name == target.name) return &target;
    return nullptr;
}

void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "broken: %s\n", what);
    std::abort();
}

}  // namespace eve::fuzz
