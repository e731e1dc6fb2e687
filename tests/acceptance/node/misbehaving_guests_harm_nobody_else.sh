#!/usr/bin/env bash
# Guests that are deaf to the power button, fill their console, reset themselves, panic again and again, and VMMs that hang or are killed: each is
# reported as what it is, can be stopped, and the guest beside them does not notice.
# all: yes
# seconds: 700
# shellcheck source=tests/acceptance/node/bench.sh
. "$(dirname "$0")/bench.sh"
bench_up
bench_linux_image
images="local_network(1; \"10.11.0\"; \"eth0\") | image(9; \"linux.qcow2\"; \$linux_sha; \$linux_size; \"QCOW2\")"
n=0
for variant in obey stay flood reset; do
    n=$((n + 1))
    cp "$EVE_BIN/../guests/tiny-$variant.img" "$LAB_WWW/$variant.raw"
    images+=" | image($n; \"$variant.raw\"; \"$(sha256sum "$LAB_WWW/$variant.raw" | cut -d' ' -f1)\"; $(stat -c %s "$LAB_WWW/$variant.raw"); \"RAW\")"
done
panic='#!/bin/sh
sleep 3
echo 1 >/proc/sys/kernel/sysrq
echo c >/proc/sysrq-trigger'
all="$images | small_vm(1; \"good\"; 1) | small_vm(2; \"deaf\"; 2) | small_vm(3; \"loud\"; 3) | small_vm(4; \"resets\"; 4)
    | vm(5; \"panics\"; 9; 1; [allow_all]; $(jq -Rs . <<<"$panic"))"
# without APP...: the same config with these apps deactivated.
without() { local name program=$all; for name in "$@"; do program+=" | (.apps[] | select(.displayname == \"$name\")).activate = false"; done; bench_config "$program" >/dev/null; }
runs() { [ "$(app_field "$1" .state)" = RUNNING ]; }

bench_config "$all" >/dev/null
for app in good deaf loud resets panics; do lab_until 180 "$app runs" runs $app; done
good=$(app_field good .pid) resets=$(app_field resets .pid) panics=$(app_field panics .pid) deaf=$(app_field deaf .pid)

# Resets and panics are the guest's business: the same process, RUNNING.
panicked_twice() { [ "$(lab_ctl app logs panics | grep -c 'Kernel panic')" -ge 2 ]; }
lab_until 180 "the guest panics a second time" panicked_twice
check "one that panics and reboots is the same process" [ "$(app_field panics .pid)" = "$panics" ]
check "and RUNNING" runs panics
check "one that reset itself too" [ "$(app_field resets .pid)" = "$resets" ]
lab_ctl app restart panics >/dev/null
lab_until 90 "a restart brings it a new process" bash -c "p=\$('$LAB_BIN/evectl' --root '$LAB_ROOT' apps --json | jq '.[] | select(.name == \"panics\") | .pid'); [ \"\$p\" != 0 ] && [ \"\$p\" != $panics ]"

# A console that is written to without end.
said() { awk '/^wchar/ {print $2}' "/proc/$(app_field loud .pid)/io"; }
before=$(said) begun=$(date +%s)
busybox sleep 10
echo "NOTE: the loud guest wrote $((($(said) - before) / ($(date +%s) - begun) / 1024)) KiB a second"
console_bytes() { find "$LAB_ROOT/run/plugins/kvm" "$LAB_ROOT/persist" -path "*020003*" -name '*console*' -type f -printf '%s\n' | awk '{sum += $1} END {print sum + 0}'; }
check "its console takes no more than a few MiB" [ "$(console_bytes)" -le 10485760 ]

# A VMM that hangs: neither gone nor started twice; when it goes on all is as before; it can be stopped while it hangs.
kill -STOP "$deaf"
silent() { app_field deaf '.error.text // ""' | grep -q 'does not answer'; }
lab_until 90 "a VMM that hangs is told" silent
echo "NOTE: while it hangs: $(app_field deaf '.state + ", " + .error.text + " / " + .error.retry_condition')"
check "with what to do" [ "$(app_field deaf '.error.retry_condition | test("restart the app")')" = true ]
busybox sleep 20
check "it is not taken for gone" [ "$(bench_guests | wc -l)" = 5 ]
check "nor for BROKEN" runs deaf
check "the guest beside it has no error" [ "$(app_field good .error)" = null ]
kill -CONT "$deaf"
lab_until 60 "RUNNING without an error when it goes on" bash -c "'$LAB_BIN/evectl' --root '$LAB_ROOT' apps --json | jq -e '.[] | select(.name == \"deaf\") | .state == \"RUNNING\" and .error == null'"
check "in the same process" [ "$(app_field deaf .pid)" = "$deaf" ]
kill -STOP "$deaf"
without deaf
lab_until 150 "one that hangs is stopped when it is deactivated" lab_gone "$deaf"
lab_ctl wait deaf HALTED --timeout 60

# A VMM that is killed: said, and started again.
kill -KILL "$resets"
killed() { app_field resets '.error.text // ""' | grep -q 'SIGKILL'; }
lab_until 30 "a killed VMM is told with its signal" killed
lab_until 90 "and started again" bash -c "p=\$('$LAB_BIN/evectl' --root '$LAB_ROOT' apps --json | jq '.[] | select(.name == \"resets\") | .pid'); [ \"\$p\" != 0 ] && [ \"\$p\" != $resets ]"
lab_until 60 "RUNNING without an error" bash -c "'$LAB_BIN/evectl' --root '$LAB_ROOT' apps --json | jq -e '.[] | select(.name == \"resets\") | .state == \"RUNNING\" and .error == null'"

# Deaf to the power button: asked, then cut.
bench_config "$all" >/dev/null
lab_until 120 "the deaf guest runs again" runs deaf
deaf=$(app_field deaf .pid)
without deaf
begun=$(date +%s)
lab_until 150 "a guest that ignores its power button has its power cut" lab_gone "$deaf"
echo "NOTE: after $(($(date +%s) - begun)) s"

check "the guest beside them did not notice" [ "$(app_field good .pid)" = "$good" ]
check "and has no error" [ "$(app_field good .error)" = null ]
without good
lab_until 30 "the good guest halts when asked" lab_gone "$good"
bench_config . >/dev/null
lab_until 200 "all apps gone" bash -c "[ \"\$('$LAB_BIN/evectl' --root '$LAB_ROOT' apps --json)\" = '[]' ]"
bench_nothing_left
