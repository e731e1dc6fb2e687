#include "steps.hpp"

#include "files.hpp"

namespace eve::kvm {
namespace {

constexpr std::size_t record_file_max = 512U << 10;
constexpr const char* record_name = "domain.json";

}  // namespace

Error as_precondition(Error error) {
    if (error.code == Code::not_found || error.code == Code::permission_denied || error.code == Code::already_exists) error.code = Code::failed_precondition;
    return error;
}

Result<DomainRecord> record_in(int directory) {
    auto text = read_file(directory, record_name, record_file_max);
    if (!text) return std::move(text).error();
    return read_record(*text);
}

Status write_record(int directory, const DomainRecord& record) {
    auto text = record_text(record);
    if (!text) return std::move(text).error();
    return write_file(directory, record_name, *text);
}

}  // namespace eve::kvm
