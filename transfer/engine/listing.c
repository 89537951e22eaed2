/* LIST: one level of a directory, or one name, as pages; see listing.h. The walk does the looking,
 * the connection's output buffer is the only queue: a listing that finds no room goes on from
 * on_writable, so a client that does not read costs nothing but its buffers. */
#include "transfer/engine/listing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/tree/walk.h"

#define LISTING_SLICE_NS (500 * HSR_NS_PER_US) /* of one step; then others get their turn */

struct hsr_listing {
    struct hsr_conn *conn;
    struct hsr_task task;
    struct hsr_walk *walk;
    bool self_only;
    bool have_item; /* `item` was not sent yet */
    bool ended; /* the walk is over */
    int rc; /* why, when it could not go on */
    bool found; /* something came out of it: the place itself exists */
    uint32_t page;
    struct hsr_walk_item item;
    size_t path_size;
    uint8_t path[]; /* borrowed by the walk */
};

static void listing_run(struct hsr_task *task);
static int listing_next(struct hsr_listing *listing);
static bool listing_page(struct hsr_listing *listing, uint64_t deadline_ns);
static bool listing_note(struct hsr_listing *listing, int code, const char *op);
static int listing_put(struct hsr_listing *listing, struct hsr_writer *writer);
static void listing_finish(struct hsr_conn *conn);

int hsr_listing_start(struct hsr_conn *conn, const struct hsr_list_request *request)
{
    const struct hsr_engine_config *config = &conn->shard->engine->config;
    const struct hsr_walk_options options = {
        .xattrs = true, .beneath = true, .list_sockets = true, .one_level = true
    };
    struct hsr_walk_top top = { .contents = !request->self_only || request->path.size == 0 };
    struct hsr_listing *listing;
    const uint8_t *slash;
    int rc;

    hsr_assert(conn->listing == NULL);
    hsr_require(config->authorize != NULL, HSR_E_EXPORT);
    rc = config->authorize(config->context, (const struct sockaddr *)&conn->address,
                           request->export_name, /* write= */ false, &top.base_fd);
    if (rc < 0)
        return rc;
    listing = calloc(1, sizeof(*listing) + request->path.size);
    if (listing == NULL)
        return -ENOMEM;
    listing->conn = conn;
    listing->self_only = request->self_only;
    hsr_task_init(&listing->task, "listing", listing_run);
    listing->path_size = request->path.size;
    if (request->path.size > 0)
        memcpy(listing->path, request->path.ptr, request->path.size);
    top.path = (struct hsr_span){ listing->path, listing->path_size };
    slash = listing->path_size > 0 ? memrchr(listing->path, '/', listing->path_size) : NULL;
    top.name = top.path;
    if (slash != NULL)
        top.name = (struct hsr_span){ slash + 1,
                                      (size_t)(listing->path + listing->path_size - (slash + 1)) };
    rc = hsr_walk_create(&conn->shard->loop, &top, 1, &options, &listing->walk);
    if (rc < 0) {
        free(listing);
        return rc;
    }
    conn->listing = listing;
    conn->state = HSR_CONN_LISTING;
    conn->on_writable = hsr_listing_step;
    conn->on_closed = hsr_listing_destroy;
    hsr_loop_wake(&conn->shard->loop, &listing->task);
    return 0;
}

void hsr_listing_step(struct hsr_conn *conn)
{
    struct hsr_listing *listing = conn->listing;
    uint64_t deadline_ns;

    if (listing == NULL)
        return; /* between two requests */
    deadline_ns = hsr_loop_clock(&conn->shard->loop) + LISTING_SLICE_NS;
    while (conn->state == HSR_CONN_LISTING && !conn->close_flushed) {
        int rc = listing_next(listing);

        if (rc == 0 && !listing->have_item) {
            if (hsr_conn_put(conn, HSR_FRAME_LIST_END))
                listing_finish(conn);
            return; /* without room on_writable comes back */
        }
        if (rc == 0 && listing->item.code < 0 && !listing->found)
            rc = listing->item.code; /* the place itself cannot be listed */
        if (rc < 0) {
            hsr_conn_fail(conn, rc, hsr_err_text(rc));
            return;
        }
        if (listing->item.code < 0 ? !listing_note(listing, listing->item.code, listing->item.op)
                                   : !listing_page(listing, deadline_ns))
            return;
        if (hsr_loop_clock(&conn->shard->loop) >= deadline_ns) {
            hsr_loop_wake(&conn->shard->loop, &listing->task);
            return;
        }
    }
}

void hsr_listing_destroy(struct hsr_conn *conn)
{
    struct hsr_listing *listing = conn->listing;

    if (listing == NULL)
        return;
    hsr_loop_forget(&conn->shard->loop, &listing->task);
    hsr_walk_destroy(listing->walk);
    free(listing);
    conn->listing = NULL;
}

static void listing_finish(struct hsr_conn *conn)
{
    hsr_listing_destroy(conn);
    if (conn->in_waits)
        hsr_conn_resume(conn); /* the next request is there already */
}

static void listing_run(struct hsr_task *task)
{
    hsr_listing_step(hsr_container_of(task, struct hsr_listing, task)->conn);
}

/* Have an item at hand, unless the walk is over. 0, or why it could not go on. */
static int listing_next(struct hsr_listing *listing)
{
    while (!listing->have_item && !listing->ended) {
        const struct hsr_entry *entry = &listing->item.entry;
        int rc = 0; /* of the thing itself only the first item counts */

        if (!listing->self_only || !listing->found)
            rc = hsr_walk_next(listing->walk, &listing->item);
        if (rc < 0)
            listing->rc = rc;
        if (rc <= 0) {
            listing->ended = true;
            break;
        }
        if (listing->item.code == 0 && !listing->self_only && entry->type == HSR_ENTRY_DIR &&
            entry->name.size == 0) {
            listing->found = true; /* the directory itself, which was not asked for */
            continue;
        }
        listing->have_item = true;
    }
    return listing->rc;
}

/* Fill one page and queue it. False: there is no room now. */
static bool listing_page(struct hsr_listing *listing, uint64_t deadline_ns)
{
    struct hsr_conn *conn = listing->conn;
    uint8_t *out = hsr_conn_begin(conn, HSR_CONTROL_PAYLOAD_MAX);
    struct hsr_writer writer;
    unsigned count = 0;
    int rc = 0;

    if (out == NULL)
        return false;
    writer = hsr_writer_init(out, HSR_CONTROL_PAYLOAD_MAX);
    while (count < HSR_PAGE_ENTRIES_MAX && listing->have_item && listing->item.code == 0) {
        rc = listing_put(listing, &writer);
        if (rc < 0)
            break;
        count++;
        listing->found = true;
        listing->have_item = false;
        if (hsr_loop_clock(&conn->shard->loop) >= deadline_ns || listing_next(listing) < 0)
            break; /* the page goes out first */
    }
    if (count > 0)
        hsr_conn_commit(conn,
                        (struct hsr_frame){ .kind = HSR_FRAME_ENTRIES, .page = listing->page++ },
                        writer.offset);
    else /* one that no page can hold: told, and left out */
        return listing_note(listing, rc, "encode");
    return true;
}

/* As LIST sends it: below no directory of the transfer, and no links to others. */
static int listing_put(struct hsr_listing *listing, struct hsr_writer *writer)
{
    struct hsr_entry entry = listing->item.entry;

    entry.parent = HSR_DIR_ROOT;
    return hsr_entry_encode(writer, &entry);
}

/* Tell why one name is missing. False: there is no room now. */
static bool listing_note(struct hsr_listing *listing, int code, const char *op)
{
    struct hsr_conn *conn = listing->conn;
    struct hsr_note note = { .event = listing->item.skipped ? HSR_NOTE_SKIPPED : HSR_NOTE_FAILED,
                             .code = code,
                             .path = listing->item.entry.name,
                             .text = { (const uint8_t *)op, op != NULL ? strlen(op) : 0 } };
    uint8_t *out = hsr_conn_begin(conn, HSR_NAME_MAX + HSR_TEXT_MAX + 64);
    int size;

    if (out == NULL)
        return false;
    size = hsr_note_encode(&note, out, HSR_NAME_MAX + HSR_TEXT_MAX + 64);
    if (size > 0) /* a name that is none cannot be told */
        hsr_conn_commit(conn, (struct hsr_frame){ .kind = HSR_FRAME_NOTE }, (size_t)size);
    listing->found = true;
    listing->have_item = false;
    return true;
}
