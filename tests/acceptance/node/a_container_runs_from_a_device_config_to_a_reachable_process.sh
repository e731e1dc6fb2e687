#!/usr/bin/env bash
# A container app from a device config: its image from a registry over HTTPS, unpacked into a volume, run by containerd with an address from
# the node's network, reached through its port map; it lives through the death of the whole node; its exit code is told; nothing is left.
# shellcheck source=tests/acceptance/node/bench.sh
. "$(dirname "$0")/bench.sh"
for program in containerd runc docker-registry; do
    PATH=$PATH:/usr/sbin command -v $program >/dev/null || { echo "SKIPPED on this machine: $program is not installed (scripts/packages run test)"; exit 77; }
done

containerd=$LAB_ROOT.containerd
registry=$LAB_ROOT.registry
others_end() {
    "$EVE_SOURCE/scripts/containerd" stop "$containerd" || true
    "$EVE_SOURCE/scripts/container-registry" stop "$registry" || true
}
trap 'status=$?; others_end; bench_end $status' EXIT

"$EVE_SOURCE/scripts/containerd" start "$containerd"
jq -n --arg socket "$containerd/containerd.sock" --arg cgroup "/evenode-${LAB_ROOT##*/}" '{socket: $socket, cgroup_parent: $cgroup}' >"$LAB_ROOT.containerd.json"
bench_up --plugin-config "containerd=$LAB_ROOT.containerd.json"
lab_outside "$EVE_SOURCE/scripts/container-registry" start "$registry" "$LAB_SERVER" 5000
lab_outside "$EVE_SOURCE/scripts/container-registry" push "$registry" "$LAB_SERVER" 5000 demo \
    '{"Entrypoint":["/bin/sh","-c"],"Cmd":["echo \"hello from $NAME\" >/www/index.html; echo \"$NAME ready\"; httpd -h /www; while ! [ -e /www/end ]; do sleep 0.2; done; exit 7"],"Env":["NAME=nobody"]}'

config="registry(2; \"docker://$LAB_SERVER:5000\"; \$ca) | container_image(1; \"demo:latest\"; 2)
    | local_network(1; \"10.31.0\"; \"eth0\") | container(1; \"web\"; 1; 1; [allow_all, port_map(1; 8090; 80)]; \"NAME=web\")"
ca=$(base64 -w0 "$registry/ca.pem") bench_config "(\$ENV.ca) as \$ca | $config"
lab_ctl wait web RUNNING --timeout 90
check "its console is kept" await_console web "web ready" 20
check "it is reachable through its port map" lab_until 20 "an answer" bash -c \
    "nsenter --net=/run/netns/$LAB_OUT_NS curl -sf -m 2 http://$LAB_NODE:8090/ | grep -q 'hello from web'"
pid=$(app_field web .pid)

# Every process of the node dies; the container does not.
for victim in $(lab_node_pids); do kill -KILL "$victim" 2>/dev/null || true; done
check "the container lives without the node" kill -0 "$pid"
lab_node_up --plugin-config "containerd=$LAB_ROOT.containerd.json"
lab_ctl wait web RUNNING --timeout 60
check "it keeps its process" test "$(app_field web .pid)" = "$pid"
check "it is reachable again" lab_until 30 "an answer" bash -c \
    "nsenter --net=/run/netns/$LAB_OUT_NS curl -sf -m 2 http://$LAB_NODE:8090/ | grep -q 'hello from web'"

touch "/proc/$pid/root/www/end"
check "its exit code is told" lab_until 60 "the exit code in the app's errors" bash -c "'$LAB_BIN/evectl' --root '$LAB_ROOT' app show web | grep -q 'exit code 7'"
bench_nothing_left
