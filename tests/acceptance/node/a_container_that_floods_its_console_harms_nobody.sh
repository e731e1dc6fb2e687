#!/usr/bin/env bash
# A container that writes to its console as fast as it can, some ten MB a second and more: its log stays small, also while no node runs and without
# containerd; what it says last can be read; a container beside it runs on, and the node idles.
# one shape only: node
# shellcheck source=tests/acceptance/node/bench.sh
. "$(dirname "$0")/bench.sh"
bench_containerd_up
bench_up --plugin-config "containerd=$LAB_ROOT.containerd.json"
bench_registry start
bench_registry push loud '{"Entrypoint":["/bin/sh","-c"],"Cmd":["trap \"exit 0\" TERM; x=$(head -c 10000 /dev/zero | tr \"\\0\" x); n=0; while :; do n=$((n + 1)); echo flood $n $x; done"]}'
bench_registry push calm '{"Entrypoint":["/bin/sh","-c"],"Cmd":["trap \"exit 0\" TERM; echo calm; while :; do sleep 0.5; done"]}'
ca=$(base64 -w0 "$registry/ca.pem") bench_config "(\$ENV.ca) as \$ca | registry(2; \"docker://$LAB_SERVER:5000\"; \$ca) | local_network(1; \"10.31.0\"; \"eth0\")
    | container_image(1; \"loud:latest\"; 2) | container(1; \"loud\"; 1; 1; [allow_all]; \"X=1\")
    | container_image(2; \"calm:latest\"; 2) | container(2; \"calm\"; 2; 1; [allow_all]; \"X=2\")"
lab_ctl wait loud RUNNING --timeout 120
lab_ctl wait calm RUNNING --timeout 60
pid=$(app_field loud .pid) calm=$(app_field calm .pid)

log=$(lab_ctl app show loud --json | jq -r .console.log)
keeper=$(pgrep -f "console-log .*$(basename "$(dirname "$log")")")
taken() { awk '/^wchar/ {print $2}' "/proc/$pid/io"; }
small() { [ "$(stat -c %s "$log")" -le 1200000 ] && [ "$(stat -c %s "$log.1")" -le 1200000 ]; }
# over SECONDS WHAT: it writes, at 10 MB a second at least, and the log is small whenever one looks.
over() {
    local begun before rate
    before=$(taken) begun=$(date +%s%N)
    for _ in $(seq "$1"); do
        busybox sleep 1  # a part of the time over which it is measured
        small || return 1
    done
    rate=$((($(taken) - before) / (($(date +%s%N) - begun) / 1000000) / 1000))
    echo "NOTE: $2 the loud container wrote $rate MB a second"
    [ "$rate" -ge 10 ]
}
lab_until 20 "a second log" test -e "$log.1"
check "the log stays small" over 5 "with the node"
said() { lab_ctl app logs loud | grep -c flood; }
check "what it said last can be read" test "$(said)" -ge 1
ticks() { local one sum=0; for one in $(lab_node_pids); do sum=$((sum + $(awk '{print $14 + $15}' "/proc/$one/stat"))); done; echo "$sum"; }
before=$(ticks)
busybox sleep 5  # the time that is measured
check "the node has nothing to do with it" test $(($(ticks) - before)) -le 100  # of 500
victims=$(lab_node_pids)
for victim in $victims; do kill -KILL "$victim" 2>/dev/null || true; done
for victim in $victims; do lab_until 10 "the end of process $victim" lab_gone "$victim"; done
check "nor has the log" over 5 "without the node"
kill -KILL "$(cat "$containerd/pid")"
check "nor with containerd" over 3 "without containerd"
"$EVE_SOURCE/scripts/containerd" start "$containerd"
lab_node_up --plugin-config "containerd=$LAB_ROOT.containerd.json"
lab_ctl wait loud RUNNING --timeout 60
check "it is the same process" test "$(app_field loud .pid)" = "$pid"
check "so is the calm one" test "$(app_field calm .pid)" = "$calm"
lab_ctl app logs calm | grep -q calm
bench_nothing_left
check "nor is a keeper of a log" lab_until 10 "its end" lab_gone "$keeper"
