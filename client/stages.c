/* Stages, as the library shows them: the engine's verdict in public words. */
#include "client/client.h"
#include "transfer/engine/verdict.h"

_Static_assert((int)HAWSER_STAGE_COUNT == (int)HSR_STEP_COUNT, "the same stages");
_Static_assert((int)HAWSER_STAGE_BWLIMIT == (int)HSR_STEP_BWLIMIT, "in the same order");
_Static_assert((int)HAWSER_STAGE_OTHER == (int)HSR_STEP_OTHER, "to the end");

const char *hawser_stage_name(enum hawser_stage stage)
{
    return hsr_step_name((enum hsr_step)stage);
}

enum hawser_stage hsr_client_stages(const struct hsr_verdict *verdict,
                                    hawser_stage_time ret_stages[HAWSER_STAGE_COUNT])
{
    for (unsigned i = 0; i < HAWSER_STAGE_COUNT; i++)
        ret_stages[i] = (hawser_stage_time){ .busy_ns = verdict->steps[i].busy_ns,
                                             .wait_ns = verdict->steps[i].wait_ns,
                                             .bytes = verdict->steps[i].bytes,
                                             .ceiling = verdict->steps[i].ceiling };
    return (enum hawser_stage)verdict->limit;
}

void hsr_client_stages_add(const struct hsr_verdict *verdict, hawser_stats *stats)
{
    stats->limit = HAWSER_STAGE_NONE;
    for (unsigned i = 1; i < HAWSER_STAGE_COUNT; i++) {
        hawser_stage_time *to = &stats->stages[i];

        to->busy_ns += verdict->steps[i].busy_ns;
        to->wait_ns += verdict->steps[i].wait_ns;
        to->bytes += verdict->steps[i].bytes;
        to->ceiling = HSR_MAX(to->ceiling, verdict->steps[i].ceiling);
        if (to->wait_ns > stats->stages[stats->limit].wait_ns)
            stats->limit = (enum hawser_stage)i;
    }
}
