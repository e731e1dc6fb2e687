#!/usr/bin/env bash
# A container app from a device config: its image from a registry over HTTPS, unpacked into a volume, run by containerd with an address from
# the node's network, reached through its port map; the operator sees its image, follows its log and runs programs in it; it lives through the
# death of the whole node; its exit code is told; nothing is left.
# shellcheck source=tests/acceptance/node/bench.sh
. "$(dirname "$0")/bench.sh"

bench_containerd_up
bench_up --plugin-config "containerd=$LAB_ROOT.containerd.json"
bench_registry start
bench_registry push demo \
    '{"Entrypoint":["/bin/sh","-c"],"Cmd":["echo \"hello from $NAME\" >/www/index.html; echo \"$NAME ready\"; httpd -h /www; while ! [ -e /www/end ]; do sleep 0.2; done; exit 7"],"Env":["NAME=nobody"]}'

holds() { jq -e "$@" >/dev/null; }

config="registry(2; \"docker://$LAB_SERVER:5000\"; \$ca) | container_image(1; \"demo:latest\"; 2)
    | local_network(1; \"10.31.0\"; \"eth0\") | container(1; \"web\"; 1; 1; [allow_all, port_map(1; 8090; 80)]; \"NAME=web\")"
slow=yes
lab_outside tc qdisc add dev out0 root tbf rate 3mbit burst 16k latency 400ms || { slow=no; echo "SKIPPED: rates; this kernel cannot slow a link down (sch_tbf)"; }
ca=$(base64 -w0 "$registry/ca.pem") bench_config "(\$ENV.ca) as \$ca | $config"
# The operator sees each layer come, with its rate: on a terminal, and as lines of JSON.
script -qec "'$LAB_BIN/evectl' --root '$LAB_ROOT' wait web RUNNING --timeout 90" "$LAB_ROOT.bars" </dev/null >/dev/null &
bars=$!
lab_ctl wait web RUNNING --timeout 90 --json >"$LAB_ROOT.progress"
wait $bars
check "the last line says that it runs and all is here" holds -s '.[-1] | .state == "RUNNING" and all(.blobs[]; .bytes == .bytes_total)' "$LAB_ROOT.progress"
if [ $slow = yes ]; then
    check "a layer is seen on its way with a rate" holds -s 'any(.[].blobs[]; .bytes_per_second > 0 and .bytes < .bytes_total)' "$LAB_ROOT.progress"
    check "and as a bar" grep -qE 'layer \[#+\.+\] +[0-9]+% of .*/s' "$LAB_ROOT.bars"
    lab_outside tc qdisc del dev out0 root
fi
check "its console is kept" await_console web "web ready" 20
check "it is reachable through its port map" lab_until 20 "an answer" bash -c \
    "nsenter --net=/run/netns/$LAB_OUT_NS curl -sf -m 2 http://$LAB_NODE:8090/ | grep -q 'hello from web'"
pid=$(app_field web .pid)

# The operator sees of which image it is.
image=$(lab_ctl images --json | jq -c '.[0]')
check "the image is shown with its state, its user and every blob" holds '.state == "LOADED" and .used_by == ["web"] and (.digest | startswith("sha256:"))
    and (.blobs | length) == 3 and all(.blobs[]; .bytes == .bytes_total and .bytes > 0 and .error == null)' <<<"$image"
check "and as text" grep -qE "^demo.* sha256:[0-9a-f]{12} .*web" <<<"$(lab_ctl images)"

# evectl app exec: pipes, exit codes, a terminal; what cannot be run is said.
check "a program runs in the container" grep -qx "bin dev etc proc run sys tmp www" <<<"$(lab_ctl app exec web -- ls / </dev/null | tr '\n' ' ' | sed 's/ $//')"
check "it has the app's variables and name" grep -qx "web $(lab_ctl apps --json | jq -r '.[0].uuid')" <<<"$(lab_ctl app exec web -- sh -c 'echo $NAME $(hostname)' </dev/null)"
head -c 3000000 "$LAB_BIN/zedbox" >"$LAB_ROOT.sent"
timeout 30 "$LAB_BIN/evectl" --root "$LAB_ROOT" app exec web -- cat <"$LAB_ROOT.sent" >"$LAB_ROOT.back"
check "what it is sent comes back" cmp "$LAB_ROOT.sent" "$LAB_ROOT.back"
status=0; lab_ctl app exec web -- sh -c 'echo wrong >&2; exit 9' </dev/null >"$LAB_ROOT.out" 2>"$LAB_ROOT.err" || status=$?
check "its exit code is evectl's" [ "$status $(cat "$LAB_ROOT.out") $(cat "$LAB_ROOT.err")" = "9  wrong" ]
status=0; said=$(lab_ctl app exec web -- no-such-program </dev/null 2>&1) || status=$?
check "a program that is not there is no exit code of a program" [ $status = 125 ]
check "and is named" grep -q no-such-program <<<"$said"
mkfifo "$LAB_ROOT.keys"
script -qefc "'$LAB_BIN/evectl' --root '$LAB_ROOT' app exec web -- sh" /dev/null <"$LAB_ROOT.keys" >"$LAB_ROOT.screen" &
session=$!
exec {keys}>"$LAB_ROOT.keys"
screen_has() { tr -d '\r' <"$LAB_ROOT.screen" | grep -q -- "$1"; }
lab_until 10 "a prompt on the terminal" screen_has '[#$]'
printf 'test -t 0 && echo terminal-$((6 * 7))\n' >&"$keys"
check "a shell has a terminal" lab_until 10 "its answer on the screen" screen_has '^terminal-42'
printf 'exit 5\n' >&"$keys"
exec {keys}>&-
status=0; wait $session || status=$?
check "and its exit code is told" [ $status = 5 ]
"$LAB_BIN/evectl" --root "$LAB_ROOT" app exec web -- sleep 1000 </dev/null &
session=$!
sleeps() { lab_ctl app exec web -- ps </dev/null | grep -q "sleep 1000"; }
check "a long program runs" lab_until 10 "sleep in the container" sleeps
kill -KILL $session
ends() { ! sleeps; }
check "it ends with the evectl that asked for it" lab_until 10 "no sleep in the container" ends

# evectl app logs --follow sees what is written later.
"$LAB_BIN/evectl" --root "$LAB_ROOT" app logs web --follow >"$LAB_ROOT.followed" &
follower=$!
check "a follower sees what was there" lab_until 5 "the first line" grep -q "web ready" "$LAB_ROOT.followed"
lab_ctl app exec web -- sh -c 'echo later-$((6 * 7)) >/proc/1/fd/1' </dev/null
check "and what comes later" lab_until 5 "the later line" grep -qx later-42 "$LAB_ROOT.followed"
kill $follower

# Every process of the node dies; the container does not.
victims=$(lab_node_pids)
for victim in $victims; do kill -KILL "$victim" 2>/dev/null || true; done
for victim in $victims; do lab_until 10 "the end of process $victim" lab_gone "$victim"; done
check "the container lives without the node" kill -0 "$pid"
lab_node_up --plugin-config "containerd=$LAB_ROOT.containerd.json"
lab_ctl wait web RUNNING --timeout 60
check "it keeps its process" test "$(app_field web .pid)" = "$pid"
check "it is reachable again" lab_until 30 "an answer" bash -c \
    "nsenter --net=/run/netns/$LAB_OUT_NS curl -sf -m 2 http://$LAB_NODE:8090/ | grep -q 'hello from web'"

touch "/proc/$pid/root/www/end"
check "its exit code is told" lab_until 60 "the exit code in the app's errors" bash -c "'$LAB_BIN/evectl' --root '$LAB_ROOT' app show web | grep -q 'exit code 7'"
bench_nothing_left
