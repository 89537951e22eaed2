# Push and pull, with each digest; what the plan and the doctor see of two nodes with a disk each.
mount -o ro "$disk_source" /source
mount "$disk_target" /target
hawserd --export data=/target --print-plan >/tmp/plan 2>&1
grep -q 'node' /tmp/plan && ok "the plan names nodes" || { failed "the plan names no node"; cat /tmp/plan; }
for disk in "$disk_source" "$disk_target"; do
    echo "guest: note: $disk is on node $(cat /sys/class/nvme/$(basename "${disk%n1}")/device/numa_node)"
done
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
check "the server stops" server_stop
