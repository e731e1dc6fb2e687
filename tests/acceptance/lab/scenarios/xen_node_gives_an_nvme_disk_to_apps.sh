# base: xen
# all: yes
# seconds: 600
# memory: 3072
# cpus: 2
# iommu: intel
# devices: nvme
# build: bin/zedbox bin/evectl bin/fetch bin/confine bin/plugin-host bin/keeper plugins/xen.so plugins/pci.so guests/dma-stay.elf
# source: tests/acceptance/node/device_config.jq
# host: ip jq curl dnsmasq pgrep nsenter
# linux-guest: yes
# The whole node on Xen gives an NVMe disk of the host to an HVM app, which reads it by DMA and keeps it through kill -9 of the node, then to a PV
# app with a Linux of its own; afterwards the host has it again.
. /lab/node.sh
plugin=xen modules=nvme nvme=0000:00:05.0
outside_up
check "Xen uses the IOMMU" sh -c "xl info | grep -q directio"
check "the disk is the host's" until_true 10 "its driver" [ -b /dev/nvme0n1 ]
check "the node starts" node_up

networks="local_network(1; \"10.11.0\"; \"eth0\") | $(image 1 data.raw RAW)"
model=$(io PhyIoNVMEStorage disk1 "{PciLong: \"$nvme\"}")
# guest NUMBER NAME RESOURCES
guest() { printf 'vm(%d; "%s"; 1; 1; [allow_all]; "") | .apps[-1].fixedresources += %s | .apps[-1].adapters = [{type: "PhyIoNVMEStorage", name: "disk1"}]' "$@"; }
hvm=$(guest 1 hvm '{memory: 65536, maxmem: 65536, virtualizationMode: "HVM", kernel: "/opt/eve/guests/dma-stay.elf"}')
pv=$(guest 2 pv '{memory: 163840, maxmem: 163840, virtualizationMode: "PV", kernel: "/opt/eve/guests/linux.kernel", ramdisk: "/opt/eve/guests/linux.initrd", extraargs: "nvme"}')
domid() { xl list | awk -v uuid="$1" 'index($1, uuid) {print $2}'; }

config "$networks | $model | $hvm"
check "the HVM app is RUNNING" ctl wait hvm RUNNING --timeout 120
check "it reads the disk by DMA" until_true 60 "the disk's first words" console_has hvm NVME-PAYLOAD-0123456789-ABCDEFGH
check "pciback holds it" [ "$(pci_driver $nvme)" = pciback ]
ctl adapters
check "evectl names the owner" sh -c "evectl --root $root adapters --json | jq -e '[.adapters[] | select(.owner.kind == \"app\")] | length == 1'"

before=$(domid 000000020001)
kill -KILL $(node_pids)
check "the node starts again" node_up
check "the app is adopted with its disk" ctl wait hvm RUNNING --timeout 60
check "in the same domain" [ "$(domid 000000020001)" = "$before" ]
check "pciback holds it still" [ "$(pci_driver $nvme)" = pciback ]

config "$networks | $model | $pv"
check "a PV app is RUNNING when the first has gone" ctl wait pv RUNNING --timeout 150
check "it reads the disk as well" until_true 90 "the disk's first words" console_has pv 'EVEMARK nvme: NVME-PAYLOAD-0123456789-ABCDEFGH'
check "it is PV" console_has pv 'from Linux PV'

config "$networks"
check "the app is gone" until_true 60 "no apps" no_apps
host_again() { [ "$(pci_driver $nvme)" = nvme ] && [ -b /dev/nvme0n1 ]; }
check "the disk that left the model is the host's again" until_true 30 "its driver" host_again
check "with what was on it" grep -q NVME-PAYLOAD-0123456789-ABCDEFGH /dev/nvme0n1
check "no domain is left in Xen" [ "$(xl list | wc -l)" = 2 ]
node_end
