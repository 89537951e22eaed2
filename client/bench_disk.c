/* The disk: reads and writes of a file without a name, through the same loop, buffers and
 * operations as those of a transfer. Each worker has a ring and a file of its own; what is measured
 * is between the first operation and the completion of the last, and syncing after it for itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "client/bench_team.h"
#include "ring/buf.h"
#include "ring/ring.h"

#define DISK_DEFAULT_BYTES (UINT64_C(1) << 30)
#define DISK_DEFAULT_DEPTH 4u
#define DISK_DEFAULT_BLOCK (1u << 20)
#define DISK_MEMORY_MAX (UINT64_C(1) << 30) /* all buffers together */
#define DISK_WORKERS_MAX 64u /* of the kernel, for a ring */
#define DISK_TMPFS 0x01021994

struct disk_job {
    struct hawser_bench_disk_opts opts; /* nothing is 0 by default any more, but time_ns */
    int dir_fd;
    uint64_t blocks; /* of a worker's file */
    bool memory; /* a tmpfs */
    uint64_t sync_ns; /* result: the longest */
};

struct disk_worker;

struct disk_io {
    struct hsr_op op;
    struct hsr_list node; /* worker->ready */
    struct disk_worker *worker;
    struct hsr_buf *buf;
    uint64_t offset;
    uint32_t done; /* of the block */
    uint64_t start_ns;
};

struct disk_worker {
    struct hsr_team_worker base;
    struct hsr_loop loop;
    struct hsr_mem mem;
    struct hsr_bufpool pool;
    struct hsr_task task;
    struct hsr_list ready; /* ios that have something to do next */
    struct disk_io *ios; /* depth */
    unsigned flying;
    uint64_t issued; /* blocks of this pass */
    uint64_t deadline_ns; /* UINT64_MAX: one pass */
    uint64_t sync_ns;
    uint64_t seed;
    int fd;
};

static int disk_prepare(struct hsr_team_worker *base);
static int disk_work(struct hsr_team_worker *base);
static void disk_fini(struct hsr_team_worker *base);
static int disk_open(struct disk_worker *worker);
static int disk_lay_out(struct disk_worker *worker);
static int disk_ring(struct disk_worker *worker);
static void disk_run(struct hsr_task *task);
static void disk_next(struct disk_io *io);
static void disk_submit(struct disk_io *io);
static void disk_done(struct hsr_op *op, int64_t res, unsigned flags);

static const struct hsr_team_ops disk_ops = {
    .worker_size = sizeof(struct disk_worker),
    .prepare = disk_prepare,
    .work = disk_work,
    .fini = disk_fini,
};

static struct disk_worker *disk_of(struct hsr_team_worker *base)
{
    return hsr_container_of(base, struct disk_worker, base);
}

static const struct disk_job *disk_job(const struct disk_worker *worker)
{
    return worker->base.team->job;
}

/* ---- the caller's side ---- */

static void disk_sum(void *context, const struct hsr_team_worker *base)
{
    struct disk_job *job = context;
    const struct disk_worker *worker = hsr_container_of(base, const struct disk_worker, base);

    job->sync_ns = HSR_MAX(job->sync_ns, worker->sync_ns);
}

/* Defaults in the gaps; then what cannot be. */
static int disk_check(struct hawser_client *client, struct disk_job *job)
{
    struct hawser_bench_disk_opts *opts = &job->opts;
    const char *wrong = NULL;

    opts->shards = opts->shards > 0 ? opts->shards : client->plan.shards;
    opts->depth = opts->depth > 0 ? opts->depth : DISK_DEFAULT_DEPTH;
    opts->block = opts->block > 0 ? opts->block : DISK_DEFAULT_BLOCK;
    opts->bytes = opts->bytes > 0 ? opts->bytes : DISK_DEFAULT_BYTES;
    job->blocks = opts->bytes / opts->shards / opts->block;
    if (opts->shards > HSR_SHARDS_MAX)
        wrong = "shards: 1 to 256";
    else if (opts->depth > HSR_DEPTH_MAX)
        wrong = "depth: 1 to 256 operations";
    else if (opts->block % HSR_CHUNK_SIZE_MIN != 0 || opts->block > HSR_CHUNK_SIZE_MAX)
        wrong = "block: 4 KiB to 4 MiB, a multiple of 4 KiB";
    else if (opts->time_ns > HSR_BENCH_TIME_MAX_NS)
        wrong = "time: at most 10 minutes";
    else if (opts->bytes > HSR_BENCH_BYTES_MAX || job->blocks == 0)
        wrong = "size: at least one block for each shard, at most 1 PiB";
    else if ((uint64_t)opts->shards * opts->depth * hsr_buf_stride(opts->block) > DISK_MEMORY_MAX)
        wrong = "more than 1 GiB of buffers: lower the block, the depth or the shards";
    return wrong == NULL ? 0 : hsr_client_fail(client, HSR_E_USAGE, NULL, "%s", wrong);
}

/* Half of what is free stays free. */
static int disk_room(struct hawser_client *client, struct disk_job *job, const char *path)
{
    struct statfs fs;
    uint64_t size = job->blocks * job->opts.block * job->opts.shards;

    if (fstatfs(job->dir_fd, &fs) < 0)
        return hsr_client_fail(client, -errno, path, "statfs: %s", hsr_err_text(-errno));
    job->memory = fs.f_type == DISK_TMPFS;
    if ((uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize / 2 < size)
        return hsr_client_fail(client, -ENOSPC, path,
                               "%llu MiB are wanted, and twice as much is not free",
                               (unsigned long long)(size / HSR_MIB));
    return 0;
}

int hawser_bench_disk(hawser_client *client, const char *path, const hawser_bench_disk_opts *opts,
                      hawser_bench_result *ret_result)
{
    struct disk_job job = { .dir_fd = -1 };
    int rc;

    hsr_require(client != NULL, HSR_E_USAGE);
    rc = hsr_client_opts_copy(&job.opts, sizeof(job.opts), opts);
    hsr_client_begin(client, NULL, NULL, job.opts.context);
    if (rc < 0)
        return hsr_client_fail(client, rc, NULL, "options of a newer version");
    if (path == NULL || ret_result == NULL)
        return hsr_client_fail(client, HSR_E_USAGE, NULL, "a directory and room for the result");
    client->sample = job.opts.sample;
    rc = disk_check(client, &job);
    if (rc < 0)
        return rc;
    job.dir_fd = hsr_paths_open_target(path, /* create= */ false, /* dry_run= */ false);
    if (job.dir_fd < 0)
        return hsr_client_fail(client, job.dir_fd, path, "%s", hsr_err_text(job.dir_fd));
    rc = disk_room(client, &job, path);
    if (rc == 0) {
        rc = hsr_team_run(client, &disk_ops, job.opts.shards, &job, disk_sum, ret_result);
        if (rc < 0)
            hsr_client_fail(client, rc, path, "%s%s", hsr_err_text(rc),
                            rc == -EINVAL && job.opts.direct ? " (no direct I/O here?)" : "");
    }
    if (rc == 0) {
        ret_result->depth = job.opts.depth;
        ret_result->chunk = job.opts.block;
        ret_result->sync_ns = job.sync_ns;
    }
    (void)close(job.dir_fd); /* a directory: nothing can be lost */
    return rc;
}

/* ---- a worker's preparation ---- */

static int disk_prepare(struct hsr_team_worker *base)
{
    struct disk_worker *worker = disk_of(base);
    int rc;

    worker->fd = -1;
    hsr_list_init(&worker->ready);
    rc = disk_ring(worker);
    if (rc == 0)
        rc = disk_open(worker);
    if (rc == 0)
        rc = disk_lay_out(worker);
    return rc;
}

static int disk_ring(struct disk_worker *worker)
{
    const struct hawser_bench_disk_opts *opts = &disk_job(worker)->opts;
    struct hsr_team_worker *base = &worker->base;
    const struct hsr_placement *placement = &base->team->client->placement;
    const struct hsr_place *place = &placement->shards[base->index % placement->count];
    bool pinned = base->team->client->pinned && placement->this_system;
    /* A worker for each operation, on any core: buffered I/O waits in them. */
    struct hsr_uring_options options = { .entries = 256,
                                         .iowq_max = HSR_MIN(opts->depth, DISK_WORKERS_MAX),
                                         .iowq_cpu = -1 };
    struct hsr_backend *backend = NULL;
    struct hsr_prng prng = hsr_prng_init(1 + base->index);
    char why[256];
    int rc = hsr_uring_create(&options, &backend, why, sizeof(why));

    if (rc == 0)
        rc = hsr_loop_init(&worker->loop, backend, base->index);
    if (rc == 0)
        rc = hsr_mem_map(&worker->mem, pinned ? place->node : -1,
                         opts->depth * hsr_buf_stride(opts->block));
    if (rc < 0)
        return rc;
    /* Zeros and repeated bytes are easier than files for some disks. */
    for (size_t at = 0; at < worker->mem.size; at += sizeof(uint64_t)) {
        uint64_t word = hsr_prng_next(&prng);

        memcpy((char *)worker->mem.ptr + at, &word, sizeof(word));
    }
    worker->seed = hsr_prng_next(&prng);
    rc = hsr_bufpool_init(&worker->pool, &worker->loop, worker->mem.ptr,
                          opts->depth * hsr_buf_stride(opts->block), opts->block,
                          /* want_registered= */ true);
    worker->ios = calloc(opts->depth, sizeof(worker->ios[0]));
    if (rc == 0 && worker->ios == NULL)
        rc = -ENOMEM;
    for (uint32_t i = 0; rc == 0 && i < opts->depth; i++) {
        worker->ios[i].worker = worker;
        worker->ios[i].buf = hsr_buf_take(&worker->pool, NULL);
        hsr_assert(worker->ios[i].buf != NULL); /* there are as many */
        hsr_list_init(&worker->ios[i].node);
    }
    hsr_task_init(&worker->task, "disk benchmark", disk_run);
    return rc;
}

/* A file that has no name from the start, or no more: whatever happens, nothing is left. */
static int disk_open(struct disk_worker *worker)
{
    worker->fd = hsr_paths_open_scratch(disk_job(worker)->dir_fd);
    return worker->fd < 0 ? worker->fd : 0;
}

/* What is read has been written and is not in memory; what is written has its place. */
static int disk_lay_out(struct disk_worker *worker)
{
    const struct disk_job *job = disk_job(worker);
    uint64_t size = job->blocks * job->opts.block;
    struct hsr_op op = { .kind = HSR_OP_FALLOCATE, .fd = worker->fd, .size = size };
    int64_t res = hsr_loop_call(&worker->loop, &op);

    if (res < 0 && res != -EOPNOTSUPP)
        return (int)res;
    for (uint64_t at = 0; !job->opts.write && at < size;) {
        op = (struct hsr_op){ .kind = HSR_OP_WRITE,
                              .fd = worker->fd,
                              .buf = worker->ios[0].buf->payload,
                              .size = HSR_MIN(job->opts.block, size - at),
                              .offset = at,
                              .buf_index = -1 };
        res = hsr_loop_call(&worker->loop, &op);
        if (res <= 0 || hsr_team_stopped(&worker->base))
            return res < 0 ? (int)res : HSR_E_CANCELED;
        at += (uint64_t)res;
    }
    op = (struct hsr_op){ .kind = HSR_OP_FSYNC, .fd = worker->fd };
    res = hsr_loop_call(&worker->loop, &op);
    if (res < 0)
        return (int)res;
    (void)posix_fadvise(worker->fd, 0, 0, POSIX_FADV_DONTNEED); /* a tmpfs stays in memory */
    (void)posix_fadvise(worker->fd, 0, 0,
                        job->opts.random ? POSIX_FADV_RANDOM : POSIX_FADV_SEQUENTIAL);
    if (job->opts.direct && fcntl(worker->fd, F_SETFL, O_DIRECT) < 0)
        return -errno;
    return 0;
}

static void disk_fini(struct hsr_team_worker *base)
{
    struct disk_worker *worker = disk_of(base);

    for (uint32_t i = 0; worker->ios != NULL && i < disk_job(worker)->opts.depth; i++)
        if (worker->ios[i].buf != NULL)
            hsr_buf_give(&worker->pool, worker->ios[i].buf);
    free(worker->ios);
    if (worker->fd >= 0)
        (void)close(worker->fd); /* nobody will read it */
    hsr_bufpool_fini(&worker->pool);
    hsr_loop_fini(&worker->loop);
    hsr_mem_unmap(&worker->mem);
}

/* ---- the measured part ---- */

static int disk_work(struct hsr_team_worker *base)
{
    struct disk_worker *worker = disk_of(base);
    const struct hawser_bench_disk_opts *opts = &disk_job(worker)->opts;
    struct hsr_op sync = { .kind = HSR_OP_FSYNC, .fd = worker->fd, .data_only = true };
    int64_t res = 0;

    worker->deadline_ns = opts->time_ns > 0 ? hsr_bench_now() + opts->time_ns : UINT64_MAX;
    for (uint32_t i = 0; i < opts->depth; i++)
        disk_next(&worker->ios[i]);
    if (worker->flying > 0)
        hsr_loop_run(&worker->loop);
    hsr_team_done(base);
    if (worker->base.rc == 0 && opts->write) {
        res = hsr_loop_call(&worker->loop, &sync);
        worker->sync_ns = hsr_bench_now() - base->end_ns;
    }
    return worker->base.rc < 0 ? worker->base.rc : res < 0 ? (int)res : 0;
}

static void disk_run(struct hsr_task *task)
{
    struct disk_worker *worker = hsr_container_of(task, struct disk_worker, task);
    struct hsr_list *node;

    while ((node = hsr_list_pop_head(&worker->ready)) != NULL) {
        struct disk_io *io = hsr_container_of(node, struct disk_io, node);

        if (io->done > 0 && io->done < disk_job(worker)->opts.block && worker->base.rc == 0)
            disk_submit(io); /* it came short: the rest */
        else
            disk_next(io);
    }
    if (worker->flying == 0)
        hsr_loop_stop(&worker->loop);
}

/* Number @i of a shuffled 0 .. count-1, each once: four rounds of a Feistel network over the next
 * even power of two; what lies beyond the count is shuffled again. */
static uint64_t disk_shuffle(uint64_t i, uint64_t count, uint64_t seed)
{
    unsigned half = 1;

    while ((UINT64_C(1) << (2 * half)) < count)
        half++;
    do {
        uint64_t mask = (UINT64_C(1) << half) - 1;
        uint64_t left = i >> half, right = i & mask;

        for (unsigned round = 0; round < 4; round++) {
            struct hsr_prng prng = hsr_prng_init(seed ^ (right << 8 | round));
            uint64_t next = left ^ (hsr_prng_next(&prng) & mask);

            left = right;
            right = next;
        }
        i = left << half | right;
    } while (i >= count);
    return i;
}

/* The next block, if there is one. Buffered reads read each once: again would be from memory. */
static void disk_next(struct disk_io *io)
{
    struct disk_worker *worker = io->worker;
    const struct disk_job *job = disk_job(worker);
    bool again = worker->deadline_ns != UINT64_MAX && (job->opts.write || job->opts.direct);

    if (worker->base.rc < 0 || hsr_team_stopped(&worker->base))
        return;
    if (worker->deadline_ns != UINT64_MAX && hsr_loop_clock(&worker->loop) >= worker->deadline_ns)
        return;
    if (worker->issued == job->blocks && again)
        worker->issued = 0;
    if (worker->issued == job->blocks)
        return;
    io->offset = (job->opts.random ? disk_shuffle(worker->issued, job->blocks, worker->seed)
                                   : worker->issued) *
                 job->opts.block;
    worker->issued++;
    io->done = 0;
    io->start_ns = hsr_loop_clock(&worker->loop);
    disk_submit(io);
}

static void disk_submit(struct disk_io *io)
{
    struct disk_worker *worker = io->worker;
    const struct disk_job *job = disk_job(worker);

    io->op = (struct hsr_op){ .kind = job->opts.write ? HSR_OP_WRITE : HSR_OP_READ,
                              .done = disk_done,
                              .fd = worker->fd,
                              .buf = io->buf->payload + io->done,
                              .size = job->opts.block - io->done,
                              .offset = io->offset + io->done,
                              .buf_index = io->buf->index,
                              .call = job->memory };
    worker->flying++;
    hsr_buf_lend(io->buf);
    hsr_loop_submit(&worker->loop, &io->op);
}

static void disk_done(struct hsr_op *op, int64_t res, unsigned flags)
{
    struct disk_io *io = hsr_container_of(op, struct disk_io, op);
    struct disk_worker *worker = io->worker;

    if (flags & HSR_CQE_MORE)
        return;
    worker->flying--;
    hsr_buf_return(io->buf);
    if (res <= 0 && worker->base.rc == 0)
        worker->base.rc = res < 0 ? (int)res : -EIO; /* a file of ours does not end early */
    if (res > 0) {
        io->done += (uint32_t)res;
        atomic_fetch_add_explicit(&worker->base.bytes, (uint64_t)res, memory_order_relaxed);
        if (io->done == disk_job(worker)->opts.block) {
            worker->base.operations++;
            hsr_histogram_add(&worker->base.latency, hsr_loop_clock(&worker->loop) - io->start_ns);
        }
    }
    hsr_list_push_tail(&worker->ready, &io->node);
    hsr_loop_wake(&worker->loop, &worker->task);
}
