/* Signatures of old versions, at the target's home: entries wanted by DELTA wait in a queue; as the
 * source has room for their sums they are opened, cut into pieces, of which hands on all shards
 * make the sums, and these go out in order.
 *
 *   entry:  wanted -> (queue) -> open: dealt, sent -> ended (the source has sent the file) ->
 *           closed
 *   piece:  free -> lent -> done -> sent -> free
 *
 * What cannot be opened, read or planned is wanted whole instead. */
#include <errno.h>
#include <stdlib.h>

#include "base/base.h"
#include "transfer/engine/delta.h"
#include "transfer/engine/target_impl.h"
#include "transfer/engine/window.h"

static uint64_t basis_hands_bytes(const struct hsr_target *target);
static void basis_unqueue(struct hsr_target *target, uint32_t key);
static bool bases_open(struct hsr_target *target);
static bool basis_turn(struct hsr_target *target, const struct target_basis *basis);
static bool basis_fits(const struct hsr_target *target, const struct target_basis *basis);
static int basis_room(struct hsr_target *target, const struct target_basis *basis);
static void basis_whole(struct hsr_target *target, struct target_page *page, uint16_t index);
static bool bases_deal(struct hsr_target *target);
static void basis_lend(struct hsr_target *target, struct target_basis *basis,
                       struct hsr_hand *hand);
static bool basis_send(struct hsr_target *target, struct target_basis *basis);
static bool basis_send_piece(struct hsr_target *target, struct target_basis *basis,
                             struct target_piece *piece);
static void basis_free(struct hsr_target *target, struct target_basis *basis);
static void basis_count(struct hsr_target *target, struct target_basis *basis);
static bool signer_step(struct hsr_hand *hand, struct hsr_crew_task *task);

const struct hsr_crew_ops hsr_target_signers = { .name = "target signatures",
                                                 .begin = hsr_target_signer_begin,
                                                 .step = signer_step,
                                                 .busy = hsr_target_signer_busy,
                                                 .back = hsr_target_signer_back,
                                                 .end = hsr_target_signer_end };

int hsr_target_bases_create(struct hsr_target *target)
{
    struct hsr_session *session = target->session;
    uint8_t secret[HSR_DELTA_KEY_SIZE];
    uint32_t count;
    int rc;

    hsr_list_init(&target->signing);
    hsr_list_init(&target->pieces_free);
    hsr_list_init(&target->ahead.bases);
    hsr_list_init(&target->ahead.pieces_free);
    if (!(session->options & HSR_OPT_DELTA))
        return 0;
    hsr_delta_key(session->token, secret);
    hsr_delta_key_init(&target->delta_key, secret);
    rc = hsr_crew_create(&target->signers, session, &hsr_target_signers);
    if (rc < 0)
        return rc;
    if (!hsr_delta_room_take(session->engine, basis_hands_bytes(target)))
        return 0; /* the other sessions have it all: no deltas here */
    target->deltas_on = true;
    count = TARGET_PIECES_PER_HAND * target->signers.hand_count;
    target->deltas = calloc(TARGET_KEYS_MAX, sizeof(*target->deltas));
    target->pieces = calloc(count, sizeof(*target->pieces));
    target->pieces_sums = malloc((size_t)count * TARGET_PIECE_SUMS);
    if (target->deltas == NULL || target->pieces == NULL || target->pieces_sums == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        target->pieces[i].sums = target->pieces_sums + (size_t)i * TARGET_PIECE_SUMS;
        hsr_list_init(&target->pieces[i].node);
        hsr_list_push_tail(&target->pieces_free, &target->pieces[i].node);
    }
    count = TARGET_SLICES_PER_HAND * target->session->crew.hand_count;
    target->slices_sums = malloc((size_t)count * TARGET_SLICE_SUMS);
    if (target->slices_sums == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        target->slices[i].sums = target->slices_sums + (size_t)i * TARGET_SLICE_SUMS;
    return hsr_target_ahead_create(target);
}

size_t hsr_target_bases_bytes(void)
{
    return TARGET_KEYS_MAX * sizeof(uint32_t) + HSR_FILES_MAX * sizeof(struct target_basis) +
           HSR_FILES_MAX * sizeof(struct hsr_window) + hsr_target_replaced_bytes();
}

/* From the memory for deltas. */
static uint64_t basis_hands_bytes(const struct hsr_target *target)
{
    return target->signers.hand_count *
               (HSR_SIGN_MEMORY + TARGET_PIECES_PER_HAND * sizeof(struct target_piece)) +
           target->session->crew.hand_count *
               (HSR_DELTA_SMALL_BASE_MAX + TARGET_SLICES_PER_HAND * TARGET_SLICE_SUMS);
}

void hsr_target_basis_want(struct hsr_target *target, struct target_page *page, uint16_t index)
{
    uint32_t at = (target->deltas_head + target->deltas_count) % TARGET_KEYS_MAX;

    hsr_assert(target->deltas_count < TARGET_KEYS_MAX); /* an entry is in it once */
    page->entries[index].delta = page->entries[index].queued = true;
    target->deltas[at] = (uint32_t)(page - target->pages) << 16 | index;
    target->deltas_count++;
}

void hsr_target_bases_step(struct hsr_target *target)
{
    struct hsr_list *node, *next;

    if (!target->deltas_on)
        return;
    while (target->session->state == HSR_SESSION_MOVING) {
        bool moved = bases_deal(target);

        for (node = target->signing.next; node != &target->signing; node = next) {
            next = node->next;
            if (!basis_send(target, hsr_container_of(node, struct target_basis, node)))
                return; /* no room: `writable` wakes us */
        }
        if (!bases_open(target) && !moved)
            break;
    }
    hsr_target_ahead_step(target);
}

void hsr_target_basis_ended(struct hsr_target *target, struct target_entry *entry)
{
    struct target_basis *basis = entry->basis;

    if (basis == NULL || !basis->counted)
        return;
    hsr_assert(target->bases > 0);
    basis->counted = false;
    target->bases--;
    target->bases_blocks -= hsr_delta_blocks(&basis->plan);
    hsr_session_wake(target->session);
}

void hsr_target_basis_drop(struct hsr_target *target, struct target_page *page, uint16_t index)
{
    struct target_entry *entry = &page->entries[index];
    struct target_basis *basis = entry->basis;

    if (entry->queued)
        basis_unqueue(target, (uint32_t)(page - target->pages) << 16 | index);
    entry->queued = false;
    if (basis == NULL)
        return;
    hsr_target_basis_ended(target, entry);
    entry->basis = NULL;
    if (basis->ahead)
        hsr_target_ahead_drop(target, basis);
    hsr_list_remove(&basis->node);
    basis->dropped = true;
    basis_free(target, basis);
}

/* The source gave the file up before its turn came. */
static void basis_unqueue(struct hsr_target *target, uint32_t key)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < target->deltas_count; i++) {
        uint32_t other = target->deltas[(target->deltas_head + i) % TARGET_KEYS_MAX];

        target->deltas[(target->deltas_head + kept) % TARGET_KEYS_MAX] = other;
        kept += other != key;
    }
    hsr_assert(kept == target->deltas_count - 1);
    target->deltas_count = kept;
}

void hsr_target_bases_destroy(struct hsr_target *target)
{
    for (uint32_t i = 0; target->pages != NULL && i < HSR_PAGES_MAX; i++)
        for (uint16_t k = 0; target->pages[i].used && k < target->pages[i].count; k++) {
            struct target_basis *basis = target->pages[i].entries[k].basis;

            if (basis != NULL)
                hsr_list_init(&basis->pieces); /* every hand is back */
            hsr_target_basis_drop(target, &target->pages[i], k);
        }
    hsr_target_ahead_destroy(target);
    if (target->deltas_on)
        hsr_delta_room_give(target->session->engine, basis_hands_bytes(target));
    hsr_crew_free(&target->signers);
    free(target->pieces);
    free(target->pieces_sums);
    free(target->slices_sums);
    free(target->deltas);
    for (uint32_t i = 0; target->pages != NULL && i < HSR_PAGES_MAX; i++)
        hsr_target_small_sent(target, &target->pages[i]);
}

/* Open the next old version, if the source has room for its sums. False: none was. */
static bool bases_open(struct hsr_target *target)
{
    struct target_basis *basis;
    struct target_page *page;
    bool opened = false;
    uint16_t index;
    uint32_t key;
    int rc = 0;

    if (target->deltas_count == 0)
        return false;
    key = target->deltas[target->deltas_head];
    page = &target->pages[key >> 16];
    index = (uint16_t)(key & 0xffff);
    if (!hsr_target_want_said(page) || page->entries[index].resuming)
        return false; /* what fails is wanted whole, by a further WANT; KEPT goes first */
    hsr_assert(page->entries[index].queued);
    basis = page->entries[index].basis;
    if (!basis_turn(target, basis) || (basis != NULL && !basis_fits(target, basis)))
        return false;
    if (basis != NULL && !hsr_target_ahead_use(target, basis))
        basis = NULL;
    if (basis == NULL) {
        basis = calloc(1, sizeof(*basis));
        rc = basis == NULL ? -ENOMEM : hsr_target_basis_open(target, page, index, basis);
        opened = rc == 0;
    }
    if (rc == 0)
        rc = basis_room(target, basis);
    if (rc < 0 && opened)
        hsr_basis_close(&target->session->home->loop, &basis->basis);
    if (rc == -EAGAIN) {
        free(basis);
        return false;
    }
    hsr_target_ahead_moved(target);
    target->deltas_head = (target->deltas_head + 1) % TARGET_KEYS_MAX;
    target->deltas_count--;
    page->entries[index].queued = false;
    if (rc < 0) {
        free(basis);
        basis_whole(target, page, index);
        return true;
    }
    page->entries[index].basis = basis;
    basis_count(target, basis);
    return true;
}

/* Of as many as the source may have in transit, signatures are made when they must be. What was
 * made ahead goes to the source ahead, so that no round trip lies between one file and the next. */
static bool basis_turn(struct hsr_target *target, const struct target_basis *basis)
{
    uint32_t files_max = target->session->files_max;

    if (target->bases < files_max)
        return basis == NULL || !hsr_target_ahead_waits(target, basis);
    return target->bases < HSR_SIGS_PER_FILE * files_max && basis != NULL && !basis->counted &&
           hsr_target_ahead_whole(basis);
}

/* Does the source have room for its sums? One alone always has. */
static bool basis_fits(const struct hsr_target *target, const struct target_basis *basis)
{
    return target->bases == 0 ||
           target->bases_blocks + hsr_delta_blocks(&basis->plan) <= HSR_SIG_BLOCKS_MAX;
}

/* Room at the source; and in place for its window, which is its own then. 0, -EAGAIN: not now;
 * or there never is. */
static int basis_room(struct hsr_target *target, const struct target_basis *basis)
{
    struct hsr_session *session = target->session;

    hsr_require(basis_fits(target, basis), -EAGAIN);
    if ((session->options & HSR_OPT_INPLACE) &&
        !hsr_delta_room_take(session->engine, hsr_window_bytes(basis->plan.base_size)))
        return target->bases > 0 ? -EAGAIN
                                 : HSR_E_MEMORY_BOUND; /* one that ends wakes us, or none */
    return 0;
}

/* Its turn has come. */
static void basis_count(struct hsr_target *target, struct target_basis *basis)
{
    hsr_assert(!basis->counted && !basis->ahead);
    basis->counted = true;
    target->bases++;
    target->bases_blocks += hsr_delta_blocks(&basis->plan);
    hsr_list_push_tail(&target->signing, &basis->node);
}

int hsr_target_basis_open(struct hsr_target *target, struct target_page *page, uint16_t index,
                          struct target_basis *basis)
{
    struct hsr_session *session = target->session;
    bool in_place = (session->options & HSR_OPT_INPLACE) != 0;
    struct hsr_entry entry;
    int rc;

    hsr_target_entry_read(target, page, index, &entry);
    basis->page = page;
    basis->index = index;
    hsr_list_init(&basis->node);
    hsr_list_init(&basis->pieces);
    rc = hsr_basis_open(&target->tree, &page->entries[index].dir->dir, entry.name, in_place,
                        &basis->basis);
    if (rc < 0)
        return rc == -EAGAIN ? -EIO : rc;
    rc = hsr_delta_plan_make(basis->basis.identity.size, entry.size,
                             session->block_log > 0 ? 1u << session->block_log : 0, &basis->plan);
    if (rc == 0 && basis->plan.block_size > session->chunk)
        rc = HSR_E_LIMIT; /* a block must fit into a chunk */
    if (rc < 0)
        hsr_basis_close(&session->home->loop, &basis->basis);
    return rc;
}

/* There will be no delta: the source may send all of it. */
static void basis_whole(struct hsr_target *target, struct target_page *page, uint16_t index)
{
    struct hsr_want_item item = { .index = index, .action = HSR_WANT_WHOLE };

    target->session->progress.delta.fallbacks++;
    page->entries[index].delta = false;
    hsr_target_basis_drop(target, page, index);
    hsr_target_want(page, item.index, &item);
    hsr_session_wake(target->session);
}

/* Give the hands what they can take. False: nothing was. */
static bool bases_deal(struct hsr_target *target)
{
    struct hsr_list *node = target->signing.next;
    bool moved = false;

    while (node != &target->signing && !hsr_list_empty(&target->pieces_free)) {
        struct target_basis *basis = hsr_container_of(node, struct target_basis, node);
        struct hsr_hand *hand;

        if (basis->rc < 0 || basis->dealt == basis->plan.base_size) {
            node = node->next;
            continue;
        }
        hand = hsr_crew_hand(&target->signers);
        if (hand == NULL)
            break;
        basis_lend(target, basis, hand);
        moved = true;
    }
    return moved;
}

static void basis_lend(struct hsr_target *target, struct target_basis *basis, struct hsr_hand *hand)
{
    struct target_piece *piece =
        hsr_container_of(hsr_list_pop_head(&target->pieces_free), struct target_piece, node);

    hsr_target_piece_lend(target, basis, piece, hand);
}

void hsr_target_piece_lend(struct hsr_target *target, struct target_basis *basis,
                           struct target_piece *piece, struct hsr_hand *hand)
{
    uint64_t blocks = HSR_MIN(TARGET_PIECE_BYTES / basis->plan.block_size,
                              TARGET_PIECE_SUMS / hsr_delta_sum_size(&basis->plan));
    uint64_t size = blocks * basis->plan.block_size;

    hsr_assert(blocks > 0);
    piece->basis = basis;
    piece->begun = piece->done = false;
    piece->sign = (struct hsr_sign){ .fd = basis->basis.fd,
                                     .io = { .call = target->session->call_io },
                                     .plan = basis->plan,
                                     .key = &target->delta_key,
                                     .offset = basis->dealt,
                                     .sums = piece->sums };
    basis->dealt = HSR_MIN(basis->dealt + size, basis->plan.base_size);
    piece->sign.end = basis->dealt;
    hsr_list_push_tail(&basis->pieces, &piece->node);
    hsr_crew_lend(hand, &piece->task);
}

/* Send the pieces that are next; false: there is no room. */
static bool basis_send(struct hsr_target *target, struct target_basis *basis)
{
    if (!basis->page->want_sent)
        return true;
    while (!hsr_list_empty(&basis->pieces)) {
        struct target_piece *piece =
            hsr_container_of(basis->pieces.next, struct target_piece, node);

        if (!piece->done)
            return true;
        if (basis->rc == 0 && !basis_send_piece(target, basis, piece))
            return false;
        hsr_list_remove(&piece->node);
        hsr_target_piece_free(target, piece);
    }
    if (basis->rc < 0) {
        basis_whole(target, basis->page, basis->index);
    } else if (basis->sent == hsr_delta_blocks(&basis->plan)) {
        hsr_list_remove(&basis->node);
        hsr_target_ahead_shelf_free(target, basis);
    }
    return true;
}

static bool basis_send_piece(struct hsr_target *target, struct target_basis *basis,
                             struct target_piece *piece)
{
    struct hsr_conn *conn = target->session->control;
    size_t sums_size = (size_t)piece->sign.blocks * hsr_delta_sum_size(&basis->plan);
    size_t room = HSR_SIG_HEAD_SIZE + sums_size;
    struct hsr_sig sig = { .base_size = basis->plan.base_size,
                           .block_log = (uint8_t)__builtin_ctz(basis->plan.block_size),
                           .strong_size = (uint8_t)basis->plan.strong_size,
                           .count = piece->sign.blocks,
                           .sums = { piece->sums, sums_size } };
    uint8_t *out = conn != NULL ? hsr_conn_begin(conn, room) : NULL;
    int size;

    if (out == NULL)
        return false;
    size = hsr_sig_encode(&sig, basis->sent, out, room);
    hsr_assert(size > 0);
    hsr_conn_commit(conn,
                    (struct hsr_frame){ .kind = HSR_FRAME_SIG,
                                        .page = basis->page->page,
                                        .index = basis->index,
                                        .offset = basis->sent },
                    (size_t)size);
    basis->sent += sig.count;
    target->session->progress.delta.signature += sums_size;
    return true;
}

void hsr_target_piece_free(struct hsr_target *target, struct target_piece *piece)
{
    hsr_assert(!hsr_list_linked(&piece->node));
    hsr_list_push_tail(piece->ahead ? &target->ahead.pieces_free : &target->pieces_free,
                       &piece->node);
}

/* Pieces that are lent hold its descriptor. */
static void basis_free(struct hsr_target *target, struct target_basis *basis)
{
    hsr_assert(basis->dropped);
    while (!hsr_list_empty(&basis->pieces)) {
        struct target_piece *piece =
            hsr_container_of(basis->pieces.next, struct target_piece, node);

        if (!piece->done)
            return; /* hsr_target_signer_back() comes here again */
        hsr_list_remove(&piece->node);
        hsr_target_piece_free(target, piece);
    }
    hsr_target_ahead_shelf_free(target, basis);
    if (target->session->options & HSR_OPT_INPLACE) {
        hsr_delta_room_give(target->session->engine, hsr_window_bytes(basis->plan.base_size));
        hsr_basis_close(&target->session->home->loop, &basis->basis);
    } else {
        hsr_target_replaced_close(target, &basis->basis);
    }
    free(basis);
}

/* ---- at a hand ---- */

int hsr_target_signer_begin(struct hsr_hand *hand)
{
    hand->own = aligned_alloc(HSR_FILEIO_ALIGN_MAX, HSR_SIGN_MEMORY);
    hand->job.memory = HSR_SIGN_MEMORY;
    return hand->own != NULL ? 0 : -ENOMEM;
}

void hsr_target_signer_end(struct hsr_hand *hand)
{
    free(hand->own);
}

static bool signer_step(struct hsr_hand *hand, struct hsr_crew_task *task)
{
    struct target_piece *piece = hsr_container_of(task, struct target_piece, task);
    struct hsr_loop *loop = &hand->shard->loop;
    enum hsr_sign_result result;

    if (!piece->begun)
        hsr_sign_begin(&piece->sign, loop, &hand->task, hand->own);
    piece->begun = true;
    do {
        result = hsr_sign_step(&piece->sign, 0);
    } while (result == HSR_SIGN_MORE && !hsr_loop_slice_over(loop));
    hand->parked = result == HSR_SIGN_WAITS;
    return result == HSR_SIGN_DONE;
}

bool hsr_target_signer_busy(const struct hsr_hand *hand)
{
    struct target_piece *piece;

    if (hsr_list_empty(&hand->tasks))
        return false;
    piece = hsr_container_of(hand->tasks.next, struct target_piece, task.node);
    return piece->begun && !hsr_sign_stop(&piece->sign);
}

void hsr_target_signer_back(struct hsr_session *session, struct hsr_crew_task *task)
{
    struct target_piece *piece = hsr_container_of(task, struct target_piece, task);
    struct target_basis *basis = piece->basis;

    piece->done = true;
    if (!piece->ahead)
        session->target->ahead.demand_bytes += piece->sign.next - piece->sign.offset;
    if (basis->rc == 0)
        basis->rc = piece->sign.rc;
    if (basis->dropped)
        basis_free(session->target, basis);
}
