/* Readers: a crew that reads files and computes their digests on every shard, for --checksum at
 * both sides and for whoever wants digests alone. The home has a queue of files; what it lends is a
 * list of small ones, or a range of a large one, which it has opened. What a hand does is a job
 * (ring/job.h), in demand or ahead; it reads ahead while it hashes, a piece at a time, so that no
 * turn is long. Digests come back to the home, which merges those of ranges. */
#ifndef HSR_ENGINE_READER_H
#define HSR_ENGINE_READER_H

#include "transfer/engine/crew.h"
#include "transfer/engine/session.h"
#include "transfer/tree/fileio.h"
#include "transfer/tree/walk.h"

#define HSR_READ_FILES 64u /* of one job */
#define HSR_READ_LARGE 8u /* files that are read in ranges at the same time */

/* A file to be read. What it points to is its owner's, and stays until it is done. */
struct hsr_read_file {
    uint64_t key; /* the owner's */
    const struct hsr_walk *walk; /* a source's; NULL: below the target's root */
    const struct hsr_dir *dir;
    struct hsr_span name;
    const struct hsr_source_identity *identity; /* it must still be this after the last read; or
                                                   NULL */
    uint64_t size;
    int rc; /* result: 0, or why there is no digest */
    uint8_t digest[HSR_DIGEST_SIZE_MAX]; /* result */
};

/* Whose files they are. Home thread. */
struct hsr_reader_ops {
    /** The next file to be read; false: none now. */
    bool (*next)(struct hsr_session *session, struct hsr_read_file *ret_file);
    /** It was read. */
    void (*done)(struct hsr_session *session, const struct hsr_read_file *file);
    /** Does somebody wait for its digest, or for that of one after it? Else it is computed in gaps
     * until somebody does. NULL: always. */
    bool (*waited)(struct hsr_session *session, const struct hsr_read_file *file);
};

struct hsr_readers;

/** Hands on all shards of the session's engine. 0, -ENOMEM. */
int hsr_readers_create(struct hsr_session *session, const struct hsr_reader_ops *ops);

/** Lend what there is to read, as far as hands are free; what comes back wakes the session. */
void hsr_readers_step(struct hsr_session *session);

/** Is nothing being read? */
bool hsr_readers_idle(const struct hsr_session *session);

/** Call everything home; true when all of it is (hsr_crew_close). NULL readers are. */
bool hsr_readers_close(struct hsr_session *session);

/** Add to a session's figures what hashing took. */
void hsr_readers_figures(const struct hsr_session *session, struct hsr_stages *stages);

/** Everything is home. Accepts a session without readers. */
void hsr_readers_destroy(struct hsr_session *session);

/** Bytes that the home and one hand need, for the plan. */
size_t hsr_readers_bytes(void);
size_t hsr_reader_hand_bytes(void);

#endif
