/* See small.h. */
#include "transfer/engine/small.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/delta/match.h"
#include "transfer/engine/delta.h"
#include "transfer/proto/delta.h"

_Static_assert(HSR_SMALL_BASE_MAX == HSR_DELTA_SMALL_BASE_MAX &&
                   1u << HSR_SMALL_BLOCK_LOG_MIN == HSR_DELTA_SMALL_BLOCK_MIN &&
                   1u << HSR_SMALL_BLOCK_LOG_MAX == HSR_DELTA_SMALL_BLOCK_MAX &&
                   HSR_SMALL_STRONG_SIZE == HSR_DELTA_SMALL_STRONG,
               "the same limits");

/* One step of each loop below does all: the work is bounded by the sizes of small files. */
#define ALL_AT_ONCE UINT32_MAX

#define WANT_ITEM_SIZE 8u /* of PATCH, beside its sums */
#define PATCH_SIZE_MIN 8u /* a count, and an item or two */

struct hsr_small {
    /* source */
    size_t index_size; /* of `index`, from the memory for deltas */
    void *index;
    uint8_t seam[2 * HSR_DELTA_SMALL_BLOCK_MAX];
    struct hsr_patch_item items[HSR_PATCH_ITEMS_MAX];
    /* target */
    uint8_t base[HSR_DELTA_SMALL_BASE_MAX];
    uint8_t made[HSR_PACK_FILE_MAX];
};

static struct hsr_small *small_get(struct hsr_stream *stream);
static bool small_index_fits(struct hsr_stream *stream, size_t size);
static int64_t small_read(struct hsr_loop *loop, int fd, uint8_t *out, uint64_t size);

struct hsr_small_sums *hsr_small_sums_make(struct hsr_engine *engine,
                                           const struct hsr_want_item *item)
{
    size_t size = sizeof(struct hsr_small_sums) + item->sums.size;
    struct hsr_small_sums *sums;

    if (!hsr_delta_room_take(engine, size))
        return NULL;
    sums = malloc(size);
    if (sums == NULL) {
        hsr_delta_room_give(engine, size);
        return NULL;
    }
    sums->plan = (struct hsr_delta_plan){ .base_size = item->base_size,
                                          .block_size = 1u << item->block_log,
                                          .strong_size = HSR_SMALL_STRONG_SIZE };
    hsr_assert(hsr_delta_signature_size(&sums->plan) == item->sums.size);
    sums->size = (uint32_t)item->sums.size;
    memcpy(sums->bytes, item->sums.ptr, item->sums.size);
    return sums;
}

void hsr_small_sums_free(struct hsr_engine *engine, struct hsr_small_sums *sums)
{
    if (sums == NULL)
        return;
    hsr_delta_room_give(engine, sizeof(*sums) + sums->size);
    free(sums);
}

/* ---- source ---- */

uint32_t hsr_small_patch(struct hsr_stream *stream, const struct hsr_small_sums *sums,
                         const struct hsr_delta_key *key, uint8_t *bytes, uint32_t size,
                         uint32_t *ret_literal)
{
    struct hsr_small *small = small_get(stream);
    struct hsr_match_cursor cursor = { 0 };
    struct hsr_patch_gather gather;
    struct hsr_delta_index index;
    struct hsr_match match;
    size_t table;
    int rc;

    hsr_assert(size > 0 && size <= HSR_PACK_FILE_MAX);
    if (small == NULL || !small_index_fits(stream, hsr_delta_index_size(&sums->plan)))
        return 0;
    hsr_delta_index_init(&index, &sums->plan, small->index);
    rc = hsr_delta_index_put(&index, 0, sums->bytes, sums->size);
    hsr_assert(rc == 0 && hsr_delta_index_received(&index));
    while (!hsr_delta_index_build(&index, ALL_AT_ONCE))
        continue;
    hsr_match_begin(&match, &index, key, &cursor,
                    &(struct hsr_match_region){ .bytes = bytes,
                                                .size = size,
                                                .new_size = size,
                                                .seam = small->seam,
                                                .items = small->items });
    while (!hsr_match_step(&match, HSR_MATCH_BUDGET))
        continue;
    if (hsr_match_payload_size(&match) >= size)
        return 0;
    table = hsr_patch_table_size(small->items, match.item_count, 0);
    hsr_patch_gather_init(&gather, small->items, match.item_count, bytes, bytes);
    while (!hsr_patch_gather_step(&gather, size))
        continue;
    memmove(bytes + table, bytes, match.literal_size);
    (void)hsr_patch_table_encode(small->items, match.item_count, 0, bytes);
    *ret_literal = match.literal_size;
    return (uint32_t)table + match.literal_size;
}

static bool small_index_fits(struct hsr_stream *stream, size_t size)
{
    struct hsr_small *small = stream->small;
    struct hsr_engine *engine = stream->session->engine;
    void *index;

    if (small->index_size >= size)
        return true;
    if (!hsr_delta_room_take(engine, size - small->index_size))
        return false;
    index = malloc(size);
    if (index == NULL) {
        hsr_delta_room_give(engine, size - small->index_size);
        return false;
    }
    free(small->index);
    small->index = index;
    small->index_size = size;
    return true;
}

/* ---- target ---- */

uint32_t hsr_small_sign(struct hsr_tree *tree, const struct hsr_dir *dir,
                        const struct hsr_entry *entry, const struct hsr_delta_key *key,
                        uint8_t *memory, uint8_t *out, uint32_t room,
                        struct hsr_delta_plan *ret_plan)
{
    struct hsr_delta_plan plan = { 0 };
    struct hsr_basis basis;
    uint64_t size = 0;

    if (hsr_basis_open(tree, dir, entry->name, false, &basis) < 0)
        return 0; /* what cannot be read is replaced */
    if (basis.identity.size > 0 && basis.identity.size <= HSR_DELTA_SMALL_BASE_MAX) {
        hsr_delta_plan_small((uint32_t)basis.identity.size, entry->size, &plan);
        size = hsr_delta_signature_size(&plan);
        if (size > room || size + WANT_ITEM_SIZE + PATCH_SIZE_MIN >= entry->size ||
            small_read(tree->loop, basis.fd, memory, plan.base_size) != (int64_t)plan.base_size)
            size = 0;
    }
    hsr_basis_close(tree->loop, &basis);
    if (size > 0)
        (void)hsr_delta_sign(&plan, key, memory, plan.base_size, 0, out);
    *ret_plan = plan;
    return (uint32_t)size;
}

int hsr_small_make(struct hsr_stream *stream, struct hsr_pack_item *item,
                   const struct hsr_entry *entry, struct hsr_span patch, const uint8_t **ret_bytes)
{
    struct hsr_patch_bounds bounds = { .base_size = item->base_size,
                                       .size = (uint32_t)entry->size };
    struct hsr_small *small = small_get(stream);
    struct hsr_patch_item part;
    const uint8_t *literal;
    struct hsr_basis basis;
    struct hsr_patch reader;
    uint8_t *out;
    int rc;

    hsr_assert(entry->size > 0 && entry->size <= HSR_PACK_FILE_MAX && item->base_size > 0);
    rc = hsr_patch_open(&reader, patch, &bounds);
    hsr_require(rc == 0, rc);
    if (small == NULL || hsr_basis_open(&stream->tree, item->dir, entry->name, false, &basis) < 0)
        return HSR_E_CHANGED;
    if (basis.identity.size != item->base_size ||
        small_read(stream->tree.loop, basis.fd, small->base, item->base_size) != item->base_size)
        rc = HSR_E_CHANGED;
    hsr_basis_close(stream->tree.loop, &basis);
    hsr_require(rc == 0, rc);
    for (out = small->made; hsr_patch_next(&reader, &part, &literal); out += part.size) {
        item->copied += part.kind == HSR_PATCH_COPY ? part.size : 0;
        if (part.kind == HSR_PATCH_COPY)
            memcpy(out, small->base + part.base_offset, part.size);
        else if (part.kind == HSR_PATCH_ZERO)
            memset(out, 0, part.size);
        else
            memcpy(out, literal, part.size);
    }
    hsr_assert(out == small->made + entry->size); /* hsr_patch_open() added it up */
    *ret_bytes = small->made;
    return 0;
}

/* ---- both ---- */

/* NULL: no memory is left. */
static struct hsr_small *small_get(struct hsr_stream *stream)
{
    struct hsr_engine *engine = stream->session->engine;

    if (stream->small != NULL || !hsr_delta_room_take(engine, sizeof(struct hsr_small)))
        return stream->small;
    stream->small = malloc(sizeof(struct hsr_small)); /* pages that one side never uses stay away */
    if (stream->small == NULL) {
        hsr_delta_room_give(engine, sizeof(struct hsr_small));
        return NULL;
    }
    stream->small->index = NULL;
    stream->small->index_size = 0;
    return stream->small;
}

void hsr_small_destroy(struct hsr_stream *stream)
{
    struct hsr_small *small = stream->small;

    if (small == NULL)
        return;
    hsr_delta_room_give(stream->session->engine, sizeof(*small) + small->index_size);
    free(small->index);
    free(small);
    stream->small = NULL;
}

/* How many of the first @size bytes there are, or -errno. */
static int64_t small_read(struct hsr_loop *loop, int fd, uint8_t *out, uint64_t size)
{
    uint64_t have = 0;

    while (have < size) {
        struct hsr_op op = { .kind = HSR_OP_READ,
                             .fd = fd,
                             .buf = out + have,
                             .size = size - have,
                             .offset = have,
                             .buf_index = -1 };
        int64_t res = hsr_loop_call(loop, &op);

        if (res < 0)
            return res;
        if (res == 0)
            break;
        have += (uint64_t)res;
    }
    return (int64_t)have;
}
