#!/usr/bin/env bash
# Figures of a whole node: memory when idle, a thousand apps of the mock plugin from the config to RUNNING, their adoption after kill -9,
# memory for each, processor time and wake-ups when idle with a hundred. JSON lines, as tests/bench/report.hpp. Run by scripts/bench.
# The apps are containers (EVE counts no overhead of a VMM for them) without volumes: what is measured is the node, not the disk.
set -euo pipefail
LAB=evb$$
LAB_ROOT=$(mktemp -d /var/tmp/evenode-bench.XXXXXX)
LAB_BIN=${EVE_BIN:?}
. "${EVE_SOURCE:?}/scripts/lab.sh"
lab_check

end() { local status=$?; trap - EXIT; lab_node_down || true; umount "$LAB_ROOT/run" 2>/dev/null || true; lab_down || true; rm -rf "$LAB_LOG" "$LAB_ROOT".*; exit $status; }
trap end EXIT

# say WHAT UNIT VALUE...: the median, and the least and the most of several runs.
say() {
    local what=$1 unit=$2
    shift 2
    printf '%s\n' "$@" | jq -sc --arg what "$what" --arg unit "$unit" \
        'sort | {what: $what, who: "evenode", median: .[(length - 1) / 2 | floor], p99: .[-1], min: .[0], runs: length, unit: $unit}'
}
milliseconds() { echo $(($(date +%s%N) / 1000000)); }
pss() { local pid sum=0; for pid in $(lab_node_pids); do sum=$((sum + $(awk '/^Pss:/ {print $2}' "/proc/$pid/smaps_rollup" 2>/dev/null || echo 0))); done; echo $sum; }
cpu_ticks() { local pid sum=0; for pid in $(lab_node_pids); do sum=$((sum + $(sed 's/.*) //' "/proc/$pid/stat" | awk '{print $12 + $13}'))); done; echo $sum; }
# One line a process: its id and how often one of its threads slept and was woken.
wake_ups() { local pid; for pid in $(lab_node_pids); do cat "/proc/$pid"/task/*/status | awk -v pid="$pid" '/^voluntary/ {n += $2} END {print pid, n}'; done; }
# The states are read where any subscriber finds them, so that looking costs little.
states="$LAB_ROOT/run/zedmanager/AppInstanceStatus"
running() { cat "$states"/*.json 2>/dev/null | { grep -o '"State":115' || true; } | wc -l; }
# One file is looked at until it is time to count: counting a thousand takes as long as the node needs for many of them.
await_running() {
    local last
    until last=$(ls "$states" 2>/dev/null | grep json | tail -n 1) && [ -n "$last" ] && grep -q '"State":115' "$states/$last" 2>/dev/null && [ "$(running)" = "$1" ]; do
        [ "$(milliseconds)" -lt "$2" ] || { echo "only $(running) of $1 run" >&2; return 1; }
        busybox usleep 20000
    done
}

apply() {
    jq -n -L "$EVE_SOURCE/tests/acceptance/node" --argjson count "$1" 'include "device_config";
        base("http://192.0.2.1:8000") | reduce range(1; $count + 1) as $n (.; small_vm($n; "app\($n)"; 1) | .volumes = [] | .apps[-1].volumeRefList = [])
        | .apps |= map(.fixedresources = {memory: 4096, maxmem: 4096, vcpus: 1, maxcpus: 1, virtualizationMode: "NOHYPER"})' >"$LAB_ROOT.json"
    lab_ctl apply "$LAB_ROOT.json" >/dev/null
}

lab_network_up
mkdir -p "$LAB_ROOT/run"
mount -t tmpfs -o mode=0755 evenode-bench "$LAB_ROOT/run"  # as on every node
echo '{"calls_in_flight_max": 8}' >"$LAB_ROOT.mock"  # as many at once as kvm and containerd take
plugin=(--plugin-order mock --plugin-config "mock=$LAB_ROOT.mock")
start() { started=$(milliseconds); lab_node_up "${plugin[@]}"; }
stop() { lab_node_down; }

starts=()
for _ in 1 2 3 4 5; do
    start
    starts+=($(($(milliseconds) - started)))
    stop
done
say "node started, no apps" ms "${starts[@]}"

start
apply 0
busybox sleep 5  # what start-up left to do
say "memory of an idle node, all its processes (PSS)" KiB "$(pss)"

ups=() adoptions=() removals=() each=()
for _ in 1 2 3; do
    before=$(pss)
    begun=$(milliseconds)
    apply 1000
    await_running 1000 $((begun + 120000))
    ups+=($(($(milliseconds) - begun)))
    busybox sleep 3  # files that follow
    each+=($(($(pss) - before))e-3)

    pid=$(cat "$LAB_ROOT/run/zedbox.pid")
    # Its supervisor, with which it dies: else that would start the next life in its own time, beside ours.
    kill -KILL "$(awk '/^PPid:/ {print $2}' "/proc/$pid/status")"
    lab_until 10 "the node is dead" lab_gone "$pid"
    rm -f "$states"/*.json  # so that only what the new life says is counted
    begun=$(milliseconds)
    lab_inside setsid "$LAB_BIN/zedbox" node --root "$LAB_ROOT" "${plugin[@]}" </dev/null >>"$LAB_LOG" 2>&1 &
    await_running 1000 $((begun + 60000))
    adoptions+=($(($(milliseconds) - begun)))

    busybox sleep 3
    begun=$(milliseconds)
    apply 0
    until [ -z "$(ls -A "$states" | grep json)" ]; do [ "$(milliseconds)" -lt $((begun + 120000)) ] || { echo "apps stay" >&2; exit 1; }; busybox usleep 20000; done
    removals+=($(($(milliseconds) - begun)))
    # A fresh life for the next round, so that each begins alike.
    stop
    start
done
say "1,000 mock apps: apply -> all RUNNING" ms "${ups[@]}"
say "memory for each of 1,000 apps" KiB "${each[@]}"
say "1,000 mock apps: restart after kill -9 -> all RUNNING in the report" ms "${adoptions[@]}"
say "1,000 mock apps: removed" ms "${removals[@]}"

begun=$(milliseconds)
apply 100
await_running 100 $((begun + 120000))
busybox sleep 20
seconds=60
ticks=$(cpu_ticks) wakes=$(wake_ups)
busybox sleep $seconds
say "processor time of an idle node with 100 apps" "% of a core" "$((($(cpu_ticks) - ticks) * 100000 / (seconds * $(getconf CLK_TCK))))e-3"
mapfile -t rates < <({ echo "$wakes"; echo; wake_ups; } | awk -v s=$seconds 'NF == 0 {late = 1} NF && !late {was[$1] = $2} NF && late && ($1 in was) {printf "%.2f\n", ($2 - was[$1]) / s}')
say "wake-ups of an idle node with 100 apps, the process that wakes most" "/s" "$(printf '%s\n' "${rates[@]}" | sort -g | tail -n 1)"
say "wake-ups of an idle node with 100 apps, all its processes" "/s" "$(printf '%s\n' "${rates[@]}" | awk '{sum += $1} END {print sum}')"
