# shellcheck shell=bash
# What every node test begins with: a bench of its own (scripts/lab.sh), a guest image, a clean end. Source it.
#
# From ctest: EVE_BIN (folder of the executables), EVE_SOURCE (the repository). Ends with 77, and says so, where the machine lacks something.

set -euo pipefail
LAB=evt$$
LAB_ROOT=$(mktemp -d /var/tmp/evenode-test.XXXXXX)
LAB_BIN=${EVE_BIN:?}
# shellcheck source=scripts/lab.sh
. "${EVE_SOURCE:?}/scripts/lab.sh"

missing=$(lab_check 2>&1) || { echo "SKIPPED on this machine: $missing"; rm -rf "$LAB_ROOT"; exit 77; }

bench_end() {
    local status=${1:-$?}
    trap - EXIT
    if [ $status -ne 0 ]; then
        echo "== the node's log"; tail -n 60 "$LAB_LOG" 2>/dev/null || true
        echo "== evectl"; lab_ctl status || true; lab_ctl apps || true; lab_ctl volumes || true; lab_ctl networks || true
        for app in $(lab_ctl apps --json | jq -r '.[:20][].name'); do echo "== console of $app"; lab_ctl app logs "$app" | tail -n 30 || true; done
    fi
    lab_down || true
    rm -rf "$LAB_LOG" "$LAB_ROOT".*
    exit $status
}
trap bench_end EXIT

# A compressed image that boots Linux, says "<name> ready" on its console and serves a page on port 80.
bench_linux_image() { "$EVE_SOURCE/scripts/make-guest-image" "$LAB_WWW/linux.qcow2" >/dev/null; }

# bench_config JQ-PROGRAM: a device config written with the functions of device_config.jq, applied. $linux_sha etc. are bound.
bench_config() {
    jq -n -L "$EVE_SOURCE/tests/acceptance/node" --arg url "http://$LAB_SERVER:8000" \
        --arg linux_sha "$(sha256sum "$LAB_WWW/linux.qcow2" 2>/dev/null | cut -d' ' -f1)" --arg linux_size "$(stat -c %s "$LAB_WWW/linux.qcow2" 2>/dev/null)" \
        "include \"device_config\"; base(\$url) | $1" >"$LAB_ROOT.json"
    lab_ctl apply "$LAB_ROOT.json"
}

# The pids of all guests of this node.
bench_guests() { ip netns pids "$LAB_NODE_NS" | while read -r pid; do grep -q qemu "/proc/$pid/comm" 2>/dev/null && echo "$pid"; done; }
app_field() { lab_ctl apps --json | jq -r --arg name "$1" ".[] | select(.name == \$name) | $2"; }
console_has() { lab_ctl app logs "$1" | grep -q -- "$2"; }
await_console() { lab_until "${3:-90}" "'$2' on the console of $1" console_has "$1" "$2"; }
check() { local what=$1; shift; "$@" || { lab_fail "$what"; exit 1; }; echo "ok: $what"; }

# What a script made beneath the node's root itself goes here, after the node and before what is left is looked at.
bench_clear_own() { :; }

# Everything that the app config made is gone, and so is the node.
bench_nothing_left() {
    bench_config .
    lab_until 60 "all apps gone" bash -c "[ \"\$('$LAB_BIN/evectl' --root '$LAB_ROOT' apps --json)\" = '[]' ]"
    lab_until 60 "all networks gone" bash -c "[ \"\$('$LAB_BIN/evectl' --root '$LAB_ROOT' networks --json)\" = '[]' ]"
    lab_until 60 "all volumes gone" bash -c "[ \"\$('$LAB_BIN/evectl' --root '$LAB_ROOT' volumes --json)\" = '[]' ]"
    lab_node_down
    bench_clear_own
    local left
    left=$(lab_leftovers)
    [ -z "$left" ] || { echo "$left"; lab_fail "the lines above were left behind"; exit 1; }
    echo "ok: nothing is left behind"
}

# ---- Containers: a containerd and a registry of the test's own ----

# bench_containers_or_skip PROGRAM...: ends the test as skipped, and says so, where one of these, or of what all container tests need, is missing.
bench_containers_or_skip() {
    local program
    for program in containerd runc docker-registry "$@"; do
        PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || { echo "SKIPPED on this machine: $program is not installed (scripts/packages run test)"; exit 77; }
    done
}
# containerd runs, with its socket below $containerd, and $LAB_ROOT.containerd.json is its plugin's configuration.
bench_containerd_up() {
    bench_containers_or_skip "$@"
    containerd=$LAB_ROOT.containerd
    registry=$LAB_ROOT.registry
    trap 'status=$?; bench_containers_end; bench_end $status' EXIT
    "$EVE_SOURCE/scripts/containerd" start "$containerd"
    jq -n --arg socket "$containerd/containerd.sock" --arg cgroup "/evenode-${LAB_ROOT##*/}" '{socket: $socket, cgroup_parent: $cgroup}' >"$LAB_ROOT.containerd.json"
}
# bench_registry VERB ARGUMENT...: scripts/container-registry for the one at $registry, outside of the node.
bench_registry() {
    local verb=$1
    shift
    lab_outside "$EVE_SOURCE/scripts/container-registry" "$verb" "$registry" "$LAB_SERVER" 5000 "$@"
}
bench_containers_end() {
    "$EVE_SOURCE/scripts/containerd" stop "$containerd" || true
    "$EVE_SOURCE/scripts/container-registry" stop "$registry" || true
}

bench_up() {
    lab_network_up
    mkdir -p "$LAB_WWW"
    lab_server_up
    lab_node_up "$@"
}
