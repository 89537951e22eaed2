/* Files -> digests; see reader.h. The first half is the home's, the second a hand's. */
#include "transfer/engine/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/source.h"
#include "transfer/engine/tally.h"
#include "transfer/tree/target.h"

#define READER_JOBS 3u /* to a hand: as many as it takes */
#define READER_PIECE                                                                               \
    (256 * HSR_KIB) /* read and hashed by a step: 35 us; less if leaves want it                    \
                     */
#define READER_DEPTH 4u /* pieces of one file being read */
#define READER_JOB_BYTES (4 * HSR_MIB) /* of small files: 0.5 ms if cached */
#define READER_RANGE (32 * HSR_MIB) /* of a large file: what its messages cost is nothing */
#define READER_WHOLE (2 * READER_RANGE) /* up to here a file is read by one hand */

struct read_large;

/* Lent to a hand: small files, or a range of a large one. */
struct read_job {
    struct hsr_crew_task task;
    struct hsr_readers *readers;
    struct read_large *large; /* NULL: files */
    bool lent, wanted;
    int fd; /* of the large file */
    int rc; /* range: result */
    struct hsr_fileio io;
    uint64_t start, end;
    struct hsr_digest_run run; /* range: result */
    uint32_t count, next; /* files, and how many are done */
    struct hsr_read_file files[HSR_READ_FILES];
};

/* A file that is read in ranges, at the home. */
struct read_large {
    bool used;
    struct hsr_read_file file;
    int fd;
    struct hsr_fileio io;
    uint64_t next; /* what is before was dealt */
    uint32_t lent;
    struct hsr_tally tally;
};

struct hsr_readers {
    struct hsr_session *session;
    const struct hsr_reader_ops *ops;
    struct hsr_crew crew;
    struct hsr_dircache cache;
    struct read_job *jobs;
    struct hsr_list jobs_free;
    uint32_t jobs_lent;
    uint32_t piece; /* bytes: whole leaves */
    uint64_t range;
    bool holding; /* `held` waits for a place among the large ones */
    struct hsr_read_file held;
    struct read_large larges[HSR_READ_LARGE];
    atomic_ullong hash_ns, hash_bytes, read_ns; /* of all hands */
};

/* A piece of the file at hand, in the order in which it is hashed. */
struct reader_piece {
    struct hsr_op op;
    struct hsr_hand *hand;
    uint8_t *bytes;
    uint64_t offset;
    uint32_t size, done;
};

/* What a hand has. */
struct reader {
    struct hsr_readers *readers;
    struct hsr_dircache cache;
    uint8_t *memory; /* READER_DEPTH pieces */
    struct reader_piece pieces[READER_DEPTH];
    uint32_t head, count; /* pieces in use */
    uint32_t flying; /* of them: being read */
    bool open; /* a file, or a range */
    int fd, rc;
    struct hsr_fileio io;
    uint64_t next, end;
    uint64_t hash_ns; /* in the slice at hand */
    struct hsr_digest_run run;
};

static struct read_large *readers_large(struct hsr_readers *readers);
static void readers_want(struct hsr_readers *readers);
static bool readers_deal_range(struct hsr_readers *readers, struct hsr_hand *hand);
static bool readers_deal_files(struct hsr_readers *readers, struct hsr_hand *hand);
static bool readers_large_begin(struct hsr_readers *readers, const struct hsr_read_file *file);
static void readers_large_check(struct hsr_readers *readers, struct read_large *large);
static void readers_large_free(struct hsr_readers *readers, struct read_large *large);
static void readers_back(struct hsr_session *session, struct hsr_crew_task *task);
static int reader_begin(struct hsr_hand *hand);
static bool reader_step(struct hsr_hand *hand, struct hsr_crew_task *task);
static bool reader_work(struct hsr_hand *hand, struct read_job *job);
static bool reader_busy(const struct hsr_hand *hand);
static void reader_end(struct hsr_hand *hand);
static int reader_open(struct hsr_session *session, struct hsr_dircache *cache,
                       const struct hsr_read_file *file);
static void reader_close(struct hsr_loop *loop, int fd);
static void reader_file_begin(struct hsr_hand *hand, struct read_job *job);
static void reader_file_end(struct hsr_hand *hand, struct read_job *job);
static void reader_fill(struct hsr_hand *hand);
static void reader_read(struct hsr_hand *hand, struct reader_piece *piece);
static void reader_piece_read(struct hsr_op *op, int64_t res, unsigned flags);
static void reader_hash(struct hsr_hand *hand, struct read_job *job);

static const struct hsr_crew_ops readers_crew = { .name = "reader",
                                                  .jobs = true,
                                                  .begin = reader_begin,
                                                  .step = reader_step,
                                                  .busy = reader_busy,
                                                  .back = readers_back,
                                                  .end = reader_end };

int hsr_readers_create(struct hsr_session *session, const struct hsr_reader_ops *ops)
{
    struct hsr_readers *readers = calloc(1, sizeof(*readers));
    uint32_t count;
    int rc;

    if (readers == NULL)
        return -ENOMEM;
    session->readers = readers;
    readers->session = session;
    readers->ops = ops;
    readers->piece = (uint32_t)(READER_PIECE - READER_PIECE % session->leaf);
    readers->range = READER_RANGE - READER_RANGE % session->leaf;
    hsr_list_init(&readers->jobs_free);
    hsr_dircache_init(&readers->cache, &session->home->loop, session->root_fd,
                      (session->options & HSR_OPT_COPY_LINKS) != 0);
    rc = hsr_crew_create(&readers->crew, session, &readers_crew);
    if (rc < 0)
        return rc;
    count = READER_JOBS * readers->crew.hand_count;
    readers->jobs = calloc(count, sizeof(*readers->jobs));
    if (readers->jobs == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        readers->jobs[i].readers = readers;
        hsr_list_init(&readers->jobs[i].task.node);
        hsr_list_push_tail(&readers->jobs_free, &readers->jobs[i].task.node);
    }
    return 0;
}

void hsr_readers_step(struct hsr_session *session)
{
    struct hsr_readers *readers = session->readers;
    struct hsr_hand *hand;

    readers_want(readers);
    while ((hand = hsr_crew_hand(&readers->crew)) != NULL)
        if (!readers_deal_range(readers, hand) && !readers_deal_files(readers, hand))
            return;
}

bool hsr_readers_idle(const struct hsr_session *session)
{
    const struct hsr_readers *readers = session->readers;
    bool idle = readers == NULL || (readers->jobs_lent == 0 && !readers->holding);

    for (uint32_t i = 0; idle && readers != NULL && i < HSR_READ_LARGE; i++)
        idle = !readers->larges[i].used;
    return idle;
}

bool hsr_readers_close(struct hsr_session *session)
{
    return session->readers == NULL || hsr_crew_close(&session->readers->crew);
}

void hsr_readers_figures(const struct hsr_session *session, struct hsr_stages *stages)
{
    const struct hsr_readers *readers = session->readers;

    if (readers == NULL)
        return;
    stages->figure[HSR_FIGURE_HASH_TIME] +=
        atomic_load_explicit(&readers->hash_ns, memory_order_relaxed);
    stages->figure[HSR_FIGURE_HASH_BYTES] +=
        atomic_load_explicit(&readers->hash_bytes, memory_order_relaxed);
    stages->figure[HSR_FIGURE_HOME_WORK] +=
        atomic_load_explicit(&readers->read_ns, memory_order_relaxed);
}

void hsr_readers_destroy(struct hsr_session *session)
{
    struct hsr_readers *readers = session->readers;

    if (readers == NULL)
        return;
    for (uint32_t i = 0; i < HSR_READ_LARGE; i++)
        if (readers->larges[i].used)
            readers_large_free(readers, &readers->larges[i]);
    hsr_dircache_fini(&readers->cache);
    hsr_crew_free(&readers->crew);
    free(readers->jobs);
    free(readers);
    session->readers = NULL;
}

size_t hsr_readers_bytes(void)
{
    return sizeof(struct hsr_readers);
}

size_t hsr_reader_hand_bytes(void)
{
    return sizeof(struct hsr_hand) + sizeof(struct reader) + READER_DEPTH * READER_PIECE +
           READER_JOBS * sizeof(struct read_job);
}

/* ---- home ---- */

static struct read_job *readers_job(struct hsr_readers *readers)
{
    struct hsr_list *node = hsr_list_pop_head(&readers->jobs_free);
    struct read_job *job;

    hsr_assert(node != NULL); /* as many as the hands take */
    job = hsr_container_of(node, struct read_job, task.node);
    job->large = NULL;
    job->count = job->next = 0;
    job->rc = 0;
    return job;
}

/* Does somebody wait for it? Files are read in the order in which they are needed, so the first of
 * them tells. */
static bool readers_waited(const struct hsr_readers *readers, const struct read_job *job)
{
    const struct hsr_read_file *file = job->large != NULL ? &job->large->file : &job->files[0];

    return readers->ops->waited == NULL || readers->ops->waited(readers->session, file);
}

static void readers_lend(struct hsr_readers *readers, struct hsr_hand *hand, struct read_job *job)
{
    readers->jobs_lent++;
    job->lent = true;
    job->wanted = readers_waited(readers, job);
    if (job->wanted)
        hsr_crew_lend_wanted(hand, &job->task);
    else
        hsr_crew_lend(hand, &job->task);
}

/* What was lent ahead and is waited for by now. */
static void readers_want(struct hsr_readers *readers)
{
    for (uint32_t i = 0; i < READER_JOBS * readers->crew.hand_count; i++) {
        struct read_job *job = &readers->jobs[i];

        if (!job->lent || job->wanted || !readers_waited(readers, job))
            continue;
        job->wanted = true;
        hsr_crew_want(&job->task);
    }
}

/* The next range of a large file. False: none is left to be dealt. */
static bool readers_deal_range(struct hsr_readers *readers, struct hsr_hand *hand)
{
    struct read_large *large = readers_large(readers);
    struct read_job *job;

    if (large == NULL)
        return false;
    job = readers_job(readers);
    job->large = large;
    job->fd = large->fd;
    job->io = large->io;
    job->start = large->next;
    job->end = HSR_MIN(large->file.size, large->next + readers->range);
    large->next = job->end;
    large->lent++;
    readers_lend(readers, hand, job);
    return true;
}

static struct read_large *readers_large(struct hsr_readers *readers)
{
    for (uint32_t i = 0; i < HSR_READ_LARGE; i++)
        if (readers->larges[i].used && readers->larges[i].next < readers->larges[i].file.size)
            return &readers->larges[i];
    return NULL;
}

/* Gather small files; a large one is opened instead. False: there is nothing to read. */
static bool readers_deal_files(struct hsr_readers *readers, struct hsr_hand *hand)
{
    struct hsr_session *session = readers->session;
    struct read_job *job = readers_job(readers);
    bool more = true;
    uint64_t bytes = 0;

    while (job->count < HSR_READ_FILES && bytes < READER_JOB_BYTES) {
        struct hsr_read_file file = readers->held;

        more = readers->holding || readers->ops->next(session, &file);
        if (!more)
            break;
        readers->holding = false;
        if (file.size <= READER_WHOLE) {
            job->files[job->count++] = file;
            bytes += file.size;
        } else if (!readers_large_begin(readers, &file)) {
            readers->held = file;
            readers->holding = true;
            more = false;
            break;
        } else if (readers_large(readers) != NULL) {
            break;
        }
    }
    if (job->count > 0)
        readers_lend(readers, hand, job);
    else
        hsr_list_push_tail(&readers->jobs_free, &job->task.node);
    return more;
}

/* Open a large file for all hands. False: there are too many now. */
static bool readers_large_begin(struct hsr_readers *readers, const struct hsr_read_file *file)
{
    struct hsr_session *session = readers->session;
    struct read_large *large = readers->larges;
    struct hsr_fileio_wish wish = hsr_session_fileio(session);

    while (large < readers->larges + HSR_READ_LARGE && large->used)
        large++;
    if (large == readers->larges + HSR_READ_LARGE)
        return false;
    *large = (struct read_large){ .used = true, .file = *file };
    hsr_tally_init(&large->tally, (enum hsr_digest_kind)session->digest, session->leaf);
    large->fd = reader_open(session, &readers->cache, file);
    if (large->fd < 0) {
        large->file.rc = large->fd;
        large->next = file->size;
        readers_large_check(readers, large);
        return true;
    }
    wish.chunk = READER_PIECE;
    large->io = hsr_fileio_source(&session->home->loop, large->fd, file->size, wish);
    return true;
}

/* Is it done? After an error nothing more of it is dealt. */
static void readers_large_check(struct hsr_readers *readers, struct read_large *large)
{
    struct hsr_session *session = readers->session;
    struct hsr_read_file file;

    if (large->file.rc < 0)
        large->next = large->file.size;
    if (large->lent > 0 || large->next < large->file.size)
        return;
    if (large->file.rc == 0 && large->file.identity != NULL)
        large->file.rc = hsr_source_check(&session->home->loop, large->fd, large->file.identity);
    if (large->file.rc == 0)
        large->file.rc = hsr_tally_final(&large->tally, large->file.size, large->file.digest);
    file = large->file;
    readers_large_free(readers, large);
    readers->ops->done(session, &file);
}

static void readers_large_free(struct hsr_readers *readers, struct read_large *large)
{
    reader_close(&readers->session->home->loop, large->fd);
    hsr_tally_fini(&large->tally, &readers->session->tally_budget);
    large->used = false;
}

static void readers_back(struct hsr_session *session, struct hsr_crew_task *task)
{
    struct read_job *job = hsr_container_of(task, struct read_job, task);
    struct hsr_readers *readers = session->readers;
    struct read_large *large = job->large;

    readers->jobs_lent--;
    job->lent = false;
    if (session->state == HSR_SESSION_MOVING && large == NULL) {
        hsr_assert(job->next == job->count);
        for (uint32_t i = 0; i < job->count; i++)
            readers->ops->done(session, &job->files[i]);
    } else if (session->state == HSR_SESSION_MOVING) {
        hsr_assert(large->lent > 0);
        large->lent--;
        large->io = job->io;
        if (large->file.rc == 0)
            large->file.rc = job->rc;
        if (large->file.rc == 0)
            large->file.rc = hsr_tally_add(&large->tally, &job->run, &session->tally_budget);
        readers_large_check(readers, large);
    }
    hsr_list_push_tail(&readers->jobs_free, &job->task.node);
}

/* ---- a hand ---- */

static int reader_begin(struct hsr_hand *hand)
{
    struct hsr_session *session = hand->crew->session;
    struct reader *reader = calloc(1, sizeof(*reader));

    if (reader == NULL)
        return -ENOMEM;
    reader->memory = aligned_alloc(HSR_FILEIO_ALIGN_MAX, READER_DEPTH * READER_PIECE);
    if (reader->memory == NULL) {
        free(reader);
        return -ENOMEM;
    }
    reader->readers = session->readers;
    hsr_dircache_init(&reader->cache, &hand->shard->loop, session->root_fd,
                      (session->options & HSR_OPT_COPY_LINKS) != 0);
    for (uint32_t i = 0; i < READER_DEPTH; i++) {
        reader->pieces[i].hand = hand;
        reader->pieces[i].bytes = reader->memory + i * READER_PIECE;
    }
    hand->own = reader;
    hand->job.memory = READER_DEPTH * READER_PIECE;
    return 0;
}

static bool reader_busy(const struct hsr_hand *hand)
{
    const struct reader *reader = hand->own;

    return reader != NULL && reader->flying > 0;
}

static void reader_end(struct hsr_hand *hand)
{
    struct reader *reader = hand->own;

    hsr_assert(reader->flying == 0);
    if (reader->open && reader->fd >= 0)
        reader_close(&hand->shard->loop, reader->fd);
    hsr_dircache_fini(&reader->cache);
    free(reader->memory);
    free(reader);
}

static bool reader_step(struct hsr_hand *hand, struct hsr_crew_task *task)
{
    struct read_job *job = hsr_container_of(task, struct read_job, task);
    struct reader *reader = hand->own;
    struct hsr_loop *loop = &hand->shard->loop;
    uint64_t start_ns = hsr_loop_clock(loop);
    bool done;

    reader->hash_ns = 0;
    done = reader_work(hand, job);
    atomic_fetch_add_explicit(&reader->readers->hash_ns, reader->hash_ns, memory_order_relaxed);
    atomic_fetch_add_explicit(&reader->readers->read_ns,
                              hsr_loop_clock(loop) - start_ns - reader->hash_ns,
                              memory_order_relaxed);
    return done;
}

/* True when the job is done. */
static bool reader_work(struct hsr_hand *hand, struct read_job *job)
{
    struct reader *reader = hand->own;
    struct hsr_loop *loop = &hand->shard->loop;

    for (;;) {
        if (!reader->open) {
            if (job->large != NULL ? job->next > 0 : job->next == job->count)
                return true;
            reader_file_begin(hand, job);
        }
        reader_fill(hand);
        if (reader->count == 0)
            reader_file_end(hand, job);
        else if (reader->pieces[reader->head].op.armed) {
            hand->parked = true; /* reader_piece_read() wakes it */
            return false;
        } else {
            reader_hash(hand, job);
        }
        if (hsr_loop_pressed(loop) || hsr_loop_clock(loop) >= hand->deadline_ns)
            return false;
    }
}

/* A range's goes home with the job. */
static struct hsr_digest_run *reader_run(struct reader *reader, struct read_job *job)
{
    return job->large != NULL ? &job->run : &reader->run;
}

/* The digest of a file that is one run. */
static int reader_digest(const struct hsr_session *session, const struct hsr_digest_run *run,
                         struct hsr_read_file *file)
{
    struct hsr_digest_node nodes[HSR_DIGEST_RUN_VALUES_MAX];
    struct hsr_digest_tree tree;
    int rc;

    hsr_digest_tree_init(&tree, (enum hsr_digest_kind)session->digest, session->leaf, nodes,
                         HSR_DIGEST_RUN_VALUES_MAX);
    rc = hsr_digest_tree_add(&tree, run);
    memset(file->digest, 0, sizeof(file->digest));
    return rc < 0 ? rc : hsr_digest_tree_final(&tree, file->size, file->digest);
}

/* The next file of @job, or its range. One that cannot be read is done at once. */
static void reader_file_begin(struct hsr_hand *hand, struct read_job *job)
{
    struct hsr_session *session = hand->crew->session;
    struct reader *reader = hand->own;
    const struct hsr_read_file *file = &job->files[job->next];
    struct hsr_fileio_wish wish = hsr_session_fileio(session);

    reader->open = true;
    reader->rc = 0;
    reader->head = reader->count = 0;
    hsr_digest_run_init(reader_run(reader, job), (enum hsr_digest_kind)session->digest,
                        session->leaf, job->large != NULL ? job->start : 0);
    if (job->large != NULL) {
        reader->fd = -1; /* not ours to close */
        reader->io = job->io;
        reader->next = job->start;
        reader->end = job->end;
        return;
    }
    reader->next = 0;
    reader->end = file->size;
    reader->fd = reader_open(session, &reader->cache, file);
    if (reader->fd < 0) {
        reader->rc = reader->fd;
        return;
    }
    wish.chunk = READER_PIECE;
    wish.call |= file->size <= READER_PIECE; /* asking how it lies would cost as much as reading */
    reader->io = hsr_fileio_source(&hand->shard->loop, reader->fd, file->size, wish);
}

static void reader_file_end(struct hsr_hand *hand, struct read_job *job)
{
    struct hsr_session *session = hand->crew->session;
    struct reader *reader = hand->own;
    struct hsr_read_file *file = &job->files[job->next++];

    reader->open = false;
    if (job->large != NULL) {
        job->rc = reader->rc;
        job->io = reader->io;
        return;
    }
    if (reader->rc == 0 && file->identity != NULL)
        reader->rc = hsr_source_check(&hand->shard->loop, reader->fd, file->identity);
    if (reader->rc == 0)
        reader->rc = reader_digest(session, &reader->run, file);
    file->rc = reader->rc;
    if (reader->fd >= 0)
        reader_close(&hand->shard->loop, reader->fd);
}

/* Read ahead; from a tmpfs one piece, which is still in the core's cache when it is hashed. */
static void reader_fill(struct hsr_hand *hand)
{
    struct reader *reader = hand->own;
    uint64_t piece_max = reader->readers->piece;

    while (reader->rc == 0 && reader->next < reader->end && reader->count < READER_DEPTH &&
           (!reader->io.call || reader->count == 0)) {
        struct reader_piece *piece =
            &reader->pieces[(reader->head + reader->count++) % READER_DEPTH];

        piece->offset = reader->next;
        piece->size = (uint32_t)HSR_MIN(piece_max, reader->end - reader->next);
        piece->done = 0;
        reader->next += piece->size;
        reader_read(hand, piece);
    }
}

static void reader_read(struct hsr_hand *hand, struct reader_piece *piece)
{
    struct reader *reader = hand->own;
    struct hsr_loop *loop = &hand->shard->loop;
    const struct read_job *job = hsr_container_of(hand->tasks.next, struct read_job, task.node);

    for (;;) {
        int rc;

        piece->op = (struct hsr_op){ .kind = HSR_OP_READ,
                                     .done = reader_piece_read,
                                     .fd = reader->fd >= 0 ? reader->fd : job->fd,
                                     .buf = piece->bytes,
                                     .buf_index = -1 };
        hsr_fileio_prepare(&reader->io, &piece->op, piece->offset, piece->size, piece->done);
        if (!reader->io.call) {
            reader->flying++;
            hsr_loop_submit(loop, &piece->op);
            return;
        }
        rc = hsr_fileio_result(loop, &piece->op, &reader->io, hsr_loop_call(loop, &piece->op),
                               piece->size, &piece->done);
        if (rc < 0 && reader->rc == 0)
            reader->rc = rc == -ENODATA ? HSR_E_CHANGED : rc;
        if (rc <= 0)
            return;
    }
}

static void reader_piece_read(struct hsr_op *op, int64_t res, unsigned flags)
{
    struct reader_piece *piece = hsr_container_of(op, struct reader_piece, op);
    struct hsr_hand *hand = piece->hand;
    struct reader *reader = hand->own;
    struct hsr_loop *loop = &hand->shard->loop;
    int rc;

    if (flags & HSR_CQE_MORE)
        return;
    reader->flying--;
    rc = hsr_fileio_result(loop, op, &reader->io, res, piece->size, &piece->done);
    if (rc < 0 && reader->rc == 0)
        reader->rc = rc == -ENODATA ? HSR_E_CHANGED : rc; /* it became shorter */
    if (rc > 0 && reader->rc == 0 && !hand->closing)
        reader_read(hand, piece);
    else
        hsr_loop_wake(loop, &hand->task);
}

/* The oldest piece is there, or the file cannot be read. */
static void reader_hash(struct hsr_hand *hand, struct read_job *job)
{
    struct reader *reader = hand->own;
    struct reader_piece *piece = &reader->pieces[reader->head];
    uint64_t start_ns;

    reader->head = (reader->head + 1) % READER_DEPTH;
    reader->count--;
    if (reader->rc < 0)
        return;
    hsr_assert(piece->done == piece->size);
    start_ns = hsr_loop_clock(&hand->shard->loop);
    (void)hsr_digest_run_add(reader_run(reader, job), piece->bytes, piece->size); /* no frame */
    reader->hash_ns += hsr_loop_clock(&hand->shard->loop) - start_ns;
    hsr_loop_job_worked(&hand->shard->loop, &hand->job, piece->size);
    if (hand->crew->session->options & HSR_OPT_DRY_RUN) /* that is what such a run moves */
        atomic_fetch_add_explicit(&hand->crew->session->counts.bytes, piece->size,
                                  memory_order_relaxed);
    atomic_fetch_add_explicit(&reader->readers->hash_bytes, piece->size, memory_order_relaxed);
}

/* ---- both ---- */

static int reader_open(struct hsr_session *session, struct hsr_dircache *cache,
                       const struct hsr_read_file *file)
{
    char name[HSR_NAME_MAX + 1];

    hsr_assert(file->name.size <= HSR_NAME_MAX);
    memcpy(name, file->name.ptr, file->name.size);
    name[file->name.size] = '\0';
    if (file->walk == NULL)
        return hsr_target_read_open(cache, file->dir, name, file->size);
    return hsr_source_open(cache, file->walk, file->dir, name,
                           (session->options & HSR_OPT_COPY_LINKS) != 0);
}

static void reader_close(struct hsr_loop *loop, int fd)
{
    struct hsr_op op = { .kind = HSR_OP_CLOSE, .fd = fd };

    if (fd >= 0)
        (void)hsr_loop_call(loop, &op); /* read only: a failed close loses nothing */
}
