#!/usr/bin/env bash
# Two guests of one network reach each other by the apps' names; an address that a rule denies is not reached, one that it allows is.
# shellcheck source=tests/acceptance/node/bench.sh
. "$(dirname "$0")/bench.sh"
bench_up
bench_linux_image
lab_in "$LAB_OUT_NS" ip addr add 198.51.100.1/32 dev lo
lab_in "$LAB_OUT_NS" ip addr add 198.51.100.2/32 dev lo
for address in 198.51.100.1 198.51.100.2; do
    lab_outside setsid busybox httpd -f -p "$address:80" -h "$LAB_WWW" </dev/null >>"$LAB_LOG" 2>&1 &
done
echo reachable >"$LAB_WWW/note"

# The guest's busybox is static, so what it cannot do is look up names and services through the C library: nslookup and nc do without.
script='#!/bin/sh
address_of() { nslookup "$1" 2>/dev/null | sed -n "/^Name:/,\$s/^Address[^:]*: *//p" | grep -v : | head -n 1; }
get() { printf "GET $2 HTTP/1.0\r\n\r\n" | nc -w 5 "$1" 80 2>/dev/null; }
try() { if get "$2" /note | grep -q reachable; then echo "$1 reached"; else echo "$1 not reached"; fi; }
until get "$(address_of server)" / | grep -q server-guest; do usleep 200000; done
echo "peer by name reached"
try allowed 198.51.100.1
try denied 198.51.100.2
echo all tried'
bench_config 'local_network(1; "10.11.0"; "eth0") | image(1; "linux.qcow2"; $linux_sha; $linux_size; "QCOW2")
    | vm(1; "server"; 1; 1; [allow_all]; "#cloud-config\nhostname: server-guest\n")
    | vm(2; "client"; 1; 1; [deny(1; "198.51.100.2/32"), allow_all]; '"$(jq -Rs . <<<"$script")"')'
lab_ctl wait server RUNNING --timeout 120
lab_ctl wait client RUNNING --timeout 120
await_console client "all tried" 120
check "the peer was reached by the app's name" console_has client "peer by name reached"
check "the allowed address was reached" console_has client "allowed reached"
check "the denied address was not reached" console_has client "denied not reached"

bench_nothing_left
