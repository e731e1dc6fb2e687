#!/usr/bin/env bash
# A disk that is full in mid-download and in mid-volume, no descriptors left, no processes left, too little memory: each is an error that says
# what is short and what to do, what runs runs on, and when the cause goes the app comes up by itself. Guests are sleeping processes of the mock
# plugin.
# one shape only: node
# all: yes
# seconds: 900
# shellcheck source=tests/acceptance/node/bench.sh
. "$(dirname "$0")/bench.sh"
mkdir -p "$LAB_ROOT/persist"
mount -t tmpfs -o size=16m tmpfs "$LAB_ROOT/persist" || { echo "SKIPPED on this machine: no tmpfs can be mounted"; rm -rf "$LAB_ROOT"*; trap - EXIT; exit 77; }
pids_group=/sys/fs/cgroup/pids/evenode-test-$$
bench_clear_own() {
    umount "$LAB_ROOT/persist"
    if [ -d "$pids_group" ]; then rmdir "$pids_group"; fi
}
shortages_end() {
    local status=$?
    umount -l "$LAB_ROOT/persist" 2>/dev/null || true
    bench_end $status
}
trap shortages_end EXIT
echo '{"guest":["/bin/sleep","86400"],"calls_in_flight_max":4}' >"$LAB_ROOT.mock"
bench_up --plugin-order mock --plugin-config mock="$LAB_ROOT.mock"
head -c 4194304 /dev/urandom >"$LAB_WWW/big.raw"
sha=$(sha256sum "$LAB_WWW/big.raw" | cut -d' ' -f1)
# shortage_config N [MORE]: so many apps, each with a disk of its own. The check of space beforehand is off: the disk itself shall be full.
ignore='.configItems += [{key: "storage.apps.ignore.disk.check", value: "true"}] | .configItems |= map(if .key == "timer.download.retry" then .value = "60" else . end)'
shortage_config() {
    local program="$ignore | image(1; \"big.raw\"; \"$sha\"; 4194304; \"RAW\")" n
    for n in $(seq 1 "$1"); do program+=" | small_vm($n; \"app$n\"; 1)"; done
    bench_config "$program | ${2:-.}" >/dev/null
}
error_of() { app_field "$1" '(.error.text // "") + " | " + (.error.retry_condition // "")'; }
app_says() { error_of "$1" | grep -qiE "$2"; }
app_runs() { [ "$(app_field "$1" .state)" = RUNNING ] && [ "$(app_field "$1" .error)" = null ]; }
said() { lab_until 60 "$1" app_says "$2" "$3"; echo "ok: $1: $(error_of "$2")"; }
healed() { lab_until 150 "$1" app_runs "$2"; echo "ok: $1"; }
# fill LEAVE: the disk is full but for so many KiB.
fill() { rm -f "$LAB_ROOT/persist/filler"; dd if=/dev/zero of="$LAB_ROOT/persist/filler" bs=1k count=$(($(df -k --output=avail "$LAB_ROOT/persist" | tail -n 1) - $1)) status=none; }

# In mid-download: there is room for half of it.
fill 2048
shortage_config 1
said "a disk that is full in mid-download is named" app1 'no space|disk is full|remaining disk space'
check "and what to do about it" app_says app1 'free space'
rm -f "$LAB_ROOT/persist/filler"
healed "the app runs once there is space" app1
first=$(app_field app1 .pid)

# In mid-volume: the content is there, its second copy finds half the room.
fill 2048
shortage_config 2
said "a disk that is full in mid-volume is named" app2 'no space|disk is full|remaining disk space'
check "and what to do about that" app_says app2 'free space'
check "no half volume lies about" [ "$(find "$LAB_ROOT/persist" -path '*volumes/*30002*' -size +0 | wc -l)" = 0 ]
check "the first app runs on" kill -0 "$first"
rm -f "$LAB_ROOT/persist/filler"
healed "the second app runs once there is space" app2

# What EVE does by default: it is asked beforehand whether there will be room, by what the last look at the disk saw.
fill 2048
bench_config "image(1; \"big.raw\"; \"$sha\"; 4194304; \"RAW\") | small_vm(1; \"app1\"; 1) | small_vm(2; \"app2\"; 1) | small_vm(3; \"app3\"; 1)" >/dev/null
said "a volume for which there will be no room is not begun" app3 'remaining disk space .* needs|no space'
check "it says what will happen" app_says app3 'will retry'
rm -f "$LAB_ROOT/persist/filler"
mount -o remount,size=64m "$LAB_ROOT/persist"
healed "it is made once there is room" app3

# Descriptors: hardly more than are open now.
node=$(lab_agent_pid zedbox)
files=$(prlimit --pid "$node" --nofile --noheadings --output SOFT)
prlimit --pid "$node" --nofile="$(($(find "/proc/$node/fd" -mindepth 1 | wc -l) + 2)):"
shortage_config 4
said "want of descriptors is named" app4 'open files'
check "want of descriptors does not end the node" [ "$(lab_agent_pid zedbox)" = "$node" ]
check "nor the guest" kill -0 "$first"
prlimit --pid "$node" --nofile="$files:"
healed "the app runs once there are descriptors" app4

# Processes.
if [ -w /sys/fs/cgroup/pids/cgroup.procs ] && mkdir "$pids_group" 2>/dev/null; then
    for pid in $(lab_node_pids); do echo "$pid" >"$pids_group/cgroup.procs"; done
    cat "$pids_group/pids.current" >"$pids_group/pids.max"
    shortage_config 5
    said "want of processes is named" app5 'process'
    check "the guest lives without" kill -0 "$first"
    echo max >"$pids_group/pids.max"
    healed "the app runs once there are processes" app5
else
    echo "NOTE: no pids controller here: want of processes was not tried"
fi

# Memory: an app for which there is not enough left waits, and starts when another goes.
kib=$(($(lab_ctl status --json | jq .memory_mib.total) * 614))
large="|= (.memory = $kib | .maxmem = $kib)"
shortage_config 6 ".apps[5].fixedresources $large"
healed "an app that takes more than half of the memory runs" app6
shortage_config 7 "(.apps[5].fixedresources, .apps[6].fixedresources) $large"
said "want of memory is named" app7 'remaining memory is'
check "and what will happen" app_says app7 'memory.*(will be|retry|again)'
shortage_config 7 "(.apps[5].fixedresources, .apps[6].fixedresources) $large | del(.apps[5])"
healed "it starts when the other goes" app7
check "the first guest is the same" [ "$(app_field app1 .pid)" = "$first" ]

bench_nothing_left
