# The older tree, for power cuts on a file system that the host cannot fill without mounting it.
mount -o ro "$disk_source" /source
mount "$disk_target" /target
check "the older tree" cp -a /source/tree /target/
check "umount" umount /target
