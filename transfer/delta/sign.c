/* Block sums. */
#include "transfer/delta/sign.h"

#include <string.h>

#include "base/base.h"
#include "transfer/delta/weak.h"

void hsr_delta_key_init(struct hsr_delta_key *key, const uint8_t secret[HSR_DELTA_KEY_SIZE])
{
    hsr_strong_init(&key->strong, secret);
}

void hsr_delta_strong(const struct hsr_delta_key *key, const void *bytes, size_t size,
                      uint8_t out[HSR_DELTA_STRONG_MAX])
{
    struct hsr_digest_sum hash = hsr_strong_block(&key->strong, bytes, size);
    struct hsr_writer w = hsr_writer_init(out, HSR_DELTA_STRONG_MAX);

    hsr_put_u64(&w, hash.low);
    hsr_put_u64(&w, hash.high);
}

uint32_t hsr_delta_sign(const struct hsr_delta_plan *plan, const struct hsr_delta_key *key,
                        const void *bytes, size_t size, uint64_t offset, uint8_t *out)
{
    const uint8_t *at = bytes;
    uint32_t count = 0;

    hsr_assert(offset % plan->block_size == 0);
    hsr_assert(offset <= plan->base_size && size <= plan->base_size - offset);
    hsr_assert(size % plan->block_size == 0 || offset + size == plan->base_size);
    while (size > 0) {
        size_t block = HSR_MIN(size, (size_t)plan->block_size);
        uint32_t weak = hsr_weak_sum(hsr_weak_block(at, block));
        uint8_t strong[HSR_DELTA_STRONG_MAX];

        hsr_delta_strong(key, at, block, strong);
        memcpy(out, &weak, sizeof(weak)); /* little endian, as everywhere */
        memcpy(out + HSR_DELTA_WEAK_SIZE, strong, plan->strong_size);
        out += hsr_delta_sum_size(plan);
        at += block;
        size -= block;
        count++;
    }
    return count;
}

void hsr_delta_signer_init(struct hsr_delta_signer *signer, const struct hsr_delta_plan *plan,
                           const struct hsr_delta_key *key, uint64_t offset, uint8_t *scratch)
{
    hsr_assert(offset % plan->block_size == 0);
    *signer =
        (struct hsr_delta_signer){ .plan = plan, .key = key, .scratch = scratch, .offset = offset };
}

/* Bytes that the block at the signer's offset still lacks. */
static uint32_t signer_lacks(const struct hsr_delta_signer *signer)
{
    uint32_t block = (uint32_t)(signer->offset / signer->plan->block_size);

    return hsr_delta_block_bytes(signer->plan, block) - signer->waiting;
}

uint32_t hsr_delta_signer_put(struct hsr_delta_signer *signer, const void *bytes, size_t size,
                              uint8_t *out)
{
    const struct hsr_delta_plan *plan = signer->plan;
    const uint8_t *at = bytes;
    uint32_t count = 0;
    size_t whole;

    hsr_assert(signer->offset + signer->waiting + size <= plan->base_size);
    if (signer->waiting > 0) {
        uint32_t taken = (uint32_t)HSR_MIN((size_t)signer_lacks(signer), size);

        memcpy(signer->scratch + signer->waiting, at, taken);
        signer->waiting += taken;
        at += taken;
        size -= taken;
        if (signer_lacks(signer) > 0)
            return 0;
        count = hsr_delta_sign(plan, signer->key, signer->scratch, signer->waiting, signer->offset,
                               out);
        signer->offset += signer->waiting;
        signer->waiting = 0;
    }
    whole = signer->offset + size == plan->base_size ? size : size - size % plan->block_size;
    if (whole > 0)
        count += hsr_delta_sign(plan, signer->key, at, whole, signer->offset,
                                out + (size_t)count * hsr_delta_sum_size(plan));
    signer->offset += whole;
    signer->waiting = (uint32_t)(size - whole);
    if (signer->waiting > 0)
        memcpy(signer->scratch, at + whole, signer->waiting);
    return count;
}
