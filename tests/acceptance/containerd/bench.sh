# shellcheck shell=bash
# What tests of the containerd plugin begin with: a containerd of their own below a directory of their own, and container images made from
# Debian's packages. Source it. Ends with 77, and says so, where the machine lacks something. EVE_SOURCE is the repository.

bench_missing() {
    [ "$(id -u)" -eq 0 ] || { echo "must be root"; return; }
    local program
    for program in containerd ctr runc busybox; do
        PATH=$PATH:/usr/sbin command -v $program >/dev/null || { echo "$program is not installed (scripts/packages run)"; return; }
    done
    [ "${1:-runc}" = runc ] || PATH=$PATH:/usr/sbin command -v "$1" >/dev/null || echo "$1 is not installed (scripts/packages test)"
}

# bench_image DIR CONFIG: a root file system of busybox and its image configuration, as volumemgr leaves it.
bench_image() {
    local applet
    mkdir -p "$1"/rootfs/{bin,etc,tmp,www}
    cp "$(command -v busybox)" "$1/rootfs/bin/busybox"
    for applet in $(busybox --list | grep -vx busybox); do ln -sf busybox "$1/rootfs/bin/$applet"; done
    echo 'root:x:0:0::/:/bin/sh
web:x:1000:1000::/www:/bin/sh' >"$1/rootfs/etc/passwd"
    echo 'root:x:0:
web:x:1000:
staff:x:50:web' >"$1/rootfs/etc/group"
    printf '{"architecture":"amd64","os":"linux","config":%s}\n' "$2" >"$1/image-config.json"
}
