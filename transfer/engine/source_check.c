/* --checksum: the target sent its digest of a file of the same size; read ours and compare, one
 * file at a time, in slices. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/source_impl.h"

#define CHECK_SLICE (256 * HSR_KIB) /* bytes read and hashed before others get a turn: 35 us */

static void check_begin(struct hsr_source *source);
static bool check_read(struct hsr_source *source);
static void check_end(struct hsr_source *source, int rc);

void hsr_source_check_step(struct hsr_source *source)
{
    struct hsr_session *session = source->session;

    while (source->unless.count > 0) {
        if (source->digest_fd < 0)
            check_begin(source);
        if (source->digest_fd >= 0 && !check_read(source))
            break;
        if (hsr_loop_pressed(&session->home->loop)) {
            hsr_session_wake(session);
            return;
        }
    }
}

static void check_begin(struct hsr_source *source)
{
    struct hsr_source_view view;

    if (source->digest_buf == NULL)
        source->digest_buf = malloc(CHECK_SLICE);
    source->digest_item = hsr_source_queue_peek(&source->unless, 0);
    hsr_source_view(&source->pages[source->digest_item >> 16],
                    (uint16_t)(source->digest_item & 0xffff), &view);
    source->digest_fd = source->digest_buf == NULL
                            ? -ENOMEM
                            : hsr_source_open(&source->cache, view.walk, view.dir, view.name,
                                              (source->session->options & HSR_OPT_COPY_LINKS) != 0);
    source->digest_offset = 0;
    source->digest_sum = (struct hsr_digest_sum){ 0 };
    if (source->digest_fd < 0)
        check_end(source, source->digest_fd); /* sending it will name the reason */
}

/* One slice; false: the answer has no room yet. */
static bool check_read(struct hsr_source *source)
{
    struct hsr_session *session = source->session;
    struct hsr_source_view view;
    uint64_t have = 0, want;

    hsr_source_view(&source->pages[source->digest_item >> 16],
                    (uint16_t)(source->digest_item & 0xffff), &view);
    if (source->digest_offset == view.size) {
        if (hsr_conn_begin(session->control, 0) == NULL)
            return false;
        check_end(source, 0);
        return true;
    }
    want = HSR_MIN((uint64_t)CHECK_SLICE, view.size - source->digest_offset);
    while (have < want) {
        struct hsr_op op = { .kind = HSR_OP_READ,
                             .fd = source->digest_fd,
                             .buf = source->digest_buf + have,
                             .size = want - have,
                             .offset = source->digest_offset + have,
                             .buf_index = -1 };
        int64_t res = hsr_loop_call(&session->home->loop, &op);

        if (res <= 0) {
            check_end(source, res < 0 ? (int)res : HSR_E_CHANGED);
            return true;
        }
        have += (uint64_t)res;
    }
    hsr_digest_add(&source->digest_sum, hsr_digest_piece(source->digest_buf, want,
                                                         source->digest_offset, session->leaf));
    source->digest_offset += want;
    return true;
}

/* The same: say so. Else, or if it could not be read, send it as any other: that names the error.
 */
static void check_end(struct hsr_source *source, int rc)
{
    struct hsr_session *session = source->session;
    uint32_t key = source->digest_item, popped;
    struct hsr_source_page *page = &source->pages[key >> 16];
    uint16_t index = (uint16_t)(key & 0xffff);
    uint8_t digest[HSR_DIGEST_SIZE];

    if (source->digest_fd >= 0) {
        struct hsr_op op = { .kind = HSR_OP_CLOSE, .fd = source->digest_fd };

        (void)hsr_loop_call(&session->home->loop, &op);
    }
    source->digest_fd = -1;
    (void)hsr_source_queue_pop(&source->unless, &popped);
    hsr_assert(popped == key);
    hsr_digest_final(source->digest_sum, source->digest_offset, session->leaf, digest);
    if (rc < 0 || memcmp(digest, source->digests[(key >> 16) * HSR_PAGE_ENTRIES_MAX + index],
                         HSR_DIGEST_SIZE) != 0) {
        hsr_source_enqueue(source, key);
        return;
    }
    hsr_assert(hsr_conn_begin(session->control, 0) != NULL);
    hsr_conn_commit(
        session->control,
        (struct hsr_frame){ .kind = HSR_FRAME_SAME, .page = page->page, .index = index }, 0);
    hsr_source_entry_done(source, page, index, 0);
}
