# Faults of disks, made by the device mapper: errors in the middle of a transfer, and slowness.
disk_begin() { # name disk options...: /dev/mapper/NAME is the disk
    name=$1 disk=$2
    shift 2
    dmsetup create "$name" "$@" --table "0 $(blockdev --getsz "$disk") linear $disk 0"
    dmsetup mknodes # nobody else does it here
}

disk_becomes() { # name options, then the table behind "0 SECTORS"
    dmsetup suspend --noflush "$1"
    dmsetup load "$1" $2 --table "0 $(blockdev --getsz "/dev/mapper/$1") $3"
    dmsetup resume "$1"
}

arriving() { # folder: something has come
    for i in $(seq 100); do
        [ -n "$(ls "$1" 2>/dev/null)" ] && break
        sleep 0.1
    done
    sleep 1
    kill -0 "$client" 2>/dev/null && ok "the fault comes in the middle" || failed "it ended before the fault"
}

says() { # text words: how the client ended
    wait "$client"
    code=$?
    if [ $code != 0 ] && grep -q -i -E "$2" /tmp/moved; then
        ok "$1 says so (exit $code)"
    else
        failed "$1: exit $code"
        tail -n 15 /tmp/moved | sed 's/^/  | /'
    fi
}

whole() { # folder: each name in it holds a whole file
    (cd "$1" && find . -type f ! -path '*/.hawser*') >/tmp/names
    while read -r name; do
        cmp -s "$1/$name" "/source/tree/$name" || { echo "$name is a part"; return 1; }
    done </tmp/names
}

disk_begin reads "$disk_source" --readonly
disk_begin fault "$disk_target"
mount -o ro /dev/mapper/reads /source
check "mount of a mapped disk" mount /dev/mapper/fault /target
server_start
check "a push before the fault" hawser push /source/tree/ "$url/before"

hawser push --bwlimit=2M /source/tree/ "$url/broken" >/tmp/moved 2>&1 &
client=$!
arriving /target/broken
disk_becomes fault "" "flakey $disk_target 0 0 3600 1 error_writes"
says "a push to a disk that begins to fail all writes" 'input/output error|read-only file system|no space'
kill -TERM "$server"; wait "$server"
check "umount" umount /target
disk_becomes fault "" "linear $disk_target 0"
check "the file system can be mounted again" mount /dev/mapper/fault /target
check "every name holds a whole file" whole /target/broken
server_start
check "what was acknowledged before is there" same /source/tree /target/before
check "the push that failed, again" hawser push --delete /source/tree/ "$url/broken"
check "the trees are the same" same /source/tree /target/broken

echo 3 >/proc/sys/vm/drop_caches
hawser push --bwlimit=2M /source/tree/ "$url/half" >/tmp/moved 2>&1 &
client=$!
arriving /target/half
disk_becomes reads --readonly error
says "a push from a disk that begins to fail all reads" 'input/output error'
disk_becomes reads --readonly "linear $disk_source 0"
umount /source
check "the source can be mounted again" mount -o ro /dev/mapper/reads /source
check "every name holds a whole file" whole /target/half
check "the push that failed, again" hawser push --delete /source/tree/ "$url/half"
check "the trees are the same" same /source/tree /target/half

disk_becomes fault "" "delay $disk_target 0 20"
check "a push to a slow disk" hawser push --delete /source/next/ "$url/broken"
check "the trees are the same" same /source/next /target/broken
check "the server stops" server_stop
umount /target
dmsetup remove fault
