/* Which whole units of a range have come: hashed, and written. A range is hashed in order but
 * written in any: a unit is there when no chunk that begins before its end is under way any more.
 */
#include "base/base.h"
#include "transfer/engine/stream.h"
#include "transfer/engine/target.h"

static void units_border(struct hsr_intake *intake);
static uint64_t units_written(const struct hsr_intake *intake);
static void units_home(struct hsr_msg *msg);
static void units_back(struct hsr_msg *msg);

void hsr_units_init(struct hsr_intake *intake)
{
    intake->units = (struct hsr_units){ .begin = intake->run.start };
}

uint64_t hsr_units_left(const struct hsr_intake *intake)
{
    const struct hsr_digest_run *run = &intake->run;

    return HSR_KEPT_UNIT % run->leaf_size != 0 ? UINT64_MAX
                                               : HSR_KEPT_UNIT - run->end % HSR_KEPT_UNIT;
}

void hsr_units_hashed(struct hsr_intake *intake)
{
    const struct hsr_digest_run *run = &intake->run;

    if (HSR_KEPT_UNIT % run->leaf_size == 0 && run->end % HSR_KEPT_UNIT == 0)
        units_border(intake);
}

/* The run ends where a unit does. */
static void units_border(struct hsr_intake *intake)
{
    struct hsr_digest_run *run = &intake->run;
    struct hsr_units *units = &intake->units;

    if (run->end - units->begin == HSR_KEPT_UNIT && units->count < HSR_UNITS_MAX) {
        struct hsr_unit *unit = &units->list[(units->head + units->count++) % HSR_UNITS_MAX];

        *unit = (struct hsr_unit){ .end = run->end };
        hsr_digest_run_piece(run, units->before, HSR_KEPT_UNIT, unit->value);
    }
    units->begin = run->end;
    units->before = run->sum;
}

bool hsr_units_tell(struct hsr_intake *intake)
{
    struct hsr_units *units = &intake->units;
    uint64_t written;

    if (units->out)
        return false;
    if (!units->wanted || intake->rc < 0 || intake->stale || units->count == 0)
        return true;
    written = units_written(intake);
    units->told = 0;
    while (units->told < units->count &&
           units->list[(units->head + units->told) % HSR_UNITS_MAX].end <= written)
        units->told++;
    if (units->told == 0)
        return true;
    units->out = true;
    units->msg.deliver = units_home;
    hsr_loop_send(&intake->stream->session->home->loop, &units->msg);
    return false;
}

/* Up to which offset is the range written? */
static uint64_t units_written(const struct hsr_intake *intake)
{
    const struct hsr_stream *stream = intake->stream;
    uint64_t written = intake->run.end;

    for (uint32_t i = 0; i < stream->chunk_count; i++) {
        const struct hsr_chunk *chunk = &stream->chunks[i];

        if (chunk->state != HSR_CHUNK_FREE && chunk->intake == intake)
            written = HSR_MIN(written, chunk->offset);
    }
    return written;
}

static void units_home(struct hsr_msg *msg)
{
    struct hsr_intake *intake = hsr_container_of(msg, struct hsr_intake, units.msg);

    hsr_target_units(intake->stream->session, intake);
    msg->deliver = units_back;
    hsr_loop_send(&intake->stream->shard->loop, msg);
}

static void units_back(struct hsr_msg *msg)
{
    struct hsr_intake *intake = hsr_container_of(msg, struct hsr_intake, units.msg);
    struct hsr_units *units = &intake->units;

    units->head = (units->head + units->told) % HSR_UNITS_MAX;
    units->count -= units->told;
    units->told = 0;
    units->out = false;
    hsr_units_heard(intake);
}
