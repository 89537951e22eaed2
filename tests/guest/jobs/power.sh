# A push that the host cuts the power of, somewhere. The source is /source/next, the target has /source/tree.
mount -o ro "$disk_source" /source
mount -o commit=1 "$disk_target" /target # the journal commits names every second, whoever asks
server_start
echo "guest: note: moving"
check "the push" hawser push --delete --delta=${delta:-off} /source/next/ "$url/tree"
# Exit 0 of a durable push: from here on everything holds, whatever happens.
echo "guest: acknowledged"
sleep 30
