/* BLAKE3's tree over whatever compresses best here. Chunks and parents are hashed level by level,
 * so that all lanes have work. Pure: bytes in, numbers out. */
#include "hash/blake3.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "base/assert.h"
#include "base/util.h"
#include "hash/blake3_round.h"
#include "hash/blake3_simd.h"

#define LEAF_CHUNKS (1u << HSR_BLAKE3_LEAF_LEVEL)
#define LEAF_SIZE (LEAF_CHUNKS * HSR_BLAKE3_CHUNK_SIZE)
#define CHUNK_BLOCKS (HSR_BLAKE3_CHUNK_SIZE / HSR_BLAKE3_BLOCK_SIZE)
#define BATCH_CHUNKS 256u /* hashed before their parents are: 8 KiB of values stay in L1 */

static const uint8_t zero_chunk[HSR_BLAKE3_CHUNK_SIZE];

const struct hsr_blake3_mode hsr_blake3_plain = { .key = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372,
                                                           0xa54ff53a, 0x510e527f, 0x9b05688c,
                                                           0x1f83d9ab, 0x5be0cd19 } };

size_t hsr_blake3_variants(const struct hsr_blake3_variant *ret_variants[HSR_BLAKE3_VARIANTS_MAX])
{
    size_t count = 0;

#if defined(__x86_64__)
    /* __builtin_cpu_supports also asks the kernel (XGETBV) whether it saves these registers. */
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"))
        ret_variants[count++] = &hsr_blake3_avx512;
    if (__builtin_cpu_supports("avx2"))
        ret_variants[count++] = &hsr_blake3_avx2;
    if (__builtin_cpu_supports("sse4.1"))
        ret_variants[count++] = &hsr_blake3_sse41;
#endif
    ret_variants[count++] = &hsr_blake3_portable;
    hsr_assert(count <= HSR_BLAKE3_VARIANTS_MAX);
    return count;
}

/* Chosen at the first call. Two threads may both choose: they choose the same. */
static const struct hsr_blake3_variant *variant_get(void)
{
    static _Atomic(const struct hsr_blake3_variant *) chosen;
    const struct hsr_blake3_variant *variant = atomic_load_explicit(&chosen, memory_order_relaxed);

    if (__builtin_expect(variant == NULL, 0)) {
        const struct hsr_blake3_variant *variants[HSR_BLAKE3_VARIANTS_MAX];

        hsr_blake3_variants(variants);
        variant = variants[0];
        atomic_store_explicit(&chosen, variant, memory_order_relaxed);
    }
    return variant;
}

static void batch_hash(const struct hsr_blake3_mode *mode, const struct hsr_blake3_batch *batch,
                       struct hsr_blake3_value *out)
{
    const struct hsr_blake3_variant *variant =
        mode->variant != NULL ? mode->variant : variant_get();

    variant->many(batch, out->bytes);
}

const char *hsr_blake3_simd(void)
{
    return variant_get()->name;
}

struct hsr_blake3_mode hsr_blake3_keyed(const uint8_t key[HSR_BLAKE3_SIZE])
{
    struct hsr_blake3_mode mode = { .flags = HSR_BLAKE3_KEYED_HASH };

    memcpy(mode.key, key, sizeof(mode.key)); /* words are little endian, as this machine is */
    return mode;
}

struct hsr_blake3_mode hsr_blake3_derive(const char *context)
{
    struct hsr_blake3_mode mode = hsr_blake3_plain;
    uint8_t key[HSR_BLAKE3_SIZE];

    mode.flags = HSR_BLAKE3_DERIVE_CONTEXT;
    hsr_blake3(&mode, context, strlen(context), key, sizeof(key));
    mode = hsr_blake3_keyed(key);
    mode.flags = HSR_BLAKE3_DERIVE_MATERIAL;
    return mode;
}

/* The last compression of an input, once for each 64 bytes of the digest. */
static void root_write(const uint32_t value[8], const uint8_t bytes[HSR_BLAKE3_BLOCK_SIZE],
                       struct hsr_blake3_block block, uint8_t *out, size_t out_size)
{
    uint32_t words[16];

    block.flags |= HSR_BLAKE3_ROOT;
    for (block.counter = 0; out_size > 0; block.counter++) {
        size_t part = HSR_MIN(out_size, sizeof(words));

        hsr_blake3_compress(value, bytes, block, words);
        memcpy(out, words, part);
        out += part;
        out_size -= part;
    }
}

/* All blocks of a chunk but the last, which goes to @ret_bytes and @ret_block: what becomes of it
 * depends on whether it is the root. */
static void chunk_begin(const struct hsr_blake3_mode *mode, const uint8_t *bytes, size_t size,
                        uint64_t index, uint32_t ret_value[16],
                        uint8_t ret_bytes[HSR_BLAKE3_BLOCK_SIZE],
                        struct hsr_blake3_block *ret_block)
{
    struct hsr_blake3_block block = { .counter = index,
                                      .size = HSR_BLAKE3_BLOCK_SIZE,
                                      .flags = mode->flags | HSR_BLAKE3_CHUNK_START };

    hsr_assert(size <= HSR_BLAKE3_CHUNK_SIZE);
    memcpy(ret_value, mode->key, sizeof(mode->key));
    for (; size > HSR_BLAKE3_BLOCK_SIZE; size -= HSR_BLAKE3_BLOCK_SIZE) {
        hsr_blake3_compress(ret_value, bytes, block, ret_value);
        bytes += HSR_BLAKE3_BLOCK_SIZE;
        block.flags = mode->flags;
    }
    memset(ret_bytes, 0, HSR_BLAKE3_BLOCK_SIZE);
    if (size > 0) /* an empty input may have no bytes at all */
        memcpy(ret_bytes, bytes, size);
    block.size = (uint32_t)size;
    block.flags |= HSR_BLAKE3_CHUNK_END;
    *ret_block = block;
}

static void chunk_value(const struct hsr_blake3_mode *mode, const uint8_t *bytes, size_t size,
                        uint64_t index, struct hsr_blake3_value *ret_value)
{
    uint8_t last[HSR_BLAKE3_BLOCK_SIZE];
    struct hsr_blake3_block block;
    uint32_t words[16];

    chunk_begin(mode, bytes, size, index, words, last, &block);
    hsr_blake3_compress(words, last, block, words);
    memcpy(ret_value->bytes, words, sizeof(ret_value->bytes));
}

void hsr_blake3_root_chunk(const struct hsr_blake3_mode *mode, const void *bytes, size_t size,
                           uint8_t *out, size_t out_size)
{
    uint8_t last[HSR_BLAKE3_BLOCK_SIZE];
    struct hsr_blake3_block block;
    uint32_t words[16];

    chunk_begin(mode, bytes, size, 0, words, last, &block);
    root_write(words, last, block, out, out_size);
}

static struct hsr_blake3_block parent_block(const struct hsr_blake3_mode *mode)
{
    return (struct hsr_blake3_block){ .size = HSR_BLAKE3_BLOCK_SIZE,
                                      .flags = mode->flags | HSR_BLAKE3_PARENT };
}

void hsr_blake3_parent(const struct hsr_blake3_mode *mode, const struct hsr_blake3_value *left,
                       const struct hsr_blake3_value *right, struct hsr_blake3_value *ret_value)
{
    uint8_t bytes[HSR_BLAKE3_BLOCK_SIZE];
    uint32_t words[16];

    memcpy(bytes, left, sizeof(*left));
    memcpy(bytes + sizeof(*left), right, sizeof(*right));
    hsr_blake3_compress(mode->key, bytes, parent_block(mode), words);
    memcpy(ret_value, words, sizeof(*ret_value));
}

void hsr_blake3_root(const struct hsr_blake3_mode *mode, const struct hsr_blake3_value *left,
                     const struct hsr_blake3_value *right, uint8_t *out, size_t out_size)
{
    uint8_t bytes[HSR_BLAKE3_BLOCK_SIZE];

    memcpy(bytes, left, sizeof(*left));
    memcpy(bytes + sizeof(*left), right, sizeof(*right));
    root_write(mode->key, bytes, parent_block(mode), out, out_size);
}

/* Values of whole chunks. */
static void chunks_hash(const struct hsr_blake3_mode *mode, const uint8_t *bytes, size_t count,
                        uint64_t start, struct hsr_blake3_value *out)
{
    struct hsr_blake3_batch batch = { .bytes = bytes != NULL ? bytes : zero_chunk,
                                      .stride = bytes != NULL ? HSR_BLAKE3_CHUNK_SIZE : 0,
                                      .count = count,
                                      .blocks = CHUNK_BLOCKS,
                                      .flags = mode->flags,
                                      .flags_first = HSR_BLAKE3_CHUNK_START,
                                      .flags_last = HSR_BLAKE3_CHUNK_END,
                                      .key = mode->key,
                                      .counter = start,
                                      .counter_mask = UINT64_MAX };

    batch_hash(mode, &batch, out);
}

/* Each two neighbours become their parent, in place. */
static void parents_hash(const struct hsr_blake3_mode *mode, struct hsr_blake3_value *values,
                         size_t count, struct hsr_blake3_value *out)
{
    struct hsr_blake3_batch batch = { .bytes = values->bytes,
                                      .stride = HSR_BLAKE3_BLOCK_SIZE,
                                      .count = count,
                                      .blocks = 1,
                                      .flags = mode->flags | HSR_BLAKE3_PARENT,
                                      .key = mode->key };

    batch_hash(mode, &batch, out);
}

void hsr_blake3_leaves(const struct hsr_blake3_mode *mode, const uint8_t *bytes, size_t count,
                       unsigned level, uint64_t start, struct hsr_blake3_value *out)
{
    struct hsr_blake3_value values[BATCH_CHUNKS];

    hsr_assert(level <= HSR_BLAKE3_LEAF_LEVEL);
    hsr_assert(start % (1u << level) == 0);
    while (count > 0) {
        size_t part = HSR_MIN(count, (size_t)(BATCH_CHUNKS >> level));
        size_t chunks = part << level;

        chunks_hash(mode, bytes, chunks, start, level > 0 ? values : out);
        for (unsigned l = level; l > 0; l--)
            parents_hash(mode, values, part << (l - 1), l > 1 ? values : out);
        bytes = bytes != NULL ? bytes + chunks * HSR_BLAKE3_CHUNK_SIZE : NULL;
        start += chunks;
        out += part;
        count -= part;
    }
}

unsigned hsr_blake3_pieces(const struct hsr_blake3_mode *mode, const uint8_t *bytes, size_t size,
                           uint64_t start, struct hsr_blake3_value out[HSR_BLAKE3_PIECES_MAX],
                           uint8_t levels[HSR_BLAKE3_PIECES_MAX])
{
    struct hsr_blake3_value values[LEAF_CHUNKS], rest[HSR_BLAKE3_PIECES_MAX];
    size_t whole = size / HSR_BLAKE3_CHUNK_SIZE, tail = size % HSR_BLAKE3_CHUNK_SIZE;
    size_t count = whole + (tail > 0 ? 1 : 0), all = count;
    unsigned pieces = 0;

    hsr_assert(size > 0 && size <= LEAF_SIZE);
    hsr_assert((start & -start) == 0 || (start & -start) >= count);
    if (whole > 0)
        chunks_hash(mode, bytes, whole, start, values);
    if (tail > 0)
        chunk_value(mode, bytes != NULL ? bytes + whole * HSR_BLAKE3_CHUNK_SIZE : zero_chunk, tail,
                    start + whole, &values[whole]);

    /* Level by level; the bits of `all`, lowest first, say where one is left over. */
    for (unsigned level = 0; count > 0; level++) {
        bool halves = count == 2 && start == 0 && all == 2u << level;

        if (count % 2 == 1)
            rest[level] = values[count - 1];
        if (halves) {
            out[0] = values[0];
            out[1] = values[1];
            levels[0] = levels[1] = (uint8_t)level;
            return 2;
        }
        count /= 2;
        if (count > 0)
            parents_hash(mode, values, count, values);
    }
    for (unsigned level = HSR_BLAKE3_LEAF_LEVEL + 1; level-- > 0;) {
        if (all >> level & 1) {
            levels[pieces] = (uint8_t)level;
            out[pieces++] = rest[level];
        }
    }
    return pieces;
}

/* Number of chunks in the left part of a node of @chunks, at least two. */
static uint64_t left_chunks(uint64_t chunks)
{
    return 1ull << (63 - __builtin_clzll(chunks - 1));
}

/* The two halves of a piece of at least two chunks that begins the input; or, if @ret_right is
 * NULL, the value of any piece. */
static void pieces_fold(const struct hsr_blake3_mode *mode, const uint8_t *bytes, size_t size,
                        uint64_t start, struct hsr_blake3_value *ret_left,
                        struct hsr_blake3_value *ret_right)
{
    struct hsr_blake3_value pieces[HSR_BLAKE3_PIECES_MAX];
    uint8_t levels[HSR_BLAKE3_PIECES_MAX];
    unsigned count = hsr_blake3_pieces(mode, bytes, size, start, pieces, levels);
    unsigned least = ret_right != NULL ? 2 : 1;

    hsr_assert(count >= least);
    for (; count > least; count--)
        hsr_blake3_parent(mode, &pieces[count - 2], &pieces[count - 1], &pieces[count - 2]);
    *ret_left = pieces[0];
    if (ret_right != NULL)
        *ret_right = pieces[1];
}

/* The value of a node of the tree: any number of chunks. Recurses as deep as the tree is above
 * 64 KiB, so at most 48 times. */
static void node_value(const struct hsr_blake3_mode *mode, const uint8_t *bytes, size_t size,
                       uint64_t start, struct hsr_blake3_value *ret_value)
{
    if (size > LEAF_SIZE) {
        size_t left = left_chunks((size + HSR_BLAKE3_CHUNK_SIZE - 1) / HSR_BLAKE3_CHUNK_SIZE);
        struct hsr_blake3_value right;

        node_value(mode, bytes, left * HSR_BLAKE3_CHUNK_SIZE, start, ret_value);
        node_value(mode, bytes + left * HSR_BLAKE3_CHUNK_SIZE, size - left * HSR_BLAKE3_CHUNK_SIZE,
                   start + left, &right);
        hsr_blake3_parent(mode, ret_value, &right, ret_value);
    } else {
        pieces_fold(mode, bytes, size, start, ret_value, NULL);
    }
}

void hsr_blake3(const struct hsr_blake3_mode *mode, const void *bytes, size_t size, uint8_t *out,
                size_t out_size)
{
    struct hsr_blake3_value left, right;
    const uint8_t *at = bytes;
    size_t split;

    if (size <= HSR_BLAKE3_CHUNK_SIZE) {
        hsr_blake3_root_chunk(mode, bytes, size, out, out_size);
        return;
    }
    if (size <= LEAF_SIZE) { /* all its chunks at once */
        pieces_fold(mode, bytes, size, 0, &left, &right);
    } else {
        split = left_chunks((size + HSR_BLAKE3_CHUNK_SIZE - 1) / HSR_BLAKE3_CHUNK_SIZE);
        node_value(mode, at, split * HSR_BLAKE3_CHUNK_SIZE, 0, &left);
        node_value(mode, at + split * HSR_BLAKE3_CHUNK_SIZE, size - split * HSR_BLAKE3_CHUNK_SIZE,
                   split, &right);
    }
    hsr_blake3_root(mode, &left, &right, out, out_size);
}
