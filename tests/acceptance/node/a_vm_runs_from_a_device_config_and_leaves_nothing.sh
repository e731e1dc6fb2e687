#!/usr/bin/env bash
# The main job: a device config with one app becomes a running guest with its disk, address, name, port map and console; deleting the
# app takes all of it away again.
# both shapes: always
# shellcheck source=tests/acceptance/node/bench.sh
. "$(dirname "$0")/bench.sh"
bench_up
bench_linux_image

bench_config 'local_network(1; "10.11.0"; "eth0") | image(1; "linux.qcow2"; $linux_sha; $linux_size; "QCOW2")
    | vm(1; "web"; 1; 1; [allow_all, port_map(1; 8080; 80)]; "#cloud-config\nhostname: web-guest\n")'
lab_ctl wait web RUNNING --timeout 120
check "the pid reported is a living QEMU" grep -q qemu "/proc/$(app_field web .pid)/comm"
await_console web "web-guest ready"
check "the address reported is in the network's range" grep -qE '^10\.11\.0\.' <<<"$(app_field web '.ips[0]')"
page=$(lab_outside curl -sf --max-time 10 "http://$LAB_NODE:8080/")
check "the port map leads to the guest that cloud-init named" grep -q web-guest <<<"$page"
check "no error is reported" [ "$(app_field web .error)" = null ]

bench_nothing_left
