#!/usr/bin/env bash
# Two container apps whose images share a layer, with their content in containerd's own store: each blob there once and nothing of it in the node's,
# asked of containerd itself; it lives through kill -9 of containerd and of the node, also when the operator changes his mind about where content
# goes; with each app goes what was its own, and containerd's garbage collection gives the space back.
# all: yes
# shellcheck source=tests/acceptance/node/bench.sh
. "$(dirname "$0")/bench.sh"
holds() { jq -e "$@" >/dev/null; }
kept() { ctr -a "$containerd/containerd.sock" --timeout 5s -n eve-content content ls -q | sort; }
kept_is() { [ "$(kept | wc -l)" = "$1" ]; }
on_disk_is() { [ "$(find "$containerd/root/io.containerd.content.v1.content" -type f -path '*blobs*' | wc -l)" = "$1" ]; }
own_is() { [ "$(find "$LAB_ROOT/persist/vault/store/blobs" -type f 2>/dev/null | wc -l)" = "$1" ]; }
blobs() { lab_ctl images --json | jq -r '.[].blobs[].digest' | sed 's/^sha256://; s/^/sha256:/' | sort -u; }

bench_containerd_up ctr
with_content=(--plugin-config "containerd=$LAB_ROOT.containerd.json" --content containerd)
bench_up "${with_content[@]}"
bench_registry start
for name in one two; do
    bench_registry push $name \
        "{\"Entrypoint\":[\"/bin/sh\",\"-c\"],\"Cmd\":[\"echo $name ready; exec sleep 100000\"]}" 3
done
images="registry(2; \"docker://$LAB_SERVER:5000\"; \$ca) | local_network(1; \"10.31.0\"; \"eth0\")"
one='container_image(1; "one:latest"; 2) | container(1; "one"; 1; 1; [allow_all]; "X=1")'
two='container_image(2; "two:latest"; 2) | container(2; "two"; 2; 1; [allow_all]; "X=2")'
apply() { ca=$(base64 -w0 "$registry/ca.pem") bench_config "(\$ENV.ca) as \$ca | $images${1:+ | $1}"; }

# containerd is away when the first app comes, not when the node looks for runtimes: an error that passes.
lab_until 60 "containerd's plugin is used" bash -c "'$LAB_BIN/evectl' --root '$LAB_ROOT' plugins --json | jq -e '.[] | select(.name == \"containerd\" and .state == \"used\")'" >/dev/null
kill -KILL "$(cat "$containerd/pid")"
apply "$one | $two"
check "a store that is away is told" lab_until 60 "an error that names it" bash -c "'$LAB_BIN/evectl' --root '$LAB_ROOT' images --json | grep -q 'containerd'"
"$EVE_SOURCE/scripts/containerd" start "$containerd"
lab_ctl wait one RUNNING --timeout 120
lab_ctl wait two RUNNING --timeout 60
check "both run" await_console one "one ready" 20
check "two as well" await_console two "two ready" 20
owners() { lab_ctl plugins --json | jq -r '[.[] | select(.name == "containerd" and .state == "used")] | sort_by(.agent) | "\(map(.agent) | join(" ")) \(map(.host_pid) | unique | length)"'; }
check "volumemgr's plugin host is shown beside domainmgr's" [ "$(owners)" = "domainmgr volumemgr 2" ]
check "containerd holds each blob once: two manifests, two configurations, one layer" kept_is 5
check "and no others" [ "$(kept)" = "$(blobs)" ]
check "each is a root of its garbage collection" test "$(ctr -a "$containerd/containerd.sock" -n eve-content content ls | grep -c containerd.io/gc.root)" = 5
check "the node's own store holds none" own_is 0
check "nor does the verifier" test -z "$(find "$LAB_ROOT/persist/vault/verifier" -type f)"
check "evectl shows images as ever" holds 'length == 2 and all(.[]; .state == "LOADED" and (.blobs | length) == 3 and all(.blobs[]; .bytes == .bytes_total))' \
    <<<"$(lab_ctl images --json)"
pid=$(app_field one .pid)

# containerd dies while it holds all this; the node, too, and comes back with the other choice.
kill -KILL "$(cat "$containerd/pid")"
victims=$(lab_node_pids)
for victim in $victims; do kill -KILL "$victim" 2>/dev/null || true; done
for victim in $victims; do lab_until 10 "the end of process $victim" lab_gone "$victim"; done
"$EVE_SOURCE/scripts/containerd" start "$containerd"
check "containerd has what it had" kept_is 5
collect() { ctr -a "$containerd/containerd.sock" -n eve-content leases create --id test >/dev/null && ctr -a "$containerd/containerd.sock" -n eve-content leases delete --sync test >/dev/null; }
check "its garbage is collected" collect
check "and it still has what it had" kept_is 5
loads() { grep -c volumemgr.content_loaded "$LAB_LOG"; }
before=$(loads)
lab_node_up --plugin-config "containerd=$LAB_ROOT.containerd.json"
lab_ctl wait one RUNNING --timeout 60
looked_after() { [ "$(loads)" -ge $((before + 2)) ]; }
lab_until 30 "volumemgr has found both again: until then the records are those of its earlier life" looked_after
check "the app keeps its process" test "$(app_field one .pid)" = "$pid"
check "the images are found where they are" lab_until 20 "two images" bash -c "[ \"\$('$LAB_BIN/evectl' --root '$LAB_ROOT' images --json | jq 'map(select(.state == \"LOADED\")) | length')\" = 2 ]"
check "nothing was fetched again" own_is 0

apply "$two"
check "with an app goes what was its own" lab_until 60 "three blobs" kept_is 3
check "and its space" lab_until 20 "three files" on_disk_is 3
check "what is shared stays for the other" holds 'length == 1 and (.[0].blobs | length) == 3' <<<"$(lab_ctl images --json)"
apply ""
check "with the last one goes all of it" lab_until 60 "no blob" kept_is 0
check "and all the space" lab_until 20 "no file" on_disk_is 0
bench_nothing_left
