/* Words that the coders of this folder share; not for others. A counted string is its size (u16,
 * for rules u32) and its bytes. */
#ifndef HSR_PROTO_WIRE_H
#define HSR_PROTO_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/span.h"
#include "transfer/proto/entry.h"
#include "transfer/proto/frame.h"

#define WIRE_CODE_ERRNO_MIN (-4095) /* the kernel's MAX_ERRNO */
#define WIRE_CODE_OURS_MIN (-5999) /* ours are -5001, -5002 ...; later versions add to them */
#define WIRE_CODE_OURS_MAX (-5001)

/** Why something failed: -errno or HSR_E_x. Codes of later versions pass; nothing that could
 * overflow when it is negated does. */
static inline bool wire_code_failed(int32_t code)
{
    if (code < 0 && code >= WIRE_CODE_ERRNO_MIN)
        return true;
    return code <= WIRE_CODE_OURS_MAX && code >= WIRE_CODE_OURS_MIN;
}

static inline void wire_put_string(struct hsr_writer *w, struct hsr_span string)
{
    if (string.size > UINT16_MAX) {
        w->failed = true;
        return;
    }
    hsr_put_u16(w, (uint16_t)string.size);
    hsr_put_bytes(w, string.ptr, string.size);
}

static inline struct hsr_span wire_get_string(struct hsr_reader *r)
{
    return hsr_get_span(r, hsr_get_u16(r));
}

static inline void wire_put_i32(struct hsr_writer *w, int32_t value)
{
    hsr_put_u32(w, (uint32_t)value);
}

static inline int32_t wire_get_i32(struct hsr_reader *r)
{
    return (int32_t)hsr_get_u32(r);
}

static inline int wire_name_check(struct hsr_span name)
{
    hsr_require(name.size <= HSR_NAME_MAX, HSR_E_LIMIT);
    hsr_require(hsr_name_valid(name), HSR_E_NAME);
    return 0;
}

static inline int wire_path_check(struct hsr_span path)
{
    hsr_require(path.size <= HSR_PATH_WIRE_MAX, HSR_E_LIMIT);
    hsr_require(hsr_path_valid(path), HSR_E_NAME);
    return 0;
}

/** What an encoder returns: the size, or that it did not fit. */
static inline int wire_size(const struct hsr_writer *w)
{
    return w->failed ? HSR_E_LIMIT : (int)w->offset;
}

/** What a decoder returns once it has read all its fields: nothing missing, nothing left over. */
static inline int wire_end(const struct hsr_reader *r)
{
    hsr_require(!r->failed, HSR_E_TRUNCATED);
    hsr_require(hsr_reader_left(r) == 0, HSR_E_PROTOCOL);
    return 0;
}

#endif
