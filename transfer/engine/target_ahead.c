/* Signatures before their turn. The source has room for the sums of a few files at a time; those
 * that wait for it are opened ahead, in the order of transfer, and their sums are made in the gaps
 * of all shards. When the turn of one comes, the file is looked at once more through the descriptor
 * that was held: changed, and what was made is dropped.
 *
 *   queued -> opened ahead: dealt in gaps -> its turn: used (hit, or late) | stale | dropped
 *
 * Who is admitted is decided in the order of transfer too, within a budget of bytes and of
 * descriptors, so nothing that is needed soon ever makes room for what is needed later. */
#include <errno.h>
#include <stdlib.h>

#include "base/base.h"
#include "transfer/engine/delta.h"
#include "transfer/engine/target_impl.h"

#define AHEAD_PIECES (2 * TARGET_AHEAD_MAX) /* most files are one */
#define AHEAD_STEP 4u /* files opened by a step of the home: a few system calls each */
/* Pieces that a hand away from home may have: more files than the home usually hears to be ended at
 * once. An estimate, not measured against others. */
#define AHEAD_DEPTH 16u
/* So long the turn of a file waits for a gap while the source has others to go on with. At 2,000
 * files a second that is half of the 32 that it may have, so it does not run out of them. */
#define AHEAD_PATIENCE_NS (8 * HSR_NS_PER_MS)
#define LOOK_USES 32u /* does it pay? Asked after so many turns */
#define LOOK_NS_MIN (5 * HSR_NS_PER_US) /* a file's signature: less than opening it ahead costs */

static enum hsr_job_result ahead_run(struct hsr_job *job, uint64_t deadline_ns);
static uint64_t ahead_fixed_bytes(const struct target_ahead *ahead);
static bool ahead_candidate(const struct hsr_target *target);
static uint8_t *ahead_shelf_make(struct hsr_target *target, uint64_t size);
static bool ahead_open(struct hsr_target *target);
static struct target_basis *ahead_next(const struct hsr_target *target);
static void ahead_feed(struct hsr_target *target);
static bool ahead_lend(struct hsr_target *target, struct target_basis *basis,
                       struct hsr_hand *hand);
static bool ahead_step(struct hsr_hand *hand, struct hsr_crew_task *task);
static void ahead_look(struct hsr_target *target);

static const struct hsr_crew_ops ahead_crew = { .name = "signatures ahead",
                                                .jobs = true,
                                                .depth = AHEAD_DEPTH,
                                                .begin = hsr_target_signer_begin,
                                                .step = ahead_step,
                                                .busy = hsr_target_signer_busy,
                                                .back = hsr_target_signer_back,
                                                .end = hsr_target_signer_end };

int hsr_target_ahead_create(struct hsr_target *target)
{
    struct target_ahead *ahead = &target->ahead;
    struct hsr_session *session = target->session;
    int rc;

    ahead->state = HSR_AHEAD_OFF;
    if (session->options & (HSR_OPT_AHEAD_OFF | HSR_OPT_INPLACE)) /* a window for each: too much */
        return 0;
    rc = hsr_crew_create(&ahead->crew, session, &ahead_crew);
    if (rc < 0)
        return rc;
    ahead->state = HSR_AHEAD_NO_MEMORY;
    if (!hsr_delta_room_take(session->engine, ahead_fixed_bytes(ahead)))
        return 0;
    ahead->room_taken = true;
    ahead->pieces = calloc(AHEAD_PIECES, sizeof(*ahead->pieces));
    if (ahead->pieces == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < AHEAD_PIECES; i++) {
        ahead->pieces[i].ahead = true;
        hsr_list_init(&ahead->pieces[i].node);
        hsr_list_push_tail(&ahead->pieces_free, &ahead->pieces[i].node);
    }
    ahead->job = (struct hsr_job){ .step = ahead_run, .name = "look ahead" };
    ahead->may_stop = !(session->options & HSR_OPT_AHEAD_ON);
    ahead->state = HSR_AHEAD_ON;
    return 0;
}

/* From the memory for deltas; each shelf takes its own. */
static uint64_t ahead_fixed_bytes(const struct target_ahead *ahead)
{
    return ahead->crew.hand_count * HSR_SIGN_MEMORY +
           TARGET_AHEAD_MAX * sizeof(struct target_basis) +
           AHEAD_PIECES * sizeof(struct target_piece);
}

void hsr_target_ahead_step(struct hsr_target *target)
{
    struct target_ahead *ahead = &target->ahead;

    if (target->session->state != HSR_SESSION_MOVING || !ahead->room_taken)
        return;
    ahead_feed(target);
    if (!ahead->job.in && (ahead_candidate(target) || !hsr_list_empty(&ahead->bases)))
        hsr_loop_job_add(&target->session->home->loop, &ahead->job);
}

bool hsr_target_ahead_waits(struct hsr_target *target, const struct target_basis *basis)
{
    struct target_ahead *ahead = &target->ahead;
    const struct hsr_shard *home = target->session->home;
    uint64_t due_ns = home->loop.now_ns + AHEAD_PATIENCE_NS;
    uint32_t turns = target->session->files_max - target->bases;

    if (ahead->state != HSR_AHEAD_ON || target->bases == 0 || !basis->ahead || basis->rc < 0 ||
        basis->dealt < basis->plan.base_size || hsr_target_ahead_whole(basis))
        return false;
    for (struct hsr_list *node = ahead->bases.next; node != &ahead->bases && turns > 0;
         node = node->next, turns--) {
        struct target_basis *other = hsr_container_of(node, struct target_basis, node);

        for (struct hsr_list *at = other->pieces.next; at != &other->pieces; at = at->next) {
            struct target_piece *piece = hsr_container_of(at, struct target_piece, node);

            if (other == basis && !piece->done && piece->task.hand->shard == home)
                return false; /* a home that comes here is at work: it has no gaps */
            if (!piece->done)
                hsr_crew_want_by(&piece->task, due_ns);
        }
    }
    return true;
}

bool hsr_target_ahead_whole(const struct target_basis *basis)
{
    if (!basis->ahead || basis->dealt < basis->plan.base_size)
        return false;
    for (struct hsr_list *node = basis->pieces.next; node != &basis->pieces; node = node->next)
        if (!hsr_container_of(node, struct target_piece, node)->done)
            return false;
    return true;
}

bool hsr_target_ahead_use(struct hsr_target *target, struct target_basis *basis)
{
    struct target_ahead *ahead = &target->ahead;
    struct target_page *page = basis->page;
    bool late = basis->dealt < basis->plan.base_size;
    uint16_t index = basis->index;

    hsr_assert(basis->ahead && ahead->count > 0);
    hsr_assert(target->deltas[target->deltas_head] ==
               ((uint32_t)(page - target->pages) << 16 | index));
    ahead_look(target);
    if (basis->rc < 0 || hsr_basis_check(&target->session->home->loop, &basis->basis) < 0) {
        ahead->stale++;
        page->entries[index].queued = false; /* it stays at the queue's head */
        hsr_target_basis_drop(target, page, index);
        page->entries[index].queued = true;
        return false;
    }
    for (struct hsr_list *node = basis->pieces.next; node != &basis->pieces; node = node->next) {
        struct target_piece *piece = hsr_container_of(node, struct target_piece, node);

        if (piece->done)
            continue;
        late = true;
        hsr_crew_want(&piece->task);
    }
    hsr_list_remove(&basis->node);
    basis->ahead = false;
    ahead->count--;
    if (late)
        ahead->late++;
    else
        ahead->hits++;
    return true;
}

void hsr_target_ahead_drop(struct hsr_target *target, struct target_basis *basis)
{
    struct target_ahead *ahead = &target->ahead;

    hsr_assert(basis->ahead && ahead->count > 0);
    basis->ahead = false;
    ahead->count--;
    ahead->full = false;
    ahead->wasted += basis->dealt; /* at most a piece in each hand was not made */
    for (struct hsr_list *node = basis->pieces.next; node != &basis->pieces; node = node->next)
        atomic_store_explicit(&hsr_container_of(node, struct target_piece, node)->gone, true,
                              memory_order_relaxed);
}

void hsr_target_ahead_shelf_free(struct hsr_target *target, struct target_basis *basis)
{
    struct target_ahead *ahead = &target->ahead;
    uint64_t size = hsr_delta_signature_size(&basis->plan);

    if (basis->shelf == NULL)
        return;
    hsr_assert(ahead->bytes >= size);
    ahead->bytes -= size;
    hsr_delta_room_give(target->session->engine, size);
    ahead->full = false;
    free(basis->shelf);
    basis->shelf = NULL;
}

void hsr_target_ahead_moved(struct hsr_target *target)
{
    target->ahead.full = false;
}

bool hsr_target_ahead_close(struct hsr_target *target)
{
    hsr_loop_job_remove(&target->session->home->loop, &target->ahead.job);
    return hsr_crew_close(&target->ahead.crew);
}

void hsr_target_ahead_destroy(struct hsr_target *target)
{
    hsr_assert(!target->ahead.job.in);
    hsr_assert(target->ahead.bytes == 0);
    if (target->ahead.room_taken)
        hsr_delta_room_give(target->session->engine, ahead_fixed_bytes(&target->ahead));
    hsr_crew_free(&target->ahead.crew);
    free(target->ahead.pieces);
}

/* Deal what is open; what hands could take beyond that is opened. In a gap of the home. */
static enum hsr_job_result ahead_run(struct hsr_job *job, uint64_t deadline_ns)
{
    struct hsr_target *target = hsr_container_of(job, struct hsr_target, ahead.job);
    struct hsr_loop *loop = &target->session->home->loop;
    unsigned opened = 0;

    do {
        struct target_basis *basis = ahead_next(target);

        if (basis != NULL) {
            struct hsr_hand *hand = hsr_crew_hand(&target->ahead.crew);

            if (hand == NULL || !ahead_lend(target, basis, hand))
                return HSR_JOB_DONE; /* hsr_target_ahead_step() comes again when a hand is free */
            continue;
        }
        if (!ahead_open(target))
            return HSR_JOB_DONE;
        opened++;
    } while (opened < AHEAD_STEP && hsr_loop_clock(loop) < deadline_ns && !hsr_loop_pressed(loop));
    return HSR_JOB_MORE;
}

/* Other shards may have gaps when the home has none: those whose hands have had some, and little is
 * left to do for them, get more at once. What opening it costs would be due a little later. */
static void ahead_feed(struct hsr_target *target)
{
    unsigned opened = 0;

    for (;;) {
        struct hsr_hand *hand = hsr_crew_hand_away(&target->ahead.crew);
        struct target_basis *basis;

        if (hand == NULL)
            return;
        basis = ahead_next(target);
        if (basis != NULL) {
            if (!ahead_lend(target, basis, hand))
                return;
            continue;
        }
        if (opened++ == AHEAD_STEP || !ahead_open(target))
            return;
    }
}

static bool ahead_candidate(const struct hsr_target *target)
{
    const struct target_ahead *ahead = &target->ahead;
    uint32_t key;

    if (ahead->state != HSR_AHEAD_ON || ahead->full ||
        ahead->count + target->bases >= TARGET_AHEAD_MAX || ahead->count == target->deltas_count)
        return false;
    key = target->deltas[target->deltas_head];
    if (ahead->count > 0 && target->pages[key >> 16].entries[key & 0xffff].basis == NULL)
        return false; /* it was stale, and waits to be opened anew: those ahead are not the first */
    key = target->deltas[(target->deltas_head + ahead->count) % TARGET_KEYS_MAX];
    return target->pages[key >> 16].want_sent;
}

/* The next of the queue that is not open. False: there is none, or it does not fit. */
static bool ahead_open(struct hsr_target *target)
{
    struct target_ahead *ahead = &target->ahead;
    struct target_basis *basis;
    struct target_page *page;
    uint16_t index;
    uint64_t size;
    uint32_t key;
    int rc = -ENOMEM;

    if (!ahead_candidate(target))
        return false;
    key = target->deltas[(target->deltas_head + ahead->count) % TARGET_KEYS_MAX];
    page = &target->pages[key >> 16];
    index = (uint16_t)(key & 0xffff);
    hsr_assert(page->entries[index].queued && page->entries[index].basis == NULL);
    basis = calloc(1, sizeof(*basis));
    if (basis != NULL)
        rc = hsr_target_basis_open(target, page, index, basis);
    ahead->full = rc < 0; /* its turn says why */
    if (rc < 0) {
        free(basis);
        return false;
    }
    size = hsr_delta_signature_size(&basis->plan);
    basis->shelf = ahead_shelf_make(target, size);
    ahead->full = basis->shelf == NULL;
    if (ahead->full) {
        hsr_basis_close(&target->session->home->loop, &basis->basis);
        free(basis);
        return false;
    }
    basis->ahead = true;
    page->entries[index].basis = basis;
    ahead->count++;
    hsr_list_push_tail(&ahead->bases, &basis->node);
    return true;
}

/* Room for sums, within the session's budget and the plan's; NULL: there is none. */
static uint8_t *ahead_shelf_make(struct hsr_target *target, uint64_t size)
{
    struct target_ahead *ahead = &target->ahead;
    uint8_t *shelf;

    if (ahead->bytes + size > TARGET_AHEAD_BYTES ||
        !hsr_delta_room_take(target->session->engine, size))
        return NULL;
    shelf = malloc(size);
    if (shelf == NULL)
        hsr_delta_room_give(target->session->engine, size);
    else
        ahead->bytes += size;
    return shelf;
}

/* The first of which something is not dealt; NULL: none. All before it are dealt in full. */
static struct target_basis *ahead_next(const struct hsr_target *target)
{
    const struct hsr_list *bases = &target->ahead.bases, *node;
    struct target_basis *next = NULL;

    for (node = bases->prev; node != bases; node = node->prev) {
        struct target_basis *basis = hsr_container_of(node, struct target_basis, node);

        if (basis->dealt == basis->plan.base_size)
            break;
        if (basis->rc == 0)
            next = basis;
    }
    return next;
}

static bool ahead_lend(struct hsr_target *target, struct target_basis *basis, struct hsr_hand *hand)
{
    struct target_ahead *ahead = &target->ahead;
    uint32_t sum_size = hsr_delta_sum_size(&basis->plan);
    struct target_piece *piece;
    struct hsr_list *node = hsr_list_pop_head(&ahead->pieces_free);

    if (node == NULL)
        return false;
    piece = hsr_container_of(node, struct target_piece, node);
    atomic_store_explicit(&piece->gone, false, memory_order_relaxed); /* the message orders it */
    piece->sums = basis->shelf + basis->dealt / basis->plan.block_size * sum_size;
    hsr_target_piece_lend(target, basis, piece, hand);
    return true;
}

/* ---- at a hand ---- */

static bool ahead_step(struct hsr_hand *hand, struct hsr_crew_task *task)
{
    struct target_piece *piece = hsr_container_of(task, struct target_piece, task);
    struct hsr_loop *loop = &hand->shard->loop;
    enum hsr_sign_result result;
    uint64_t before;

    if (!piece->begun)
        hsr_sign_begin(&piece->sign, loop, &hand->task, hand->own);
    piece->begun = true;
    if (atomic_load_explicit(&piece->gone, memory_order_relaxed)) {
        hand->parked = !hsr_sign_stop(&piece->sign);
        return !hand->parked;
    }
    before = piece->sign.next;
    result = hsr_sign_step(&piece->sign, 0);
    hsr_loop_job_worked(loop, &hand->job, piece->sign.next - before);
    hand->parked = result == HSR_SIGN_WAITS;
    return result == HSR_SIGN_DONE;
}

/* ---- does it pay? ---- */

/* Once every so many turns. What it was good for is known then: not whether it would be later on,
 * so it stops for the session. */
static void ahead_look(struct hsr_target *target)
{
    struct target_ahead *ahead = &target->ahead;
    const struct hsr_ahead *look = &ahead->look;
    uint64_t uses = ahead->hits + ahead->late + ahead->stale;
    struct hsr_ahead now;
    uint64_t made, in_gaps;

    if (ahead->state != HSR_AHEAD_ON || !ahead->may_stop ||
        uses - (look->hits + look->late + look->stale) < LOOK_USES)
        return;
    hsr_target_ahead_figures(target, &now);
    in_gaps = now.ahead_bytes - look->ahead_bytes;
    made = in_gaps + now.demand_bytes - look->demand_bytes;
    if ((now.stale - look->stale) * 2 > LOOK_USES)
        ahead->state = HSR_AHEAD_STALE;
    else if ((now.wasted_bytes - look->wasted_bytes) * 2 > made)
        ahead->state = HSR_AHEAD_WASTED;
    else if (in_gaps * 10 < made)
        ahead->state = HSR_AHEAD_NO_GAPS;
    else if (now.used_ns - ahead->look.used_ns < LOOK_USES * LOOK_NS_MIN)
        ahead->state = HSR_AHEAD_QUICK;
    ahead->look = now;
}

void hsr_target_ahead_figures(struct hsr_target *target, struct hsr_ahead *ret_figures)
{
    const struct target_ahead *ahead = &target->ahead;
    struct hsr_ahead figures = { .state = ahead->state,
                                 .hits = ahead->hits,
                                 .late = ahead->late,
                                 .stale = ahead->stale,
                                 .wasted_bytes = ahead->wasted,
                                 .demand_bytes = ahead->demand_bytes };

    for (uint32_t i = 0; i < ahead->crew.hand_count; i++) {
        const struct hsr_job_account *account = &ahead->crew.hands[i].account;

        figures.used_ns += hsr_job_count(&account->ns[HSR_JOB_AHEAD]);
        figures.ahead_bytes += hsr_job_count(&account->bytes[HSR_JOB_AHEAD]);
        figures.demand_bytes += hsr_job_count(&account->bytes[HSR_JOB_DEMAND]);
    }
    hsr_limit_ahead(target->session, &figures);
    *ret_figures = figures;
}
