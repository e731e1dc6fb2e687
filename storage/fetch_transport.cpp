#include "storage/fetch_transport.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <map>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <set>
#include <vector>

#include "core/types/oci.hpp"
#include "storage/child_process.hpp"
#include "storage/fetch/protocol.hpp"
#include "storage/durable_file.hpp"
#include "storage/files.hpp"
#include "storage/transfer_notes.hpp"
#include "core/loop/unique_fd.hpp"

namespace eve::storage {
namespace {

constexpr std::size_t roots_bytes_max = std::size_t{8} << 20;
constexpr std::size_t note_bytes_max = 16 * 1024;
constexpr int poll_interval_ms = 250;
constexpr std::chrono::seconds silence_grace{120};  ///< beyond the stall limit: the process's own waits between tries

/// A descriptor of `text` that can only be read.
Result<UniqueFd> sealed_memory(const std::string& text) {
    UniqueFd fd(memfd_create("roots", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd) return os_error("memory for the trusted roots");
    for (std::size_t written = 0; written < text.size();) {
        const ssize_t n = write(fd.get(), text.data() + written, text.size() - written);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return os_error("memory for the trusted roots");
        written += static_cast<std::size_t>(n);
    }
    (void)fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    return fd;
}

/// What token servers gave, for the next transfers of the same scope from the same registry as the same user: the layers of an image need one token
/// together. One that is not valid any more is refused by the registry, and the transfer asks for another. [any-thread]
class Tokens {
public:
    std::string of(const downloader::FetchRequest& request) {
        if (request.registry_scope.empty() || !request.authorization.empty()) return request.authorization;
        const std::lock_guard lock(mutex_);
        const auto found = known_.find(key_of(request));
        return found == known_.end() ? std::string() : found->second;
    }
    void keep(const downloader::FetchRequest& request, const std::string& authorization) {
        if (authorization.empty() || request.registry_scope.empty()) return;
        const std::lock_guard lock(mutex_);
        if (known_.size() >= tokens_max) known_.clear();
        known_[key_of(request)] = authorization;
    }

private:
    static constexpr std::size_t tokens_max = 64;
    using Key = std::array<std::string, 4>;
    static Key key_of(const downloader::FetchRequest& request) {
        const auto host = request.url.find("://");
        return {request.url.substr(0, request.url.find('/', host == std::string::npos ? 0 : host + 3)), request.registry_scope, request.user, request.password};
    }
    std::mutex mutex_;
    std::map<Key, std::string> known_;
};

class FetchTransport final : public downloader::Transport {
public:
    FetchTransport(FetchOptions options, const Clock& clock) : options_(std::move(options)), clock_(clock) {}

    Result<downloader::FetchOutcome> fetch(const downloader::FetchRequest& request, const std::function<void(downloader::FetchProgress)>& progress,
                                           const LaneContext& context) override {
        if (auto made = make_directories(parent_directory(request.target)); !made) return std::move(made).error();
        const UniqueFd target(open(request.target.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (!target) return os_error("open " + request.target);
        if (flock(target.get(), LOCK_EX | LOCK_NB) != 0)
            return Error{
                .code = Code::unavailable, .what = "an earlier transfer still writes to " + request.target, .retry_after = std::chrono::seconds{1}};
        (void)unlink(digest_path(request.target).c_str());
        bool start_over = request.start_over;
        for (unsigned life = 1;; ++life, start_over = false) {
            bool died = false;
            auto got = live(request, start_over, target, progress, context, died);
            if (got || !died || life >= options_.lives_max || context.cancelled()) return got;
        }
    }

    Result<std::string> resolve(const downloader::FetchRequest& request, const LaneContext& context) override {
        const UniqueFd target(memfd_create("manifest", MFD_CLOEXEC));
        if (!target) return os_error("memory for the manifest");
        ResumePoint reached;
        bool died = false;
        fetch::Order order = order_of(request, types::oci_manifest_bytes_max);
        order.authorization = tokens_.of(request);
        auto report = run(request, order, target.get(), {}, context, reached, died);
        if (!report) return std::move(report).error();
        tokens_.keep(request, report->authorization);
        return report->sha256;
    }

private:
    /// One process, to its end; `died` when it is not its word that ended it.
    Result<downloader::FetchOutcome> live(const downloader::FetchRequest& request, bool start_over, const UniqueFd& target,
                                          const std::function<void(downloader::FetchProgress)>& progress, const LaneContext& context, bool& died) {
        fetch::Order order = order_of(request, request.size_max);
        order.authorization = tokens_.of(request);
        if (!start_over) find_resume_point(request.target, target.get(), order);
        ResumePoint reached{.offset = order.resume_from, .etag = order.validator_etag, .last_modified = order.validator_last_modified};
        auto report = run(request, order, target.get(), progress, context, reached, died);
        if (!report) {
            checkpoint(request.target, target.get(), reached);
            return std::move(report).error();
        }
        tokens_.keep(request, report->authorization);
        return conclude(request, target.get(), *report);
    }

    fetch::Order order_of(const downloader::FetchRequest& request, std::uint64_t size_max) const {
        return {.url = request.url,
                .authorization = request.authorization,
                .source_address = request.source_address,
                .fallback_url = request.fallback_url,
                .registry_scope = request.registry_scope,
                .user = request.user,
                .password = request.password,
                .size_max = size_max,
                .stall_seconds = static_cast<std::uint64_t>(std::max<std::int64_t>(request.stall_limit.count(), 1)),
                .tries_max = options_.tries_max,
                .first_delay_ms = static_cast<std::uint64_t>(options_.first_delay.count())};
    }

    Result<fetch::Done> run(const downloader::FetchRequest& request, const fetch::Order& order, int target,
                            const std::function<void(downloader::FetchProgress)>& progress, const LaneContext& context, ResumePoint& reached,
                            bool& died) {
        auto packet = fetch::encode(order);
        if (!packet) return std::move(packet).error();
        auto roots = sealed_memory(trusted_roots(request.ca_certificates));
        if (!roots) return std::move(roots).error();

        int pair[2] = {-1, -1};
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return os_error("socket of the fetch process");
        const UniqueFd ours(pair[0]);
        UniqueFd theirs(pair[1]);
        auto child = ChildProcess::start(
            {.program = options_.program,
             .arguments = {},
             .descriptors = {{theirs.get(), fetch::control_fd}, {target, fetch::target_fd}, {roots->get(), fetch::roots_fd}}});
        if (!child) return std::move(child).error().in("fetch process");
        theirs.reset();
        const bool ordered = send(ours.get(), packet->data(), packet->size(), MSG_NOSIGNAL) >= 0;
        const int failure = errno;
        std::fill(packet->begin(), packet->end(), '\0');  // it holds the secret
        died = !ordered && failure == EPIPE;
        if (died) return Error{.code = Code::unavailable, .what = "the fetch process ended without a report"};
        if (!ordered) return error_of(failure, "order to the fetch process");

        auto report = follow(request, progress, context, ours.get(), target, reached, died);
        child->end();
        return report;
    }

    static void find_resume_point(const std::string& target, int fd, fetch::Order& order) {
        struct stat facts{};
        const auto text = read_file(progress_path(target), note_bytes_max);
        const auto point = text ? parse_progress(*text) : std::nullopt;
        if (!point || fstat(fd, &facts) != 0) return;
        if (point->offset > static_cast<std::uint64_t>(facts.st_size)) return;
        if (order.size_max != 0 && point->offset > order.size_max) return;
        order.resume_from = point->offset;
        order.validator_etag = point->etag;
        order.validator_last_modified = point->last_modified;
    }

    std::string trusted_roots(const std::vector<std::string>& more) const {
        std::string text = read_file(options_.system_roots, roots_bytes_max / 2).value_or("");
        for (const auto& pem : more) {
            if (text.size() + pem.size() + 1 > roots_bytes_max) break;
            text += '\n';
            text += pem;
        }
        return text;
    }

    /// Until the process reports an end, or has to be given up.
    Result<fetch::Done> follow(const downloader::FetchRequest& request, const std::function<void(downloader::FetchProgress)>& progress,
                               const LaneContext& context, int control, int target, ResumePoint& reached, bool& died) {
        std::vector<char> packet(fetch::packet_bytes_max + 1);
        std::chrono::milliseconds silent{0};
        Instant saved = clock_.now();
        for (;;) {
            if (context.cancelled()) return Error{.code = Code::cancelled, .what = "download cancelled by user"};
            pollfd waiting[2] = {{.fd = control, .events = POLLIN, .revents = 0}, {.fd = context.cancel_fd(), .events = POLLIN, .revents = 0}};
            const int ready = poll(waiting, 2, poll_interval_ms);
            if (ready < 0 && errno != EINTR) return os_error("wait for the fetch process");
            if (ready <= 0 || waiting[0].revents == 0) {
                silent += std::chrono::milliseconds{poll_interval_ms};
                if (silent > request.stall_limit + silence_grace) return Error{.code = Code::timed_out, .what = "the fetch process does not answer"};
                continue;
            }
            const ssize_t size = recv(control, packet.data(), packet.size(), MSG_DONTWAIT);
            if (size < 0 && (errno == EINTR || errno == EAGAIN)) continue;
            died = size <= 0;
            if (died) return Error{.code = Code::unavailable, .what = "the fetch process ended without a report"};
            auto report = fetch::decode_report({packet.data(), static_cast<std::size_t>(size)});
            if (!report) return Error{.code = Code::internal, .what = "the fetch process sent nonsense"};
            if (auto* done = std::get_if<fetch::Done>(&*report)) return std::move(*done);
            if (auto* failed = std::get_if<fetch::Failed>(&*report)) {
                Error error{.code = failed->code, .what = std::move(failed->what)};
                if (failed->retry_after_ms != 0) error.retry_after = std::chrono::milliseconds{static_cast<std::int64_t>(failed->retry_after_ms)};
                return error;
            }
            const auto& now = std::get<fetch::Progress>(*report);
            if (request.size_max != 0 && now.current > request.size_max)
                return Error{.code = Code::failed_precondition, .what = "more was received than may be (size in image config incorrect)"};
            if (now.current != reached.offset) silent = {};
            reached = {.offset = now.current, .etag = now.etag, .last_modified = now.last_modified};
            if (!progress) continue;
            progress({.current = now.current, .total = now.total});
            if (clock_.now() - saved < options_.checkpoint_interval) continue;
            saved = clock_.now();
            checkpoint(request.target, target, reached);
        }
    }

    /// A note that is lost costs only time, so its failure is no error of the transfer.
    static void checkpoint(const std::string& target, int fd, const ResumePoint& reached) {
        if (fdatasync(fd) == 0) (void)write_durably(progress_path(target), format_progress(reached));
    }

    static Result<downloader::FetchOutcome> conclude(const downloader::FetchRequest& request, int fd, const fetch::Done& done) {
        struct stat facts{};
        if (fsync(fd) != 0 || fstat(fd, &facts) != 0) return os_error("keep " + request.target);
        if (static_cast<std::uint64_t>(facts.st_size) != done.size || (request.size_max != 0 && done.size > request.size_max))
            return Error{.code = Code::internal, .what = "the fetch process reported a size that is not the file's"};
        if (auto noted = write_durably(digest_path(request.target), to_json(make_digest_note(facts, done.sha256))); !noted)
            return std::move(noted).error();
        (void)unlink(progress_path(request.target).c_str());
        return downloader::FetchOutcome{.size = done.size, .sha256 = done.sha256, .content_type = done.content_type};
    }

    FetchOptions options_;
    const Clock& clock_;
    Tokens tokens_;
};

class PendingDirectory final : public downloader::PendingFiles {
public:
    explicit PendingDirectory(std::string directory) : directory_(std::move(directory)) {}

    Status remove(const std::string& target) override {
        for (const auto& path : {target, progress_path(target), progress_path(target) + ".tmp", digest_path(target)})
            if (unlink(path.c_str()) != 0 && errno != ENOENT) return os_error("remove " + path);
        return {};
    }

    Result<std::uint64_t> remove_others(const std::vector<std::string>& targets) override {
        std::set<std::string> keep;
        for (const auto& target : targets)
            for (const auto& path : {target, progress_path(target), digest_path(target)}) keep.insert(path);
        auto names = list_directory(directory_);
        if (!names) return names.error().code == Code::not_found ? Result<std::uint64_t>(0) : Result<std::uint64_t>(std::move(names).error());
        std::uint64_t removed = 0;
        for (const auto& name : *names) {
            const std::string path = directory_ + "/" + name;
            if (!keep.contains(path) && unlink(path.c_str()) == 0) ++removed;
        }
        return removed;
    }

private:
    std::string directory_;
};

}  // namespace

std::unique_ptr<downloader::Transport> make_fetch_transport(FetchOptions options, const Clock& clock) {
    return std::make_unique<FetchTransport>(std::move(options), clock);
}

std::unique_ptr<downloader::PendingFiles> make_pending_files(std::string directory) {
    return std::make_unique<PendingDirectory>(std::move(directory));
}

}  // namespace eve::storage
