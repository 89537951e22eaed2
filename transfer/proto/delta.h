/* What deltas put into frames: SIG, a piece of a signature, and the head of PATCH. What a patch
 * says is transfer/delta's. */
#ifndef HSR_PROTO_DELTA_H
#define HSR_PROTO_DELTA_H

#include <stdint.h>

#include "base/span.h"
#include "transfer/proto/frame.h"

#define HSR_SIG_BLOCK_LOG_MIN 9u
#define HSR_SIG_BLOCK_LOG_MAX 20u
/* Blocks of all signatures that a source holds at a time, and of one: bounds its memory. */
#define HSR_SIG_BLOCKS_MAX (1u << 20)
#define HSR_SIG_WEAK_SIZE 4u /* bytes of a block's rolling checksum */
#define HSR_SIG_STRONG_MIN 4u /* bytes of its strong hash */
#define HSR_SIG_STRONG_MAX 16u
#define HSR_SIG_HEAD_SIZE                                                                          \
    16u /* base size u64, block log u8, strong size u8, zero u16, count u32                        \
         */
/* With INPLACE: a copy begins at most so many bytes before the region that it is for. */
#define HSR_INPLACE_WINDOW (8u * 1024 * 1024)
#define HSR_PATCH_HEAD_SIZE 8u /* XXH3-64 of what follows it */
#define HSR_SIG_KEY_SIZE 32u /* of the strong hash, in one session */

/* Old versions of small files: their sums travel inside WANT (struct hsr_want_item). What a false
 * match costs is a small file sent again, so sums are short; blocks too, as edits lie close. */
#define HSR_SMALL_BASE_MAX 131072u /* bytes */
#define HSR_SMALL_BLOCK_LOG_MIN 7u
#define HSR_SMALL_BLOCK_LOG_MAX 12u
#define HSR_SMALL_STRONG_SIZE 2u /* bytes of a strong hash */

/* SIG: sums of blocks `first` (frame.offset), first + 1 ... Each frame has the head: they agree. */
struct hsr_sig {
    uint64_t base_size; /* bytes of the old version; not 0 */
    uint8_t block_log; /* blocks of 2^this bytes; the last may be short */
    uint8_t strong_size; /* bytes of each strong hash */
    uint32_t count; /* blocks in this frame, not 0 */
    struct hsr_span sums; /* count times: weak (u32), strong */
};

/** Blocks of a version of @base_size bytes. */
static inline uint64_t hsr_sig_blocks(uint64_t base_size, uint8_t block_log)
{
    return (base_size >> block_log) + ((base_size & ((1ull << block_log) - 1)) != 0);
}

static inline uint32_t hsr_sig_sum_size(uint8_t strong_size)
{
    return HSR_SIG_WEAK_SIZE + strong_size;
}

/** Most blocks that one frame has room for. */
static inline uint32_t hsr_sig_count_max(uint8_t strong_size)
{
    return (HSR_CONTROL_PAYLOAD_MAX - HSR_SIG_HEAD_SIZE) / hsr_sig_sum_size(strong_size);
}

/** @param first  the number of its first block
 * @return the payload's size, HSR_E_LIMIT (does not fit, or past a limit), HSR_E_PROTOCOL */
int hsr_sig_encode(const struct hsr_sig *sig, uint64_t first, void *out, size_t size);

/** Blocks are within the version, and fill the payload exactly. Borrows from @payload. */
int hsr_sig_decode(struct hsr_span payload, uint64_t first, struct hsr_sig *ret_sig);

/** Write the head of the payload of a PATCH, of @size bytes in all: all others are in place. */
void hsr_patch_frame_seal(uint8_t *payload, size_t size);

/** The patch within the payload; HSR_E_CHECK: damaged on its way. */
int hsr_patch_frame_open(struct hsr_span payload, struct hsr_span *ret_patch);

/** The key of a session's strong hashes, which both sides know: its token, and zeros. Whoever makes
 * contents does not know it. */
void hsr_delta_key(const uint8_t token[16], uint8_t ret_key[HSR_SIG_KEY_SIZE]);

#endif
