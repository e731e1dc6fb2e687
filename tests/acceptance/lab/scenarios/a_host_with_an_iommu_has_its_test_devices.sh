# base: vfio
# seconds: 90
# build: guests/tiny-poweroff.elf
. /lab/lib.sh
pci_drivers
check "the NVMe disk is the host's" [ "$(pci_driver 0000:00:05.0)" = nvme ]
check "it holds the payload" grep -q NVME-PAYLOAD-0123456789-ABCDEFGH /dev/nvme0n1
check "it is alone in its group" [ "$(ls "/sys/kernel/iommu_groups/$(pci_group 0000:00:05.0)/devices" | wc -l)" = 1 ]
check "two functions of a card share a group" [ "$(pci_group 0000:00:06.0)" = "$(pci_group 0000:00:06.1)" ]
check "two devices behind a bridge share a group" [ "$(pci_group 0000:02:01.0)" = "$(pci_group 0000:02:02.0)" ]
echo vfio-pci >/sys/bus/pci/devices/0000:00:04.0/driver_override
echo 0000:00:04.0 >/sys/bus/pci/devices/0000:00:04.0/driver/unbind
echo 0000:00:04.0 >/sys/bus/pci/drivers_probe
check "a NIC can be bound to vfio-pci" [ "$(pci_driver 0000:00:04.0)" = vfio-pci ]
qemu-system-x86_64 -machine q35 -accel tcg -m 64 -nodefaults -display none -vga none -no-reboot -serial stdio -monitor none \
    -kernel /opt/eve/guests/tiny-poweroff.elf -device vfio-pci,host=0000:00:04.0 </dev/null
check "a nested guest runs with it" [ $? -eq 0 ]
echo "$(lab_uptime)" >/lab/out/uptime
check "files come back to the host" [ -s /lab/out/uptime ]
lab_end
