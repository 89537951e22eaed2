"""What a disk holds after a power cut: writes since the last flush are lost, kept, or torn, in any combination.

The log has the format of the kernel's dm-log-writes (Documentation/admin-guide/device-mapper/log-writes.rst), which
qemu's blklogwrites writes: one sector that describes each write, then its data.
"""

import struct

SUPER = struct.Struct("<QQQI")
ENTRY = struct.Struct("<QQQQ")
MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
UNIT = 512  # of sector numbers


def entries(log):
    """(sector, bytes or None, flags) of each whole entry of the log's file."""
    with open(log, "rb") as file:
        magic, _, count, size = SUPER.unpack(file.read(SUPER.size))
        if magic != MAGIC:
            raise ValueError("no log of writes")
        place = size
        for _ in range(count):
            file.seek(place)
            head = file.read(ENTRY.size)
            if len(head) < ENTRY.size:
                return
            sector, sectors, flags, length = ENTRY.unpack(head)
            place += size
            data = None
            bytes_count = sectors * size
            if not flags & DISCARD and bytes_count:
                file.seek(place)
                data = file.read(bytes_count)
                if len(data) < bytes_count:
                    return
                place += bytes_count
            yield sector * size, data, flags


def replay(log, image, chance):
    """Apply to @image, which is as it was at the start, what a disk with a volatile cache would hold. @chance is a
    random.Random. Returns (writes kept for sure, writes that were at stake, of these kept whole or in part)."""
    everything = list(entries(log))
    last = max((i for i, (_, _, flags) in enumerate(everything) if flags & FLUSH), default=-1)
    sure = stake = kept = 0
    with open(image, "r+b") as file:
        for i, (offset, data, flags) in enumerate(everything):
            if data is None:
                continue
            if i <= last or flags & FUA:
                sure += 1
            else:
                stake += 1
                fate = chance.random()
                if fate < 0.5:
                    continue
                kept += 1
                if fate < 0.6:  # torn between two sectors
                    data = data[:UNIT * chance.randrange(1, max(2, len(data) // UNIT))]
            file.seek(offset)
            file.write(data)
    return sure, stake, kept
