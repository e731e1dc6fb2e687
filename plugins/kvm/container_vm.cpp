#include "container_vm.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/rootfs.hpp"
#include "eve/sdk/kept_process.hpp"
#include "files.hpp"
#include "qemu_config.hpp"
#include "steps.hpp"

namespace eve::kvm {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t passwd_max = 1U << 20;
constexpr std::size_t ram_disk_max = 256U << 20;
constexpr std::uint32_t address_wait_ms = 5000;     // as the containerd plugin's default
constexpr std::uint64_t share_files_max = 1U << 19;  // it holds one open for each file that the guest knows of
constexpr Bytes share_memory = 256_MiB;             // of its own, beside the guest's pages that it touches first
constexpr std::uint32_t share_socket_fd = 3;
constexpr std::chrono::milliseconds share_end_max = 1s;
constexpr const char* share_log = "log";

bool is_share(std::string_view name) {
    return name.starts_with(share_prefix) && name.size() > 2 && std::all_of(name.begin() + 2, name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Result<UniqueFd> connect_to(int directory, const std::string& name) {
    const auto path = "/proc/self/fd/" + std::to_string(directory) + "/" + name;
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    if (path.size() >= sizeof address.sun_path) return Error{.code = Code::invalid_argument, .what = "the socket's name is too long"};
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return file_error(name);
    return socket;
}

Error at_root(Error error) {
    error = as_precondition(std::move(error));
    if (error.field.empty()) error.field = ".disks[0].path";
    return error;
}

}  // namespace

Result<GuestOrder> guest_order(const DomainSpec& spec, const plugins::ImageConfig& image, std::string_view passwd, std::string_view group,
                               std::vector<std::string>& notes) {
    auto process = plugins::container_process(spec, image);
    if (!process) return std::move(process).error();
    auto user = plugins::find_user(image.User, passwd, group);
    if (!user) return std::move(user).error();
    GuestOrder order{.host_name = spec.id.value,
                     .args = std::move(process->args),
                     .env = std::move(process->env),
                     .cwd = std::move(process->cwd),
                     .uid = user->uid,
                     .gid = user->gid,
                     .groups = std::move(user->additionalGids),
                     .stop_signal = SIGTERM,
                     .read_only = plugins::root_disk(spec)->read_only,
                     .address_wait_ms = address_wait_ms};
    if (std::none_of(order.env.begin(), order.env.end(), [](const auto& variable) { return variable.starts_with("HOME="); }))
        order.env.push_back("HOME=" + plugins::home_of(order.uid, passwd));  // as runc does
    if (const auto signal = plugins::signal_number(image.StopSignal)) order.stop_signal = *signal;
    else notes.push_back("Its image asks to be stopped by " + image.StopSignal.substr(0, 32) + ", which is no signal: SIGTERM is sent");
    for (const auto& vif : spec.vifs) order.macs.push_back(vif.mac);
    for (std::size_t at = 1; at < spec.disks.size(); ++at) {
        const auto& disk = spec.disks[at];
        if (disk.target == DiskTarget::app_custom) continue;
        order.volumes.push_back({.number = static_cast<std::uint32_t>(at),
                                 .name = disk.name,
                                 .block = disk.format != DiskFormat::container,
                                 .source = volume_source(at),
                                 .target = disk.mount_dir,
                                 .read_only = disk.read_only || disk.cdrom || disk.format == DiskFormat::iso});
    }
    return order;
}

Result<GuestOrder> guest_order(const DomainSpec& spec, std::vector<std::string>& notes) {
    const auto* root = plugins::root_disk(spec);
    auto image_text = read_file(AT_FDCWD, root->path + "/image-config.json", plugins::image_config_size_max);
    if (!image_text) return at_root(std::move(image_text).error().in("image configuration"));
    auto image = plugins::read_image_config(*image_text);
    if (!image) return at_root(std::move(image).error());
    auto rootfs = plugins::open_rootfs(root->path + "/rootfs");
    if (!rootfs) return at_root(std::move(rootfs).error().in("root file system"));
    const auto passwd = plugins::read_beneath(rootfs->get(), "etc/passwd", passwd_max);
    const auto group = plugins::read_beneath(rootfs->get(), "etc/group", passwd_max);
    auto order = guest_order(spec, *image, passwd ? *passwd : "", group ? *group : "", notes);
    if (!order) return order;
    for (std::size_t at = 0; at < spec.files.size(); ++at) {
        const auto content = plugins::from_base64(spec.files[at].content.value);
        if (!content) return content.error();
        if (auto written = plugins::write_beneath(rootfs->get(), spec.files[at].path, *content, spec.files[at].mode); !written) {
            auto error = as_precondition(std::move(written).error());
            error.field = ".files[" + std::to_string(at) + "]";
            return error;
        }
    }
    return order;
}

Result<UniqueFd> ram_disk_with(const std::string& path, const GuestOrder& order) {
    auto base = read_file(AT_FDCWD, path, ram_disk_max);
    if (!base) return std::move(base).error();
    auto text = order_text(order);
    if (!text) return std::move(text).error();
    base->resize((base->size() + 3) & ~std::size_t{3});
    return memory_file("initrd", *base + cpio_of(order_path, *text, 0400));
}

Result<UniqueFd> share_directory(HostServices& host, const std::string& virtiofsd, const std::string& source, const DomainSpec& spec, int directory,
                                 const std::string& name) {
    struct stat status{};
    if (::lstat(source.c_str(), &status) != 0) return as_precondition(file_error(source));
    if (!S_ISDIR(status.st_mode)) return Error{.code = Code::failed_precondition, .what = source + " is not a directory"};
    auto own = make_directory(directory, name);
    if (!own) return std::move(own).error();
    auto listening = listen_at(own->get(), share_socket);
    if (!listening) return std::move(listening).error();
    const UniqueFd log(::openat(own->get(), share_log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!log) return file_error(share_log);
    rlimit files{};  // as many as the node may give
    if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return file_error("limit of open files");
    const auto spawned = host.spawn({.name = spec.id.value + "." + name,
                                     .argv = {virtiofsd, "--fd=" + std::to_string(share_socket_fd), "-o", "source=" + source, "-o", "sandbox=namespace", "-o",
                                              "modcaps=-mknod:-setfcap", "-o", "cache=always", "--rlimit-nofile=0"},
                                     .env = {"PATH=/usr/bin:/bin", "LC_ALL=C"},
                                     .run_dir = {own->get()},
                                     .stdout_fd = {log.get()},
                                     .stderr_fd = {log.get()},
                                     .fds = {{{listening->get()}, share_socket_fd}},
                                     .capabilities = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_SETGID, CAP_SETUID, CAP_SETPCAP, CAP_SYS_ADMIN},
                                     .cgroup = {.memory_max = Bytes{spec.memory.n + share_memory.n}},
                                     .files_max = std::min<std::uint64_t>(share_files_max, files.rlim_max),
                                     .log_max = 1_MiB});
    if (!spawned) {
        auto error = spawned.error();
        if (error.code == Code::not_found) error.code = Code::failed_precondition;
        return std::move(error).in("start " + virtiofsd);
    }
    return connect_to(own->get(), share_socket);
}

std::string share_trouble(int directory) {
    const auto names = names_in(directory);
    if (!names) return {};
    for (const auto& name : *names) {
        if (!is_share(name)) continue;
        const auto own = open_directory(directory, name);
        if (!own) continue;
        const auto kept = sdk::read_kept_process(own->get());
        if (!kept || kept->running) continue;
        const auto words = last_line(tail_of(own->get(), share_log, last_words_max));
        return "What serves its file system (virtiofsd) has ended" + (words.empty() ? std::string() : ": " + words);
    }
    return {};
}

Status end_shares(int directory, const Limit& limit) {
    const auto names = names_in(directory);
    if (!names) return names.error();
    for (const auto& name : *names) {
        if (!is_share(name)) continue;
        const auto own = open_directory(directory, name);
        if (!own) continue;
        auto kept = sdk::read_kept_process(own->get());
        if (kept && kept->running) {
            // It ends by itself when QEMU has.
            if (const auto process = sdk::open_process(kept->guest)) {
                const UniqueFd pidfd(*process);
                limit.within(share_end_max).wait(pidfd.get(), POLLIN);
                if (auto killed = sdk::signal_process(kept->guest, SIGKILL); !killed && killed.error().code != Code::not_found) return killed;
            }
            while ((kept = sdk::read_kept_process(own->get())) && kept->running)
                if (const auto waited = limit.wait(-1, 0, poll_pause); waited != Limit::Wait::ready) return Limit::error(waited, "the end of what serves a file system");
        }
        auto forgotten = sdk::forget_kept_process(own->get());
        while (!forgotten && forgotten.error().code == Code::unavailable && limit.wait(-1, 0, poll_pause) == Limit::Wait::ready)
            forgotten = sdk::forget_kept_process(own->get());
        if (!forgotten) return forgotten;
    }
    return {};
}

std::optional<ExitReport> exit_report_in(int directory) {
    const UniqueFd file(::openat(directory, exit_report_file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    std::string text(report_size_max, '\0');
    const auto got = file ? ::pread(file.get(), text.data(), text.size(), 0) : -1;
    if (got <= 0) return std::nullopt;
    text.resize(static_cast<std::size_t>(got));
    return read_report(text);
}

Seen seen_report(const std::optional<ExitReport>& report, bool asked) {
    if (!report && asked) return {.state = DomainState::halted, .reason = "its power was cut, or it went off without a word of its app's end"};
    if (!report)
        return {.state = DomainState::broken, .reason = "The virtual machine of the app ended without a word of the app's end: its kernel may have run out of memory"};
    if (!report->failure.empty()) return {.state = DomainState::broken, .reason = report->failure};
    auto end = plugins::container_end(report->exit, asked);
    return {.state = end.state, .reason = std::move(end.reason)};
}

}  // namespace eve::kvm
