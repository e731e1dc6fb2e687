# base: kernel
# all: yes
# seconds: 1500
# memory: 3072
# build: plugins/containerd.so bin/eve-plugin-check bin/plugin-host bin/keeper bin/container_lifecycle_test
# source: scripts/containerd scripts/packages tests/acceptance/containerd/bench.sh tests/acceptance/containerd/conformance.sh
# host: containerd ctr runc crun containerd-shim-runc-v2 ip dnsmasq curl pgrep unshare nsenter mount realpath
# The containerd plugin where control groups are version 2 and nothing else, as on a host with systemd: its contract, and its tests with real
# containers by runc and by crun. Memory and processors are limited there, want of memory is named, exit codes are told, nothing is left.
. /lab/lib.sh
if [ "${1:-}" != inside ]; then
    for module in veth bridge tun overlay; do modprobe $module; done
    # A container's root is made with pivot_root, which the kernel refuses where the root is the initial one: a second name of it is none.
    mkdir -p /again
    mount --rbind / /again
    exec chroot /again /bin/bash /lab/scenario inside
fi
# What was compiled with the paths of the build machine finds them; the second may lie in the first.
mkdir -p /var/tmp "$(dirname "$LAB_SOURCE_ROOT")"
ln -sfn /opt/eve/source "$LAB_SOURCE_ROOT"
mkdir -p "$(dirname "$LAB_BUILD_ROOT")"
ln -sfn /opt/eve "$LAB_BUILD_ROOT"
export EVE_SOURCE=/opt/eve/source EVE_BIN=/opt/eve/bin GTEST_COLOR=no
groups() { find /sys/fs/cgroup -mindepth 1 -type d | sort; }
before=$(groups)
check "control groups are version 2" [ -e /sys/fs/cgroup/cgroup.controllers ]
check "and nothing else" [ -z "$(awk '$3 == "cgroup"' /proc/mounts)" ]
for controller in memory cpu cpuset pids; do check "with $controller" grep -qw $controller /sys/fs/cgroup/cgroup.controllers; done
# A plugin that finds the machine unfit has nothing to keep to: that must not pass for keeping to it.
contract() { bash $EVE_SOURCE/tests/acceptance/containerd/conformance.sh runc 2>&1 | tee /tmp/contract; [ "${PIPESTATUS[0]}" = 0 ] && ! grep -q "does not support this machine" /tmp/contract; }
check "the contract holds with runc" contract
life() { container_lifecycle_test --gtest_filter="*/$1" | tee /tmp/life; [ "${PIPESTATUS[0]}" = 0 ] && ! grep -q 'PASSED.* 0 tests' /tmp/life; }
for runtime in runc crun; do check "containers by $runtime" life $runtime; done
check "no group is left" [ "$(groups)" = "$before" ]
check "no container's process is left" [ -z "$(pgrep -f containerd-shim)" ]
lab_end
