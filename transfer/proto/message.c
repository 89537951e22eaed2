/* Payloads with a fixed layout: a check that both directions share, an encoder, a decoder. */
#include "transfer/proto/message.h"

#include <string.h>

#include "transfer/proto/delta.h"
#include "transfer/proto/wire.h"

/* ---- HELLO, HELLO_ACK: the only messages before a version is agreed ---- */

static int hello_check(const struct hsr_hello *hello)
{
    hsr_require(hello->magic == HSR_PROTO_MAGIC, HSR_E_PROTOCOL);
    hsr_require(hello->version_min >= 1, HSR_E_PROTOCOL);
    hsr_require(hello->version_min <= hello->version_max, HSR_E_PROTOCOL);
    hsr_require(hello->agent.size <= HSR_AGENT_MAX, HSR_E_LIMIT);
    return 0; /* unknown feature bits are no error: a later version may have more */
}

int hsr_hello_encode(const struct hsr_hello *hello, void *out, size_t size)
{
    struct hsr_writer w = hsr_writer_init(out, size);
    int rc = hello_check(hello);

    if (rc < 0)
        return rc;
    hsr_put_u32(&w, hello->magic);
    hsr_put_u16(&w, hello->version_min);
    hsr_put_u16(&w, hello->version_max);
    hsr_put_u64(&w, hello->features);
    hsr_put_u32(&w, hello->silence_ms);
    wire_put_string(&w, hello->agent);
    return wire_size(&w);
}

int hsr_hello_decode(struct hsr_span payload, struct hsr_hello *ret_hello)
{
    struct hsr_reader r = hsr_reader_init(payload.ptr, payload.size);
    struct hsr_hello hello = { 0 };
    int rc;

    hello.magic = hsr_get_u32(&r);
    hello.version_min = hsr_get_u16(&r);
    hello.version_max = hsr_get_u16(&r);
    hello.features = hsr_get_u64(&r);
    hello.silence_ms = hsr_get_u32(&r);
    hello.agent = wire_get_string(&r);
    rc = wire_end(&r);
    if (rc == 0)
        rc = hello_check(&hello);
    if (rc == 0)
        *ret_hello = hello;
    return rc;
}

/* Both ends state these; a stream needs room for at least one chunk. */
static int shape_check(uint32_t streams, uint32_t depth, uint32_t chunk)
{
    hsr_require(streams >= 1 && streams <= HSR_STREAMS_MAX, HSR_E_LIMIT);
    hsr_require(depth >= 1 && depth <= HSR_DEPTH_MAX, HSR_E_LIMIT);
    hsr_require(chunk >= HSR_CHUNK_SIZE_MIN && chunk <= HSR_CHUNK_SIZE_MAX, HSR_E_LIMIT);
    return 0;
}

static int hello_ack_check(const struct hsr_hello_ack *ack)
{
    hsr_require(ack->version >= 1, HSR_E_PROTOCOL);
    hsr_require(ack->agent.size <= HSR_AGENT_MAX, HSR_E_LIMIT);
    return shape_check(ack->streams_max, ack->depth_max, ack->chunk_max);
}

int hsr_hello_ack_encode(const struct hsr_hello_ack *ack, void *out, size_t size)
{
    struct hsr_writer w = hsr_writer_init(out, size);
    int rc = hello_ack_check(ack);

    if (rc < 0)
        return rc;
    hsr_put_u16(&w, ack->version);
    hsr_put_u64(&w, ack->features);
    hsr_put_u32(&w, ack->streams_max);
    hsr_put_u32(&w, ack->depth_max);
    hsr_put_u32(&w, ack->chunk_max);
    hsr_put_u32(&w, ack->silence_ms);
    wire_put_string(&w, ack->agent);
    return wire_size(&w);
}

int hsr_hello_ack_decode(struct hsr_span payload, struct hsr_hello_ack *ret_ack)
{
    struct hsr_reader r = hsr_reader_init(payload.ptr, payload.size);
    struct hsr_hello_ack ack = { 0 };
    int rc;

    ack.version = hsr_get_u16(&r);
    ack.features = hsr_get_u64(&r);
    ack.streams_max = hsr_get_u32(&r);
    ack.depth_max = hsr_get_u32(&r);
    ack.chunk_max = hsr_get_u32(&r);
    ack.silence_ms = hsr_get_u32(&r);
    ack.agent = wire_get_string(&r);
    rc = wire_end(&r);
    if (rc == 0)
        rc = hello_ack_check(&ack);
    if (rc == 0)
        *ret_ack = ack;
    return rc;
}

/* ---- OPEN, OPEN_ACK, JOIN, JOIN_ACK ---- */

int hsr_congestion_name_check(struct hsr_span name)
{
    hsr_require(name.size <= HSR_CONGESTION_MAX, HSR_E_LIMIT);
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.ptr[i];

        hsr_require((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-',
                    HSR_E_NAME);
    }
    return 0;
}

static int open_check(const struct hsr_open *open)
{
    int rc;

    hsr_require(open->role == HSR_ROLE_SOURCE || open->role == HSR_ROLE_TARGET, HSR_E_PROTOCOL);
    hsr_require(hsr_digest_known(open->digest), HSR_E_PROTOCOL);
    hsr_require(open->durability >= HSR_DURABILITY_RECEIVED &&
                    open->durability <= HSR_DURABILITY_DURABLE,
                HSR_E_PROTOCOL);
    hsr_require((open->options & ~HSR_OPTS_ALL) == 0, HSR_E_PROTOCOL);
    hsr_require(!(open->options & HSR_OPT_DISCARD) ||
                    ((open->options & HSR_OPT_DRY_RUN) && open->role == HSR_ROLE_SOURCE),
                HSR_E_PROTOCOL);
    hsr_require(!(open->options & HSR_OPT_VERIFY) ||
                    ((open->options & HSR_OPT_DRY_RUN) && (open->options & HSR_OPT_CHECKSUM) &&
                     !(open->options & HSR_OPT_DISCARD) && open->role == HSR_ROLE_SOURCE),
                HSR_E_PROTOCOL);
    hsr_require(!(open->options & HSR_OPT_MEASURE) || open->role == HSR_ROLE_SOURCE,
                HSR_E_PROTOCOL);
    hsr_require(!(open->options & HSR_OPT_AHEAD_OFF) || !(open->options & HSR_OPT_AHEAD_ON),
                HSR_E_PROTOCOL);
    hsr_require(!(open->options & HSR_OPT_NO_JOURNAL) || !(open->options & HSR_OPT_VERIFY_RESUME),
                HSR_E_PROTOCOL);
    hsr_require(open->block_log == 0 || (open->options & HSR_OPT_DELTA), HSR_E_PROTOCOL);
    hsr_require(open->block_log == 0 || (open->block_log >= HSR_SIG_BLOCK_LOG_MIN &&
                                         open->block_log <= HSR_SIG_BLOCK_LOG_MAX),
                HSR_E_LIMIT);
    hsr_require(open->role == HSR_ROLE_TARGET || open->paths == 0, HSR_E_PROTOCOL);
    hsr_require(open->rules.size <= HSR_RULES_SIZE_MAX, HSR_E_LIMIT);
    rc = shape_check(open->streams, open->depth, open->chunk);
    if (rc == 0)
        rc = wire_name_check(open->export_name);
    if (rc == 0)
        rc = wire_path_check(open->path);
    if (rc == 0)
        rc = hsr_congestion_name_check(open->congestion);
    return rc;
}

int hsr_open_encode(const struct hsr_open *open, void *out, size_t size)
{
    struct hsr_writer w = hsr_writer_init(out, size);
    int rc = open_check(open);

    if (rc < 0)
        return rc;
    hsr_put_u8(&w, open->role);
    hsr_put_u8(&w, open->digest);
    hsr_put_u8(&w, open->durability);
    hsr_put_u8(&w, open->block_log);
    hsr_put_u32(&w, open->options);
    hsr_put_u32(&w, open->streams);
    hsr_put_u32(&w, open->depth);
    hsr_put_u32(&w, open->chunk);
    hsr_put_u64(&w, open->bwlimit);
    hsr_put_u64(&w, open->delete_max);
    hsr_put_u32(&w, open->paths);
    wire_put_string(&w, open->export_name);
    wire_put_string(&w, open->path);
    hsr_put_u32(&w, (uint32_t)open->rules.size);
    hsr_put_bytes(&w, open->rules.ptr, open->rules.size);
    wire_put_string(&w, open->congestion);
    hsr_put_bytes(&w, open->job, HSR_JOB_SIZE);
    hsr_put_u32(&w, open->attempt);
    return wire_size(&w);
}

int hsr_open_decode(struct hsr_span payload, struct hsr_open *ret_open)
{
    struct hsr_reader r = hsr_reader_init(payload.ptr, payload.size);
    struct hsr_open open = { 0 };
    struct hsr_span job;
    int rc;

    open.role = hsr_get_u8(&r);
    open.digest = hsr_get_u8(&r);
    open.durability = hsr_get_u8(&r);
    open.block_log = hsr_get_u8(&r);
    open.options = hsr_get_u32(&r);
    open.streams = hsr_get_u32(&r);
    open.depth = hsr_get_u32(&r);
    open.chunk = hsr_get_u32(&r);
    open.bwlimit = hsr_get_u64(&r);
    open.delete_max = hsr_get_u64(&r);
    open.paths = hsr_get_u32(&r);
    open.export_name = wire_get_string(&r);
    open.path = wire_get_string(&r);
    open.rules = hsr_get_span(&r, hsr_get_u32(&r));
    open.congestion = wire_get_string(&r);
    job = hsr_get_span(&r, HSR_JOB_SIZE);
    open.attempt = hsr_get_u32(&r);
    rc = wire_end(&r);
    if (rc < 0)
        return rc;
    memcpy(open.job, job.ptr, HSR_JOB_SIZE);
    rc = open_check(&open);
    if (rc == 0)
        *ret_open = open;
    return rc;
}

static int open_ack_check(const struct hsr_open_ack *ack)
{
    int rc = shape_check(ack->streams, ack->depth, ack->chunk);

    if (rc < 0)
        return rc;
    hsr_require(ack->rename_top <= 1, HSR_E_PROTOCOL);
    if (ack->rename_top != 0)
        return wire_name_check(ack->top_name);
    hsr_require(ack->top_name.size == 0, HSR_E_PROTOCOL);
    return 0;
}

int hsr_open_ack_encode(const struct hsr_open_ack *ack, void *out, size_t size)
{
    struct hsr_writer w = hsr_writer_init(out, size);
    int rc = open_ack_check(ack);

    if (rc < 0)
        return rc;
    hsr_put_bytes(&w, ack->token, HSR_TOKEN_SIZE);
    hsr_put_u32(&w, ack->streams);
    hsr_put_u32(&w, ack->depth);
    hsr_put_u32(&w, ack->chunk);
    hsr_put_u32(&w, ack->files_max);
    hsr_put_u8(&w, ack->rename_top);
    wire_put_string(&w, ack->top_name);
    return wire_size(&w);
}

int hsr_open_ack_decode(struct hsr_span payload, struct hsr_open_ack *ret_ack)
{
    struct hsr_reader r = hsr_reader_init(payload.ptr, payload.size);
    struct hsr_open_ack ack = { 0 };
    int rc;

    hsr_get_bytes(&r, ack.token, HSR_TOKEN_SIZE);
    ack.streams = hsr_get_u32(&r);
    ack.depth = hsr_get_u32(&r);
    ack.chunk = hsr_get_u32(&r);
    ack.files_max = hsr_get_u32(&r);
    ack.rename_top = hsr_get_u8(&r);
    ack.top_name = wire_get_string(&r);
    rc = wire_end(&r);
    if (rc == 0)
        rc = open_ack_check(&ack);
    if (rc == 0)
        *ret_ack = ack;
    return rc;
}

int hsr_join_encode(const struct hsr_join *join, void *out, size_t size)
{
    struct hsr_writer w = hsr_writer_init(out, size);

    hsr_require(join->stream < HSR_STREAMS_MAX, HSR_E_LIMIT);
    hsr_put_bytes(&w, join->token, HSR_TOKEN_SIZE);
    hsr_put_u32(&w, join->stream);
    return wire_size(&w);
}

int hsr_join_decode(struct hsr_span payload, struct hsr_join *ret_join)
{
    struct hsr_reader r = hsr_reader_init(payload.ptr, payload.size);
    struct hsr_join join = { 0 };
    int rc;

    hsr_get_bytes(&r, join.token, HSR_TOKEN_SIZE);
    join.stream = hsr_get_u32(&r);
    rc = wire_end(&r);
    if (rc < 0)
        return rc;
    hsr_require(join.stream < HSR_STREAMS_MAX, HSR_E_LIMIT);
    *ret_join = join;
    return 0;
}

int hsr_join_ack_encode(const struct hsr_join_ack *ack, void *out, size_t size)
{
    struct hsr_writer w = hsr_writer_init(out, size);
    int rc = hsr_congestion_name_check(ack->congestion);

    if (rc < 0)
        return rc;
    wire_put_string(&w, ack->congestion);
    return wire_size(&w);
}

int hsr_join_ack_decode(struct hsr_span payload, struct hsr_join_ack *ret_ack)
{
    struct hsr_reader r = hsr_reader_init(payload.ptr, payload.size);
    struct hsr_join_ack ack = { .congestion = wire_get_string(&r) };
    int rc = wire_end(&r);

    if (rc == 0)
        rc = hsr_congestion_name_check(ack.congestion);
    if (rc == 0)
        *ret_ack = ack;
    return rc;
}

/* ---- REJECT, CANCEL, NOTE: words for people ---- */

static int reject_check(const struct hsr_reject *reject)
{
    hsr_require(wire_code_failed(reject->code), HSR_E_PROTOCOL);
    hsr_require(reject->text.size <= HSR_TEXT_MAX, HSR_E_LIMIT);
    return 0;
}

int hsr_reject_encode(const struct hsr_reject *reject, void *out, size_t size)
{
    struct hsr_writer w = hsr_writer_init(out, size);
    int rc = reject_check(reject);

    if (rc < 0)
        return rc;
    wire_put_i32(&w, reject->code);
    wire_put_string(&w, reject->text);
    return wire_size(&w);
}

int hsr_reject_decode(struct hsr_span payload, struct hsr_reject *ret_reject)
{
    struct hsr_reader r = hsr_reader_init(payload.ptr, payload.size);
    struct hsr_reject reject = { 0 };
    int rc;

    reject.code = wire_get_i32(&r);
    reject.text = wire_get_string(&r);
    rc = wire_end(&r);
    if (rc == 0)
        rc = reject_check(&reject);
    if (rc == 0)
        *ret_reject = reject;
    return rc;
}

/* A failure has a reason, an omission or a warning may have one, a success has none. */
static int note_check(const struct hsr_note *note)
{
    hsr_require(note->event >= HSR_NOTE_FAILED && note->event < HSR_NOTE_EVENT_COUNT,
                HSR_E_PROTOCOL);
    if (note->event == HSR_NOTE_FAILED)
        hsr_require(wire_code_failed(note->code), HSR_E_PROTOCOL);
    else if (note->event == HSR_NOTE_SKIPPED || note->event == HSR_NOTE_WARNING)
        hsr_require(note->code == 0 || wire_code_failed(note->code), HSR_E_PROTOCOL);
    else
        hsr_require(note->code == 0, HSR_E_PROTOCOL);
    hsr_require(note->text.size <= HSR_TEXT_MAX, HSR_E_LIMIT);
    return wire_path_check(note->path);
}

int hsr_note_encode(const struct hsr_note *note, void *out, size_t size)
{
    struct hsr_writer w = hsr_writer_init(out, size);
    struct hsr_note copy = *note;
    int rc;

    if (copy.event >= HSR_NOTE_CREATED)
        copy.code = 0;
    rc = note_check(&copy);
    if (rc < 0)
        return rc;
    hsr_put_u8(&w, copy.event);
    wire_put_i32(&w, copy.code);
    hsr_put_u64(&w, copy.size);
    wire_put_string(&w, copy.path);
    wire_put_string(&w, copy.text);
    return wire_size(&w);
}

int hsr_note_decode(struct hsr_span payload, struct hsr_note *ret_note)
{
    struct hsr_reader r = hsr_reader_init(payload.ptr, payload.size);
    struct hsr_note note = { 0 };
    int rc;

    note.event = hsr_get_u8(&r);
    note.code = wire_get_i32(&r);
    note.size = hsr_get_u64(&r);
    note.path = wire_get_string(&r);
    note.text = wire_get_string(&r);
    rc = wire_end(&r);
    if (rc == 0)
        rc = note_check(&note);
    if (rc == 0)
        *ret_note = note;
    return rc;
}

/* ---- FILE_END, WALK_END, DONE: results ---- */

static int done_check(const struct hsr_done *done)
{
    /* 0: nothing is promised, which is all that a target that gave up may say */
    hsr_require(done->durability <= HSR_DURABILITY_DURABLE, HSR_E_PROTOCOL);
    hsr_require(done->limit >= HSR_DURABILITY_RECEIVED && done->limit <= HSR_DURABILITY_DURABLE &&
                    done->durability <= done->limit,
                HSR_E_PROTOCOL);
    hsr_require(done->code == 0 || wire_code_failed(done->code), HSR_E_PROTOCOL);
    return 0;
}

static int levels_check(const struct hsr_levels *levels)
{
    hsr_require(levels->durable <= levels->written && levels->written <= levels->received,
                HSR_E_PROTOCOL);
    return 0;
}

int hsr_levels_encode(const struct hsr_levels *levels, void *out, size_t size)
{
    struct hsr_writer w = hsr_writer_init(out, size);
    int rc = levels_check(levels);

    if (rc < 0)
        return rc;
    hsr_put_u32(&w, levels->pages);
    hsr_put_u64(&w, levels->received);
    hsr_put_u64(&w, levels->written);
    hsr_put_u64(&w, levels->durable);
    return wire_size(&w);
}

int hsr_levels_decode(struct hsr_span payload, struct hsr_levels *ret_levels)
{
    struct hsr_reader r = hsr_reader_init(payload.ptr, payload.size);
    struct hsr_levels levels = { 0 };
    int rc;

    levels.pages = hsr_get_u32(&r);
    levels.received = hsr_get_u64(&r);
    levels.written = hsr_get_u64(&r);
    levels.durable = hsr_get_u64(&r);
    rc = wire_end(&r);
    if (rc == 0)
        rc = levels_check(&levels);
    if (rc == 0)
        *ret_levels = levels;
    return rc;
}

static void totals_put(struct hsr_writer *w, const struct hsr_totals *totals)
{
    hsr_put_u64(w, totals->files);
    hsr_put_u64(w, totals->bytes);
    hsr_put_u64(w, totals->created);
    hsr_put_u64(w, totals->touched);
    hsr_put_u64(w, totals->skipped);
    hsr_put_u64(w, totals->deleted);
    hsr_put_u64(w, totals->failed);
}

static void totals_get(struct hsr_reader *r, struct hsr_totals *ret_totals)
{
    ret_totals->files = hsr_get_u64(r);
    ret_totals->bytes = hsr_get_u64(r);
    ret_totals->created = hsr_get_u64(r);
    ret_totals->touched = hsr_get_u64(r);
    ret_totals->skipped = hsr_get_u64(r);
    ret_totals->deleted = hsr_get_u64(r);
    ret_totals->failed = hsr_get_u64(r);
}

static int left_check(const struct hsr_left *left)
{
    hsr_require((left->files == 0) == (left->bytes == 0), HSR_E_PROTOCOL);
    return 0;
}

int hsr_left_encode(const struct hsr_left *left, void *out, size_t size)
{
    struct hsr_writer w = hsr_writer_init(out, size);
    int rc = left_check(left);

    if (rc < 0)
        return rc;
    hsr_put_u64(&w, left->files);
    hsr_put_u64(&w, left->bytes);
    totals_put(&w, &left->totals);
    return wire_size(&w);
}

int hsr_left_decode(struct hsr_span payload, struct hsr_left *ret_left)
{
    struct hsr_reader r = hsr_reader_init(payload.ptr, payload.size);
    struct hsr_left left;
    int rc;

    left.files = hsr_get_u64(&r);
    left.bytes = hsr_get_u64(&r);
    totals_get(&r, &left.totals);
    rc = wire_end(&r);
    if (rc == 0)
        rc = left_check(&left);
    if (rc == 0)
        *ret_left = left;
    return rc;
}

int hsr_done_encode(const struct hsr_done *done, void *out, size_t size)
{
    struct hsr_writer w = hsr_writer_init(out, size);
    int rc = done_check(done);

    if (rc < 0)
        return rc;
    hsr_put_u8(&w, done->durability);
    hsr_put_u8(&w, done->limit);
    wire_put_i32(&w, done->code);
    totals_put(&w, &done->totals);
    return wire_size(&w);
}

int hsr_done_decode(struct hsr_span payload, struct hsr_done *ret_done)
{
    struct hsr_reader r = hsr_reader_init(payload.ptr, payload.size);
    struct hsr_done done = { 0 };
    int rc;

    done.durability = hsr_get_u8(&r);
    done.limit = hsr_get_u8(&r);
    done.code = wire_get_i32(&r);
    totals_get(&r, &done.totals);
    rc = wire_end(&r);
    if (rc == 0)
        rc = done_check(&done);
    if (rc == 0)
        *ret_done = done;
    return rc;
}

static int stages_check(const struct hsr_stages *stages)
{
    for (unsigned i = 0; i < HSR_FIGURE_COUNT; i++)
        hsr_require(stages->figure[i] <= HSR_FIGURE_MAX, HSR_E_LIMIT);
    return 0;
}

int hsr_stages_encode(const struct hsr_stages *stages, void *out, size_t size)
{
    struct hsr_writer w = hsr_writer_init(out, size);
    int rc = stages_check(stages);

    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < HSR_FIGURE_COUNT; i++)
        hsr_put_u64(&w, stages->figure[i]);
    return wire_size(&w);
}

int hsr_stages_decode(struct hsr_span payload, struct hsr_stages *ret_stages)
{
    struct hsr_reader r = hsr_reader_init(payload.ptr, payload.size);
    struct hsr_stages stages;
    int rc;

    for (unsigned i = 0; i < HSR_FIGURE_COUNT; i++)
        stages.figure[i] = hsr_get_u64(&r);
    rc = wire_end(&r);
    if (rc == 0)
        rc = stages_check(&stages);
    if (rc == 0)
        *ret_stages = stages;
    return rc;
}

int hsr_walk_end_encode(const struct hsr_walk_end *end, void *out, size_t size)
{
    struct hsr_writer w = hsr_writer_init(out, size);

    hsr_put_u64(&w, end->entries);
    hsr_put_u64(&w, end->files);
    hsr_put_u64(&w, end->bytes);
    hsr_put_u64(&w, end->failed);
    hsr_put_u64(&w, end->acks);
    return wire_size(&w);
}

int hsr_walk_end_decode(struct hsr_span payload, struct hsr_walk_end *ret_end)
{
    struct hsr_reader r = hsr_reader_init(payload.ptr, payload.size);
    struct hsr_walk_end end = { 0 };
    int rc;

    end.entries = hsr_get_u64(&r);
    end.files = hsr_get_u64(&r);
    end.bytes = hsr_get_u64(&r);
    end.failed = hsr_get_u64(&r);
    end.acks = hsr_get_u64(&r);
    rc = wire_end(&r);
    if (rc == 0)
        *ret_end = end;
    return rc;
}

static int file_end_check(const struct hsr_file_end *end)
{
    static const uint8_t zeros[HSR_DIGEST_SIZE_MAX];

    hsr_require(end->size <= INT64_MAX && end->bytes <= INT64_MAX, HSR_E_LIMIT);
    if (end->code == 0)
        return 0;
    hsr_require(wire_code_failed(end->code), HSR_E_PROTOCOL);
    hsr_require(end->size == 0, HSR_E_PROTOCOL);
    hsr_require(memcmp(end->digest, zeros, sizeof(zeros)) == 0, HSR_E_PROTOCOL);
    return 0;
}

int hsr_file_end_encode(const struct hsr_file_end *end, uint32_t digest_size, void *out,
                        size_t size)
{
    struct hsr_writer w = hsr_writer_init(out, size);
    struct hsr_file_end copy = *end;
    int rc;

    if (copy.code != 0) /* what was read of a failed file means nothing to the target */
        copy = (struct hsr_file_end){ .code = end->code, .bytes = end->bytes };
    rc = file_end_check(&copy);
    if (rc < 0)
        return rc;
    wire_put_i32(&w, copy.code);
    hsr_put_u32(&w, 0);
    hsr_put_u64(&w, copy.size);
    hsr_put_u64(&w, copy.bytes);
    hsr_put_bytes(&w, copy.digest, digest_size);
    return wire_size(&w);
}

int hsr_digest_answer_encode(const struct hsr_digest_answer *answer, uint32_t digest_size,
                             void *out, size_t size)
{
    static const uint8_t zeros[HSR_DIGEST_SIZE_MAX];
    struct hsr_writer w = hsr_writer_init(out, size);

    hsr_require(answer->code == 0 || wire_code_failed(answer->code), HSR_E_PROTOCOL);
    wire_put_i32(&w, answer->code);
    hsr_put_bytes(&w, answer->code == 0 ? answer->digest : zeros, digest_size);
    return wire_size(&w);
}

int hsr_digest_answer_decode(struct hsr_span payload, uint32_t digest_size,
                             struct hsr_digest_answer *ret_answer)
{
    static const uint8_t zeros[HSR_DIGEST_SIZE_MAX];
    struct hsr_reader r = hsr_reader_init(payload.ptr, payload.size);
    struct hsr_digest_answer answer = { 0 };
    int rc;

    answer.code = wire_get_i32(&r);
    hsr_get_bytes(&r, answer.digest, digest_size);
    rc = wire_end(&r);
    if (rc < 0)
        return rc;
    hsr_require(answer.code == 0 || wire_code_failed(answer.code), HSR_E_PROTOCOL);
    hsr_require(answer.code == 0 || memcmp(answer.digest, zeros, digest_size) == 0, HSR_E_PROTOCOL);
    *ret_answer = answer;
    return 0;
}

int hsr_file_end_decode(struct hsr_span payload, uint32_t digest_size, struct hsr_file_end *ret_end)
{
    struct hsr_reader r = hsr_reader_init(payload.ptr, payload.size);
    struct hsr_file_end end = { 0 };
    uint32_t reserved;
    int rc;

    end.code = wire_get_i32(&r);
    reserved = hsr_get_u32(&r);
    end.size = hsr_get_u64(&r);
    end.bytes = hsr_get_u64(&r);
    hsr_get_bytes(&r, end.digest, digest_size);
    rc = wire_end(&r);
    if (rc < 0)
        return rc;
    hsr_require(reserved == 0, HSR_E_PROTOCOL);
    rc = file_end_check(&end);
    if (rc == 0)
        *ret_end = end;
    return rc;
}

/* ---- LIST ---- */

#define LIST_SELF_ONLY 1u /* bit 0 of its flags; the others are zero */

static int list_request_check(const struct hsr_list_request *list)
{
    int rc;

    hsr_require(list->self_only <= LIST_SELF_ONLY, HSR_E_PROTOCOL);
    rc = wire_name_check(list->export_name);
    if (rc == 0)
        rc = wire_path_check(list->path);
    return rc;
}

int hsr_list_request_encode(const struct hsr_list_request *list, void *out, size_t size)
{
    struct hsr_writer w = hsr_writer_init(out, size);
    int rc = list_request_check(list);

    if (rc < 0)
        return rc;
    hsr_put_u8(&w, list->self_only);
    wire_put_string(&w, list->export_name);
    wire_put_string(&w, list->path);
    return wire_size(&w);
}

int hsr_list_request_decode(struct hsr_span payload, struct hsr_list_request *ret_list)
{
    struct hsr_reader r = hsr_reader_init(payload.ptr, payload.size);
    struct hsr_list_request list = { 0 };
    int rc;

    list.self_only = hsr_get_u8(&r);
    list.export_name = wire_get_string(&r);
    list.path = wire_get_string(&r);
    rc = wire_end(&r);
    if (rc == 0)
        rc = list_request_check(&list);
    if (rc == 0)
        *ret_list = list;
    return rc;
}
