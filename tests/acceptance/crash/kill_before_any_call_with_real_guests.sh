#!/usr/bin/env bash
# As kill_before_any_call.sh, with QEMU and guests of one sector under the KVM plugin.
# shellcheck source=tests/acceptance/crash/bench.sh
. "$(dirname "$0")/bench.sh"
cp "$EVE_BIN/../guests/tiny-obey.img" "$LAB_WWW/tiny.raw"
crash_run tiny.raw --real --mode mixed --limit-ms 60000 --seconds "${EVE_CRASH_SECONDS:-20}" --seed "${EVE_CRASH_SEED:-1}" "$@"
