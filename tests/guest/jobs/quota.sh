# Quotas of a project and of a user, on the file system that the host made: the limit is reached, it is raised, and
# the same command finishes. The server is a plain user, whom ext4 holds to his limits.
mount -o ro "$disk_source" /source
check "mount with quotas" mount -o "$quota" "$disk_target" /target
mkdir -p /etc && ln -sf /proc/mounts /etc/mtab

limit() { # kind id mebibytes: 0 is no limit; -f: xfs_quota takes other file systems, too
    xfs_quota -f -x -c "limit -$1 bhard=$3m $2" /target
}

contents() { # a b: the owners are not the same
    rsync -rltpHnic --delete "$1/" "$2/" >/tmp/differences 2>&1 || return 1
    [ ! -s /tmp/differences ] || { cat /tmp/differences; return 1; }
}

whole() { # each name holds a whole file
    (cd "$1" && find . -type f ! -path '*/.hawser*') >/tmp/names
    while read -r name; do
        cmp -s "$1/$name" "/source/tree/$name" || { echo "$name is a part"; return 1; }
    done </tmp/names
}

reached() { # what kind id folder
    mkdir "$4" && chown 1000:1000 "$4"
    [ "$2" != p ] || check "a project" xfs_quota -f -x -c "project -s -p $4 $3" /target
    check "$1: a limit" limit "$2" "$3" 8
    as="as-user --reuid 1000 --regid 1000 --clear-groups" server_start
    hawser push --no-owner /source/tree/ "$url/$(basename "$4")" >/tmp/out 2>&1
    code=$?
    # xfs says "no space" of a project
    if [ $code != 0 ] && grep -q -i -E 'quota exceeded|no space left' /tmp/out; then
        ok "$1: the push that reaches it says so (exit $code)"
    else
        failed "$1: the push that reaches it: exit $code"
        tail -n 15 /tmp/out | sed 's/^/  | /'
    fi
    check "$1: every name holds a whole file" whole "$4"
    check "$1: no limit any more" limit "$2" "$3" 0
    check "$1: the same command again" hawser push --no-owner /source/tree/ "$url/$(basename "$4")"
    check "$1: the contents are the same" contents /source/tree "$4"
    check "$1: the server stops" server_stop
    rm -rf "$4"
}

reached "quota of a project" p 42 /target/project
reached "quota of a user" u 1000 /target/user
umount /target
