# base: xen
# all: yes
# seconds: 240
# cpus: 2
# build: plugins/xen.so bin/xen_life bin/plugin-host bin/keeper guests/xen.elf guests/xen-pv.elf guests/tiny-stay.elf
# Virtual CPUs stay on the CPUs that the spec names; and what our create and destroy cost beside xl's.
. /lab/lib.sh
life() { timeout 60 xen_life /opt/eve/plugins/xen.so "$@" 2>&1; }
guests=/opt/eve/guests
check "Xen has two CPUs" [ "$(xl info nr_cpus)" = 2 ]
printf '#!/bin/sh\nxl vcpu-list cpus | tee /tmp/vcpus\n' >/tmp/list
chmod 755 /tmp/list
# The hard affinity of each virtual CPU of the domain, as xl shows it.
affinity() { awk 'NR > 1 {print $(NF - 2)}' /tmp/vcpus | tr '\n' ' '; }
stays() {
    local what=$1 expected=$2
    shift 2
    life cpus --then /tmp/list "$@"
    check "$what" [ "$(affinity)" = "$expected" ]
}
stays "a guest that nobody told runs anywhere" "all " --kernel $guests/xen.elf
stays "PVH: both virtual CPUs share one CPU" "1 1 " --kernel $guests/xen.elf --vcpus 2 --cpu 1
stays "PVH: each pinned virtual CPU has its own CPU" "0 1 " --kernel $guests/xen.elf --vcpus 2 --cpu 0 --cpu 1 --pinned
stays "PV: each pinned virtual CPU has its own CPU" "1 0 " --kernel $guests/xen-pv.elf --vcpus 2 --cpu 1 --cpu 0 --pinned
stays "HVM: the virtual CPU stays on its CPU" "1 " --kernel $guests/tiny-stay.elf --mode-hvm --cpu 1
check "a CPU that the machine does not have is refused" grep -q 'failed_precondition: the machine has no CPU 7: the last one is 1' <<<"$(life cpus --kernel $guests/xen.elf --cpu 7)"

echo "== create and destroy of the same guest, ours and xl's, alternating, in ms"
printf 'name="xl"\ntype="pvh"\nkernel="%s"\nmemory=16\nvcpus=1\n' $guests/xen.elf >/tmp/xl.cfg
life figures --kernel $guests/xen.elf --rounds 7 --against /tmp/xl.cfg | tee /lab/out/figures
check "nothing is left" [ "$(xl list | wc -l)" = 2 ]
lab_end
