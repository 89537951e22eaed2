/* One run in the making: shared by the files of the driver. */
#ifndef HSR_SIM_RUN_H
#define HSR_SIM_RUN_H

#include <netinet/in.h>

#include "tests/sim/drive.h"
#include "transfer/engine/engine.h"

#define SIM_LOOPS_MAX 8u
#define SIM_SAID_MAX 8u
#define SIM_PORT 7440
#define SIM_CHUNK (64 * HSR_KIB)
#define SIM_DEPTH 2u
/* Of simulated time, for one session and all its deadlines. */
#define SIM_LIMIT_NS (300 * HSR_NS_PER_S)

struct side {
    struct run *run;
    unsigned host;
    struct hsr_engine *engine; /* NULL: dead */
    uint64_t revive_ns; /* dead: when it comes back by itself */
};

struct run {
    const struct sim_job *job;
    struct sim_report *report;
    struct sim_world *world;
    struct side sides[SIM_HOSTS];
    struct { /* that are turned */
        struct hsr_loop *loop;
        unsigned host;
    } loops[SIM_LOOPS_MAX];
    unsigned loop_count;
    struct hsr_prng order;
    unsigned source, target; /* hosts */
    int listen_fd, server_fd, client_fd, nothing_fd;
    struct sockaddr_in address; /* of the server */
    struct hsr_walk_top top; /* borrowed by the session, which may outlive a failed run */
    struct hsr_span all;
    uint32_t attempts; /* at the job, each a session of the client */
    bool closed; /* the client's session */
    bool died; /* a host, in this attempt */
    uint64_t stop_ns; /* when it was interrupted last */
    uint8_t said[SIM_SAID_MAX]; /* enum hsr_control: by the user, and not heard yet */
    unsigned said_count;
    bool spared; /* nothing goes wrong in this one */
    uint8_t durability;
    uint64_t entries, digests; /* that were told */
    bool unread; /* no memory to read again what was kept: that was told */
    uint64_t loops_hash; /* of loops that are gone */
    struct sim_outcome outcome;
};

/* ---- setup.c: engines, and what sessions told ---- */

/** How the engine of @host is made; its rings and threads are the caller's choice. */
void sim_setup_engine(struct run *run, unsigned host, struct hsr_engine_config *ret_config);

/** The session of an attempt is over: what it told is in run->report and run->durability. Fill
 * run->outcome; what cannot go together is a violation. */
void sim_outcome_fill(struct run *run);

/** Between the turns of loops, as on a thread of its own: let the client's engine hear its user. */
void sim_user_heard(struct run *run);

/* ---- side.c: engines, from start to death, and whose turn it is ---- */

void sim_side_start(struct run *run, unsigned host);
/** Start it again, after a death. */
void sim_side_revive(struct run *run, unsigned host);
/** Both engines end in peace; with descriptors. */
void sim_sides_stop(struct run *run);

/** Until the client's session has closed, or died, and (with @both) the server holds none; or a
 * bound is passed, which is a violation. */
void sim_turn_until_closed(struct run *run, bool both);

/* ---- session.c: what is asked for, and what is told ---- */

/** Ask for the job's session; false: it was refused before it began. */
bool sim_session_ask(struct run *run);
void sim_session_event(void *context, const struct hsr_event *event);
uint8_t sim_session_io(const struct run *run, unsigned host);
uint8_t sim_session_zero_copy(const struct run *run, unsigned host);

#endif
