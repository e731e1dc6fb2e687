// libFuzzer's entry for all targets: EVE_FUZZ_TARGET names the one.

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tests/fuzz/targets.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const eve::fuzz::Target* const target = [] {
        const char* name = std::getenv("EVE_FUZZ_TARGET");
        const auto* found = eve::fuzz::find_target(name == nullptr ? "" : name);
        if (found == nullptr) {
            std::fprintf(stderr, "EVE_FUZZ_TARGET is none of:");
            for (const auto& each : eve::fuzz::targets()) std::fprintf(stderr, " %s", each.name);
            std::fprintf(stderr, "\n");
            std::exit(2);
        }
        return found;
    }();
    target->run({reinterpret_cast<const char*>(data), size});
    return 0;
}
