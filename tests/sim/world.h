/* A simulated world behind ring/backend.h: one clock, an event heap ordered by (time, sequence), an
 * in-memory file system per host, and streams between hosts. Every loop of client and server runs
 * in one thread on it, so a run is a function of its seed.
 *
 *   plain calls    happen at once; each costs a little simulated time
 *   submissions    happen at a seeded later time, in any order but for those of one stream
 *   the clock      moves a little with each look at it, and jumps to the next event or deadline
 *                  when nobody has work
 *
 * A file system keeps two states: what programs see, and what a power cut leaves. A sync copies the
 * first to the second. Nothing is ever freed before the world is. */
#ifndef HSR_SIM_WORLD_H
#define HSR_SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "base/base.h"
#include "ring/backend.h"
#include "ring/op.h"

#define SIM_HOSTS 2u /* one server and one client */
#define SIM_BACKENDS_MAX 16u /* shards of both hosts together */
#define SIM_FDS_MAX 4096u /* descriptors of one host */
#define SIM_FD_FIRST 10000 /* host h counts from (h + 1) times this: strangers are noticed */
#define SIM_PAGE 4096u
#define SIM_VIOLATIONS_MAX 8u /* texts kept; more are only counted */
#define SIM_SYNC_NS (500 * HSR_NS_PER_MS)
#define SIM_WALL_NS (1790000000ull * HSR_NS_PER_S) /* wall clock when the world begins */

struct sim_world;

/* ---- files ---- */

struct sim_page {
    uint32_t refs; /* shared by the seen and the durable state until one is written */
    uint8_t bytes[SIM_PAGE];
};

struct sim_extent {
    uint64_t index; /* page number; extents are sorted by it, what is missing is a hole */
    struct sim_page *page;
};

struct sim_data {
    uint64_t size; /* bytes */
    uint64_t reserved; /* bytes preallocated from the start */
    struct sim_extent *extents;
    uint32_t count, room;
};

struct sim_xattr {
    char *name;
    uint8_t *value;
    uint32_t size;
};

struct sim_attrs {
    uint32_t mode; /* with S_IFMT */
    uint32_t uid, gid;
    struct timespec atime, mtime, ctime;
    struct sim_xattr *xattrs;
    uint32_t xattr_count;
};

struct sim_name {
    char *name;
    uint32_t size;
    uint64_t cookie; /* d_off; names are sorted by it */
    struct sim_inode *inode;
};

struct sim_names {
    struct sim_name *list;
    uint32_t count, room;
};

/* A name that came or went since its directory was synced. */
struct sim_name_change {
    uint64_t group; /* of one operation: a rename is two changes that happen together */
    char *name;
    struct sim_inode *inode;
    bool add;
};

/* One of the two states of an inode. */
struct sim_state {
    struct sim_data data;
    struct sim_attrs attrs;
    struct sim_names names; /* of a directory, without "." and ".." */
};

struct sim_inode {
    struct sim_inode *next; /* all inodes of the host */
    struct sim_host *host;
    uint64_t ino;
    struct sim_state live, durable;
    bool dirty; /* the two differ */
    bool durable_known; /* it was synced at least once */
    bool linkable; /* O_TMPFILE without O_EXCL, not linked yet */
    struct sim_name_change *changes; /* directory: how `durable` becomes `live`, in order */
    uint32_t change_count, change_room;
    char *link; /* symlink: its text */
    uint64_t rdev;
    struct sim_inode *parent; /* directory: where ".." leads; the root's own */
    uint32_t nlink;
    uint32_t named; /* names that are no stage names */
    int flocks; /* shared locks, or -1: exclusive */
};

/* ---- open files ---- */

struct sim_file {
    uint32_t refs; /* descriptors and operations in flight */
    struct sim_inode *inode; /* or NULL: a socket */
    struct sim_socket *socket;
    uint32_t flags; /* O_x */
    uint64_t position; /* directory: cookie of the last record read */
    unsigned lock; /* LOCK_x held */
};

/* When a host dies: when operation @nth is issued on it, which then never happens. */
struct sim_crash {
    uint64_t nth; /* of this host, from 1; 0: never */
    bool power; /* a power cut; else only the program dies */
    bool syncing; /* of those issued while a file is being synced there */
};

struct sim_host {
    struct sim_world *world;
    unsigned index;
    struct sim_inode *root;
    struct sim_inode *inodes;
    uint64_t ino_next;
    struct sim_file *files[SIM_FDS_MAX];
    unsigned fd_next;
    int bound_fd; /* an operation in flight holds its file, whatever its number means by now */
    struct sim_file *bound_file;
    bool flip; /* of the operation under way: see struct sim_pending */
    uint64_t pages; /* allocated to files */
    uint64_t pages_max; /* 0: no limit */
    uint32_t uid, gid; /* of whatever runs here */
    int64_t wall_jump_ns; /* how far somebody has set its wall clock, all in all */
    bool no_tmpfile; /* a file system without O_TMPFILE */
    uint32_t dio_align; /* of memory, offsets and sizes under O_DIRECT; 0: none here */
    bool no_dontcache; /* refuses RWF_DONTCACHE */
    bool clones; /* its file system has reflinks */
    bool no_cachestat; /* a kernel without cachestat(2) */
    bool no_named_writes; /* writing to a file that has a name is a violation */
    bool names_need_sync; /* and giving one to content that a power cut would take */
    /* its death: see crash.c */
    bool dead; /* what runs here acts on nothing any more */
    bool down; /* without power: nobody answers */
    unsigned lives; /* deaths it came back from: no two have the same random bytes */
    unsigned boots; /* power cuts it came back from */
    uint64_t dead_ns; /* the clock of those who are dead */
    struct sim_crash crash; /* what is planned */
    uint64_t ops; /* operations issued here */
};

/* ---- streams ---- */

struct sim_pipe { /* one direction */
    uint8_t *bytes;
    uint32_t start, size, room;
    bool ended; /* the writer is done: end of stream after what is here */
    bool reset;
};

struct sim_socket {
    struct sim_socket *next; /* all sockets of the world */
    struct sim_world *world;
    unsigned host;
    uint16_t port; /* listening: where */
    bool listening, connected, closed;
    bool read_shut;
    bool abort; /* SO_LINGER {1, 0}: closing is a reset */
    bool vanished; /* its host lost power: it says nothing any more */
    uint64_t stalled_ns; /* until then nothing arrives here */
    struct sim_socket *peer;
    struct sim_pipe in; /* what the peer sent */
    struct hsr_list reads, writes, polls, accepts; /* struct sim_pending */
    struct hsr_list backlog; /* listening: connections to accept (struct sim_socket.waiting) */
    struct hsr_list waiting;
};

/* What a file held before somebody changed it. */
struct sim_version {
    struct sim_version *next;
    struct sim_inode *inode; /* a copy that has no name */
};

/* ---- operations in flight ---- */

struct sim_pending {
    struct hsr_list node; /* in a socket's queue */
    struct hsr_op *op;
    struct sim_backend *backend;
    struct sim_file *file; /* a reference, or NULL */
    uint64_t progress; /* bytes moved so far */
    int error; /* a fault: positive errno, or 0 */
    bool canceled;
    bool ended; /* a fault: the stream ends here */
    bool flip; /* a fault: one bit of what is read is another */
    bool queued; /* in a socket's queue */
    uint64_t cut; /* a fault: at most so many bytes; 0: none */
    uint64_t lent_hash; /* SEND_ZC: of the bytes until the notice */
};

enum sim_event_kind {
    SIM_EVENT_OP,
    SIM_EVENT_PUMP,
    SIM_EVENT_NOTICE,
    SIM_EVENT_TROUBLE, /* world->trouble(context) */
    SIM_EVENT_RING, /* a struct sim_backend: the kernel has taken what was submitted */
    SIM_EVENT_KIND_COUNT
};

struct sim_event {
    uint64_t at_ns, sequence;
    enum sim_event_kind kind;
    void *what; /* struct sim_pending, sim_socket or sim_backend */
};

/* ---- faults ---- */

#define SIM_ANY (-1)

struct sim_fault {
    int kind; /* enum hsr_op_kind or SIM_ANY */
    int host; /* or SIM_ANY */
    uint64_t nth; /* which of those that match, from 1; 0: no fault */
    int error; /* positive errno; or 0 and one of: */
    uint64_t cut; /* a short count: at most so many bytes */
    bool end; /* end of stream */
    bool flip; /* one bit of what is read is another */
    uint64_t seen; /* the world's: matches so far */
    unsigned fired; /* the world's: did it happen? */
    enum hsr_op_kind fired_kind;
};

/* A planted bug of the world: the checks must find it. */
enum sim_bug {
    SIM_BUG_NONE,
    SIM_BUG_CORRUPT, /* one byte of a write lands wrong */
    SIM_BUG_LYING_SYNC, /* syncs say yes and do nothing */
    SIM_BUG_LOST_RENAME, /* a rename says yes and does nothing */
    SIM_BUG_TIMES, /* times set on files are lost */
    SIM_BUG_COUNT
};

struct sim_op_record { /* what the fault driver needs of a clean run */
    uint8_t kind, host;
    bool submitted, wait_all;
    int64_t res;
};

struct sim_backend {
    struct hsr_backend backend;
    struct sim_world *world;
    unsigned host, shard;
    bool rung;
    uint64_t deadline_ns; /* of the last wait(); 0: it has work */
    struct hsr_list completed;
    struct hsr_list unsent; /* operations that found the submission queue full */
    unsigned room; /* in it, until the kernel takes what is there */
    bool draining; /* SIM_EVENT_RING is on its way */
    const struct iovec *registered;
    unsigned registered_count;
    uint64_t in_flight;
    struct hsr_prng random;
};

struct sim_world {
    uint64_t seed;
    struct hsr_prng prng;
    uint64_t now_ns;
    uint64_t sequence;
    struct sim_event *events; /* binary heap */
    uint32_t event_count, event_room;
    struct sim_host hosts[SIM_HOSTS];
    struct sim_socket *sockets;
    struct sim_backend *backends[SIM_BACKENDS_MAX];
    unsigned backend_count;
    bool slow_sync; /* fsync(2) and syncfs(2) take SIM_SYNC_NS */
    bool tmpfs; /* statfs(2) says so */
    unsigned huge_count; /* windows of huge pages made */
    unsigned notices_late; /* zero-copy notices that come after a second or more */
    bool driven; /* somebody turns the loops and moves the clock: wait() must not */
    uint32_t pipe_bytes; /* room of one direction of a stream */
    uint32_t ring_room; /* of a submission queue; 0: there is always room */
    uint32_t reap_max; /* completions that fit into the completion queue; 0: all */
    struct sim_fault fault;
    uint32_t swarm_ppm; /* chance of a fault for each operation, in millionths */
    uint32_t swarm_fired;
    bool faults_off;
    enum sim_bug bug;
    unsigned bug_fired;
    uint64_t op_count; /* operations counted so far, called and submitted */
    struct sim_op_record *records; /* or NULL: not wanted */
    uint64_t record_count, record_room;
    uint64_t trace_hash;
    FILE *trace; /* or NULL */
    uint32_t violation_count;
    char violations[SIM_VIOLATIONS_MAX][160];
    bool (*stage_name_is)(struct hsr_span name); /* hidden names, or NULL */
    /* slow things, and damage */
    uint32_t disk_slow, net_slow; /* that many times as slow; 0 and 1: as ever */
    uint32_t wire_ppm; /* chance that a part of a stream arrives with a wrong bit, in millionths */
    uint32_t base_ppm; /* the same of reads on host base_host */
    unsigned base_host;
    uint32_t damaged; /* how often that happened */
    struct sim_version *versions; /* that files of the source had before */
    void (*trouble)(void *context, void *what);
    void *trouble_context;
    uint64_t trouble_nth; /* right before this operation, from 1: trouble(context, trouble_what) */
    void *trouble_what;
};

/* ---- the world ---- */

struct sim_world *sim_world_create(uint64_t seed);

/** Accepts NULL. Backends must be gone. */
void sim_world_destroy(struct sim_world *world);

/** A backend for one shard of @host. Freed by its loop. */
int sim_backend_create(struct sim_world *world, unsigned host, unsigned shard,
                       struct hsr_backend **ret_backend);

/** Let happen what is due. Returns how many events that were. */
unsigned sim_world_step(struct sim_world *world);

/** When the next event is due; UINT64_MAX: there is none. */
uint64_t sim_world_next(const struct sim_world *world);

/** Jump to @at_ns, if that is later. */
void sim_world_jump(struct sim_world *world, uint64_t at_ns);

/** The wall clock of @host, in nanoseconds since 1970. */
static inline uint64_t sim_wall_ns(const struct sim_host *host)
{
    return SIM_WALL_NS + host->world->now_ns + (uint64_t)host->wall_jump_ns;
}

/** Something that must never happen did: kept for the checks. */
void sim_violation(struct sim_world *world, const char *fmt, ...) HSR_PRINTF(2, 3);

/** Uniform in [low, high]. */
uint64_t sim_between(struct sim_world *world, uint64_t low, uint64_t high);

void sim_trace(struct sim_world *world, const struct sim_backend *backend, const char *how,
               const struct hsr_op *op, int64_t res);

/* ---- for the parts of the world ---- */

void sim_event_add(struct sim_world *world, uint64_t delay_ns, enum sim_event_kind kind,
                   void *what);
void sim_complete(struct sim_pending *pending, int64_t res);
/** Put an event back that was taken out of the heap. */
void sim_event_keep(struct sim_world *world, struct sim_event event);
/** Of a host that died: complete an operation of files, or a zero-copy notice, that was due later.
 */
void sim_pending_end(struct sim_pending *pending);
void sim_notice_end(struct sim_pending *pending);
/** The same of operations that found the submission queue full. */
void sim_ring_end(struct sim_backend *backend);

/** Count @op and say what goes wrong with it. */
void sim_fault_decide(struct sim_world *world, unsigned host, const struct hsr_op *op,
                      bool submitted, struct sim_pending *pending);
/** Note the result of a counted operation. */
void sim_fault_record(struct sim_world *world, uint64_t index, int64_t res);

/** May this kind return this errno? The table of the fault drivers, ended by 0. */
const int *sim_fault_errors(enum hsr_op_kind kind);
bool sim_fault_cuttable(enum hsr_op_kind kind);
bool sim_fault_endable(enum hsr_op_kind kind);

/* ---- descriptors ---- */

int sim_fd_add(struct sim_host *host, struct sim_file *file);
struct sim_file *sim_fd_get(struct sim_host *host, int fd);
int sim_fd_close(struct sim_host *host, int fd);
void sim_file_release(struct sim_host *host, struct sim_file *file);
/** Open descriptors of @host; with @print their numbers go to stderr. */
unsigned sim_fd_count(const struct sim_host *host, bool print);

/* ---- file systems ---- */

void sim_fs_init(struct sim_host *host);
void sim_fs_fini(struct sim_host *host);

/** Run one file operation now; @cut: at most so many bytes (0: no limit). */
int64_t sim_fs_run(struct sim_host *host, struct hsr_op *op, uint64_t cut);

/** Make all that is seen durable, as syncfs(2) does. */
void sim_fs_sync(struct sim_host *host);

/** Power cut: what is durable is left. With @torn also a seeded part of what was written since: of
 * each file any blocks, whole or torn, and its new or old metadata; of each directory the first of
 * its changes. Without it nothing else. Descriptors must be closed. */
void sim_fs_crash(struct sim_host *host, bool torn);

/* ---- death of a host: crash.c ---- */

/** @host has died (host->dead): end what it had under way, close its descriptors and connections,
 * and after a power cut leave of its file system what such a cut leaves. What ran there goes on as
 * a ghost, whose operations all fail and act on nothing, until its loops are gone. */
void sim_host_bury(struct sim_host *host);

/** It runs again; its ghosts are gone. */
void sim_host_revive(struct sim_host *host);

/** Let @host issue an operation: true if that killed it, or it is dead already. */
bool sim_host_dies(struct sim_host *host);

/* ---- streams ---- */

/** A listening descriptor on @host. */
int sim_listen(struct sim_world *world, unsigned host, uint16_t port);

/** Socket operations that are plain calls. */
int64_t sim_net_call(struct sim_host *host, struct hsr_op *op);
/** Queue a socket operation. */
void sim_net_submit(struct sim_pending *pending);
/** A connect(2) whose time has come. */
void sim_net_connect(struct sim_pending *pending);
void sim_net_pump(struct sim_socket *socket);
/** Take a queued operation out of its queue. */
void sim_net_cancel(struct sim_pending *pending);
/** The last descriptor of the socket is gone. */
void sim_net_close(struct sim_socket *socket);
void sim_net_fini(struct sim_world *world);
/** @host has power again: what was sent to its connections of before is answered by resets. */
void sim_net_answer(struct sim_world *world, unsigned host);
/** Reset a random connection, or (@stall_ns > 0) let nothing arrive at one of its ends for so long.
 * False: there is none. */
bool sim_net_trouble(struct sim_world *world, uint64_t stall_ns);
bool sim_net_kind(enum hsr_op_kind kind);

#endif
