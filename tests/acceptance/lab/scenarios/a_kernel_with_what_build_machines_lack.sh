# base: kernel
# seconds: 60
# host: ip
# The base for tests of network and storage that a build machine's kernel cannot run: each kind of link and target that it must have works.
. /lab/lib.sh
for module in 8021q bonding dummy wireguard veth macvlan bridge vhost_net vhost_scsi vhost_vsock dm-mod dm-crypt dm-snapshot dm-verity target_core_mod; do
    check "module $module" modprobe $module
done
check "a dummy link" ip link add d0 type dummy
check "a VLAN" ip link add link d0 name d0.7 type vlan id 7
check "a bond" ip link add b0 type bond mode active-backup
check "a wireguard link" ip link add w0 type wireguard
check "a bridge with VLANs" ip link add br0 type bridge vlan_filtering 1
check "device mapper" [ -c /dev/mapper/control ]
check "vhost-net" [ -c /dev/vhost-net ]
check "vhost-scsi" [ -c /dev/vhost-scsi ]
check "vhost-vsock" [ -c /dev/vhost-vsock ]
lab_end
