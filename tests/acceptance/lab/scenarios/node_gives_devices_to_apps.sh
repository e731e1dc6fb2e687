# base: vfio
# all: yes
# seconds: 500
# memory: 2048
# devices: nvme
# qemu: -serial null -device qemu-xhci,id=xhci,addr=0x7 -blockdev driver=null-co,node-name=stick,size=8388608,read-zeroes=on -device usb-storage,bus=xhci.0,drive=stick,serial=STICK1
# build: bin/zedbox bin/evectl bin/fetch bin/confine bin/plugin-host bin/keeper plugins/kvm.so plugins/pci.so plugins/board-example.so guests/dma-stay.elf
# source: tests/acceptance/node/device_config.jq
# files: /usr/lib/x86_64-linux-gnu/qemu/hw-usb-host.so
# host: ip jq curl dnsmasq pgrep nsenter
# The whole node with devices: an EVE device config names an NVMe disk, a USB stick and a serial port; an app that asks for them gets them; evectl
# shows who has what; a second app waits; what leaves the model goes back to the host.
. /lab/lib.sh
root=/node nvme=0000:00:05.0
ctl() { evectl --root $root "$@"; }
node_up() {
    setsid zedbox node --root $root --plugin-order kvm </dev/null >>/lab/out/node.log 2>&1 &
    until_true 60 "the node answers" ctl status --quiet
}
at_end() {
    [ $lab_failures -eq 0 ] && return
    tail -n 60 /lab/out/node.log
    ctl plugins; ctl adapters; ctl apps; ctl volumes
}
trap at_end EXIT

for module in tun nf_tables nft_chain_nat nf_conntrack bridge br_netfilter veth xhci-pci usb-storage; do modprobe $module; done
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
nsenter --net=/run/netns/outside -- busybox httpd -p 192.0.2.1:8000 -h /www
has_stick() { [ -n "$(find_stick)" ]; }
find_stick() { local device; for device in /sys/bus/usb/devices/*; do [ "$(cat "$device/serial" 2>/dev/null)" = STICK1 ] && { echo "${device##*/}"; return; }; done; }
until_true 10 "the stick" has_stick
stick=$(find_stick)
stick_driver() { local link; link=$(readlink "/sys/bus/usb/devices/$stick:1.0/driver") && echo "${link##*/}"; }
check "the host has the stick" until_true 10 "usb-storage" sh -c "ls /sys/bus/usb/devices/$stick:1.0/host*"
check "the node starts" node_up

image() { printf 'image(%d; "%s"; "%s"; "%d"; "%s")' "$1" "$2" "$(sha256sum "/www/$2" | cut -d' ' -f1)" "$(stat -c %s "/www/$2")" "$3"; }
config() {
    jq -n -L /opt/eve/source/tests/acceptance/node "include \"device_config\"; base(\"http://192.0.2.1:8000\") | $1
        | .configItems += [{key: \"storage.apps.ignore.disk.check\", value: \"true\"}, {key: \"memory.apps.ignore.check\", value: \"true\"}]" >/tmp/config.json
    ctl apply /tmp/config.json >/dev/null
}
io() { printf '.deviceIoList += [{ptype: "%s", phylabel: "%s", logicallabel: "%s", assigngrp: "%s", phyaddrs: %s, usage: "PhyIoUsageDedicated"}]' "$1" "$2" "$2" "$2" "$3"; }
model="$(io PhyIoNVMEStorage disk1 "{PciLong: \"$nvme\"}") | $(io PhyIoUSBDevice stick "{UsbAddr: \"${stick/-/:}\"}") | $(io PhyIoCOM com2 '{Serial: "/dev/ttyS1"}')"
guest() { printf 'vm(%d; "%s"; 1; 1; [allow_all]; "") | .apps[-1].fixedresources += {memory: 65536, maxmem: 65536, kernel: "/opt/eve/guests/dma-stay.elf"} | .apps[-1].adapters = %s' "$@"; }
networks="local_network(1; \"10.11.0\"; \"eth0\") | $(image 1 data.raw RAW)"
first=$(guest 1 first '[{type: "PhyIoNVMEStorage", name: "disk1"}, {type: "PhyIoUSBDevice", name: "stick"}, {type: "PhyIoCOM", name: "com2"}]')
second=$(guest 2 second '[{type: "PhyIoNVMEStorage", name: "disk1"}]')

config "$networks | $model"
held() { [ "$(pci_driver $nvme)" = vfio-pci ]; }
check "the disk is held for guests" until_true 30 "vfio-pci" held
check "the disk is not the host's" [ ! -e /dev/nvme0n1 ]
ctl adapters
config "$networks | $model | $first"
check "the app is RUNNING" ctl wait first RUNNING --timeout 90
console_has() { ctl app logs "$1" | grep -q -- "$2"; }
check "the app reads the disk by DMA" until_true 60 "the disk's first words" console_has first NVME-PAYLOAD-0123456789-ABCDEFGH
taken() { [ "$(stick_driver)" = usbfs ]; }
check "the app has the stick" until_true 20 "QEMU's claim" taken
qemu=$(pidof qemu-system-x86_64)
opened() { ls -l /proc/"$qemu"/fd | grep -q "$1"; }
check "QEMU has the serial port" opened /dev/ttyS1
check "QEMU has the stick" opened /dev/bus/usb/
echo "with one app after $(lab_uptime) s:"
ctl adapters
check "evectl names the owner" sh -c "evectl --root $root adapters --json | jq -e '[.adapters[] | select(.owner.kind == \"app\")] | length == 3'"

config "$networks | $model | $first | $second"
waits() { ctl apps --json | jq -r '.[] | select(.name == "second") | .error' | grep -q 'is used by app'; }
check "a second app waits for the disk" until_true 60 "its error" waits
echo "the plan of the second:"
ctl adapters plan second
check "the first app is untouched" [ "$(pidof qemu-system-x86_64)" = "$qemu" ]
config "$networks | $model | $second"
check "the second is RUNNING when the first has gone" ctl wait second RUNNING --timeout 90
check "it reads the disk as well" until_true 60 "the disk's first words" console_has second NVME-PAYLOAD-0123456789-ABCDEFGH
returned() { [ "$(stick_driver)" = usb-storage ]; }
check "the stick is the host's again" until_true 20 "usb-storage" returned

kill -KILL $(pgrep -f '^/opt/eve/bin/(zedbox|plugin-host|fetch) |^zedbox node')
qemu=$(pidof qemu-system-x86_64)
check "the node starts again" node_up
check "the second app is adopted with its disk" ctl wait second RUNNING --timeout 60
check "in the same process" [ "$(pidof qemu-system-x86_64)" = "$qemu" ]
config "$networks"
check "the app is gone" until_true 60 "no apps" sh -c "[ \"\$(evectl --root $root apps --json)\" = '[]' ]"
host_again() { [ "$(pci_driver $nvme)" = nvme ] && [ -e /dev/nvme0n1 ]; }
check "the disk that left the model is the host's again" until_true 30 "its driver" host_again
check "with what was on it" [ "$(head -c 32 /dev/nvme0n1)" = NVME-PAYLOAD-0123456789-ABCDEFGH ]
kill -TERM "$(cat $root/run/zedbox.pid)"
lab_end
