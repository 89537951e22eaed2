# Faults of the target's disk, made by the device mapper: errors, and slowness.
mount -o ro "$disk_source" /source
sectors=$(blockdev --getsz "$disk_target")
dmsetup create fault --table "0 $sectors linear $disk_target 0"
dmsetup mknodes # nobody else does it here
check "mount of a mapped disk" mount /dev/mapper/fault /target
server_start
check "a push before the fault" hawser push /source/tree/ "$url/before"
dmsetup suspend --noflush fault
dmsetup load fault --table "0 $sectors flakey $disk_target 0 0 3600 1 error_writes"
dmsetup resume fault
hawser push /source/tree/ "$url/broken" >/tmp/out 2>&1
code=$?
if [ $code != 0 ] && grep -q -i -E 'input/output error|read-only file system|no space' /tmp/out; then
    ok "a push to a disk that fails all writes says so (exit $code)"
else
    failed "a push to a disk that fails all writes: exit $code"
    tail -n 15 /tmp/out | sed 's/^/  | /'
fi
kill -TERM "$server"; wait "$server"
check "umount" umount /target
dmsetup suspend --noflush fault
dmsetup load fault --table "0 $sectors linear $disk_target 0"
dmsetup resume fault
check "the file system can be mounted again" mount /dev/mapper/fault /target
server_start
check "what was acknowledged before is there" same /source/tree /target/before
check "the push that failed, again" hawser push --delete /source/tree/ "$url/broken"
check "the trees are the same" same /source/tree /target/broken
dmsetup suspend fault
dmsetup load fault --table "0 $sectors delay $disk_target 0 20"
dmsetup resume fault
check "a push to a slow disk" hawser push --delete /source/next/ "$url/broken"
check "the trees are the same" same /source/next /target/broken
check "the server stops" server_stop
umount /target
dmsetup remove fault
