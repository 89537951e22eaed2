/* Hashing: every algorithm in every instruction set that this CPU has, each worker on a block of
 * its own again and again. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/bench_team.h"
#include "hash/blake3_simd.h"
#include "hash/simd.h"

#define HASH_DEFAULT_NS (HSR_NS_PER_S / 2)
#define HASH_DEFAULT_BLOCK (1u << 20)
#define HASH_SLICE_BYTES (1u << 20) /* hashed between two looks at the clock: some 10 us */

enum hash_algorithm { HASH_XXH3_64, HASH_XXH3_128, HASH_ZERO, HASH_ALGORITHM_COUNT };

static const char *const hash_names[HASH_ALGORITHM_COUNT] = { "xxh3-64", "xxh3-128", "zeros" };

/* In this order: the digest of files as it is, the algorithms of XXH3's variants, BLAKE3's. */
struct hash_kind {
    const struct hsr_hash_variant *variant; /* NULL: the digest of a file, or BLAKE3 */
    enum hash_algorithm algorithm;
    const struct hsr_blake3_variant *blake3; /* NULL: another */
};

struct hash_job {
    struct hawser_bench_hash_opts opts;
    struct hash_kind kind;
};

struct hash_worker {
    struct hsr_team_worker base;
    struct hsr_mem mem;
};

static volatile uint64_t hash_sink; /* a result that nobody looks at would not be computed */

static bool hash_kind_get(unsigned index, struct hash_kind *ret_kind)
{
    const struct hsr_hash_variant *variants[HSR_HASH_VARIANTS_MAX];
    size_t count = hsr_hash_variants(variants);

    const struct hsr_blake3_variant *blake3[HSR_BLAKE3_VARIANTS_MAX];
    size_t blake3_count = hsr_blake3_variants(blake3);

    *ret_kind = (struct hash_kind){ 0 };
    if (index == 0)
        return true;
    index--;
    if (index < count * HASH_ALGORITHM_COUNT) {
        ret_kind->algorithm = (enum hash_algorithm)(index / count);
        ret_kind->variant = variants[index % count];
        return true;
    }
    index -= (unsigned)count * HASH_ALGORITHM_COUNT;
    if (index >= blake3_count)
        return false;
    ret_kind->blake3 = blake3[index];
    return true;
}

const char *hawser_bench_hash_name(uint32_t index, char *buf, size_t size)
{
    struct hash_kind kind;

    if (buf == NULL || size == 0 || !hash_kind_get(index, &kind))
        return NULL;
    if (kind.blake3 != NULL)
        (void)snprintf(buf, size, "blake3 %s", kind.blake3->name); /* cut when it does not fit */
    else if (kind.variant == NULL)
        (void)snprintf(buf, size, "digest %s", hsr_hash_simd());
    else
        (void)snprintf(buf, size, "%s %s", hash_names[kind.algorithm], kind.variant->name);
    return buf;
}

static int hash_prepare(struct hsr_team_worker *base)
{
    struct hash_worker *worker = hsr_container_of(base, struct hash_worker, base);
    const struct hash_job *job = base->team->job;
    struct hsr_prng prng = hsr_prng_init(1 + base->index);
    int rc = hsr_mem_map(&worker->mem, -1, job->opts.block);

    if (rc < 0)
        return rc;
    memset(worker->mem.ptr, 0, worker->mem.size);
    for (size_t at = 0; job->kind.algorithm != HASH_ZERO && at < job->opts.block;
         at += sizeof(uint64_t)) {
        uint64_t word = hsr_prng_next(&prng);

        memcpy((char *)worker->mem.ptr + at, &word, sizeof(word));
    }
    return 0;
}

static uint64_t hash_once(const struct hash_kind *kind, const void *bytes, size_t size)
{
    if (kind->blake3 != NULL) {
        struct hsr_blake3_mode mode = hsr_blake3_plain;
        uint64_t word;

        mode.variant = kind->blake3;
        hsr_blake3(&mode, bytes, size, (uint8_t *)&word, sizeof(word));
        return word;
    }
    if (kind->variant == NULL) {
        struct hsr_digest_run run;

        hsr_digest_run_init(&run, HSR_DIGEST_XXH3, HSR_DIGEST_LEAF_SIZE, 0);
        return hsr_digest_run_add(&run, bytes, size).low;
    }
    switch (kind->algorithm) {
    case HASH_XXH3_64:
        return kind->variant->hash64(bytes, size);
    case HASH_XXH3_128:
        return kind->variant->hash128(bytes, size).low;
    default:
        return kind->variant->is_zero(bytes, size);
    }
}

static int hash_work(struct hsr_team_worker *base)
{
    struct hash_worker *worker = hsr_container_of(base, struct hash_worker, base);
    const struct hash_job *job = base->team->job;
    uint32_t block = job->opts.block;
    uint64_t now = hsr_bench_now(), sum = 0;
    uint64_t deadline = job->opts.time_ns > 0 ? now + job->opts.time_ns : UINT64_MAX;
    uint64_t bytes = job->opts.bytes > 0 ? job->opts.bytes / base->team->count : UINT64_MAX;
    uint64_t done = 0;

    while (now < deadline && done < bytes && !hsr_team_stopped(base)) {
        uint64_t slice = 0, before = now, count;

        while (slice < HASH_SLICE_BYTES) {
            sum += hash_once(&job->kind, worker->mem.ptr, block);
            slice += block;
        }
        now = hsr_bench_now();
        count = slice / block;
        done += slice;
        base->operations += count;
        atomic_store_explicit(&base->bytes, done, memory_order_relaxed);
        /* A look at the clock costs as much as a small block: the mean of a slice stands for each,
         * so what is counted is slices. */
        hsr_histogram_add(&base->latency, (now - before) / count);
    }
    hash_sink = sum;
    hsr_team_done(base);
    return 0;
}

static void hash_fini(struct hsr_team_worker *base)
{
    hsr_mem_unmap(&hsr_container_of(base, struct hash_worker, base)->mem);
}

int hawser_bench_hash(hawser_client *client, const hawser_bench_hash_opts *opts,
                      hawser_bench_result *ret_result)
{
    static const struct hsr_team_ops ops = { .worker_size = sizeof(struct hash_worker),
                                             .prepare = hash_prepare,
                                             .work = hash_work,
                                             .fini = hash_fini };
    struct hash_job job = { 0 };
    const char *wrong = NULL;
    int rc;

    hsr_require(client != NULL, HSR_E_USAGE);
    rc = hsr_client_opts_copy(&job.opts, sizeof(job.opts), opts);
    hsr_client_begin(client, NULL, NULL, job.opts.context);
    if (rc < 0)
        return hsr_client_fail(client, rc, NULL, "options of a newer version");
    client->sample = job.opts.sample;
    job.opts.shards = job.opts.shards > 0 ? job.opts.shards : client->plan.shards;
    job.opts.block = job.opts.block > 0 ? job.opts.block : HASH_DEFAULT_BLOCK;
    if (job.opts.time_ns == 0 && job.opts.bytes == 0)
        job.opts.time_ns = HASH_DEFAULT_NS;
    if (ret_result == NULL)
        wrong = "room for the result";
    else if (!hash_kind_get(job.opts.kind, &job.kind))
        wrong = "kind: there is no such hash";
    else if (job.opts.shards > HSR_SHARDS_MAX)
        wrong = "shards: 1 to 256";
    else if (job.opts.block % HSR_CHUNK_SIZE_MIN != 0 || job.opts.block > HSR_CHUNK_SIZE_MAX)
        wrong = "block: 4 KiB to 4 MiB, a multiple of 4 KiB";
    else if (job.opts.time_ns > HSR_BENCH_TIME_MAX_NS || job.opts.bytes > HSR_BENCH_BYTES_MAX)
        wrong = "time: at most 10 minutes; size: at most 1 PiB";
    if (wrong != NULL)
        return hsr_client_fail(client, HSR_E_USAGE, NULL, "%s", wrong);
    rc = hsr_team_run(client, &ops, job.opts.shards, &job, NULL, ret_result);
    if (rc == 0)
        ret_result->chunk = job.opts.block;
    return rc;
}
