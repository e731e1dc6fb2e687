// The real fetch process against real sockets: honest servers, and those that stall, lie, change their mind or never end.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "core/loop/asio_loop.hpp"
#include "storage/fetch_transport.hpp"
#include "storage/child_process.hpp"
#include "storage/durable_file.hpp"
#include "storage/files.hpp"
#include "storage/hash.hpp"
#include "storage/transfer_notes.hpp"
#include "storage/verify_files.hpp"
#include "tests/acceptance/storage/http_server.hpp"

namespace eve {
namespace {

using namespace std::chrono_literals;
using test::HttpConnection;
using test::HttpRequest;
using test::HttpServer;

class Context final : public LaneContext {
public:
    Instant deadline() const override { return Instant::max(); }
    bool cancelled() const override { return cancelled_; }
    int cancel_fd() const override { return -1; }
    std::atomic<bool> cancelled_{false};
};

/// A test whose server is on loopback in a network namespace of its own, where the machine allows one.
class Fetch : public testing::Test {
protected:
    static void SetUpTestSuite() {
        if (geteuid() == 0 && unshare(CLONE_NEWNET) == 0) {
            own_network_ = std::system("ip link set lo up && ip addr add 10.9.0.1/32 dev lo") == 0;  // NOLINT: a fixed command in a test
        }
    }

    void SetUp() override {
        directory_ = std::filesystem::temp_directory_path() / ("fetch_test." + std::to_string(getpid()));
        std::filesystem::create_directories(directory_);
        target_ = directory_ / "pending" / "blob";
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }

    std::unique_ptr<downloader::Transport> transport(std::uint64_t tries = 3) {
        return storage::make_fetch_transport(
            {.program = std::string(BUILD_ROOT) + "/bin/fetch", .tries_max = tries, .first_delay = 20ms, .checkpoint_interval = 0s}, clock_);
    }
    downloader::FetchRequest request(const std::string& url) const { return {.url = url, .target = target_, .stall_limit = 2s}; }
    Result<downloader::FetchOutcome> fetch(const downloader::FetchRequest& what, std::uint64_t tries = 3) {
        return transport(tries)->fetch(what, [this](downloader::FetchProgress p) { progress_.push_back(p); }, context_);
    }
    std::string received() const {
        std::ifstream file(target_, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    static std::string content(std::size_t size) {
        std::string bytes(size, '\0');
        std::uint64_t x = 88172645463325252U;
        for (auto& c : bytes) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            c = static_cast<char>(x);
        }
        return bytes;
    }

    static inline bool own_network_ = false;
    SystemClock clock_;
    Context context_;
    std::filesystem::path directory_;
    std::string target_;
    std::vector<downloader::FetchProgress> progress_;
};

TEST_F(Fetch, ReceivesHashesAndNotesTheDigestOfExactlyThisFile) {
    const std::string bytes = content(3'000'000);
    HttpServer server(test::honest(bytes));
    auto got = fetch(request(server.url("/image?sig=a%2Fb")));
    ASSERT_TRUE(got) << got.error().what;
    EXPECT_EQ(got->size, bytes.size());
    EXPECT_EQ(got->sha256, storage::sha256_hex(bytes));
    EXPECT_EQ(got->content_type, "application/octet-stream");
    EXPECT_EQ(received(), bytes);
    struct stat facts{};
    ASSERT_EQ(stat(target_.c_str(), &facts), 0);
    EXPECT_EQ(storage::noted_digest(*storage::read_file(storage::digest_path(target_), 4096), facts), storage::sha256_hex(bytes));
    EXPECT_FALSE(std::filesystem::exists(storage::progress_path(target_)));
    ASSERT_FALSE(progress_.empty());
    EXPECT_EQ(progress_.front().total, bytes.size());
}

TEST_F(Fetch, TheRequestComesFromTheAddressItIsToComeFrom) {
    HttpServer server(test::honest("x"));
    auto what = request(server.url("/"));
    what.source_address = "127.0.0.1";
    auto got = fetch(what, 1);
    ASSERT_TRUE(got) << got.error().what;
    what.source_address = "192.0.2.77";  // not ours
    got = fetch(what, 1);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Code::unavailable) << got.error().what;
    EXPECT_EQ(server.requests(), 1);
}

TEST_F(Fetch, ContinuesWhereTheConnectionBroke) {
    const std::string bytes = content(4'000'000);
    HttpServer server([&](const HttpRequest& r, const HttpConnection& c) {
        if (r.number == 0) {
            c.write("HTTP/1.1 200 OK\r\nETag: \"one\"\r\nContent-Length: 4000000\r\n\r\n" + bytes.substr(0, 1'500'000));
            return;
        }
        EXPECT_EQ(r.headers.at("range"), "bytes=1500000-");
        EXPECT_EQ(r.headers.at("if-range"), "\"one\"");
        test::honest(bytes)(r, c);
    });
    auto got = fetch(request(server.url("/")));
    ASSERT_TRUE(got) << got.error().what;
    EXPECT_EQ(got->sha256, storage::sha256_hex(bytes));
    EXPECT_EQ(server.requests(), 2);
}

TEST_F(Fetch, StartsOverWhenTheContentChangedBetweenRanges) {
    const std::string first = content(2'000'000), second(2'000'000, 'x');
    HttpServer server([&](const HttpRequest& r, const HttpConnection& c) {
        if (r.number == 0) c.write("HTTP/1.1 200 OK\r\nETag: \"one\"\r\nContent-Length: 2000000\r\n\r\n" + first.substr(0, 700'000));
        // Answers the range with other content's bytes although If-Range forbade it.
        else if (r.headers.contains("range"))
            c.write(
                "HTTP/1.1 206 Partial Content\r\nETag: \"two\"\r\nContent-Range: bytes 700000-1999999/2000000\r\nContent-Length: 1300000\r\n\r\n" +
                second.substr(700'000));
        else test::honest(second, "\"two\"")(r, c);
    });
    auto got = fetch(request(server.url("/")));
    ASSERT_TRUE(got) << got.error().what;
    EXPECT_EQ(got->sha256, storage::sha256_hex(second));
    EXPECT_EQ(received(), second);
}

TEST_F(Fetch, AServerThatIgnoresRangesIsReadFromTheStart) {
    const std::string bytes = content(1'000'000);
    HttpServer server([&](const HttpRequest& r, const HttpConnection& c) {
        c.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + (r.number == 0 ? bytes.substr(0, 400'000) : bytes));
    });
    auto got = fetch(request(server.url("/")));
    ASSERT_TRUE(got) << got.error().what;
    EXPECT_EQ(received(), bytes);
}

TEST_F(Fetch, AStalledServerIsGivenUpWithWhatHappened) {
    HttpServer server([](const HttpRequest&, const HttpConnection& c) {
        c.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc");
        c.stall();
    });
    auto what = request(server.url("/"));
    what.stall_limit = 1s;
    auto got = fetch(what, 1);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Code::timed_out) << got.error().what;
    EXPECT_EQ(got.error().what, "no progress for 1 s");
}

TEST_F(Fetch, AnEndlessBodyStopsAtTheLimit) {
    HttpServer server([](const HttpRequest&, const HttpConnection& c) {
        if (!c.write("HTTP/1.1 200 OK\r\n\r\n")) return;
        while (c.write(std::string(65536, 'e'))) {}
    });
    auto what = request(server.url("/"));
    what.size_max = 1'000'000;
    auto got = fetch(what);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Code::failed_precondition) << got.error().what;
    EXPECT_LE(std::filesystem::file_size(target_), 1'000'000u);
    EXPECT_EQ(server.requests(), 1) << "a wrong size is not retried";
}

TEST_F(Fetch, AnAnnouncedSizeBeyondTheLimitIsRefusedBeforeTheBody) {
    HttpServer server([](const HttpRequest&, const HttpConnection& c) { c.write("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nabc"); });
    auto what = request(server.url("/"));
    what.size_max = 1'000'000;
    auto got = fetch(what);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Code::failed_precondition);
}

TEST_F(Fetch, AnEndlessHeaderIsRefused) {
    HttpServer server([](const HttpRequest&, const HttpConnection& c) {
        if (!c.write("HTTP/1.1 200 OK\r\n")) return;
        while (c.write("X-Filler: " + std::string(1000, 'h') + "\r\n")) {}
    });
    auto got = fetch(request(server.url("/")), 1);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Code::failed_precondition) << got.error().what;
}

TEST_F(Fetch, RedirectsAreFollowedButNotForEver) {
    const std::string bytes = content(1000);
    HttpServer server([&](const HttpRequest& r, const HttpConnection& c) {
        if (r.path == "/good") c.write("HTTP/1.1 302 Found\r\nLocation: /image\r\nContent-Length: 3\r\n\r\nbye");
        else if (r.path == "/image") test::honest(bytes)(r, c);
        else c.write("HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n");
    });
    ASSERT_TRUE(fetch(request(server.url("/good"))));
    EXPECT_EQ(received(), bytes);
    auto got = fetch(request(server.url("/loop")));
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().what, "too many redirects");
}

TEST_F(Fetch, RedirectsToFilesOrOtherProtocolsAreRefused) {
    for (const char* location : {"file:///etc/passwd", "gopher://127.0.0.1/", "dict://127.0.0.1:1/x"}) {
        HttpServer server([&](const HttpRequest&, const HttpConnection& c) {
            c.write("HTTP/1.1 302 Found\r\nLocation: " + std::string(location) + "\r\nContent-Length: 0\r\n\r\n");
        });
        auto got = fetch(request(server.url("/")), 1);
        ASSERT_FALSE(got);
        EXPECT_EQ(got.error().code, Code::failed_precondition) << got.error().what;
    }
}

TEST_F(Fetch, ARedirectFromElsewhereToThisMachineIsRefused) {
    if (!own_network_) GTEST_SKIP() << "needs a network namespace of its own (root): a second address is wanted";
    HttpServer inside(test::honest("secret"));
    HttpServer outside(
        [&](const HttpRequest&, const HttpConnection& c) {
            c.write("HTTP/1.1 302 Found\r\nLocation: " + inside.url("/") + "\r\nContent-Length: 0\r\n\r\n");
        },
        "10.9.0.1");
    auto got = fetch(request(outside.url("/")), 1);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().what, "redirected to a local address");
    EXPECT_EQ(inside.requests(), 0);
}

TEST_F(Fetch, ARedirectFromElsewhereToALinkLocalOrMappedAddressIsRefusedWithoutAPacket) {
    if (!own_network_) GTEST_SKIP() << "needs a network namespace of its own (root): a second address is wanted";
    for (const char* where : {"http://169.254.169.254/latest/meta-data", "http://127.1.2.3:1/", "http://0.0.0.0:1/", "http://[::1]:1/", "http://[fe80::1]:1/",
                              "http://[::ffff:127.0.0.1]:1/", "http://[::ffff:169.254.169.254]/", "http://2130706433:1/", "http://0x7f.1:1/"}) {
        HttpServer outside(
            [&](const HttpRequest&, const HttpConnection& c) {
                c.write("HTTP/1.1 307 There\r\nLocation: " + std::string(where) + "\r\nContent-Length: 0\r\n\r\n");
            },
            "10.9.0.1");
        auto got = fetch(request(outside.url("/")), 1);
        ASSERT_FALSE(got);
        EXPECT_EQ(got.error().what, "redirected to a local address") << where;
        EXPECT_EQ(got.error().code, Code::failed_precondition) << where;
    }
}

TEST_F(Fetch, AServerThatAnnouncesMoreThanItSendsIsAskedForTheRestAndThenGivenUp) {
    const std::string bytes = content(300'000);
    std::vector<std::string> ranges;
    HttpServer server([&](const HttpRequest& r, const HttpConnection& c) {
        if (r.headers.contains("range")) ranges.push_back(r.headers.at("range"));
        const auto from = r.headers.contains("range") ? std::stoul(r.headers.at("range").substr(6)) : 0;
        const std::string head = from == 0 ? "HTTP/1.1 200 OK\r\n"
                                           : "HTTP/1.1 206 Part\r\nContent-Range: bytes " + std::to_string(from) + "-999999/1000000\r\n";
        c.write(head + "ETag: \"one\"\r\nContent-Length: " + std::to_string(1'000'000 - from) + "\r\n\r\n" + bytes.substr(std::min(from, bytes.size())));
    });
    auto got = fetch(request(server.url("/")), 3);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Code::unavailable) << got.error().what;
    ASSERT_FALSE(ranges.empty());
    for (const auto& range : ranges) EXPECT_EQ(range, "bytes=300000-");
    EXPECT_LE(server.requests(), 5);
    EXPECT_FALSE(std::filesystem::exists(target_ + ".digest")) << "nothing was vouched for";
}

TEST_F(Fetch, APartThatIsLongerThanItSaysIsRefused) {
    const std::string bytes = content(300'000);
    HttpServer server([&](const HttpRequest& r, const HttpConnection& c) {
        if (r.number == 0) c.write("HTTP/1.1 200 OK\r\nETag: \"one\"\r\nContent-Length: 300000\r\n\r\n" + bytes.substr(0, 100'000));
        else c.write("HTTP/1.1 206 Part\r\nETag: \"one\"\r\nContent-Range: bytes 100000-299999/300000\r\n\r\n" + bytes.substr(100'000) + "and more");
    });
    auto got = fetch(request(server.url("/")), 3);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().what, "the server sends more than it announced");
    EXPECT_LE(std::filesystem::file_size(target_), bytes.size());
}

TEST_F(Fetch, ASizeThatChangesBetweenPartsIsStartingOverAndNotForEver) {
    HttpServer server([](const HttpRequest& r, const HttpConnection& c) {
        const auto total = std::to_string(1'000'000 + r.number);
        if (r.headers.contains("range"))
            c.write("HTTP/1.1 206 Part\r\nETag: \"one\"\r\nContent-Range: " + r.headers.at("range").substr(0, 5) + " " + r.headers.at("range").substr(6) +
                    "999999/" + total + "\r\nContent-Length: 10\r\n\r\n0123456789");
        else c.write("HTTP/1.1 200 OK\r\nETag: \"one\"\r\nContent-Length: " + total + "\r\n\r\n" + std::string(1000, 'x'));
    });
    auto got = fetch(request(server.url("/")), 20);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().what, "the content keeps changing while it is received");
}

TEST_F(Fetch, AServerThatDiesAtOnceOrSaysNothingIsAnError) {
    for (const char* answer : {"", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Le", "nonsense\r\n\r\n", "HTTP/1.1 999 ?\r\n\r\n"}) {
        HttpServer server([&](const HttpRequest&, const HttpConnection& c) {
            c.write(answer);
            c.reset();
        });
        auto got = fetch(request(server.url("/")), 2);
        ASSERT_FALSE(got) << answer;
        EXPECT_NE(got.error().what, "");
        EXPECT_LE(server.requests(), 2);
    }
}

TEST_F(Fetch, TheSecretGoesToItsServerOnly) {
    std::string first, second;
    HttpServer other([&](const HttpRequest& r, const HttpConnection& c) {
        second = r.headers.contains("authorization") ? r.headers.at("authorization") : "none";
        test::honest("x")(r, c);
    });
    HttpServer server([&](const HttpRequest& r, const HttpConnection& c) {
        first = r.headers.at("authorization");
        c.write("HTTP/1.1 302 Found\r\nLocation: " + other.url("/") + "\r\nContent-Length: 0\r\n\r\n");
    });
    auto what = request(server.url("/"));
    what.authorization = "Bearer abc";
    ASSERT_TRUE(fetch(what));
    EXPECT_EQ(first, "Bearer abc");
    EXPECT_EQ(second, "none");
}

/// A registry that wants a token of `realm`, which is itself when that is empty.
HttpServer::Handler wants_token(std::string realm, std::string* shown) {
    return [realm = std::move(realm), shown](const HttpRequest& r, const HttpConnection& c) {
        const auto credentials = r.headers.contains("authorization") ? r.headers.at("authorization") : "";
        if (r.path.starts_with("/token")) {
            *shown += r.path + " " + credentials + "\n";
            const std::string answer = R"({"token":"good"})";
            c.write("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(answer.size()) + "\r\n\r\n" + answer);
        } else if (credentials != "Bearer good") {
            c.write("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nWWW-Authenticate: Bearer realm=\"" +
                    (realm.empty() ? "http://" + r.headers.at("host") : realm) + "/token\",service=\"reg\"\r\n\r\n");
        } else if (r.path == "/v2/a/manifests/x") {
            c.write("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        } else {
            c.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Type: text/plain\r\n\r\nblob");
        }
    };
}

TEST_F(Fetch, ATokenIsAskedForWithTheDatastoresUserAndABlobIsFoundWhereItIs) {
    std::string shown;
    HttpServer server(wants_token("", &shown));
    auto what = request(server.url("/v2/a/manifests/x"));
    what.fallback_url = server.url("/v2/a/blobs/x");
    what.registry_scope = "repository:a:pull";
    what.user = "app";
    what.password = "open sesame";
    const auto got = fetch(what, 1);
    ASSERT_TRUE(got) << got.error().what;
    EXPECT_EQ(received(), "blob");
    EXPECT_EQ(shown, "/token?service=reg&scope=repository:a:pull Basic YXBwOm9wZW4gc2VzYW1l\n");
    EXPECT_EQ(server.requests(), 4);
    EXPECT_EQ(*transport()->resolve(what, context_), storage::sha256_hex("blob"));
}

TEST_F(Fetch, ATokenServerThatIsThisMachineIsNotAskedForAStranger) {
    if (!own_network_) GTEST_SKIP() << "needs a network namespace";
    std::string shown;
    HttpServer inner(wants_token("", &shown));
    HttpServer outer(wants_token(inner.url(""), &shown), "10.9.0.1");
    auto what = request(outer.url("/v2/a/blobs/x"));
    what.registry_scope = "repository:a:pull";
    const auto got = fetch(what, 1);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Code::failed_precondition);
    EXPECT_NE(got.error().what.find("local address"), std::string::npos) << got.error().what;
    EXPECT_EQ(inner.requests(), 0);
}

TEST_F(Fetch, ARegistryThatNeverHasEnoughIsGivenUp) {
    HttpServer server([](const HttpRequest&, const HttpConnection& c) {
        c.write("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\r\n");
    });
    auto what = request(server.url("/v2/a/blobs/x"));
    what.registry_scope = "repository:a:pull";
    what.user = "app";
    what.password = "open sesame";
    const auto got = fetch(what, 1);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Code::permission_denied);
    EXPECT_EQ(got.error().what.find("sesame"), std::string::npos);
    EXPECT_LE(server.requests(), 2);
}

TEST_F(Fetch, ABusyServersWishIsRespected) {
    HttpServer server([](const HttpRequest& r, const HttpConnection& c) {
        if (r.path == "/soon" && r.number > 0) test::honest("done")(r, c);
        else c.write("HTTP/1.1 503 Busy\r\nRetry-After: " + std::string(r.path == "/soon" ? "1" : "3600") + "\r\nContent-Length: 0\r\n\r\n");
    });
    EXPECT_TRUE(fetch(request(server.url("/soon"))));
    auto got = fetch(request(server.url("/later")));
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Code::unavailable);
    EXPECT_EQ(got.error().retry_after, std::chrono::milliseconds{3'600'000});
    EXPECT_EQ(server.requests(), 3) << "the long wish is the caller's to wait for";
}

TEST_F(Fetch, ErrorsOfTheServerKeepTheirMeaning) {
    HttpServer server(
        [](const HttpRequest& r, const HttpConnection& c) { c.write("HTTP/1.1 " + r.path.substr(1) + " No\r\nContent-Length: 2\r\n\r\nno"); });
    EXPECT_EQ(fetch(request(server.url("/404"))).error().code, Code::not_found);
    EXPECT_EQ(fetch(request(server.url("/403"))).error().code, Code::permission_denied);
    EXPECT_EQ(fetch(request(server.url("/400"))).error().code, Code::failed_precondition);
    EXPECT_EQ(fetch(request(server.url("/500")), 2).error().code, Code::unavailable);
    EXPECT_EQ(server.requests(), 5);
    EXPECT_EQ(received(), "") << "the body of an error is not content";
    EXPECT_EQ(fetch(request("ftp://127.0.0.1/x")).error().code, Code::unsupported);
    EXPECT_EQ(fetch(request("file:///etc/passwd")).error().code, Code::unsupported);
}

TEST_F(Fetch, ALaterCallContinuesWhatACancelledOneLeft) {
    const std::string bytes = content(3'000'000);
    std::string range;
    HttpServer server([&](const HttpRequest& r, const HttpConnection& c) {
        if (r.number > 0) {
            range = r.headers.contains("range") ? r.headers.at("range") : "none";
            test::honest(bytes)(r, c);
            return;
        }
        c.write("HTTP/1.1 200 OK\r\nETag: \"one\"\r\nContent-Length: 3000000\r\n\r\n" + bytes.substr(0, 2'000'000));
        c.stall();
    });
    auto what = request(server.url("/"));
    what.stall_limit = 60s;
    auto got = transport()->fetch(
        what,
        [this](downloader::FetchProgress p) {
            if (p.current >= 2'000'000) context_.cancelled_ = true;
        },
        context_);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Code::cancelled);
    context_.cancelled_ = false;
    got = fetch(what);
    ASSERT_TRUE(got) << got.error().what;
    EXPECT_EQ(range, "bytes=2000000-");
    EXPECT_EQ(got->sha256, storage::sha256_hex(bytes));

    what.start_over = true;
    ASSERT_TRUE(fetch(what));
    EXPECT_EQ(range, "none");
}

/// The only child of this process, when it has one.
pid_t find_child() {
    std::ifstream children("/proc/self/task/" + std::to_string(gettid()) + "/children");
    pid_t child = 0;
    children >> child;
    return child;
}

TEST_F(Fetch, TheProcessHasNoRightsAndAnotherGoesOnWhereAKilledOneWas) {
    const std::string bytes = content(3'000'000);
    std::string continued_from;
    HttpServer server([&](const HttpRequest& r, const HttpConnection& c) {
        if (r.number > 0) {
            if (const auto range = r.headers.find("range"); range != r.headers.end()) continued_from = range->second;
            return test::honest(bytes)(r, c);
        }
        c.write("HTTP/1.1 200 OK\r\nETag: \"one\"\r\nContent-Length: 3000000\r\n\r\n" + bytes.substr(0, 1'000'000));
        c.stall();
    });
    std::string status, descriptors;
    bool killed = false;
    auto what = request(server.url("/"));
    what.stall_limit = 60s;
    auto got = transport()->fetch(
        what,
        [&](downloader::FetchProgress p) {
            if (p.current < 1'000'000 || killed) return;
            const pid_t child = find_child();
            ASSERT_GT(child, 0);
            status = storage::read_file("/proc/" + std::to_string(child) + "/status", 65536).value_or("");
            std::error_code ignored;
            for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(child) + "/fd", ignored)) {
                const auto link = std::filesystem::read_symlink(entry.path(), ignored).string();
                descriptors += entry.path().filename().string() + "=" + link + "\n";
            }
            killed = true;
            kill(child, SIGKILL);
        },
        context_);
    ASSERT_TRUE(killed);
    ASSERT_TRUE(got) << got.error().what;
    EXPECT_EQ(got->sha256, storage::sha256_hex(bytes));
    EXPECT_TRUE(continued_from.starts_with("bytes=") && continued_from != "bytes=0-") << continued_from;
    EXPECT_NE(status.find("NoNewPrivs:\t1"), std::string::npos) << status;
    EXPECT_NE(status.find("Seccomp:\t2"), std::string::npos) << status;
    EXPECT_NE(status.find("CapEff:\t0000000000000000"), std::string::npos) << status;
    if (geteuid() == 0) {
        EXPECT_NE(status.find("Uid:\t64901\t64901\t64901\t64901"), std::string::npos) << status;
    }
    EXPECT_EQ(descriptors.find("/log"), std::string::npos) << descriptors;
}

TEST_F(Fetch, AProcessThatAlwaysDiesIsGivenUpWithWhatHappened) {
    const auto always_dies = storage::make_fetch_transport({.program = "/bin/false"}, clock_);
    const auto got = always_dies->fetch(request("http://192.0.2.1/"), [](downloader::FetchProgress) {}, context_);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Code::unavailable);
    EXPECT_NE(got.error().what.find("without a report"), std::string::npos) << got.error().what;
}

TEST_F(Fetch, KillingTheNodeEndsTheTransferAndTheNextNodeContinuesIt) {
    const std::string bytes = content(3'000'000);
    std::atomic<bool> stalled = false;
    std::string range = "none";
    HttpServer server([&](const HttpRequest& r, const HttpConnection& c) {
        if (r.number > 0) {
            if (r.headers.contains("range")) range = r.headers.at("range");
            return test::honest(bytes)(r, c);
        }
        c.write("HTTP/1.1 200 OK\r\nETag: \"one\"\r\nContent-Length: 3000000\r\n\r\n" + bytes.substr(0, 1'000'000));
        stalled = true;
        c.stall();
    });
    auto what = request(server.url("/"));
    what.stall_limit = 60s;
    const pid_t node = fork();
    if (node == 0) {
        (void)fetch(what);
        _exit(0);
    }
    const auto limit = clock_.now() + 20s;
    const auto saved = [&] {
        const auto text = storage::read_file(storage::progress_path(target_), 4096);
        const auto point = text ? storage::parse_progress(*text) : std::nullopt;
        return point && point->offset >= 900'000;
    };
    while (!saved() && clock_.now() < limit) usleep(10'000);
    ASSERT_TRUE(saved());
    kill(node, SIGKILL);
    ASSERT_EQ(waitpid(node, nullptr, 0), node);
    // The orphan goes with its node: the lock on the file is free again.
    Result<downloader::FetchOutcome> got = fetch(what);
    while (!got && got.error().retry_after && clock_.now() < limit) {
        usleep(10'000);
        got = fetch(what);
    }
    ASSERT_TRUE(got) << got.error().what;
    EXPECT_EQ(range, "bytes=1000000-");
    EXPECT_EQ(got->sha256, storage::sha256_hex(bytes));
}

TEST_F(Fetch, AFullDiskIsSaidAndHealsWhenThereIsSpace) {
    const std::string small = directory_ / "small";
    std::filesystem::create_directories(small);
    if (geteuid() != 0 || mount("tmpfs", small.c_str(), "tmpfs", 0, "size=1m") != 0) GTEST_SKIP() << "needs root to mount a small file system";
    const std::string bytes = content(3'000'000);
    HttpServer server(test::honest(bytes));
    auto what = request(server.url("/"));
    what.target = small + "/blob";
    auto got = fetch(what);
    const bool grown = mount("tmpfs", small.c_str(), "tmpfs", MS_REMOUNT, "size=8m") == 0;
    auto again = fetch(what);
    umount(small.c_str());
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Code::resource_exhausted) << got.error().what;
    ASSERT_TRUE(grown);
    ASSERT_TRUE(again) << again.error().what;
    EXPECT_EQ(again->sha256, storage::sha256_hex(bytes));
}

TEST_F(Fetch, HttpsTrustsWhatTheDatastoreSaysAndNeverGoesBackToHttp) {
    if (access("/usr/sbin/nginx", X_OK) != 0 || access("/usr/bin/openssl", X_OK) != 0) GTEST_SKIP() << "needs nginx and openssl";
    if (!own_network_) GTEST_SKIP() << "needs a network namespace of its own (root): nginx listens on a fixed port";
    const std::string d = directory_, bytes = content(2'000'000);
    const auto run = [](const char* program, std::vector<std::string> arguments) {
        return storage::ChildProcess::start({.program = program, .arguments = std::move(arguments), .descriptors = {}});
    };
    auto made = run("/usr/bin/openssl", {"req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                                         "subjectAltName=IP:127.0.0.1", "-keyout", d + "/key.pem", "-out", d + "/cert.pem"});
    ASSERT_TRUE(made && made->wait() == 0);
    std::ofstream(d + "/image", std::ios::binary) << bytes;
    std::filesystem::permissions(d, std::filesystem::perms::all);
    std::ofstream(d + "/nginx.conf") << "user root; daemon off; master_process off; pid " << d << "/pid; error_log " << d << "/log;\n"
                                     << "events {}\nhttp { access_log off; client_body_temp_path " << d << "/t1; proxy_temp_path " << d
                                     << "/t2; fastcgi_temp_path " << d << "/t3; uwsgi_temp_path " << d << "/t4; scgi_temp_path " << d << "/t5;\n"
                                     << "server { listen 127.0.0.1:8443 ssl; ssl_certificate " << d << "/cert.pem; ssl_certificate_key " << d
                                     << "/key.pem; root " << d << "; location /down { return 302 http://127.0.0.1:8443/image; } } }\n";
    auto nginx = run("/usr/sbin/nginx", {"-c", d + "/nginx.conf"});
    ASSERT_TRUE(nginx);
    auto what = request("https://127.0.0.1:8443/image");
    what.ca_certificates = {*storage::read_file(d + "/cert.pem", 65536)};
    auto got = fetch(what, 7);  // its own tries wait for nginx to listen
    ASSERT_TRUE(got) << got.error().what;
    EXPECT_EQ(got->sha256, storage::sha256_hex(bytes));
    EXPECT_EQ(received(), bytes);

    what.ca_certificates.clear();
    got = fetch(what, 1);
    ASSERT_FALSE(got) << "a certificate nobody vouches for";
    EXPECT_EQ(got.error().code, Code::unavailable);

    what.ca_certificates = {*storage::read_file(d + "/cert.pem", 65536)};
    what.url = "https://127.0.0.1:8443/down";
    got = fetch(what, 1);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().what, "redirected from https to http");
}

namespace {

// A certificate for `name` ("IP:127.0.0.1"), signed by itself, that ends `days` from now.
void write_certificate(const std::string& path, const std::string& name, long days) {
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_RSA_gen(2048), EVP_PKEY_free);
    const std::unique_ptr<X509, decltype(&X509_free)> made(X509_new(), X509_free);
    X509_set_version(made.get(), X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.get()), 1);
    constexpr long day = 86'400;
    X509_gmtime_adj(X509_getm_notBefore(made.get()), -30 * day);
    X509_gmtime_adj(X509_getm_notAfter(made.get()), days * day);
    X509_set_pubkey(made.get(), key.get());
    auto* const subject = X509_get_subject_name(made.get());
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
    X509_set_issuer_name(made.get(), subject);
    if (auto* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, name.c_str())) {
        X509_add_ext(made.get(), extension, -1);
        X509_EXTENSION_free(extension);
    }
    X509_sign(made.get(), key.get(), EVP_sha256());
    const std::unique_ptr<FILE, decltype(&std::fclose)> file(std::fopen(path.c_str(), "w"), std::fclose);
    PEM_write_X509(file.get(), made.get());
    PEM_write_PrivateKey(file.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
}

}  // namespace

TEST_F(Fetch, EachWrongCertificateIsNamedAndNothingIsReceived) {
    if (access("/usr/sbin/nginx", X_OK) != 0) GTEST_SKIP() << "needs nginx";
    if (!own_network_) GTEST_SKIP() << "needs a network namespace of its own (root): nginx listens on fixed ports";
    const std::string d = directory_, bytes = content(10'000);
    write_certificate(d + "/good.pem", "IP:127.0.0.1", 30);
    write_certificate(d + "/expired.pem", "IP:127.0.0.1", -1);
    write_certificate(d + "/other.pem", "DNS:elsewhere.example", 30);
    std::ofstream(d + "/image", std::ios::binary) << bytes;
    std::filesystem::permissions(d, std::filesystem::perms::all);
    std::ofstream config(d + "/nginx.conf");
    config << "user root; daemon off; master_process off; pid " << d << "/pid; error_log " << d << "/log;\nevents {}\nhttp { access_log off;"
           << " client_body_temp_path " << d << "/t1; proxy_temp_path " << d << "/t2; fastcgi_temp_path " << d << "/t3; uwsgi_temp_path " << d
           << "/t4; scgi_temp_path " << d << "/t5; root " << d << ";\n";
    int port = 8451;
    for (const char* name : {"good", "expired", "other"})
        config << "server { listen 127.0.0.1:" << port++ << " ssl; ssl_certificate " << d << "/" << name << ".pem; ssl_certificate_key " << d << "/" << name
               << ".pem; }\n";
    config << "}\n";
    config.close();
    auto nginx = storage::ChildProcess::start({.program = "/usr/sbin/nginx", .arguments = {"-c", d + "/nginx.conf"}, .descriptors = {}});
    ASSERT_TRUE(nginx);
    auto what = request("https://127.0.0.1:8451/image");
    for (const char* name : {"good", "expired", "other"}) what.ca_certificates.push_back(*storage::read_file(d + "/" + name + ".pem", 65536));
    auto got = fetch(what, 7);  // its own tries wait for nginx to listen
    ASSERT_TRUE(got) << got.error().what;
    std::filesystem::remove(target_);

    struct Wrong {
        const char* url;
        bool trusted;
        const char* sentence;
    };
    for (const auto& wrong : {Wrong{"https://127.0.0.1:8452/image", true, "certificate has expired"},
                              Wrong{"https://127.0.0.1:8453/image", true, "target host name"}, Wrong{"https://127.0.0.1:8451/image", false, "self-signed"}}) {
        auto refused = what;
        refused.url = wrong.url;
        if (!wrong.trusted) refused.ca_certificates.clear();
        got = fetch(refused, 2);
        ASSERT_FALSE(got) << wrong.url;
        EXPECT_EQ(got.error().code, Code::unavailable);
        EXPECT_NE(got.error().what.find(wrong.sentence), std::string::npos) << got.error().what;
        EXPECT_EQ(received(), "") << "nothing of it";
    }
}

TEST_F(Fetch, VerificationTakesTheNotedDigestOnlyForTheUnchangedFile) {
    const std::string bytes = content(100'000), sha = storage::sha256_hex(bytes), type = "application/vnd.oci.image.layer.v1.tar";
    HttpServer server(test::honest(bytes));
    auto files = storage::make_verify_files(directory_ / "verifier");
    ASSERT_TRUE(fetch(request(server.url("/"))));
    auto verified = files->verify({.pending = target_, .sha256 = sha, .media_type = type}, context_);
    ASSERT_TRUE(verified) << verified.error().what;
    EXPECT_EQ(verified->size, bytes.size());
    EXPECT_FALSE(std::filesystem::exists(target_));

    ASSERT_TRUE(fetch(request(server.url("/"))));
    std::fstream(target_, std::ios::in | std::ios::out | std::ios::binary).put(static_cast<char>(bytes[0] + 1));
    verified = files->verify({.pending = target_, .sha256 = sha, .media_type = type}, context_);
    ASSERT_FALSE(verified);
    EXPECT_EQ(verified.error().code, Code::failed_precondition);
    EXPECT_NE(verified.error().what.find(" configured " + sha), std::string::npos);
}

}  // namespace
}  // namespace eve
