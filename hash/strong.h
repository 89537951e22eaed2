/* The strong hash of a block for deltas: 128 bits under a key of the session, so that nobody who
 * does not know the key can prepare two blocks with one hash. The digest of the file decides at the
 * end; this only has to make a false match unlikely.
 *
 * XXH3-128 with a secret of 192 bytes, which is the BLAKE3 key derived from the session's key with
 * the context below. An adversary who sees hashes may learn something of the secret. */
#ifndef HSR_HASH_STRONG_H
#define HSR_HASH_STRONG_H

#include <stddef.h>
#include <stdint.h>

#include "hash/digest.h"

#define HSR_STRONG_KEY_SIZE 32u
#define HSR_STRONG_SECRET_SIZE 192u
#define HSR_STRONG_CONTEXT "Hawser 2026-11-21 secret of strong block hashes"

/** A key, made ready. Read only after init, so all shards may use one at once. */
struct hsr_strong {
    uint8_t secret[HSR_STRONG_SECRET_SIZE];
};

/** @key is copied. Some microseconds: once a session. */
void hsr_strong_init(struct hsr_strong *strong, const uint8_t key[HSR_STRONG_KEY_SIZE]);

/** The hash of one block of any size: its 16 bytes as two little endian halves. */
struct hsr_digest_sum hsr_strong_block(const struct hsr_strong *strong, const void *bytes,
                                       size_t size);

#endif
