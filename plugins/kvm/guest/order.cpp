#include "guest/order.hpp"

#include <array>
#include <charconv>
#include <cstdio>
#include <limits>

namespace eve::kvm {
namespace {

constexpr std::size_t order_size_max = 1U << 20;
constexpr std::uint32_t regular_file = 0100000;

bool number_in(std::string_view text, std::uint32_t& number) {
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    return !text.empty() && read.ec == std::errc{} && read.ptr == text.data() + text.size();
}

/// One name of the order: false, it is none or its value is not one.
bool take(GuestOrder& order, std::string_view name, std::string_view value) {
    auto* volume = order.volumes.empty() ? nullptr : &order.volumes.back();
    std::uint32_t number = 0;
    if (name == "host_name") order.host_name = value;
    else if (name == "arg") order.args.emplace_back(value);
    else if (name == "env") order.env.emplace_back(value);
    else if (name == "cwd") order.cwd = value;
    else if (name == "mac") order.macs.emplace_back(value);
    else if (volume != nullptr && name == "volume.name") volume->name = value;
    else if (volume != nullptr && name == "volume.source") volume->source = value;
    else if (volume != nullptr && name == "volume.target") volume->target = value;
    else if (!number_in(value, number)) return false;
    else if (name == "uid") order.uid = number;
    else if (name == "gid") order.gid = number;
    else if (name == "group") order.groups.push_back(number);
    else if (name == "stop_signal") order.stop_signal = number;
    else if (name == "read_only") order.read_only = number != 0;
    else if (name == "address_wait_ms") order.address_wait_ms = number;
    else if (name == "volume") order.volumes.push_back({.number = number});
    else if (volume != nullptr && name == "volume.block") volume->block = number != 0;
    else if (volume != nullptr && name == "volume.read_only") volume->read_only = number != 0;
    else return false;
    return true;
}

}  // namespace

Result<std::string> order_text(const GuestOrder& order) {
    std::string text;
    bool whole = true;
    const auto add = [&](std::string_view name, std::string_view value) {
        whole = whole && value.find('\0') == std::string_view::npos;
        text.append(name).append("=").append(value).push_back('\0');
    };
    const auto number = [&](std::string_view name, std::uint32_t value) { add(name, std::to_string(value)); };
    add("host_name", order.host_name);
    for (const auto& arg : order.args) add("arg", arg);
    for (const auto& variable : order.env) add("env", variable);
    add("cwd", order.cwd);
    number("uid", order.uid);
    number("gid", order.gid);
    for (const auto group : order.groups) number("group", group);
    number("stop_signal", order.stop_signal);
    number("read_only", order.read_only ? 1 : 0);
    for (const auto& mac : order.macs) add("mac", mac);
    number("address_wait_ms", order.address_wait_ms);
    for (const auto& volume : order.volumes) {
        number("volume", volume.number);
        add("volume.name", volume.name);
        number("volume.block", volume.block ? 1 : 0);
        add("volume.source", volume.source);
        add("volume.target", volume.target);
        number("volume.read_only", volume.read_only ? 1 : 0);
    }
    if (!whole) return Error{.code = Code::invalid_argument, .what = "a NUL cannot be in the command, the variables or the names of a container"};
    if (text.size() > order_size_max) return Error{.code = Code::invalid_argument, .what = "command and variables of the container are over 1 MiB"};
    return text;
}

Result<GuestOrder> read_order(std::string_view text) {
    GuestOrder order;
    while (!text.empty()) {
        const auto end = text.find('\0');
        const auto item = text.substr(0, end);
        const auto equals = item.find('=');
        if (end == std::string_view::npos || equals == std::string_view::npos || !take(order, item.substr(0, equals), item.substr(equals + 1)))
            return Error{.code = Code::invalid_argument, .what = "the order cannot be read: " + std::string(item.substr(0, 40))};
        text.remove_prefix(end + 1);
    }
    if (order.args.empty()) return Error{.code = Code::invalid_argument, .what = "the order names nothing to run"};
    return order;
}

std::string cpio_of(std::string_view name, std::string_view content, std::uint32_t mode) {
    std::string archive;
    const auto entry = [&](std::string_view entry_name, std::string_view entry_content, std::uint32_t entry_mode) {
        std::array<char, 128> head{};
        std::snprintf(head.data(), head.size(), "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", 0U, entry_mode, 0U, 0U, 1U, 0U,
                      static_cast<unsigned>(entry_content.size()), 0U, 0U, 0U, 0U, static_cast<unsigned>(entry_name.size() + 1), 0U);
        const auto pad = [&] { archive.resize((archive.size() + 3) & ~std::size_t{3}); };
        archive.append(head.data()).append(entry_name).push_back('\0');
        pad();
        archive.append(entry_content);
        pad();
    };
    entry(name, content, regular_file | mode);
    entry("TRAILER!!!", {}, 0);
    return archive;
}

}  // namespace eve::kvm
