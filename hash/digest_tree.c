/* A tree: what a file has of its digest. Its nodes are complete subtrees in order of their place,
 * none of which is the sibling of another: except the first two, as long as nothing follows them,
 * because as the file's last two they make its root. */
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/span.h"
#include "hash/digest.h"
#include "hash/digest_xxh3.h"

static int tree_put(struct hsr_digest_tree *tree, uint64_t start, unsigned level,
                    const struct hsr_blake3_value *value);

void hsr_digest_tree_init(struct hsr_digest_tree *tree, enum hsr_digest_kind kind,
                          uint32_t leaf_size, struct hsr_digest_node *nodes, uint32_t node_max)
{
    hsr_assert(hsr_digest_known(kind));
    hsr_assert(kind == HSR_DIGEST_XXH3 || node_max > 0);
    *tree = (struct hsr_digest_tree){ .kind = kind,
                                      .leaf_size = leaf_size,
                                      .mode = &hsr_blake3_plain,
                                      .nodes = nodes,
                                      .node_max = node_max };
}

int hsr_digest_tree_add(struct hsr_digest_tree *tree, const struct hsr_digest_run *run)
{
    uint64_t start = run->start / HSR_BLAKE3_CHUNK_SIZE;

    hsr_assert(run->kind == tree->kind && run->leaf_size == tree->leaf_size);
    hsr_digest_add(&tree->sum, run->sum);
    if (tree->kind == HSR_DIGEST_XXH3)
        return 0;
    tree->mode = run->mode;
    if (run->has_root) {
        tree->has_root = true;
        tree->root = run->root;
    }
    for (uint32_t i = 0; i < run->value_count; i++) {
        int rc = tree_put(tree, start, run->levels[i], &run->values[i]);

        if (rc < 0)
            return rc;
        start += 1ull << run->levels[i];
    }
    return 0;
}

int hsr_digest_tree_put(struct hsr_digest_tree *tree, uint64_t offset, uint64_t size,
                        const uint8_t *value)
{
    struct hsr_reader r = hsr_reader_init(value, hsr_digest_size(tree->kind));
    struct hsr_blake3_value node;
    struct hsr_digest_sum sum;

    hsr_require(size > 0 && offset % tree->leaf_size == 0, HSR_E_PROTOCOL);
    if (tree->kind == HSR_DIGEST_XXH3) {
        sum.low = hsr_get_u64(&r);
        sum.high = hsr_get_u64(&r);
        hsr_digest_add(&tree->sum, sum);
        return 0;
    }
    hsr_require((size & (size - 1)) == 0 && offset % size == 0 && size >= HSR_BLAKE3_CHUNK_SIZE,
                HSR_E_PROTOCOL);
    hsr_get_bytes(&r, node.bytes, sizeof(node.bytes));
    return tree_put(tree, offset / HSR_BLAKE3_CHUNK_SIZE,
                    (unsigned)__builtin_ctzll(size / HSR_BLAKE3_CHUNK_SIZE), &node);
}

static uint64_t node_end(const struct hsr_digest_node *node)
{
    return node->start + (1ull << node->level);
}

static uint64_t chunks_of(uint64_t size)
{
    return size / HSR_BLAKE3_CHUNK_SIZE + (size % HSR_BLAKE3_CHUNK_SIZE > 0 ? 1 : 0);
}

/* Merge the node at @index with its sibling while it has one. */
static uint32_t tree_merge(struct hsr_digest_tree *tree, uint32_t index)
{
    for (;;) {
        struct hsr_digest_node *nodes = tree->nodes;
        uint32_t left = nodes[index].start >> nodes[index].level & 1 ? index - 1 : index;

        if (left == UINT32_MAX || left + 1 >= tree->node_count ||
            nodes[left].level != nodes[left + 1].level ||
            node_end(&nodes[left]) != nodes[left + 1].start)
            return index;
        if (nodes[left].start == 0 && tree->node_count == 2)
            return index;
        hsr_blake3_parent(tree->mode, &nodes[left].value, &nodes[left + 1].value,
                          &nodes[left].value);
        nodes[left].level++;
        memmove(&nodes[left + 1], &nodes[left + 2],
                (tree->node_count - left - 2) * sizeof(nodes[0]));
        tree->node_count--;
        index = left;
    }
}

static int tree_put(struct hsr_digest_tree *tree, uint64_t start, unsigned level,
                    const struct hsr_blake3_value *value)
{
    struct hsr_digest_node node = { .start = start, .level = level, .value = *value };
    struct hsr_digest_node *nodes = tree->nodes;
    uint32_t low = 0, high = tree->node_count;

    while (low < high) { /* the first one that begins behind it */
        uint32_t middle = low + (high - low) / 2;

        if (nodes[middle].start <= start)
            low = middle + 1;
        else
            high = middle;
    }
    hsr_require(low == 0 || node_end(&nodes[low - 1]) <= start, HSR_E_PROTOCOL);
    hsr_require(low == tree->node_count || node_end(&node) <= nodes[low].start, HSR_E_PROTOCOL);
    hsr_require(tree->node_count < tree->node_max, HSR_E_LIMIT);
    memmove(&nodes[low + 1], &nodes[low], (tree->node_count - low) * sizeof(nodes[0]));
    nodes[low] = node;
    tree->node_count++;
    (void)tree_merge(tree, low);
    (void)tree_merge(tree, 0); /* what had to wait for something behind it */
    return 0;
}

int hsr_digest_tree_zeros(struct hsr_digest_tree *tree, uint64_t size, uint64_t budget)
{
    uint64_t chunks = chunks_of(size), at = 0, until = chunks;
    struct hsr_digest_run run;
    uint32_t i = 0;
    int rc;

    if (tree->kind == HSR_DIGEST_XXH3)
        return 0;
    while (i < tree->node_count && tree->nodes[i].start <= at) /* to the first gap */
        at = node_end(&tree->nodes[i++]);
    if (at >= chunks)
        return 0;
    hsr_require(at * HSR_BLAKE3_CHUNK_SIZE % tree->leaf_size == 0, HSR_E_PROTOCOL); /* short leaf */
    if (i < tree->node_count && tree->nodes[i].start < until)
        until = tree->nodes[i].start;
    hsr_digest_run_init_mode(&run, tree->mode, tree->leaf_size, at * HSR_BLAKE3_CHUNK_SIZE);
    (void)hsr_digest_run_zeros(&run, HSR_MIN(until * HSR_BLAKE3_CHUNK_SIZE, size), budget);
    rc = hsr_digest_tree_add(tree, &run);
    return rc < 0 ? rc : 1;
}

int hsr_digest_tree_final(const struct hsr_digest_tree *tree, uint64_t size, uint8_t *out)
{
    const struct hsr_digest_node *nodes = tree->nodes;
    struct hsr_blake3_value right;
    uint64_t at = 0;

    if (tree->kind == HSR_DIGEST_XXH3) {
        hsr_digest_xxh3_final(tree->sum, size, tree->leaf_size, out);
        return 0;
    }
    for (uint32_t i = 0; i < tree->node_count; i++) {
        hsr_require(nodes[i].start == at, HSR_E_PROTOCOL);
        at = node_end(&nodes[i]);
    }
    hsr_require(at == chunks_of(size), HSR_E_PROTOCOL);
    if (size == 0) {
        hsr_blake3_root_chunk(tree->mode, NULL, 0, out, HSR_BLAKE3_SIZE);
    } else if (size <= HSR_BLAKE3_CHUNK_SIZE) {
        hsr_require(tree->has_root, HSR_E_PROTOCOL);
        memcpy(out, tree->root.bytes, HSR_BLAKE3_SIZE);
    } else {
        hsr_assert(tree->node_count >= 2); /* the last two wait for this */
        right = nodes[tree->node_count - 1].value;
        for (uint32_t i = tree->node_count - 2; i > 0; i--)
            hsr_blake3_parent(tree->mode, &nodes[i].value, &right, &right);
        hsr_blake3_root(tree->mode, &nodes[0].value, &right, out, HSR_BLAKE3_SIZE);
    }
    return 0;
}
