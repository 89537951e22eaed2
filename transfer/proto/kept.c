/* KEPT: u32 count, then count times u64 offset, u64 size, the value in the digest's size. */
#include "transfer/proto/kept.h"

#include <string.h>

#include "transfer/proto/wire.h"

int hsr_kept_check(const struct hsr_kept_range *ranges, uint32_t count, uint32_t digest_size)
{
    uint64_t end = 0;

    hsr_require(count <= HSR_KEPT_RANGES_MAX, HSR_E_LIMIT);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t offset = ranges[i].offset, size = ranges[i].size;

        hsr_require(size > 0 && size % HSR_KEPT_UNIT == 0 && offset % HSR_KEPT_UNIT == 0,
                    HSR_E_PROTOCOL);
        hsr_require(size <= INT64_MAX && offset <= INT64_MAX - size, HSR_E_LIMIT);
        hsr_require(offset >= end, HSR_E_PROTOCOL);
        if (digest_size == HSR_BLAKE3_SIZE)
            hsr_require((size & (size - 1)) == 0 && offset % size == 0, HSR_E_PROTOCOL);
        end = offset + size;
    }
    return 0;
}

int hsr_kept_encode(const struct hsr_kept_range *ranges, uint32_t count, uint32_t digest_size,
                    void *out, size_t size)
{
    struct hsr_writer w = hsr_writer_init(out, size);
    int rc = hsr_kept_check(ranges, count, digest_size);

    if (rc < 0)
        return rc;
    hsr_put_u32(&w, count);
    for (uint32_t i = 0; i < count; i++) {
        hsr_put_u64(&w, ranges[i].offset);
        hsr_put_u64(&w, ranges[i].size);
        hsr_put_bytes(&w, ranges[i].value, digest_size);
    }
    return wire_size(&w);
}

int hsr_kept_decode(struct hsr_span payload, uint32_t digest_size, struct hsr_kept_range *ranges,
                    uint32_t *ret_count)
{
    struct hsr_reader r = hsr_reader_init(payload.ptr, payload.size);
    uint32_t count = hsr_get_u32(&r);
    int rc;

    hsr_require(!r.failed, HSR_E_TRUNCATED);
    hsr_require(count <= HSR_KEPT_RANGES_MAX, HSR_E_LIMIT);
    for (uint32_t i = 0; i < count; i++) {
        memset(&ranges[i], 0, sizeof(ranges[i]));
        ranges[i].offset = hsr_get_u64(&r);
        ranges[i].size = hsr_get_u64(&r);
        hsr_get_bytes(&r, ranges[i].value, digest_size);
    }
    rc = wire_end(&r);
    if (rc == 0)
        rc = hsr_kept_check(ranges, count, digest_size);
    if (rc == 0)
        *ret_count = count;
    return rc;
}
