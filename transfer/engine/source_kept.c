/* Files of which the target has ranges from an earlier session: only the rest is dealt. The values
 * of what it has go into the file's digest, so FILE_END says that of the whole file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/source_impl.h"

static void kept_free(struct hsr_source *source, struct source_kept *kept);

struct hsr_digest_sum hsr_source_version(const struct hsr_source_identity *identity)
{
    uint8_t bytes[40];
    struct hsr_writer w = hsr_writer_init(bytes, sizeof(bytes));

    /* not the device: its number may be another one after the machine was started anew */
    hsr_put_u64(&w, identity->ino);
    hsr_put_u64(&w, identity->size);
    hsr_put_u64(&w, (uint64_t)identity->mtime_s);
    hsr_put_u64(&w, (uint64_t)identity->ctime_s);
    hsr_put_u32(&w, identity->mtime_ns);
    hsr_put_u32(&w, identity->ctime_ns);
    hsr_assert(!w.failed && w.offset == sizeof(bytes));
    return hsr_hash128(bytes, sizeof(bytes));
}

int hsr_source_kept_want(struct hsr_source *source, struct hsr_source_page *page, uint16_t index)
{
    struct source_entry *entry = &page->entries[index];
    const struct hsr_session *session = source->session;

    hsr_require((session->features & HSR_FEATURE_RESUME) &&
                    !(session->options & HSR_OPT_NO_JOURNAL) &&
                    entry->identity.size >= HSR_KEPT_FILE_MIN,
                HSR_E_PROTOCOL);
    entry->resume = true;
    return 0;
}

int hsr_source_kept_heard(struct hsr_source *source, struct hsr_source_page *page, uint32_t index,
                          struct hsr_span payload)
{
    struct hsr_kept_range ranges[HSR_KEPT_RANGES_MAX]; /* 24 KiB */
    struct hsr_session *session = source->session;
    struct source_kept *kept;
    struct source_entry *entry;
    uint32_t count;
    int rc = hsr_kept_decode(payload, session->digest_size, ranges, &count);

    if (rc < 0)
        return rc;
    hsr_require(index < page->count, HSR_E_PROTOCOL);
    entry = &page->entries[index];
    hsr_require(entry->wanted && entry->resume, HSR_E_PROTOCOL);
    hsr_require(HSR_KEPT_UNIT % session->leaf == 0 || count == 0, HSR_E_PROTOCOL);
    hsr_require(count == 0 ||
                    ranges[count - 1].offset + ranges[count - 1].size <= entry->identity.size,
                HSR_E_PROTOCOL);
    /* of a blake3 tree nobody can tell the root's value beside others */
    hsr_require(count == 0 || session->digest != HSR_DIGEST_BLAKE3 ||
                    ranges[0].size < entry->identity.size,
                HSR_E_PROTOCOL);
    hsr_require(source->kept_count < session->files_max, HSR_E_LIMIT);
    entry->resume = false;
    if (count > 0) {
        kept = malloc(sizeof(*kept) + count * sizeof(kept->ranges[0]));
        hsr_require(kept != NULL, -ENOMEM);
        *kept = (struct source_kept){ .page = page, .entry = (uint16_t)index, .count = count };
        memcpy(kept->ranges, ranges, count * sizeof(kept->ranges[0]));
        hsr_list_init(&kept->node);
        hsr_list_push_tail(&source->kept, &kept->node);
        source->kept_count++;
    }
    if (entry->delta != SOURCE_DELTA_WANTED) /* else its signature comes now */
        hsr_source_enqueue(source, (uint32_t)(page - source->pages) << 16 | index);
    return 0;
}

void hsr_source_kept_take(const struct hsr_source *source, struct hsr_source_file *file)
{
    hsr_assert(file->kept == NULL);
    for (struct hsr_list *node = source->kept.next; node != &source->kept; node = node->next) {
        struct source_kept *kept = hsr_container_of(node, struct source_kept, node);

        if (kept->page == file->page && kept->entry == file->index)
            file->kept = kept;
    }
}

void hsr_source_kept_begin(struct hsr_source *source, struct hsr_source_file *file)
{
    struct hsr_session *session = source->session;
    const struct source_kept *kept = file->kept;

    hsr_assert(file->fd >= 0 && file->rc == 0);
    if (kept == NULL)
        return;
    /* What is kept is of the version that the walk saw. */
    file->rc = hsr_source_check(&session->home->loop, file->fd, &file->view.identity);
    for (uint32_t i = 0; i < kept->count && file->rc == 0; i++)
        file->rc = hsr_tally_put(&file->tally, kept->ranges[i].offset, kept->ranges[i].size,
                                 kept->ranges[i].value, &session->tally_budget);
    if (file->rc < 0)
        return;
    session->progress.resumed_files++;
    for (uint32_t i = 0; i < kept->count; i++)
        session->progress.resumed_bytes += kept->ranges[i].size;
}

bool hsr_source_kept_skip(struct hsr_source_file *file)
{
    const struct source_kept *kept = file->kept;

    while (kept != NULL && file->kept_next < kept->count) {
        const struct hsr_kept_range *range = &kept->ranges[file->kept_next];

        if (range->offset > file->next)
            break;
        file->next = HSR_MAX(file->next, HSR_MIN(range->offset + range->size, file->extent_end));
        if (file->next < range->offset + range->size)
            break; /* it goes on behind this run of data */
        file->kept_next++;
    }
    return file->next < file->extent_end;
}

uint64_t hsr_source_kept_limit(const struct hsr_source_file *file, uint64_t end)
{
    const struct source_kept *kept = file->kept;

    /* Ranges end where units do: what a target keeps is made of whole ones. */
    if (end < file->extent_end && end - end % HSR_KEPT_UNIT > file->next)
        end -= end % HSR_KEPT_UNIT;
    if (kept != NULL && file->kept_next < kept->count &&
        kept->ranges[file->kept_next].offset > file->next)
        end = HSR_MIN(end, kept->ranges[file->kept_next].offset);
    return end;
}

void hsr_source_kept_end(struct hsr_source *source, struct hsr_source_file *file)
{
    if (file->kept != NULL)
        kept_free(source, file->kept);
    file->kept = NULL;
}

void hsr_source_kept_drop(struct hsr_source *source)
{
    while (!hsr_list_empty(&source->kept))
        kept_free(source, hsr_container_of(source->kept.next, struct source_kept, node));
    hsr_assert(source->kept_count == 0);
}

static void kept_free(struct hsr_source *source, struct source_kept *kept)
{
    hsr_assert(source->kept_count > 0);
    source->kept_count--;
    hsr_list_remove(&kept->node);
    free(kept);
}
