/* Huge pages for a new file in a tmpfs. Its pages are made by the writes, 4 KiB at a time and under
 * the file's lock, which costs more than copying the data; and the mount option that
 * changes this (huge=) is seldom set. MADV_COLLAPSE (Linux 6.1) makes a huge page of a piece of any
 * file in a tmpfs, without that lock, where a part of it exists already; what does not becomes
 * zeros. */
#ifndef HSR_RING_HUGE_H
#define HSR_RING_HUGE_H

#include <stdint.h>

#include "base/util.h"

#define HSR_HUGE_SIZE (2 * HSR_MIB)

/** Give the pieces of HSR_HUGE_SIZE in [offset, offset + size) memory of one huge page each. What
 * is in the file stays, and its size too. Others may read and write it meanwhile.
 * @param fd      a file in a tmpfs, open for writing, at least offset + size bytes long
 * @param offset  a multiple of HSR_HUGE_SIZE, as is @size
 * @return 0; -1 with errno: not for all of them, or no more of them. EAGAIN: somebody was in the
 *         way of a piece. */
int hsr_huge_make(int fd, uint64_t offset, uint64_t size);

#endif
