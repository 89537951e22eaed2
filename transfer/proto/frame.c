/* The header of every frame. One table says for each kind how large its payload may be and which
 * header fields it uses; the others must be zero, so that a later version can give them a meaning.
 */
#include "transfer/proto/frame.h"

#include <limits.h>

#include "base/assert.h"
#include "base/err.h"
#include "transfer/proto/delta.h"
#include "transfer/proto/kept.h"
#include "transfer/proto/measured.h"
#include "transfer/proto/message.h"

#define HEADER_CHECKED_SIZE 48u /* bytes that the header's own check covers: all before it */

_Static_assert(HEADER_CHECKED_SIZE + sizeof(uint64_t) == HSR_FRAME_HEADER_SIZE, "header layout");

/* header fields a kind may use */
#define USES_PAGE (1u << 0)
#define USES_INDEX (1u << 1)
#define USES_OFFSET (1u << 2)
#define USES_HIGH (1u << 3) /* check.high */
#define IS_BULK (1u << 4)
#define USES_END (1u << 5) /* flag RANGE_END */
#define USES_REGION (1u << 6)

/* Payload sizes: fixed part, plus each counted string with its size field at its longest. */
#define STRING_MAX(size) (2u + (size))
#define HELLO_SIZE_MAX (20u + STRING_MAX(HSR_AGENT_MAX))
#define HELLO_ACK_SIZE_MAX (26u + STRING_MAX(HSR_AGENT_MAX))
#define OPEN_SIZE_MAX                                                                              \
    (40u + STRING_MAX(HSR_NAME_MAX) + STRING_MAX(HSR_PATH_WIRE_MAX) + 4u + HSR_RULES_SIZE_MAX +    \
     STRING_MAX(HSR_CONGESTION_MAX) + HSR_JOB_SIZE + 4u)
#define OPEN_ACK_SIZE_MAX (HSR_TOKEN_SIZE + 17u + STRING_MAX(HSR_NAME_MAX))
#define JOIN_SIZE_MAX (HSR_TOKEN_SIZE + 4u)
#define JOIN_ACK_SIZE_MAX STRING_MAX(HSR_CONGESTION_MAX)
#define REJECT_SIZE_MAX (4u + STRING_MAX(HSR_TEXT_MAX))
#define FILE_END_SIZE_MAX (24u + HSR_DIGEST_SIZE_MAX)
#define DIGEST_SIZE_MAX (4u + HSR_DIGEST_SIZE_MAX)
#define PAGE_ACK_SIZE_MAX (5u + HSR_PAGE_ENTRIES_MAX * 7u)
#define NOTE_SIZE_MAX (13u + STRING_MAX(HSR_PATH_WIRE_MAX) + STRING_MAX(HSR_TEXT_MAX))
#define WALK_END_SIZE_MAX 40u
#define DONE_SIZE_MAX 62u
#define BENCH_SIZE_MAX (32u + STRING_MAX(HSR_CONGESTION_MAX))
#define BENCH_ACK_SIZE_MAX (HSR_TOKEN_SIZE + 28u)
#define BENCH_RESULT_SIZE_MAX 96u
#define STAGES_SIZE (HSR_FIGURE_COUNT * 8u)
#define LIST_SIZE_MAX (1u + STRING_MAX(HSR_NAME_MAX) + STRING_MAX(HSR_PATH_WIRE_MAX))

_Static_assert(OPEN_SIZE_MAX <= HSR_CONTROL_PAYLOAD_MAX, "OPEN fits a control payload");
_Static_assert(NOTE_SIZE_MAX <= HSR_CONTROL_PAYLOAD_MAX, "NOTE fits a control payload");
_Static_assert(HSR_PACK_HEAD_SIZE + HSR_PACK_MEMBERS_MAX * HSR_PACK_MEMBER_SIZE_MAX <=
                   HSR_CHUNK_SIZE_MAX,
               "a full member table fits the largest chunk");

struct frame_kind {
    const char *name;
    uint32_t size_max; /* bytes of payload */
    uint32_t uses;
};

static const struct frame_kind frame_kinds[HSR_FRAME_KIND_COUNT] = {
    [HSR_FRAME_HELLO] = { "HELLO", HELLO_SIZE_MAX, 0 },
    [HSR_FRAME_HELLO_ACK] = { "HELLO_ACK", HELLO_ACK_SIZE_MAX, 0 },
    [HSR_FRAME_OPEN] = { "OPEN", OPEN_SIZE_MAX, 0 },
    [HSR_FRAME_OPEN_ACK] = { "OPEN_ACK", OPEN_ACK_SIZE_MAX, 0 },
    [HSR_FRAME_JOIN] = { "JOIN", JOIN_SIZE_MAX, 0 },
    [HSR_FRAME_JOIN_ACK] = { "JOIN_ACK", JOIN_ACK_SIZE_MAX, 0 },
    [HSR_FRAME_REJECT] = { "REJECT", REJECT_SIZE_MAX, 0 },
    [HSR_FRAME_PATHS] = { "PATHS", HSR_CONTROL_PAYLOAD_MAX, 0 },
    [HSR_FRAME_ENTRIES] = { "ENTRIES", HSR_CONTROL_PAYLOAD_MAX, USES_PAGE },
    [HSR_FRAME_WANT] = { "WANT", HSR_CONTROL_PAYLOAD_MAX, USES_PAGE },
    [HSR_FRAME_SAME] = { "SAME", 0, USES_PAGE | USES_INDEX },
    [HSR_FRAME_DIFFERS] = { "DIFFERS", 0, USES_PAGE | USES_INDEX },
    [HSR_FRAME_DATA] = { "DATA", HSR_CHUNK_SIZE_MAX,
                         USES_PAGE | USES_INDEX | USES_OFFSET | USES_HIGH | USES_END | IS_BULK },
    [HSR_FRAME_PACK] = { "PACK", HSR_CHUNK_SIZE_MAX, IS_BULK },
    [HSR_FRAME_FILE_END] = { "FILE_END", FILE_END_SIZE_MAX, USES_PAGE | USES_INDEX },
    [HSR_FRAME_PAGE_ACK] = { "PAGE_ACK", PAGE_ACK_SIZE_MAX, USES_PAGE },
    [HSR_FRAME_NOTE] = { "NOTE", NOTE_SIZE_MAX, 0 },
    [HSR_FRAME_WALK_END] = { "WALK_END", WALK_END_SIZE_MAX, 0 },
    [HSR_FRAME_DONE] = { "DONE", DONE_SIZE_MAX, 0 },
    [HSR_FRAME_BEAT] = { "BEAT", 0, USES_OFFSET },
    [HSR_FRAME_REST] = { "REST", 0, USES_OFFSET },
    [HSR_FRAME_LIST] = { "LIST", LIST_SIZE_MAX, 0 },
    [HSR_FRAME_LIST_END] = { "LIST_END", 0, 0 },
    [HSR_FRAME_CANCEL] = { "CANCEL", REJECT_SIZE_MAX, 0 },
    [HSR_FRAME_BENCH] = { "BENCH", BENCH_SIZE_MAX, 0 },
    [HSR_FRAME_BENCH_ACK] = { "BENCH_ACK", BENCH_ACK_SIZE_MAX, 0 },
    [HSR_FRAME_BENCH_DATA_ACK] = { "BENCH_DATA_ACK", 0, USES_OFFSET | USES_END },
    [HSR_FRAME_BENCH_RESULT] = { "BENCH_RESULT", BENCH_RESULT_SIZE_MAX, 0 },
    [HSR_FRAME_MEASURED] = { "MEASURED", HSR_MEASURED_SIZE_MAX, 0 },
    [HSR_FRAME_STAGES] = { "STAGES", STAGES_SIZE, 0 },
    [HSR_FRAME_AHEAD] = { "AHEAD", HSR_AHEAD_SIZE, 0 },
    [HSR_FRAME_LEVELS] = { "LEVELS", HSR_LEVELS_SIZE, 0 },
    [HSR_FRAME_SIG] = { "SIG", HSR_CONTROL_PAYLOAD_MAX, USES_PAGE | USES_INDEX | USES_OFFSET },
    [HSR_FRAME_PATCH] = { "PATCH", HSR_CHUNK_SIZE_MAX,
                          USES_PAGE | USES_INDEX | USES_OFFSET | USES_HIGH | USES_END |
                              USES_REGION | IS_BULK },
    [HSR_FRAME_KEPT] = { "KEPT", HSR_KEPT_SIZE_MAX, USES_PAGE | USES_INDEX },
    [HSR_FRAME_DIGEST] = { "DIGEST", DIGEST_SIZE_MAX, USES_PAGE | USES_INDEX },
    [HSR_FRAME_LOST] = { "LOST", 0, USES_PAGE | USES_OFFSET },
    [HSR_FRAME_TAKEN] = { "TAKEN", 0, USES_PAGE | USES_OFFSET },
    [HSR_FRAME_HOLD] = { "HOLD", 0, 0 },
    [HSR_FRAME_GO] = { "GO", 0, 0 },
    [HSR_FRAME_STOP] = { "STOP", 0, 0 },
    [HSR_FRAME_LEFT] = { "LEFT", HSR_LEFT_SIZE, 0 },
};

static const struct frame_kind *frame_kind_get(uint16_t kind)
{
    if (kind >= HSR_FRAME_KIND_COUNT || frame_kinds[kind].name == NULL)
        return NULL;
    return &frame_kinds[kind];
}

bool hsr_frame_is_bulk(uint16_t kind)
{
    const struct frame_kind *info = frame_kind_get(kind);

    return info != NULL && (info->uses & IS_BULK) != 0;
}

const char *hsr_frame_name(uint16_t kind)
{
    const struct frame_kind *info = frame_kind_get(kind);

    return info != NULL ? info->name : "unknown";
}

void hsr_frame_encode(const struct hsr_frame *frame, uint8_t out[HSR_FRAME_HEADER_SIZE])
{
    struct hsr_writer w = hsr_writer_init(out, HSR_FRAME_HEADER_SIZE);

    hsr_assert(frame_kind_get(frame->kind) != NULL);
    hsr_assert(frame->size <= frame_kinds[frame->kind].size_max);
    hsr_put_u16(&w, frame->kind);
    hsr_put_u16(&w, frame->flags);
    hsr_put_u32(&w, frame->size);
    hsr_put_u32(&w, frame->seq);
    hsr_put_u32(&w, frame->page);
    hsr_put_u32(&w, frame->index);
    hsr_put_u32(&w, frame->region);
    hsr_put_u64(&w, frame->offset);
    hsr_put_u64(&w, frame->check.low);
    hsr_put_u64(&w, frame->check.high);
    hsr_assert_hot(w.offset == HEADER_CHECKED_SIZE);
    hsr_put_u64(&w, hsr_hash64(out, HEADER_CHECKED_SIZE));
    hsr_assert_hot(!w.failed && w.offset == HSR_FRAME_HEADER_SIZE);
}

/* Is the header one that an encoder of this version may write? */
static int frame_check(const struct hsr_frame *frame)
{
    const struct frame_kind *info = frame_kind_get(frame->kind);
    bool data = frame->kind == HSR_FRAME_DATA;

    hsr_require(info != NULL, HSR_E_PROTOCOL);
    hsr_require((frame->flags & ~(info->uses & USES_END ? HSR_FRAME_RANGE_END : 0u)) == 0,
                HSR_E_PROTOCOL);
    hsr_require(frame->page == 0 || (info->uses & USES_PAGE) != 0, HSR_E_PROTOCOL);
    hsr_require(frame->index == 0 || (info->uses & USES_INDEX) != 0, HSR_E_PROTOCOL);
    hsr_require(frame->region == 0 || (info->uses & USES_REGION) != 0, HSR_E_PROTOCOL);
    hsr_require(frame->offset == 0 || (info->uses & USES_OFFSET) != 0, HSR_E_PROTOCOL);
    hsr_require(frame->check.high == 0 || (info->uses & USES_HIGH) != 0, HSR_E_PROTOCOL);
    hsr_require(frame->size <= info->size_max, HSR_E_LIMIT);
    hsr_require(frame->index < HSR_PAGE_ENTRIES_MAX, HSR_E_LIMIT);
    hsr_require(frame->region <= HSR_CHUNK_SIZE_MAX, HSR_E_LIMIT);
    /* A file ends at INT64_MAX at the latest: off_t holds offset + size. */
    hsr_require(frame->offset <= (uint64_t)INT64_MAX - HSR_MAX(frame->size, frame->region),
                HSR_E_LIMIT);
    hsr_require(frame->kind != HSR_FRAME_SIG || frame->offset < HSR_SIG_BLOCKS_MAX, HSR_E_LIMIT);
    /* A patch makes something, out of something. */
    hsr_require(frame->kind != HSR_FRAME_PATCH ||
                    (frame->region > 0 && frame->size > HSR_PATCH_HEAD_SIZE),
                HSR_E_PROTOCOL);
    /* An empty DATA frame says nothing unless it ends a range. */
    hsr_require(!data || frame->size > 0 || frame->flags != 0, HSR_E_PROTOCOL);
    return 0;
}

int hsr_frame_decode(const uint8_t in[HSR_FRAME_HEADER_SIZE], struct hsr_frame *ret_frame)
{
    struct hsr_reader r = hsr_reader_init(in, HSR_FRAME_HEADER_SIZE);
    struct hsr_frame frame = { 0 };
    int rc;

    frame.kind = hsr_get_u16(&r);
    frame.flags = hsr_get_u16(&r);
    frame.size = hsr_get_u32(&r);
    frame.seq = hsr_get_u32(&r);
    frame.page = hsr_get_u32(&r);
    frame.index = hsr_get_u32(&r);
    frame.region = hsr_get_u32(&r);
    frame.offset = hsr_get_u64(&r);
    frame.check.low = hsr_get_u64(&r);
    frame.check.high = hsr_get_u64(&r);
    hsr_require(hsr_get_u64(&r) == hsr_hash64(in, HEADER_CHECKED_SIZE), HSR_E_CHECK);
    hsr_assert_hot(!r.failed && hsr_reader_left(&r) == 0);

    rc = frame_check(&frame);
    if (rc < 0)
        return rc;
    *ret_frame = frame;
    return 0;
}
