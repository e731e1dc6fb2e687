# base: xen
# all: yes
# seconds: 300
# memory: 2048
# build: plugins/xen.so bin/eve-plugin-check bin/plugin-host bin/keeper guests/xen.elf guests/xen-pv.elf guests/tiny-stay.elf
# The conformance kit on the Xen plugin, with a PVH, a PV and an HVM guest.
. /lab/lib.sh
spec() {
    printf '{"id":"6e3f1c9a-0000-4000-8000-00000000c0de","revision":1,"name":"plugin-check.1.1","labels":{"a":"b"},"mode":"%s","memory_bytes":%d,"vcpus":1,"kernel":"/opt/eve/guests/%s"}' \
        "$1" $((16 << 20)) "$2" >/tmp/spec.json
}
contract() { GTEST_COLOR=no eve-plugin-check /opt/eve/plugins/xen.so --spec /tmp/spec.json "$@"; }
spec pv xen.elf
check "the contract holds with PVH guests" contract
check "nothing is left in Xen" [ "$(xl list | wc -l)" = 2 ]
spec pv xen-pv.elf
check "a kernel without a PVH entry starts as PV" contract --case Contract.ListFindsWhatAnEarlierInstanceMade
spec hvm tiny-stay.elf
for case in AKilledVmmIsBrokenWithItsSignalNamed AGuestOutlivesThePluginsHost CutEndsTheGuest; do
    check "HVM: $case" contract --case "$case"
done
check "no device model is left" [ -z "$(pidof xen-qemu-system-i386)" ]
lab_end
