# base: xen
# seconds: 90
# build: guests/xen.elf guests/xen-pv.elf guests/tiny-stay.elf
# The machine itself: Xen, its toolstack and the small guests, by xl alone.
. /lab/lib.sh
check "Xen answers" xl info
xl info | grep -E 'xen_version|virt_caps|total_memory|free_memory'
for type in pv pvh; do
    printf 'name="%s"\ntype="%s"\nkernel="/opt/eve/guests/xen.elf"\nextra="hello"\nmemory=16\nvcpus=1\n' $type $type >/tmp/$type.cfg
    check "$type is created" xl create -q /tmp/$type.cfg
    check "$type speaks" until_true 10 "the guest's console" grep -q 'EVEMARK ready' /var/log/xen/console/guest-$type.log
    check "$type says its type" grep -qi "from $type," /var/log/xen/console/guest-$type.log
    check "$type obeys" xl shutdown $type
    check "$type is gone" until_true 10 "the domain's end" sh -c "! xl domid $type"
done
printf 'name="hvm"\ntype="hvm"\nkernel="/opt/eve/guests/tiny-stay.elf"\nmemory=32\nserial="file:/tmp/hvm.log"\nvga="none"\nvnc=0\n' >/tmp/hvm.cfg
check "hvm is created" xl create -q /tmp/hvm.cfg
check "hvm speaks" until_true 20 "the guest's serial port" grep -q 'EVEMARK hello' /tmp/hvm.log
check "hvm is destroyed" xl destroy hvm
lab_end
