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
. /lab/node.sh
plugin=kvm modules='tun xhci-pci usb-storage' nvme=0000:00:05.0
outside_up
has_stick() { [ -n "$(find_stick)" ]; }
find_stick() { local device; for device in /sys/bus/usb/devices/*; do [ "$(cat "$device/serial" 2>/dev/null)" = STICK1 ] && { echo "${device##*/}"; return; }; done; }
until_true 10 "the stick" has_stick
stick=$(find_stick)
stick_driver() { local link; link=$(readlink "/sys/bus/usb/devices/$stick:1.0/driver") && echo "${link##*/}"; }
check "the host has the stick" until_true 10 "usb-storage" sh -c "ls /sys/bus/usb/devices/$stick:1.0/host*"
check "the node starts" node_up

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

kill -KILL $(node_pids)
qemu=$(pidof qemu-system-x86_64)
check "the node starts again" node_up
check "the second app is adopted with its disk" ctl wait second RUNNING --timeout 60
check "in the same process" [ "$(pidof qemu-system-x86_64)" = "$qemu" ]
config "$networks"
check "the app is gone" until_true 60 "no apps" no_apps
host_again() { [ "$(pci_driver $nvme)" = nvme ] && [ -e /dev/nvme0n1 ]; }
check "the disk that left the model is the host's again" until_true 30 "its driver" host_again
check "with what was on it" [ "$(head -c 32 /dev/nvme0n1)" = NVME-PAYLOAD-0123456789-ABCDEFGH ]
node_end
