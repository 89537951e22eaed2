/* Making the files of a pack. See stream_target.h. */
#include "transfer/engine/stream_target.h"

#include <stdatomic.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/batch.h"
#include "transfer/engine/small.h"
#include "transfer/engine/target.h"

/* Members made between two looks at what else waits: some 20 us for files of 4 KiB on tmpfs, by
 * what bench/file_calls says of their calls. */
#define PACK_ASK 2u

static int make_one(struct hsr_stream *stream, struct hsr_chunk *chunk, struct hsr_pack_item *item);

void hsr_stream_make(struct hsr_chunk *chunk)
{
    struct hsr_stream *stream = chunk->stream;
    struct hsr_intake *intake = chunk->intake;
    unsigned asked = 0;

    while (chunk->item_next < chunk->item_count) {
        struct hsr_pack_item *item = &chunk->items[chunk->item_next];

        if (++asked % PACK_ASK == 0 && hsr_stream_pause(stream))
            return;
        if (intake->rc < 0 && item->code == 0)
            item->code = intake->rc; /* the session ended while it waited */
        if (item->code == 0 && item->member.code == 0) {
            if (!hsr_batch_has_room(stream->session, intake->batch, item)) {
                hsr_stream_intake_send(intake); /* for another batch */
                return;
            }
            item->code = make_one(stream, chunk, item);
            if (item->code == 0) {
                atomic_fetch_add_explicit(&stream->session->counts.bytes, item->size,
                                          memory_order_relaxed);
                hsr_meter_add(&stream->meter, HSR_FIGURE_PACK_BYTES, item->size);
            }
            asked |= item->member.patch ? PACK_ASK - 1 : 0; /* longer: ask before the next */
        }
        chunk->item_offset += item->member.size;
        chunk->item_next++;
    }
    hsr_stream_chunk_done(chunk);
}

static int make_one(struct hsr_stream *stream, struct hsr_chunk *chunk, struct hsr_pack_item *item)
{
    const uint8_t *bytes = chunk->buf->payload + chunk->item_offset;
    struct hsr_reader reader = hsr_reader_init(item->entry, item->entry_size);
    const struct hsr_session *session = stream->session;
    uint8_t digest[HSR_DIGEST_SIZE_MAX];
    struct hsr_entry entry;
    int rc = hsr_entry_decode(&reader, &entry);

    hsr_assert(rc == 0); /* the home read it before */
    hsr_require(item->member.patch || item->member.size == entry.size, HSR_E_CHANGED);
    item->size = (uint32_t)entry.size;
    if (item->name != NULL)
        entry.name = (struct hsr_span){ (const uint8_t *)item->name, strlen(item->name) };
    if (item->member.patch) {
        rc = hsr_small_make(stream, item, &entry, (struct hsr_span){ bytes, item->member.size },
                            &bytes);
        item->again = rc == HSR_E_CHANGED;
        if (rc < 0 && !item->again)
            hsr_stream_fail(stream, rc); /* the peer sent no patch */
        hsr_require(rc == 0, rc);
    }
    hsr_digest_bytes((enum hsr_digest_kind)session->digest, bytes, item->size, session->leaf,
                     digest);
    rc = memcmp(digest, item->member.digest, session->digest_size) == 0 ? 0 : HSR_E_DIGEST;
    item->again = rc < 0 && item->member.patch;
    hsr_require(rc == 0, rc);
    if (session->options & HSR_OPT_DISCARD)
        return 0;
    if (hsr_target_groups(session, item->dir))
        rc = hsr_batch_put(&stream->tree, chunk->intake->batch, item, &entry, bytes);
    else
        rc = hsr_tree_put(&stream->tree, item->dir, &entry, bytes, item->size, item->replace);
    item->warning = stream->tree.warning.code;
    stream->tree.warning.code = 0;
    return rc;
}
