#!/usr/bin/env bash
# Containers and what goes wrong around them: the registry is away and comes back, the disk is full, memory is out, the plugin's process and
# containerd are killed while they run. The truth is told each time, who can run on runs on, and in the end there is as much of everything
# (processes, namespaces, mounts, cgroups, links, and in containerd containers, tasks, snapshots, leases, content) as before.
# all: yes
# shellcheck source=tests/acceptance/node/bench.sh
. "$(dirname "$0")/bench.sh"
for program in containerd runc docker-registry; do
    PATH=$PATH:/usr/sbin command -v $program >/dev/null || { echo "SKIPPED on this machine: $program is not installed (scripts/packages run test)"; exit 77; }
done

containerd=$LAB_ROOT.containerd
registry=$LAB_ROOT.registry
cgroup=evenode-${LAB_ROOT##*/}
trap 'status=$?; [ $status -eq 0 ] || { lab_ctl apps; tail -n 60 "$LAB_LOG"; } || true; "$EVE_SOURCE/scripts/containerd" stop "$containerd" || true
    "$EVE_SOURCE/scripts/container-registry" stop "$registry" || true; lab_node_down || true; umount -l "$LAB_ROOT" || true; bench_end $status' EXIT

# The node's disk holds 160 MiB.
mount -t tmpfs -o size=160m,mode=0755 "$LAB" "$LAB_ROOT"
"$EVE_SOURCE/scripts/containerd" start "$containerd"
ctl() { ctr -a "$containerd/containerd.sock" -n eve-user-apps "$@"; }
census() {
    echo "network namespaces $(grep -lF "$cgroup" /proc/[0-9]*/cgroup 2>/dev/null | while read -r file; do readlink "${file%cgroup}ns/net"; done | sort -u | wc -l)"
    echo "mounts $(cat /proc/[0-9]*/mountinfo 2>/dev/null | awk '{print $5}' | grep -F "$LAB_ROOT/" | sort -u | wc -l)"
    echo "cgroups $(find /sys/fs/cgroup -type d -path "*/$cgroup/*" 2>/dev/null | wc -l)"
    echo "links $(ip -n "$LAB_NODE_NS" -o link | wc -l) and outside $(ip -n "$LAB_OUT_NS" -o link | wc -l)"
    echo "shims $(pgrep -cf "containerd-shim.*$containerd" || true)"
    for kind in containers tasks leases; do echo "$kind $(ctl $kind list -q | wc -l)"; done
    echo "snapshots $(ctl snapshots list | tail -n +2 | wc -l)"
    echo "content $(ctl content list -q | wc -l)"
}
jq -n --arg socket "$containerd/containerd.sock" --arg cgroup "/$cgroup" '{socket: $socket, cgroup_parent: $cgroup}' >"$LAB_ROOT.containerd.json"
lab_network_up
before=$(census)
mkdir -p "$LAB_WWW"
lab_server_up
lab_outside "$EVE_SOURCE/scripts/container-registry" start "$registry" "$LAB_SERVER" 5000
push() { lab_outside "$EVE_SOURCE/scripts/container-registry" push "$registry" "$LAB_SERVER" 5000 "$@"; }
push demo '{"Entrypoint":["/bin/sh","-c"],"Cmd":["echo ready; while ! [ -e /www/end ]; do sleep 0.2; done; exit 7"]}'
push hungry '{"Entrypoint":["/bin/sh","-c"],"Cmd":["echo eating; exec tail -c 200000000 /dev/zero"]}'
push huge '{"Entrypoint":["/bin/true"]}' 220
ca=$(base64 -w0 "$registry/ca.pem")
lab_node_up --plugin-config "containerd=$LAB_ROOT.containerd.json"
export ca
config() { bench_config "(\$ENV.ca) as \$ca | .configItems |= map(select(.key != \"timer.download.retry\")) | .configItems += [{key: \"timer.download.retry\", value: \"60\"}]
    | registry(2; \"docker://$LAB_SERVER:5000\"; \$ca) | local_network(1; \"10.31.0\"; \"eth0\") | $1"; }
web='container_image(1; "demo:latest"; 2) | container(1; "web"; 1; 1; [allow_all]; "")'

# The registry is away.
"$EVE_SOURCE/scripts/container-registry" stop "$registry"
config "$web"
shows() { lab_ctl app show "$1" | grep -qiE -- "$2"; }
check "a registry that is away is waited for, and that is told" lab_until 30 "the reason" shows web 'registry'
lab_outside "$EVE_SOURCE/scripts/container-registry" start "$registry" "$LAB_SERVER" 5000
check "when it is back the app comes up" lab_ctl wait web RUNNING --timeout 120
pid=$(app_field web .pid)

# The plugin's process is killed.
victim=$(pgrep -f "plugin-host .*containerd.so" | while read -r one; do [ "$(readlink "/proc/$one/ns/net")" = "$(lab_inside readlink /proc/self/ns/net)" ] && echo "$one"; done | head -n 1)
timeout 60 "$LAB_BIN/evectl" --root "$LAB_ROOT" app exec web -- sleep 1000 </dev/null 2>"$LAB_ROOT.lost" &
session=$!
sleeps() { pgrep -f "^sleep 1000" | while read -r one; do grep -q "$cgroup" "/proc/$one/cgroup" && echo "$one"; done | grep -q .; }
ends() { ! sleeps; }
lab_until 10 "a program in the container" sleeps
kill -KILL "$victim"
status=0; wait $session || status=$?
check "who ran a program in it is told that its end is not known" [ $status = 125 ]
again() { lab_ctl app exec web -- true </dev/null; }
check "the plugin's next process serves the container" lab_until 60 "a program in the container" again
check "the program of the earlier one is gone" lab_until 10 "no sleep" ends
check "the container kept its process" [ "$(app_field web .pid)" = "$pid" ]
check "and is RUNNING" lab_ctl wait web RUNNING --timeout 30

# containerd is killed.
kill -KILL "$(cat "$containerd/pid")"
check "the container lives without containerd" kill -0 "$pid"
says_silent() { lab_ctl app exec web -- true </dev/null 2>&1 | grep -qiE 'containerd|answer|connect'; }
check "that it does not answer is told" lab_until 30 "the reason" says_silent
"$EVE_SOURCE/scripts/containerd" start "$containerd"
check "a program can be run in it when containerd is back" lab_until 30 "a program in the container" again
check "the container still has its process" [ "$(app_field web .pid)" = "$pid" ]
check "and is RUNNING again" lab_ctl wait web RUNNING --timeout 60

# Memory is out, the disk is full: the others do not care.
config "$web | container_image(2; \"hungry:latest\"; 2) | container(2; \"hungry\"; 2; 1; [allow_all]; \"\")
    | container_image(3; \"huge:latest\"; 2) | .contentInfo[-1].maxSizeBytes = \"10000000\" | container(3; \"huge\"; 3; 1; [allow_all]; \"\")"
check "out of memory is named" lab_until 60 "the reason" shows hungry 'memory'
check "a full disk is named" lab_until 60 "the reason" shows huge 'space|disk'
check "the other container keeps its process" [ "$(app_field web .pid)" = "$pid" ]
check "and is RUNNING all the time" lab_ctl wait web RUNNING --timeout 5

# All of it goes; everything is as before.
bench_nothing_left
"$EVE_SOURCE/scripts/container-registry" stop "$registry"
after=$(census)
check "there is as much of everything as before" diff <(echo "$before") <(echo "$after")
