#!/usr/bin/env bash
# A guest whose VMM is killed is BROKEN with the signal named, and is started again by itself; a restart command restarts it too.
# shellcheck source=tests/acceptance/node/bench.sh
. "$(dirname "$0")/bench.sh"
bench_up
bench_linux_image

bench_config 'local_network(1; "10.11.0"; "eth0") | image(1; "linux.qcow2"; $linux_sha; $linux_size; "QCOW2")
    | vm(1; "web"; 1; 1; [allow_all]; "#cloud-config\nhostname: web-guest\n")'
lab_ctl wait web RUNNING --timeout 120
first=$(app_field web .pid)
kill -KILL "$first"
lab_ctl wait web BROKEN --timeout 30
check "the error names the signal" grep -qiE 'signal 9|SIGKILL|killed' <<<"$(app_field web .error.text)"
check "the error says that it will be tried again" [ -n "$(app_field web .error.retry_condition)" ]
lab_ctl wait web RUNNING --timeout 120
second=$(app_field web .pid)
check "it is a new guest" [ "$second" != "$first" ]

# A guest that is asked to halt while it still boots misses it: it is asked again after 20 s, and cut after a minute.
await_console web "web-guest ready"
lab_ctl app restart web
lab_until 90 "a restart brings a third guest" bash -c "p=\$('$LAB_BIN/evectl' --root '$LAB_ROOT' apps --json | jq '.[0].pid'); [ \"\$p\" != 0 ] && [ \"\$p\" != $second ]"
lab_ctl wait web RUNNING --timeout 60
await_console web "web-guest ready"

bench_nothing_left
