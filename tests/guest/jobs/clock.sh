# The clock jumps back and forth, by seconds and by ten years, while data moves: nobody notices.
mount -o ro "$disk_source" /source
mount "$disk_target" /target
server_start

jump() { # seconds
    date -s "@$(($(date +%s) + $1))" >/dev/null && jumps=$((jumps + 1))
}

jumping() { # text command...
    text=$1
    shift
    jumps=0 start=$(cut -d. -f1 /proc/uptime)
    "$@" >/tmp/out 2>&1 &
    client=$!
    for by in 86400 -172800 7 315360000 -315273620 13 -3600 3600 -86400 86400 45 -45; do
        sleep 0.5
        kill -0 $client 2>/dev/null || break
        jump $by
    done
    if wait $client; then ok "$text"; else
        failed "$text"
        tail -n 15 /tmp/out | sed 's/^/  | /'
    fi
    took=$(($(cut -d. -f1 /proc/uptime) - start))
    [ $jumps -ge 5 ] && ok "$text: the clock jumped $jumps times in the middle" || failed "$text: only $jumps jumps"
    [ $took -lt 60 ] && ok "$text: it took $took s" || failed "$text: it took $took s"
}

jumping "push while the clock jumps" hawser push --bwlimit=2M /source/tree/ "$url/pushed"
check "the trees are the same, with all times" same /source/tree /target/pushed
mkdir /target/pulled
jumping "pull while the clock jumps" hawser pull --bwlimit=2M "$url/pushed/" /target/pulled
check "the trees are the same, with all times" same /source/tree /target/pulled
hawser push --bwlimit=2M --delta=on --delete /source/next/ "$url/pushed" >/tmp/out 2>&1 &
client=$!
sleep 2
kill -9 $client 2>/dev/null && ok "killed in the middle" || failed "the push ended before it was killed"
wait $client
jump -172800
check "two days before, the same command again" hawser push --delta=on --delete /source/next/ "$url/pushed"
check "the trees are the same, with all times" same /source/next /target/pushed
check "the server stops" server_stop
