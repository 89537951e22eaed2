/* Deltas at the source's home: signatures come in, become indexes, and lie beside the file while
 * streams read it. What the target may hold here is bounded by the protocol, and by the plan: a
 * signature without room is dropped, and its file is sent whole.
 *
 *   slot: FREE -> RECEIVING -> BUILDING -> READY -> SENDING -> FREE
 */
#include <stdlib.h>

#include "base/base.h"
#include "transfer/engine/delta.h"
#include "transfer/engine/small.h"
#include "transfer/engine/source_impl.h"
#include "transfer/proto/delta.h"

#define BUILD_BUDGET 4096u /* blocks of an index between two looks at what else waits: 40 us */

_Static_assert(HSR_SIG_BLOCKS_MAX == HSR_DELTA_BLOCKS_MAX, "the same limit");
_Static_assert(HSR_SIG_KEY_SIZE == HSR_DELTA_KEY_SIZE, "the same key");
_Static_assert(HSR_SIG_STRONG_MAX == HSR_DELTA_STRONG_MAX &&
                   HSR_SIG_STRONG_MIN == HSR_DELTA_STRONG_MIN &&
                   HSR_SIG_WEAK_SIZE == HSR_DELTA_WEAK_SIZE,
               "the same sums");

static struct source_delta *delta_of(struct hsr_source *source, const struct source_entry *entry);
static void delta_ready(struct hsr_source *source, struct source_delta *delta);
static int delta_begin(struct hsr_source *source, struct hsr_source_page *page, uint16_t index,
                       const struct hsr_sig *sig, struct source_delta **ret_delta);

void hsr_source_delta_init(struct hsr_source *source)
{
    uint8_t secret[HSR_SIG_KEY_SIZE];

    hsr_delta_key(source->session->token, secret);
    hsr_delta_key_init(&source->delta_key, secret);
    hsr_list_init(&source->deltas_free);
    hsr_list_init(&source->deltas_building);
    hsr_list_init(&source->deltas_ready);
    for (uint32_t i = 0; i < HSR_SIGS_MAX; i++) {
        hsr_list_init(&source->deltas[i].node);
        hsr_list_push_tail(&source->deltas_free, &source->deltas[i].node);
    }
}

size_t hsr_source_deltas_bytes(void)
{
    return HSR_SIGS_MAX * sizeof(struct source_delta);
}

int hsr_source_delta_want(struct hsr_source *source, struct hsr_source_page *page, uint16_t index)
{
    struct source_entry *entry = &page->entries[index];

    hsr_require((source->session->options & HSR_OPT_DELTA) != 0, HSR_E_PROTOCOL);
    hsr_require(entry->identity.size > HSR_PACK_FILE_MAX, HSR_E_PROTOCOL);
    entry->delta = SOURCE_DELTA_WANTED;
    return 0;
}

int hsr_source_patch_want(struct hsr_source *source, struct hsr_source_page *page,
                          const struct hsr_want_item *item)
{
    struct source_entry *entry = &page->entries[item->index];
    struct hsr_session *session = source->session;

    hsr_require((session->options & HSR_OPT_DELTA) != 0, HSR_E_PROTOCOL);
    hsr_require(entry->identity.size > 0 && entry->identity.size <= HSR_PACK_FILE_MAX,
                HSR_E_PROTOCOL);
    entry->delta = SOURCE_DELTA_WANTED;
    entry->sums = hsr_small_sums_make(session->engine, item);
    session->progress.delta.signature += item->sums.size;
    hsr_source_enqueue(source, (uint32_t)(page - source->pages) << 16 | item->index);
    return 0;
}

int hsr_source_delta_sig(struct hsr_source *source, struct hsr_source_page *page,
                         const struct hsr_frame *frame, struct hsr_span payload)
{
    uint16_t index = (uint16_t)frame->index;
    struct source_delta *delta;
    struct hsr_sig sig;
    int rc;

    hsr_require(index < page->count && page->entries[index].wanted &&
                    page->entries[index].identity.size > HSR_PACK_FILE_MAX &&
                    page->entries[index].delta == SOURCE_DELTA_WANTED &&
                    !page->entries[index].resume,
                HSR_E_PROTOCOL);
    rc = hsr_sig_decode(payload, frame->offset, &sig);
    if (rc < 0)
        return rc;
    delta = delta_of(source, &page->entries[index]);
    if (delta == NULL) {
        rc = delta_begin(source, page, index, &sig, &delta);
        if (rc < 0)
            return rc;
    }
    hsr_require(delta->state == SOURCE_SLOT_RECEIVING && frame->offset == delta->received &&
                    sig.base_size == delta->plan.base_size &&
                    1u << sig.block_log == delta->plan.block_size &&
                    sig.strong_size == delta->plan.strong_size,
                HSR_E_PROTOCOL);
    if (delta->memory != NULL)
        rc = hsr_delta_index_put(&delta->index, delta->received, sig.sums.ptr, sig.sums.size);
    if (rc < 0)
        return rc;
    delta->received += sig.count;
    source->session->progress.delta.signature += sig.sums.size;
    if (delta->received < hsr_delta_blocks(&delta->plan))
        return 0;
    if (delta->memory == NULL) {
        delta_ready(source, delta);
        return 0;
    }
    delta->state = SOURCE_SLOT_BUILDING;
    hsr_list_push_tail(&source->deltas_building, &delta->node);
    return 0;
}

static void delta_ready(struct hsr_source *source, struct source_delta *delta)
{
    hsr_list_remove(&delta->node);
    delta->state = SOURCE_SLOT_READY;
    hsr_list_push_tail(&source->deltas_ready, &delta->node);
}

int hsr_source_delta_again(struct hsr_source *source, struct hsr_source_page *page, uint16_t index)
{
    struct source_entry *entry = &page->entries[index];
    struct hsr_session *session = source->session;
    struct source_delta *delta = delta_of(source, entry);

    if (entry->delta == SOURCE_DELTA_SENT) { /* as if nothing of it had been sent */
        hsr_assert(delta == NULL && page->sent > 0);
        page->sent--;
        if (entry->wanted) { /* what was lost of it has come by now, and that is not known here */
            entry->delta = SOURCE_DELTA_AGAIN;
            session->progress.delta.fallbacks++;
            return 0;
        }
        page->lent++;
        entry->wanted = true;
        session->progress.files_done--;
        atomic_fetch_sub_explicit(&session->counts.bytes, entry->sent_bytes, memory_order_relaxed);
    } else if (entry->identity.size <= HSR_PACK_FILE_MAX) { /* hsr_source_entry_done() goes on */
        hsr_require(entry->delta == SOURCE_DELTA_WANTED && entry->wanted, HSR_E_PROTOCOL);
        entry->delta = SOURCE_DELTA_AGAIN;
        session->progress.delta.fallbacks++;
        return 0;
    } else {
        hsr_require(entry->delta == SOURCE_DELTA_WANTED && entry->wanted && !entry->resume,
                    HSR_E_PROTOCOL);
        hsr_require(delta == NULL || delta->state == SOURCE_SLOT_RECEIVING, HSR_E_PROTOCOL);
        if (delta != NULL)
            hsr_source_delta_free(source, delta);
    }
    entry->delta = SOURCE_DELTA_NONE;
    session->progress.delta.fallbacks++;
    hsr_source_enqueue(source, (uint32_t)(page - source->pages) << 16 | index);
    return 0;
}

void hsr_source_delta_step(struct hsr_source *source)
{
    struct hsr_loop *loop = &source->session->home->loop;

    while (!hsr_list_empty(&source->deltas_building)) {
        struct source_delta *delta =
            hsr_container_of(source->deltas_building.next, struct source_delta, node);

        if (hsr_delta_index_build(&delta->index, BUILD_BUDGET))
            delta_ready(source, delta);
        if (hsr_loop_slice_over(loop)) {
            hsr_session_wake(source->session);
            return;
        }
    }
}

struct source_delta *hsr_source_delta_next(struct hsr_source *source)
{
    struct hsr_list *node = hsr_list_pop_head(&source->deltas_ready);
    struct source_delta *delta;

    if (node == NULL)
        return NULL;
    delta = hsr_container_of(node, struct source_delta, node);
    delta->state = SOURCE_SLOT_SENDING;
    return delta;
}

void hsr_source_delta_free(struct hsr_source *source, struct source_delta *delta)
{
    hsr_assert(delta->state != SOURCE_SLOT_FREE && source->delta_count > 0);
    if (delta->memory != NULL)
        hsr_delta_room_give(source->session->engine, delta->room);
    free(delta->memory);
    delta->memory = NULL;
    delta->state = SOURCE_SLOT_FREE;
    delta->page->entries[delta->entry].slot = 0;
    hsr_list_remove(&delta->node);
    hsr_list_push_tail(&source->deltas_free, &delta->node);
    source->delta_count--;
    source->delta_blocks -= hsr_delta_blocks(&delta->plan);
}

void hsr_source_delta_drop(struct hsr_source *source)
{
    for (uint32_t i = 0; i < HSR_SIGS_MAX; i++)
        if (source->deltas[i].state != SOURCE_SLOT_FREE)
            hsr_source_delta_free(source, &source->deltas[i]);
    hsr_assert(source->delta_count == 0 && source->delta_blocks == 0);
}

/* The signature of @entry, or NULL. */
static struct source_delta *delta_of(struct hsr_source *source, const struct source_entry *entry)
{
    return entry->slot > 0 ? &source->deltas[entry->slot - 1] : NULL;
}

/* The first part of a signature: room for all of it, or for nothing. */
static int delta_begin(struct hsr_source *source, struct hsr_source_page *page, uint16_t index,
                       const struct hsr_sig *sig, struct source_delta **ret_delta)
{
    struct hsr_engine *engine = source->session->engine;
    struct hsr_delta_plan plan = { .base_size = sig->base_size,
                                   .block_size = 1u << sig->block_log,
                                   .strong_size = sig->strong_size };
    struct source_delta *delta;
    int rc = hsr_delta_plan_check(&plan);

    if (rc < 0)
        return rc;
    hsr_require(source->delta_count < HSR_SIGS_PER_FILE * source->session->files_max, HSR_E_LIMIT);
    hsr_require(hsr_delta_blocks(&plan) <= HSR_SIG_BLOCKS_MAX - source->delta_blocks, HSR_E_LIMIT);
    hsr_assert(!hsr_list_empty(&source->deltas_free)); /* files_max is at most HSR_FILES_MAX */
    delta = hsr_container_of(hsr_list_pop_head(&source->deltas_free), struct source_delta, node);
    page->entries[index].slot = (uint16_t)(delta - source->deltas + 1);
    delta->state = SOURCE_SLOT_RECEIVING;
    delta->page = page;
    delta->entry = index;
    delta->plan = plan;
    delta->received = 0;
    delta->room = hsr_delta_index_size(&plan);
    delta->memory = NULL;
    if (hsr_delta_room_take(engine, delta->room)) {
        delta->memory = malloc(delta->room);
        if (delta->memory == NULL)
            hsr_delta_room_give(engine, delta->room);
        else
            hsr_delta_index_init(&delta->index, &plan, delta->memory);
    }
    source->delta_count++;
    source->delta_blocks += hsr_delta_blocks(&plan);
    *ret_delta = delta;
    return 0;
}
