/* A benchmark: a session that moves bytes from memory to memory, through the same connections,
 * buffers, frames and checks as files. The source sends its own made-up bytes again and again, from
 * few buffers, so that they stay in the cache; the target verifies each frame and drops it. What
 * has come is acknowledged on the stream, which is how latency is measured and depth is kept.
 *
 *   client: HELLO, BENCH -> BENCH_ACK -> streams JOIN -> DATA ... -> BENCH_RESULT
 *
 * A stream starts when it has joined and ends with a DATA frame that says RANGE_END. */
#ifndef HSR_ENGINE_BENCH_H
#define HSR_ENGINE_BENCH_H

#include "transfer/engine/stream.h"

/* In flight on one shard, in all its streams together: what is more leaves the cache and costs a
 * third of the throughput (docs/ARCHITECTURE.md 11). */
#define HSR_BENCH_SHARD_BYTES (4u * 1024 * 1024)

struct hsr_bench;

/** Server: BENCH came on @conn (state CHOOSING). As hsr_session_open(). */
int hsr_bench_open(struct hsr_conn *conn, const struct hsr_bench_ask *ask);

/** Client: say BENCH on the greeted control connection. HSR_E_DENIED: not in @features. */
int hsr_bench_ask_send(struct hsr_session *session, uint64_t features);

/** Client: BENCH_ACK. Takes what is in force; the caller starts the session. */
int hsr_bench_opened(struct hsr_session *session, struct hsr_span payload);

int hsr_bench_create(struct hsr_session *session);
void hsr_bench_destroy(struct hsr_session *session);
void hsr_bench_step(struct hsr_session *session);
int hsr_bench_frame(struct hsr_session *session, const struct hsr_frame *frame,
                    struct hsr_span payload);

/** Have all streams of this side ended well? Then their connections may close. */
bool hsr_bench_ended(const struct hsr_session *session);

/** Client: has the server said what it measured? Then it may close the control connection, although
 * a stream may not have seen its last acknowledgement yet. */
bool hsr_bench_heard(const struct hsr_session *session);

/** What both sides measured; NULL before the end. */
const struct hsr_bench_report *hsr_bench_report(const struct hsr_session *session);

/** Bytes that a stream of a benchmark takes beside struct hsr_stream, for the plan. */
uint64_t hsr_bench_stream_bytes(void);

#endif
