/* Memory for a shard's buffers: in huge pages, on its own node. */
#include <errno.h>
#include <linux/mempolicy.h>
#include <linux/mman.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/util.h"
#include "numa/numa.h"
#include "numa/policy.h"
#include "numa/sysfs.h"

#define HUGE_SIZE (2 * HSR_MIB)

static bool mem_map_pool(struct hsr_mem *mem, int node, size_t whole);
static int mem_map_plain(struct hsr_mem *mem, int node, size_t whole);
static int mem_bind(void *start, size_t whole, int node);
static bool transparent_on(void);

int hsr_mem_map(struct hsr_mem *mem, int node, size_t size)
{
    size_t whole;
    int rc;

    *mem = (struct hsr_mem){ .node = -1 };
    if (size == 0 || size > SIZE_MAX / 2)
        return -EINVAL;
    whole = HSR_ALIGN_UP(size, HUGE_SIZE);
    if (!mem_map_pool(mem, node, whole)) {
        rc = mem_map_plain(mem, node, whole);
        if (rc < 0)
            return rc;
    }
    mem->size = size;
    hsr_assert((uintptr_t)mem->ptr % HUGE_SIZE == 0);
    return 0;
}

/* From the pool that the administrator set aside, all or nothing. mmap(2) takes pages of it for
 * itself, but a cgroup's limit counts only when they are touched, and answers with SIGBUS: so they
 * are touched here, where it is an error (5.14). */
static bool mem_map_pool(struct hsr_mem *mem, int node, size_t whole)
{
    void *start = mmap(NULL, whole, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB, -1, 0);
    int bound;

    if (start == MAP_FAILED)
        return false;
    bound = mem_bind(start, whole, node);
    if (madvise(start, whole, MADV_POPULATE_WRITE) < 0) {
        (void)munmap(start, whole); /* whole pages of a mapping of ours: cannot fail */
        return false;
    }
    mem->ptr = start;
    mem->node = bound;
    mem->pages = HSR_PAGES_POOL;
    return true;
}

static int mem_map_plain(struct hsr_mem *mem, int node, size_t whole)
{
    size_t lead;
    char *base, *start;

    /* mmap(2) aligns to small pages: map one huge page more and give back both ends. */
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
    mem->pages = madvise(start, whole, MADV_HUGEPAGE) == 0 && transparent_on()
                     ? HSR_PAGES_TRANSPARENT
                     : HSR_PAGES_SMALL;
    mem->node = mem_bind(start, whole, node);
    return 0;
}

/* Preferred, not bound: a full node then costs speed; MPOL_BIND would call the OOM killer while
 * other nodes have memory. Returns the node, or -1. */
static int mem_bind(void *start, size_t whole, int node)
{
    struct hsr_nodemask mask;

    if (node < 0 || (unsigned)node > HSR_NODE_INDEX_MAX)
        return -1;
    mask = hsr_nodemask_make(node);
    if (syscall(SYS_mbind, start, whole, MPOL_PREFERRED, mask.words, HSR_NODEMASK_BITS, 0) < 0)
        return -1;
    return node;
}

/* madvise(2) takes the advice even where nobody follows it. */
static bool transparent_on(void)
{
    char text[64];

    return hsr_sysfs_text("", text, sizeof(text), "/sys/kernel/mm/transparent_hugepage/enabled") ==
               0 &&
           strstr(text, "[never]") == NULL;
}

const char *hsr_pages_name(enum hsr_pages pages)
{
    switch (pages) {
    case HSR_PAGES_SMALL:
        return "small";
    case HSR_PAGES_TRANSPARENT:
        return "huge, transparent";
    case HSR_PAGES_POOL:
        return "huge, of the pool";
    default:
        hsr_unreachable("kind of pages");
    }
}

void hsr_mem_unmap(struct hsr_mem *mem)
{
    if (mem->ptr != NULL) {
        int rc = munmap(mem->ptr, HSR_ALIGN_UP(mem->size, HUGE_SIZE));
        hsr_assert(rc == 0);
    }
    *mem = (struct hsr_mem){ .node = -1 };
}
