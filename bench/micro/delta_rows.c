/* Deltas: sums of blocks by instruction set, the lookup, rolling, and whole regions matched with a
 * base of 4,096 blocks of 4 KiB, of which they are equal, 1 % of blocks apart, shifted by 100
 * bytes, zeros, or nothing known. */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "bench/micro/rows.h"
#include "transfer/delta/match.h"
#include "transfer/delta/scan.h"
#include "transfer/delta/weak.h"
#include "transfer/delta/weak_simd.h"

#define BLOCK 4096u
#define BASE_SIZE ((size_t)16 << 20)
#define SHIFT 100u

enum delta_content { EQUAL, PERCENT, SHIFTED, ZEROS, DIFFERENT };

struct delta_state {
    const struct hsr_weak_variant *variant;
    struct hsr_delta_plan plan;
    struct hsr_delta_key key;
    struct hsr_delta_index index;
    struct hsr_match match;
    uint8_t *fresh; /* BASE_SIZE + BLOCK bytes */
    uint8_t *sums;
    void *memory;
    uint8_t *seam;
    struct hsr_patch_item *items;
    size_t size;
    size_t at;
};

static void random_fill(uint8_t *bytes, size_t size, uint64_t seed)
{
    struct hsr_prng prng = hsr_prng_init(seed);

    for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
        uint64_t word = hsr_prng_next(&prng);
        memcpy(bytes + i, &word, sizeof(word));
    }
}

/* Random bytes, their signature and index. */
static struct delta_state *delta_make(size_t size)
{
    static const uint8_t secret[HSR_DELTA_KEY_SIZE];
    struct delta_state *state = hsr_micro_alloc(sizeof(*state));
    int rc;

    *state = (struct delta_state){ .fresh = hsr_micro_alloc(BASE_SIZE + BLOCK), .size = size };
    random_fill(state->fresh, BASE_SIZE, 1);
    rc = hsr_delta_plan_make(BASE_SIZE, BASE_SIZE, BLOCK, &state->plan);
    hsr_assert(rc == 0);
    hsr_delta_key_init(&state->key, secret);
    state->sums = hsr_micro_alloc(hsr_delta_signature_size(&state->plan));
    hsr_delta_sign(&state->plan, &state->key, state->fresh, BASE_SIZE, 0, state->sums);
    state->memory = hsr_micro_alloc(hsr_delta_index_size(&state->plan));
    state->seam = hsr_micro_alloc(hsr_match_seam_size(&state->plan));
    state->items = hsr_micro_alloc(HSR_PATCH_ITEMS_MAX * sizeof(*state->items));
    return state;
}

static void index_make(struct delta_state *state)
{
    int rc;

    hsr_delta_index_init(&state->index, &state->plan, state->memory);
    rc = hsr_delta_index_put(&state->index, 0, state->sums,
                             (size_t)hsr_delta_signature_size(&state->plan));
    hsr_assert(rc == 0);
    while (!hsr_delta_index_build(&state->index, BLOCK))
        ;
}

static const char *delta_open(const struct hsr_micro_row *row, void **ret_state)
{
    *ret_state = delta_make(row->size);
    return NULL;
}

static const char *weak_open(const struct hsr_micro_row *row, void **ret_state)
{
    const struct hsr_weak_variant *variants[HSR_WEAK_VARIANTS_MAX];
    size_t count = hsr_weak_variants(variants);
    struct delta_state *state;

    for (size_t i = 0; i < count; i++)
        if (variants[i] == row->what) {
            state = delta_make(row->size);
            state->variant = row->what;
            *ret_state = state;
            return NULL;
        }
    return "this CPU does not have the instructions";
}

static const char *match_open(const struct hsr_micro_row *row, void **ret_state)
{
    struct delta_state *state = delta_make(row->size);
    uint8_t *fresh = state->fresh;

    index_make(state);
    switch (*(const enum delta_content *)row->what) {
    case EQUAL:
        break;
    case PERCENT:
        for (size_t at = 0; at < BASE_SIZE; at += 100 * BLOCK)
            random_fill(fresh + at + 7 * BLOCK, BLOCK, at + 2);
        break;
    case SHIFTED:
        memmove(fresh + SHIFT, fresh, BASE_SIZE);
        break;
    case ZEROS:
        memset(fresh, 0, BASE_SIZE);
        break;
    case DIFFERENT:
        random_fill(fresh, BASE_SIZE, 99);
        break;
    }
    *ret_state = state;
    return NULL;
}

static void delta_close(void *ctx)
{
    struct delta_state *state = ctx;

    free(state->fresh);
    free(state->sums);
    free(state->memory);
    free(state->seam);
    free(state->items);
    free(state);
}

static void weak_run(void *ctx, uint64_t times)
{
    const struct delta_state *state = ctx;

    while (times-- > 0)
        hsr_micro_keep(state->variant->groups(state->fresh, state->size / HSR_WEAK_GROUP));
}

static void sign_run(void *ctx, uint64_t times)
{
    const struct delta_state *state = ctx;

    while (times-- > 0) {
        hsr_delta_sign(&state->plan, &state->key, state->fresh, state->size, 0, state->sums);
        hsr_micro_clobber(state->sums);
    }
}

static void index_run(void *ctx, uint64_t times)
{
    while (times-- > 0) {
        index_make(ctx);
        hsr_micro_clobber(ctx);
    }
}

static void scan_run(void *ctx, uint64_t times)
{
    struct delta_state *state = ctx;
    uint64_t rolled = hsr_weak_block(state->fresh, BLOCK);
    bool found;

    while (times-- > 0)
        hsr_micro_keep(
            hsr_delta_scan(&state->index, state->fresh, (uint32_t)state->size, &rolled, &found));
}

static void match_run(void *ctx, uint64_t times)
{
    static struct hsr_match_cursor cursor;
    struct delta_state *state = ctx;

    while (times-- > 0) {
        struct hsr_match_region region = { .bytes = state->fresh + state->at,
                                           .size = (uint32_t)state->size,
                                           .offset = state->at,
                                           .ahead = { state->fresh + state->at + state->size,
                                                      BLOCK - 1 },
                                           .new_size = BASE_SIZE + BLOCK,
                                           .seam = state->seam,
                                           .items = state->items };

        hsr_match_begin(&state->match, &state->index, &state->key, &cursor, &region);
        while (!hsr_match_step(&state->match, HSR_MATCH_BUDGET))
            ;
        hsr_micro_keep(hsr_match_payload_size(&state->match));
        state->at = (state->at + state->size) % BASE_SIZE;
    }
}

static const enum delta_content equal = EQUAL, percent = PERCENT, shifted = SHIFTED, zeros = ZEROS,
                                different = DIFFERENT;

#define ROW(row_name, do_open, do_run, row_what, row_size, is_counted)                             \
    {                                                                                              \
        .name = row_name, .open = do_open, .run = do_run, .close = delta_close, .what = row_what,  \
        .size = row_size, .bytes = row_size, .counted = is_counted                                 \
    }

#define VARIANT(variant, is_counted)                                                               \
    ROW("weak/" #variant "/4K", weak_open, weak_run, &hsr_weak_##variant, 4096, is_counted)

static const struct hsr_micro_row rows[] = {
#if defined(__x86_64__)
    VARIANT(avx512, false),
    VARIANT(avx2, true),
    VARIANT(sse2, true),
#endif
    VARIANT(scalar, true),
    ROW("sign/64K", delta_open, sign_run, NULL, 65536, true),
    ROW("sign/1M", delta_open, sign_run, NULL, 1 << 20, false),
    { .name = "index/build", /* of a block */
      .open = delta_open,
      .run = index_run,
      .close = delta_close,
      .operations = BASE_SIZE / BLOCK,
      .counted = true },
    ROW("scan/4K", match_open, scan_run, &different, 4096, true),
    ROW("scan/64K", match_open, scan_run, &different, 65536, false),
    ROW("match/equal/64K", match_open, match_run, &equal, 65536, true),
    ROW("match/equal/1M", match_open, match_run, &equal, 1 << 20, false),
    ROW("match/percent/1M", match_open, match_run, &percent, 1 << 20, false),
    ROW("match/shifted/1M", match_open, match_run, &shifted, 1 << 20, false),
    ROW("match/zeros/1M", match_open, match_run, &zeros, 1 << 20, false),
    ROW("match/different/1M", match_open, match_run, &different, 1 << 20, false),
};

const struct hsr_micro_table hsr_micro_delta = { rows, HSR_ARRAY_COUNT(rows) };
