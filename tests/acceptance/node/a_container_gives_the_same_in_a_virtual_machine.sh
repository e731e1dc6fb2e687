#!/usr/bin/env bash
# One container app, first as NOHYPER, then with the same config but for its mode as HVM: the same output, the same page through the same port
# map, the same exit code in its errors; what it wrote before is there after; nothing is left.
# shellcheck source=tests/acceptance/node/bench.sh
. "$(dirname "$0")/bench.sh"
[ -x /usr/lib/qemu/virtiofsd ] || { echo "SKIPPED on this machine: /usr/lib/qemu/virtiofsd is not installed (scripts/packages run)"; exit 77; }

"$EVE_SOURCE/scripts/make-container-vm" "$LAB_ROOT.vm" --init "$EVE_BIN/container-vm-init" || { echo "SKIPPED on this machine: no kernel can be made"; exit 77; }
bench_containerd_up
jq -n --arg dir "$LAB_ROOT.vm" '{container_vm_dir: $dir}' >"$LAB_ROOT.kvm.json"
bench_up --plugin-config "containerd=$LAB_ROOT.containerd.json" --plugin-config "kvm=$LAB_ROOT.kvm.json"
bench_registry start
# It ends with code 7 when /cgi-bin/end is fetched; its volume counts its lives.
bench_registry push demo \
    '{"Entrypoint":["/bin/sh","-c"],"Cmd":["mkdir -p /www/cgi-bin; echo x >>/lives; printf \"#!/bin/sh\\necho\\ntouch /end\\n\" >/www/cgi-bin/end; chmod +x /www/cgi-bin/end; rm -f /end; echo \"hello from $NAME\" >/www/index.html; id; hostname; pwd; ulimit -n; env | sort; tail -1 /etc/resolv.conf; ls /proc/self/fd | wc -l; ip -o -4 addr show eth0 | cut -d\" \" -f7; echo \"$NAME ready\"; httpd -h /www; while ! [ -e /end ]; do sleep 0.2; done; exit 7"],"Env":["NAME=nobody"],"WorkingDir":"/www"}'

config="registry(2; \"docker://$LAB_SERVER:5000\"; \$ca) | container_image(1; \"demo:latest\"; 2)
    | local_network(1; \"10.31.0\"; \"eth0\") | container(1; \"web\"; 1; 1; [allow_all, port_map(1; 8090; 80)]; \"NAME=web\")"
ca=$(base64 -w0 "$registry/ca.pem")
export ca
live() {  # MODE: one life of the app; its console until it was ready is in $LAB_ROOT.MODE
    lab_ctl wait web RUNNING --timeout 120
    check "$1: it says that it is ready" await_console web "web ready" 90
    check "$1: it is reachable through its port map" lab_until 30 "an answer" bash -c \
        "nsenter --net=/run/netns/$LAB_OUT_NS curl -sf -m 2 http://$LAB_NODE:8090/ | grep -q 'hello from web'"
    lab_ctl app logs web | sed '/ready$/q' >"$LAB_ROOT.$1"
    lab_outside curl -s -m 5 "http://$LAB_NODE:8090/cgi-bin/end" || true
    check "$1: its exit code is told" lab_until 60 "the exit code in the app's errors" bash -c \
        "'$LAB_BIN/evectl' --root '$LAB_ROOT' app show web | grep -q 'ended with exit code 7'"
}
bench_config "(\$ENV.ca) as \$ca | $config | in_mode(\"NOHYPER\"; 0)"
live NOHYPER
bench_config "(\$ENV.ca) as \$ca | $config | in_mode(\"HVM\"; 1)"
check "it moves into a virtual machine" lab_until 60 "QEMU runs" bash -c "ip netns pids $LAB_NODE_NS | xargs -r -I{} cat /proc/{}/comm | grep -q qemu"
live HVM
cat "$LAB_ROOT.HVM"
check "the output is the same" diff "$LAB_ROOT.NOHYPER" "$LAB_ROOT.HVM"
bench_nothing_left
