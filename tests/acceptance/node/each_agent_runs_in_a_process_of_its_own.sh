#!/usr/bin/env bash
# The other shape: every agent a process of its own, meeting the others over EVE's sockets. While an app runs, each agent in turn is killed and
# started again, then stopped and replaced by a newer build (another file); the guest does not notice, and what is asked for while
# an agent is away comes about once it is back.
# one shape only: agents
# shellcheck source=tests/acceptance/node/bench.sh
. "$(dirname "$0")/bench.sh"
bench_up
bench_linux_image
check "evectl knows this shape" [ "$(lab_ctl status --json | jq -c '[.running, .one_process, .agents_not_running]')" = '[true,false,[]]' ]

web='local_network(1; "10.11.0"; "eth0") | image(1; "linux.qcow2"; $linux_sha; $linux_size; "QCOW2")
    | vm(1; "web"; 1; 1; [allow_all, port_map(1; 8080; 80)]; "#cloud-config\nhostname: web-guest\n")'
bench_config "$web"
lab_ctl wait web RUNNING --timeout 180
await_console web "web-guest ready"
pid=$(app_field web .pid)
reached() { lab_outside curl -sf --max-time 10 -o /dev/null "http://$LAB_NODE:${1:-8080}/"; }
check "the port map leads to the guest" reached

for agent in $LAB_AGENTS; do
    victim=$(lab_agent_pid "$agent")
    kill -KILL "$victim"
    lab_until 10 "$agent is dead" lab_gone "$victim"
    lab_agent_start "$agent"
    lab_until 20 "$agent is there" lab_agent_runs "$agent"
done
lab_ctl wait web RUNNING --timeout 60
check "the guest has the same pid after every agent was killed" [ "$(app_field web .pid)" = "$pid" ]
check "the port map still leads to the guest" reached

# The newer build: the same program at another place.
mkdir -p "$LAB_ROOT.new/bin"
cp "$LAB_BIN/zedbox" "$LAB_ROOT.new/bin/"
places=(--plugins "$LAB_BIN/../plugins" --libexec "$LAB_BIN")
port=8080
for agent in $LAB_AGENTS; do
    victim=$(lab_agent_pid "$agent")
    kill -TERM "$victim"
    lab_until 20 "$agent has stopped" lab_gone "$victim"
    check "the guest lives without $agent" kill -0 "$pid"
    check "evectl says that $agent does not run" [ "$agent" = zedagent -o "$(lab_ctl status --json | jq -r '.agents_not_running[]')" = "$agent" ]
    port=$((port + 1))  # somebody changes the config meanwhile
    if [ "$agent" = zedagent ]; then
        lab_ctl status --quiet && { lab_fail "evectl takes a node without zedagent for running"; exit 1; }
    fi
    bench_config "${web/8080/$port}" >/dev/null
    LAB_BIN="$LAB_ROOT.new/bin" lab_agent_start "$agent" "${places[@]}"
    lab_until 20 "the newer $agent is there" lab_agent_runs "$agent"
    check "the newer $agent runs from its own file" [ "$(readlink "/proc/$(lab_agent_pid "$agent")/exe")" = "$LAB_ROOT.new/bin/zedbox" ]
    lab_until 30 "the port map that was asked for while $agent was away" reached $port
done
check "the guest has the same pid after every agent was replaced" [ "$(app_field web .pid)" = "$pid" ]

bench_nothing_left
