/* The strong hash of a block for deltas: 128 bits under a key of the session, so that nobody who
 * does not know the key can prepare two blocks with one hash. The digest of the file decides at the
 * end; this only has to make a false match unlikely.
 *
 * `xxh3`: XXH3-128 with a secret of 192 bytes, which is the BLAKE3 key derived from the session's
 * key with the context below. Fast; an adversary who sees hashes may learn something of the
 * secret. `blake3`: the first 16 bytes of BLAKE3 keyed with the session's key. */
#ifndef HSR_HASH_STRONG_H
#define HSR_HASH_STRONG_H

#include <stddef.h>
#include <stdint.h>

#include "hash/blake3.h"
#include "hash/digest.h"

#define HSR_STRONG_KEY_SIZE 32u
#define HSR_STRONG_SECRET_SIZE 192u
#define HSR_STRONG_CONTEXT "Hawser 2026-11-21 secret of strong block hashes"

/** A key, made ready. Read only after init, so all shards may use one at once. */
struct hsr_strong {
    enum hsr_digest_kind kind;
    struct hsr_blake3_mode mode; /* blake3 */
    uint8_t secret[HSR_STRONG_SECRET_SIZE]; /* xxh3 */
};

/** @key is copied. Some microseconds: once a session. */
void hsr_strong_init(struct hsr_strong *strong, enum hsr_digest_kind kind,
                     const uint8_t key[HSR_STRONG_KEY_SIZE]);

/** The hash of one block of any size: its 16 bytes as two little endian halves. */
struct hsr_digest_sum hsr_strong_block(const struct hsr_strong *strong, const void *bytes,
                                       size_t size);

/** The hashes of @count blocks of @size bytes that lie one after the other. With blake3 faster than
 * one at a time, because blocks share the lanes: give it at least 128 KiB at once. */
void hsr_strong_blocks(const struct hsr_strong *strong, const void *bytes, size_t size,
                       size_t count, struct hsr_digest_sum *out);

#endif
