/* Files that changed while they were read, and those that the target could not take for a reason
 * that may pass, are listed again, with fresh metadata, once all pages are settled: a short walk
 * over just their paths takes the place of the first one. */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/source_impl.h"

static bool retry_top(struct hsr_source *source, const char *path, struct hsr_walk_top *ret_top);

void hsr_source_retry(struct hsr_source *source)
{
    struct hsr_session *session = source->session;
    struct hsr_walk_options options = hsr_source_walk_options(source);
    struct hsr_walk_top tops[SOURCE_RETRIES_MAX];
    struct hsr_walk *walk;
    uint32_t count = 0;
    char path[HSR_ERROR_PATH_SIZE];
    int rc = 0;

    options.first_dir = hsr_walk_next_dir(source->walk);
    for (uint32_t i = 0; i < source->retry_count; i++) {
        struct hsr_source_retry *retry = &source->retries[i];
        size_t size = hsr_dir_path(
            retry->dir, (struct hsr_span){ (const uint8_t *)retry->name, strlen(retry->name) },
            path, sizeof(path));

        free(source->retry_paths[count]);
        source->retry_paths[count] = strdup(path);
        if (source->retry_paths[count] != NULL && size + 1 < sizeof(path) &&
            retry_top(source, source->retry_paths[count], &tops[count]))
            count++;
        else
            hsr_session_note(session, HSR_NOTE_FAILED, HSR_E_CHANGED, "read", path, 0);
        hsr_walk_dir_release(source->walk, retry->dir);
    }
    source->retry_count = 0;
    source->round++;
    if (count == 0)
        return; /* the next step ends the walk */
    rc = hsr_walk_create(&session->home->loop, tops, count, &options, &walk);
    if (rc < 0) {
        hsr_session_end(session, rc, "the walk cannot be repeated");
        return;
    }
    hsr_walk_destroy(source->walk);
    source->walk = walk;
    source->walk_begun = source->walk_over = false;
    hsr_session_wake(session);
}

bool hsr_source_retry_add(struct hsr_source *source, const struct hsr_source_page *page,
                          uint16_t index)
{
    const struct source_entry *entry = &page->entries[index];
    struct hsr_source_retry *retry;

    if (source->round + 1u >= SOURCE_TRIES_MAX || source->retry_count >= SOURCE_RETRIES_MAX)
        return false;
    retry = &source->retries[source->retry_count++];
    retry->dir = entry->dir;
    memcpy(retry->name, page->payload + entry->name_offset, entry->name_size);
    retry->name[entry->name_size] = '\0';
    hsr_walk_dir_hold(source->walk, entry->dir);
    return true;
}

void hsr_source_retry_mend(struct hsr_source *source, struct hsr_source_page *page)
{
    struct hsr_session *session = source->session;
    char path[HSR_ERROR_PATH_SIZE];

    for (uint16_t i = 0; i < page->count; i++) {
        struct source_entry *entry = &page->entries[i];

        if (entry->mend == 0 || session->state != HSR_SESSION_MOVING)
            continue;
        source->end_sent = false; /* the target waits for another WALK_END */
        if (entry->failed || hsr_source_retry_add(source, page, i))
            continue;
        (void)hsr_source_entry_path(page, i, path, sizeof(path));
        hsr_session_note(session, HSR_NOTE_FAILED, entry->mend, "write", path,
                         entry->identity.size);
    }
}

void hsr_source_retry_drop(struct hsr_source *source)
{
    for (uint32_t i = 0; i < source->retry_count; i++)
        hsr_walk_dir_release(source->walk, source->retries[i].dir);
    source->retry_count = 0;
    for (uint32_t i = 0; i < SOURCE_RETRIES_MAX; i++) {
        free(source->retry_paths[i]);
        source->retry_paths[i] = NULL;
    }
}

/* The place at the source that has this path at the target, where the two agree. */
static bool retry_top(struct hsr_source *source, const char *path, struct hsr_walk_top *ret_top)
{
    size_t path_size = strlen(path);

    for (uint32_t i = 0; i < source->top_count; i++) {
        const struct hsr_walk_top *top = &source->tops[i];
        bool same = top->path.size > 0 && top->path.size == top->name.size &&
                    top->path.size <= path_size &&
                    memcmp(top->path.ptr, path, top->path.size) == 0 &&
                    memcmp(top->name.ptr, path, top->name.size) == 0 &&
                    (path[top->path.size] == '/' || path[top->path.size] == '\0');

        if ((top->contents && top->path.size == 0) || top->list || same) {
            *ret_top = (struct hsr_walk_top){ .base_fd = top->base_fd,
                                              .path = { (const uint8_t *)path, path_size },
                                              .list = true };
            return true;
        }
    }
    return false;
}
