// The device config, EVE's records, and how they travel on the bus.

#include <filesystem>

#include "core/bus/large_fields.hpp"
#include "core/bus/wire.hpp"
#include "core/domainmgr/cloud_init.hpp"
#include "core/types/catalog.hpp"
#include "core/types/codec.hpp"
#include "core/types/domain.hpp"
#include "core/types/values.hpp"
#include "core/zedagent/parse.hpp"
#include "tests/fuzz/targets.hpp"

namespace eve::fuzz {

void device_config(std::string_view bytes) {
    auto config = zedagent::parse(bytes, {.now = {.seconds = 1'700'000'000}});
    if (!config) {
        require(!config.error().what.empty(), "a refusal has a sentence");
        return;
    }
    const auto again = zedagent::parse(bytes, {.now = {.seconds = 1'700'000'000}});
    require(again && *again == *config, "the same bytes are the same config");
    zedagent::keep_times(*config, *again);
    zedagent::add_local_counters(*config, {});
    for (const auto& app : config->apps) {
        const auto json = to_json(app);
        const auto back = from_json<types::AppInstanceConfig>(json);
        require(back && to_json(*back) == json, "what was parsed can be published");
        (void)zedagent::without_large_parts(app);
    }
    for (const auto& volume : config->volumes) require(!zedagent::volume_key(volume).empty(), "a volume has a key");
    require(config->unknown_fields.size() <= zedagent::notices_max && config->not_acted_on.size() <= zedagent::notices_max, "notices are bounded");
}

// The first byte chooses the record.
void record_json(std::string_view bytes) {
    if (bytes.empty()) return;
    const auto& records = types::all_records();
    const auto& type = *records[static_cast<unsigned char>(bytes[0]) % records.size()];
    const auto json = bytes.substr(1);
    const auto value = type.make();
    if (!from_json(type, json, value.get())) return;
    const auto written = to_json(type, value.get());
    const auto second = type.make();
    require(from_json(type, written, second.get()).ok(), "what was written can be read");
    require(to_json(type, second.get()) == written, "and is the same then");
    (void)to_json(type, value.get(), KeyOrder::sorted);
    require(diff(type, second.get(), second.get()).empty(), "a record does not differ from itself");
}

void bus_datagram(std::string_view bytes) {
    (void)bus::wire::check_key(bytes);
    (void)bus::wire::parse_counter(bytes);
    const auto message = bus::wire::parse(bytes);
    if (!message) return;
    using Verb = bus::wire::Message::Verb;
    std::string text;
    switch (message->verb) {
        case Verb::request: text = bus::wire::request(message->topic); break;
        case Verb::hello: text = bus::wire::hello(message->topic, message->persistent); break;
        case Verb::update: text = bus::wire::update(message->topic, message->key, message->json); break;
        case Verb::remove: text = bus::wire::remove(message->topic, message->key); break;
        case Verb::complete: text = bus::wire::complete(message->topic); break;
        case Verb::restarted: text = bus::wire::restarted(message->topic, message->counter); break;
    }
    const auto again = bus::wire::parse(text);
    require(again && again->verb == message->verb && again->topic == message->topic && again->key == message->key && again->json == message->json &&
                again->counter == message->counter && again->persistent == message->persistent,
            "a message that was read can be sent on");
}

// Names of files come from the peer: none but those of the bus's own directory may be read or removed.
void bus_large_fields(std::string_view bytes) {
    static const auto root = [] {
        const auto path = std::filesystem::temp_directory_path() / ("eve-fuzz-" + std::to_string(::getpid()));
        std::filesystem::create_directories(path / "run");
        return path;
    }();
    static const auto canary = [] {
        const auto path = root / "canary";
        std::fclose(std::fopen(path.c_str(), "w"));
        std::atexit([] {
            std::error_code ignored;
            std::filesystem::remove_all(root, ignored);
        });
        return path;
    }();
    const auto restored = bus::restore_large_fields(Root(root.string()), bytes, std::nullopt);
    require(std::filesystem::exists(canary), "a file outside the bus's directory was removed");
    if (restored) (void)bus::restore_large_fields(Root(root.string()), restored->json, restored->json);
}

// The text itself, and what a config makes of it.
void cloud_init(std::string_view bytes) {
    (void)domainmgr::sets_hostname(bytes);
    types::DomainConfig config;
    config.MetaDataType = types::MetaDataType::MetaDataDrive;
    config.CloudInitUserData = std::string(bytes);
    const auto disk = domainmgr::cloud_init_disk(config);
    const auto decoded = types::from_base64(bytes);
    require(bytes.empty() || disk.ok() == decoded.ok(), "base64 is taken, and nothing else");
    if (!disk || !*disk) return;
    bool found = false;
    for (const auto& file : (*disk)->files) found = found || file.content == std::string(decoded->begin(), decoded->end());
    require(found, "the user data reaches the disk as it is");
}

}  // namespace eve::fuzz
