#pragma once
// Device configs for tests: the quickstart with its placeholders filled in, and edits of it.

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

namespace eve::zedagent::test {

inline std::string replaced(std::string text, std::string_view what, std::string_view with) {
    const auto place = text.find(what);
    EXPECT_NE(place, std::string::npos) << "the config has no " << what;
    if (place != std::string::npos) text.replace(place, what.size(), with);
    return text;
}

/// examples/quickstart.json as scripts/run fills it in.
inline std::string quickstart() {
    std::ifstream file(SOURCE_ROOT "/examples/quickstart.json");
    std::stringstream text;
    text << file.rdbuf();
    auto out = replaced(text.str(), "@URL@", "http://192.0.2.1:8000");
    out = replaced(out, "@SHA256@", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEF");
    return replaced(out, "@SIZE@", "4096");
}

inline constexpr const char* device_uuid = "414f9460-429a-49cd-8aad-64ebd7484c13";
inline constexpr const char* network_uuid = "788081f4-0641-4454-8620-069b0f0f9994";
inline constexpr const char* instance_uuid = "d9c3b980-e691-489a-8d81-26cc5d54b6a3";
inline constexpr const char* datastore_uuid = "e939aa2a-c82c-4313-a5d7-a3c69d9c73ba";
inline constexpr const char* content_uuid = "ab4f1958-ce83-4c91-8a3c-f6e3755ea78e";
inline constexpr const char* volume_uuid = "07f2093f-a08f-46a5-8035-b0645348ae3b";
inline constexpr const char* app_uuid = "30994bfe-05f9-4325-adb4-2168254dbe86";

}  // namespace eve::zedagent::test
