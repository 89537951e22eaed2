/* See tally.h. */
#include "transfer/engine/tally.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

#define ZEROS_STEP (256 * HSR_KIB) /* between two looks at the clock: 30 us, 250 without SIMD */

static int tally_room(struct hsr_tally *tally, uint32_t count, size_t *budget);

void hsr_tally_init(struct hsr_tally *tally, enum hsr_digest_kind kind, uint32_t leaf_size)
{
    tally->taken = 0;
    hsr_digest_tree_init(&tally->tree, kind, leaf_size, NULL, HSR_TALLY_NODES);
    tally->tree.node_max = 0; /* its memory is made when it is needed: xxh3 needs none */
}

int hsr_tally_add(struct hsr_tally *tally, const struct hsr_digest_run *run, size_t *budget)
{
    int rc = tally_room(tally, tally->tree.node_count + run->value_count, budget);

    return rc < 0 ? rc : hsr_digest_tree_add(&tally->tree, run);
}

int hsr_tally_put(struct hsr_tally *tally, uint64_t offset, uint64_t size, const uint8_t *value,
                  size_t *budget)
{
    int rc = tally_room(tally, tally->tree.node_count + 1, budget);

    return rc < 0 ? rc : hsr_digest_tree_put(&tally->tree, offset, size, value);
}

int hsr_tally_zeros(struct hsr_tally *tally, uint64_t size, struct hsr_loop *loop, size_t *budget)
{
    int rc;

    do {
        /* a step adds what one run can hold */
        rc = tally_room(tally, tally->tree.node_count + HSR_DIGEST_RUN_VALUES_MAX, budget);
        if (rc == 0)
            rc = hsr_digest_tree_zeros(&tally->tree, size, ZEROS_STEP);
    } while (rc > 0 && !hsr_loop_slice_over(loop));
    return rc;
}

int hsr_tally_final(const struct hsr_tally *tally, uint64_t size, uint8_t out[HSR_DIGEST_SIZE_MAX])
{
    memset(out, 0, HSR_DIGEST_SIZE_MAX); /* a kind may have fewer bytes, and they are compared */
    return hsr_digest_tree_final(&tally->tree, size, out);
}

void hsr_tally_fini(struct hsr_tally *tally, size_t *budget)
{
    free(tally->tree.nodes);
    tally->tree.nodes = NULL;
    *budget += tally->taken;
    tally->taken = 0;
}

/* Room for so many nodes. */
static int tally_room(struct hsr_tally *tally, uint32_t count, size_t *budget)
{
    struct hsr_digest_tree *tree = &tally->tree;
    uint32_t room = HSR_MAX(tree->node_max, HSR_TALLY_NODES);
    struct hsr_digest_node *nodes;
    size_t more;

    if (tree->kind != HSR_DIGEST_BLAKE3 || count <= tree->node_max)
        return 0;
    while (room < count)
        room *= 2;
    hsr_require(room <= HSR_TALLY_NODES_MAX, HSR_E_LIMIT);
    more = (room - HSR_MAX(tree->node_max, HSR_TALLY_NODES)) * sizeof(*nodes);
    hsr_require(more <= *budget, HSR_E_LIMIT);
    nodes = reallocarray(tree->nodes, room, sizeof(*nodes));
    hsr_require(nodes != NULL, -ENOMEM);
    tree->nodes = nodes;
    tree->node_max = room;
    tally->taken += more;
    *budget -= more;
    return 0;
}
