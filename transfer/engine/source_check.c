/* Digests that the target asked for: --checksum (ours may be the one it sent), and dry runs (it
 * compares). The files are read on all shards (reader.h); here is the queue, and the answers, which
 * wait for room in the connection. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/reader.h"
#include "transfer/engine/source_impl.h"

static bool check_next(struct hsr_session *session, struct hsr_read_file *ret_file);
static void check_done(struct hsr_session *session, const struct hsr_read_file *file);
static bool check_answer(struct hsr_source *source, uint32_t key);

static const struct hsr_reader_ops check_reader = { .next = check_next, .done = check_done };

static struct source_check *check_of(struct hsr_source *source, uint32_t key)
{
    return &source->checks[(key >> 16) * HSR_PAGE_ENTRIES_MAX + (key & 0xffff)];
}

int hsr_source_check_add(struct hsr_source *source, uint32_t key, const struct hsr_want_item *item)
{
    struct source_check *check;

    if (source->checks == NULL) {
        source->checks = calloc(SOURCE_QUEUE_SIZE, sizeof(*source->checks));
        source->answers.items = calloc(SOURCE_QUEUE_SIZE, sizeof(uint32_t));
        hsr_require(source->checks != NULL && source->answers.items != NULL, -ENOMEM);
    }
    if (source->session->readers == NULL) {
        int rc = hsr_readers_create(source->session, &check_reader);

        if (rc < 0)
            return rc;
    }
    check = check_of(source, key);
    check->action = item->action;
    check->rc = 0;
    check->differs = false;
    memcpy(check->digest, item->digest, sizeof(check->digest));
    hsr_source_queue_push(&source->unless, key);
    return 0;
}

void hsr_source_check_step(struct hsr_source *source)
{
    uint32_t key;

    if (source->checks == NULL)
        return;
    hsr_readers_step(source->session);
    while (source->answers.count > 0 &&
           check_answer(source, hsr_source_queue_peek(&source->answers, 0)))
        (void)hsr_source_queue_pop(&source->answers, &key);
}

bool hsr_source_check_idle(const struct hsr_source *source)
{
    return source->unless.count == 0 && source->answers.count == 0 &&
           hsr_readers_idle(source->session);
}

static bool check_next(struct hsr_session *session, struct hsr_read_file *ret_file)
{
    struct hsr_source *source = session->source;
    const struct hsr_source_page *page;
    const struct source_entry *entry;
    uint32_t key;

    if (!hsr_source_queue_pop(&source->unless, &key))
        return false;
    page = &source->pages[key >> 16];
    entry = &page->entries[key & 0xffff];
    *ret_file =
        (struct hsr_read_file){ .key = key,
                                .walk = source->walk,
                                .dir = entry->dir,
                                .name = { page->payload + entry->name_offset, entry->name_size },
                                .identity = &entry->identity,
                                .size = entry->identity.size };
    return true;
}

/* UNLESS: a large file that differs is not sent before the target has said how; a small one is sent
 * as any other, and so is what could not be read: that names the error. */
static void check_done(struct hsr_session *session, const struct hsr_read_file *file)
{
    struct hsr_source *source = session->source;
    uint32_t key = (uint32_t)file->key;
    struct source_check *check = check_of(source, key);

    if (check->action == HSR_WANT_UNLESS) {
        check->differs =
            file->rc < 0 || memcmp(check->digest, file->digest, sizeof(check->digest)) != 0;
        if (check->differs && (file->rc < 0 || file->size <= HSR_PACK_FILE_MAX)) {
            hsr_source_enqueue(source, key);
            return;
        }
    }
    check->rc = file->rc;
    memcpy(check->digest, file->digest, sizeof(check->digest));
    hsr_source_queue_push(&source->answers, key);
}

/* SAME, DIFFERS, or the digest. False: there is no room now, the connection's `writable` wakes us.
 */
static bool check_answer(struct hsr_source *source, uint32_t key)
{
    struct hsr_session *session = source->session;
    struct hsr_source_page *page = &source->pages[key >> 16];
    uint16_t index = (uint16_t)(key & 0xffff);
    const struct source_check *check = check_of(source, key);
    struct hsr_frame frame = { .kind = HSR_FRAME_SAME, .page = page->page, .index = index };
    uint8_t *out = session->control != NULL ? hsr_conn_begin(session->control, 64) : NULL;
    int size = 0;

    if (out == NULL)
        return false;
    if (check->action == HSR_WANT_DIGEST) {
        struct hsr_digest_answer answer = { .code = check->rc };

        memcpy(answer.digest, check->digest, sizeof(answer.digest));
        size = hsr_digest_answer_encode(&answer, session->digest_size, out, 64);
        hsr_assert(size > 0);
        frame.kind = HSR_FRAME_DIGEST;
    } else if (check->differs) {
        frame.kind = HSR_FRAME_DIFFERS;
        page->entries[index].differs = true;
    }
    hsr_conn_commit(session->control, frame, (size_t)size);
    if (page->entries[index].differs)
        return true; /* not done: WANT comes */
    hsr_source_entry_done(source, page, index, check->rc);
    return true;
}
