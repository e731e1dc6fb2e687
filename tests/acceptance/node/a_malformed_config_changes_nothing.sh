#!/usr/bin/env bash
# A device config that cannot be one is refused as a whole, with the field named, whether evectl or the file brings it; what runs, runs on.
# shellcheck source=tests/acceptance/node/bench.sh
. "$(dirname "$0")/bench.sh"
bench_up
bench_linux_image

bench_config 'local_network(1; "10.11.0"; "eth0") | image(1; "linux.qcow2"; $linux_sha; $linux_size; "QCOW2")
    | vm(1; "web"; 1; 1; [allow_all]; "#cloud-config\nhostname: web-guest\n")'
lab_ctl wait web RUNNING --timeout 120
pid=$(app_field web .pid)
good=$(cat "$LAB_ROOT/config/device-config")

jq '.apps[0].volumeRefList[0].uuid = "not-a-uuid"' "$LAB_ROOT.json" >"$LAB_ROOT.bad"
answer=$(lab_ctl apply "$LAB_ROOT.bad" 2>&1) && { lab_fail "evectl accepted a malformed config"; exit 1; }
check "evectl names the field" grep -q 'volumeRefList\[0\].uuid' <<<"$answer"
check "evectl left the node's file alone" [ "$(cat "$LAB_ROOT/config/device-config")" = "$good" ]

cp "$LAB_ROOT.bad" "$LAB_ROOT/config/device-config"  # behind evectl's back
lab_until 20 "the node says that it refused" bash -c "'$LAB_BIN/evectl' --root '$LAB_ROOT' status --json | jq -e '.config.accepted == false'"
check "the node names the field" grep -q 'volumeRefList\[0\].uuid' <<<"$(lab_ctl status --json | jq -r .config.field)"
check "the app runs on" [ "$(app_field web .state)" = RUNNING ]
check "with the same pid" [ "$(app_field web .pid)" = "$pid" ]

bench_nothing_left
