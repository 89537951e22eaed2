/* Frames: what travels on every connection, in both directions. A fixed header, then a payload
 * whose layout depends on the kind. Pure: bytes in, bytes out; every count and length has a limit
 * here. docs/PROTOCOL.md is the specification. */
#ifndef HSR_PROTO_FRAME_H
#define HSR_PROTO_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "hash/digest.h"

#define HSR_PROTO_MAGIC 0x72735748u /* "HWsr", first field of HELLO */
#define HSR_PROTO_VERSION 1u /* highest version spoken; lowest is 1 too */

/* Feature bits of HELLO: both sides state what they can do, the intersection is in force. What is
 * received although it is not in force is a protocol error. */
#define HSR_FEATURE_XXH3 (1ull << 0) /* the xxh3 tree digest */
#define HSR_FEATURE_BLAKE3 (1ull << 1) /* the blake3 digest */
#define HSR_FEATURE_DELTA (1ull << 2) /* deltas against old versions, and writing in place */
#define HSR_FEATURE_RESUME (1ull << 3) /* ranges kept of an earlier session (KEPT) */
#define HSR_FEATURE_BENCH (1ull << 4) /* benchmarks: a server states it only if it allows them */
#define HSR_FEATURE_STAGES (1ull << 5) /* the server sends STAGES: where its time went */
#define HSR_FEATURE_COMPARE (1ull << 6) /* dry runs compare digests (WANT DIGEST, DIGEST) */
#define HSR_FEATURE_AHEAD (1ull << 7) /* signatures before their turn: AHEAD, and its options */
#define HSR_FEATURE_HOLD (1ull << 8) /* held up, and ended early: HOLD, GO, STOP, LEFT */
#define HSR_FEATURES_OURS                                                                          \
    (HSR_FEATURE_XXH3 | HSR_FEATURE_BLAKE3 | HSR_FEATURE_DELTA | HSR_FEATURE_BENCH |               \
     HSR_FEATURE_STAGES | HSR_FEATURE_COMPARE | HSR_FEATURE_AHEAD | HSR_FEATURE_RESUME |           \
     HSR_FEATURE_HOLD)

#define HSR_FRAME_HEADER_SIZE 56u
#define HSR_CONTROL_PAYLOAD_MAX (192u * 1024) /* one page of entries with large xattrs */
#define HSR_CHUNK_SIZE_MIN 4096u
#define HSR_CHUNK_SIZE_MAX (4u * 1024 * 1024)
#define HSR_STREAMS_MAX 64u
#define HSR_DEPTH_MAX 256u
#define HSR_NAME_MAX 255u
#define HSR_LINK_TARGET_MAX 4095u
#define HSR_PATH_WIRE_MAX 32768u /* a whole relative path in a frame */
#define HSR_TEXT_MAX 1024u /* words in REJECT and NOTE */
#define HSR_PAGE_ENTRIES_MAX 512u
#define HSR_PACK_MEMBERS_MAX 512u
#define HSR_XATTR_NAME_MAX 255u
#define HSR_XATTR_VALUE_MAX 65536u
#define HSR_XATTR_COUNT_MAX 256u
#define HSR_XATTR_TOTAL_MAX (128u * 1024) /* per entry, names and values */
#define HSR_RULES_MAX 4096u /* filter rules of a session */
#define HSR_RULES_SIZE_MAX (128u * 1024) /* bytes of their encoded form */

enum hsr_frame_kind {
    HSR_FRAME_HELLO = 1, /* client: magic, versions, features */
    HSR_FRAME_HELLO_ACK, /* server: chosen version, features, limits */
    HSR_FRAME_OPEN, /* client: role, export, path, options */
    HSR_FRAME_OPEN_ACK, /* server: token, streams, chunk, depth in force */
    HSR_FRAME_JOIN, /* client, on a further connection: token, stream number */
    HSR_FRAME_JOIN_ACK, /* server */
    HSR_FRAME_REJECT, /* server: code and words; the connection closes */
    HSR_FRAME_PATHS, /* client -> server source: paths to send (pull, --files-from) */
    HSR_FRAME_ENTRIES, /* source -> target: one page of the tree */
    HSR_FRAME_WANT, /* target -> source: which entries of a page to send */
    HSR_FRAME_SAME, /* source -> target: the digest in WANT matched; nothing is sent */
    HSR_FRAME_DATA, /* source -> target, on a stream: bytes of one file */
    HSR_FRAME_PACK, /* source -> target, on a stream: many small files */
    HSR_FRAME_FILE_END, /* source -> target, control: digest or failure of one large file */
    HSR_FRAME_PAGE_ACK, /* target -> source: a page is settled, with what failed */
    HSR_FRAME_NOTE, /* either: something a person should know about one path */
    HSR_FRAME_WALK_END, /* source -> target: no further page */
    HSR_FRAME_DONE, /* target -> source: all settled, as durable as asked, with totals */
    HSR_FRAME_BEAT, /* either, on any connection, now and then: so many bytes have come here */
    HSR_FRAME_REST, /* the same; and nothing more is read for now, on purpose */
    HSR_FRAME_LIST, /* client: list a directory or stat one path */
    HSR_FRAME_LIST_END, /* server: after the ENTRIES pages that answer LIST */
    HSR_FRAME_CANCEL, /* either: end the session; code and words */
    HSR_FRAME_BENCH, /* client, instead of OPEN: a benchmark, what it should be */
    HSR_FRAME_BENCH_ACK, /* server: token, what is in force */
    HSR_FRAME_BENCH_DATA_ACK, /* target -> source, on a stream: so many bytes have come */
    HSR_FRAME_BENCH_RESULT, /* server: what it measured */
    HSR_FRAME_STAGES, /* server: where its time went so far; for "what limits it" */
    HSR_FRAME_SIG, /* target -> source: sums of the blocks of its old version of a file */
    HSR_FRAME_PATCH, /* source -> target, on a stream: like DATA, made from that version */
    HSR_FRAME_DIGEST, /* source -> target: of an entry that was wanted for its digest alone */
    HSR_FRAME_AHEAD, /* server: what signatures before their turn came to */
    HSR_FRAME_MEASURED, /* server: what it saw of a measured session; before DONE, BENCH_RESULT */
    HSR_FRAME_LOST, /* either: a data connection is gone; from the target: what arrived on it */
    HSR_FRAME_TAKEN, /* target -> source: so much of a data connection is dealt with */
    HSR_FRAME_KEPT, /* target -> source: ranges of an entry that it has from an earlier session */
    HSR_FRAME_LEVELS, /* target -> source: how many files have reached which level */
    HSR_FRAME_DIFFERS, /* source -> target: the digest in WANT did not match; want it otherwise */
    HSR_FRAME_HOLD, /* client that is the target: begin nothing new */
    HSR_FRAME_GO, /* the same: go on */
    HSR_FRAME_STOP, /* either: stop early; from the source: nothing more comes */
    HSR_FRAME_LEFT, /* server that is the target: what is kept, before CANCEL */
    HSR_FRAME_KIND_COUNT
};

/* frame.flags */
/* DATA, PATCH: last frame of this range on this stream. BENCH_DATA_ACK: that one has come */
#define HSR_FRAME_RANGE_END 0x0001u

struct hsr_frame {
    uint16_t kind;
    uint16_t flags;
    uint32_t size; /* payload bytes after the header */
    uint32_t seq; /* 0, 1, 2 ... per connection and direction: replay and loss are errors */
    /* ENTRIES, WANT, SAME, DIFFERS, DATA, PATCH, SIG, FILE_END, PAGE_ACK: page number. LOST, TAKEN:
     * number of the stream */
    uint32_t page;
    uint32_t index; /* DATA, PATCH, SIG, KEPT, FILE_END, SAME, DIFFERS: entry in that page */
    uint32_t region; /* PATCH: bytes of the file that it makes */
    /* DATA, PATCH: where the content belongs in the file, bytes. BENCH_DATA_ACK: bytes received
     * in all; BEAT, REST: on this connection. SIG: number of its first block. LOST, TAKEN: PACKs
     * and RANGE_ENDs */
    uint64_t offset;
    /* DATA, PATCH: digest sum of the content's leaves. PACK: low = XXH3-64 of the member table.
     * Others: low = XXH3-64 of the payload. Unused halves are zero. */
    struct hsr_digest_sum check;
};

/** Write the 56-byte header, with its own check, to @out. */
void hsr_frame_encode(const struct hsr_frame *frame, uint8_t out[HSR_FRAME_HEADER_SIZE]);

/** Read and check a header: its check, a known kind, size within the limit for that kind, no
 * unknown flag, fields that the kind does not use are zero. The payload's check is the caller's.
 * @return 0, HSR_E_CHECK, HSR_E_PROTOCOL or HSR_E_LIMIT */
int hsr_frame_decode(const uint8_t in[HSR_FRAME_HEADER_SIZE], struct hsr_frame *ret_frame);

/** Is this a kind that travels on data streams (its payload goes into a chunk)? */
bool hsr_frame_is_bulk(uint16_t kind);

/** Bytes of the file that a DATA or PATCH frame stands for. */
static inline uint32_t hsr_frame_content(const struct hsr_frame *frame)
{
    return frame->kind == HSR_FRAME_PATCH ? frame->region : frame->size;
}

const char *hsr_frame_name(uint16_t kind);

#endif
