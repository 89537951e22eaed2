/* The node mask of set_mempolicy(2) and mbind(2). The calls are made directly: libnuma would be a
 * dependency for two lines. */
#ifndef HSR_NUMA_POLICY_H
#define HSR_NUMA_POLICY_H

#include "base/assert.h"

#define HSR_NODE_INDEX_MAX 1023u /* MAX_NUMNODES - 1 of the largest Linux configuration */
#define HSR_NODEMASK_WORDS 17u /* one word over: the kernel drops the last bit of maxnode */
#define HSR_NODEMASK_BITS (HSR_NODEMASK_WORDS * 64u - 63u)

struct hsr_nodemask {
    unsigned long words[HSR_NODEMASK_WORDS];
};

static inline struct hsr_nodemask hsr_nodemask_make(int node)
{
    struct hsr_nodemask mask = { { 0 } };

    hsr_assert(node >= 0 && (unsigned)node <= HSR_NODE_INDEX_MAX);
    mask.words[(unsigned)node / 64] = 1ul << ((unsigned)node % 64);
    return mask;
}

#endif
