# shellcheck shell=bash
# Builds the machines of the lab out of Debian packages that are only unpacked, never installed. Source it; tests/acceptance/lab/run does.
#
# Everything is kept in ${XDG_CACHE_HOME:-~/.cache}/evenode/lab: unpacked packages, kernels unpacked to ELF files (an emulated machine takes
# ten seconds to unpack one), and one cpio archive per base. An archive's name carries a digest of what it is made from.

shopt -s inherit_errexit  # bases are built in subshells, and a step that fails must fail them
lab_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lab_cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/evenode/lab

# The machine lacks something: said loudly, and not a failure (ctest's SKIP_RETURN_CODE).
lab_skip() { echo "SKIPPED on this machine: $*" >&2; exit 77; }
lab_die() { echo "lab: $*" >&2; exit 1; }

lab_tools() {
    local tool missing=()
    for tool in qemu-system-x86_64 apt-get dpkg-deb cpio depmod ldd xz lz4 busybox flock; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    [ ${#missing[@]} -eq 0 ] || lab_skip "no ${missing[*]}; scripts/packages build run test installs them"
    [ "$(uname -m)" = x86_64 ] || lab_skip "the lab's machines are x86_64, this is $(uname -m)"
}

# ---- packages ----

# The version that apt would download; where apt knows nothing, the newest that was unpacked before.
lab_version() {
    local version
    version=$(apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: *//p')
    if [ -z "$version" ] || [ "$version" = '(none)' ]; then
        version=$(cd "$lab_cache/debs" 2>/dev/null && ls -dt "$1"@* 2>/dev/null | head -n 1 | sed 's/^[^@]*@//')
    fi
    [ -n "$version" ] || return 1
    echo "$version"
}

# The directory that a package is unpacked in.
lab_package() {
    local package=$1 version directory work
    version=$(lab_version "$package") || lab_skip "apt knows no package $package (was apt-get update run?), and none was unpacked before"
    directory=$lab_cache/debs/$package@$version
    if [ ! -d "$directory" ]; then
        work=$(mktemp -d "$lab_cache/work.XXXXXX")
        chmod 755 "$work"
        if ! (cd "$work" && apt-get -q download "$package" >apt.log 2>&1); then
            tail -n 3 "$work/apt.log" >&2
            rm -rf "$work"
            lab_skip "apt-get cannot download $package: is there a network?"
        fi
        dpkg-deb -x "$work/$package"_*.deb "$work/root"
        rm -rf "$lab_cache/debs/$package@"*
        mkdir -p "$lab_cache/debs"
        mv "$work/root" "$directory"
        rm -rf "$work"
    fi
    echo "$directory"
}

# The package behind a meta package ("linux-image-amd64" -> "linux-image-6.1.0-56-amd64").
lab_behind() {
    local package
    package=$(apt-cache depends "$1" 2>/dev/null | sed -n 's/^ *Depends: *\(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1)
    if [ -z "$package" ]; then
        package=$(cd "$lab_cache/debs" 2>/dev/null && ls -dt linux-image-[0-9]*"${1#linux-image}"@* 2>/dev/null | grep -v -- "${2:-^$}" | head -n 1 | sed 's/@.*//')
    fi
    [ -n "$package" ] || lab_skip "apt knows no $1; was apt-get update run?"
    echo "$package"
}
lab_kernel_package() { lab_behind linux-image-amd64 cloud; }

# ---- kernels ----

# Writes the ELF file inside a bzImage. The header's fields are in Linux's Documentation/x86/boot.rst: setup_sects, payload_offset and _length.
lab_unpack_kernel() {
    local packed=$1 out=$2 setup payload
    number() { busybox hexdump -s "$1" -n 4 -e '1/4 "%u"' "$packed"; }
    setup=$((($(busybox hexdump -s 497 -n 1 -e '1/1 "%u"' "$packed") + 1) * 512))
    payload=$(mktemp "$lab_cache/payload.XXXXXX")
    dd if="$packed" of="$payload" iflag=skip_bytes,count_bytes bs=1M skip=$((setup + $(number 584))) count="$(number 588)" status=none
    case $(busybox hexdump -n 4 -e '4/1 "%02x"' "$payload") in
        fd377a58) xz -dc --single-stream <"$payload" >"$out.new" || true ;;  # a length follows the stream
        02214c18) lz4 -dcq <"$payload" >"$out.new" 2>/dev/null || true ;;
        *) rm -f "$payload"; lab_die "$packed is packed in a way that is not known here" ;;
    esac
    rm -f "$payload"
    [ "$(head -c 4 "$out.new" | tail -c 3)" = ELF ] || lab_die "$packed does not unpack to an ELF file"
    mv "$out.new" "$out"
}

# The kernel of every base, as an ELF file.
lab_kernel() {
    local package out
    package=$(lab_kernel_package)
    out=$lab_cache/vmlinux-${package#linux-image-}@$(lab_version "$package")
    if [ ! -e "$out" ]; then
        rm -f "$lab_cache"/vmlinux-*
        lab_unpack_kernel "$(lab_package "$package")/boot/vmlinuz-${package#linux-image-}" "$out"
    fi
    echo "$out"
}

# Xen itself, unpacked: QEMU's multiboot loader does not gunzip.
lab_xen() {
    local package out
    package=$(lab_xen_package)
    out=$lab_cache/xen-$(lab_version "$package")
    if [ ! -e "$out" ]; then
        rm -f "$lab_cache"/xen-[0-9]*.gz "$lab_cache"/xen-[0-9]*+*
        zcat "$(lab_package "$package")"/boot/xen-*.gz >"$out.new"
        mv "$out.new" "$out"
    fi
    echo "$out"
}
lab_xen_package() {
    local package
    package=$(apt-cache search --names-only '^xen-hypervisor-[0-9.]*-amd64$' 2>/dev/null | awk '{print $1}' | sort -V | tail -n 1)
    [ -n "$package" ] || package=$(cd "$lab_cache/debs" 2>/dev/null && ls -dt xen-hypervisor-[0-9]*-amd64@* 2>/dev/null | head -n 1 | sed 's/@.*//')
    [ -n "$package" ] || lab_skip "apt knows no xen-hypervisor; was apt-get update run?"
    echo "$package"
}
lab_xen_version() { lab_xen_package | sed 's/^xen-hypervisor-\(.*\)-amd64$/\1/'; }

# ---- trees ----

# lab_place TREE FILE [TO]: a file at its own path in the tree (or at TO), through no symbolic link: an overlay must not replace /lib by a folder.
lab_place() {
    local to=${3:-$(readlink -f "$(dirname "$2")")/$(basename "$2")}
    mkdir -p "$1$(dirname "$to")"
    cp -L "$2" "$1$to"
    chmod u+w "$1$to"
}

# Every library that the programs and plugins of a tree need, and the one that pthread_cancel opens by itself.
lab_libraries() {
    local tree=$1 file library files=()
    while IFS= read -r file; do
        [ "$(head -c 4 "$file" | tail -c 3 | tr -d '\0')" = ELF ] && files+=("$file")
    done < <(find "$tree" -type f \( -perm -100 -o -name '*.so*' \) ! -name '*.ko')
    [ ${#files[@]} -gt 0 ] || return 0
    while IFS= read -r library; do
        [ -e "$tree$(readlink -f "$(dirname "$library")")/$(basename "$library")" ] || lab_place "$tree" "$library"
    done < <({ ldd "${files[@]}" 2>/dev/null | awk '/=> \//{print $3} /^\t\/lib/{print $1}'; ls /lib/x86_64-linux-gnu/libgcc_s.so.1; } | sort -u)
    ! ldd "${files[@]}" 2>/dev/null | grep 'not found' | sort -u | grep . >&2 || lab_skip "libraries are missing on this machine (the lines above); run scripts/packages build run test"
}

# Kernel modules with all that they need, where modprobe finds them.
lab_modules() {
    local tree=$1 package version from module file
    shift
    package=$(lab_kernel_package)
    version=${package#linux-image-}
    from=$(lab_package "$package")
    [ -e "$from/lib/modules/$version/modules.dep" ] || depmod -b "$from" "$version"
    mkdir -p "$tree/usr/lib/modules/$version"
    for module in "$@"; do
        modprobe -d "$from" -S "$version" --show-depends "$module" | sed -n 's/^insmod \([^ ]*\).*/\1/p' ||
            lab_die "the kernel $version has no module $module"
    done | sort -u | while IFS= read -r file; do
        file=${file#"$from"/lib/modules/"$version"/}
        mkdir -p "$tree/usr/lib/modules/$version/$(dirname "$file")"
        cp "$from/lib/modules/$version/$file" "$tree/usr/lib/modules/$version/$file"
    done
    cp "$from/lib/modules/$version"/modules.{order,builtin,builtin.modinfo} "$tree/usr/lib/modules/$version/"
    depmod -b "$tree/usr" -m /lib/modules "$version" 2>/dev/null || depmod -b "$tree" "$version"
}

# What every base has: busybox, bash, the folders. Init and lib.sh come with the overlay.
lab_common_tree() {
    local tree=$1 applet
    mkdir -p "$tree"/usr/{bin,sbin,lib,lib64} "$tree"/{proc,sys,dev,run,tmp,etc,root,lab,opt,var/lib,var/log,persist,config}
    ln -s usr/bin "$tree/bin"; ln -s usr/sbin "$tree/sbin"; ln -s usr/lib "$tree/lib"; ln -s usr/lib64 "$tree/lib64"
    ln -s /run "$tree/var/run"; ln -s /run/lock "$tree/var/lock"; ln -s /proc/mounts "$tree/etc/mtab"
    cp "$(command -v busybox)" "$tree/usr/bin/busybox"
    for applet in $(busybox --list); do [ -e "$tree/usr/bin/$applet" ] || ln -s busybox "$tree/usr/bin/$applet"; done
    ln -s ../bin/busybox "$tree/usr/sbin/modprobe"  # where the kernel looks for it
    lab_place "$tree" "$(command -v bash)" /usr/bin/bash
    lab_place "$tree" "$(command -v flock)" /usr/bin/flock
    printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$tree/etc/passwd"
    printf 'root:x:0:\nkvm:x:104:\nnogroup:x:65534:\n' >"$tree/etc/group"
    printf '127.0.0.1 localhost\n' >"$tree/etc/hosts"
}
lab_common_modules=(virtio_pci 9p 9pnet_virtio loop isofs)
lab_network_modules=(bridge br_netfilter veth tun dummy 8021q macvlan nf_tables nft_chain_nat nft_masq nft_ct nft_compat nft_reject_inet nft_reject_bridge nft_meta_bridge nft_limit
    nft_log nft_nat nft_fib_inet nft_redir nf_conntrack nf_conntrack_bridge nf_conntrack_netlink xt_physdev nfnetlink_log sch_htb sch_ingress sch_fq_codel act_police cls_matchall)

lab_nested_qemu() {
    local tree=$1 file
    lab_place "$tree" "$(command -v qemu-system-x86_64)" /usr/bin/qemu-system-x86_64
    lab_place "$tree" "$(command -v qemu-img)" /usr/bin/qemu-img
    for file in /usr/lib/x86_64-linux-gnu/qemu/accel-tcg-x86_64.so /usr/lib/x86_64-linux-gnu/qemu/hw-display-virtio-*.so; do lab_place "$tree" "$file"; done
    lab_firmware "$tree"
}
lab_firmware() {
    local tree=$1 file
    for file in /usr/share/qemu/{kvmvapic,linuxboot,linuxboot_dma,multiboot,multiboot_dma,pvh}.bin /usr/share/qemu/keymaps/en-us /usr/share/seabios/*.bin /usr/lib/ipxe/qemu/*.rom; do
        [ ! -e "$file" ] || lab_place "$tree" "$file"
    done
}

# A Debian host with an IOMMU: its PCI devices can be given to guests of a nested QEMU.
lab_tree_of_vfio() {
    local tree=$1
    lab_common_tree "$tree"
    lab_nested_qemu "$tree"
    lab_modules "$tree" "${lab_common_modules[@]}" "${lab_network_modules[@]}" vfio_iommu_type1 vfio-pci e1000e e1000 igb virtio_net virtio-rng nvme xhci-pci ehci-pci uhci-hcd usb-storage usbhid
    lab_libraries "$tree"
}

# What a build machine's kernel may lack: VLANs, bonds, tunnels, device mapper, vhost.
lab_tree_of_kernel() {
    local tree=$1
    lab_common_tree "$tree"
    lab_modules "$tree" "${lab_common_modules[@]}" "${lab_network_modules[@]}" bonding wireguard dm-mod dm-crypt dm-snapshot dm-thin-pool dm-verity vhost_net vhost_scsi vhost_vsock \
        target_core_mod target_core_file target_core_iblock tcm_loop virtio_net virtio_blk nvme e1000e ext4 vfat ifb overlay
    lab_libraries "$tree"
}

# Xen with a Debian dom0: toolstack, device model for HVM domains and qcow2 disks.
lab_tree_of_xen() {
    local tree=$1 version utils program
    lab_common_tree "$tree"
    version=$(lab_xen_version)
    utils=$(lab_package "xen-utils-$version")/usr/lib/xen-$version
    mkdir -p "$tree/usr/lib/xen-$version/bin" "$tree/etc/xen" "$tree/usr/libexec"
    [ ! -d "$utils/boot" ] || cp -a "$utils/boot" "$tree/usr/lib/xen-$version/"
    for program in xl xenstored xenconsoled xenconsole xen-init-dom0 libxl-save-helper; do cp "$utils/bin/$program" "$tree/usr/lib/xen-$version/bin/"; done
    ln -s "../lib/xen-$version/bin/xl" "$tree/usr/bin/xl"
    cp -a "$(lab_package xen-utils-common)/etc/xen/." "$tree/etc/xen/"
    cp -a "$(lab_package xenstore-utils)/usr/bin/." "$tree/usr/bin/"
    cp "$(lab_package qemu-system-xen)/usr/libexec/xen-qemu-system-i386" "$tree/usr/libexec/"
    lab_place "$tree" "$(command -v qemu-img)" /usr/bin/qemu-img
    lab_firmware "$tree"
    lab_modules "$tree" "${lab_common_modules[@]}" "${lab_network_modules[@]}" xen-privcmd xen-evtchn xen-gntdev xen-gntalloc xenfs xen-blkback xen-netback xen-pciback nvme e1000e
    lab_libraries "$tree"
}

# A real Linux as guest of Xen, PV or PVH: Debian's cloud kernel and an initramfs that takes an address by DHCP. Two files in DIRECTORY.
lab_linux_guest() {
    local directory=$1 package version from tree module
    package=$(lab_behind linux-image-cloud-amd64)
    version=${package#linux-image-}
    from=$(lab_package "$package")
    [ -e "$from/lib/modules/$version/modules.dep" ] || depmod -b "$from" "$version"
    tree=$(mktemp -d "$lab_cache/tree.XXXXXX")
    mkdir -p "$tree"/{bin,sbin,proc,sys,dev,modules}
    cp "$(command -v busybox)" "$tree/bin/busybox"
    install -m 755 "$lab_here/guest/linux-init" "$tree/init"
    for module in xen-blkfront xen-netfront xen-pcifront nvme; do
        modprobe -d "$from" -S "$version" --show-depends "$module" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
    done | while IFS= read -r module; do
        cp "$module" "$tree/modules/"
        basename "$module" >>"$tree/modules/order"
    done
    mkdir -p "$directory"
    (cd "$tree" && find . | LC_ALL=C sort | cpio -o -H newc --quiet -R 0:0) >"$directory/linux.initrd"
    cp "$from/boot/vmlinuz-$version" "$directory/linux.kernel"
    rm -rf "$tree"
}

# lab_base NAME: the path of the base's archive, built when what it is made from changed.
lab_base() {
    local base=$1 digest archive tree packages version
    packages=$(lab_kernel_package)
    if [ "$base" = xen ]; then
        version=$(lab_xen_version)
        packages+=" xen-utils-$version xen-utils-common xenstore-utils qemu-system-xen"
    fi
    digest=$({ cat "$lab_here/images.sh"; for package in $packages; do lab_version "$package"; done
        dpkg-query -W qemu-system-x86 qemu-utils bash busybox-static libc6 2>/dev/null; } | sha256sum | cut -c1-16)
    archive=$lab_cache/$base-$digest.cpio
    if [ ! -e "$archive" ]; then
        echo "lab: building the base '$base' in $lab_cache" >&2
        tree=$(mktemp -d "$lab_cache/tree.XXXXXX")
        chmod 755 "$tree"
        trap "rm -rf '$tree'" EXIT  # of this subshell
        for package in $packages; do lab_package "$package" >/dev/null; done
        "lab_tree_of_$base" "$tree" >&2
        (cd "$tree" && find . | LC_ALL=C sort | cpio -o -H newc --quiet -R 0:0) >"$archive.new"
        rm -rf "$tree" "$lab_cache/$base"-*.cpio
        mv "$archive.new" "$archive"
    fi
    echo "$archive"
}
