// eve-plugin-check FILE.so: whether a plugin keeps the contract. Each case runs in a process of its own, so that a crash or a hang is that
// case's and no other's. Ends with 0 if none failed, 1 if one did, 2 if the file cannot be taken at all.

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "core/plugin/elf.hpp"
#include "core/plugin/registry.hpp"
#include "eve/sdk/codec.hpp"
#include "tests/conformance/contract_cases.hpp"
#include "tests/conformance/plugin_fixture.hpp"

namespace eve::plugin {
namespace {

constexpr int case_limit_ms = 180'000;
constexpr std::string_view usage =
    "eve-plugin-check FILE.so [--config JSON] [--spec FILE.json] [--cgroup NAME] [--device ADDRESS] [--case NAME]\n\n"
    "Holds a plugin to the contracts of eve/hypervisor.hpp, pci.hpp, board.hpp and content.hpp, as far as it serves them, in process and\n"
    "isolated, a process for each case.\n"
    "  --config JSON  the plugin's own configuration\n"
    "  --spec FILE    a domain that it can run, as JSON of eve::DomainSpec; default: 64 MiB, 1 CPU, no disk, mode hvm\n"
    "  --cgroup NAME  let guests have cgroups below NAME\n"
    "  --device ADDR  a PCI device that may be taken from the host and given back (pci/1)\n"
    "  --case NAME    only cases with NAME in their names, in this process (for a debugger)\n";

DomainSpec default_spec() {
    return {.id = {"6e3f1c9a-0000-4000-8000-00000000c0de"},
            .revision = 1,
            .name = "plugin-check.1.1",
            .labels = {{"checked-by", "eve-plugin-check"}},
            .mode = VirtualizationMode::hvm,
            .memory = 64_MiB,
            .vcpus = 1};
}

enum class Outcome { passed, skipped, failed };

Outcome run_case(const std::string& name, int argc, char** argv) {
    std::vector<char*> arguments(argv, argv + argc);
    std::string filter = "--gtest_filter=" + name;
    std::string one = "--one-case";
    std::string brief = "--gtest_brief=1";
    for (auto* text : {&filter, &one, &brief}) arguments.push_back(text->data());
    arguments.push_back(nullptr);
    std::fflush(stdout);
    const auto child = ::fork();
    if (child == 0) {
        ::execv("/proc/self/exe", arguments.data());
        ::_exit(127);
    }
    const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
    pollfd wait{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
    if (::poll(&wait, 1, case_limit_ms) == 0) {
        std::printf("  did not end within %d s\n", case_limit_ms / 1000);
        ::kill(child, SIGKILL);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) std::printf("  killed by SIG%s\n", ::sigabbrev_np(WTERMSIG(status)));
    if (!WIFEXITED(status)) return Outcome::failed;
    return WEXITSTATUS(status) == 0 ? Outcome::passed : WEXITSTATUS(status) == 77 ? Outcome::skipped : Outcome::failed;
}

/// The prefixes of the suites for what the plugin serves; an error: it could not be opened.
Result<std::vector<std::string>> suites() {
    const ScratchDir dir;
    const OpenPlugin opened(dir, subject().file, subject().config, Isolation::process, subject().cgroup_parent, subject().keeper, subject().plugin_host);
    if (!opened.plugin) return opened.error.value_or(Error{.code = Code::internal, .what = "not opened"});
    std::vector<std::string> served;
    for (const auto& [interface, prefix] : {std::pair("hypervisor/1", "Hypervisor1/"), std::pair("content/1", "Content1/"), std::pair("pci/1", "Pci1/"),
                                            std::pair("board/1", "Board1/")})
        if (serves(opened.plugin->identity(), interface)) served.emplace_back(prefix);
    return served;
}

int run_all(int argc, char** argv) {
    const auto served = suites();
    if (!served || served->empty()) {
        std::fprintf(stderr, "%s: %s\n", subject().file.c_str(), served ? "it serves nothing that is checked here" : served.error().what.c_str());
        return 2;
    }
    unsigned passed = 0;
    unsigned skipped = 0;
    std::vector<std::string> failed;
    const auto& all = *::testing::UnitTest::GetInstance();
    for (int s = 0; s < all.total_test_suite_count(); ++s) {
        const auto& suite = *all.GetTestSuite(s);
        const std::string_view name_of_suite = suite.name();
        if (std::none_of(served->begin(), served->end(), [&](const auto& prefix) { return name_of_suite.starts_with(prefix); })) continue;
        for (int t = 0; t < suite.total_test_count(); ++t) {
            const auto name = std::string(suite.name()) + "." + suite.GetTestInfo(t)->name();
            const auto outcome = run_case(name, argc, argv);
            std::printf("%-8s%s\n", outcome == Outcome::passed ? "ok" : outcome == Outcome::skipped ? "skipped" : "FAILED", name.c_str());
            if (outcome == Outcome::passed) ++passed;
            else if (outcome == Outcome::skipped) ++skipped;
            else failed.push_back(name);
        }
    }
    std::printf("\n%s: %u kept, %u skipped, %zu broken\n", subject().file.c_str(), passed, skipped, failed.size());
    for (const auto& name : failed) std::printf("  broken: %s\n", name.c_str());
    return failed.empty() ? 0 : 1;
}

int check(int argc, char** argv) {
    std::vector<char*> original(argv, argv + argc);
    ::testing::InitGoogleTest(&argc, argv);
    bool one = false;
    bool debug = false;
    auto& it = subject();
    it.spec = default_spec();
    it.plugin_host = find_helper("plugin-host");
    it.keeper = find_helper("keeper");
    for (int i = 1; i < argc; ++i) {
        const std::string_view option = argv[i];
        const auto value = [&]() -> std::string { return i + 1 < argc ? argv[++i] : ""; };
        if (option == "--one-case") one = true;
        else if (option == "--config") it.config = value();
        else if (option == "--cgroup") it.cgroup_parent = value();
        else if (option == "--device") it.device = value();
        else if (option == "--case") {
            debug = true;
            ::testing::GTEST_FLAG(filter) = "*" + value() + "*";
        } else if (option == "--spec") {
            std::ifstream in(value());
            const std::string text((std::istreambuf_iterator<char>(in)), {});
            auto spec = sdk::decode<DomainSpec>(text, sdk::Strictness::must_understand, {});
            if (!spec) {
                std::fprintf(stderr, "--spec: %s\n", spec.error().what.c_str());
                return 2;
            }
            it.spec = std::move(*spec);
        } else if (option.starts_with("-") || !it.file.empty()) {
            std::fputs(usage.data(), option == "--help" ? stdout : stderr);
            return option == "--help" ? 0 : 2;
        } else {
            it.file = std::filesystem::absolute(option).string();
        }
    }
    if (it.file.empty()) {
        std::fputs(usage.data(), stderr);
        return 2;
    }
    if (debug) return RUN_ALL_TESTS();
    if (one) {
        const int result = RUN_ALL_TESTS();
        return result == 0 && ::testing::UnitTest::GetInstance()->skipped_test_count() > 0 ? 77 : result;
    }
    const UniqueFd file(::open(it.file.c_str(), O_RDONLY | O_CLOEXEC));
    if (const auto good = check_exports(file.get()); !good) {
        std::fprintf(stderr, "%s %s\n%s\n", it.file.c_str(), good.error().what.c_str(), good.error().hint.c_str());
        return 2;
    }
    return run_all(static_cast<int>(original.size()), original.data());
}

}  // namespace
}  // namespace eve::plugin

int main(int argc, char** argv) { return eve::plugin::check(argc, argv); }
