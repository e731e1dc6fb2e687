# base: vfio
# seconds: 90
# iommu: none
# build: bin/lab_passthrough_test bin/plugin-host bin/keeper plugins/pci.so plugins/kvm.so guests/dma-once.elf guests/dma-stay.elf
. /lab/lib.sh
pci_drivers
/opt/eve/bin/lab_passthrough_test --gtest_filter="WithoutIommu.*"
check "the tests hold" [ $? -eq 0 ]
lab_end
