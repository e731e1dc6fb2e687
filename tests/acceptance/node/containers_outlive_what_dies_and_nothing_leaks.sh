#!/usr/bin/env bash
# Containers and what goes wrong around them: the registry is away and comes back, the disk is full, memory is out, the plugin's process and
# containerd are killed while they run. The truth is told each time, who can run on runs on, and in the end there is as much of everything
# (processes, namespaces, mounts, cgroups, links, and in containerd containers, tasks, snapshots, leases, content) as before.
# all: yes
# shellcheck source=tests/acceptance/node/bench.sh
. "$(dirname "$0")/bench.sh"
bench_containers_or_skip ctr
cgroup=evenode-${LAB_ROOT##*/}
# The node's disk holds 160 MiB. containerd comes later: it sees what was mounted before.
mount -t tmpfs -o size=160m,mode=0755 "$LAB" "$LAB_ROOT"
bench_containerd_up
trap 'status=$?; [ $status -eq 0 ] || { lab_ctl apps; tail -n 60 "$LAB_LOG"; "$EVE_SOURCE/scripts/containerd" start "$containerd"; } || true
    bench_containers_end; lab_node_down || true; umount -l "$LAB_ROOT" || true; bench_end $status' EXIT
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
lab_network_up
before=$(census)
mkdir -p "$LAB_WWW"
lab_server_up
bench_registry start
push() { bench_registry push "$@"; }
push demo '{"Entrypoint":["/bin/sh","-c"],"Cmd":["trap \"exit 0\" TERM; echo ready; while ! [ -e /www/end ]; do sleep 0.2; done; exit 7"]}'
push hungry '{"Entrypoint":["/bin/sh","-c"],"Cmd":["echo eating; exec tail -c 200000000 /dev/zero"]}'
push huge '{"Entrypoint":["/bin/true"]}' 220
ca=$(base64 -w0 "$registry/ca.pem")
# containerd is away when the node looks for runtimes.
kill -KILL "$(cat "$containerd/pid")"
lab_until 10 "the end of containerd" lab_gone "$(cat "$containerd/pid")"
lab_node_up --plugin-config "containerd=$LAB_ROOT.containerd.json"
plugin_is() { lab_ctl plugins --json | jq -e --arg state "$1" '.[] | select(.name == "containerd").state == $state' >/dev/null; }
not_usable() { plugin_is broken || plugin_is declined; }
check "a containerd that is away is told" lab_until 30 "the plugin's state" not_usable
export ca
# The check of space beforehand is off: the disk itself shall be full.
config() { bench_config "(\$ENV.ca) as \$ca | .configItems += [{key: \"storage.apps.ignore.disk.check\", value: \"true\"}]
    | registry(2; \"docker://$LAB_SERVER:5000\"; \$ca) | local_network(1; \"10.31.0\"; \"eth0\") | $1"; }
web='container_image(1; "demo:latest"; 2) | container(1; "web"; 1; 1; [allow_all]; "")'

# The registry is away.
"$EVE_SOURCE/scripts/container-registry" stop "$registry"
config "$web"
shows() { lab_ctl app show "$1" | grep -qiE -- "$2"; }
check "a registry that is away is waited for, and that is told" lab_until 30 "the reason" shows web 'registry'
bench_registry start
"$EVE_SOURCE/scripts/containerd" start "$containerd"
check "a containerd that comes later is used" lab_until 60 "the plugin in use" plugin_is used
check "when it is back the app comes up" lab_ctl wait web RUNNING --timeout 120
pid=$(app_field web .pid)
# The node has looked at the container: its state alone may be what an earlier life said.
again() { lab_ctl app exec web -- true </dev/null; }
state_is() { [ "$(app_field "$1" .state)" = "$2" ]; }

# It is restarted, deactivated and activated.
lab_ctl app exec web -- sh -c 'echo kept >/www/kept' </dev/null
lab_ctl app restart web
other() { local now; now=$(app_field web .pid); [ "$now" -gt 1 ] && [ "$now" != "$pid" ] && kill -0 "$now" && state_is web RUNNING; }
check "a restart brings another process" lab_until 60 "another process" other
check "and the one before is gone" lab_gone "$pid"
pid=$(app_field web .pid)
check "what it wrote is still there" [ "$(cat "/proc/$pid/root/www/kept")" = kept ]
config "$web | .apps[0].activate = false"
lab_ctl wait web HALTED --timeout 60
check "deactivated it has no process" lab_gone "$pid"
check "nor has containerd a task" [ -z "$(ctl tasks list -q)" ]
config "$web"
lab_ctl wait web RUNNING --timeout 60
pid=$(app_field web .pid)
check "activated it has a process again, and what it wrote" [ "$(cat "/proc/$pid/root/www/kept")" = kept ]

# Every process of the node is killed.
victims=$(lab_node_pids)
for victim in $victims; do kill -KILL "$victim" 2>/dev/null || true; done
for victim in $victims; do lab_until 10 "the end of process $victim" lab_gone "$victim"; done
check "the container lives without the node" kill -0 "$pid"
lab_node_up --plugin-config "containerd=$LAB_ROOT.containerd.json"
check "a program can be run in it by the next node" lab_until 60 "a program in the container" again
lab_ctl wait web RUNNING --timeout 60
check "which finds it as the same process" [ "$(app_field web .pid)" = "$pid" ]

# The plugin's process is killed.
victim=$(for one in $(pgrep -f "plugin-host .*containerd.so"); do lab_node_pids | grep -x "$one" || true; done | head -n 1)
timeout 60 "$LAB_BIN/evectl" --root "$LAB_ROOT" app exec web -- sleep 1000 </dev/null 2>"$LAB_ROOT.lost" &
session=$!
sleeps() { local one; for one in $(pgrep -f "^sleep 1000"); do if grep -q "$cgroup" "/proc/$one/cgroup"; then return; fi; done; return 1; }
ends() { ! sleeps; }
lab_until 10 "a program in the container" sleeps
kill -KILL "$victim"
status=0; wait $session || status=$?
check "who ran a program in it is told that its end is not known" [ $status = 125 ]
check "the plugin's next process serves the container" lab_until 60 "a program in the container" again
check "the program of the earlier one is gone" lab_until 10 "no sleep" ends
check "the container kept its process" [ "$(app_field web .pid)" = "$pid" ]
check "and is RUNNING" lab_ctl wait web RUNNING --timeout 30

# containerd is killed.
kill -KILL "$(cat "$containerd/pid")"
check "the container lives without containerd" kill -0 "$pid"
says_silent() { { lab_ctl app exec web -- true </dev/null 2>&1 || true; } | grep -qE 'containerd.*(refused|answer)'; }
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

# It ends by itself.
touch "/proc/$pid/root/www/end"
check "its exit code is told" lab_until 30 "the exit code" shows web 'exit code 7'

# All of it goes; everything is as before.
bench_nothing_left
"$EVE_SOURCE/scripts/container-registry" stop "$registry"
after=$(census)
check "there is as much of everything as before" diff <(echo "$before") <(echo "$after")
