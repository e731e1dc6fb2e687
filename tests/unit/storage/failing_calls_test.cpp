// Every system call that the storage primitives make fails once, at every place, in every way that the kernel may let it fail, or moves half of
// the bytes it should. Then: the old content or the new one is there and whole, nothing half-made stays once the cause is gone, no descriptor
// is lost, and the same request works again.

#include <dirent.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/domainmgr/effects.hpp"
#include "storage/config_file.hpp"
#include "storage/domain_files.hpp"
#include "storage/durable_file.hpp"
#include "storage/record_store.hpp"
#include "tests/doubles/temp_dir.hpp"

namespace {

/// What the next scripted call does. Of this test's thread only.
struct Script {
    bool on = false;
    int fail_at = 0;  ///< 1: the first call
    int error = 0;    ///< 0: it moves half of its bytes
    int calls = 0;
    bool hit = false;
};
thread_local Script script;

/// Whether this call is the one; errno is set then.
bool fails() {
    if (!script.on || script.error == 0 || ++script.calls != script.fail_at) return false;
    script.hit = true;
    errno = script.error;
    return true;
}

std::size_t size_of(std::size_t size) {
    if (!script.on || script.error != 0 || ++script.calls != script.fail_at) return size;
    script.hit = true;
    return size > 1 ? size / 2 : size;
}

}  // namespace

// These stand before libc's in everything that is linked into this executable.
extern "C" {
ssize_t write(int fd, const void* data, size_t size) { return fails() ? -1 : syscall(SYS_write, fd, data, size_of(size)); }
ssize_t read(int fd, void* data, size_t size) { return fails() ? -1 : syscall(SYS_read, fd, data, size_of(size)); }
int fsync(int fd) { return fails() ? -1 : static_cast<int>(syscall(SYS_fsync, fd)); }
int fdatasync(int fd) { return fails() ? -1 : static_cast<int>(syscall(SYS_fdatasync, fd)); }
int unlinkat(int dir, const char* path, int flags) noexcept { return fails() ? -1 : static_cast<int>(syscall(SYS_unlinkat, dir, path, flags)); }
int mkdirat(int dir, const char* path, mode_t mode) noexcept { return fails() ? -1 : static_cast<int>(syscall(SYS_mkdirat, dir, path, mode)); }
int renameat(int from_dir, const char* from, int to_dir, const char* to) noexcept {
    return fails() ? -1 : static_cast<int>(syscall(SYS_renameat2, from_dir, from, to_dir, to, 0));
}
int linkat(int from_dir, const char* from, int to_dir, const char* to, int flags) noexcept {
    return fails() ? -1 : static_cast<int>(syscall(SYS_linkat, from_dir, from, to_dir, to, flags));
}
int openat(int dir, const char* path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    const auto mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
    va_end(more);
    return fails() ? -1 : static_cast<int>(syscall(SYS_openat, dir, path, flags, mode));
}
int open(const char* path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    const auto mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
    va_end(more);
    return fails() ? -1 : static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}
}

namespace eve::storage {
namespace {

namespace fs = std::filesystem;

struct Scenario {
    const char* name;
    /// Brings the directory to where the request begins.
    std::function<void(const std::string& root)> prepare;
    std::function<Status(const std::string& root)> request;
    /// Nothing, or what is wrong. `done`: the request said that it succeeded.
    std::function<std::string(const std::string& root, bool done)> judge;
};

std::vector<std::string> descriptors() {
    std::vector<std::string> open_now;
    for (const auto& entry : fs::directory_iterator("/proc/self/fd")) open_now.push_back(entry.path().filename().string());
    return open_now;
}

std::vector<std::string> temporaries(const std::string& root) {
    std::vector<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(root))
        if (entry.is_regular_file() && entry.path().filename().string().starts_with("tmp")) found.push_back(entry.path().string());
    return found;
}

// Without the checksum that a record or checkpoint may have.
std::string text(const std::string& path) {
    auto file = read_file(path, 1U << 20);
    if (file) file = unseal_protobuf(std::move(*file));
    if (file) file = unseal_json(std::move(*file));
    return file ? *file : file.error().code == Code::failed_precondition ? "(damaged)" : "(none)";
}

std::string old_or_new(const std::string& path, const std::string& before, const std::string& after, bool done) {
    const auto now = text(path);
    if (now != before && now != after) return path + " is neither the old nor the new one but '" + now.substr(0, 60) + "'";
    return done && now != after ? path + " is the old one although it was said to be written" : "";
}

const std::string old_text(5000, 'o'), new_text(7000, 'n');

bus::StoreChange change(bool persistent, const std::string& json) {
    return {.kind = json.empty() ? bus::StoreChange::Kind::remove : bus::StoreChange::Kind::put,
            .table = {.agent = "a", .scope = "", .topic = "T", .persistent = persistent},
            .key = "k",
            .json = json};
}

// What the next life finds.
std::string old_or_new_record(const std::string& root, const std::string& before, const std::string& after, bool done) {
    const auto found = RecordStore(Root(root)).peek(change(true, "").table);
    if (!found) return found.error().what;
    const auto record = found->records.find("k");
    const auto now = record == found->records.end() ? std::string("(none)") : record->second;
    if (now != before && now != after) return "the record is neither the old nor the new one but '" + now + "'";
    return done && now != after ? "the record is the old one although it was said to be stored" : "";
}

// No call that fails once is an excuse.
Status load_table(const std::string& root) {
    const auto found = RecordStore(Root(root)).load(change(true, "").table);
    if (!found) return Error{.code = Code::internal, .what = "nothing was loaded"};
    const auto record = found->records.find("k");
    if (record == found->records.end() || record->second != R"({"n":2})") return Error{.code = Code::internal, .what = "an older record was loaded"};
    return {};
}

const std::vector<Scenario>& scenarios() {
    static const std::vector<Scenario> all{
        {"a file is made",
         [](const std::string&) {},
         [](const std::string& root) -> Status {
             auto directory = DurableDirectory::make(root + "/a/b");
             return directory ? directory->write("f", new_text) : Status(directory.error());
         },
         [](const std::string& root, bool done) { return old_or_new(root + "/a/b/f", "(none)", new_text, done); }},
        {"a file is replaced, the old one kept beside it",
         [](const std::string& root) {
             ASSERT_TRUE(write_durably(root + "/f", "older"));
             ASSERT_TRUE(write_durably(root + "/f", old_text, {.previous = Previous::keep}));
         },
         [](const std::string& root) { return write_durably(root + "/f", new_text, {.previous = Previous::keep}); },
         [](const std::string& root, bool done) {
             // A write that was in place before its last sync failed is kept as the previous one by the next.
             const auto wrong = old_or_new(root + "/f", old_text, new_text, done);
             return wrong.empty() && text(root + "/f.bak") != new_text ? old_or_new(root + "/f.bak", "older", old_text, done) : wrong;
         }},
        {"a file is removed",
         [](const std::string& root) { ASSERT_TRUE(write_durably(root + "/f", old_text)); },
         [](const std::string& root) -> Status {
             auto directory = DurableDirectory::open(root);
             return directory ? directory->remove("f") : Status(directory.error());
         },
         [](const std::string& root, bool done) { return old_or_new(root + "/f", old_text, "(none)", done); }},
        {"a file is read",
         [](const std::string& root) { ASSERT_TRUE(write_durably(root + "/f", old_text)); },
         [](const std::string& root) -> Status {
             auto got = read_file(root + "/f", 1U << 20);
             if (!got) return std::move(got).error();
             return *got == old_text ? Status() : Status(Error{.code = Code::internal, .what = "WRONG content"});
         },
         [](const std::string&, bool) { return std::string(); }},
        {"a record is stored for good",
         [](const std::string& root) { ASSERT_TRUE(RecordStore(Root(root)).commit({change(true, R"({"n":1})")})[0]); },
         [](const std::string& root) { return RecordStore(Root(root)).commit({change(true, R"({"n":2})")})[0]; },
         [](const std::string& root, bool done) { return old_or_new(root + "/persist/status/a/T/k.json", R"({"n":1})", R"({"n":2})", done); }},
        {"a record is stored in the table's log",
         [](const std::string& root) { ASSERT_TRUE(RecordStore(Root(root)).append({change(true, R"({"n":1})")})[0]); },
         [](const std::string& root) { return RecordStore(Root(root)).append({change(true, R"({"n":2})")})[0]; },
         [](const std::string& root, bool done) { return old_or_new_record(root, R"({"n":1})", R"({"n":2})", done); }},
        {"the files follow the log",
         [](const std::string& root) { ASSERT_TRUE(RecordStore(Root(root)).commit({change(true, R"({"n":1})")})[0]); },
         [](const std::string& root) {
             RecordStore store{Root(root)};
             auto appended = store.append({change(true, R"({"n":2})")})[0];
             static_cast<void>(store.settle(10));  // whatever comes of it, what was appended is not lost
             return appended;
         },
         [](const std::string& root, bool done) { return old_or_new_record(root, R"({"n":1})", R"({"n":2})", done); }},
        // A call that failed in passing is no reason to go back to what a record was before, or to begin with nothing.
        {"a table is loaded",
         [](const std::string& root) {
             ASSERT_TRUE(RecordStore(Root(root)).commit({change(true, R"({"n":1})")})[0]);
             ASSERT_TRUE(RecordStore(Root(root)).commit({change(true, R"({"n":2})")})[0]);
         },
         load_table, [](const std::string& root, bool done) { return old_or_new_record(root, R"({"n":2})", R"({"n":2})", done); }},
        {"a table with a journal is loaded",
         [](const std::string& root) {
             ASSERT_TRUE(RecordStore(Root(root)).commit({change(true, R"({"n":1})")})[0]);
             ASSERT_TRUE(RecordStore(Root(root)).append({change(true, R"({"n":2})")})[0]);
         },
         load_table, [](const std::string& root, bool done) { return old_or_new_record(root, R"({"n":2})", R"({"n":2})", done); }},
        {"a record is removed",
         [](const std::string& root) { ASSERT_TRUE(RecordStore(Root(root)).commit({change(false, R"({"n":1})")})[0]); },
         [](const std::string& root) { return RecordStore(Root(root)).commit({change(false, "")})[0]; },
         [](const std::string& root, bool done) { return old_or_new(root + "/run/a/T/k.json", R"({"n":1})", "(none)", done); }},
        {"the last config is kept",
         [](const std::string& root) { ASSERT_TRUE(ConfigFiles(Root(root)).write_checkpoint(zedagent::Checkpoint::last, old_text)); },
         [](const std::string& root) { return ConfigFiles(Root(root)).write_checkpoint(zedagent::Checkpoint::last, new_text); },
         [](const std::string& root, bool done) { return old_or_new(root + "/persist/checkpoint/lastconfig", old_text, new_text, done); }},
        {"an app is marked active",
         [](const std::string&) {},
         [](const std::string& root) { return DomainFiles(Root(root)).set_active({{.app = types::Uuid{}, .active = true}}); },
         [](const std::string& root, bool done) {
             const auto path = root + "/persist/vault/active-app-instance-config/" + types::Uuid{}.to_string() + ".json";
             return old_or_new(path, "(none)", "", done);
         }},
    };
    return all;
}

TEST(FailingCalls, EachPlaceInEachWayLeavesTheOldOrTheNewAndHealsWhenTheCauseGoes) {
    int tried = 0;
    for (const auto& scenario : scenarios())
        for (const int error : {EIO, ENOSPC, EDQUOT, EINTR, EMFILE, ENOMEM, 0})
            for (int at = 1;; ++at) {
                const TempDir temp;
                const auto root = temp.string();
                SCOPED_TRACE(std::string(scenario.name) + ", call " + std::to_string(at) + (error == 0 ? " is cut short" : std::string(": ") + strerror(error)));
                scenario.prepare(root);
                const auto open_before = descriptors();
                script = {.on = true, .fail_at = at, .error = error};
                const auto done = scenario.request(root);
                const bool hit = script.hit;
                script = {};
                if (!hit) {
                    EXPECT_TRUE(done) << "untouched, and yet: " << done.error().what;
                    break;
                }
                ++tried;
                EXPECT_EQ(scenario.judge(root, done.ok()), "");
                EXPECT_EQ(descriptors(), open_before);
                if (error == 0 || error == EINTR) {
                    // Half a write, or a signal in it, is no failure; of calls that do not move bytes a signal may be reported.
                    EXPECT_TRUE(done || error == EINTR) << done.error().what;
                } else if (!done) {
                    EXPECT_NE(done.error().what.find(strerror(error)), std::string::npos) << done.error().what;
                    if (error == ENOSPC || error == EDQUOT) {
                        EXPECT_EQ(done.error().code, Code::resource_exhausted) << done.error().what;
                        EXPECT_NE(done.error().hint, "") << "names no remedy";
                    }
                    if (error == EMFILE || error == ENOMEM) {
                        EXPECT_EQ(done.error().code, Code::resource_exhausted) << done.error().what;
                        EXPECT_NE(done.error().hint, "") << "names no remedy: " << done.error().what;
                    }
                }
                const auto again = scenario.request(root);
                EXPECT_TRUE(again) << again.error().what;
                EXPECT_EQ(scenario.judge(root, true), "");
                EXPECT_EQ(descriptors(), open_before);
                // A temporary may stay only if its removal was what failed; the owner's next look takes it.
                static_cast<void>(DurableDirectory::open(root)->list());
                const auto left = temporaries(root);
                for (const auto& file : left) DurableDirectory::open(fs::path(file).parent_path().string())->remove_temporaries();
                EXPECT_THAT(temporaries(root), testing::IsEmpty());
                EXPECT_LE(left.size(), 1U);
                if (HasFailure()) return;
            }
    EXPECT_GT(tried, 300);
    std::printf("%d failures tried\n", tried);
}

}  // namespace
}  // namespace eve::storage
