# base: xen
# all: yes
# seconds: 300
# memory: 2048
# iommu: intel
# devices: nvme
# build: plugins/xen.so bin/xen_life bin/plugin-host bin/keeper
# linux-guest: yes
# Never run to its end so far.
# A PCI device of the host in a PV and in an HVM guest: the guest reads the disk by DMA; afterwards the host has it again.
. /lab/lib.sh
device=0000:00:05.0
guests=/opt/eve/guests
modprobe nvme
check "Xen uses the IOMMU" sh -c "xl info | grep -q directio"
check "the disk is the host's" until_true 10 "its driver" sh -c "[ -b /dev/nvme0n1 ]"
echo $device >/sys/bus/pci/devices/$device/driver/unbind
echo $device >/sys/bus/pci/drivers/pciback/new_slot
echo $device >/sys/bus/pci/drivers/pciback/bind
check "it is bound to pciback" [ "$(pci_driver $device)" = pciback ]
given() {
    local what=$1
    shift
    timeout 200 xen_life /opt/eve/plugins/xen.so nvme --kernel $guests/linux.kernel --ramdisk $guests/linux.initrd --memory 160 --pci $device --until-console 'EVEMARK ready' "$@" >/tmp/life
    grep EVEMARK /tmp/life || tail -n 40 /tmp/life
    check "$what reads it" grep -q 'EVEMARK nvme: NVME-PAYLOAD-0123456789-ABCDEFGH' /tmp/life
}
given "a PV guest" --args nvme
grep -q 'from Linux PV' /tmp/life || echo "FAILED: it was not PV"
given "an HVM guest" --mode-hvm --args 'nvme console=ttyS0'
echo $device >/sys/bus/pci/drivers/pciback/unbind
echo $device >/sys/bus/pci/drivers/pciback/remove_slot
echo $device >/sys/bus/pci/drivers_probe
check "the host has it again" until_true 10 "its disk" grep -q NVME-PAYLOAD-0123456789-ABCDEFGH /dev/nvme0n1
lab_end
