#!/usr/bin/env bash
# One process of the node, two one after the other, or all of them die before a call that changes the world: apps keep their processes and
# volumes, what was asked for comes about within seconds, and at the end nothing is left. Guests are sleeping processes of the mock plugin.
#   EVE_CRASH_SECONDS  how long (default 45); EVE_CRASH_SEED  where to begin (default 1)
# shellcheck source=tests/acceptance/crash/bench.sh
. "$(dirname "$0")/bench.sh"
head -c 65536 /dev/urandom >"$LAB_WWW/small.raw"
crash_run small.raw --mode mixed --limit-ms 40000 --seconds "${EVE_CRASH_SECONDS:-45}" --seed "${EVE_CRASH_SEED:-1}" "$@"
