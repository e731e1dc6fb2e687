# What a scenario may call. It is sourced: . /lab/lib.sh

lab_failures=0
# check "what must hold" COMMAND...: says so; a scenario goes on and lab_end reports.
check() {
    local what=$1
    shift
    if "$@"; then echo "ok: $what"; else echo "FAILED: $what ($*)"; lab_failures=$((lab_failures + 1)); fi
}
# The last line of a scenario.
lab_end() { [ $lab_failures -eq 0 ] || { echo "$lab_failures checks failed"; exit 1; }; echo "all checks hold"; exit 0; }

lab_uptime() { cut -d' ' -f1 /proc/uptime; }
# until_true SECONDS "what is waited for" COMMAND...
until_true() {
    local limit=$1 what=$2 now end=0
    shift 2
    until "$@" >/dev/null 2>&1; do
        read -r now _ </proc/uptime  # without a process: one that fails for want of memory is no reason to give up
        now=${now%.*}
        [ "$end" -gt 0 ] || end=$((now + limit))
        [ "$now" -lt "$end" ] || { echo "FAILED: waited $limit s for: $what"; return 1; }
        usleep 50000
    done
}

# ---- PCI ----

# The driver that a device is bound to, or nothing.
pci_driver() { local link; link=$(readlink "/sys/bus/pci/devices/$1/driver") && echo "${link##*/}"; }
# The IOMMU group of a device, or nothing.
pci_group() { local link; link=$(readlink "/sys/bus/pci/devices/$1/iommu_group") && echo "${link##*/}"; }
# Every device with its driver, override and group: to compare before and after.
pci_drivers() {
    local device
    for device in /sys/bus/pci/devices/*; do
        device=${device##*/}
        echo "$device driver=$(pci_driver "$device") override=$(cat "/sys/bus/pci/devices/$device/driver_override") group=$(pci_group "$device")"
    done
}

# ---- Xen ----

lab_store_answers() { timeout 2 xenstore-read -s / >/dev/null 2>&1 || timeout 2 xenstore-list -s / >/dev/null 2>&1; }
lab_xen_up() {
    xenstored --pid-file /run/xen/xenstored.pid || return 1
    until_true 10 "xenstored answers" lab_store_answers || return 1
    xen-init-dom0 >/dev/null
    xenconsoled --log=guest --pid-file=/run/xen/xenconsoled.pid
}
