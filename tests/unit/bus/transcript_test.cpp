// Frozen conversations of EVE's wire, written by hand from its description, played against our publisher and our subscriber byte for byte.

#include <gmock/gmock.h>
#include <sys/socket.h>

#include <fstream>
#include <sstream>

#include "core/bus/bus.hpp"
#include "core/bus/socket_transport.hpp"
#include "core/bus/unix_path.hpp"
#include "storage/record_store.hpp"
#include "tests/doubles/real_loop.hpp"
#include "tests/doubles/recording_log.hpp"
#include "tests/doubles/temp_dir.hpp"
#include "tests/unit/bus/listener.hpp"

namespace eve {
namespace {

struct Line {
    int number;
    char kind;
    std::string text;
};

std::vector<Line> read_transcript(const std::string& name) {
    std::ifstream in(std::string(TEST_DATA_DIR) + "/" + name + ".transcript");
    EXPECT_TRUE(in) << name;
    std::vector<Line> lines;
    std::string text;
    for (int number = 1; std::getline(in, text); ++number)
        if (text.size() > 2 && text[0] != '#') lines.push_back({number, text[0], text.substr(2)});
    return lines;
}

class Transcript : public testing::TestWithParam<const char*> {
protected:
    TempDir temp;
    RealLoop world;
    RecordingLog log;
    Root root{temp.string()};
    storage::RecordStore store{root};
    bus::SocketTransport transport{{.loop = world.loop, .log = log, .store = store, .root = root, .retry = std::chrono::milliseconds{2}}};
    Bus bus{{.loop = world.loop, .log = log, .store = &store, .transport = &transport}};
    const std::string path = root.path("/run/zedmanager/Sample.sock");

    static void say(int fd, const std::string& text) {
        ASSERT_EQ(::send(fd, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
    }
    // The next datagram, or "closed".
    std::string hear(int fd) {
        std::string text(70'000, '\0');
        ssize_t got = -1;
        const auto heard = [&] {
            got = ::recv(fd, text.data(), text.size(), MSG_DONTWAIT);
            return got >= 0 || errno == ECONNRESET;
        };
        if (!world.run_until(heard)) return "silence";
        if (got <= 0) return "closed";
        text.resize(static_cast<std::size_t>(got));
        return text;
    }
};

using PublisherTranscript = Transcript;
TEST_P(PublisherTranscript, OurPublisherKeepsToIt) {
    const auto publication = bus.publish<Sample>({.agent = "zedmanager"});
    const auto peer = connect_unix(path, SOCK_SEQPACKET);
    ASSERT_TRUE(peer) << peer.error().what;
    for (const auto& line : read_transcript(GetParam())) {
        SCOPED_TRACE(std::string(GetParam()) + ":" + std::to_string(line.number));
        if (line.kind == '<') say(peer->get(), line.text);
        if (line.kind == '>') {
            ASSERT_EQ(hear(peer->get()), line.text);
        }
        if (line.kind != '!') continue;
        std::istringstream words(line.text);
        std::string verb;
        std::string key;
        std::int64_t number = 0;
        words >> verb >> key >> number;
        if (key == "-") key.clear();
        if (verb == "publish") {
            ASSERT_TRUE(publication->publish(key, sample(number)));
        }
        if (verb == "unpublish") {
            ASSERT_TRUE(publication->unpublish(key));
        }
        if (verb == "restart") publication->signal_restarted();
        if (verb == "clear") publication->clear_restarted();
    }
    world.turns();
    char byte = 0;
    EXPECT_LE(::recv(peer->get(), &byte, 1, MSG_DONTWAIT), 0) << "more than the transcript says";
}
INSTANTIATE_TEST_SUITE_P(All, PublisherTranscript,
                         testing::Values("publisher", "publisher_marked", "publisher_wrong_topic", "publisher_wrong_verb"));

using SubscriberTranscript = Transcript;
TEST_P(SubscriberTranscript, OurSubscriberKeepsToIt) {
    std::filesystem::create_directories(root.path("/run/zedmanager"));
    auto listener = listen_unix(path, SOCK_SEQPACKET);
    ASSERT_TRUE(listener) << listener.error().what;
    Listener heard;
    const auto subscription = bus.subscribe<Sample>({.agent = "zedmanager"}, heard.handlers());
    UniqueFd peer;
    std::size_t told = 0;
    for (const auto& line : read_transcript(GetParam())) {
        SCOPED_TRACE(std::string(GetParam()) + ":" + std::to_string(line.number));
        if (!peer) {
            ASSERT_TRUE(world.run_until([&] {
                peer = UniqueFd(::accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
                return static_cast<bool>(peer);
            }));
        }
        if (line.kind == '<') say(peer.get(), line.text);
        if (line.kind == '>') {
            ASSERT_EQ(hear(peer.get()), line.text);
        }
        if (line.kind == '=') {
            ASSERT_TRUE(world.run_until([&] { return heard.seen.size() > told; }));
            ASSERT_EQ(heard.seen[told++], line.text);
        }
        if (line.kind == '!') peer.reset();
        if (line.text == "new life") {
            listener->reset();
            listener = listen_unix(path, SOCK_SEQPACKET);
            ASSERT_TRUE(listener) << listener.error().what;
        }
    }
    world.turns();
    EXPECT_EQ(heard.seen.size(), told) << "more than the transcript says: " << heard.seen.back();
}
INSTANTIATE_TEST_SUITE_P(All, SubscriberTranscript, testing::Values("subscriber", "subscriber_reconnect", "subscriber_new_life"));

}  // namespace
}  // namespace eve
