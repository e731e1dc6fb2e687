#include "storage/kept_content.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "storage/durable_file.hpp"
#include "storage/files.hpp"
#include "storage/hash.hpp"

namespace eve::storage {
namespace {

constexpr const char* names_file = "/kept-by";
constexpr std::size_t names_bytes_max = 4096;
constexpr std::string_view sha_prefix = "sha256:";
constexpr std::chrono::seconds call_max{30};
constexpr std::chrono::milliseconds rival_wait_max{1000};
constexpr unsigned rivals_max = 60;  ///< times that somebody else's write is waited for
constexpr unsigned pages_max = 256;

std::string digest_of(const std::string& sha256) { return std::string(sha_prefix) + sha256; }

/// One call of a plugin on behalf of a lane.
class StepCall final : public CallContext {
public:
    explicit StepCall(const LaneContext& lane) : lane_(lane) {}
    std::uint64_t id() const override { return 0; }
    std::chrono::nanoseconds time_left() const override { return call_max; }
    bool cancelled() const override { return lane_.cancelled(); }
    int cancel_fd() const override { return lane_.cancel_fd(); }

private:
    const LaneContext& lane_;
};

class Steadfast final : public LaneContext {
public:
    Instant deadline() const override { return Instant::max(); }
    bool cancelled() const override { return false; }
    int cancel_fd() const override { return -1; }
};

/// What the node can make of a plugin's answer: a call that it does not offer is one that it cannot be asked now.
Error told(Error error, const std::string& name) {
    if (error.code == Code::unsupported || error.code == Code::internal || error.code == Code::timed_out) error.code = Code::unavailable;
    return std::move(error).in("content kept by " + name);
}

bool absent(const Error& error) { return error.code == Code::not_found; }

}  // namespace

const LaneContext& steadfast() {
    static const Steadfast the_one;
    return the_one;
}

Result<std::vector<std::string>> KeptContent::names() const {
    std::vector<std::string> names;
    if (!keepers_.find) return names;
    const auto text = read_file(directory_ + names_file, names_bytes_max);
    if (!text && text.error().code != Code::not_found) return text.error();
    for (std::size_t at = 0; text && at < text->size();) {
        const auto end = std::min(text->find('\n', at), text->size());
        if (end > at) names.push_back(text->substr(at, end - at));
        at = end + 1;
    }
    std::stable_partition(names.begin(), names.end(), [this](const std::string& name) { return name == keepers_.into; });
    return names;
}

Status KeptContent::write_names(const std::vector<std::string>& names) const {
    std::string text;
    for (const auto& name : names) text += name + "\n";
    return write_durably(directory_ + names_file, text);
}

Status KeptContent::remember_into() const {
    auto known = names();
    if (!known) return std::move(known).error();
    if (std::find(known->begin(), known->end(), keepers_.into) != known->end()) return {};
    known->push_back(keepers_.into);
    return write_names(*known);
}

KeptContent::Listed KeptContent::list(const LaneContext& context) const {
    Listed all;
    const auto known = names();
    if (!known) {
        all.unknown = known.error();
        return all;
    }
    for (const auto& name : *known) {
        std::string after;
        for (unsigned i = 0; i < pages_max; ++i) {
            auto page = keeper(name).list(StepCall(context), after);
            if (!page) {
                all.unknown = told(std::move(page).error(), name);
                break;
            }
            for (const auto& info : page->contents)
                if (info.digest.starts_with(sha_prefix)) all.blobs.emplace(info.digest.substr(sha_prefix.size()), info.size.n);
            if (!page->more || page->contents.empty()) break;
            after = page->contents.back().digest;
        }
    }
    return all;
}

namespace {

/// The first answer of `ask` that is not not_found; an answer counts for more than a failure.
template <class T, class Ask> Result<T> first_of(const std::vector<std::string>& names, Ask ask) {
    Error failed{.code = Code::not_found, .what = "no such blob in the store"};
    for (const auto& name : names) {
        Result<T> answer = ask(name);
        if (answer) return answer;
        if (!absent(answer.error())) failed = told(std::move(answer).error(), name);
    }
    return failed;
}

/// Every byte of a blob into `target`.
Status read_all(Content& content, const std::string& digest, std::uint64_t size, int target, const LaneContext& context) {
    for (std::uint64_t at = 0; at < size;) {
        if (context.cancelled()) return Error{.code = Code::cancelled, .what = "reading content was cancelled"};
        const auto part = content.read(StepCall(context), {.digest = digest, .offset = {at}, .size = {size - at}, .target = {target}});
        if (!part) return part.error();
        if (part->size.n == 0 || part->size.n > size - at) return Error{.code = Code::unavailable, .what = digest + " ends before its size"};
        at += part->size.n;
    }
    return {};
}

}  // namespace

Result<std::uint64_t> KeptContent::size(const std::string& sha256, const LaneContext& context) const {
    const auto known = names();
    if (!known) return known.error();
    return first_of<std::uint64_t>(*known, [&](const std::string& name) -> Result<std::uint64_t> {
        const auto info = keeper(name).stat(StepCall(context), digest_of(sha256));
        if (!info) return info.error();
        return info->size.n;
    });
}

Result<std::string> KeptContent::read(const std::string& sha256, std::uint64_t bytes_max, const LaneContext& context) const {
    const auto known = names();
    if (!known) return known.error();
    return first_of<std::string>(*known, [&](const std::string& name) -> Result<std::string> {
        const auto info = keeper(name).stat(StepCall(context), digest_of(sha256));
        if (!info) return info.error();
        if (info->size.n > bytes_max) return Error{.code = Code::resource_exhausted, .what = "blob " + sha256 + " is longer than it may be"};
        const UniqueFd memory(memfd_create("blob", MFD_CLOEXEC));
        if (!memory) return os_error("memory for a blob");
        if (auto done = read_all(keeper(name), digest_of(sha256), info->size.n, memory.get(), context); !done) return std::move(done).error();
        std::string text(static_cast<std::size_t>(info->size.n), '\0');
        if (pread(memory.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) return os_error("read a blob");
        if (sha256_hex(text) != sha256) return Error{.code = Code::not_found, .what = "blob " + sha256 + " of the store is damaged"};
        return text;
    });
}

Result<UniqueFd> KeptContent::fetch(const std::string& sha256, const std::string& directory, const LaneContext& context) const {
    const auto known = names();
    if (!known) return known.error();
    return first_of<UniqueFd>(*known, [&](const std::string& name) -> Result<UniqueFd> {
        const auto info = keeper(name).stat(StepCall(context), digest_of(sha256));
        if (!info) return info.error();
        UniqueFd file(open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
        if (!file) return os_error("a file for a blob in " + directory);
        if (auto done = read_all(keeper(name), digest_of(sha256), info->size.n, file.get(), context); !done) return std::move(done).error();
        return file;
    });
}

Status KeptContent::put(const std::string& sha256, int source, std::uint64_t size, const LaneContext& context) const {
    if (auto remembered = remember_into(); !remembered) return remembered;
    unsigned rivals = 0;
    for (std::uint64_t stored = 0;;) {
        if (context.cancelled()) return Error{.code = Code::cancelled, .what = "loading was cancelled"};
        auto step = keeper(into()).write(StepCall(context), {.digest = digest_of(sha256), .size = {size}, .source = {source}});
        if (step && step->complete) return {};
        const bool stuck = step && step->stored.n <= stored;
        const bool rival = !step && step.error().code == Code::unavailable && step.error().retry_after;
        if (!step && !rival) return told(std::move(step).error(), into());
        if (!stuck && !rival) {
            stored = step->stored.n;
            continue;
        }
        if (++rivals > rivals_max)
            return Error{.code = Code::unavailable, .what = "content kept by " + into() + ": writing " + sha256 + " comes to no end"};
        const auto pause = rival ? std::min(*step.error().retry_after, rival_wait_max) : rival_wait_max;
        pollfd wait{.fd = context.cancel_fd(), .events = POLLIN, .revents = 0};
        poll(&wait, 1, static_cast<int>(pause.count()));
    }
}

Status KeptContent::hold(const std::string& sha256, const LaneContext& context) const {
    const auto known = names();
    if (!known) return known.error();
    auto held = first_of<bool>(*known, [&](const std::string& name) -> Result<bool> {
        auto done = keeper(name).protect(StepCall(context), {.digest = digest_of(sha256), .hold = ContentHold::held});
        if (!done) return std::move(done).error();
        return true;
    });
    return held ? Status{} : Status(std::move(held).error());
}

Status KeptContent::drop(const std::string& sha256, const LaneContext& context) const {
    const auto known = names();
    if (!known) return known.error();
    Status all;
    for (const auto& name : *known) {
        auto done = keeper(name).protect(StepCall(context), {.digest = digest_of(sha256), .hold = ContentHold::released});
        if (done) done = keeper(name).remove(StepCall(context), digest_of(sha256));
        if (!done) all = told(std::move(done).error(), name);
    }
    return all;
}

Result<std::uint64_t> KeptContent::collect(const std::function<bool(const std::string&)>& keep, const LaneContext& context) const {
    const auto known = names();
    if (!known) return known.error();
    std::vector<std::string> still;
    std::optional<Error> failed;
    std::uint64_t removed = 0;
    for (const auto& name : *known) {
        bool holds = name == into();
        bool answers = true;
        std::string after;
        for (unsigned i = 0; i < pages_max && answers; ++i) {
            auto page = keeper(name).list(StepCall(context), after);
            if (!page) {
                failed = told(std::move(page).error(), name);
                holds = true;
                break;
            }
            for (const auto& info : page->contents) {
                if (!info.digest.starts_with(sha_prefix)) continue;  // not of this contract, and not ours
                if (keep(info.digest.substr(sha_prefix.size()))) {
                    holds = true;
                    continue;
                }
                auto done = keeper(name).protect(StepCall(context), {.digest = info.digest, .hold = ContentHold::released});
                if (done) done = keeper(name).remove(StepCall(context), info.digest);
                if (done) {
                    ++removed;
                    continue;
                }
                failed = told(std::move(done).error(), name);
                holds = true;
                answers = false;
                break;
            }
            if (!page->more || page->contents.empty()) break;
            after = page->contents.back().digest;
        }
        if (holds) still.push_back(name);
    }
    if (still.size() != known->size())
        if (auto written = write_names(still); !written) return std::move(written).error();
    if (failed) return *failed;
    return removed;
}

}  // namespace eve::storage
