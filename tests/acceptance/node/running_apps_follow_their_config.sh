#!/usr/bin/env bash
# What changes under a running app: its rules, its network instance, the uplink come and go without a restart of the guest; deactivated it halts
# and keeps its volume, activated it starts anew from it.
# both shapes: always
# shellcheck source=tests/acceptance/node/bench.sh
. "$(dirname "$0")/bench.sh"
bench_up
bench_linux_image
lab_in "$LAB_OUT_NS" ip addr add 198.51.100.1/32 dev lo

reached() { lab_outside curl -sf --max-time 2 -o /dev/null "http://$LAB_NODE:$1/"; }
unreached() { ! reached "$1"; }
# world PROGRAM: the app "web" with its rules, network and activation as told.
world() {
    bench_config "local_network(1; \"10.11.0\"; \"${port:-eth0}\") | image(1; \"linux.qcow2\"; \$linux_sha; \$linux_size; \"QCOW2\")
        | vm(1; \"web\"; 1; 1; [$1]; \"#cloud-config\\nhostname: web-guest\\n\") | ${2:-.}" >/dev/null
}
same_guest() { kill -0 "$pid" && [ "$(app_field web .pid)" = "$pid" ] && [ "$(bench_guests | wc -l)" = 1 ]; }

world 'allow_all, port_map(1; 8080; 80)'
lab_ctl wait web RUNNING --timeout 180
lab_until 90 "the guest's page" reached 8080
await_console web "web-guest ready"
pid=$(app_field web .pid)
check "the new port is not there yet" unreached 8081

# Rules.
world 'allow_all, port_map(2; 8081; 80)'
lab_until 20 "the port map that was added" reached 8081
check "the one that was removed is gone" unreached 8080
check "rules changed under the same guest" same_guest

# The network instance: other name servers and names, then without a port, then with it again.
world 'allow_all, port_map(2; 8081; 80)' '.networkInstances[0].dns = [{HostName: "added.example", Address: ["198.51.100.1"]}]'
lab_until 20 "the network's new name" bash -c "grep -rqs 198.51.100.1 '$LAB_ROOT/run/zedrouter'"
check "it is still reached" reached 8081
bench_config "$(cat <<'JQ'
local_network(1; "10.11.0"; "") | image(1; "linux.qcow2"; $linux_sha; $linux_size; "QCOW2")
    | vm(1; "web"; 1; 1; [allow_all, port_map(2; 8081; 80)]; "#cloud-config\nhostname: web-guest\n")
JQ
)" >/dev/null
lab_until 20 "a network without a port ends at its bridge" unreached 8081
check "networks change under the same guest" same_guest
world 'allow_all, port_map(2; 8081; 80)'
lab_until 20 "the network with its port again" reached 8081
check "and back under the same guest" same_guest

# The uplink.
lab_inside ip link set eth0 down
lab_until 20 "the node notices that its uplink is down" bash -c "'$LAB_BIN/evectl' --root '$LAB_ROOT' ports --json | jq -e '.[] | select(.label == \"eth0\" or .name == \"eth0\" or .interface == \"eth0\") | .up == false'"
check "without an uplink the guest runs" same_guest
check "and the app says RUNNING" [ "$(app_field web .state)" = RUNNING ]
lab_inside ip link set eth0 up
lab_inside ip route replace default via "$LAB_SERVER"
lab_until 30 "the guest is reached when the uplink is back" reached 8081
check "all under the same guest" same_guest

# Activation.
volume=$(find "$LAB_ROOT/persist" -path '*volumes/*' -type f | head -n 1)
inode=$(stat -c %i "$volume")
world 'allow_all, port_map(2; 8081; 80)' '.apps[0].activate = false'
lab_ctl wait web HALTED --timeout 90
check "deactivated it has no process" lab_gone "$pid"
check "nor has the node a guest" [ -z "$(bench_guests)" ]
check "its volume is kept" [ "$(stat -c %i "$volume")" = "$inode" ]
world 'allow_all, port_map(2; 8081; 80)'
lab_ctl wait web RUNNING --timeout 120
check "activated it has a process" kill -0 "$(app_field web .pid)"
check "and the volume it had" [ "$(stat -c %i "$volume")" = "$inode" ]
lab_until 90 "it is reached again" reached 8081

bench_nothing_left
