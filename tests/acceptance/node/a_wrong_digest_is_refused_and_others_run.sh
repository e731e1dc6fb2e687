#!/usr/bin/env bash
# An image whose bytes are not the config's digest is never attached, the error says so, and another app is unaffected.
# shellcheck source=tests/acceptance/node/bench.sh
. "$(dirname "$0")/bench.sh"
bench_up
bench_linux_image
head -c 1048576 /dev/urandom >"$LAB_WWW/forged.raw"

bench_config 'local_network(1; "10.11.0"; "eth0") | image(1; "linux.qcow2"; $linux_sha; $linux_size; "QCOW2")
    | image(2; "forged.raw"; "00000000000000000000000000000000000000000000000000000000000000ff"; 1048576; "RAW")
    | vm(1; "good"; 1; 1; [allow_all]; "#cloud-config\nhostname: good-guest\n") | vm(2; "forged"; 2; 1; [allow_all]; "")
    | .configItems += [{key: "blob.download.max.retries", value: "1"}]'
lab_ctl wait good RUNNING --timeout 120
lab_until 120 "the forged app has an error" bash -c "'$LAB_BIN/evectl' --root '$LAB_ROOT' apps --json | jq -e '.[] | select(.name == \"forged\") | .error.text != null'"
check "the error names both digests" grep -q 00000000000000ff <<<"$(app_field forged .error.text)"
check "the forged app never ran" [ "$(app_field forged .pid)" = 0 ]
check "no volume was made of it" [ -z "$(find "$LAB_ROOT/persist" -path '*volumes*' -name '*30002*')" ]
check "the good app runs" [ "$(app_field good .state)" = RUNNING ]
check "the good app has no error" [ "$(app_field good .error)" = null ]

bench_nothing_left
