#!/usr/bin/env bash
# The cases of the contract on the containerd plugin, with a containerd of its own: conformance.sh runc|crun [cgroup2]. EVE_BIN, EVE_SOURCE from
# ctest. With cgroup2 it all runs where /sys/fs/cgroup is version 2 alone, in a mount namespace of its own where the machine's is not.
set -euo pipefail
runtime=${1:-runc}
# shellcheck source=tests/acceptance/containerd/bench.sh
. "${EVE_SOURCE:?}/tests/acceptance/containerd/bench.sh"
missing=$(bench_missing "$runtime")
[ -z "$missing" ] || { echo "SKIPPED on this machine: $missing"; exit 77; }
if [ "${2:-}" = cgroup2 ] && [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ]; then
    controllers=$(unshare --mount sh -c 'mount -t cgroup2 cgroup2 /sys/fs/cgroup && cat /sys/fs/cgroup/cgroup.controllers' || true)
    for controller in memory cpu cpuset pids; do
        [[ " $controllers " == *" $controller "* ]] ||
            { echo "SKIPPED on this machine: NOT SEEN with version 2 of control groups: its $controller controller is bound to version 1 here"; exit 77; }
    done
    exec unshare --mount sh -c 'mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"' sh "$0" "$@"
fi
dir=$(mktemp -d /var/tmp/evenode-ctr.XXXXXX)
trap '"$EVE_SOURCE/scripts/containerd" stop "$dir/containerd"; rm -rf "$dir"' EXIT
"$EVE_SOURCE/scripts/containerd" start "$dir/containerd" "$runtime"
bench_image "$dir/image" '{"Entrypoint":["/bin/sleep"],"Cmd":["300"]}'
# Threads of gRPC may still be ending when leaks are looked for; the search of Debian 12's compiler then reads storage of theirs that is gone, and
# dies of it (seen once in some 150 cases).
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:intercept_tls_get_addr=0
id=6ba7b810-9dad-11d1-80b4-00c04fd430c8
cat >"$dir/spec.json" <<END
{"id":"$id","revision":1,"name":"$id.1.1","labels":{"checked-by":"eve-plugin-check"},"mode":"container","memory_bytes":67108864,"vcpus":1,
 "disks":[{"id":"root#0","path":"$dir/image","format":"container"}]}
END
"${EVE_BIN:?}/eve-plugin-check" "$EVE_BIN/../plugins/containerd.so" --spec "$dir/spec.json" \
    --config "{\"socket\":\"$dir/containerd/containerd.sock\",\"runtime_binary\":\"$runtime\",\"cgroup_parent\":\"/evt$$\"}"
# What was written there was removed again, from the disk too.
left=$(ctr -a "$dir/containerd/containerd.sock" -n eve-content content ls -q; ctr -a "$dir/containerd/containerd.sock" -n eve-content content active | tail -n +2
    find "$dir/containerd/root/io.containerd.content.v1.content" -type f)
[ -z "$left" ] || { echo "left in containerd's content store:"; echo "$left"; exit 1; }
