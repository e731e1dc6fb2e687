#!/usr/bin/env bash
# One process of the node is stopped (SIGSTOP) at some call, and goes on after a while: no second start, no false "gone", and a node whose loop
# stood still was replaced by its supervisor.
#   EVE_CRASH_STOPPED_MS  how long (default 12000: longer than the supervisor waits); EVE_CRASH_SECONDS, EVE_CRASH_SEED as for the others
# shellcheck source=tests/acceptance/crash/bench.sh
. "$(dirname "$0")/bench.sh"
head -c 65536 /dev/urandom >"$LAB_WWW/small.raw"
crash_run small.raw --mode stop --limit-ms 120000 --stopped-ms "${EVE_CRASH_STOPPED_MS:-12000}" --seconds "${EVE_CRASH_SECONDS:-20}" \
    --seed "${EVE_CRASH_SEED:-1}" "$@"
