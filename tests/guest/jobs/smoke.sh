# Push and pull, with each digest; what the plan and the doctor see of two nodes with a disk each.
mount -o ro "$disk_source" /source
mount "$disk_target" /target
hawserd --export data=/target --print-plan >/tmp/plan 2>&1
node() { cat "/sys/class/nvme/$(basename "${1%n1}")/device/numa_node"; }
planned() { # there is a shard on each node, and the first is where the target's disk is
    [ "$(node "$disk_source")" = 0 ] && [ "$(node "$disk_target")" = 1 ] &&
        grep -q '^shard 0: .*, node 1' /tmp/plan && grep -q '^shard 1: .*, node 0' /tmp/plan &&
        grep -q "^disk $(basename "$disk_target"): node 1, near shards 0" /tmp/plan
}
placed() { # the server's buffers: those of a shard are on its node, and nowhere else
    for node in 0 1; do
        grep "prefer:$node anon=" "/proc/$server/numa_maps" >/tmp/maps || return 1
        grep -q " N$node=[0-9][0-9][0-9]" /tmp/maps || return 1
        grep -q " N$((1 - node))=" /tmp/maps && return 1
    done
    return 0
}
planned && ok "the plan knows nodes and disks" || { failed "the plan:"; cat /tmp/plan; }
hawser doctor >/tmp/doctor 2>&1
case $? in 0|1) ok "doctor";; *) failed "doctor"; cat /tmp/doctor;; esac
server_start --bench
check "push" hawser push /source/tree/ "$url/pushed"
check "pushed is the same" same /source/tree /target/pushed
check "a second push changes nothing" hawser push /source/tree/ "$url/pushed"
check "push with blake3" hawser push --digest=blake3 /source/tree/ "$url/blake3"
check "that is the same" same /source/tree /target/blake3
mkdir /target/pulled
check "pull" hawser pull "$url/pushed/" /target/pulled
check "pulled is the same" same /source/tree /target/pulled
check "push of a new version by delta, with deletions" \
    hawser push --delta=on --delete /source/next/ "$url/pushed"
check "that is the same" same /source/next /target/pushed
check "verify" hawser verify /source/next/ "$url/pushed"
check "bench net" hawser bench net --size 64M "${url%/data}"
check "a buffered push" hawser push --io=buffered /source/tree/ "$url/buffered"
placed && ok "buffers are on their shards' nodes" || { failed "buffers are elsewhere:"; cat /tmp/maps; }
check "the server stops" server_stop
