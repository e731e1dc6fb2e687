#!/usr/bin/env bash
# Guests outlive the node: after kill -9 of all its processes the app has the same pid and is RUNNING in the new node's report.
# shellcheck source=tests/acceptance/node/bench.sh
. "$(dirname "$0")/bench.sh"
bench_up
bench_linux_image

bench_config 'local_network(1; "10.11.0"; "eth0") | image(1; "linux.qcow2"; $linux_sha; $linux_size; "QCOW2")
    | vm(1; "web"; 1; 1; [allow_all, port_map(1; 8080; 80)]; "#cloud-config\nhostname: survivor\n")'
lab_ctl wait web RUNNING --timeout 120
await_console web "survivor ready"
pid=$(app_field web .pid)

for round in 1 2 3; do
    victims=$(lab_node_pids)
    check "round $round: the node has processes to kill" [ -n "$victims" ]
    # shellcheck disable=SC2086
    kill -KILL $victims
    # shellcheck disable=SC2086
    lab_until 10 "round $round: they are dead" lab_gone $victims
    check "round $round: the guest lives without the node" kill -0 "$pid"
    check "round $round: the guest is reachable without the node" lab_outside curl -sf --max-time 10 -o /dev/null "http://$LAB_NODE:8080/"
    lab_node_up
    lab_ctl wait web RUNNING --timeout 60
    lab_until 60 "the same pid is reported" bash -c "[ \"\$('$LAB_BIN/evectl' --root '$LAB_ROOT' apps --json | jq '.[0].pid')\" = $pid ]"
    check "round $round: no second guest was started" [ "$(bench_guests | wc -l)" = 1 ]
    check "round $round: the port map still leads to the guest" lab_outside curl -sf --max-time 10 -o /dev/null "http://$LAB_NODE:8080/"
done

bench_nothing_left
