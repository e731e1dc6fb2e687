# shellcheck shell=bash
# A bench for crash-anywhere: two namespaces, an image server, a small image. Source it after setting CRASH_NAME.
set -euo pipefail
LAB=${CRASH_NAME:-crs}$$
LAB_ROOT=$(mktemp -d /var/tmp/evenode-crash.XXXXXX)
LAB_BIN=${EVE_BIN:?}
# shellcheck source=scripts/lab.sh
. "${EVE_SOURCE:?}/scripts/lab.sh"
missing=$(lab_check 2>&1) || { echo "SKIPPED on this machine: $missing"; rm -rf "$LAB_ROOT"; exit 77; }
[ "$(uname -m)" = x86_64 ] || { echo "SKIPPED on this machine: calls are counted on x86-64 only"; rm -rf "$LAB_ROOT"; exit 77; }

crash_end() { local status=$?; trap - EXIT; lab_down 2>/dev/null || true; rm -rf "$LAB_ROOT"*; exit $status; }
trap crash_end EXIT
lab_network_up
mkdir -p "$LAB_WWW"
lab_server_up

# LeakSanitizer cannot work in a traced process.
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0

# crash_run IMAGE OPTIONS...: with an image in LAB_WWW.
crash_run() {
    local image=$1
    shift
    # A run ends when it has begun the last kill in its time; one that hangs is a failure.
    timeout -k 10 "$((2 * ${EVE_CRASH_SECONDS:-60} + 300))" "$LAB_BIN/crash-anywhere" --root "$LAB_ROOT/node" --bin "$LAB_BIN" --ns "$LAB_NODE_NS" --url "http://$LAB_SERVER:8000" --image "$image" \
        --sha256 "$(sha256sum "$LAB_WWW/$image" | cut -d' ' -f1)" --size "$(stat -c %s "$LAB_WWW/$image")" "$@"
}
