/* A shard: one thread, one loop, one buffer pool, and what lives on it. Private to the engine. */
#ifndef HSR_ENGINE_SHARD_H
#define HSR_ENGINE_SHARD_H

#include <pthread.h>
#include <stdatomic.h>

#include "numa/numa.h"
#include "ring/buf.h"
#include "ring/ring.h"
#include "transfer/engine/engine.h"
#include "transfer/engine/meter.h"

struct hsr_conn;
struct hsr_session;

#define HSR_LISTENERS_MAX 16u /* of one server: each costs one armed accept per shard */

struct hsr_shard;

/* One armed accept of one shard on one listener. */
struct hsr_acceptor {
    struct hsr_shard *shard;
    int fd; /* listening; borrowed */
    bool closed;
    struct hsr_op op;
    struct hsr_timer retry; /* out of descriptors: try again later */
    struct sockaddr_storage address;
    socklen_t address_size;
};

struct hsr_shard {
    struct hsr_engine *engine;
    unsigned index;
    struct hsr_loop loop;
    bool loop_ready;
    struct hsr_bufpool pool;
    struct hsr_mem mem;
    struct hsr_list conns; /* hsr_conn.node: every connection here */
    struct hsr_list sessions; /* hsr_session.node: those whose home this is */
    struct hsr_list takeovers; /* hsr_takeover.node: wait for a session here to end */
    struct hsr_list openings; /* shard 0: hsr_takeover.entered: every one there is */
    unsigned conn_count;
    struct hsr_acceptor acceptors[HSR_LISTENERS_MAX];
    unsigned acceptor_count;
    pthread_t thread;
    bool thread_started;
    int start_rc;
    char start_why[256];
    /* the end */
    bool stopping; /* nothing new begins here */
    uint64_t stop_ns; /* since when */
    struct hsr_timer stop_timer;
    /* what limits a session: figures of this thread, published while anything uses it */
    struct hsr_timer watch;
    struct hsr_lane lane;
    atomic_bool quiet; /* stopping, nothing is left; taken back when a connection comes */
    /* shard 0 of a client: a signal handler rings */
    struct hsr_op cancel_op;
    uint64_t cancel_value;
};

/* What other threads ask of a shard. Heap cells, freed when delivered. */
enum hsr_ask_kind { HSR_ASK_LISTEN, HSR_ASK_RUN, HSR_ASK_CANCEL, HSR_ASK_STOP };

struct hsr_ask {
    struct hsr_msg msg;
    struct hsr_shard *shard;
    enum hsr_ask_kind kind;
    int fd;
    uint64_t nodes; /* LISTEN: of the shards that accept; 0: all */
    struct hsr_job_spec spec;
};

struct hsr_engine {
    struct hsr_engine_config config;
    struct hsr_shard *shards;
    unsigned shard_count;
    atomic_uint sessions;
    atomic_ullong session_next; /* number of the next session */
    atomic_bool cancel_async; /* set by hsr_engine_cancel_async() */
    atomic_bool stop_async, hold; /* set by hsr_engine_control() */
    atomic_bool draining;
    atomic_uint started; /* shard threads that are up, or gave up */
    pthread_mutex_t start_lock; /* only while starting and ending: waits for the threads */
    pthread_cond_t start_cond;
    atomic_uint listeners;
    atomic_ullong delta_used; /* of plan.delta_bytes */
    atomic_uint opening; /* OPENs that are not answered yet */
    atomic_uint joining; /* connections and takeovers on their way between shards */
    atomic_uint staged; /* of plan.staged */
    int cancel_fd; /* eventfd of these; -1: none */
};

/** Emit an event, if anybody listens. */
void hsr_engine_event(struct hsr_engine *engine, const struct hsr_event *event);

/** A connection was accepted, or failed: arm the next. */
void hsr_acceptor_arm(struct hsr_acceptor *acceptor);

#endif
