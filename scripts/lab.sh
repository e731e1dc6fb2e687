# shellcheck shell=bash
# The bench that scripts/run and the acceptance tests share: a node in a network namespace of its own, and an outside that holds the
# image server and the client. Source it; every name is derived from LAB, so that several benches can stand side by side.
#
#   outside namespace "$LAB-out"                        node's namespace "$LAB-node"
#   image server 192.0.2.1:8000, client   out0 ======== eth0 192.0.2.2   zedbox node, bridges, dnsmasq, guests
#
# Set before sourcing: LAB (short name), LAB_ROOT (the node's root directory), LAB_BIN (folder of the executables).
# EVE_SHAPE=agents: every agent a process of its own, over sockets, instead of `zedbox node` (the default, EVE_SHAPE=node).

LAB_NODE_NS=$LAB-node
LAB_OUT_NS=$LAB-out
LAB_SERVER=192.0.2.1
LAB_NODE=192.0.2.2
LAB_WWW=$LAB_ROOT.www
LAB_LOG=$LAB_ROOT.log
LAB_SHAPE=${EVE_SHAPE:-node}
LAB_AGENTS="zedagent client vaultmgr nim domainmgr zedmanager zedrouter downloader verifier volumemgr"

lab_say() { printf '%s\n' "$*" >&2; }
lab_fail() { lab_say "FAILED: $*"; return 1; }

# What the bench needs and this machine may refuse; says which, and what to do.
lab_check() {
    [ "$(id -u)" -eq 0 ] || { lab_fail "must be root: namespaces, bridges and nftables are made"; return; }
    unshare --net true 2>/dev/null || { lab_fail "this machine refuses new network namespaces; in a container add --cap-add SYS_ADMIN --cap-add NET_ADMIN"; return; }
    unshare --net ip link add lab0 type bridge 2>/dev/null || { lab_fail "this kernel refuses bridges (CONFIG_BRIDGE)"; return; }
    unshare --net nft add table inet lab 2>/dev/null || { lab_fail "this kernel refuses nftables (CONFIG_NF_TABLES)"; return; }
    [ -c /dev/net/tun ] || { lab_fail "no /dev/net/tun; in a container add --device /dev/net/tun"; return; }
}

# Runs a command in a namespace without the private /sys that "ip netns exec" would mount (it hides the cgroups).
lab_in() { local ns=$1; shift; nsenter --net="/run/netns/$ns" -- "$@"; }
lab_outside() { lab_in "$LAB_OUT_NS" "$@"; }
lab_inside() { lab_in "$LAB_NODE_NS" "$@"; }
lab_ctl() { "$LAB_BIN/evectl" --root "$LAB_ROOT" "$@"; }

lab_network_up() {
    ip netns add "$LAB_NODE_NS"
    ip netns add "$LAB_OUT_NS"
    ip -n "$LAB_NODE_NS" link add eth0 type veth peer name out0 netns "$LAB_OUT_NS"
    ip -n "$LAB_NODE_NS" link set lo up
    ip -n "$LAB_OUT_NS" link set lo up
    ip -n "$LAB_NODE_NS" addr add "$LAB_NODE/24" dev eth0
    ip -n "$LAB_OUT_NS" addr add "$LAB_SERVER/24" dev out0
    ip -n "$LAB_NODE_NS" link set eth0 up
    ip -n "$LAB_OUT_NS" link set out0 up
    ip -n "$LAB_NODE_NS" route add default via "$LAB_SERVER"
}

# Serves LAB_WWW at http://192.0.2.1:8000/ of the outside.
lab_server_up() {
    mkdir -p "$LAB_WWW"
    lab_outside setsid busybox httpd -f -p "$LAB_SERVER:8000" -h "$LAB_WWW" </dev/null >>"$LAB_LOG" 2>&1 &
    lab_until 10 "the image server answers" lab_outside curl -s -o /dev/null "http://$LAB_SERVER:8000/"
}

# Starts the node; returns when evectl finds it up. More arguments go to zedbox.
lab_node_up() {
    mkdir -p "$LAB_ROOT"
    lab_until 20 "the node before is gone" lab_no_node  # what was killed may still be on its way out
    if [ "$LAB_SHAPE" = agents ]; then
        local agent
        for agent in $LAB_AGENTS; do lab_agent_start "$agent" "$@"; done
        for agent in $LAB_AGENTS; do lab_until 30 "$agent is there" lab_agent_runs "$agent"; done
    else
        lab_inside setsid "$LAB_BIN/zedbox" node --root "$LAB_ROOT" "$@" </dev/null >>"$LAB_LOG" 2>&1 &
    fi
    lab_until 20 "the node answers" lab_ctl status --quiet
}
# One agent in a process of its own.
lab_agent_start() {
    local agent=$1
    shift
    lab_inside setsid "$LAB_BIN/zedbox" "$agent" --foreground --root "$LAB_ROOT" "$@" </dev/null >>"$LAB_LOG" 2>&1 &
}
# The process that runs an agent, in either shape.
lab_agent_pid() { cat "$LAB_ROOT/run/$1.pid"; }
lab_agent_runs() { kill -0 "$(lab_agent_pid "$1")"; }

# The node's own processes (not guests, keepers and dnsmasq). One that ends has no program any more, but still its place in the namespace: it
# counts until it has gone.
lab_node_pids() {
    local pid
    for pid in $(ip netns pids "$LAB_NODE_NS"); do
        case "$(basename "$(readlink "/proc/$pid/exe" 2>/dev/null)")" in zedbox | plugin-host | fetch | unpack | '') echo "$pid" ;; esac
    done
}

# Asks the node to end and waits until it has.
lab_node_down() {
    local name pid pids=()
    for name in zedbox $LAB_AGENTS; do
        pid=$(cat "$LAB_ROOT/run/$name.pid" 2>/dev/null) || continue
        kill -TERM "$pid" 2>/dev/null && pids+=("$pid")
        [ "$name" = zedbox ] && [ ${#pids[@]} -gt 0 ] && break
    done
    [ ${#pids[@]} -gt 0 ] || return 0
    lab_until 20 "the node has stopped" lab_node_gone "${pids[@]}"
}
lab_node_gone() { lab_gone "$@" && lab_no_node; }
lab_no_node() { [ -z "$(lab_node_pids)" ]; }
lab_gone() { local pid; for pid in "$@"; do ! kill -0 "$pid" 2>/dev/null || return 1; done; }

# lab_until SECONDS WHAT COMMAND...: repeats the command until it succeeds; on time-out says what was waited for.
lab_until() {
    local limit=$1 what=$2 end
    shift 2
    end=$(($(date +%s) + limit))
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$end" ] || { lab_fail "waited $limit s for: $what"; return 1; }
        busybox usleep 100000
    done
}

# What a node may leave behind, one per line: processes, mounts, cgroups, links, rules, sockets. Empty when all is gone.
lab_leftovers() {
    local pid
    for pid in $(ip netns pids "$LAB_NODE_NS" 2>/dev/null); do echo "process $pid: $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | cut -c1-120)"; done
    grep -F " $LAB_ROOT/" /proc/self/mountinfo | sed 's/^/mount /'
    find /sys/fs/cgroup -type d -path '*evenode*' -path "*${LAB_ROOT##*/}*" 2>/dev/null | sed 's/^/cgroup /'
    ip -n "$LAB_NODE_NS" -o link 2>/dev/null | awk -F': ' '{print $2}' | sed 's/@.*//' | grep -vxE 'lo|eth0' | sed 's/^/link /'
    lab_inside nft list tables 2>/dev/null | sed 's/^/nft /'
    lab_inside ip rule 2>/dev/null | grep -vE '^(0|32766|32767):' | sed 's/^/rule /'
    find "$LAB_ROOT/run" -type s 2>/dev/null | sed 's/^/socket /'
}

# Kills whatever still runs in the bench and removes it.
lab_down() {
    lab_node_down || true
    local pid ns
    for ns in "$LAB_NODE_NS" "$LAB_OUT_NS"; do
        for pid in $(ip netns pids "$ns" 2>/dev/null); do kill -KILL "$pid" 2>/dev/null || true; done
        ip netns del "$ns" 2>/dev/null || true
    done
    rm -rf "$LAB_ROOT" "$LAB_WWW"
}
