/* Frame headers: what is accepted encodes to the same bytes. The header's check is filled in, else
 * no input would get behind it; an input of full size with its own check is tried as it is too. */
#include <string.h>

#include "base/err.h"
#include "tests/fuzz/fuzz.h"
#include "transfer/proto/frame.h"

#define CHECKED_SIZE (HSR_FRAME_HEADER_SIZE - sizeof(uint64_t))

static void try(const uint8_t header[HSR_FRAME_HEADER_SIZE])
{
    uint8_t again[HSR_FRAME_HEADER_SIZE];
    struct hsr_frame frame;
    int rc = hsr_frame_decode(header, &frame);

    FUZZ_CHECK(rc == 0 || rc == HSR_E_CHECK || rc == HSR_E_PROTOCOL || rc == HSR_E_LIMIT);
    if (rc != 0)
        return;
    FUZZ_CHECK(frame.size <= HSR_CHUNK_SIZE_MAX && frame.index < HSR_PAGE_ENTRIES_MAX);
    FUZZ_CHECK(hsr_frame_is_bulk(frame.kind) || frame.size <= HSR_CONTROL_PAYLOAD_MAX);
    FUZZ_CHECK(frame.offset + frame.size <= INT64_MAX);
    FUZZ_CHECK(strcmp(hsr_frame_name(frame.kind), "unknown") != 0);
    hsr_frame_encode(&frame, again);
    FUZZ_CHECK(memcmp(header, again, sizeof(again)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    uint8_t header[HSR_FRAME_HEADER_SIZE];
    uint64_t check;

    if (size < CHECKED_SIZE)
        return 0;
    if (size >= sizeof(header))
        try(bytes);
    memcpy(header, bytes, CHECKED_SIZE);
    check = hsr_hash64(header, CHECKED_SIZE);
    memcpy(header + CHECKED_SIZE, &check, sizeof(check));
    try(header);
    return 0;
}
