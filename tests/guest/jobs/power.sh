# A push that the host cuts the power of, somewhere. The source is /source/next, the target has /source/tree.
mount -o ro "$disk_source" /source
# Names are committed every second, whoever asks.
if [ "$fs" = xfs ]; then
    echo 100 >/proc/sys/fs/xfs/xfssyncd_centisecs
    mount "$disk_target" /target
else
    mount -o commit=1 "$disk_target" /target
fi
server_start
echo "guest: note: moving"
check "the push" hawser push --delete --delta=${delta:-off} ${bwlimit:+--bwlimit=$bwlimit} /source/next/ "$url/tree"
# Exit 0 of a durable push: from here on everything holds, whatever happens.
echo "guest: acknowledged"
sleep 30
