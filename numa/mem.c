/* Memory for a shard's buffers: in huge pages, on its own node. */
#include <errno.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/util.h"
#include "numa/numa.h"
#include "numa/policy.h"

#define HUGE_SIZE (2 * HSR_MIB)

int hsr_mem_map(struct hsr_mem *mem, int node, size_t size)
{
    size_t whole, lead;
    char *base, *start;

    *mem = (struct hsr_mem){ .node = -1 };
    if (size == 0 || size > SIZE_MAX / 2)
        return -EINVAL;

    /* mmap(2) aligns to small pages: map one huge page more and give back both ends. */
    whole = HSR_ALIGN_UP(size, HUGE_SIZE);
    base = mmap(NULL, whole + HUGE_SIZE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return -errno;
    start = (char *)HSR_ALIGN_UP((uintptr_t)base, HUGE_SIZE);
    lead = (size_t)(start - base);
    /* Unmapping the ends may fail only where that splits a mapping past the limit of mappings;
     * then address space, not memory, is lost. */
    if (lead > 0)
        (void)munmap(base, lead);
    if (lead < HUGE_SIZE)
        (void)munmap(start + whole, HUGE_SIZE - lead);

    mem->ptr = start;
    mem->size = size;
    mem->huge = madvise(start, whole, MADV_HUGEPAGE) == 0;
    if (node >= 0 && (unsigned)node <= HSR_NODE_INDEX_MAX) {
        /* Preferred, not bound: a full node then costs speed; MPOL_BIND would call the OOM killer
         * while other nodes have memory. */
        struct hsr_nodemask mask = hsr_nodemask_make(node);
        if (syscall(SYS_mbind, start, whole, MPOL_PREFERRED, mask.words, HSR_NODEMASK_BITS, 0) == 0)
            mem->node = node;
    }
    hsr_assert((uintptr_t)mem->ptr % HUGE_SIZE == 0);
    return 0;
}

void hsr_mem_unmap(struct hsr_mem *mem)
{
    if (mem->ptr != NULL) {
        int rc = munmap(mem->ptr, HSR_ALIGN_UP(mem->size, HUGE_SIZE));
        hsr_assert(rc == 0);
    }
    *mem = (struct hsr_mem){ .node = -1 };
}
