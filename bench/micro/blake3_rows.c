/* BLAKE3 by instruction set, and runs of both kinds of digest. Counted
 * rows name their kernel: callgrind does not know AVX-512. */
#include <stdlib.h>

#include "base/prng.h"
#include "base/util.h"
#include "bench/micro/rows.h"
#include "hash/blake3_simd.h"
#include "hash/digest.h"

struct blake3_state {
    struct hsr_blake3_mode mode;
    uint8_t *bytes;
    size_t size;
};

static struct blake3_state *state_new(size_t size)
{
    struct blake3_state *state = hsr_micro_alloc(sizeof(*state));
    struct hsr_prng prng = hsr_prng_init(size);

    *state = (struct blake3_state){ .mode = hsr_blake3_plain,
                                    .bytes = hsr_micro_alloc(size),
                                    .size = size };
    for (size_t i = 0; i < size; i++)
        state->bytes[i] = (uint8_t)hsr_prng_next(&prng);
    return state;
}

static const char *blake3_open(const struct hsr_micro_row *row, void **ret_state)
{
    const struct hsr_blake3_variant *variants[HSR_BLAKE3_VARIANTS_MAX];
    size_t count = hsr_blake3_variants(variants);
    struct blake3_state *state;

    for (size_t i = 0; i < count; i++) {
        if (variants[i] == row->what) {
            state = state_new(row->size);
            state->mode.variant = row->what;
            *ret_state = state;
            return NULL;
        }
    }
    return "this CPU does not have the instructions";
}

static const char *run_open(const struct hsr_micro_row *row, void **ret_state)
{
    *ret_state = state_new(row->size);
    return NULL;
}

static void blake3_close(void *ctx)
{
    struct blake3_state *state = ctx;

    free(state->bytes);
    free(state);
}

static void blake3_run(void *ctx, uint64_t times)
{
    const struct blake3_state *state = ctx;
    uint8_t out[HSR_BLAKE3_SIZE];

    while (times-- > 0) {
        hsr_blake3(&state->mode, state->bytes, state->size, out, sizeof(out));
        hsr_micro_clobber(out);
    }
}

/* Not the first piece of a file, whose halves wait for the root. */
static void piece_run(void *ctx, uint64_t times)
{
    const struct blake3_state *state = ctx;
    struct hsr_digest_run run;

    while (times-- > 0) {
        hsr_digest_run_init(&run, HSR_DIGEST_BLAKE3, HSR_DIGEST_LEAF_SIZE, 1u << 30);
        hsr_micro_keep(hsr_digest_run_add(&run, state->bytes, state->size).low);
    }
}

static void zeros_run(void *ctx, uint64_t times)
{
    const struct blake3_state *state = ctx;
    struct hsr_digest_run run;

    while (times-- > 0) {
        hsr_digest_run_init(&run, HSR_DIGEST_BLAKE3, HSR_DIGEST_LEAF_SIZE, 1u << 30);
        hsr_micro_keep(hsr_digest_run_zeros(&run, run.end + state->size, UINT64_MAX));
    }
}

#define BLAKE3(variant_name, size_name, bytes_count, is_counted)                                   \
    {                                                                                              \
        .name = "blake3/" #variant_name "/" size_name, .open = blake3_open, .run = blake3_run,     \
        .close = blake3_close, .what = &hsr_blake3_##variant_name, .size = (bytes_count),          \
        .bytes = (bytes_count), .counted = (is_counted)                                            \
    }

#define VARIANT(variant_name, is_counted)                                                          \
    BLAKE3(variant_name, "1K", 1 << 10, is_counted),                                               \
        BLAKE3(variant_name, "4K", 4 << 10, is_counted),                                           \
        BLAKE3(variant_name, "16K", 16 << 10, false),                                              \
        BLAKE3(variant_name, "64K", 64 << 10, is_counted),                                         \
        BLAKE3(variant_name, "1M", 1 << 20, false)

/* with the best variant */
#define RUN(how, do_run, size_name, bytes_count)                                                   \
    {                                                                                              \
        .name = "digest_run/" how "/" size_name, .open = run_open, .run = do_run,                  \
        .close = blake3_close, .size = (bytes_count), .bytes = (bytes_count)                       \
    }

static const struct hsr_micro_row rows[] = {
#if defined(__x86_64__)
    VARIANT(avx512, false),
    VARIANT(avx2, true),
    VARIANT(sse41, true),
#endif
    VARIANT(portable, true),
    RUN("blake3", piece_run, "64K", 64 << 10),
    RUN("blake3", piece_run, "256K", 256 << 10),
    RUN("blake3", piece_run, "1M", 1 << 20),
    RUN("zeros", zeros_run, "1M", 1 << 20),
};

const struct hsr_micro_table hsr_micro_blake3 = { rows, HSR_ARRAY_COUNT(rows) };
