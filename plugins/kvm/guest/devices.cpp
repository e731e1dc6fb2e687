#include "guest/devices.hpp"

#include <cerrno>
#include <cstring>
#include <ctime>

#include <dirent.h>
#include <fcntl.h>
#include <linux/input.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>

#include "common/files.hpp"

namespace eve::kvm::guest {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds pause = 10ms;
constexpr std::chrono::milliseconds device_wait = 5s;
constexpr std::size_t text_max = 64U << 10;

std::vector<std::string> names_in(const std::string& path) {
    std::vector<std::string> names;
    if (DIR* listing = ::opendir(path.c_str()); listing != nullptr) {
        while (const auto* entry = ::readdir(listing))
            if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
        ::closedir(listing);
    }
    return names;
}

std::string without_end(std::string text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\0')) text.pop_back();
    return text;
}

}  // namespace

std::int64_t monotonic_ns() {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

bool eventually(const std::function<bool()>& holds, std::chrono::milliseconds most) {
    const auto end = monotonic_ns() + std::chrono::nanoseconds(most).count();
    while (!holds()) {
        if (monotonic_ns() >= end) return false;
        ::poll(nullptr, 0, static_cast<int>(pause.count()));
    }
    return true;
}

std::string text_of(const std::string& path) {
    const auto text = plugins::read_file(AT_FDCWD, path, text_max);
    return text ? *text : std::string();
}

bool write_text(const std::string& path, std::string_view text) {
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    return file && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

Status mount_kernel_file_systems() {
    struct Place {
        const char* type;
        const char* path;
    };
    for (const auto& [type, path] : {Place{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"cgroup2", "/sys/fs/cgroup"}}) {
        ::mkdir(path, 0755);
        if (::mount(type, path, type, 0, nullptr) != 0 && errno != EBUSY) return plugins::file_error(path);
    }
    return {};
}

void load_modules(const std::string& list) {
    std::string rest = text_of("/modules/" + list);
    while (!rest.empty()) {
        const auto end = rest.find('\n');
        const auto path = "/modules/" + rest.substr(0, end);
        rest = end == std::string::npos ? std::string() : rest.substr(end + 1);
        const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (!file) continue;
        ::syscall(SYS_finit_module, file.get(), "", 0);
        ::unlink(path.c_str());  // its memory is the app's
    }
}

void remove_files(const std::string& directory) {
    for (const auto& name : names_in(directory)) ::unlink((directory + "/" + name).c_str());
}

UniqueFd open_console() {
    for (const auto* path : {"/dev/hvc0", "/dev/ttyS0"}) {
        UniqueFd console(::open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
        if (!console) continue;
        termios settings{};
        if (::tcgetattr(console.get(), &settings) != 0) continue;
        ::cfmakeraw(&settings);
        ::tcsetattr(console.get(), TCSANOW, &settings);
        return console;
    }
    return {};
}

Result<UniqueFd> open_port(const std::string& name) {
    UniqueFd port;
    const auto found = [&] {
        for (const auto& device : names_in("/sys/class/virtio-ports"))
            if (without_end(text_of("/sys/class/virtio-ports/" + device + "/name")) == name)
                port = UniqueFd(::open(("/dev/" + device).c_str(), O_WRONLY | O_CLOEXEC));
        return static_cast<bool>(port);
    };
    if (!eventually(found, device_wait)) return Error{.code = Code::not_found, .what = "no serial port is called " + name};
    return port;
}

Result<std::string> disk_with(const std::string& serial) {
    std::string path;
    const auto found = [&] {
        for (const auto& device : names_in("/sys/block"))
            if (without_end(text_of("/sys/block/" + device + "/serial")) == serial) path = "/dev/" + device;
        return !path.empty();
    };
    if (!eventually(found, device_wait)) return Error{.code = Code::not_found, .what = "no disk has the serial number " + serial};
    return path;
}

std::vector<UniqueFd> power_buttons() {
    std::vector<UniqueFd> buttons;
    for (const auto& device : names_in("/dev/input"))
        if (device.starts_with("event"))
            if (UniqueFd button(::open(("/dev/input/" + device).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)); button) buttons.push_back(std::move(button));
    return buttons;
}

bool pressed(int button) {
    input_event event{};
    bool power = false;
    while (::read(button, &event, sizeof event) == static_cast<ssize_t>(sizeof event))
        power = power || (event.type == EV_KEY && event.code == KEY_POWER && event.value == 1);
    return power;
}

}  // namespace eve::kvm::guest
