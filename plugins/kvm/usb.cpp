#include "kvm_hypervisor.hpp"

#include <array>
#include <cstdio>

#include <unistd.h>

#include "common/grammar.hpp"
#include "eve/sdk/kept_process.hpp"
#include "files.hpp"
#include "qmp.hpp"
#include "steps.hpp"

// usb/1: devices of the host that guests get while they run.

namespace eve::kvm {

Status KvmHypervisor::plug(const CallContext& call, const UsbAttachment& device) {
    if (!plugins::valid_name(device.name) || device.name.size() > name_size_max) return Error{.code = Code::invalid_argument, .what = "not a name of a device", .field = ".name"};
    const Limit limit(call, call_max);
    auto directory = directory_of(device.domain);
    if (!directory) return std::move(directory).error();
    const auto kept = sdk::read_kept_process(directory->get());
    if (!kept || !kept->running) return Error{.code = Code::failed_precondition, .what = "the guest does not run"};
    const auto record = record_in(directory->get());
    std::array<char, 64> file{};
    std::snprintf(file.data(), file.size(), "/dev/bus/usb/%03u/%03u", device.bus, device.device);
    if (record && record->uid != 0 && ::chown(file.data(), record->uid, record->uid) != 0) {
        auto error = file_error(file.data());
        error.code = Code::unavailable;
        return error;
    }
    auto monitor = QmpClient::open(directory->get(), "qmp", limit);
    if (!monitor) return std::move(monitor).error();
    const auto arguments = "{\"driver\":\"usb-host\",\"id\":\"" + device.name + "\",\"hostbus\":" + std::to_string(device.bus) +
                           ",\"hostaddr\":" + std::to_string(device.device) + ",\"bus\":\"usb.0\"}";
    auto added = monitor->execute("device_add", arguments, limit);
    if (added || added.error().what.find("Duplicate") != std::string::npos || added.error().what.find("already in use") != std::string::npos) return {};
    return std::move(added).error().in("USB device " + device.name);
}

Status KvmHypervisor::unplug(const CallContext& call, const UsbAttachment& device) {
    if (!plugins::valid_name(device.name)) return Error{.code = Code::invalid_argument, .what = "not a name of a device", .field = ".name"};
    const Limit limit(call, call_max);
    auto directory = directory_of(device.domain);
    if (!directory) return directory.error().code == Code::not_found ? Status{} : Status(std::move(directory).error());
    const auto kept = sdk::read_kept_process(directory->get());
    if (!kept || !kept->running) return {};
    auto monitor = QmpClient::open(directory->get(), "qmp", limit);
    if (!monitor) return std::move(monitor).error();
    auto removed = monitor->execute("device_del", "{\"id\":\"" + device.name + "\"}", limit);
    if (removed || removed.error().what.find("not found") != std::string::npos) return {};
    return std::move(removed).error().in("USB device " + device.name);
}

}  // namespace eve::kvm
