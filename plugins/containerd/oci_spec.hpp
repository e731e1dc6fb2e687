#pragma once
// From an image's configuration and a DomainSpec to the OCI runtime specification that runc or crun is given. Pure. The records have the names
// and the order of the specification (github.com/opencontainers/runtime-spec); a member left at its default is left out.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/container_image.hpp"
#include "eve/domain.hpp"
#include "eve/exec.hpp"
#include "eve/result.hpp"

namespace eve::containerd {

using namespace plugins;  // what every runtime of containers shares

namespace oci {

using User = plugins::ContainerUser;
struct CapabilitySets {
    std::vector<std::string> bounding;
    std::vector<std::string> effective;
    std::vector<std::string> inheritable;
    std::vector<std::string> permitted;
    std::vector<std::string> ambient;
    friend bool operator==(const CapabilitySets&, const CapabilitySets&) = default;
};
struct Rlimit {
    std::string type;
    std::uint64_t hard = 0;
    std::uint64_t soft = 0;
    friend bool operator==(const Rlimit&, const Rlimit&) = default;
};
struct Process {
    bool terminal = false;
    std::optional<User> user;  // always there
    std::vector<std::string> args;
    std::vector<std::string> env;
    std::string cwd;
    CapabilitySets capabilities;
    std::vector<Rlimit> rlimits;
    bool noNewPrivileges = false;
    friend bool operator==(const Process&, const Process&) = default;
};
struct Root {
    std::string path;
    bool readonly = false;
    friend bool operator==(const Root&, const Root&) = default;
};
struct Mount {
    std::string destination;
    std::string type;
    std::string source;
    std::vector<std::string> options;
    friend bool operator==(const Mount&, const Mount&) = default;
};
struct DeviceRule {
    std::optional<bool> allow;  // always there
    std::string type;
    std::optional<std::int64_t> major;
    std::optional<std::int64_t> minor;
    std::string access;
    friend bool operator==(const DeviceRule&, const DeviceRule&) = default;
};
struct Memory {
    std::int64_t limit = 0;
    friend bool operator==(const Memory&, const Memory&) = default;
};
struct Cpu {
    std::int64_t quota = 0;
    std::uint64_t period = 0;
    std::string cpus;
    friend bool operator==(const Cpu&, const Cpu&) = default;
};
struct Resources {
    std::vector<DeviceRule> devices;
    Memory memory;
    Cpu cpu;
    friend bool operator==(const Resources&, const Resources&) = default;
};
struct Device {
    std::string path;
    std::string type;
    std::optional<std::int64_t> major;
    std::optional<std::int64_t> minor;
    std::uint32_t fileMode = 0;
    friend bool operator==(const Device&, const Device&) = default;
};
struct Namespace {
    std::string type;
    std::string path;
    friend bool operator==(const Namespace&, const Namespace&) = default;
};
struct Linux {
    std::vector<Device> devices;
    Resources resources;
    std::string cgroupsPath;
    std::vector<Namespace> namespaces;
    std::vector<std::string> maskedPaths;
    std::vector<std::string> readonlyPaths;
    friend bool operator==(const Linux&, const Linux&) = default;
};
struct Spec {
    std::string ociVersion;
    Process process;
    Root root;
    std::string hostname;
    std::vector<Mount> mounts;
    std::optional<Linux> platform;  // "linux", which is a macro in some compilers' dialects
    friend bool operator==(const Spec&, const Spec&) = default;
};

}  // namespace oci

/// What the specification depends on beside image and domain.
struct SpecInputs {
    const DomainSpec& domain;
    const ImageConfig& image;
    oci::User user;             ///< the image's, found in its root file system
    std::string resolv_conf;    ///< of the host, bound over the container's; empty: the image's own stays
    std::string cgroup_parent;  ///< "/eve-user-apps"
    std::vector<oci::Device> devices;  ///< nodes of the host's devices that it gets
};

/// The specification, made in EVE's order: containerd's defaults, then the image, the domain's resources, its volumes, its variables.
///
/// Errors: failed_precondition - neither image nor domain says what to run.
/// Source: EVE pkg/pillar/containerd/oci.go; containerd oci/spec.go populateDefaultUnixSpec.
Result<oci::Spec> runtime_spec(const SpecInputs& inputs);

/// `process` of a further program in a container that has the specification `spec`: what the container's own has but for what `request` names.
///
/// Errors: invalid_argument - no program, or a variable without a name; failed_precondition - `spec` cannot be read.
Result<std::string> extra_process_text(std::string_view spec, const ExecRequest& request);

/// As runc and crun read it.
Result<std::string> spec_text(const oci::Spec& spec);

/// The path below a cgroup hierarchy of the domain's processes.
std::string cgroup_path(const std::string& parent, const DomainSpec& domain);

}  // namespace eve::containerd
