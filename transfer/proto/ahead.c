/* AHEAD: a row of numbers. */
#include <string.h>

#include "transfer/proto/message.h"
#include "transfer/proto/wire.h"

#define FIELDS (HSR_AHEAD_SIZE / 8u)

_Static_assert(sizeof(struct hsr_ahead) == HSR_AHEAD_SIZE, "only u64, in their order");

static int ahead_check(const uint64_t fields[FIELDS])
{
    hsr_require(fields[0] < HSR_AHEAD_STATE_COUNT, HSR_E_PROTOCOL);
    for (unsigned i = 1; i < FIELDS; i++)
        hsr_require(fields[i] <= HSR_FIGURE_MAX, HSR_E_LIMIT);
    return 0;
}

int hsr_ahead_encode(const struct hsr_ahead *figures, void *out, size_t size)
{
    struct hsr_writer w = hsr_writer_init(out, size);
    uint64_t fields[FIELDS];
    int rc;

    memcpy(fields, figures, sizeof(fields));
    rc = ahead_check(fields);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < FIELDS; i++)
        hsr_put_u64(&w, fields[i]);
    return wire_size(&w);
}

int hsr_ahead_decode(struct hsr_span payload, struct hsr_ahead *ret_figures)
{
    struct hsr_reader r = hsr_reader_init(payload.ptr, payload.size);
    uint64_t fields[FIELDS];
    int rc;

    for (unsigned i = 0; i < FIELDS; i++)
        fields[i] = hsr_get_u64(&r);
    rc = wire_end(&r);
    if (rc == 0)
        rc = ahead_check(fields);
    if (rc == 0)
        memcpy(ret_figures, fields, sizeof(fields));
    return rc;
}
