/* The signature of a part of an old version at the target: reads it and makes the sums of its
 * blocks, in slices. Whoever has a loop can run one, as work that is waited for or in a gap: it
 * needs memory to read into, room for the sums, and a task that is woken when a read has ended.
 *
 *   begin -> step, step ... (MORE: again; WAITS: when the task is woken) -> DONE: `rc`
 *
 * A large file is cut into many of these, which run on several shards at a time. What only has to
 * be hashed for a digest is read in the same way (`run`). */
#ifndef HSR_ENGINE_SIGN_H
#define HSR_ENGINE_SIGN_H

#include "hash/digest.h"
#include "ring/ring.h"
#include "transfer/delta/sign.h"
#include "transfer/tree/fileio.h"

/* One slice: read at once, then its sums. At 4 GB/s some 65 us. */
#define HSR_SIGN_READ_SIZE ((uint32_t)262144)
#define HSR_SIGN_CALL_SIZE ((uint32_t)65536) /* the same at memory speed: 20 us, in L2 */
#define HSR_SIGN_READS_MAX 4u /* slices read ahead: what a disk wants to be busy */
/* Memory to read into, of whoever runs it: a block of any size fits. */
#define HSR_SIGN_MEMORY ((size_t)HSR_SIGN_READS_MAX * HSR_SIGN_READ_SIZE)
_Static_assert(HSR_SIGN_MEMORY >= HSR_DELTA_BLOCK_MAX, "any block fits");

enum hsr_sign_result { HSR_SIGN_MORE, HSR_SIGN_WAITS, HSR_SIGN_DONE };

struct hsr_sign;

struct hsr_sign_read {
    struct hsr_op op;
    struct hsr_sign *sign;
    uint64_t offset;
    uint32_t size; /* bytes; 0: none */
    uint32_t done;
    int rc; /* of a read that failed */
};

struct hsr_sign {
    /* what; the owner's, set before it begins */
    int fd; /* borrowed */
    struct hsr_fileio io;
    struct hsr_delta_plan plan;
    const struct hsr_delta_key *key; /* borrowed */
    uint64_t offset, end; /* bytes of the base: from a block to a block, or to its end */
    uint8_t *sums; /* borrowed: room for hsr_sign_size() bytes */
    struct hsr_digest_run *run; /* borrowed: takes what is read, instead of sums; else NULL */
    /* where it runs */
    struct hsr_loop *loop;
    struct hsr_task *task;
    uint8_t *memory; /* borrowed: HSR_SIGN_MEMORY bytes */
    /* how far it is */
    uint64_t asked; /* up to here reads were begun */
    uint64_t next; /* up to here there are sums */
    uint32_t blocks; /* that have sums */
    uint32_t slice; /* bytes of one read */
    uint32_t slices; /* that `memory` has room for */
    int rc; /* 0; HSR_E_CHANGED: it became shorter; -errno */
    struct hsr_sign_read reads[HSR_SIGN_READS_MAX];
};

/** Bytes of the sums of [@offset, @end). */
size_t hsr_sign_size(const struct hsr_delta_plan *plan, uint64_t offset, uint64_t end);

/** @task is woken on @loop whenever a read has ended; @memory may be used again when it is DONE. */
void hsr_sign_begin(struct hsr_sign *sign, struct hsr_loop *loop, struct hsr_task *task,
                    uint8_t *memory);

/** Some slices, one at least if it is there, until @deadline_ns (hsr_loop_clock()). */
enum hsr_sign_result hsr_sign_step(struct hsr_sign *sign, uint64_t deadline_ns);

/** Give up: true when nothing of it is in the kernel's hands; else the task is woken when a read
 * has ended. */
bool hsr_sign_stop(struct hsr_sign *sign);

#endif
