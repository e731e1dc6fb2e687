# A whole node in the lab, for scenarios that are about one. It is sourced: . /lab/node.sh
# The scenario sets `plugin` (the runtime asked for first), may set `modules`, and calls outside_up and node_up.
. /lab/lib.sh

root=/node
ctl() { evectl --root $root "$@"; }
outside() { nsenter --net=/run/netns/outside -- "$@"; }
# app NAME .FIELD: what evectl says of it.
app() { ctl apps --json | jq -r --arg name "$1" ".[] | select(.name == \$name) | $2"; }
console_has() { ctl app logs "$1" | grep -q -- "$2"; }
node_up() {
    setsid zedbox node --root $root --plugin-order "$plugin" </dev/null >>/lab/out/node.log 2>&1 &
    until_true 60 "the node answers" ctl status --quiet
}
node_pids() { pgrep -f '^/opt/eve/bin/(zedbox|plugin-host|fetch) |^zedbox node'; }
no_apps() { [ "$(ctl apps --json)" = '[]' ]; }
# The last lines of a scenario.
node_end() {
    kill -TERM "$(cat $root/run/zedbox.pid)"
    lab_end
}
node_at_exit() {
    [ $lab_failures -eq 0 ] && return
    tail -n 60 /lab/out/node.log
    ctl plugins; ctl adapters; ctl apps; ctl volumes; ctl networks
    if [ "$plugin" = xen ]; then xl list; tail -n 20 /var/log/xen/xen-hotplug.log; fi
}
trap node_at_exit EXIT

# The outside: a cable to eth0, and a server of the images in /www at its end.
outside_up() {
    local module
    for module in nf_tables nft_chain_nat nf_conntrack bridge br_netfilter veth ${modules:-}; do modprobe "$module"; done
    ip netns add outside
    ip link add eth0 type veth peer name out0 netns outside
    ip addr add 192.0.2.2/24 dev eth0
    ip link set eth0 up
    ip route add default via 192.0.2.1
    ip -n outside link set lo up
    ip -n outside addr add 192.0.2.1/24 dev out0
    ip -n outside link set out0 up
    mkdir -p /www
    { printf 'DISK-OF-THE-APP-0123456789'; head -c 1048550 /dev/zero; } >/www/data.raw
    ln -sf "$(command -v dnsmasq)" /usr/sbin/dnsmasq  # where the node looks for it
    outside busybox httpd -p 192.0.2.1:8000 -h /www
}

# ---- Device configs, in terms of device_config.jq ----

# config PROGRAM: the node is told.
config() {
    jq -n -L /opt/eve/source/tests/acceptance/node "include \"device_config\"; base(\"http://192.0.2.1:8000\") | $1
        | .configItems += [{key: \"storage.apps.ignore.disk.check\", value: \"true\"}, {key: \"memory.apps.ignore.check\", value: \"true\"}]" >/tmp/config.json
    ctl apply /tmp/config.json >/dev/null
}
# image NUMBER FILE FORMAT: a file of /www
image() { printf 'image(%d; "%s"; "%s"; "%d"; "%s")' "$1" "$2" "$(sha256sum "/www/$2" | cut -d' ' -f1)" "$(stat -c %s "/www/$2")" "$3"; }
# io TYPE LABEL ADDRESSES: a device of the model that apps may have, in a group of its own
io() { printf '.deviceIoList += [{ptype: "%s", phylabel: "%s", logicallabel: "%s", assigngrp: "%s", phyaddrs: %s, usage: "PhyIoUsageDedicated"}]' "$1" "$2" "$2" "$2" "$3"; }
