#pragma once
// Every parser of data from outside as a function from bytes: libFuzzer drives them (scripts/fuzz), the ordinary tests replay the corpora. What
// holds for any input is asserted in the target: what was read can be written and read again, limits are kept.

#include <string_view>
#include <vector>

namespace eve::fuzz {

struct Target {
    const char* name;
    void (*run)(std::string_view bytes);
};

const std::vector<Target>& targets();
/// Null: there is none of that name.
const Target* find_target(std::string_view name);

/// Ends the process with `what` if `holds` is false.
void require(bool holds, const char* what);

// In the files named after what they parse.
void device_config(std::string_view bytes);
void record_json(std::string_view bytes);
void bus_datagram(std::string_view bytes);
void bus_large_fields(std::string_view bytes);
void cloud_init(std::string_view bytes);
void qmp(std::string_view bytes);
void http_response(std::string_view bytes);
void content_range(std::string_view bytes);
void fetch_packet(std::string_view bytes);
void qcow2_header(std::string_view bytes);
void lease_file(std::string_view bytes);
void stored_file(std::string_view bytes);
void plugin_frame(std::string_view bytes);
void plugin_body(std::string_view bytes);
void elf(std::string_view bytes);
void registry_answer(std::string_view bytes);
void auth_challenge(std::string_view bytes);
void oci_document(std::string_view bytes);
void image_config(std::string_view bytes);
void image_reference(std::string_view bytes);
void image_layer(std::string_view bytes);
void image_user(std::string_view bytes);
void dhcp_packet(std::string_view bytes);
void exec_session(std::string_view bytes);
void exit_report(std::string_view bytes);

}  // namespace eve::fuzz
