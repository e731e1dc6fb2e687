#!/usr/bin/env bash
# A thousand apps on one node, of the mock plugin: all run but those with a network beyond the 255th, for which EVE's numbers do not suffice; each
# of them is told so. When one with a network goes, one that waited gets its number.
# all: yes
# seconds: 600
# shellcheck source=tests/acceptance/node/bench.sh
. "$(dirname "$0")/bench.sh"
bench_up --plugin-order mock
# many COUNT NETWORKED: apps 1..COUNT, the first NETWORKED of them with an adapter. Containers: EVE counts no memory of a VMM for them.
many() {
    bench_config "local_network(1; \"10.11.0\"; \"eth0\") | .networkInstances[0].ip.subnet = \"10.11.0.0/20\"
        | .networkInstances[0].ip.dhcpRange = {start: \"10.11.0.2\", end: \"10.11.15.250\"}
        | reduce range($3; $1 + 1) as \$n (.; small_vm(\$n; \"app\\(\$n)\"; 1) | .volumes = [] | .apps[-1].volumeRefList = []
            | if \$n <= $2 then .apps[-1].interfaces = [{name: \"eth0\", networkId: network_uuid(1), acls: [allow_all]}] else . end)
        | .apps |= map(.fixedresources = {memory: 4096, maxmem: 4096, vcpus: 1, maxcpus: 1, virtualizationMode: \"NOHYPER\"})" >/dev/null
}
states="$LAB_ROOT/run/zedmanager/AppInstanceStatus"
running() { cat "$states"/*.json 2>/dev/null | jq -s '[.[] | select(.State == 115)] | length'; }
# run_exactly COUNT: looks seldom, since looking costs the node's processor time.
run_exactly() { [ "$(running)" = "$1" ] || { busybox sleep 3; false; }; }

many 1000 260 1
lab_until 400 "995 of 1,000 apps run" run_exactly 995
apps=$(lab_ctl apps --json)
waiting=$(jq -r '.[] | select(.state != "RUNNING") | .name' <<<"$apps")
check "five wait, all of them with a network" [ "$(grep -c . <<<"$waiting")" = 5 ]
check "none without a network waits" [ "$(sed 's/app//' <<<"$waiting" | sort -n | tail -n 1)" -le 260 ]
check "each is told why" [ "$(jq '[.[] | select(.state != "RUNNING") | select(.error.text | test("255"))] | length' <<<"$apps")" = 5 ]
echo "NOTE: $(jq -r '[.[] | select(.state != "RUNNING") | .error.text][0]' <<<"$apps")"

many 1000 260 6
lab_until 400 "when five with a network go the others come up" run_exactly 995
check "nobody waits any more" [ "$(lab_ctl apps --json | jq '[.[] | select(.state != "RUNNING")] | length')" = 0 ]

bench_config . >/dev/null
no_states() { [ -z "$(find "$states" -name '*.json')" ]; }
lab_until 400 "all apps gone" no_states
bench_nothing_left
