/* See batch.h: the stream's side. */
#include "transfer/engine/batch.h"

#include "transfer/engine/stream.h"
#include "transfer/engine/target.h"

bool hsr_batch_has_room(const struct hsr_session *session, const struct hsr_batch *batch,
                        const struct hsr_pack_item *item)
{
    if (!hsr_target_groups(session, item->dir))
        return true;
    return batch != NULL && batch->count < batch->room;
}

int hsr_batch_put(struct hsr_tree *tree, struct hsr_batch *batch, struct hsr_pack_item *item,
                  const struct hsr_entry *entry, const uint8_t *bytes)
{
    struct hsr_batch_item *staged = &batch->items[batch->count];
    int rc;

    hsr_assert(batch->count < batch->room);
    rc = hsr_tree_stage(tree, item->dir, entry, bytes, item->size, item->replace, &staged->stage);
    if (rc < 0)
        return rc;
    staged->page = item->member.page;
    staged->index = item->member.index;
    staged->size = item->size;
    staged->code = 0;
    staged->warning = tree->warning.code;
    batch->bytes += item->size;
    batch->count++;
    item->staged = true;
    return 0;
}
