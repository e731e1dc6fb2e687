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

say() { jq -nc --arg what "$1" --arg who "${4:-evenode}" --argjson value "$2" --arg unit "$3" \
    '{what: $what, who: $who, median: $value, p99: $value, min: $value, runs: 1, unit: $unit}'; }
milliseconds() { echo $(($(date +%s%N) / 1000000)); }
pss() { local pid sum=0; for pid in $(lab_node_pids); do sum=$((sum + $(awk '/^Pss:/ {print $2}' "/proc/$pid/smaps_rollup"))); done; echo $sum; }
cpu_ticks() { local pid sum=0; for pid in $(lab_node_pids); do sum=$((sum + $(sed 's/.*) //' "/proc/$pid/stat" | awk '{print $12 + $13}'))); done; echo $sum; }
wake_ups() { local pid sum=0; for pid in $(lab_node_pids); do for task in "/proc/$pid"/task/*; do sum=$((sum + $(awk '/^voluntary/ {print $2}' "$task/status"))); done; done; echo $sum; }
# The states are read where any subscriber finds them, so that looking costs little.
states="$LAB_ROOT/run/zedmanager/AppInstanceStatus"
running() { cat "$states"/*.json 2>/dev/null | jq -s "[.[] | select(.State == 115)] | length"; }
await_running() { until [ "$(running)" = "$1" ]; do [ "$(milliseconds)" -lt "$2" ] || { echo "only $(running) of $1 run" >&2; return 1; }; busybox usleep 20000; done; }

apply() {
    jq -n -L "$EVE_SOURCE/tests/acceptance/node" --argjson count "$1" 'include "device_config";
        base("http://192.0.2.1:8000") | reduce range(1; $count + 1) as $n (.; small_vm($n; "app\($n)"; 1) | .volumes = [] | .apps[-1].volumeRefList = [])
        | .apps |= map(.fixedresources = {memory: 4096, maxmem: 4096, vcpus: 1, maxcpus: 1, virtualizationMode: "NOHYPER"})' >"$LAB_ROOT.json"
    lab_ctl apply "$LAB_ROOT.json" >/dev/null
}

lab_network_up
mkdir -p "$LAB_ROOT/run"
mount -t tmpfs -o mode=0755 evenode-bench "$LAB_ROOT/run"  # as on every node
started=$(milliseconds)
lab_node_up --plugin-order mock
say "node started, no apps" $(($(milliseconds) - started)) ms
apply 0
busybox sleep 5  # what start-up left to do
say "memory of an idle node, all its processes (PSS)" "$(pss)" KiB

before=$(pss)
begun=$(milliseconds)
apply 1000
await_running 1000 $((begun + 120000))
say "1,000 mock apps: apply -> all RUNNING" $(($(milliseconds) - begun)) ms
say "memory for each of 1,000 apps" "$(((($(pss) - before) * 1000 / 1000)))e-3" KiB

pid=$(cat "$LAB_ROOT/run/zedbox.pid")
kill -KILL "$pid"
lab_until 10 "the node is dead" lab_gone "$pid"
rm -f "$states"/*.json  # so that only what the new life says is counted
begun=$(milliseconds)
lab_node_up --plugin-order mock
await_running 1000 $((begun + 60000))
say "1,000 mock apps: restart after kill -9 -> all RUNNING in the report" $(($(milliseconds) - begun)) ms

begun=$(milliseconds)
apply 100
await_running 100 $((begun + 120000))
say "900 mock apps: removed" $(($(milliseconds) - begun)) ms
busybox sleep 20
seconds=60
ticks=$(cpu_ticks) wakes=$(wake_ups)
busybox sleep $seconds
say "processor time of an idle node with 100 apps" "$((($(cpu_ticks) - ticks) * 100000 / (seconds * $(getconf CLK_TCK))))e-3" "% of a core"
say "wake-ups of an idle node with 100 apps, all its processes" "$((($(wake_ups) - wakes) * 100 / seconds))e-2" "/s"
