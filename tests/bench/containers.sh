#!/usr/bin/env bash
# Containers beside the peers, alternately: from the order to a process, with the image there; an image of ten layers from a registry beside it to
# an unpacked root file system; a hundred containers; what one costs beyond containerd's shim. JSON lines, as tests/bench/report.hpp. Run by
# scripts/bench. Peers that are not installed are left out and named on stderr. EVE_BIN, EVE_SOURCE; BENCH_ROUNDS, BENCH_CONTAINERS for less.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
LAB=evb$$
LAB_ROOT=$(mktemp -d "${BENCH_DIR:-/var/tmp}/evenode-bench.XXXXXX")
LAB_BIN=${EVE_BIN:?}
. "${EVE_SOURCE:?}/scripts/lab.sh"
lab_check
rounds=${BENCH_ROUNDS:-7}
crowd=${BENCH_CONTAINERS:-100}
containerd=$LAB_ROOT.containerd
registry=$LAB_ROOT.registry
podman_root=$LAB_ROOT.podman

pod() { podman --root "$podman_root/root" --runroot "$podman_root/run" --tmpdir "$podman_root/tmp" --cgroup-manager cgroupfs --storage-driver "${podman_driver:-overlay}" \
    --runtime "$(command -v runc)" --events-backend none "$@"; }
end() {
    local status=$?
    trap - EXIT
    [ $status -eq 0 ] || tail -n 20 "$LAB_LOG" >&2
    if [ "${podman:-no}" = yes ]; then pod rm -af >/dev/null 2>&1 || true; pod rmi -af >/dev/null 2>&1 || true; fi
    lab_node_down || true
    "$EVE_SOURCE/scripts/containerd" stop "$containerd" || true
    "$EVE_SOURCE/scripts/container-registry" stop "$registry" || true
    grep -F " $LAB_ROOT" /proc/self/mountinfo | awk '{print $5}' | sort -r | while read -r place; do umount "$place" || true; done || true
    lab_down || true
    rm -rf "$LAB_LOG" "$LAB_ROOT".*
    exit $status
}
trap end EXIT

milliseconds() { echo $(($(date +%s%N) / 1000000)); }
# say WHAT WHO UNIT: the figures of stdin, one a line.
say() { sort -g | jq -sc --arg what "$1" --arg who "$2" --arg unit "$3" \
    'select(length > 0) | {what: $what, who: $who, median: .[length / 2 | floor], p99: .[-1], min: .[0], runs: length, unit: $unit}'; }
pss() { local pid kib=0 one; for pid in "$@"; do one=$(awk '/^Pss:/ {print $2}' "/proc/$pid/smaps_rollup" 2>/dev/null || true); kib=$((kib + ${one:-0})); done; echo $kib; }
# Waiting starts no process: on two cores that would be a good part of what is measured.
mkfifo "$LAB_ROOT.never"
exec {never}<>"$LAB_ROOT.never"
pause() { read -rt "$1" -u "$never" || true; }
await() { local limit=$((SECONDS + 60)); until "$@" 2>/dev/null; do [ $SECONDS -lt $limit ] || { echo "waited a minute for: $*" >&2; return 1; }; pause "${step:-0.002}"; done; }

# The image is 200 MB in ten layers that do not shrink, put where docker-registry's file system driver has it.
place_big() {
    local data=$registry/data/docker/registry/v2 repository=$registry/data/docker/registry/v2/repositories/big n sha size layers='[]' diffs='[]' diff
    blob() { mkdir -p "$data/blobs/sha256/${2:0:2}/$2" "$repository/_layers/sha256/$2"; mv "$1" "$data/blobs/sha256/${2:0:2}/$2/data"; printf 'sha256:%s' "$2" >"$repository/_layers/sha256/$2/link"; }
    for n in $(seq 10); do
        mkdir -p "$LAB_ROOT.big/d$n"
        for part in $(seq 20); do head -c 1000000 /dev/urandom >"$LAB_ROOT.big/d$n/f$part"; done
        tar --owner=0 --group=0 --numeric-owner -C "$LAB_ROOT.big" -cf "$LAB_ROOT.layer" "d$n"
        rm -rf "$LAB_ROOT.big/d$n"
        diff=$(sha256sum <"$LAB_ROOT.layer" | cut -d' ' -f1)
        gzip -1 -n "$LAB_ROOT.layer"
        sha=$(sha256sum <"$LAB_ROOT.layer.gz" | cut -d' ' -f1) size=$(stat -c %s "$LAB_ROOT.layer.gz")
        blob "$LAB_ROOT.layer.gz" "$sha"
        layers=$(jq -c --arg d "sha256:$sha" --argjson s "$size" '. + [{mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: $d, size: $s}]' <<<"$layers")
        diffs=$(jq -c --arg d "sha256:$diff" '. + [$d]' <<<"$diffs")
    done
    jq -cjn --argjson diffs "$diffs" --arg arch "$(dpkg --print-architecture)" '{architecture: $arch, os: "linux", config: {Cmd: ["/x"]}, rootfs: {type: "layers", diff_ids: $diffs}}' >"$LAB_ROOT.config"
    sha=$(sha256sum <"$LAB_ROOT.config" | cut -d' ' -f1) size=$(stat -c %s "$LAB_ROOT.config")
    blob "$LAB_ROOT.config" "$sha"
    jq -cjn --arg d "sha256:$sha" --argjson s "$size" --argjson layers "$layers" '{schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json",
        config: {mediaType: "application/vnd.oci.image.config.v1+json", digest: $d, size: $s}, layers: $layers}' >"$LAB_ROOT.manifest"
    sha=$(sha256sum <"$LAB_ROOT.manifest" | cut -d' ' -f1)
    blob "$LAB_ROOT.manifest" "$sha"
    rm -rf "$repository/_layers/sha256/$sha"
    mkdir -p "$repository/_manifests/revisions/sha256/$sha" "$repository/_manifests/tags/latest/current" "$repository/_manifests/tags/latest/index/sha256/$sha"
    for n in "revisions/sha256/$sha" tags/latest/current "tags/latest/index/sha256/$sha"; do printf 'sha256:%s' "$sha" >"$repository/_manifests/$n/link"; done
}

ctl() { lab_inside ctr -a "$containerd/containerd.sock" "$@"; }
# config FIRST LAST [BIG]: the apps FIRST to LAST of the demo image without a network, and with BIG a volume of the big one.
config() {
    jq -n -L "$EVE_SOURCE/tests/acceptance/node" --arg ca "$(base64 -w0 "$registry/ca.pem")" --arg url "docker://$LAB_SERVER:5000" --argjson first "$1" --argjson last "$2" --arg big "${3:-}" \
        'include "device_config"; base("http://192.0.2.1:8000") | registry(2; $url; $ca) | container_image(1; "demo:latest"; 2)
        | reduce range($first; $last + 1) as $n (.; container($n; "app\($n)"; 1; 1; []; "") | .apps[-1].interfaces = [] | .apps[-1].fixedresources.memory = 16384 | .apps[-1].fixedresources.maxmem = 16384)
        | if $big == "" then . else container_image(2; "big:latest"; 2) | .contentInfo[-1].maxSizeBytes = "400000000" | .contentInfo[-1].uuid = uuid("4100"; $big)
            | volume(900; 2) | .volumes[-1].uuid = uuid("3100"; $big) | .volumes[-1].origin.downloadContentTreeID = uuid("4100"; $big) end' >"$LAB_ROOT.json"
}
order() { lab_ctl apply "$LAB_ROOT.json" >/dev/null; }
apply() { config "$@"; order; }
app_uuid() { printf '00000000-0000-4000-8000-%012d' "2000$1"; }
written() { [ -s "$1" ]; }
log_of() { echo "$LAB_ROOT/run/plugins/containerd/domains/$(app_uuid "$1")/console.log"; }
node_says() { [ "$(cat "$LAB_ROOT/run/zedmanager/AppInstanceStatus"/*.json 2>/dev/null | jq -s "[.[] | select(.State == 115)] | length")" = "$1" ]; }
nobody() { [ -z "$(ls "$LAB_ROOT/run/zedmanager/AppInstanceStatus" 2>/dev/null | grep json)" ]; }

# What is below /run everywhere is in memory, as there: the node's, containerd's and podman's.
for place in "$LAB_ROOT/run" "$containerd/state" "$podman_root/run" "$podman_root/tmp"; do mkdir -p "$place" && mount -t tmpfs -o mode=755 evenode-bench "$place"; done
"$EVE_SOURCE/scripts/containerd" start "$containerd"
lab_network_up
jq -n --arg socket "$containerd/containerd.sock" --arg cgroup "/evenode-${LAB_ROOT##*/}" '{socket: $socket, cgroup_parent: $cgroup}' >"$LAB_ROOT.containerd.json"
lab_outside "$EVE_SOURCE/scripts/container-registry" start "$registry" "$LAB_SERVER" 5000
lab_outside "$EVE_SOURCE/scripts/container-registry" push "$registry" "$LAB_SERVER" 5000 demo '{"Entrypoint":["/bin/sh","-c"],"Cmd":["trap \"exit 0\" TERM; echo here; sleep 100000 & wait"]}'
place_big
lab_node_up --plugin-config "containerd=$LAB_ROOT.containerd.json"

# The node is ready when its first image is there: what its runtimes take until then, and what was written for the registry, is not part of a pull.
loaded() { grep -q volumemgr.content_loaded "$LAB_ROOT/run/zedbox/events.log"; }
apply 1 0
await loaded
sync

# ---- an image of ten layers ----
# Three pulls by the clock, then three that are watched.
peak() { # what must be true, the pids to look at
    local most=0 now condition=$1
    shift
    while ! $condition; do now=$(pss $("$@")); [ "$now" -le "$most" ] || most=$now; pause 0.02; done
    echo "$most"
}
volume_made() { [ -e "$LAB_ROOT/persist/clear/volumes/$volume#0.container/image-config.json" ]; }
volume_gone() { ! [ -e "$LAB_ROOT/persist/clear/volumes/$volume#0.container" ]; }
pull_over() { ! kill -0 "$puller" 2>/dev/null; }
ctr_pids() { echo "$puller" "$(pgrep -P "$puller" || true)" "$(cat "$containerd/pid")"; }
ctr_pull() { ctl images pull --tlscacert "$registry/ca.pem" "$LAB_SERVER:5000/big:latest" >/dev/null; }
for round in $(seq 6); do
    volume=00000000-0000-4000-8000-$(printf '%012d' "3100$round")
    config 1 0 "$round"
    begun=$(milliseconds)
    order
    if [ "$round" -le 3 ]; then
        await volume_made
        echo $(($(milliseconds) - begun)) >>"$LAB_ROOT.pull.evenode"
    else
        peak volume_made lab_node_pids >>"$LAB_ROOT.peak.evenode"
    fi
    apply 1 0
    await volume_gone
    if [ "$round" -le 3 ]; then
        begun=$(milliseconds)
        ctr_pull
        echo $(($(milliseconds) - begun)) >>"$LAB_ROOT.pull.ctr"
    else
        ctr_pull &
        puller=$!
        peak pull_over ctr_pids >>"$LAB_ROOT.peak.ctr"
        wait $puller
    fi
    ctl images rm --sync "$LAB_SERVER:5000/big:latest" >/dev/null
    ctl content prune references >/dev/null 2>&1 || true
done
for who in evenode ctr; do
    say "200 MB in ten layers, from the registry to unpacked" "$who" ms <"$LAB_ROOT.pull.$who"
    say "its peak memory, all processes of the one that pulls (PSS)" "$who" KiB <"$LAB_ROOT.peak.$who"
done

# ---- from the order to the process ----
ctl images pull --tlscacert "$registry/ca.pem" "$LAB_SERVER:5000/demo:latest" >/dev/null
podman=no
if command -v podman >/dev/null; then
    podman=yes
    mkdir -p "$podman_root/certs"
    cp "$registry/ca.pem" "$podman_root/certs/ca.crt"
    lab_inside podman --root "$podman_root/root" --runroot "$podman_root/run" --tmpdir "$podman_root/tmp" --storage-driver overlay pull -q --cert-dir "$podman_root/certs" "$LAB_SERVER:5000/demo:latest" >/dev/null ||
        { podman=no; echo "podman cannot pull here: left out" >&2; }
else
    echo "podman is not installed: left out" >&2
fi
apply 1 1
await written "$(log_of 1)"
for round in $(seq "$rounds"); do
    config 1 $((round + 1))
    log=$(log_of $((round + 1)))
    begun=$(milliseconds)
    order
    await written "$log"
    echo $(($(milliseconds) - begun)) >>"$LAB_ROOT.start.evenode"
    begun=$(milliseconds)
    ctl run -d --memory-limit 16777216 --log-uri "file://$LAB_ROOT.ctr$round.log" "$LAB_SERVER:5000/demo:latest" "peer$round"
    await written "$LAB_ROOT.ctr$round.log"
    echo $(($(milliseconds) - begun)) >>"$LAB_ROOT.start.ctr"
    [ $podman = yes ] || continue
    begun=$(milliseconds)
    if pod run -d --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 --network none --memory 16m --log-driver k8s-file --log-opt "path=$LAB_ROOT.pod$round.log" --name "peer$round" "$LAB_SERVER:5000/demo:latest" >/dev/null; then
        await written "$LAB_ROOT.pod$round.log"
        echo $(($(milliseconds) - begun)) >>"$LAB_ROOT.start.podman"
    else
        podman=no
        echo "podman cannot run containers here: left out" >&2
    fi
done
for who in evenode ctr podman; do [ ! -e "$LAB_ROOT.start.$who" ] || say "the order -> the process writes, image there, runc" "$who" ms <"$LAB_ROOT.start.$who"; done
for round in $(seq "$rounds"); do ctl tasks kill -s KILL "peer$round" 2>/dev/null || true; done
busybox sleep 1
for round in $(seq "$rounds"); do ctl tasks delete -f "peer$round" >/dev/null 2>&1 || true; ctl containers delete "peer$round" || true; done
[ $podman = no ] || pod rm -af >/dev/null
apply 1 0
await nobody

# ---- a crowd ----
step=0.1  # asking after a hundred takes a while itself
# Each container's log is kept by a process of its own, which is the node's doing.
ours() { lab_node_pids; pgrep -f "console-log log $LAB_ROOT/" || true; }
before=$(pss $(ours))
config 1 "$crowd"
begun=$(milliseconds)
order
await node_says "$crowd" || await node_says "$crowd" || await node_says "$crowd"
echo $(($(milliseconds) - begun)) | say "$crowd containers: apply -> all RUNNING" evenode ms
echo $((($(pss $(ours)) - before) / crowd)) | say "memory for each container beyond containerd's shim" evenode KiB
config 1 0
begun=$(milliseconds)
order
await nobody || await nobody || await nobody
echo $(($(milliseconds) - begun)) | say "$crowd containers: apply -> all gone" evenode ms
begun=$(milliseconds)
for n in $(seq "$crowd"); do ctl run -d --memory-limit 16777216 --log-uri "file://$LAB_ROOT.crowd.log" "$LAB_SERVER:5000/demo:latest" "crowd$n"; done
echo $(($(milliseconds) - begun)) | say "$crowd containers: apply -> all RUNNING" "ctr run, one by one" ms
begun=$(milliseconds)
for n in $(seq "$crowd"); do ctl tasks delete -f "crowd$n" >/dev/null 2>&1 || true; ctl containers delete "crowd$n"; done
echo $(($(milliseconds) - begun)) | say "$crowd containers: apply -> all gone" "ctr tasks delete -f, one by one" ms
