// QEMU's monitor against a server that says what a test tells it to, polite and hostile.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <thread>

#include "files.hpp"
#include "qmp.hpp"

namespace eve::kvm {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr const char* greeting = "{\"QMP\": {\"version\": {\"qemu\": {\"major\": 7}}, \"capabilities\": []}}\r\n";

/// Says one text when a client connects and one for each line it receives; then ends, or stays silent.
class FakeQemu {
public:
    explicit FakeQemu(std::vector<std::string> script, bool ends = true) {
        std::string pattern = (std::filesystem::temp_directory_path() / "qmp-XXXXXX").string();
        path_ = ::mkdtemp(pattern.data());
        directory_ = UniqueFd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        listener_ = std::move(*listen_at(directory_.get(), "qmp"));
        thread_ = std::thread([this, script = std::move(script), ends] { serve(script, ends); });
    }
    ~FakeQemu() {
        over_ = true;
        ::shutdown(listener_.get(), SHUT_RDWR);
        {
            const std::lock_guard lock(mutex_);
            if (client_) ::shutdown(client_.get(), SHUT_RDWR);
        }
        thread_.join();
        std::filesystem::remove_all(path_);
    }
    int directory() const { return directory_.get(); }
    std::string heard() const { return heard_; }

private:
    void serve(const std::vector<std::string>& script, bool ends) {
        UniqueFd client(::accept(listener_.get(), nullptr, nullptr));
        if (!client) return;
        {
            const std::lock_guard lock(mutex_);
            client_ = std::move(client);
        }
        for (std::size_t at = 0; at < script.size() && !over_; ++at) {
            if (at > 0 && !read_line()) return;
            if (::send(client_.get(), script[at].data(), script[at].size(), MSG_NOSIGNAL) < 0) return;
        }
        if (ends) ::shutdown(client_.get(), SHUT_RDWR);
        else read_line();
    }
    bool read_line() {
        char c = 0;
        while (::read(client_.get(), &c, 1) == 1) {
            heard_ += c;
            if (c == '\n') return true;
        }
        return false;
    }

    std::string path_;
    UniqueFd directory_;
    UniqueFd listener_;
    std::mutex mutex_;
    UniqueFd client_;  ///< set by the thread
    std::string heard_;
    std::atomic<bool> over_ = false;
    std::thread thread_;
};

const std::string agreed = R"({"return": {}, "id": 1})" "\r\n";

Result<std::string> state_from(std::vector<std::string> script, std::chrono::milliseconds most = 5s, bool ends = true) {
    FakeQemu qemu(std::move(script), ends);
    const Limit limit(most, -1);
    auto client = QmpClient::open(qemu.directory(), "qmp", limit);
    if (!client) return client.error();
    return client->run_state(limit);
}

TEST(Qmp, AnAnswerAmongEventsIsFound) {
    const auto state = state_from({greeting, agreed,
                                   "{\"event\": \"RESUME\", \"timestamp\": {\"seconds\": 1}}\r\n"
                                   "{\"return\": {\"status\": \"running\", \"running\": true}, \"id\": 2}\r\n"});
    ASSERT_TRUE(state.ok()) << state.error().what;
    EXPECT_EQ(*state, "running");
}

TEST(Qmp, ARefusalHasQemusWords) {
    const auto state = state_from({greeting, agreed, R"({"error": {"class": "GenericError", "desc": "Not now"}, "id": 2})" "\r\n"});
    ASSERT_FALSE(state.ok());
    EXPECT_EQ(state.error().code, Code::failed_precondition);
    EXPECT_THAT(state.error().what, HasSubstr("Not now"));
}

TEST(Qmp, NoSocketIsNotFound) {
    const UniqueFd directory(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const auto client = QmpClient::open(directory.get(), "no-such-socket", Limit(1s, -1));
    ASSERT_FALSE(client.ok());
    EXPECT_EQ(client.error().code, Code::not_found);
}

TEST(Qmp, SilenceEndsAtTheLimit) {
    EXPECT_EQ(state_from({}, 100ms, false).error().code, Code::timed_out) << "no greeting";
    EXPECT_EQ(state_from({greeting, agreed, ""}, 100ms, false).error().code, Code::timed_out) << "no answer";
}

TEST(Qmp, ACallerThatGivesUpIsHeard) {
    FakeQemu qemu({greeting, agreed, ""}, false);
    const UniqueFd cancel(::eventfd(1, EFD_CLOEXEC));
    const auto client = QmpClient::open(qemu.directory(), "qmp", Limit(5s, cancel.get()));
    ASSERT_FALSE(client.ok());
    EXPECT_EQ(client.error().code, Code::cancelled);
}

TEST(Qmp, NonsenseIsUnavailableNeverACrash) {
    const std::string deep(2'000'000, '[');
    for (const auto& answer : {std::string("not json\n"), std::string("{}\n"), std::string("[]\n"), std::string("{\"return\": {\"status\": 5}, \"id\": 2}\n"),
                               std::string("{\"return\": [], \"id\": 2}\n"), std::string("{\"return\": {\"status\": \"x\"}, \"id\": 99}\n"),
                               std::string("{\"id\": 2}\n"), std::string("\xff\xfe{\n"), "{\"return\": " + std::string(100, '[') + "\n", deep,
                               std::string("{\"error\": 7, \"id\": 2}\n")}) {
        const auto state = state_from({greeting, agreed, answer});
        ASSERT_FALSE(state.ok()) << answer.substr(0, 40);
        EXPECT_TRUE(state.error().code == Code::unavailable || state.error().code == Code::failed_precondition) << answer.substr(0, 40);
    }
    EXPECT_EQ(state_from({"SSH-2.0-OpenSSH\r\n"}).error().code, Code::unavailable);
    EXPECT_EQ(state_from({greeting}).error().code, Code::unavailable) << "it hangs up";
}

TEST(Qmp, EventsWithoutEndAreNoAnswer) {
    std::string events;
    for (int at = 0; at < qmp_events_in_a_command_max + 1; ++at) events += "{\"event\": \"X\"}\n";
    EXPECT_EQ(state_from({greeting, agreed, events}).error().code, Code::unavailable);
}

TEST(Qmp, APasswordCannotBecomeACommand) {
    FakeQemu qemu({greeting, agreed, R"({"return": {}, "id": 2})" "\r\n"});
    const Limit limit(5s, -1);
    auto client = QmpClient::open(qemu.directory(), "qmp", limit);
    ASSERT_TRUE(client.ok());
    ASSERT_TRUE(client->set_vnc_password("a\"b\\c\n{\"execute\":\"quit\"}", limit).ok());
    const auto heard = qemu.heard();
    EXPECT_THAT(heard, HasSubstr(R"("password":"a\"b\\c\n{\"execute\":\"quit\"}")"));
    EXPECT_EQ(std::count(heard.begin(), heard.end(), '\n'), 2) << "two commands, two lines";
}

TEST(Qmp, EventsAreTaken) {
    FakeQemu qemu({greeting, agreed + "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-shutdown\"}}\r\n"}, false);
    auto client = QmpClient::open(qemu.directory(), "qmp", Limit(5s, -1));
    ASSERT_TRUE(client.ok());
    std::vector<QmpEvent> events;
    const Limit limit(5s, -1);
    while (events.empty() && limit.wait(-1, 0, 5ms) == Limit::Wait::ready) {
        auto taken = client->take_events();
        ASSERT_TRUE(taken.ok());
        events = std::move(*taken);
    }
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0], (QmpEvent{.name = "SHUTDOWN", .guest = true, .detail = "guest-shutdown"}));
}

}  // namespace
}  // namespace eve::kvm
