# base: vfio
# seconds: 240
# iommu: intel
# devices: nvme e1000e multifunction bridge sriov
# memory: 2048
# build: bin/lab_passthrough_test bin/plugin-host bin/keeper plugins/pci.so plugins/kvm.so plugins/board-example.so guests/dma-once.elf guests/dma-stay.elf
. /lab/lib.sh
pci_drivers
/opt/eve/bin/lab_passthrough_test --gtest_filter="WithIommu.*"
check "the tests hold" [ $? -eq 0 ]
lab_end
