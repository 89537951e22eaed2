/* Signatures in pieces, and the head of patches. */
#include "transfer/proto/delta.h"

#include <string.h>

#include "transfer/proto/message.h"
#include "transfer/proto/wire.h"

static int sig_check(const struct hsr_sig *sig, uint64_t first)
{
    uint64_t blocks;

    hsr_require(sig->block_log >= HSR_SIG_BLOCK_LOG_MIN && sig->block_log <= HSR_SIG_BLOCK_LOG_MAX,
                HSR_E_LIMIT);
    hsr_require(sig->strong_size >= HSR_SIG_STRONG_MIN && sig->strong_size <= HSR_SIG_STRONG_MAX,
                HSR_E_LIMIT);
    hsr_require(sig->base_size > 0 && sig->count > 0, HSR_E_PROTOCOL);
    hsr_require(sig->base_size <= INT64_MAX, HSR_E_LIMIT);
    blocks = hsr_sig_blocks(sig->base_size, sig->block_log);
    hsr_require(blocks <= HSR_SIG_BLOCKS_MAX, HSR_E_LIMIT);
    hsr_require(first < blocks && sig->count <= blocks - first, HSR_E_LIMIT);
    return 0;
}

int hsr_sig_encode(const struct hsr_sig *sig, uint64_t first, void *out, size_t size)
{
    struct hsr_writer w = hsr_writer_init(out, HSR_MIN(size, (size_t)HSR_CONTROL_PAYLOAD_MAX));
    int rc = sig_check(sig, first);

    if (rc < 0)
        return rc;
    hsr_require(sig->sums.size == (size_t)sig->count * hsr_sig_sum_size(sig->strong_size),
                HSR_E_PROTOCOL);
    hsr_put_u64(&w, sig->base_size);
    hsr_put_u8(&w, sig->block_log);
    hsr_put_u8(&w, sig->strong_size);
    hsr_put_u16(&w, 0);
    hsr_put_u32(&w, sig->count);
    hsr_put_bytes(&w, sig->sums.ptr, sig->sums.size);
    return wire_size(&w);
}

int hsr_sig_decode(struct hsr_span payload, uint64_t first, struct hsr_sig *ret_sig)
{
    struct hsr_reader r = hsr_reader_init(payload.ptr, payload.size);
    struct hsr_sig sig = { 0 };
    uint16_t reserved;
    int rc;

    sig.base_size = hsr_get_u64(&r);
    sig.block_log = hsr_get_u8(&r);
    sig.strong_size = hsr_get_u8(&r);
    reserved = hsr_get_u16(&r);
    sig.count = hsr_get_u32(&r);
    hsr_require(!r.failed, HSR_E_TRUNCATED);
    hsr_require(reserved == 0, HSR_E_PROTOCOL);
    rc = sig_check(&sig, first);
    if (rc < 0)
        return rc;
    sig.sums = hsr_get_span(&r, (size_t)sig.count * hsr_sig_sum_size(sig.strong_size));
    rc = wire_end(&r);
    if (rc == 0)
        *ret_sig = sig;
    return rc;
}

void hsr_patch_frame_seal(uint8_t *payload, size_t size)
{
    struct hsr_writer w = hsr_writer_init(payload, HSR_PATCH_HEAD_SIZE);

    hsr_assert(size > HSR_PATCH_HEAD_SIZE);
    hsr_put_u64(&w, hsr_hash64(payload + HSR_PATCH_HEAD_SIZE, size - HSR_PATCH_HEAD_SIZE));
}

int hsr_patch_frame_open(struct hsr_span payload, struct hsr_span *ret_patch)
{
    struct hsr_reader r = hsr_reader_init(payload.ptr, payload.size);
    uint64_t check = hsr_get_u64(&r);
    struct hsr_span patch = { payload.ptr + r.offset, hsr_reader_left(&r) };

    hsr_require(!r.failed && patch.size > 0, HSR_E_TRUNCATED);
    hsr_require(hsr_hash64(patch.ptr, patch.size) == check, HSR_E_CHECK);
    *ret_patch = patch;
    return 0;
}

void hsr_delta_key(const uint8_t token[HSR_TOKEN_SIZE], uint8_t ret_key[HSR_SIG_KEY_SIZE])
{
    memset(ret_key, 0, HSR_SIG_KEY_SIZE);
    memcpy(ret_key, token, HSR_TOKEN_SIZE);
}
