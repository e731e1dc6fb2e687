# base: xen
# all: yes
# seconds: 300
# memory: 2048
# iommu: intel
# devices: nvme
# build: guests/dma-once.elf plugins/xen.so plugins/pci.so bin/xen_life bin/plugin-host bin/keeper
# linux-guest: yes
# A PCI device of the host in a PV and in an HVM guest: the guest reads the disk by DMA; afterwards the host has it again.
. /lab/lib.sh
device=0000:00:05.0
guests=/opt/eve/guests
modprobe nvme
check "Xen uses the IOMMU" sh -c "xl info | grep -q directio"
check "the disk is the host's" until_true 10 "its driver" sh -c "[ -b /dev/nvme0n1 ]"
before=$(pci_drivers)
given() {
    local what=$1 says=$2
    shift 2
    timeout 200 xen_life /opt/eve/plugins/xen.so nvme --assigner /opt/eve/plugins/pci.so --memory 160 --pci $device "$@" >/tmp/life 2>&1
    grep -E '^(EVEMARK|DMA-GUEST|reserved:|released:)' /tmp/life || tail -n 40 /tmp/life
    check "$what has it from pciback" grep -q "reserved: $device: bound to pciback" /tmp/life
    check "$what reads it" grep -q "$says" /tmp/life
    check "the host has it again" grep -q "released: $device: bound to nvme" /tmp/life
    check "and reads it" until_true 10 "its disk" grep -q NVME-PAYLOAD-0123456789-ABCDEFGH /dev/nvme0n1
    check "all devices are as before" [ "$(pci_drivers)" = "$before" ]
}
given "an HVM guest" 'nvme serial=TESTNVME.* data=NVME-PAYLOAD-0123456789-ABCDEFGH' --mode-hvm --kernel /opt/eve/guests/dma-once.elf --until-console 'DMA-GUEST done'
given "a PV guest" 'EVEMARK nvme: NVME-PAYLOAD-0123456789-ABCDEFGH' --kernel $guests/linux.kernel --ramdisk $guests/linux.initrd --args nvme --until-console 'EVEMARK ready'
check "it was PV" grep -q 'from Linux PV' /tmp/life
check "nothing is left" [ "$(xl list | wc -l)" = 2 ]
lab_end
