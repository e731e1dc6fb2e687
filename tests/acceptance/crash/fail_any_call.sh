#!/usr/bin/env bash
# One call of one process fails (EIO, ENOSPC, EDQUOT, EINTR, EMFILE, ENOMEM, EAGAIN) or writes half of what it should: what was asked for comes
# about all the same (a failed download after timer.download.retry, 60 s here), and nothing is left.
#   EVE_CRASH_SECONDS, EVE_CRASH_SEED as for kill_before_any_call.sh
# shellcheck source=tests/acceptance/crash/bench.sh
. "$(dirname "$0")/bench.sh"
head -c 65536 /dev/urandom >"$LAB_WWW/small.raw"
crash_run small.raw --mode fail --limit-ms 100000 --seconds "${EVE_CRASH_SECONDS:-20}" --seed "${EVE_CRASH_SEED:-1}" "$@"
