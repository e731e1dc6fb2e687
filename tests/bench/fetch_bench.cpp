// One download with verification by the fetch process, as the downloader makes it. Prints seconds and the peak memory of the process; the
// peers (curl, then openssl dgst) are run by scripts/bench on the same object.

#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>

#include "core/loop/asio_loop.hpp"
#include "storage/fetch_transport.hpp"

namespace {

/// A lane that nobody cancels.
class Alone final : public eve::LaneContext {
public:
    explicit Alone(eve::Instant deadline) : deadline_(deadline) {}
    eve::Instant deadline() const override { return deadline_; }
    bool cancelled() const override { return false; }
    int cancel_fd() const override { return -1; }

private:
    eve::Instant deadline_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: fetch_bench FETCH URL TARGET\n");
        return 2;
    }
    const eve::SystemClock clock;
    const auto transport = eve::storage::make_fetch_transport({.program = argv[1]}, clock);
    const auto begun = clock.now();
    const auto outcome = transport->fetch({.url = argv[2], .target = argv[3]}, [](eve::downloader::FetchProgress) {}, Alone(begun + std::chrono::minutes{10}));
    const double seconds = std::chrono::duration<double>(clock.now() - begun).count();
    if (!outcome) {
        std::fprintf(stderr, "fetch_bench: %s\n", outcome.error().what.c_str());
        return 1;
    }
    rusage children{};
    getrusage(RUSAGE_CHILDREN, &children);
    std::printf("%.4f %s %ld\n", seconds, outcome->sha256.c_str(), children.ru_maxrss);
}
