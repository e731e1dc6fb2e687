#include "qmp.hpp"

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include <sys/socket.h>
#include <sys/un.h>

namespace eve::kvm {
namespace {

using Json = nlohmann::json;

constexpr std::chrono::milliseconds backlog_pause{5};

Error nonsense(std::string what) { return {.code = Code::unavailable, .what = "QEMU's monitor: " + std::move(what)}; }

bool shallow(std::string_view text) {
    int depth = 0;
    bool quoted = false;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const char c = text[at];
        if (quoted) {
            if (c == '\\') ++at;
            else if (c == '"') quoted = false;
        } else if (c == '"') quoted = true;
        else if (c == '{' || c == '[') {
            if (++depth > qmp_depth_max) return false;
        } else if (c == '}' || c == ']') --depth;
    }
    return true;
}

Result<Json> parse(std::string_view text) {
    if (!shallow(text)) return nonsense("a message is nested too deeply");
    auto json = Json::parse(text, nullptr, false);
    if (json.is_discarded() || !json.is_object()) return nonsense("a message is not a JSON object");
    return json;
}

std::string text_of(const Json& object, const char* name) {
    const auto found = object.find(name);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::string written(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

QmpEvent event_of(const Json& message) {
    QmpEvent event{.name = text_of(message, "event")};
    if (const auto data = message.find("data"); data != message.end() && data->is_object()) {
        if (const auto guest = data->find("guest"); guest != data->end() && guest->is_boolean()) event.guest = guest->get<bool>();
        for (const auto* name : {"reason", "action"})
            if (event.detail.empty()) event.detail = text_of(*data, name);
    }
    return event;
}

}  // namespace

Result<QmpClient> QmpClient::open(int directory, const std::string& name, const Limit& limit) {
    const auto path = "/proc/self/fd/" + std::to_string(directory) + "/" + name;
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    if (path.size() >= sizeof address.sun_path) return Error{.code = Code::invalid_argument, .what = "the socket's name is too long"};
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket) return Error{.code = Code::resource_exhausted, .what = std::string("socket: ") + std::strerror(errno)};
    while (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        if (errno == ENOENT) return Error{.code = Code::not_found, .what = "there is no monitor socket " + name};
        if (errno != EAGAIN && errno != EINTR) return nonsense("cannot connect: " + std::string(std::strerror(errno)));
        // QEMU serves one client a monitor; the others wait for their turn.
        if (const auto waited = limit.wait(-1, 0, backlog_pause); waited != Limit::Wait::ready) return Limit::error(waited, "QEMU's monitor");
    }
    return greet(std::move(socket), limit);
}

Result<QmpClient> QmpClient::greet(UniqueFd socket, const Limit& limit) {
    QmpClient client(std::move(socket));
    std::optional<std::string> greeting;
    while (!(greeting = client.line())) {
        if (const auto waited = limit.wait(client.fd(), POLLIN); waited != Limit::Wait::ready) return Limit::error(waited, "QEMU's greeting");
        if (auto got = client.receive(); !got) return std::move(got).error();
    }
    auto hello = parse(*greeting);
    if (!hello) return std::move(hello).error();
    if (!hello->contains("QMP")) return nonsense("what listens does not greet as QEMU does");
    auto agreed = client.execute("qmp_capabilities", {}, limit);
    if (!agreed) return std::move(agreed).error();
    return client;
}

Result<std::string> QmpClient::execute(std::string_view command, std::string_view arguments, const Limit& limit) {
    const auto id = ++last_id_;
    Json message = {{"execute", command}, {"id", id}};
    if (!arguments.empty()) {
        auto parsed = Json::parse(arguments, nullptr, false);
        if (!parsed.is_object()) return Error{.code = Code::invalid_argument, .what = "the arguments are not a JSON object"};
        message["arguments"] = std::move(parsed);
    }
    if (auto sent = send(written(message) + "\n", limit); !sent) return std::move(sent).error().in(command);
    auto result = answer(id, limit);
    if (!result) return std::move(result).error().in(command);
    return result;
}

Result<std::string> QmpClient::answer(std::uint64_t id, const Limit& limit) {
    int events = 0;
    while (true) {
        auto text = line();
        if (!text) {
            if (const auto waited = limit.wait(fd(), POLLIN); waited != Limit::Wait::ready) return Limit::error(waited, "QEMU's monitor");
            if (auto got = receive(); !got) return std::move(got).error();
            continue;
        }
        auto message = parse(*text);
        if (!message) return std::move(message).error();
        if (message->contains("event")) {
            if (++events > qmp_events_in_a_command_max) return nonsense("events without end instead of an answer");
            events_.push_back(event_of(*message));
            continue;
        }
        const auto answered = message->find("id");
        if (answered == message->end() || !answered->is_number_unsigned() || answered->get<std::uint64_t>() != id) {
            // An error without an id is about a message that QEMU could not read: ours.
            if (!message->contains("error") || answered != message->end()) return nonsense("an answer to something else");
        }
        if (const auto error = message->find("error"); error != message->end()) {
            auto words = error->is_object() ? text_of(*error, "desc") : std::string();
            words.resize(std::min<std::size_t>(words.size(), 300));
            return Error{.code = Code::failed_precondition, .what = words.empty() ? "QEMU refused" : words};
        }
        const auto result = message->find("return");
        if (result == message->end()) return nonsense("an answer that is neither a result nor an error");
        return written(*result);
    }
}

Status QmpClient::send(std::string_view text, const Limit& limit) {
    while (!text.empty()) {
        const auto sent = ::send(fd(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            text.remove_prefix(static_cast<std::size_t>(sent));
            continue;
        }
        if (errno != EAGAIN && errno != EINTR) return nonsense(std::strerror(errno));
        if (const auto waited = limit.wait(fd(), POLLOUT); waited != Limit::Wait::ready) return Limit::error(waited, "QEMU's monitor");
    }
    return {};
}

Status QmpClient::receive() {
    char buffer[16384];
    const auto got = ::recv(fd(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (got == 0) return nonsense("the connection ended");
    if (got < 0) {
        if (errno == EAGAIN || errno == EINTR) return {};
        return nonsense(std::strerror(errno));
    }
    if (input_.size() + static_cast<std::size_t>(got) > qmp_message_max) return nonsense("a message has more than 1 MiB");
    input_.append(buffer, static_cast<std::size_t>(got));
    return {};
}

std::optional<std::string> QmpClient::line() {
    while (true) {
        const auto end = input_.find('\n');
        if (end == std::string::npos) return std::nullopt;
        auto text = input_.substr(0, end);
        input_.erase(0, end + 1);
        while (!text.empty() && (text.back() == '\r' || text.back() == ' ')) text.pop_back();
        if (!text.empty()) return text;
    }
}

Result<std::string> QmpClient::run_state(const Limit& limit) {
    auto result = execute("query-status", {}, limit);
    if (!result) return std::move(result).error();
    auto status = parse(*result);
    if (!status) return std::move(status).error();
    auto state = text_of(*status, "status");
    if (state.empty()) return nonsense("a status without a state");
    return state;
}

Result<std::vector<std::int64_t>> QmpClient::cpu_threads(const Limit& limit) {
    auto result = execute("query-cpus-fast", {}, limit);
    if (!result) return std::move(result).error();
    const auto cpus = Json::parse(*result, nullptr, false);
    if (!cpus.is_array()) return nonsense("a list of CPUs that is none");
    std::vector<std::int64_t> threads;
    for (const auto& cpu : cpus) {
        const auto thread = cpu.is_object() ? cpu.find("thread-id") : cpu.end();
        if (!cpu.is_object() || thread == cpu.end() || !thread->is_number_unsigned()) return nonsense("a CPU without a thread");
        threads.push_back(thread->get<std::int64_t>());
    }
    return threads;
}

Status QmpClient::set_vnc_password(const std::string& password, const Limit& limit) {
    const Json arguments = {{"protocol", "vnc"}, {"password", password}};
    auto set = execute("set_password", written(arguments), limit);
    if (!set) return std::move(set).error();
    return {};
}

Result<std::vector<QmpEvent>> QmpClient::take_events() {
    Status got = receive();
    while (auto text = line()) {
        auto message = parse(*text);
        if (!message) return std::move(message).error();
        if (message->contains("event")) events_.push_back(event_of(*message));
    }
    auto taken = std::exchange(events_, {});
    if (!got && taken.empty()) return std::move(got).error();
    return taken;
}

}  // namespace eve::kvm
