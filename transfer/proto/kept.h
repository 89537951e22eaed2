/* KEPT: which ranges of a file its target has from an earlier session. Pure, like message.h. */
#ifndef HSR_PROTO_KEPT_H
#define HSR_PROTO_KEPT_H

#include <stdint.h>

#include "base/span.h"
#include "base/util.h"
#include "hash/digest.h"

#define HSR_KEPT_UNIT (4 * HSR_MIB) /* ranges begin and end at multiples of it */
/* Of smaller files nothing is kept: they are sent again sooner than they are looked for. */
#define HSR_KEPT_FILE_MIN (8 * HSR_MIB)
#define HSR_KEPT_RANGES_MAX 512u /* of one file */
#define HSR_KEPT_SIZE_MAX (4u + HSR_KEPT_RANGES_MAX * (16u + HSR_DIGEST_SIZE_MAX))

struct hsr_kept_range {
    uint64_t offset, size; /* bytes, multiples of HSR_KEPT_UNIT */
    uint8_t value[HSR_DIGEST_SIZE_MAX]; /* hsr_digest_run_piece(); behind the digest's size zero */
};

/** Could @ranges be those of one file: in order, apart, whole units, below 2^63; with blake3
 * (@digest_size 32) each a subtree? 0, HSR_E_PROTOCOL, HSR_E_LIMIT. */
int hsr_kept_check(const struct hsr_kept_range *ranges, uint32_t count, uint32_t digest_size);

/** @return the payload's size, or what hsr_kept_check() says, or HSR_E_LIMIT: no room */
int hsr_kept_encode(const struct hsr_kept_range *ranges, uint32_t count, uint32_t digest_size,
                    void *out, size_t size);

/** @param ranges  room for HSR_KEPT_RANGES_MAX
 * @return 0, HSR_E_TRUNCATED, HSR_E_PROTOCOL, HSR_E_LIMIT */
int hsr_kept_decode(struct hsr_span payload, uint32_t digest_size, struct hsr_kept_range *ranges,
                    uint32_t *ret_count);

#endif
