#!/usr/bin/env bash
# evectl app console on a terminal: what is typed reaches the guest, what the guest prints comes back, Ctrl-] leaves, the guest runs on, and
# the next person can have the console. Who comes while it is taken is told so.
# shellcheck source=tests/acceptance/node/bench.sh
. "$(dirname "$0")/bench.sh"
bench_up
bench_linux_image

bench_config 'local_network(1; "10.11.0"; "eth0") | image(1; "linux.qcow2"; $linux_sha; $linux_size; "QCOW2")
    | vm(1; "web"; 1; 1; [allow_all]; "#cloud-config\nhostname: web-guest\n")'
lab_ctl wait web RUNNING --timeout 120
await_console web "web-guest ready"
guest=$(app_field web .pid)

# A terminal whose keyboard is the pipe $keys and whose screen is the file $1.
open_console() {
    screen=$1
    mkfifo "$screen.keys"
    script -qefc "'$LAB_BIN/evectl' --root '$LAB_ROOT' app console web" /dev/null <"$screen.keys" >"$screen" &
    session=$!
    exec {keys}>"$screen.keys"
}
press() { printf "$1" >&"$keys"; }
screen_has() { tr -d '\r' <"$screen" | grep -q -- "$1"; }
session_over() { ! kill -0 "$session" 2>/dev/null; }
leave() {
    press '\x1d'
    lab_until 10 "the session to end" session_over
    exec {keys}>&-
    wait "$session"
}

open_console "$LAB_ROOT.first"
lab_until 10 "the session to begin" screen_has "Ctrl-] leaves"
press '\n'
lab_until 20 "the guest's prompt" screen_has '#'
press 'echo answer-$((6 * 7))\n'
lab_until 20 "the guest's answer on the screen" screen_has '^answer-42'
check "the answer is in the console's log too" console_has web '^answer-42'

status=0
second=$(timeout 15 "$LAB_BIN/evectl" --root "$LAB_ROOT" app console web 2>&1 </dev/null) || status=$?
check "a second person is refused" [ $status -ne 0 ]
check "and told why" grep -q "one person at a time" <<<"$second"

check "Ctrl-] leaves without an error" leave
check "the guest runs on, the same process" [ "$(app_field web .pid)" = "$guest" ]

open_console "$LAB_ROOT.second"
lab_until 10 "the session to begin" screen_has "Ctrl-] leaves"
press 'echo again-$((6 * 7))\n'
lab_until 20 "the guest's answer in the second session" screen_has '^again-42'
check "Ctrl-] leaves the second session" leave

bench_nothing_left
