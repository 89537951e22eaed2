/* Small files that are complete and have no name yet. A stream makes them out of a pack; their home
 * keeps them until a sync covers them; then a hand gives them their names (target_group.c). */
#ifndef HSR_ENGINE_BATCH_H
#define HSR_ENGINE_BATCH_H

#include "transfer/engine/crew.h"
#include "transfer/tree/target.h"

#define HSR_BATCH_FILES 256u /* what a source puts into a pack */

struct hsr_batch_item {
    struct hsr_stage stage; /* fd -1: it has its name, or never will */
    uint32_t page, index; /* its entry, which is held */
    uint32_t size; /* bytes */
    int32_t code; /* result of giving it its name */
    int32_t warning; /* kept, but not all of its metadata */
};

struct hsr_batch {
    struct hsr_crew_task task; /* to a hand and back; its node: a list of the home's */
    uint32_t room; /* files it may hold: each is a descriptor out of the engine's share */
    uint32_t count;
    uint32_t next; /* hand: the next one to be named */
    uint64_t bytes;
    struct hsr_batch_item items[HSR_BATCH_FILES];
};

struct hsr_pack_item;
struct hsr_target;

/** Is there room in @batch (NULL: none) for a member of a pack, if that has to wait for a sync? */
bool hsr_batch_has_room(const struct hsr_session *session, const struct hsr_batch *batch,
                        const struct hsr_pack_item *item);

/** Make all of a member but its name, which it gets when a sync has covered it. 0 or -errno. */
int hsr_batch_put(struct hsr_tree *tree, struct hsr_batch *batch, struct hsr_pack_item *item,
                  const struct hsr_entry *entry, const uint8_t *bytes);

/** Give the files of @batch their names, a slice of them; on any shard. True: all have one, or a
 * code that says why not. */
bool hsr_batch_name(struct hsr_target *target, struct hsr_tree *tree, struct hsr_batch *batch);

#endif
