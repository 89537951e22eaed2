/* Kernel interfaces newer than the headers of Debian 12 (kernel 6.1, liburing 2.3). Every name is
 * probed at run time before it is used. liburing brings its own <linux/io_uring.h> under the same
 * include guard as the kernel's, so the kernel's must never be included beside it. */
#ifndef HSR_RING_UAPI_H
#define HSR_RING_UAPI_H

#include <stdint.h>
#include <sys/syscall.h>

/* io_uring_setup(2) */
#ifndef IORING_SETUP_NO_SQARRAY /* 6.6 */
#define IORING_SETUP_NO_SQARRAY (1u << 16)
#endif

/* io_uring_params.features */
#ifndef IORING_FEAT_RECVSEND_BUNDLE /* 6.10 */
#define IORING_FEAT_RECVSEND_BUNDLE (1u << 14)
#endif
#ifndef IORING_FEAT_MIN_TIMEOUT /* 6.12 */
#define IORING_FEAT_MIN_TIMEOUT (1u << 15)
#endif
#ifndef IORING_FEAT_NO_IOWAIT /* 6.15 */
#define IORING_FEAT_NO_IOWAIT (1u << 17)
#endif

/* io_uring_enter(2) */
#ifndef IORING_ENTER_NO_IOWAIT /* 6.15 */
#define IORING_ENTER_NO_IOWAIT (1u << 7)
#endif

/* io_uring_sqe.ioprio of SEND_ZC, and the result of its notice */
#ifndef IORING_SEND_ZC_REPORT_USAGE /* 6.2 */
#define IORING_SEND_ZC_REPORT_USAGE (1u << 3)
#define IORING_NOTIF_USAGE_ZC_COPIED (1u << 31)
#endif

/* madvise(2) */
#ifndef MADV_COLLAPSE /* 6.1 */
#define MADV_COLLAPSE 25
#endif

/* preadv2(2), pwritev2(2) */
#ifndef RWF_DONTCACHE /* 6.14; each file system may refuse it with EOPNOTSUPP */
#define RWF_DONTCACHE 0x80
#endif

/* statx(2) */
#ifndef STATX_DIOALIGN /* 6.1 */
#define STATX_DIOALIGN 0x2000u
#endif

/* The numbers are the same on every architecture since 5.1. */
#ifndef SYS_cachestat /* 6.5 */
#define SYS_cachestat 451
#endif
#ifndef SYS_fchmodat2 /* 6.6 */
#define SYS_fchmodat2 452
#endif
#ifndef SYS_setxattrat /* 6.13, and the three after it */
#define SYS_setxattrat 463
#endif
#ifndef SYS_getxattrat
#define SYS_getxattrat 464
#endif
#ifndef SYS_listxattrat
#define SYS_listxattrat 465
#endif
#ifndef SYS_removexattrat
#define SYS_removexattrat 466
#endif

/** struct cachestat_range and struct cachestat of cachestat(2). */
struct hsr_cachestat_range {
    uint64_t offset; /* bytes */
    uint64_t size; /* bytes; 0: to the end of the file */
};
struct hsr_cachestat {
    uint64_t cached; /* all in pages */
    uint64_t dirty;
    uint64_t writeback;
    uint64_t evicted;
    uint64_t recently_evicted;
};

/** Where the kernel puts the two answers to STATX_DIOALIGN: glibc 2.36 has no names for them. */
#define HSR_STATX_DIO_MEM_OFFSET                                                                   \
    0x98u /* uint32_t: alignment of memory, bytes; 0: no direct I/O                                \
           */
#define HSR_STATX_DIO_FILE_OFFSET 0x9cu /* uint32_t: of offsets and sizes */

/** STATX_MNT_ID_UNIQUE (Linux 6.8): a mount's number that no later one gets. */
#define HSR_STATX_MNT_ID_UNIQUE 0x00004000u

/** struct xattr_args of setxattrat(2) and getxattrat(2). */
struct hsr_xattr_args {
    uint64_t value __attribute__((aligned(8))); /* address */
    uint32_t size; /* bytes */
    uint32_t flags; /* XATTR_x */
};

#endif
