// The true connection to containerd, before there is a containerd: what a slow or a dead one makes of it.

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <future>
#include <string>

#include "common/limit.hpp"
#include "containerd/containerd_api.hpp"
#include "core/loop/unique_fd.hpp"
#include "tests/doubles/temp_dir.hpp"

namespace eve::containerd {
namespace {

using namespace std::chrono_literals;

TEST(Connection, AContainerdThatIsSlowToAnswerIsNotAskedAnew) {
    const TempDir dir;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const auto path = dir.string() + "/s";
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(listener.get(), 16), 0);
    const auto client = connect(path, "test");
    auto asked = std::async(std::launch::async, [&] { return client->version(plugins::Limit(1500ms, -1)); });
    pollfd ready{.fd = listener.get(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&ready, 1, 5000), 1);
    const UniqueFd connection(::accept(listener.get(), nullptr, nullptr));
    // Nothing is said for most of what the call may take: whoever hangs up and comes again never gets through to one that is always this slow.
    EXPECT_EQ(::poll(&ready, 1, 1200), 0) << "it hung up and came again";
    EXPECT_FALSE(asked.get());
}

}  // namespace
}  // namespace eve::containerd
