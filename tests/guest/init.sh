#!/bin/sh
# Process 1 of a guest: loads what the kernel has as modules, runs the job of the command line, powers off.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t devtmpfs none /dev
mount -t proc none /proc
mount -t sysfs none /sys
mount -t tmpfs none /run
mkdir -p /dev/shm && mount -t tmpfs none /dev/shm
for module in $(cat /modules/order); do
    insmod "/modules/$module.ko" 2>/dev/null || echo "guest: note: module $module does not load"
done
ip link set lo up 2>/dev/null || ifconfig lo 127.0.0.1 up
for word in $(cat /proc/cmdline); do
    case $word in
    *=*) export "$word" 2>/dev/null ;;
    esac
done
for i in 1 2 3 4 5 6 7 8 9 10; do # disks are found in the background; which is which says their serial
    for disk in /sys/block/*; do
        for file in "$disk/serial" "$disk/device/serial"; do
            [ -f "$file" ] || continue
            serial=$(cat "$file")
            export "disk_${serial%% *}=/dev/$(basename "$disk")"
        done
    done
    [ -b "$disk_source" ] && [ -b "$disk_target" ] && break
    sleep 0.3
done
echo "guest: kernel $(uname -r)"
. /jobs/lib.sh
. "/jobs/$job.sh"
echo "guest: end"
sync
poweroff -f
