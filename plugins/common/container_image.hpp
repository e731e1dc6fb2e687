#pragma once
// What the image and the app say of a container's process, whoever runs it: the image's configuration, user, command, variables. Pure.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "eve/domain.hpp"
#include "eve/result.hpp"

namespace eve::plugins {

/// `config` of an OCI or Docker image, as far as it says how to run it.
struct ImageConfig {
    std::string User;
    std::vector<std::string> Env;
    std::vector<std::string> Entrypoint;
    std::vector<std::string> Cmd;
    std::string WorkingDir;
    std::string StopSignal;
    friend bool operator==(const ImageConfig&, const ImageConfig&) = default;
};
inline constexpr std::size_t image_config_size_max = 4U << 20;

/// Reads image-config.json; `null` counts as left out, as Docker writes it.
///
/// Errors: invalid_argument.
Result<ImageConfig> read_image_config(std::string_view json);

/// The number of a signal: "SIGTERM", "TERM", "15", "SIGRTMIN+3"; empty: SIGTERM. invalid_argument: there is no such signal.
Result<std::uint32_t> signal_number(std::string_view name);

/// A user as a process has it.
struct ContainerUser {
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::vector<std::uint32_t> additionalGids;
    friend bool operator==(const ContainerUser&, const ContainerUser&) = default;
};

/// The user of an image ("web", "web:staff", "1000", "1000:1000", empty) by the texts of its passwd and group.
///
/// Errors: failed_precondition - a name that is not in them.
/// Source: containerd oci.WithUser and WithAdditionalGIDs.
Result<ContainerUser> find_user(std::string_view user, std::string_view passwd, std::string_view group);

/// The user's home by the text of passwd, or "/".
std::string home_of(std::uint32_t uid, std::string_view passwd);

/// The name of "NAME=value".
std::string_view variable_name(std::string_view variable);

/// What is run, with which variables and where.
struct ContainerProcess {
    std::vector<std::string> args;
    std::vector<std::string> env;  ///< NAME=value; the app's in the place of the image's
    std::string cwd = "/";
    friend bool operator==(const ContainerProcess&, const ContainerProcess&) = default;
};
/// Errors: failed_precondition - neither image nor domain says what to run.
/// Source: EVE pkg/pillar/containerd/oci.go.
Result<ContainerProcess> container_process(const DomainSpec& domain, const ImageConfig& image);

/// The disk that is the container's root file system, or null.
const Disk* root_disk(const DomainSpec& domain);

/// An absolute path that does not climb; a name without a path.
bool absolute_path(std::string_view path);
bool plain_file_name(std::string_view name);

/// What is wrong with the parts of a spec that only containers have: mount points and names of volumes, variables, files.
void add_container_problems(const DomainSpec& spec, std::vector<Problem>& problems);

/// How a container ended, in words: `state` is halted or broken.
struct ContainerEnd {
    DomainState state = DomainState::unknown;
    std::string reason;
    friend bool operator==(const ContainerEnd&, const ContainerEnd&) = default;
};
/// `asked`: it was asked to stop.
ContainerEnd container_end(const ExitStatus& exit, bool asked);

}  // namespace eve::plugins
