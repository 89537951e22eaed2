/* Member tables of packs: accepted ones encode to the same bytes, and the members fill the payload.
 * The payload's length is not the input's: two bytes of that say how many zeros follow, so that
 * small inputs reach large members. */
#include <string.h>

#include "base/err.h"
#include "tests/fuzz/fuzz.h"
#include "transfer/proto/message.h"

static uint8_t payload[HSR_CONTROL_PAYLOAD_MAX];
static uint8_t again[HSR_CONTROL_PAYLOAD_MAX];
static struct hsr_pack_member members[HSR_PACK_MEMBERS_MAX];

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    uint32_t digest_size; /* the first byte: 16 or 32 */
    size_t tail;
    uint32_t count = 0;
    uint64_t total = 0;
    int rc;

    if (size < 3 || size > sizeof(payload) / 2)
        return 0;
    digest_size = bytes[0] % 2 == 0 ? 16 : 32;
    tail = (size_t)bytes[1] | (size_t)bytes[2] << 8;
    size -= 3;
    memcpy(payload, bytes + 3, size);
    memset(payload + size, 0, tail);
    rc = hsr_pack_decode((struct hsr_span){ payload, size + tail }, digest_size, members, &count);
    FUZZ_CHECK(rc == 0 || rc == HSR_E_TRUNCATED || rc == HSR_E_PROTOCOL || rc == HSR_E_LIMIT);
    if (rc != 0)
        return 0;
    FUZZ_CHECK(count >= 1 && count <= HSR_PACK_MEMBERS_MAX);
    for (uint32_t i = 0; i < count; i++)
        total += members[i].size;
    FUZZ_CHECK(hsr_pack_table_size(count, digest_size) + total == size + tail);
    hsr_pack_encode(members, count, digest_size, again);
    FUZZ_CHECK(memcmp(again, payload, hsr_pack_table_size(count, digest_size)) == 0);
    return 0;
}
