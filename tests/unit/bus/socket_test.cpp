// Topics between two processes, here two buses on one loop: what must hold beyond the transcripts.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "core/bus/bus.hpp"
#include "core/bus/large_fields.hpp"
#include "core/bus/socket_transport.hpp"
#include "core/bus/unix_path.hpp"
#include "core/bus/wire.hpp"
#include "storage/record_store.hpp"
#include "tests/doubles/prng.hpp"
#include "tests/doubles/real_loop.hpp"
#include "tests/doubles/recording_log.hpp"
#include "tests/doubles/temp_dir.hpp"
#include "tests/unit/bus/listener.hpp"

namespace eve {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// One process of a node under `root`.
struct Process {
    Process(RealLoop& world, Log& log, const Root& root)
        : store(root),
          transport({.loop = world.loop,
                     .log = log,
                     .store = store,
                     .root = root,
                     .retry = std::chrono::milliseconds{2},
                     .marker_delay = std::chrono::milliseconds{5},
                     .request_limit = std::chrono::milliseconds{50}}),
          bus({.loop = world.loop, .log = log, .store = &store, .transport = &transport}) {}
    storage::RecordStore store;
    bus::SocketTransport transport;
    Bus bus;
};

class Sockets : public testing::Test {
protected:
    TempDir temp;
    RealLoop world;
    RecordingLog log;
    Root root{temp.string()};
    Process here{world, log, root};
    Process there{world, log, root};
    const TopicName name{.agent = "zedmanager"};
    Listener heard;

    bool hears(std::size_t events) {
        return world.run_until([&] { return heard.seen.size() >= events; });
    }
};

TEST_F(Sockets, TwoProcessesShareATable) {
    const auto subscription = there.bus.subscribe<Sample>(name, heard.handlers());
    const auto publication = here.bus.publish<Sample>(name);
    ASSERT_TRUE(publication->publish("a", sample(1)));
    ASSERT_TRUE(hears(2));
    publication->signal_restarted();
    ASSERT_TRUE(publication->unpublish("a"));
    ASSERT_TRUE(hears(4));
    EXPECT_THAT(heard.take(), ElementsAre("+a=1", "synchronized", "-a=1", "restarted 1"));
}

TEST_F(Sockets, ANodeUnderADeepRootHasSockets) {
    const Root deep{temp.string() + std::string(90, 'd') + "/" + std::string(90, 'e')};
    std::filesystem::create_directories(deep.prefix());
    Process first{world, log, deep};
    Process second{world, log, deep};
    const auto publication = first.bus.publish<Sample>({.agent = "a", .scope = std::string(100, 's')});
    const auto subscription = second.bus.subscribe<Sample>({.agent = "a", .scope = std::string(100, 's')}, heard.handlers());
    EXPECT_TRUE(hears(1));
}

TEST_F(Sockets, OnlyTheOwnerReachesSocketAndRecords) {
    const auto publication = here.bus.publish<Sample>(name);
    struct stat facts {};
    ASSERT_EQ(::stat(root.path("/run/zedmanager").c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 07777U, 0700U);
    ASSERT_EQ(::stat(root.path("/run/zedmanager/Sample.sock").c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 0777U, 0600U);
}

TEST_F(Sockets, AnotherUserIsRefusedEvenIfTheDirectoriesLetThemIn) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to be another user";
    const auto publication = here.bus.publish<Sample>(name);
    ASSERT_TRUE(publication->publish("a", sample(1)));
    const auto path = root.path("/run/zedmanager/Sample.sock");
    for (const auto& place : {temp.string(), root.path("/run"), root.path("/run/zedmanager"), path})
        std::filesystem::permissions(place, std::filesystem::perms::all);
    const auto child = ::fork();
    if (child == 0) {
        constexpr uid_t nobody = 65534;
        if (::setresuid(nobody, nobody, nobody) != 0) ::_exit(1);
        const auto peer = connect_unix(path, SOCK_SEQPACKET);
        if (!peer) ::_exit(2);
        ::fcntl(peer->get(), F_SETFL, 0);
        char byte = 0;
        ::_exit(::recv(peer->get(), &byte, 1, 0) <= 0 ? 0 : 3);  // hung up on, without a word
    }
    int status = -1;
    ASSERT_TRUE(world.run_until([&] { return ::waitpid(child, &status, WNOHANG) == child; }));
    EXPECT_EQ(status, 0);
    EXPECT_TRUE(log.has("bus.peer_refused"));
}

TEST_F(Sockets, APublisherThatIsAnotherUserIsNotHeardEvenIfTheDirectoriesLetThemIn) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to be another user";
    const auto directory = root.path("/run/zedmanager");
    std::filesystem::create_directories(directory);
    for (const auto& place : {temp.string(), root.path("/run"), directory}) std::filesystem::permissions(place, std::filesystem::perms::all);
    const auto path = directory + "/Sample.sock";
    const auto child = ::fork();
    if (child == 0) {
        constexpr uid_t nobody = 65534;
        if (::setresuid(nobody, nobody, nobody) != 0) ::_exit(1);
        const auto listener = listen_unix(path, SOCK_SEQPACKET);
        if (!listener) ::_exit(2);
        ::fcntl(listener->get(), F_SETFL, 0);
        for (;;) {
            const UniqueFd peer(::accept(listener->get(), nullptr, nullptr));
            namespace wire = bus::wire;
            for (const auto& message : {wire::hello("Sample", false), wire::update("Sample", "a", R"({"Number":1})"), wire::complete("Sample")})
                static_cast<void>(::send(peer.get(), message.data(), message.size(), MSG_NOSIGNAL));
        }
    }
    ASSERT_TRUE(world.run_until([&] { return std::filesystem::exists(path); }));
    const auto subscription = there.bus.subscribe<Sample>(name, heard.handlers());
    EXPECT_TRUE(world.run_until([&] { return log.has("bus.publisher_refused"); }));
    world.turns();
    EXPECT_TRUE(subscription->items().empty());
    EXPECT_FALSE(subscription->synchronized());
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    // Its own agent takes the place back.
    const auto publication = here.bus.publish<Sample>(name);
    ASSERT_TRUE(publication->publish("b", sample(2)));
    EXPECT_TRUE(world.run_until([&] { return subscription->get("b") != nullptr; }));
    EXPECT_EQ(log.count("bus.publisher_refused"), 1U);
}

TEST_F(Sockets, ASecondOwnerOfATableIsTold) {
    const auto publication = here.bus.publish<Sample>(name);
    const auto other = there.bus.publish<Sample>(name);
    EXPECT_TRUE(log.has("bus.serve_failed"));
}

TEST_F(Sockets, ASocketThatADeadPublisherLeftIsReplaced) {
    std::filesystem::create_directories(root.path("/run/zedmanager"));
    { const auto dead = listen_unix(root.path("/run/zedmanager/Sample.sock"), SOCK_SEQPACKET); }
    const auto publication = here.bus.publish<Sample>(name);
    EXPECT_FALSE(log.has("bus.serve_failed"));
}

TEST_F(Sockets, APeerThatSaysNothingIsDismissed) {
    const auto publication = here.bus.publish<Sample>(name);
    const auto peer = connect_unix(root.path("/run/zedmanager/Sample.sock"), SOCK_SEQPACKET);
    ASSERT_TRUE(peer);
    char byte = 0;
    EXPECT_TRUE(world.run_until([&] { return ::recv(peer->get(), &byte, 1, MSG_DONTWAIT) == 0; }));
}

TEST_F(Sockets, ASlowSubscriberCollapsesAndCostsNothing) {
    const auto publication = here.bus.publish<Sample>(name);
    const auto peer = connect_unix(root.path("/run/zedmanager/Sample.sock"), SOCK_SEQPACKET);
    ASSERT_TRUE(peer);
    const auto request = bus::wire::request("Sample");
    ASSERT_EQ(::send(peer->get(), request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
    world.turns();
    auto value = sample(0);
    value.Text.assign(20'000, 'x');
    constexpr std::int64_t last = 150;
    for (value.Number = 1; value.Number <= last; ++value.Number) {
        ASSERT_TRUE(publication->publish("a", value));
        if (value.Number % 10 == 0) world.turns(2);
    }
    std::string buffer(70'000, '\0');
    std::int64_t newest = 0;
    int messages = 0;
    ASSERT_TRUE(world.run_until([&] {
        const auto got = ::recv(peer->get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got <= 0) return false;
        const auto message = bus::wire::parse({buffer.data(), static_cast<std::size_t>(got)});
        EXPECT_TRUE(message);
        if (message->verb != bus::wire::Message::Verb::update) return false;
        ++messages;
        newest = from_json<Sample>(message->json)->Number;
        return newest == last;
    })) << "last seen " << newest;
    EXPECT_LT(messages, 40);
}

TEST_F(Sockets, AnOversizeRecordIsAnErrorOfItsPublisherAndTheRestIsTold) {
    const auto publication = here.bus.publish<Sample>(name);
    const auto subscription = there.bus.subscribe<Sample>(name, heard.handlers());
    auto big = sample(1);
    big.Text.assign(60'000, 'x');
    EXPECT_EQ(publication->publish("big", big).error().code, Code::resource_exhausted);
    ASSERT_TRUE(publication->publish("a", sample(1)));
    ASSERT_TRUE(hears(2));
    EXPECT_THAT(heard.take(), ElementsAre("+a=1", "synchronized"));
}

TEST_F(Sockets, ALargeFieldTravelsAsAFileThatItsReceiverDeletes) {
    const auto publication = here.bus.publish<Sample>(name);
    const auto subscription = there.bus.subscribe<Sample>(name, heard.handlers());
    ASSERT_TRUE(hears(1));
    auto value = sample(1);
    value.Large.assign(500'000, 'L');
    value.Large += "\"\\\n<&>";
    ASSERT_TRUE(publication->publish("a", value));
    ASSERT_TRUE(hears(2));
    EXPECT_EQ(*subscription->get("a"), value);
    EXPECT_TRUE(std::filesystem::is_empty(root.path("/persist/pubsub-large/zedmanager/Sample")));
    EXPECT_EQ(from_json<Sample>(here.store.load({.agent = "zedmanager", .topic = "Sample"})->records.at("a"))->Large, value.Large);
}

TEST_F(Sockets, FilesOfLargeFieldsThatNobodyReadGoWithTheConnection) {
    const auto publication = here.bus.publish<Sample>(name);
    auto value = sample(1);
    value.Large = "large";
    ASSERT_TRUE(publication->publish("a", value));
    auto peer = connect_unix(root.path("/run/zedmanager/Sample.sock"), SOCK_SEQPACKET);
    const auto request = bus::wire::request("Sample");
    ASSERT_EQ(::send(peer->get(), request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
    const auto directory = root.path("/persist/pubsub-large/zedmanager/Sample");
    ASSERT_TRUE(world.run_until([&] { return std::filesystem::exists(directory) && !std::filesystem::is_empty(directory); }));
    peer->reset();
    EXPECT_TRUE(world.run_until([&] { return std::filesystem::is_empty(directory); }));
}

TEST(LargeFields, AMissingFileKeepsTheFieldThatIsKnownAndTheRecordArrives) {
    const TempDir temp;
    const Root root{temp.string()};
    const auto stored = bus::store_large_fields(root, {.agent = "a", .topic = "Sample"}, R"({"Number":1,"pubsub-large-Large":"new"})");
    ASSERT_TRUE(stored);
    ASSERT_EQ(stored->files.size(), 1U);
    EXPECT_THAT(stored->json, testing::HasSubstr(R"("pubsub-file-Large":"\")"));  // a string within the string
    std::filesystem::remove(stored->files[0]);
    const auto known = bus::restore_large_fields(root, stored->json, R"({"pubsub-large-Large":"old"})");
    EXPECT_EQ(known->json, R"({"Number":1,"pubsub-large-Large":"old"})");
    EXPECT_EQ(known->problems.size(), 1U);
    EXPECT_EQ(bus::restore_large_fields(root, stored->json, std::nullopt)->json, R"({"Number":1})");
}

TEST(LargeFields, AFileOutsideTheirDirectoryIsNotRead) {
    const TempDir temp;
    const Root root{temp.string()};
    std::ofstream(temp.path() / "secret") << R"({"pubsub-large-Large":"secret"})";
    const auto json = R"({"pubsub-file-Large":)" + json_quote(json_quote((temp.path() / "secret").string())) + "}";
    EXPECT_EQ(bus::restore_large_fields(root, json, std::nullopt)->json, "{}");
    const auto climbing = R"({"pubsub-file-Large":)" + json_quote(json_quote(root.path("/persist/pubsub-large/../../secret"))) + "}";
    EXPECT_EQ(bus::restore_large_fields(root, climbing, std::nullopt)->json, "{}");
    EXPECT_TRUE(std::filesystem::exists(temp.path() / "secret"));
}

TEST_F(Sockets, APublisherThatRestartsIsFoundAgain) {
    auto publication = here.bus.publish<Sample>(name);
    const auto subscription = there.bus.subscribe<Sample>(name, heard.handlers());
    ASSERT_TRUE(publication->publish("a", sample(1)));
    ASSERT_TRUE(publication->publish("b", sample(1)));
    publication->signal_restarted();
    ASSERT_TRUE(hears(4));
    heard.take();
    publication.reset();
    world.turns();
    publication = here.bus.publish<Sample>(name);
    EXPECT_EQ(publication->restart_counter(), 1);
    ASSERT_TRUE(publication->publish("a", sample(2)));
    ASSERT_TRUE(hears(1));
    EXPECT_THAT(heard.take(), ElementsAre("~a=1>2"));
}

TEST_F(Sockets, APublicationOfTheOwnProcessIsPreferredAndServesOthersToo) {
    auto remote = there.bus.publish<Sample>(name);
    ASSERT_TRUE(remote->publish("a", sample(1)));
    const auto subscription = here.bus.subscribe<Sample>(name, heard.handlers());
    ASSERT_TRUE(hears(2));
    remote.reset();
    const auto local = here.bus.publish<Sample>(name);
    ASSERT_TRUE(local->publish("a", sample(2)));
    ASSERT_TRUE(hears(3));
    EXPECT_THAT(heard.take(), ElementsAre("+a=1", "synchronized", "~a=1>2"));
    Listener other;
    const auto outside = there.bus.subscribe<Sample>(name, other.handlers());
    EXPECT_TRUE(world.run_until([&] { return other.seen.size() == 2; }));
}

class DirectoryTables : public Sockets {
protected:
    const TopicName command{.agent = "zedclient"};
    const std::string directory = root.path("/run/zedclient/Sample");
};

TEST_F(DirectoryTables, AreFollowedWithoutASocketWhicheverComesFirst) {
    const auto subscription = there.bus.subscribe<Sample>(command, heard.handlers());
    ASSERT_TRUE(hears(1));  // an empty directory is a whole table
    {
        const auto publication = here.bus.publish<Sample>(command);
        ASSERT_TRUE(publication->publish("a", sample(1)));
        ASSERT_TRUE(hears(2));
        ASSERT_TRUE(publication->publish("a", sample(2)));
        ASSERT_TRUE(hears(3));
        publication->signal_restarted();
        ASSERT_TRUE(hears(4));
        ASSERT_TRUE(publication->publish("b", sample(3)));
        ASSERT_TRUE(hears(5));
        ASSERT_TRUE(publication->unpublish("a"));
        ASSERT_TRUE(hears(6));
    }
    world.turns();  // the short-lived writer is gone, its record is not
    EXPECT_THAT(heard.take(), ElementsAre("synchronized", "+a=1", "~a=1>2", "restarted 1", "+b=3", "-a=2"));
    EXPECT_FALSE(std::filesystem::exists(directory + ".sock"));
}

TEST_F(DirectoryTables, AFileThatIsNoRecordStopsNothing) {
    std::filesystem::create_directories(directory);
    std::ofstream(directory + "/bad.json") << "{";
    std::ofstream(directory + "/good.json") << R"({"Number":1})";
    const auto subscription = there.bus.subscribe<Sample>(command, heard.handlers());
    ASSERT_TRUE(hears(2));
    EXPECT_THAT(heard.take(), ElementsAre("+good=1", "synchronized"));
    EXPECT_TRUE(log.has("bus.record_refused"));
}

TEST_F(DirectoryTables, ThatOthersMayWriteToAreNotHeard) {
    std::filesystem::create_directories(directory);
    std::ofstream(directory + "/a.json") << R"({"Number":1})";
    std::filesystem::permissions(directory, std::filesystem::perms::all);
    const auto subscription = there.bus.subscribe<Sample>(command, heard.handlers());
    ASSERT_TRUE(world.run_until([&] { return log.has("bus.publisher_refused"); }));
    world.turns();
    EXPECT_TRUE(subscription->items().empty());
    std::filesystem::permissions(directory, std::filesystem::perms::owner_all);
    EXPECT_TRUE(world.run_until([&] { return subscription->get("a") != nullptr; }));
}

TEST_F(DirectoryTables, SurviveThatTheirDirectoryIsReplaced) {
    std::filesystem::create_directories(directory);
    std::ofstream(directory + "/a.json") << R"({"Number":1})";
    const auto subscription = there.bus.subscribe<Sample>(command, heard.handlers());
    ASSERT_TRUE(hears(2));
    std::filesystem::remove_all(directory);
    world.turns();
    std::filesystem::create_directories(directory);
    std::ofstream(directory + "/b.json") << R"({"Number":2})";
    ASSERT_TRUE(world.run_until([&] { return subscription->get("b") != nullptr && subscription->get("a") == nullptr; }));
}

// Random orders over real sockets, with subscribers that do not read for a while, and publishers that die.
TEST(SocketProperty, AtRestEverySubscriberEqualsThePublisher) {
    const TempDir temp;
    RealLoop world;
    RecordingLog log;
    for (std::uint64_t seed = 1; seed <= 25; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Prng prng{seed};
        const Root root{temp.string() + "/" + std::to_string(seed)};
        std::filesystem::create_directories(root.prefix());
        const TopicName name{.agent = "x", .persistent = prng.chance(30)};
        auto publisher = std::make_unique<Process>(world, log, root);
        auto publication = publisher->bus.publish<Sample>(name);
        struct Reader {
            Reader(RealLoop& loop, Log& sink, const Root& prefix, const TopicName& topic)
                : process(loop, sink, prefix), subscription(process.bus.subscribe<Sample>(topic)) {}
            Process process;
            std::unique_ptr<Subscription<Sample>> subscription;
        };
        std::vector<std::unique_ptr<Reader>> readers;
        readers.push_back(std::make_unique<Reader>(world, log, root, name));
        std::int64_t value = 0;
        for (int step = 0; step < 80; ++step) {
            const auto key = "k" + std::to_string(prng.below(5));
            switch (prng.below(10)) {
                case 0: case 1: case 2: case 3: {
                    auto record = sample(++value);
                    if (prng.chance(20)) record.Large.assign(prng.below(3000), 'L');
                    if (prng.chance(5)) record.Text.assign(30'000, 'T');
                    ASSERT_TRUE(publication->publish(key, record));
                    break;
                }
                case 4: case 5: static_cast<void>(publication->unpublish(key)); break;
                case 6: publication->signal_restarted(); break;
                case 7: world.turns(static_cast<int>(prng.below(5))); break;
                case 8:
                    if (readers.size() < 3) readers.push_back(std::make_unique<Reader>(world, log, root, name));
                    else readers.erase(readers.begin() + static_cast<std::ptrdiff_t>(prng.below(readers.size())));
                    break;
                default:
                    if (!prng.chance(30)) break;
                    publication.reset();
                    publisher.reset();
                    if (prng.chance(50)) world.turns(3);
                    publisher = std::make_unique<Process>(world, log, root);
                    publication = publisher->bus.publish<Sample>(name);
                    break;
            }
        }
        publication->signal_restarted();
        for (const auto& reader : readers) {
            const auto equal = [&] {
                if (!reader->subscription->synchronized() || reader->subscription->items().size() != publication->items().size()) return false;
                for (const auto& [key, record] : publication->items())
                    if (reader->subscription->get(key) == nullptr || *reader->subscription->get(key) != *record) return false;
                return true;
            };
            ASSERT_TRUE(world.run_until(equal));
        }
    }
}

TEST(Wire, ABadMessageIsRefusedWithAReason) {
    for (const auto* bad : {"", " ", "hello", "update Sample YQ==", "update Sample YQ== e30= extra", "update Sample YQ= e30=", "delete Sample",
                            "restarted Sample", "update Sample Y=== e30="})
        EXPECT_FALSE(bus::wire::parse(bad)) << bad;
    EXPECT_EQ(bus::wire::parse("delete Sample  more")->key, "");
    EXPECT_EQ(bus::wire::parse("hello Sample true extra")->persistent, true);
    EXPECT_EQ(bus::wire::parse("restarted Sample 99999999999")->counter, 0);
}

TEST(Wire, EverythingThatIsWrittenIsReadBack) {
    Prng prng{1};
    for (int n = 0; n < 2000; ++n) {
        std::string key;
        std::string json;
        for (auto left = prng.below(12); left > 0; --left) key += static_cast<char>(prng.below(256));
        for (auto left = prng.below(12); left > 0; --left) json += static_cast<char>(prng.below(256));
        const auto update = bus::wire::parse(bus::wire::update("T", key, json));
        ASSERT_TRUE(update);
        EXPECT_EQ(update->key, key);
        EXPECT_EQ(update->json, json);
        std::string noise(bus::wire::update("T", key, json));
        noise[prng.below(noise.size())] = static_cast<char>(prng.below(256));
        static_cast<void>(bus::wire::parse(noise));  // anything but a crash
    }
}

}  // namespace
}  // namespace eve
