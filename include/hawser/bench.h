/* Hawser's benchmarks: the parts that a transfer is made of, measured by what transfers use. What
 * hawser/hawser.h says of errors, structures and threads holds here too. See libhawser(3). */
#ifndef HAWSER_BENCH_H
#define HAWSER_BENCH_H

#include "hawser/hawser.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How long something took, over many times. All zero when it was not measured. */
typedef struct hawser_latency {
    uint64_t count;
    uint64_t least_ns;
    uint64_t mean_ns;
    uint64_t p50_ns; /* half of them took at most so long; at most 1.6 % above the exact one */
    uint64_t p90_ns;
    uint64_t p99_ns;
    uint64_t p999_ns;
    uint64_t greatest_ns;
} hawser_latency;

/** What is timed on each side of a benchmark over the network. The first ones are the states of a
 * chunk: how long it stays in each, every time (of chunks under 64 KiB, of one in eight). */
enum hawser_time {
    HAWSER_TIME_IDLE = 0, /* there was no work for it, or no buffer */
    HAWSER_TIME_READING = 1, /* source: it was read, and hashed */
    HAWSER_TIME_MATCHING = 2, /* source: it was compared with an older version */
    HAWSER_TIME_READY = 3, /* source: it waited for its turn to be sent */
    HAWSER_TIME_SENDING = 4, /* source: its one send */
    HAWSER_TIME_LINGERING = 5, /* source: sent; the kernel still held the memory (zero copy) */
    HAWSER_TIME_RECEIVING = 6, /* target: from its header to its end, and hashed */
    HAWSER_TIME_WAITING = 7, /* target: to be allowed to be written */
    HAWSER_TIME_MAKING = 8, /* target: it was made from an older version */
    HAWSER_TIME_WRITING = 9, /* target: until it was written */
    HAWSER_TIME_CHUNK = 10, /* all of these but the first: its whole way */
    HAWSER_TIME_READ = 11, /* one read of a large file */
    HAWSER_TIME_WRITE = 12, /* one write of a large file */
    HAWSER_TIME_RECEIVE = 13 /* one receive with room for content; it waits for the peer, too */
};
#define HAWSER_TIME_COUNT 14
#define HAWSER_CORES_MAX 32 /* threads that are told of */

/** "sending"; static, also for numbers that there are not. Any thread. Since 0.1. */
HAWSER_API const char *hawser_time_name(enum hawser_time time);

/** What one thread used while a benchmark ran; nanoseconds. */
typedef struct hawser_core_use {
    int32_t core; /* that it is pinned to; -1: none */
    uint64_t elapsed_ns;
    uint64_t cpu_ns; /* it ran */
    uint64_t help_ns; /* threads beside it ran, for calls that take long; not in cpu_ns */
    /* parts of cpu_ns; the rest is the network and everything else */
    uint64_t hash_ns; /* digests of large files, or of what a benchmark sends */
    uint64_t files_ns; /* walk, decisions, small files, metadata, names */
    uint64_t disk_ns; /* reads and writes of large files at memory speed */
} hawser_core_use;

/** One side of a benchmark over the network. */
typedef struct hawser_bench_side {
    uint64_t cpu_ns; /* of the process, kernel included */
    uint64_t zc_sent_bytes; /* by zero-copy sends */
    uint64_t zc_copied_bytes; /* of these: copied by the kernel all the same */
    uint64_t zc_downgrades; /* connections that stopped them */
    hawser_latency times[HAWSER_TIME_COUNT]; /* by enum hawser_time */
    uint32_t core_count; /* of cores[] */
    hawser_core_use cores[HAWSER_CORES_MAX];
} hawser_bench_side;

/** How far a benchmark has come. Valid during the callback only. */
typedef struct hawser_bench_sample {
    uint64_t elapsed_ns;
    uint64_t bytes; /* so far */
    uint64_t cpu_ns; /* of this process, so far */
} hawser_bench_sample;

/** Called about ten times a second, on the client's threads, as hawser_event_fn. */
typedef void hawser_bench_fn(void *context, const hawser_bench_sample *sample);

/** What a benchmark measured. What does not apply, or is not known, is 0. */
typedef struct hawser_bench_result {
    uint64_t bytes;
    uint64_t operations; /* chunks, reads, writes, blocks hashed */
    uint64_t files; /* path */
    uint64_t elapsed_ns;
    uint64_t cpu_ns; /* of this process, kernel included */
    uint64_t peer_cpu_ns; /* of the server's */
    uint64_t sync_ns; /* disk, writes: how long fdatasync(2) took after them */
    hawser_latency latency; /* of one operation; path: of a chunk here, until it was sent */
    hawser_bench_side here, there; /* net, path */
    uint32_t shards; /* threads that worked */
    uint32_t streams; /* in force, as those below */
    uint32_t depth;
    uint32_t chunk; /* bytes */
    bool verified; /* every chunk was hashed on both sides, and compared */
    bool pinned; /* to a core each */
    char congestion[16]; /* congestion control of the side that sent; "": not known */
} hawser_bench_result;

/** What to measure between this machine's memory and the server's. */
typedef struct hawser_bench_net_opts {
    size_t size;
    hawser_bench_fn *sample; /* may be NULL */
    void *context; /* of `sample` */
    uint64_t time_ns; /* at most 10 minutes. It ends when this or `bytes` is reached; */
    uint64_t bytes; /* both 0: after 5 s */
    uint32_t streams; /* 0: the client's */
    uint32_t depth; /* chunks of a stream sent and not acknowledged, 1..256; 0: 16 */
    uint32_t chunk; /* bytes, a multiple of 4 KiB, at most the client's; 0: the client's */
    bool download; /* the server sends */
    bool no_verify; /* nothing is hashed, as other network benchmarks do */
    bool no_ack; /* only the end is acknowledged: no depth, no latency */
    enum hawser_zero_copy zero_copy; /* of what is sent from here */
} hawser_bench_net_opts;

/** Measure the network, memory to memory: the same connections, frames, buffers and checks as a
 * transfer, without files. The latency is that of a chunk from its send until its acknowledgement
 * has come back.
 *
 * @param server      HOST[:PORT], or a URL, of which the rest is ignored; borrowed
 * @param opts        NULL: defaults; borrowed for the call
 * @param ret_result  written on success only
 * @return 0; HAWSER_E_DENIED: the server allows no benchmarks; HAWSER_E_USAGE, and others as
 * hawser_push(). Blocks. Since 0.1. */
HAWSER_API int hawser_bench_net(hawser_client *client, const char *server,
                                const hawser_bench_net_opts *opts, hawser_bench_result *ret_result);

/** What to measure of a path from disk to disk. */
typedef struct hawser_bench_path_opts {
    size_t size;
    hawser_bench_fn *sample; /* may be NULL */
    void *context; /* of `sample` */
    bool discard; /* the server verifies and drops: the disk here, the network, the checks */
    enum hawser_zero_copy zero_copy;
} hawser_bench_path_opts;

/** Measure a push as it is, with its walk, checks, names and syncs: what hawser_push() does with
 * its defaults. It leaves the copy at @url, unless it is discarded.
 *
 * @param source      what to push; borrowed
 * @param url         where to; borrowed
 * @param opts        NULL: defaults; borrowed for the call
 * @param ret_result  written on success only
 * @return as hawser_push(); HAWSER_E_DENIED: the server does not allow `discard`. Blocks. Since
 * 0.1.
 */
HAWSER_API int hawser_bench_path(hawser_client *client, const char *source, const char *url,
                                 const hawser_bench_path_opts *opts,
                                 hawser_bench_result *ret_result);

/** What to measure of a disk. */
typedef struct hawser_bench_disk_opts {
    size_t size;
    hawser_bench_fn *sample; /* may be NULL */
    void *context; /* of `sample` */
    uint64_t time_ns; /* at most 10 minutes; 0: until `bytes` are done */
    uint64_t bytes; /* of the files together; 0: 1 GiB */
    uint32_t shards; /* threads with a ring and a file each; 0: the client's */
    uint32_t depth; /* operations of a shard at once, 1..256; 0: 4 */
    uint32_t block; /* bytes of one, 4 KiB..4 MiB, a multiple of 4 KiB; 0: 1 MiB */
    bool write; /* else read */
    bool random; /* in an order that is none, each block once; else from the start to the end */
    bool direct; /* past the page cache (O_DIRECT) */
} hawser_bench_disk_opts;

/** Measure reads or writes of files in directory @path, which have no name and are gone afterwards,
 * whatever happens. They are read after their pages were dropped from memory; a tmpfs is memory.
 * With `time_ns` they are gone through again and again, but for buffered reads, which would come
 * from memory then. At most half of what is free is used.
 *
 * @param path        an existing directory; borrowed
 * @param opts        NULL: defaults; borrowed for the call
 * @param ret_result  written on success only; the latency is that of one operation
 * @return 0; HAWSER_E_USAGE; -ENOSPC: less than twice the size is free; -EINVAL: no direct I/O
 * there; HAWSER_E_CANCELED; -errno. Blocks. Since 0.1. */
HAWSER_API int hawser_bench_disk(hawser_client *client, const char *path,
                                 const hawser_bench_disk_opts *opts,
                                 hawser_bench_result *ret_result);

/** What to measure of hashing. */
typedef struct hawser_bench_hash_opts {
    size_t size;
    hawser_bench_fn *sample; /* may be NULL */
    void *context; /* of `sample` */
    uint64_t time_ns; /* at most 10 minutes; this and `bytes` both 0: half a second */
    uint64_t bytes; /* 0: until the time is over */
    uint32_t shards; /* threads; 0: the client's */
    uint32_t block; /* bytes hashed at once, 4 KiB..4 MiB, a multiple of 4 KiB; 0: 1 MiB */
    uint32_t kind; /* which: see hawser_bench_hash_name() */
} hawser_bench_hash_opts;

/** Name of a hash that this CPU can do, such as "xxh3-128 avx512"; 0 is the digest of files as
 * transfers use it.
 * @param buf  room for @size bytes (32 suffice); always NUL-ended
 * @return @buf, or NULL: there is no such number, nor any above it. Any thread. Since 0.1. */
HAWSER_API const char *hawser_bench_hash_name(uint32_t kind, char *buf, size_t size);

/** Measure hashing. The latency is that of a block, the mean of each some 1 MiB.
 * @param opts        NULL: defaults; borrowed for the call
 * @param ret_result  written on success only
 * @return 0; HAWSER_E_USAGE; HAWSER_E_CANCELED; -errno. Blocks. Since 0.1. */
HAWSER_API int hawser_bench_hash(hawser_client *client, const hawser_bench_hash_opts *opts,
                                 hawser_bench_result *ret_result);

#ifdef __cplusplus
}
#endif

#endif
