#!/usr/bin/env bash
# Twenty virtual machines at once: all run, each with a process and a volume of its own; kill -9 of the node touches none; all go.
# all: yes
# seconds: 900
# shellcheck source=tests/acceptance/node/bench.sh
. "$(dirname "$0")/bench.sh"
bench_up
cp "$EVE_BIN/../guests/tiny-obey.img" "$LAB_WWW/tiny.raw"
count=${EVE_GUESTS:-20}
sha=$(sha256sum "$LAB_WWW/tiny.raw" | cut -d' ' -f1) size=$(stat -c %s "$LAB_WWW/tiny.raw")
program="local_network(1; \"10.11.0\"; \"eth0\") | image(1; \"tiny.raw\"; \"$sha\"; $size; \"RAW\")"
for n in $(seq 1 "$count"); do program+=" | vm($n; \"app$n\"; 1; 1; [allow_all]; \"\") | .apps[-1].fixedresources |= (.memory = 32768 | .maxmem = 32768)"; done
all_run() { [ "$(lab_ctl apps --json | jq '[.[] | select(.state == "RUNNING")] | length')" = "$count" ]; }
pids() { lab_ctl apps --json | jq -r '.[].pid' | sort -n; }

begun=$(date +%s)
bench_config "$program" >/dev/null
lab_until 400 "$count apps run" all_run
echo "NOTE: $count guests ran after $(($(date +%s) - begun)) s"
check "each has a process of its own" [ "$(pids | uniq | wc -l)" = "$count" ]
check "the node runs so many guests" [ "$(bench_guests | wc -l)" = "$count" ]
before=$(pids)

# shellcheck disable=SC2046
kill -KILL $(lab_node_pids)
lab_node_up
lab_until 120 "all are RUNNING in the new node's report" all_run
check "kill -9 of the node touched none" [ "$(pids)" = "$before" ]

bench_config . >/dev/null
lab_until 400 "all apps gone" bash -c "[ \"\$('$LAB_BIN/evectl' --root '$LAB_ROOT' apps --json)\" = '[]' ]"
bench_nothing_left
