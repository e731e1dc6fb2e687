# base: xen
# all: yes
# seconds: 400
# memory: 2048
# build: plugins/xen.so bin/xen_life bin/plugin-host bin/keeper guests/xen.elf guests/xen-pv.elf guests/tiny-stay.elf
# host: ip
# What may go wrong on a Xen machine has a precise answer and never hangs.
# (A call may take 30 s. Of the limits below a plugin of its own process under emulation needs the most.)
. /lab/lib.sh
life() { timeout 40 xen_life /opt/eve/plugins/xen.so "$@" 2>&1; }
says() { local what=$1 words=$2; shift 2; local answer; answer=$(life "$@"); echo "$answer"; check "$what" grep -q -- "$words" <<<"$answer"; }
quick() { local what=$1 limit=$2 begun; shift 2; begun=$(date +%s); "$@"; check "$what within $limit s" [ $(($(date +%s) - begun)) -le "$limit" ]; }
guest=/opt/eve/guests/xen.elf

says "a guest that crashes is broken" 'broken: the guest crashed' crash --kernel $guest --args crash
says "a guest that powers itself off is halted" 'halted: the guest powered itself off' off --kernel $guest --args off
says "a guest that obeys is halted" 'halted: the guest powered itself off' obey --kernel $guest --ask
quick "a deaf guest does not hold up the one who asks" 15 says "a deaf guest runs on" 'asked: running' deaf --kernel $guest --args deaf --ask-once
if grep -q __asan_init /opt/eve/plugins/xen.so; then
    echo "NOT SEEN with a sanitized plugin: it takes over 10 s for each reboot under emulation, and those are not quick ones"
else
    says "a guest that reboots is made again, until it does so too often" 'broken: the guest rebooted and was not made again: it reboots again and again' again --kernel $guest --args reboot
fi
says "too much memory is refused with figures" 'resource_exhausted: the domain needs [0-9]* MiB of memory and Xen has' big --kernel $guest --memory 100000
says "a kernel that is none is named" 'Xen cannot make the domain' bad --kernel /etc/passwd
says "a missing kernel is a precondition" 'failed_precondition: /nosuch: No such file' none --kernel /nosuch
says "a device without an IOMMU is refused" 'failed_precondition: Xen has no IOMMU\|is not bound to pciback' device --kernel $guest --pci 0000:00:1f.0
ip link add br0 type bridge
ip link set br0 up
printf '#!/bin/sh\nexit 1\n' >/tmp/vif-fails
chmod 755 /tmp/vif-fails
says "a hotplug script that fails is named" 'vif-fails' script --kernel $guest --bridge br0 --config '{"vif_script":"/tmp/vif-fails"}'
check "and nothing is left of the domain" [ "$(xl list | wc -l)" = 2 ]
says "a vif is in its bridge" 'running' vif --kernel $guest --bridge br0
check "and gone with its domain" [ -z "$(ls /sys/class/net/br0/brif)" ]

echo "== xenstored hangs"
kill -STOP "$(cat /run/xen/xenstored.pid)"
quick "a probe comes back" 15 says "a probe says so" 'broken: xenstored hangs' probe
quick "a create comes back" 15 says "a create says so" 'unavailable: xenstored hangs' hung --kernel $guest
kill -CONT "$(cat /run/xen/xenstored.pid)"
says "and it works again when xenstored does" 'running' back --kernel $guest
echo "== xenstored dies while a call is made"
(sleep 0.3; kill -STOP "$(cat /run/xen/xenstored.pid)"; sleep 40; kill -CONT "$(cat /run/xen/xenstored.pid)") &
quick "a call that was under way comes back" 35 says "it says so" 'timed_out\|unavailable\|running' under-way --kernel $guest --lives 20
kill -CONT "$(cat /run/xen/xenstored.pid)"
kill -KILL "$(cat /run/xen/xenstored.pid)"
quick "a probe comes back" 15 says "a probe says that it is dead" 'broken: xenstored does not run' probe
lab_end
