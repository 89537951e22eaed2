/* See patcher.h. */
#include "transfer/engine/patcher.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/delta/match.h"
#include "transfer/engine/delta.h"
#include "transfer/proto/delta.h"

/* What may lie in front of a chunk's payload, beside the frame's header. */
#define HEAD_ROOM (HSR_BUF_HEAD - HSR_FRAME_HEADER_SIZE)
#define GATHER_BUDGET ((size_t)1 << 20) /* bytes moved between two looks: 50 us */

struct hsr_patcher {
    struct hsr_chunk *chunk; /* being compared; NULL: none */
    bool gathering; /* compared: literal bytes are being moved together */
    struct hsr_match match;
    struct hsr_patch_gather gather;
    uint8_t *seam;
    size_t seam_size; /* bytes; taken from the plan's pool too */
    struct hsr_patch_item items[HSR_PATCH_ITEMS_MAX];
};

static struct hsr_patcher *patcher_get(struct hsr_stream *stream, size_t seam_size);
static bool patcher_ahead(struct hsr_chunk *chunk, struct hsr_span *ret_ahead);
static void patcher_begin(struct hsr_stream *stream, struct hsr_chunk *chunk,
                          struct hsr_span ahead);
static bool patcher_slice(struct hsr_patcher *patcher);
static void patcher_end(struct hsr_patcher *patcher);

void hsr_patcher_step(struct hsr_stream *stream)
{
    for (struct hsr_list *node = stream->sending.next; node != &stream->sending;
         node = node->next) {
        struct hsr_chunk *chunk = hsr_container_of(node, struct hsr_chunk, node);
        struct hsr_patcher *patcher = stream->patcher;
        struct hsr_span ahead;

        if (chunk->state != HSR_CHUNK_MATCHING)
            continue;
        if (patcher == NULL || patcher->chunk != chunk) {
            if (!patcher_ahead(chunk, &ahead))
                return; /* its read wakes us */
            patcher = patcher_get(stream, hsr_match_seam_size(&chunk->work->base->plan));
            if (patcher == NULL) { /* no room: as it is */
                chunk->work->literal += chunk->size;
                hsr_chunk_enter(chunk, HSR_CHUNK_READY);
                continue;
            }
            patcher_begin(stream, chunk, ahead);
        }
        while (!patcher_slice(patcher))
            if (hsr_stream_pause(stream))
                return;
        patcher->chunk = NULL;
    }
}

void hsr_patcher_forget(struct hsr_stream *stream, const struct hsr_chunk *chunk)
{
    if (stream->patcher != NULL && stream->patcher->chunk == chunk)
        stream->patcher->chunk = NULL;
}

void hsr_patcher_destroy(struct hsr_stream *stream)
{
    struct hsr_patcher *patcher = stream->patcher;

    if (patcher == NULL)
        return;
    hsr_delta_room_give(stream->session->engine, sizeof(*patcher) + patcher->seam_size);
    free(patcher->seam);
    free(patcher);
    stream->patcher = NULL;
}

/* The stream's patcher, with room for windows that cross the end of a chunk. It stays for the next
 * file. NULL: no memory is left. */
static struct hsr_patcher *patcher_get(struct hsr_stream *stream, size_t seam_size)
{
    struct hsr_engine *engine = stream->session->engine;
    struct hsr_patcher *patcher = stream->patcher;
    size_t room = patcher == NULL ? sizeof(*patcher) : 0;
    uint8_t *seam;

    if (patcher != NULL && patcher->seam_size >= seam_size)
        return patcher;
    room += seam_size - (patcher != NULL ? patcher->seam_size : 0);
    if (!hsr_delta_room_take(engine, room))
        return NULL;
    seam = malloc(seam_size);
    if (seam != NULL && patcher == NULL)
        patcher = calloc(1, sizeof(*patcher));
    if (seam == NULL || patcher == NULL) {
        free(seam);
        hsr_delta_room_give(engine, room);
        return NULL;
    }
    free(patcher->seam);
    patcher->seam = seam;
    patcher->seam_size = seam_size;
    stream->patcher = patcher;
    return patcher;
}

/* What follows @chunk in its work. False: it is being read, or will be when what is before @chunk
 * has left. The oldest chunk waits for none that has no buffer: who has it may wait for ours. */
static bool patcher_ahead(struct hsr_chunk *chunk, struct hsr_span *ret_ahead)
{
    struct hsr_stream *stream = chunk->stream;
    struct hsr_chunk *next = hsr_container_of(chunk->node.next, struct hsr_chunk, node);

    *ret_ahead = (struct hsr_span){ NULL, 0 };
    if (chunk->node.next == &stream->sending || next->work != chunk->work)
        return chunk->work->next >= chunk->work->end || stream->sending.next == &chunk->node;
    if (next->state == HSR_CHUNK_READING)
        return false;
    hsr_assert(next->state == HSR_CHUNK_MATCHING); /* they are compared in order */
    hsr_assert(next->offset == chunk->offset + chunk->size);
    *ret_ahead = (struct hsr_span){ next->buf->payload, next->size };
    return true;
}

static void patcher_begin(struct hsr_stream *stream, struct hsr_chunk *chunk, struct hsr_span ahead)
{
    struct hsr_patcher *patcher = stream->patcher;
    struct hsr_work *work = chunk->work;
    struct hsr_match_region region = { .bytes = chunk->buf->payload,
                                       .size = chunk->size,
                                       .offset = chunk->offset,
                                       .ahead = ahead,
                                       .new_size = work->file_size,
                                       .seam = patcher->seam,
                                       .items = patcher->items };

    /* In place the target still has what it wrote over in this window, and nothing before it. */
    if ((stream->session->options & HSR_OPT_INPLACE) && chunk->offset > HSR_INPLACE_WINDOW)
        region.copy_min = chunk->offset - HSR_INPLACE_WINDOW;
    patcher->chunk = chunk;
    patcher->gathering = false;
    hsr_match_begin(&patcher->match, work->base, work->key, &work->cursor, &region);
}

/* True: the chunk is ready. */
static bool patcher_slice(struct hsr_patcher *patcher)
{
    struct hsr_chunk *chunk = patcher->chunk;
    struct hsr_match *match = &patcher->match;

    if (!patcher->gathering) {
        if (!hsr_match_step(match, HSR_MATCH_BUDGET))
            return false;
        if (HSR_PATCH_HEAD_SIZE + hsr_match_payload_size(match) >= chunk->size) {
            chunk->work->literal += chunk->size; /* nothing is saved: DATA */
            hsr_chunk_enter(chunk, HSR_CHUNK_READY);
            return true;
        }
        hsr_patch_gather_init(&patcher->gather, patcher->items, match->item_count,
                              chunk->buf->payload, chunk->buf->payload);
        patcher->gathering = true;
    }
    if (!hsr_patch_gather_step(&patcher->gather, GATHER_BUDGET))
        return false;
    patcher_end(patcher);
    return true;
}

/* The new bytes lie at the start of the payload. Check and table go before it, and if that room is
 * too small, the bytes make place. */
static void patcher_end(struct hsr_patcher *patcher)
{
    struct hsr_chunk *chunk = patcher->chunk;
    struct hsr_match *match = &patcher->match;
    uint8_t *payload = chunk->buf->payload;
    size_t table = hsr_patch_table_size(patcher->items, match->item_count, chunk->offset);
    size_t head = HSR_PATCH_HEAD_SIZE + table;
    size_t shift = head > HEAD_ROOM ? head - HEAD_ROOM : 0;

    hsr_assert(head + match->literal_size < chunk->size);
    if (shift > 0)
        memmove(payload + shift, payload, match->literal_size);
    (void)hsr_patch_table_encode(patcher->items, match->item_count, chunk->offset,
                                 payload + shift - table);
    chunk->head = (uint32_t)(head - shift);
    chunk->frame.kind = HSR_FRAME_PATCH;
    chunk->frame.region = chunk->size;
    chunk->frame.size = (uint32_t)(head + match->literal_size);
    hsr_patch_frame_seal(payload - chunk->head, chunk->frame.size);
    chunk->work->literal += match->literal_size;
    chunk->work->copied += chunk->size - match->literal_size;
    hsr_chunk_enter(chunk, HSR_CHUNK_READY);
}
