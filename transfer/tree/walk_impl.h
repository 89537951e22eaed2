/* Inside of the walk: its records, its chain of ancestors, and the steps its files share.
 *
 *   walk.c     tops, the order of things, public functions
 *   level.c    the chain of ancestors: descriptors, getdents, directory records
 *   inspect.c  from a name to an entry: statx, xattrs, links
 *   branch.c   parts of a walk that other shards do
 *   source.c   opening again, from any shard, what the walk found */
#ifndef HSR_TREE_WALK_IMPL_H
#define HSR_TREE_WALK_IMPL_H

#include <stdatomic.h>

#include "transfer/tree/links.h"
#include "transfer/tree/walk.h"

#define WALK_FDS 32u /* open at once, with the two that a reopening holds */
#define WALK_LEVEL_FDS (WALK_FDS - 2u)
#define WALK_LEVEL_FDS_BRANCH 8u /* of a branch: there is one on each shard */
#define WALK_REOPEN 16u /* levels reopened together when the walk comes back up */
#define WALK_DENTS_SIZE (32u * 1024u) /* some 800 names a call; twice that was not faster */
#define WALK_QUEUE_MAX 5u /* two refusals, the entry itself, an offer, and one spare */
#define WALK_DEVS_MAX 16u /* file systems without xattrs, remembered */
#define WALK_XATTR_SIZE (64u * 1024u) /* XATTR_LIST_MAX and XATTR_SIZE_MAX */

/* What is told again at the end when the directory cannot be asked any more. */
struct hsr_walk_meta {
    uint32_t mode, uid, gid, mtime_ns;
    int64_t mtime_s;
};

enum walk_job_kind {
    WALK_JOB_LIST, /* a directory whose DIR is out: all that is in it, and its end */
    WALK_JOB_SLICE, /* names of a directory that somebody else goes on to list */
    WALK_JOB_END /* a directory of which only the end is missing */
};

struct hsr_walk_job {
    struct hsr_list node; /* its holder's */
    struct hsr_walk_record *record; /* held */
    uint8_t kind; /* enum walk_job_kind */
    uint8_t *dents; /* SLICE: what getdents gave; owned */
    uint32_t dents_size;
};

/* A directory's record. Held by its level, by what is below it, by jobs, and by the users of items.
 * Written by the shard that met the directory, before anybody else hears of it; then only `refs`
 * changes, and at home the last three. */
struct hsr_walk_record {
    struct hsr_dir dir;
    uint32_t top; /* index of the top it was found from */
    atomic_uint refs; /* whoever drops the last one frees it */
    uint64_t dev, ino;
    struct hsr_walk_meta meta;
    bool xattr_told; /* that not all of its attributes could be read */
    /* the home's, while other shards walk parts of it */
    uint32_t pending; /* directories in it that have not ended, and slices of it */
    bool listed; /* nothing but those is missing */
    bool incomplete;
    struct hsr_walk_job end; /* and then this is to be done */
};

enum hsr_walk_level_kind {
    HSR_WALK_READING, /* a directory that is being listed */
    HSR_WALK_TOP, /* stands above one top that gets a name of its own */
    HSR_WALK_LIST /* filled from --files-from paths */
};

struct hsr_walk_level {
    struct hsr_walk_record *record;
    uint8_t *dents; /* NULL while closed: `position` says where to go on */
    uint8_t *given; /* a slice's names, until it is open */
    uint32_t given_size;
    uint32_t dents_size;
    uint32_t dents_offset;
    int fd; /* -1: not open yet, closed for now, or failed */
    uint8_t kind;
    bool borrowed; /* fd is the caller's */
    bool opened; /* was open once */
    int failed; /* why it cannot be read (any further), or 0 */
    bool finished; /* no further name */
    bool incomplete; /* its listing has gaps */
    bool silent; /* has no DIR and no DIR_END */
    bool path_fd; /* fd is O_PATH */
    bool slice; /* only the names in `dents`: the rest is somebody else's */
    bool deferred; /* something in it was given away: its end is not known here */
    bool refilled; /* more than one buffer of names: a large directory */
    size_t path_size; /* bytes of walk->path that name it, with the '/' behind */
    uint64_t position; /* d_off of the last name that was used */
};

struct hsr_walk {
    struct hsr_loop *loop;
    struct hsr_walk *trunk; /* whose tops these are; itself, or that of a branch */
    uint32_t offers_left; /* how many more parts may be given away */
    bool poured; /* several tops into one root, which would end once for each: gives nothing away */
    uint32_t level_fds; /* levels open at once */
    struct hsr_walk_options options;
    struct hsr_walk_top *tops;
    unsigned top_count;
    unsigned top_index; /* the next one to start */
    const struct hsr_walk_top *list; /* --files-from path in progress */
    size_t list_offset; /* of its next component */
    bool privileged; /* euid 0: trusted.* and security.* are ours to read */
    bool link_told; /* that links become copies */
    atomic_uint dir_next; /* next directory id; the trunk's, for all */
    atomic_uint record_count; /* alive; the trunk's, for all */

    struct hsr_walk_level *levels;
    uint32_t level_count;
    uint32_t level_room;
    uint32_t level_open; /* levels below this index are closed (or borrowed) */

    uint8_t *dents_free[WALK_LEVEL_FDS];
    uint32_t dents_free_count;
    uint32_t dents_count; /* in use and free */

    char *path; /* of the innermost level, then of the name at hand; relative to the target */
    size_t path_room;

    struct hsr_walk_item queue[WALK_QUEUE_MAX];
    uint32_t queue_count;
    uint32_t queue_index;
    struct hsr_walk_record *lent; /* kept alive until the next call */

    struct hsr_links links;
    uint64_t devs[WALK_DEVS_MAX]; /* without xattrs */
    uint32_t dev_count;

    char source_name[HSR_NAME_MAX + 1]; /* of the top at hand; "" is its base itself */
    char target[HSR_LINK_TARGET_MAX + 2];
    uint8_t *xattrs; /* encoded; HSR_XATTR_TOTAL_MAX bytes */
    char *xattr_names; /* WALK_XATTR_SIZE */
    uint8_t *xattr_value; /* WALK_XATTR_SIZE */
};

/* ---- inspect.c ---- */

/* A name at the source and what it is to be at the target. */
struct hsr_walk_name {
    int fd; /* directory that holds it */
    const char *source; /* NUL-ended; "": fd itself */
    bool path_fd; /* fd is O_PATH */
    struct hsr_span name;
    unsigned d_type; /* DT_x; DT_UNKNOWN if not known */
    bool must_be_dir; /* it is on the way to something */
    bool must_exist; /* somebody named it: that it is not there is a failure */
    uint8_t kind; /* of the level, should it be a directory */
    uint8_t dir_flags; /* HSR_ENTRY_x of its DIR */
};

/** Turn a name of the innermost level into queued items, and a directory into a level. 0 or
 * -ENOMEM. */
int hsr_walk_inspect(struct hsr_walk *walk, const struct hsr_walk_name *name);

/** Queue the DIR of a root whose contents are sent, which the innermost level is. */
int hsr_walk_inspect_root(struct hsr_walk *walk);

/** Queue the DIR_END of the innermost level. */
void hsr_walk_inspect_end(struct hsr_walk *walk);

/** Queue an item that is no entry (enum hsr_walk_kind), about directory @record. */
void hsr_walk_tell(struct hsr_walk *walk, struct hsr_walk_record *record, uint8_t kind,
                   struct hsr_walk_job *job);

/** Queue a failure of @name in @parent. */
void hsr_walk_fail(struct hsr_walk *walk, struct hsr_walk_record *parent, struct hsr_span name,
                   int code, const char *op, bool skipped);

/** Put @name behind the innermost level's path; -ENOMEM. */
int hsr_walk_path_set(struct hsr_walk *walk, struct hsr_span name);

static inline struct hsr_walk_level *hsr_walk_innermost(struct hsr_walk *walk)
{
    hsr_assert(walk->level_count > 0);
    return &walk->levels[walk->level_count - 1];
}

static inline struct hsr_span hsr_walk_span(const char *text, size_t size)
{
    return (struct hsr_span){ (const uint8_t *)text, size };
}

/* ---- level.c ---- */

/** A record with one reference. @parent NULL: a root. NULL when there is no memory. */
struct hsr_walk_record *hsr_walk_record_new(struct hsr_walk *walk, struct hsr_walk_record *parent,
                                            struct hsr_span name, uint32_t top);
void hsr_walk_record_put(struct hsr_walk *walk, struct hsr_walk_record *record);

/** A new innermost level, not open yet; takes the reference of @record, also on error. */
int hsr_walk_level_push(struct hsr_walk *walk, struct hsr_walk_record *record, uint8_t kind);

/** Close and forget the innermost level; its record goes to walk->lent. */
void hsr_walk_level_pop(struct hsr_walk *walk);

/** Make sure the innermost level is open, at its position. 0 or why not; then it has failed. */
int hsr_walk_level_open(struct hsr_walk *walk);

/** It was opened just now as @fd. */
int hsr_walk_level_opened(struct hsr_walk *walk, struct hsr_walk_level *level, int fd,
                          bool borrowed);

/** Handle the next name of the innermost level, which is READING. 0 or -ENOMEM. */
int hsr_walk_level_step(struct hsr_walk *walk);

/** A buffer for names, WALK_DENTS_SIZE bytes; NULL: no memory. */
uint8_t *hsr_walk_dents_take(struct hsr_walk *walk);

void hsr_walk_levels_fini(struct hsr_walk *walk);

/* ---- walk.c ---- */

/** Memory for attributes, if they are asked for. False: there is none. */
bool hsr_walk_buffers(struct hsr_walk *walk);

/* ---- branch.c ---- */

/** A part of the innermost level is given away: directory @record in it (LIST, which takes a
 * reference), or a slice of its names. NULL: no memory. */
struct hsr_walk_job *hsr_walk_job_new(struct hsr_walk *walk, struct hsr_walk_record *record,
                                      uint8_t kind);

/* ---- source.c ---- */

/** Open @last in the directory of @record (NULL: the directory itself), from its top's base. */
int hsr_walk_record_open(const struct hsr_walk *walk, struct hsr_loop *loop,
                         const struct hsr_walk_record *record, const char *last, uint64_t resolve,
                         uint32_t flags);

/** RESOLVE_x for following symlinks. */
uint64_t hsr_walk_resolve_follow(const struct hsr_walk *walk);

uint64_t hsr_walk_dev(const struct statx *stx);

#endif
