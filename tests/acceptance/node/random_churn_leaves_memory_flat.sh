#!/usr/bin/env bash
# Random changes in real time: apps of the mock plugin come, go, are activated, deactivated, restarted, get other rules and networks, and die.
# The node always comes to what it was told last; its memory and descriptors do not grow.
#   EVE_CHURN_SECONDS  how long (default 12; `scripts/test --all` 600); EVE_CHURN_SEED  where to begin (default 1)
# seconds: 1200
# shellcheck source=tests/acceptance/node/bench.sh
. "$(dirname "$0")/bench.sh"
echo '{"guest":["/bin/sleep","86400"],"calls_in_flight_max":4}' >"$LAB_ROOT.mock"
bench_up --plugin-order mock --plugin-config mock="$LAB_ROOT.mock"
head -c 65536 /dev/urandom >"$LAB_WWW/small.raw"
sha=$(sha256sum "$LAB_WWW/small.raw" | cut -d' ' -f1)
seconds=${EVE_CHURN_SECONDS:-12}
RANDOM=${EVE_CHURN_SEED:-1}
echo "NOTE: EVE_CHURN_SEED=${EVE_CHURN_SEED:-1} EVE_CHURN_SECONDS=$seconds"
apps_max=10

# random_config: some apps, some of them active, some with a network, each with its volume.
random_config() {
    local program="local_network(1; \"10.11.0\"; \"eth0\") | local_network(2; \"10.12.0\"; \"\") | image(1; \"small.raw\"; \"$sha\"; 65536; \"RAW\")" n
    wanted=()
    for n in $(seq 1 $apps_max); do
        [ $((RANDOM % 10)) -lt 7 ] || continue
        if [ $((RANDOM % 2)) = 0 ]; then program+=" | small_vm($n; \"app$n\"; 1)"
        else program+=" | vm($n; \"app$n\"; 1; $((1 + RANDOM % 2)); [allow_all, deny(1; \"198.51.100.$((RANDOM % 200))/32\")]; \"\") | .apps[-1].fixedresources |= (.memory = 32768 | .maxmem = 32768)"; fi
        if [ $((RANDOM % 10)) -lt 2 ]; then program+=" | .apps[-1].activate = false"; else wanted+=("app$n"); fi
    done
    bench_config "$program | .configItems[0].value = \"10\"" >/dev/null
}
as_wanted() {
    local apps
    apps=$(lab_ctl apps --json)
    [ "$(jq -r '.[] | select(.state == "RUNNING" and .pid != 0) | .name' <<<"$apps" | sort)" = "$(printf '%s\n' "${wanted[@]}" | grep . | sort)" ]
}
pss() { local pid sum=0; for pid in $(lab_node_pids); do sum=$((sum + $(awk '/^Pss_Anon:/ {print $2}' "/proc/$pid/smaps_rollup"))); done; echo $sum; }
descriptors() { local pid sum=0; for pid in $(lab_node_pids); do sum=$((sum + $(find "/proc/$pid/fd" -mindepth 1 | wc -l))); done; echo $sum; }
# The same small world each time, at rest: what is measured in it is comparable.
measure() {
    wanted=(app1)
    bench_config "local_network(1; \"10.11.0\"; \"eth0\") | image(1; \"small.raw\"; \"$sha\"; 65536; \"RAW\") | small_vm(1; \"app1\"; 1)" >/dev/null
    lab_until 120 "one app is left" bash -c "[ \"\$('$LAB_BIN/evectl' --root '$LAB_ROOT' apps --json | jq -c '[.[].name]')\" = '[\"app1\"]' ]"
    lab_until 60 "it runs" as_wanted
    busybox sleep 2
    memory=$(pss) open=$(descriptors)
}

rounds=0 warm=""
end=$(($(date +%s) + seconds))
third=$(($(date +%s) + seconds / 3))
while [ "$(date +%s)" -lt $end ]; do
    random_config
    # Often something else happens before the node is done.
    case $((RANDOM % 4)) in
        0) [ ${#wanted[@]} = 0 ] || lab_ctl app restart "${wanted[$((RANDOM % ${#wanted[@]}))]}" >/dev/null 2>&1 || true ;;
        1) victim=$(lab_ctl apps --json | jq -r '[.[] | select(.pid != 0) | .pid][0] // 0'); [ "$victim" = 0 ] || kill -KILL "$victim" 2>/dev/null || true ;;
        2) busybox usleep $((RANDOM * 20)); continue ;;
        *) ;;
    esac
    lab_until 200 "the node is as its config (round $rounds): ${wanted[*]}" as_wanted || { lab_ctl apps; exit 1; }
    rounds=$((rounds + 1))
    if [ -z "$warm" ] && [ "$(date +%s)" -ge $third ]; then measure; warm=$memory warm_open=$open; fi
done
[ -n "$warm" ] || { measure; warm=$memory warm_open=$open; }
measure
echo "NOTE: $rounds rounds; memory of the node's processes that nobody shares: $warm KiB after a third, $memory KiB at the end; descriptors $warm_open, $open"
check "descriptors do not grow" [ "$open" -le $((warm_open + 8)) ]
# A sanitizer keeps what was freed for a while.
if [ "$seconds" -lt 120 ]; then echo "NOTE: memory is judged in runs of two minutes and more"
elif grep -q libasan "/proc/$(lab_agent_pid zedmanager)/maps" 2>/dev/null; then echo "NOTE: memory is not judged under a sanitizer"
else check "memory does not grow" [ "$memory" -le $((warm + warm / 10 + 1024)) ]; fi
bench_nothing_left
