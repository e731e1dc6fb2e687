#!/usr/bin/env bash
# Least privilege, read from /proc of every process of a running node: users, capabilities, NoNewPrivs, seccomp, open descriptors; and nothing
# secret in arguments, environments, logs or files that others may read.
# shellcheck source=tests/acceptance/node/bench.sh
. "$(dirname "$0")/bench.sh"
bench_up
cp "$EVE_BIN/../guests/tiny-obey.img" "$LAB_WWW/tiny.raw"
# A server that accepts and says nothing keeps a fetch process alive.
lab_outside setsid busybox nc -ll -p 8001 -s "$LAB_SERVER" -e sleep 300 </dev/null >/dev/null 2>&1 &

jq -n -L "$EVE_SOURCE/tests/acceptance/node" --arg url "http://$LAB_SERVER:8000" --arg slow "http://$LAB_SERVER:8001" \
    --arg sha "$(sha256sum "$LAB_WWW/tiny.raw" | cut -d' ' -f1)" --arg size "$(stat -c %s "$LAB_WWW/tiny.raw")" '
    include "device_config"; base($url) | local_network(1; "10.11.0"; "eth0") | image(1; "tiny.raw"; $sha; $size; "RAW")
    | vm(1; "web"; 1; 1; [allow_all]; "#cloud-config\npassword: S3CRET-of-the-guest\n")
    | image(2; "slow.raw"; "00000000000000000000000000000000000000000000000000000000000000aa"; 1048576; "RAW") | small_vm(2; "slow"; 2)
    | .contentInfo[1].dsId = uuid("5000"; 2)
    | .datastores += [{id: uuid("5000"; 2), dType: "DsHttp", fqdn: $slow, apiKey: "S3CRET-user", password: "S3CRET-password"}]' >"$LAB_ROOT.json"
lab_ctl apply "$LAB_ROOT.json"
lab_ctl wait web RUNNING --timeout 120

# All processes of the node by the name of their executable: every one in its namespace.
pids_of() { for pid in $(ip netns pids "$LAB_NODE_NS"); do [ "$(basename "$(readlink "/proc/$pid/exe" 2>/dev/null)")" = "$1" ] && echo "$pid"; done; true; }
fetch_runs() { [ -n "$(pids_of fetch)" ]; }
lab_until 60 "the fetch process of the slow server" fetch_runs

field() { awk -v name="$2:" '$1 == name { print $2 }' "/proc/$1/status"; }
# has_at_most PID MASK: in every capability set that could give it something.
has_at_most() {
    local set
    for set in CapInh CapPrm CapEff CapAmb; do [ $((0x$(field "$1" "$set") & ~$2)) = 0 ] || { echo "$set of $1 is $(field "$1" "$set")"; return 1; }; done
}
bounded_by() { [ $((0x$(field "$1" CapBnd) & ~$2)) = 0 ] || { echo "CapBnd of $1 is $(field "$1" CapBnd)"; return 1; }; }
descriptors() { for fd in "/proc/$1/fd/"*; do echo "${fd##*/} $(readlink "$fd")"; done; }
# only_opens PID REGEX: every descriptor leads to what the expression allows.
only_opens() { ! descriptors "$1" | grep -vE "$2"; }

# Capabilities by number: see core/plugin/rights.hpp.
bits() { local mask=0 bit; for bit in "$@"; do mask=$((mask | 1 << bit)); done; echo $mask; }
node_rights=$(bits 0 1 2 3 4 5 6 7 8 10 12 13 14 17 18 19 21 23 24 27)
# plugin_rights FILE.so: what the host of that plugin may have.
plugin_rights() {
    case "$1" in
        */kvm.so | */mock.so) bits 0 1 2 3 4 5 12 14 23 24 ;;
        */containerd.so) bits 0 1 2 3 4 5 10 12 13 19 21 24 ;;
        */pci.so) bits 0 1 2 3 12 14 17 21 24 ;;
        */xen.so) bits 0 1 2 3 4 5 6 7 8 12 14 17 18 21 23 24 ;;
        *) echo "$node_rights" ;;
    esac
}
dnsmasq_rights=$(bits 10 12 13)
standard='^[012] '

for pid in $(ip netns pids "$LAB_NODE_NS"); do
    name=$(basename "$(readlink "/proc/$pid/exe")")
    check "$name: no program can give it new privileges" [ "$(field "$pid" NoNewPrivs)" = 1 ]
    check "$name: no more than the node's capabilities, for all that it starts" bounded_by "$pid" "$node_rights"
    check "$name: at most the node's capabilities" has_at_most "$pid" "$node_rights"
    case "$name" in
        zedbox) ;;
        plugin-host)
            plugin=$(tr '\0' '\n' <"/proc/$pid/cmdline" | tail -n 1)
            check "plugin-host of ${plugin##*/}: its capabilities" has_at_most "$pid" "$(plugin_rights "$plugin")"
            check "plugin-host of ${plugin##*/}: nor can it get more" bounded_by "$pid" "$(plugin_rights "$plugin")"
            check "plugin-host of ${plugin##*/}: its calls are filtered" [ "$(field "$pid" Seccomp)" = 2 ]
            check "plugin-host: none of the node's descriptors" only_opens "$pid" "$standard|socket:|anon_inode:|pipe:|$LAB_ROOT/(run|persist)/plugins|/dev/null|/sys\$|/dev/kvm" ;;
        keeper)
            check "keeper: the one capability that removing cgroups takes" has_at_most "$pid" "$(bits 1)"
            check "keeper: nor can it get more" bounded_by "$pid" "$(bits 1)"
            check "keeper: its calls are filtered" [ "$(field "$pid" Seccomp)" = 2 ]
            check "keeper: null, its guest, the run directory and a watch on it are all it holds" only_opens "$pid" " (/dev/null|anon_inode:\[pidfd\]|anon_inode:inotify|$LAB_ROOT/run/plugins/kvm/domains/[^/]+)\$"
            check "keeper: has no environment" [ ! -s "/proc/$pid/environ" ] ;;
        fetch)
            check "fetch: a user of its own" [ "$(field "$pid" Uid)" = 64901 ]
            check "fetch: no capabilities" has_at_most "$pid" 0
            check "fetch: its calls are filtered" [ "$(field "$pid" Seccomp)" = 2 ]
            check "fetch: its request, its file and its connections are all it holds" only_opens "$pid" "$standard|socket:|anon_inode:|pipe:|/memfd:|$LAB_ROOT/persist/vault/downloader/pending/|/dev/urandom" ;;
        dnsmasq)
            check "dnsmasq: not root" [ "$(field "$pid" Uid)" != 0 ]
            check "dnsmasq: its capabilities" has_at_most "$pid" "$dnsmasq_rights"
            check "dnsmasq: none of the node's descriptors" only_opens "$pid" "/dev/null|socket:|anon_inode:|pipe:|inotify|$LAB_ROOT/run/zedrouter/|$LAB_LOG" ;;
        qemu-system-*)
            check "qemu: not root, nor the user of a helper" [ "$(field "$pid" Uid)" -gt 0 -a "$(field "$pid" Uid)" != 64901 ]
            check "qemu: no capabilities" has_at_most "$pid" 0
            check "qemu: its calls are filtered" [ "$(field "$pid" Seccomp)" = 2 ]
            check "qemu: none of the node's descriptors" only_opens "$pid" "/dev/null|socket:|anon_inode:|pipe:|/memfd:|/dev/net/tun|/dev/kvm|/dev/urandom|$LAB_ROOT/run/plugins/kvm/|$LAB_ROOT/persist/.*volumes/|$LAB_ROOT/run/domainmgr/cloudinit/" ;;
        *) check "$name (pid $pid) is expected in a node" false ;;
    esac
    check "$name: no secret in its arguments" bash -c "! tr '\0' ' ' </proc/$pid/cmdline | grep -q S3CRET"
    check "$name: no secret in its environment" bash -c "! grep -qa S3CRET /proc/$pid/environ"
done
for name in zedbox plugin-host keeper fetch dnsmasq; do check "there was a $name to look at" [ -n "$(pids_of $name)" ]; done

check "no secret in the output of the node" bash -c "! grep -q S3CRET '$LAB_LOG'"
check "no secret in its logs" bash -c "! grep -rq S3CRET '$LAB_ROOT/persist/log' '$LAB_ROOT/run/log' 2>/dev/null"
# Readable by others: the file itself and every directory on the way to it.
open_to_others() { (cd "$LAB_ROOT" && setpriv --reuid 65534 --regid 65534 --clear-groups grep -rl S3CRET . 2>/dev/null); }
chmod o+rx "$LAB_ROOT"  # only what the node made is judged
check "no file with a secret is open to others" [ -z "$(open_to_others)" ]

bench_nothing_left
