#!/usr/bin/env bash
# The other shape: every agent a process of its own, meeting the others over EVE's sockets. An app runs, survives the kill of each agent in
# turn, and is deleted again.
# shellcheck source=tests/acceptance/node/bench.sh
. "$(dirname "$0")/bench.sh"
lab_network_up
mkdir -p "$LAB_WWW"
lab_server_up
bench_linux_image

agents="zedagent client vaultmgr nim domainmgr zedmanager zedrouter downloader verifier volumemgr"
start_agent() {
    lab_inside setsid "$LAB_BIN/zedbox" "$1" --foreground --root "$LAB_ROOT" </dev/null >>"$LAB_LOG" 2>&1 &
    lab_until 20 "$1 is there" bash -c "kill -0 \$(cat '$LAB_ROOT/run/$1.pid')"
}
for agent in $agents; do start_agent "$agent"; done

bench_config 'local_network(1; "10.11.0"; "eth0") | image(1; "linux.qcow2"; $linux_sha; $linux_size; "QCOW2")
    | vm(1; "web"; 1; 1; [allow_all, port_map(1; 8080; 80)]; "#cloud-config\nhostname: web-guest\n")'
lab_ctl wait web RUNNING --timeout 180
await_console web "web-guest ready"
pid=$(app_field web .pid)
check "the port map leads to the guest" lab_outside curl -sf --max-time 10 -o /dev/null "http://$LAB_NODE:8080/"

for agent in $agents; do
    victim=$(cat "$LAB_ROOT/run/$agent.pid")
    kill -KILL "$victim"
    lab_until 10 "$agent is dead" lab_gone "$victim"
    start_agent "$agent"
done
lab_ctl wait web RUNNING --timeout 60
check "the guest has the same pid after every agent was killed" [ "$(app_field web .pid)" = "$pid" ]
check "the port map still leads to the guest" lab_outside curl -sf --max-time 10 -o /dev/null "http://$LAB_NODE:8080/"

bench_config .
lab_until 120 "all apps gone" bash -c "[ \"\$('$LAB_BIN/evectl' --root '$LAB_ROOT' apps --json)\" = '[]' ]"
lab_until 60 "the guest is gone" lab_gone "$pid"
for agent in $agents; do kill -TERM "$(cat "$LAB_ROOT/run/$agent.pid")"; done
