# shellcheck shell=bash
# A kernel, its modules and small programs for guests, out of Debian packages that are downloaded and unpacked, never installed. Source it from a
# script of scripts/ after `root` is set to the repository; errors end the script, with a sentence that names it.
#
#   ${XDG_CACHE_HOME:-~/.cache}/evenode keeps the unpacked packages. Sets: cache, work (removed at the end), kernel_files, version, busybox.

me=$(basename "$0")
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/evenode
mkdir -p "$cache/debs"
exec 9>"$cache/lock"
flock 9
work=$(mktemp -d "$cache/work.XXXXXX")
trap 'rm -rf "$work"' EXIT

# --- packages, downloaded once a version ---
kernel_package() {
    apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/^ *Depends: *\(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1
}
kernel=$(kernel_package)
if [ -z "$kernel" ] && [ "$(id -u)" -eq 0 ] && ! ls -d "$cache"/debs/linux-image-[0-9]* >/dev/null 2>&1; then
    apt-get -q update >&2 || true
    kernel=$(kernel_package)
fi
if [ -z "$kernel" ]; then
    kernel=$(cd "$cache/debs" && ls -d linux-image-[0-9]* 2>/dev/null | tail -n 1 | sed 's/_.*//') || true
    [ -n "$kernel" ] || { echo "$me: apt knows no linux-image-amd64; run apt-get update" >&2; exit 1; }
fi
version=${kernel#linux-image-}
unpacked() {  # the directory that a package is unpacked in
    local package=$1 directory=$cache/debs/$1 deb
    if [ ! -e "$directory/.complete" ]; then
        rm -rf "$directory"
        mkdir -p "$directory"
        (cd "$work" && apt-get -q download "$package" >apt.log 2>&1) ||
            { cat "$work/apt.log" >&2; echo "$me: apt-get cannot download $package; is there a network? was apt-get update run?" >&2; exit 1; }
        deb=$(ls "$work/$package"_*.deb)
        dpkg-deb -x "$deb" "$directory"
        rm -f "$deb"
        touch "$directory/.complete"
    fi
    echo "$directory"
}
kernel_files=$(unpacked "$kernel")
busybox=$(unpacked busybox-static)/bin/busybox

# place_module TREE LIST MODULE: into TREE/modules, after the modules that it needs; TREE/modules/LIST names them in that order.
declare -A placed=()
modules=$kernel_files/lib/modules/$version/kernel
[ -d "$modules" ] || modules=$kernel_files/usr/lib/modules/$version/kernel
place_module() {
    local tree=$1 list=$2 name=${3//-/_} file needs need
    [ -z "${placed[$name]:-}" ] || return 0
    placed[$name]=1
    file=$(find "$modules" -name "${name//_/[-_]}.ko" | head -n 1)
    [ -n "$file" ] || return 0  # built in
    needs=$(tr '\0' '\n' <"$file" | grep -a '^depends=' | head -n 1 | cut -d= -f2)
    for need in ${needs//,/ }; do place_module "$tree" "$list" "$need"; done
    cp "$file" "$tree/modules/$name.ko"
    echo "$name.ko" >>"$tree/modules/$list"
}

# pack_tree TREE: the archive that the kernel unpacks into its first file system.
pack_tree() { (cd "$1" && find . | LC_ALL=C sort | cpio -o -H newc --quiet -R 0:0 --reproducible); }

# unpacked_kernel OUT: the kernel as a boot loader takes it, unpacked here once instead of at each boot by the guest (tests/guests/linux/jump.S).
unpacked_kernel() {
    local out=$1 packed setup_size segments first end address size
    packed=$kernel_files/boot/vmlinuz-$version
    number_at() { "$busybox" hexdump -s "$1" -n 4 -e '1/4 "%u"' "$packed"; }  # little endian, as this machine
    setup_size=$((($("$busybox" hexdump -s 497 -n 1 -e '1/1 "%u"' "$packed") + 1) * 512))
    dd if="$packed" of="$work/payload" iflag=skip_bytes,count_bytes bs=1M skip=$((setup_size + $(number_at 584))) count="$(number_at 588)" status=none
    case $("$busybox" hexdump -n 4 -e '4/1 "%02x"' "$work/payload") in
        fd377a58) xz -dc --single-stream <"$work/payload" >"$work/vmlinux" || true ;;  # a length follows the stream
        02214c18) lz4 -dcq <"$work/payload" >"$work/vmlinux" 2>/dev/null || true ;;
        *) echo "$me: $packed is packed in a way this script does not know" >&2; exit 1 ;;
    esac
    segments=$(readelf -lW "$work/vmlinux" | awk '$1 == "LOAD" {print $4, $6}')
    [ -n "$segments" ] || { echo "$me: $packed does not unpack to an ELF file" >&2; exit 1; }
    first='' end=0
    while read -r address size; do
        [ -n "$first" ] || first=$((address))
        [ $((address + size)) -le $end ] || end=$((address + size))
    done <<<"$segments"
    objcopy -O binary -R .comment -R .init.scratch "$work/vmlinux" "$work/kernel"
    truncate -s %4096 "$work/kernel"
    gcc -m32 -c -nostdlib -DKERNEL="$first" -DSIZE="$(stat -c %s "$work/kernel")" -DEND="$end" -o "$work/jump.o" "$root/tests/guests/linux/jump.S"
    ld -m elf_i386 -Ttext=0x100000 --oformat binary -o "$work/jump" "$work/jump.o"
    head -c "$setup_size" "$packed" >"$out"
    printf '\x00' | dd of="$out" bs=1 seek=564 conv=notrunc status=none  # not relocatable: loaded at 1 MiB
    cat "$work/jump" "$work/kernel" >>"$out"
}
