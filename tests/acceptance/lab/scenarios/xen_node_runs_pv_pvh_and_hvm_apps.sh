# base: xen
# seconds: 600
# memory: 3072
# cpus: 2
# build: bin/zedbox bin/evectl bin/fetch bin/confine bin/plugin-host bin/keeper plugins/xen.so guests/xen.elf guests/xen-pv.elf guests/tiny-obeyxen.img
# source: tests/acceptance/node/device_config.jq
# host: ip jq curl dnsmasq pgrep nsenter qemu-img
# linux-guest: yes
# The whole node on Xen: an EVE device config becomes running PV, PVH, HVM and Linux apps with disks and networks; they survive kill -9 of
# every process of the node; restart and delete work.
. /lab/node.sh
plugin=xen
domids() { xl list | awk 'NR > 2 {print $1, $2}' | sort; }
outside_up
cp /opt/eve/guests/tiny-obeyxen.img /www/boot.raw
truncate -s 1M /www/boot.raw
qemu-img convert -f raw -O qcow2 /www/data.raw /www/data.qcow2
check "the node starts" node_up
check "its plugin is Xen's" until_true 60 "the plugin" sh -c "evectl --root $root plugins --json | jq -e '.[] | select(.name == \"xen\" and .state == \"used\")'"

with_kernel() { printf '(.apps[] | select(.displayname == "%s") | .fixedresources) += {virtualizationMode: "PV", kernel: "%s", ramdisk: "%s", memory: %d, maxmem: %d}' "$1" "$2" "$3" "$4" "$4"; }
apps="local_network(1; \"10.11.0\"; \"eth0\") | $(image 1 boot.raw RAW) | $(image 2 data.raw RAW) | $(image 3 data.qcow2 QCOW2)
    | vm(1; \"hvm\"; 1; 1; [allow_all]; \"\") | vm(2; \"pv\"; 2; 1; [allow_all]; \"\") | vm(3; \"pvh\"; 2; 1; [allow_all]; \"\") | vm(4; \"linux\"; 3; 1; [allow_all]; \"\")
    | (.apps[].fixedresources) += {memory: 32768, maxmem: 32768}
    | $(with_kernel pv /opt/eve/guests/xen-pv.elf '' 16384) | $(with_kernel pvh /opt/eve/guests/xen.elf '' 16384)
    | $(with_kernel linux /opt/eve/guests/linux.kernel /opt/eve/guests/linux.initrd 131072)"
config "$apps"
for name in hvm pv pvh linux; do check "$name is RUNNING" ctl wait $name RUNNING --timeout 150; done
xl list
echo "all run after $(lab_uptime) s"
check "hvm boots its disk" until_true 30 "its serial port" console_has hvm 'EVEMARK hello'
check "pv is PV" until_true 20 "its console" console_has pv 'hello from PV,'
check "pvh is PVH" until_true 20 "its console" console_has pvh 'hello from PVH,'
check "linux reads its disk" until_true 60 "its console" console_has linux 'EVEMARK disk: DISK-OF-THE-APP'
check "linux has an address" until_true 60 "its console" console_has linux 'EVEMARK address: 10.11.0.'
address=$(app linux '.ips[0]')
check "the node reports the address" grep -qE '^10\.11\.0\.' <<<"$address"
check "an interface of each is in the bridge" [ "$(ls /sys/class/net/bn1/brif | wc -l)" = 4 ]
check "linux answers pings" ping -c 2 -W 5 "$address"
echo "pinged after $(lab_uptime) s"

before=$(domids)
kill -KILL $(node_pids)
check "no process of the node is left" until_true 5 "their end" sh -c "! pidof zedbox plugin-host"
check "the domains are untouched" [ "$(domids)" = "$before" ]
check "linux answers pings without the node" ping -c 1 -W 5 "$address"
check "the node starts again" node_up
for name in hvm pv pvh linux; do check "$name is RUNNING again" ctl wait $name RUNNING --timeout 120; done
adopted() { [ "$(grep -c 'domain.state.*from=INVALID to=RUNNING' /lab/out/node.log)" = 4 ]; }
check "every domain is seen again" until_true 30 "domainmgr's word" adopted
echo "adopted after $(lab_uptime) s"
check "every domain was adopted" [ "$(domids)" = "$before" ]

domid_of_pvh() { xl list | awk '$1 ~ /^00000000-0000-4000-8000-000000020003/ {print $2}'; }
old=$(domid_of_pvh)
check "pvh restarts" ctl app restart pvh
another_domain() { [ -n "$(domid_of_pvh)" ] && [ "$(domid_of_pvh)" != "$old" ] && [ "$(app pvh .state)" = RUNNING ]; }
check "pvh has another domain" until_true 120 "a new domain" another_domain
echo "restarted after $(lab_uptime) s"
check "the others are untouched" [ "$(domids | grep -v 000000020003)" = "$(echo "$before" | grep -v 000000020003)" ]

config 'local_network(1; "10.11.0"; "eth0")'
check "deleted apps are gone" until_true 120 "no apps" no_apps
check "no domain is left in Xen" [ "$(xl list | wc -l)" = 2 ]
check "no interface is left" [ -z "$(ls /sys/class/net/bn1/brif)" ]
check "no device model is left" [ -z "$(pidof xen-qemu-system-i386)" ]
check "no loop device is left" [ -z "$(losetup -a)" ]
check "xenstore knows the control domain only" [ "$(xenstore-list /local/domain)" = 0 ]
echo "deleted after $(lab_uptime) s"
node_end
