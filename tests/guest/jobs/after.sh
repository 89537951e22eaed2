# After a power cut: each name holds an old version or a new one, and the same command finishes.
mount -o ro "$disk_source" /source
check "the file system can be mounted" mount "$disk_target" /target
cd /target/tree
find . -type f ! -path '*/.hawser*' >/tmp/names
torn=0 old=0 new=0
while read -r name; do
    if [ -f "/source/next/$name" ] && cmp -s "$name" "/source/next/$name"; then new=$((new + 1))
    elif [ -f "/source/tree/$name" ] && cmp -s "$name" "/source/tree/$name"; then old=$((old + 1))
    else
        torn=$((torn + 1))
        [ $torn -gt 5 ] || echo "guest: note: neither old nor new: $name ($(stat -c %s "$name") bytes)"
    fi
done </tmp/names
lost=0
(cd /source/tree && find . -type f) >/tmp/names
while read -r name; do
    [ -e "/target/tree/$name" ] || [ ! -e "/source/next/$name" ] || lost=$((lost + 1))
done </tmp/names
cd /
text="$old old, $new new, $torn neither, $lost gone"
[ "$torn" = 0 ] && [ "$lost" = 0 ] && ok "every name holds a whole version: $text" || failed "$text"
if [ "$acknowledged" = 1 ]; then
    check "what was acknowledged is there" same /source/next /target/tree
fi
server_start
check "the same command again" hawser push --delete /source/next/ "$url/tree"
check "the trees are the same" same /source/next /target/tree
check "the server stops" server_stop
