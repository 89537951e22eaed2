/* Manifest pages: entries of the tree, packed tight. A page is encoded and decoded entry by entry;
 * decoded spans borrow from the page. */
#ifndef HSR_PROTO_ENTRY_H
#define HSR_PROTO_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "transfer/proto/frame.h"

enum hsr_entry_type {
    HSR_ENTRY_FILE = 1,
    HSR_ENTRY_DIR,
    HSR_ENTRY_SYMLINK,
    HSR_ENTRY_FIFO,
    HSR_ENTRY_CHAR,
    HSR_ENTRY_BLOCK,
    HSR_ENTRY_SOCKET, /* only in answers to LIST */
    HSR_ENTRY_DIR_END, /* every entry below this directory has been listed; its metadata, fresh */
    HSR_ENTRY_TYPE_COUNT
};

#define HSR_ENTRY_SPARSE (1u << 0) /* FILE: has holes; runs of zeros are not written */
#define HSR_ENTRY_LINK_FIRST (1u << 1) /* has a link id: later entries may name it */
#define HSR_ENTRY_LINK_NEXT (1u << 2) /* a further name of link id; link_path names the first */
#define HSR_ENTRY_INCOMPLETE (1u << 3) /* DIR_END: the listing has gaps: delete nothing here */
#define HSR_ENTRY_IMPLIED (1u << 4) /* DIR, DIR_END: a parent of listed paths: not itself sent */
#define HSR_ENTRY_VERSION (1u << 5) /* FILE: `version` says which one it is; feature RESUME */
#define HSR_ENTRY_FLAGS_ALL ((1u << 6) - 1)

#define HSR_DIR_ROOT 0u /* id of the directory that the transfer goes into */

struct hsr_entry {
    uint8_t type;
    uint8_t flags;
    uint32_t parent; /* directory id */
    uint32_t dir; /* DIR, DIR_END: this directory's id; ids are never used twice */
    struct hsr_span name; /* 1..255 bytes; "" only for DIR/DIR_END of the root itself */
    uint32_t mode; /* permission bits with set-id and sticky */
    uint32_t uid;
    uint32_t gid;
    int64_t mtime_s;
    uint32_t mtime_ns; /* below 10^9 */
    uint64_t size; /* FILE: bytes */
    /* with VERSION: 128 bits of the source's own making; two files with one path, one size and one
     * version have one content */
    struct hsr_digest_sum version;
    uint32_t rdev_major; /* CHAR, BLOCK */
    uint32_t rdev_minor;
    uint32_t link_id; /* with LINK_FIRST or LINK_NEXT */
    struct hsr_span link_path; /* LINK_NEXT: path of the first, relative to the transfer root */
    struct hsr_span target; /* SYMLINK */
    uint16_t xattr_count;
    struct hsr_span xattrs; /* encoded; read with hsr_xattr_next */
};

/** Append one entry; HSR_E_LIMIT when it does not fit: the writer is unchanged then. */
int hsr_entry_encode(struct hsr_writer *writer, const struct hsr_entry *entry);

/** Read one entry. Checks names ('/' and NUL, ".", ".."), types, flags against types, limits.
 * @return 0, HSR_E_TRUNCATED, HSR_E_PROTOCOL, HSR_E_NAME or HSR_E_LIMIT */
int hsr_entry_decode(struct hsr_reader *reader, struct hsr_entry *ret_entry);

struct hsr_xattr {
    struct hsr_span name; /* not NUL-ended */
    struct hsr_span value;
};

/** Append one attribute to an encoded list; HSR_E_LIMIT when it does not fit or is too large. */
int hsr_xattr_put(struct hsr_writer *writer, struct hsr_xattr xattr);

/** 1: an attribute, 0: the end, negative: malformed. */
int hsr_xattr_next(struct hsr_reader *reader, struct hsr_xattr *ret_xattr);

/** Is this a name a directory can hold: 1..255 bytes, no '/', no NUL, not "." or ".."? */
bool hsr_name_valid(struct hsr_span name);

/** Is it a relative path of valid names: no empty part, no "." or "..", at most
 * HSR_PATH_WIRE_MAX bytes? "" is valid and means the root. */
bool hsr_path_valid(struct hsr_span path);

#endif
