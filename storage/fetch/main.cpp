// The fetch process: the only one that reads what an image server sends. It is started with three descriptors and nothing else (protocol.hpp), does
// one transfer, says how it ended, and ends.

#include <curl/curl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>
#include <variant>
#include <vector>

#include "storage/fetch/http_transfer.hpp"
#include "storage/fetch/sandbox.hpp"

namespace {

using namespace eve::storage::fetch;

constexpr std::size_t roots_bytes_max = std::size_t{8} << 20;

void send_report(const Report& report) {
    const std::string packet = encode(report);
    (void)send(control_fd, packet.data(), packet.size(), MSG_NOSIGNAL);
}

std::string read_roots() {
    struct stat facts{};
    if (fstat(roots_fd, &facts) != 0 || facts.st_size <= 0 || static_cast<std::size_t>(facts.st_size) > roots_bytes_max) return {};
    std::string text(static_cast<std::size_t>(facts.st_size), '\0');
    const ssize_t got = pread(roots_fd, text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
}

Report work() {
    std::vector<char> packet(packet_bytes_max + 1);
    const ssize_t size = recv(control_fd, packet.data(), packet.size(), 0);
    if (size <= 0) return Failed{.code = eve::Code::cancelled, .what = "no order came"};
    const auto order = decode_order({packet.data(), static_cast<std::size_t>(size)});
    if (!order) return Failed{.code = order.error().code, .what = order.error().what};
    if (auto dropped = drop_privileges(order->size_max); !dropped)
        return Failed{.code = dropped.error().code, .what = "fetch process: " + dropped.error().what};
    curl_global_init(CURL_GLOBAL_DEFAULT);
    const TransferIo io{
        .target = target_fd, .control = control_fd, .roots = read_roots(), .report = [](const Progress& progress) { send_report(progress); }};
    if (auto filtered = filter_system_calls(); !filtered)
        return Failed{.code = filtered.error().code, .what = "fetch process: " + filtered.error().what};
    return run_transfer(*order, io);
}

}  // namespace

int main() {
    (void)syscall(SYS_close_range, roots_fd + 1, ~0U, 0);
    struct stat facts{};
    if (fstat(control_fd, &facts) != 0 || !S_ISSOCK(facts.st_mode)) {
        static constexpr char text[] = "fetch is started by the node, with its descriptors; it does nothing by itself\n";
        (void)!write(2, text, sizeof text - 1);
        return 2;
    }
    const Report report = work();
    send_report(report);
    _exit(std::holds_alternative<Done>(report) ? 0 : 1);  // nothing is worth tidying in a process that only had descriptors
}
