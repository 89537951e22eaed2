/* XXH3 and the zero scan by instruction set, and the digest of a file by size of the piece. */
#include <stdlib.h>

#include "base/prng.h"
#include "base/util.h"
#include "bench/micro/rows.h"
#include "hash/digest.h"
#include "hash/simd.h"

#define HEADER_SIZE 48 /* what the check of a frame's header covers */

struct hash_state {
    const struct hsr_hash_variant *variant; /* NULL: the best, through digest.h */
    uint8_t *bytes;
    size_t size;
};

static const char *variant_find(const struct hsr_hash_variant *variant)
{
    const struct hsr_hash_variant *variants[HSR_HASH_VARIANTS_MAX];
    size_t count = hsr_hash_variants(variants);

    for (size_t i = 0; i < count; i++)
        if (variants[i] == variant)
            return NULL;
    return "this CPU does not have the instructions";
}

static const char *hash_open_zeros(const struct hsr_micro_row *row, void **ret_state)
{
    const struct hsr_hash_variant *variant = row->what;
    const char *why = variant != NULL ? variant_find(variant) : NULL;
    struct hash_state *state;

    if (why != NULL)
        return why;
    state = hsr_micro_alloc(sizeof(*state));
    *state = (struct hash_state){ variant, hsr_micro_alloc(row->size), row->size };
    *ret_state = state;
    return NULL;
}

static const char *hash_open(const struct hsr_micro_row *row, void **ret_state)
{
    const char *why = hash_open_zeros(row, ret_state);
    struct hsr_prng prng = hsr_prng_init(row->size);
    struct hash_state *state = *ret_state;

    if (why != NULL)
        return why;
    for (size_t i = 0; i < state->size; i++)
        state->bytes[i] = (uint8_t)hsr_prng_next(&prng);
    return NULL;
}

static void hash_close(void *state)
{
    free(((struct hash_state *)state)->bytes);
    free(state);
}

static void hash64_run(void *ctx, uint64_t times)
{
    const struct hash_state *state = ctx;

    while (times-- > 0)
        hsr_micro_keep(state->variant->hash64(state->bytes, state->size));
}

static void hash128_run(void *ctx, uint64_t times)
{
    const struct hash_state *state = ctx;

    while (times-- > 0)
        hsr_micro_keep(state->variant->hash128(state->bytes, state->size).low);
}

static void zero_run(void *ctx, uint64_t times)
{
    const struct hash_state *state = ctx;

    while (times-- > 0)
        hsr_micro_keep(state->variant->is_zero(state->bytes, state->size));
}

static void piece_run(void *ctx, uint64_t times)
{
    const struct hash_state *state = ctx;

    while (times-- > 0) {
        struct hsr_digest_run run;

        hsr_digest_run_init(&run, HSR_DIGEST_XXH3, HSR_DIGEST_LEAF_SIZE, 0);
        hsr_micro_keep(hsr_digest_run_add(&run, state->bytes, state->size).low);
    }
}

static void final_run(void *ctx, uint64_t times)
{
    struct hsr_digest_tree tree;
    uint8_t out[HSR_DIGEST_SIZE_MAX];

    (void)ctx;
    hsr_digest_tree_init(&tree, HSR_DIGEST_XXH3, HSR_DIGEST_LEAF_SIZE, NULL, 0);
    while (times-- > 0) {
        hsr_micro_keep((uint64_t)hsr_digest_tree_final(&tree, times, out));
        hsr_micro_clobber(out);
    }
}

/* one row of one variant; AVX-512 is unknown to callgrind, so it is timed only */
#define HASH(what_name, size_name, bytes_count, do_open, do_run, variant_name, is_counted)         \
    {                                                                                              \
        .name = what_name "/" #variant_name "/" size_name, .open = do_open, .run = do_run,         \
        .close = hash_close, .what = &hsr_hash_##variant_name, .size = (bytes_count),              \
        .bytes = (bytes_count), .counted = (is_counted)                                            \
    }

#define VARIANT(variant_name, is_counted)                                                          \
    HASH("hash64", "48", HEADER_SIZE, hash_open, hash64_run, variant_name, is_counted),            \
        HASH("hash64", "4K", 4096, hash_open, hash64_run, variant_name, is_counted),               \
        HASH("hash128", "64K", 65536, hash_open, hash128_run, variant_name, is_counted),           \
        HASH("hash128", "1M", 1 << 20, hash_open, hash128_run, variant_name, false),               \
        HASH("zero_scan", "64K", 65536, hash_open_zeros, zero_run, variant_name, is_counted)

/* the digest as the engine takes it, with the best variant */
#define PIECE(size_name, bytes_count, is_counted)                                                  \
    {                                                                                              \
        .name = "digest_run/xxh3/" size_name, .open = hash_open, .run = piece_run,                 \
        .close = hash_close, .size = (bytes_count), .bytes = (bytes_count),                        \
        .counted = (is_counted)                                                                    \
    }

static const struct hsr_micro_row rows[] = {
#if defined(__x86_64__)
    VARIANT(avx512, false),
    VARIANT(avx2, true),
    VARIANT(sse2, true),
#endif
    VARIANT(scalar, true),
    PIECE("512", 512, true),
    PIECE("4K", 4096, true),
    PIECE("64K", 65536, true),
    PIECE("256K", 262144, false),
    PIECE("1M", 1 << 20, false),
    PIECE("4M", 4 << 20, false),
    { .name = "digest_tree/xxh3/final",
      .open = hash_open,
      .run = final_run,
      .close = hash_close,
      .counted = true },
};

const struct hsr_micro_table hsr_micro_hash = { rows, HSR_ARRAY_COUNT(rows) };
