/* Small files by delta, at the target's home: a hand has made the sums of an old version (small.h);
 * here they wait for the page's WANT. */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/delta.h"
#include "transfer/engine/target_impl.h"

bool hsr_target_small_want(struct hsr_target *target, struct target_page *page,
                           const struct target_verdict *verdict)
{
    struct hsr_engine *engine = target->session->engine;
    struct hsr_want_item item = { .index = verdict->index,
                                  .action = HSR_WANT_PATCH,
                                  .block_log = verdict->block_log,
                                  .base_size = verdict->base_size };

    if (verdict->base_size == 0)
        return false;
    if (page->sums == NULL && hsr_delta_room_take(engine, TARGET_PAGE_SUMS)) {
        page->sums = malloc(TARGET_PAGE_SUMS);
        if (page->sums == NULL)
            hsr_delta_room_give(engine, TARGET_PAGE_SUMS);
    }
    if (page->sums == NULL || verdict->sums.size > TARGET_PAGE_SUMS - page->sums_size)
        return false;
    item.sums = (struct hsr_span){ page->sums + page->sums_size, verdict->sums.size };
    memcpy(page->sums + page->sums_size, verdict->sums.ptr, verdict->sums.size);
    page->sums_size += (uint32_t)verdict->sums.size;
    target->session->progress.delta.signature += verdict->sums.size;
    page->entries[verdict->index].patch_base = verdict->base_size;
    hsr_target_want(page, verdict->index, &item);
    return true;
}

void hsr_target_small_again(struct hsr_target *target, struct target_page *page, uint16_t index)
{
    target->session->progress.delta.fallbacks++;
    page->entries[index].patch_base = 0;
    hsr_target_want(page, index,
                    &(struct hsr_want_item){ .index = index, .action = HSR_WANT_WHOLE });
    hsr_session_wake(target->session);
}

void hsr_target_small_sent(struct hsr_target *target, struct target_page *page)
{
    if (page->sums == NULL)
        return;
    hsr_delta_room_give(target->session->engine, TARGET_PAGE_SUMS);
    free(page->sums);
    page->sums = NULL;
    page->sums_size = 0;
}
