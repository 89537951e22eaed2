/* See sums.h. */
#include "transfer/engine/sums.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/reader.h"

#define SUMS_FILES 4096u /* found and not told yet: more than all readers take */
#define SUMS_ASK 8u /* entries found between two looks at what else waits: 20 us */

struct sums_file {
    struct hsr_dir *dir; /* held; NULL: the place is free */
    struct hsr_source_identity identity;
    uint8_t name_size;
    char name[HSR_NAME_MAX + 1];
};

struct hsr_sums {
    struct hsr_walk *walk;
    bool walk_over;
    uint32_t free_count;
    uint32_t *free_places;
    struct sums_file *files; /* SUMS_FILES */
};

static bool sums_next(struct hsr_session *session, struct hsr_read_file *ret_file);
static void sums_done(struct hsr_session *session, const struct hsr_read_file *file);
static bool sums_found(struct hsr_session *session, const struct hsr_walk_item *item);
static void sums_keep(struct hsr_sums *sums, const struct hsr_walk_item *item,
                      struct hsr_read_file *ret_file);

static const struct hsr_reader_ops sums_reader = { .next = sums_next, .done = sums_done };

int hsr_sums_create(struct hsr_session *session)
{
    struct hsr_sums *sums = calloc(1, sizeof(*sums));
    const struct hsr_walk_options options = { .filter = session->filter,
                                              .copy_links =
                                                  (session->options & HSR_OPT_COPY_LINKS) != 0 };
    int rc;

    if (sums == NULL)
        return -ENOMEM;
    session->sums = sums;
    sums->files = calloc(SUMS_FILES, sizeof(*sums->files));
    sums->free_places = calloc(SUMS_FILES, sizeof(*sums->free_places));
    hsr_require(sums->files != NULL && sums->free_places != NULL, -ENOMEM);
    for (uint32_t i = 0; i < SUMS_FILES; i++)
        sums->free_places[sums->free_count++] = i;
    rc = hsr_walk_create(&session->home->loop, session->spec.tops, session->spec.top_count,
                         &options, &sums->walk);
    return rc < 0 ? rc : hsr_readers_create(session, &sums_reader);
}

void hsr_sums_step(struct hsr_session *session)
{
    hsr_readers_step(session);
    if (session->state == HSR_SESSION_MOVING && session->sums->walk_over &&
        hsr_readers_idle(session))
        hsr_session_end(session, 0, NULL);
}

void hsr_sums_destroy(struct hsr_session *session)
{
    struct hsr_sums *sums = session->sums;

    if (sums == NULL)
        return;
    for (uint32_t i = 0; sums->files != NULL && i < SUMS_FILES; i++)
        if (sums->files[i].dir != NULL)
            hsr_walk_dir_release(sums->walk, sums->files[i].dir);
    hsr_walk_destroy(sums->walk);
    free(sums->files);
    free(sums->free_places);
    free(sums);
    session->sums = NULL;
}

void hsr_sums_tell(struct hsr_session *session, const struct hsr_dir *dir, struct hsr_span name,
                   uint64_t size, const uint8_t *digest)
{
    uint8_t none[HSR_DIGEST_SIZE_MAX];
    char path[HSR_PATH_WIRE_MAX + 1];
    struct hsr_event event = { .kind = HSR_EVENT_DIGEST,
                               .session = session->id,
                               .path = path,
                               .size = size,
                               .digest = digest };

    if (digest == NULL) {
        hsr_digest_bytes((enum hsr_digest_kind)session->digest, "", 0, session->leaf, none);
        event.digest = none;
    }
    (void)hsr_dir_path(dir, name, path, sizeof(path));
    session->totals.files++;
    session->totals.bytes += size;
    session->progress.files_done++;
    hsr_engine_event(session->engine, &event);
}

/* The next file that has to be read. */
static bool sums_next(struct hsr_session *session, struct hsr_read_file *ret_file)
{
    struct hsr_sums *sums = session->sums;
    struct hsr_walk_item item;
    int rc = 1;

    for (unsigned i = 0; rc > 0 && !sums->walk_over && sums->free_count > 0; i++) {
        if (i % SUMS_ASK == SUMS_ASK - 1 && hsr_loop_slice_over(&session->home->loop)) {
            hsr_session_wake(session);
            return false;
        }
        rc = hsr_walk_next(sums->walk, &item);
        sums->walk_over = rc <= 0;
        if (rc < 0)
            hsr_session_end(session, rc, "the walk cannot go on");
        if (rc > 0 && sums_found(session, &item)) {
            sums_keep(sums, &item, ret_file);
            return true;
        }
    }
    if (sums->walk_over)
        hsr_session_wake(session); /* it may be over */
    return false;
}

/* Is it a file to be read? Everything else is told or passed over here. */
static bool sums_found(struct hsr_session *session, const struct hsr_walk_item *item)
{
    char path[HSR_ERROR_PATH_SIZE];

    if (item->code < 0) {
        (void)hsr_dir_path(item->dir, item->entry.name, path, sizeof(path));
        if (!item->skipped)
            hsr_session_note(session, HSR_NOTE_FAILED, item->code, item->op, path, 0);
        return false;
    }
    if (item->entry.type != HSR_ENTRY_FILE)
        return false;
    session->progress.entries_seen++;
    session->progress.files_seen++;
    session->progress.bytes_seen += item->entry.size;
    if (item->entry.size > 0)
        return true;
    hsr_sums_tell(session, item->dir, item->entry.name, 0, NULL);
    return false;
}

static void sums_keep(struct hsr_sums *sums, const struct hsr_walk_item *item,
                      struct hsr_read_file *ret_file)
{
    uint32_t place = sums->free_places[--sums->free_count];
    struct sums_file *file = &sums->files[place];
    const struct hsr_entry *entry = &item->entry;

    file->dir = item->dir;
    hsr_walk_dir_hold(sums->walk, file->dir);
    file->name_size = (uint8_t)entry->name.size;
    memcpy(file->name, entry->name.ptr, entry->name.size);
    file->identity = (struct hsr_source_identity){ .dev = item->dev,
                                                   .ino = item->ino,
                                                   .size = entry->size,
                                                   .mtime_s = entry->mtime_s,
                                                   .mtime_ns = entry->mtime_ns,
                                                   .ctime_s = item->ctime_s,
                                                   .ctime_ns = item->ctime_ns };
    *ret_file = (struct hsr_read_file){ .key = place,
                                        .walk = sums->walk,
                                        .dir = file->dir,
                                        .name = { (const uint8_t *)file->name, file->name_size },
                                        .identity = &file->identity,
                                        .size = entry->size };
}

static void sums_done(struct hsr_session *session, const struct hsr_read_file *file)
{
    struct hsr_sums *sums = session->sums;
    struct sums_file *place = &sums->files[file->key];
    char path[HSR_ERROR_PATH_SIZE];

    if (file->rc < 0) {
        (void)hsr_dir_path(file->dir, file->name, path, sizeof(path));
        hsr_session_note(session, HSR_NOTE_FAILED, file->rc, "read", path, file->size);
    } else {
        hsr_sums_tell(session, file->dir, file->name, file->size, file->digest);
    }
    hsr_walk_dir_release(sums->walk, place->dir);
    place->dir = NULL;
    sums->free_places[sums->free_count++] = (uint32_t)file->key;
}
