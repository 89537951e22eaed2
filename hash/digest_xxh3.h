/* The parts of the xxh3 digest, for runs and trees: see digest.h. */
#ifndef HSR_HASH_DIGEST_XXH3_H
#define HSR_HASH_DIGEST_XXH3_H

#include <stddef.h>
#include <stdint.h>

#include "hash/digest.h"

#define HSR_DIGEST_XXH3_SIZE 16u /* bytes of the digest */

/** The sum of what the leaves in @bytes contribute, which lie at @offset of the file. @offset is a
 * multiple of @leaf_size; only the file's last leaf may be short, so @size is a multiple too unless
 * it ends the file. */
struct hsr_digest_sum hsr_digest_xxh3_leaves(const void *bytes, size_t size, uint64_t offset,
                                             uint32_t leaf_size);

/** The file's digest from the sum of all its leaves. */
void hsr_digest_xxh3_final(struct hsr_digest_sum sum, uint64_t file_size, uint32_t leaf_size,
                           uint8_t out[HSR_DIGEST_XXH3_SIZE]);

#endif
