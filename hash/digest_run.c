/* A run: neighbouring leaves of a file, in order. */
#include <string.h>

#include "base/assert.h"
#include "base/span.h"
#include "hash/digest.h"
#include "hash/digest_xxh3.h"

#define RUN_LEAVES 16u /* whose values are computed at once */

static void run_add_blake3(struct hsr_digest_run *run, const uint8_t *bytes, uint64_t size,
                           struct hsr_digest_sum *sum);

void hsr_digest_run_init(struct hsr_digest_run *run, enum hsr_digest_kind kind, uint32_t leaf_size,
                         uint64_t offset)
{
    hsr_assert(hsr_digest_known(kind));
    hsr_assert(leaf_size > 0 && offset % leaf_size == 0);
    run->kind = kind;
    run->leaf_size = leaf_size;
    run->start = offset;
    run->end = offset;
    run->sum = (struct hsr_digest_sum){ 0 };
    run->mode = &hsr_blake3_plain;
    run->value_count = 0;
    run->has_root = false;
    if (kind == HSR_DIGEST_BLAKE3) {
        hsr_assert((leaf_size & (leaf_size - 1)) == 0);
        hsr_assert(leaf_size >= HSR_BLAKE3_CHUNK_SIZE);
        hsr_assert(leaf_size <= HSR_BLAKE3_CHUNK_SIZE << HSR_BLAKE3_LEAF_LEVEL);
    }
}

void hsr_digest_run_init_mode(struct hsr_digest_run *run, const struct hsr_blake3_mode *mode,
                              uint32_t leaf_size, uint64_t offset)
{
    hsr_digest_run_init(run, HSR_DIGEST_BLAKE3, leaf_size, offset);
    run->mode = mode;
}

struct hsr_digest_sum hsr_digest_run_add(struct hsr_digest_run *run, const void *bytes, size_t size)
{
    struct hsr_digest_sum sum = { 0 };

    hsr_assert(run->end % run->leaf_size == 0); /* nothing follows a short leaf */
    if (run->kind == HSR_DIGEST_XXH3)
        sum = hsr_digest_xxh3_leaves(bytes, size, run->end, run->leaf_size);
    else
        run_add_blake3(run, bytes, size, &sum);
    run->end += size;
    hsr_digest_add(&run->sum, sum);
    return sum;
}

uint64_t hsr_digest_run_zeros(struct hsr_digest_run *run, uint64_t end, uint64_t budget)
{
    uint64_t size = end - run->end;

    hsr_assert(end >= run->end);
    hsr_assert(size == 0 || run->end % run->leaf_size == 0);
    if (run->kind == HSR_DIGEST_BLAKE3 && size > 0) {
        struct hsr_digest_sum sum = { 0 };

        budget = HSR_MAX(budget - budget % run->leaf_size, (uint64_t)run->leaf_size);
        size = HSR_MIN(size, budget);
        run_add_blake3(run, NULL, size, &sum);
        hsr_digest_add(&run->sum, sum);
    }
    run->end += size;
    return size;
}

void hsr_digest_run_piece(const struct hsr_digest_run *run, struct hsr_digest_sum before,
                          uint64_t size, uint8_t *out)
{
    struct hsr_writer w = hsr_writer_init(out, hsr_digest_size(run->kind));
    uint32_t at = run->value_count;
    uint64_t chunks;

    hsr_assert(size > 0 && size <= run->end - run->start);
    if (run->kind == HSR_DIGEST_XXH3) {
        unsigned __int128 sum = (unsigned __int128)run->sum.high << 64 | run->sum.low;

        sum -= (unsigned __int128)before.high << 64 | before.low;
        hsr_put_u64(&w, (uint64_t)sum);
        hsr_put_u64(&w, (uint64_t)(sum >> 64));
    } else {
        struct hsr_blake3_value value;

        hsr_assert((size & (size - 1)) == 0 && run->end % size == 0 && at > 0);
        value = run->values[--at];
        chunks = 1ull << run->levels[at];
        while (chunks < size / HSR_BLAKE3_CHUNK_SIZE) { /* the last ones are not merged yet */
            hsr_assert(at > 0);
            hsr_blake3_parent(run->mode, &run->values[--at], &value, &value);
            chunks += 1ull << run->levels[at];
        }
        hsr_assert(chunks == size / HSR_BLAKE3_CHUNK_SIZE);
        hsr_put_bytes(&w, value.bytes, sizeof(value.bytes));
    }
    hsr_assert(!w.failed && hsr_writer_left(&w) == 0);
}

void hsr_digest_piece_join(enum hsr_digest_kind kind, const uint8_t *left, const uint8_t *right,
                           uint8_t *out)
{
    struct hsr_writer w = hsr_writer_init(out, hsr_digest_size(kind));
    struct hsr_reader l = hsr_reader_init(left, hsr_digest_size(kind));
    struct hsr_reader r = hsr_reader_init(right, hsr_digest_size(kind));

    if (kind == HSR_DIGEST_XXH3) {
        struct hsr_digest_sum sum, more;

        sum.low = hsr_get_u64(&l);
        sum.high = hsr_get_u64(&l);
        more.low = hsr_get_u64(&r);
        more.high = hsr_get_u64(&r);
        hsr_digest_add(&sum, more);
        hsr_put_u64(&w, sum.low);
        hsr_put_u64(&w, sum.high);
    } else {
        struct hsr_blake3_value a, b;

        hsr_get_bytes(&l, a.bytes, sizeof(a.bytes));
        hsr_get_bytes(&r, b.bytes, sizeof(b.bytes));
        hsr_blake3_parent(&hsr_blake3_plain, &a, &b, &a);
        hsr_put_bytes(&w, a.bytes, sizeof(a.bytes));
    }
}

/* Append a subtree that begins at chunk @start. The two before it are not the file's last ones. */
static void run_push(struct hsr_digest_run *run, const struct hsr_blake3_value *value,
                     unsigned level, uint64_t start)
{
    struct hsr_blake3_value *values = run->values;
    uint32_t count = run->value_count;

    /* The last one ends at @start: it is a right child if its own start is odd at its level. */
    while (count >= 2 && run->levels[count - 1] == run->levels[count - 2] &&
           (((start >> run->levels[count - 1]) - 1) & 1) == 1) {
        hsr_blake3_parent(run->mode, &values[count - 2], &values[count - 1], &values[count - 2]);
        run->levels[count - 2]++;
        count--;
    }
    hsr_assert(count < HSR_DIGEST_RUN_VALUES_MAX); /* files are below 2^63 bytes */
    values[count] = *value;
    run->levels[count] = (uint8_t)level;
    run->value_count = count + 1;
}

static void run_contribute(struct hsr_digest_sum *sum, const struct hsr_blake3_value *value)
{
    struct hsr_reader r = hsr_reader_init(value->bytes, sizeof(value->bytes));
    struct hsr_digest_sum part;

    part.low = hsr_get_u64(&r);
    part.high = hsr_get_u64(&r);
    hsr_digest_add(sum, part);
}

/* A leaf that is short, or the first of a file. */
static void run_add_pieces(struct hsr_digest_run *run, const uint8_t *bytes, size_t size,
                           uint64_t start, struct hsr_digest_sum *sum)
{
    struct hsr_blake3_value pieces[HSR_BLAKE3_PIECES_MAX];
    uint8_t levels[HSR_BLAKE3_PIECES_MAX];
    unsigned count = hsr_blake3_pieces(run->mode, bytes, size, start, pieces, levels);

    for (unsigned i = 0; i < count; i++) {
        run_push(run, &pieces[i], levels[i], start);
        start += 1ull << levels[i];
    }
    while (--count > 0)
        hsr_blake3_parent(run->mode, &pieces[count - 1], &pieces[count], &pieces[count - 1]);
    run_contribute(sum, &pieces[0]);
}

/* @bytes may be NULL: zeros. */
static void run_add_blake3(struct hsr_digest_run *run, const uint8_t *bytes, uint64_t size,
                           struct hsr_digest_sum *sum)
{
    static const uint8_t zeros[HSR_BLAKE3_CHUNK_SIZE];
    unsigned level = (unsigned)__builtin_ctz(run->leaf_size / HSR_BLAKE3_CHUNK_SIZE);
    uint64_t start = run->end / HSR_BLAKE3_CHUNK_SIZE;

    if (run->end == 0 && size > 0 && size <= HSR_BLAKE3_CHUNK_SIZE) {
        hsr_blake3_root_chunk(run->mode, bytes != NULL ? bytes : zeros, size, run->root.bytes,
                              sizeof(run->root.bytes));
        run->has_root = true;
    }
    while (size > 0) {
        struct hsr_blake3_value values[RUN_LEAVES];
        size_t leaves = HSR_MIN(size / run->leaf_size, RUN_LEAVES);
        size_t part = leaves * run->leaf_size;

        if (start == 0 || leaves == 0) {
            part = HSR_MIN(size, run->leaf_size);
            run_add_pieces(run, bytes, part, start, sum);
            start += run->leaf_size / HSR_BLAKE3_CHUNK_SIZE;
        } else {
            hsr_blake3_leaves(run->mode, bytes, leaves, level, start, values);
            for (size_t i = 0; i < leaves; i++) {
                run_push(run, &values[i], level, start);
                run_contribute(sum, &values[i]);
                start += 1ull << level;
            }
        }
        bytes = bytes != NULL ? bytes + part : NULL;
        size -= part;
    }
}
