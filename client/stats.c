/* What sessions did, in the caller's words. */
#include <string.h>

#include "client/client.h"

_Static_assert((int)HAWSER_AHEAD_NO_MEMORY == (int)HSR_AHEAD_NO_MEMORY, "the same states");
_Static_assert((int)HSR_AHEAD_STATE_COUNT == HAWSER_AHEAD_NO_MEMORY + 1, "all of them");

static void client_ahead_add(const struct hsr_ahead *from, hawser_ahead_stats *to)
{
    to->state = (enum hawser_ahead_state)from->state;
    to->gap_ns += from->gap_ns;
    to->used_ns += from->used_ns;
    to->ahead_bytes += from->ahead_bytes;
    to->demand_bytes += from->demand_bytes;
    to->hits += from->hits;
    to->late += from->late;
    to->stale += from->stale;
    to->wasted_bytes += from->wasted_bytes;
    to->preempted = HSR_MAX(to->preempted, from->preempted); /* these grow from the start on */
    to->turns = HSR_MAX(to->turns, from->turns);
    to->turns_long = HSR_MAX(to->turns_long, from->turns_long);
    to->turn_p50_ns = HSR_MAX(to->turn_p50_ns, from->turn_p50_ns);
    to->turn_p999_ns = HSR_MAX(to->turn_p999_ns, from->turn_p999_ns);
    to->turn_max_ns = HSR_MAX(to->turn_max_ns, from->turn_max_ns);
    to->step_p999_ns = HSR_MAX(to->step_p999_ns, from->step_p999_ns);
}

/* The counters of the last session. */
static void stats_session(const struct hawser_client *client, hawser_stats *stats)
{
    stats->files += client->totals.files;
    stats->bytes += client->totals.bytes;
    stats->created += client->totals.created;
    stats->touched += client->totals.touched;
    stats->unchanged += client->totals.skipped;
    stats->deleted += client->totals.deleted;
    stats->failed += HSR_MAX(client->totals.failed, client->failed);
    stats->entries_seen += client->progress.entries_seen;
    stats->files_seen += client->progress.files_seen;
    stats->files_received += client->progress.levels.received;
    stats->files_written += client->progress.levels.written;
    stats->files_durable += client->progress.levels.durable;
    stats->bytes_seen += client->progress.bytes_seen;
    stats->wire_sent += client->progress.wire_sent;
    stats->wire_received += client->progress.wire_received;
    stats->zc_sent_bytes += client->progress.zc_sent;
    stats->zc_copied_bytes += client->progress.zc_copied;
    stats->zc_downgrades += client->progress.zc_downgrades;
    stats->elapsed_ns += client->progress.elapsed_ns;
    stats->disk_direct += client->progress.disk[HSR_FILEIO_DIRECT];
    stats->disk_uncached += client->progress.disk[HSR_FILEIO_UNCACHED];
    stats->disk_buffered += client->progress.disk[HSR_FILEIO_BUFFERED];
    stats->delta_files += client->progress.delta.files;
    stats->delta_fallbacks += client->progress.delta.fallbacks;
    stats->literal_bytes += client->progress.delta.literal;
    stats->copied_bytes += client->progress.delta.copied;
    stats->signature_bytes += client->progress.delta.signature;
    stats->streams_lost += client->progress.streams_lost;
    stats->resumed_files += client->progress.resumed_files;
    stats->resumed_bytes += client->progress.resumed_bytes;
    stats->kept_files += client->progress.left_files;
    stats->kept_bytes += client->progress.left_bytes;
    stats->delta = client->progress.delta.on;
    memcpy(stats->delta_why, client->progress.delta.why, sizeof(stats->delta_why));
    memcpy(stats->congestion, client->progress.congestion, sizeof(stats->congestion));
    client_ahead_add(&client->progress.ahead, &stats->ahead);
    hsr_client_stages_add(&client->progress.verdict, stats);
}

uint64_t hsr_client_settled(const struct hawser_client *client)
{
    return HSR_MAX(client->progress.entries_done, client->progress.entries_kept);
}

void hsr_client_stats_carry(struct hawser_client *client)
{
    hawser_stats *carried = &client->carried;

    stats_session(client, carried);
    carried->retries++;
    carried->files_received =
        carried->files_written; /* what had no name is gone, and comes again */
    /* The next attempt finds these again: what it says counts. */
    carried->entries_seen = carried->files_seen = carried->bytes_seen = 0;
    carried->unchanged = carried->failed = 0;
    carried->kept_files = carried->kept_bytes = 0;
    client->progress = (struct hsr_progress){ 0 };
    client->totals = (struct hsr_totals){ 0 };
    client->failed = 0;
}

/* What earlier attempts of the same job did. */
static void stats_carried(const hawser_stats *carried, hawser_stats *stats)
{
    uint64_t found = carried->files + carried->created + carried->touched;

    stats->retries += carried->retries;
    stats->streams_lost += carried->streams_lost;
    stats->files += carried->files;
    stats->files_received += carried->files_received;
    stats->files_written += carried->files_written;
    stats->files_durable += carried->files_durable;
    stats->bytes += carried->bytes;
    stats->created += carried->created;
    stats->touched += carried->touched;
    stats->deleted += carried->deleted;
    stats->unchanged -= HSR_MIN(stats->unchanged, found); /* they were not a moment ago */
    stats->wire_sent += carried->wire_sent;
    stats->wire_received += carried->wire_received;
    stats->zc_sent_bytes += carried->zc_sent_bytes;
    stats->zc_copied_bytes += carried->zc_copied_bytes;
    stats->zc_downgrades += carried->zc_downgrades;
    stats->elapsed_ns += carried->elapsed_ns;
    stats->disk_direct += carried->disk_direct;
    stats->disk_uncached += carried->disk_uncached;
    stats->disk_buffered += carried->disk_buffered;
    stats->delta_files += carried->delta_files;
    stats->delta_fallbacks += carried->delta_fallbacks;
    stats->literal_bytes += carried->literal_bytes;
    stats->copied_bytes += carried->copied_bytes;
    stats->signature_bytes += carried->signature_bytes;
    stats->resumed_files += carried->resumed_files;
    stats->resumed_bytes += carried->resumed_bytes;
    for (unsigned i = 1; i < HAWSER_STAGE_COUNT; i++) {
        hawser_stage_time *to = &stats->stages[i];

        to->busy_ns += carried->stages[i].busy_ns;
        to->wait_ns += carried->stages[i].wait_ns;
        to->bytes += carried->stages[i].bytes;
        to->ceiling = HSR_MAX(to->ceiling, carried->stages[i].ceiling);
    }
}

void hsr_client_stats_add(struct hawser_client *client, hawser_stats *stats)
{
    stats_session(client, stats);
    stats_carried(&client->carried, stats);
    client->carried = (hawser_stats){ 0 };
    /* Several sessions are together as durable as the least of them. */
    if (stats->durability == HAWSER_DURABILITY_DEFAULT ||
        (enum hawser_durability)client->durability < stats->durability)
        stats->durability = (enum hawser_durability)client->durability;
    if (stats->durability == HAWSER_DURABILITY_DURABLE)
        stats->files_durable = stats->files_written; /* its syncs cover what others named */
}
