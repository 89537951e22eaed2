/* Payloads of control frames. The first byte picks the decoder; what it accepts encodes to the same
 * bytes. */
#include <string.h>

#include "base/err.h"
#include "tests/fuzz/fuzz.h"
#include "transfer/proto/bench.h"
#include "transfer/proto/delta.h"
#include "transfer/proto/kept.h"

static uint8_t again[HSR_CONTROL_PAYLOAD_MAX];

static void rc_check(int rc)
{
    FUZZ_CHECK(rc == 0 || rc == HSR_E_TRUNCATED || rc == HSR_E_PROTOCOL || rc == HSR_E_LIMIT ||
               rc == HSR_E_NAME);
}

#define TRY(name)                                                                                  \
    static void try_##name(struct hsr_span payload)                                                \
    {                                                                                              \
        struct hsr_##name message;                                                                 \
        int rc = hsr_##name##_decode(payload, &message);                                           \
                                                                                                   \
        rc_check(rc);                                                                              \
        if (rc != 0)                                                                               \
            return;                                                                                \
        FUZZ_CHECK(hsr_##name##_encode(&message, again, sizeof(again)) == (int)payload.size);      \
        FUZZ_CHECK(memcmp(again, payload.ptr, payload.size) == 0);                                 \
    }

TRY(hello)
TRY(hello_ack)
TRY(open)
TRY(open_ack)
TRY(join)
TRY(join_ack)
TRY(reject)
TRY(note)
TRY(done)
TRY(walk_end)
TRY(list_request)
TRY(bench_ask)
TRY(bench_ack)
TRY(bench_result)
TRY(stages)
TRY(ahead)
TRY(measured)
TRY(levels)
TRY(left)

/* The first byte picks the size of digests, too. */
static uint32_t digest_size;

#define TRY_DIGEST(name)                                                                           \
    static void try_##name(struct hsr_span payload)                                                \
    {                                                                                              \
        struct hsr_##name message;                                                                 \
        int rc = hsr_##name##_decode(payload, digest_size, &message);                              \
                                                                                                   \
        rc_check(rc);                                                                              \
        if (rc != 0)                                                                               \
            return;                                                                                \
        FUZZ_CHECK(hsr_##name##_encode(&message, digest_size, again, sizeof(again)) ==             \
                   (int)payload.size);                                                             \
        FUZZ_CHECK(memcmp(again, payload.ptr, payload.size) == 0);                                 \
    }

TRY_DIGEST(file_end)
TRY_DIGEST(digest_answer)

static void try_kept(struct hsr_span payload)
{
    struct hsr_kept_range ranges[HSR_KEPT_RANGES_MAX];
    uint32_t count;
    int rc = hsr_kept_decode(payload, digest_size, ranges, &count);

    rc_check(rc);
    if (rc != 0)
        return;
    FUZZ_CHECK(hsr_kept_encode(ranges, count, digest_size, again, sizeof(again)) ==
               (int)payload.size);
    FUZZ_CHECK(memcmp(again, payload.ptr, payload.size) == 0);
}

/* The number of its first block comes in front: the frame's header has it. */
static void try_sig(struct hsr_span payload)
{
    struct hsr_reader reader = hsr_reader_init(payload.ptr, payload.size);
    uint64_t first = hsr_get_u64(&reader);
    struct hsr_span rest = hsr_get_span(&reader, hsr_reader_left(&reader));
    struct hsr_sig sig;
    int rc = hsr_sig_decode(rest, first, &sig);

    rc_check(rc);
    if (rc != 0)
        return;
    FUZZ_CHECK(first + sig.count <= HSR_SIG_BLOCKS_MAX);
    FUZZ_CHECK(hsr_sig_encode(&sig, first, again, sizeof(again)) == (int)rest.size);
    FUZZ_CHECK(memcmp(again, rest.ptr, rest.size) == 0);
}

/* Lists are read item by item and written the same way. */
static void try_list(struct hsr_span payload, uint32_t count_max,
                     int (*copy_next)(struct hsr_list_reader *reader,
                                      struct hsr_list_writer *writer))
{
    struct hsr_list_reader reader;
    struct hsr_list_writer writer;
    int rc = hsr_list_begin(&reader, payload, count_max);

    rc_check(rc);
    if (rc < 0)
        return;
    hsr_list_start(&writer, again, sizeof(again));
    while ((rc = copy_next(&reader, &writer)) == 1)
        FUZZ_CHECK(writer.count <= count_max);
    rc_check(rc);
    if (rc < 0)
        return;
    FUZZ_CHECK(hsr_list_finish(&writer) == (int)payload.size);
    FUZZ_CHECK(memcmp(again, payload.ptr, payload.size) == 0);
}

static int paths_copy(struct hsr_list_reader *reader, struct hsr_list_writer *writer)
{
    struct hsr_span path;
    int rc = hsr_paths_next(reader, &path);

    FUZZ_CHECK(rc != 1 || hsr_paths_put(writer, path) == 0);
    return rc;
}

static int want_copy(struct hsr_list_reader *reader, struct hsr_list_writer *writer)
{
    struct hsr_want_item item;
    int rc = hsr_want_next(reader, digest_size, &item);

    FUZZ_CHECK(rc != 1 || hsr_want_put(writer, digest_size, &item) == 0);
    return rc;
}

static void try_page_ack(struct hsr_span payload)
{
    struct hsr_list_reader reader;
    struct hsr_list_writer writer;
    struct hsr_ack_item item;
    uint8_t level;
    int rc = hsr_ack_begin(&reader, payload, HSR_PAGE_ENTRIES_MAX, &level);

    rc_check(rc);
    if (rc < 0)
        return;
    hsr_ack_start(&writer, again, sizeof(again), level);
    while ((rc = hsr_ack_next(&reader, &item)) == 1)
        FUZZ_CHECK(hsr_ack_put(&writer, &item) == 0);
    rc_check(rc);
    if (rc < 0)
        return;
    FUZZ_CHECK(hsr_ack_finish(&writer) == (int)payload.size);
    FUZZ_CHECK(memcmp(again, payload.ptr, payload.size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static void (*const tries[])(struct hsr_span payload) = {
        try_hello,        try_hello_ack, try_open,          try_open_ack,  try_join,
        try_reject,       try_note,      try_done,          try_walk_end,  try_file_end,
        try_list_request, try_join_ack,  try_bench_ask,     try_bench_ack, try_bench_result,
        try_stages,       try_sig,       try_digest_answer, try_measured,  try_ahead,
        try_kept,         try_levels,    try_left,
    };
    struct hsr_span payload;
    unsigned pick;

    if (size < 1 || size > HSR_CONTROL_PAYLOAD_MAX)
        return 0;
    payload = (struct hsr_span){ bytes + 1, size - 1 };
    digest_size = bytes[0] < 128 ? 16 : 32;
    pick = bytes[0] % 128 % (HSR_ARRAY_COUNT(tries) + 3);
    if (pick < HSR_ARRAY_COUNT(tries))
        tries[pick](payload);
    else if (pick == HSR_ARRAY_COUNT(tries))
        try_list(payload, UINT32_MAX, paths_copy);
    else if (pick == HSR_ARRAY_COUNT(tries) + 1)
        try_list(payload, HSR_PAGE_ENTRIES_MAX, want_copy);
    else
        try_page_ack(payload);
    return 0;
}
