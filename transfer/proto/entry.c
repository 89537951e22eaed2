/* Entries of the tree, to bytes and back. A table says which flags and parts each type has; what a
 * type does not have is not on the wire, so it cannot be anything but zero after decoding. */
#include "transfer/proto/entry.h"

#include "transfer/proto/wire.h"

#define MODE_MAX 07777u
#define MTIME_NS_END 1000000000u
#define RDEV_MAJOR_MAX 0xfffu /* Linux: 12 bits of major, 20 of minor (linux/kdev_t.h) */
#define RDEV_MINOR_MAX 0xfffffu

/* parts of an entry, in wire order */
#define HAS_DIR (1u << 0)
#define HAS_META (1u << 1)
#define HAS_SIZE (1u << 2)
#define HAS_RDEV (1u << 3)
#define HAS_TARGET (1u << 4)
#define HAS_XATTRS (1u << 5)

#define LINK_FLAGS (HSR_ENTRY_LINK_FIRST | HSR_ENTRY_LINK_NEXT)

struct entry_kind {
    uint32_t has;
    uint32_t flags; /* allowed */
};

static const struct entry_kind entry_kinds[HSR_ENTRY_TYPE_COUNT] = {
    [HSR_ENTRY_FILE] = { HAS_META | HAS_SIZE | HAS_XATTRS,
                         HSR_ENTRY_SPARSE | LINK_FLAGS | HSR_ENTRY_VERSION },
    [HSR_ENTRY_DIR] = { HAS_DIR | HAS_META | HAS_XATTRS, HSR_ENTRY_IMPLIED },
    [HSR_ENTRY_SYMLINK] = { HAS_META | HAS_TARGET | HAS_XATTRS, LINK_FLAGS },
    [HSR_ENTRY_FIFO] = { HAS_META | HAS_XATTRS, LINK_FLAGS },
    [HSR_ENTRY_CHAR] = { HAS_META | HAS_RDEV | HAS_XATTRS, LINK_FLAGS },
    [HSR_ENTRY_BLOCK] = { HAS_META | HAS_RDEV | HAS_XATTRS, LINK_FLAGS },
    [HSR_ENTRY_SOCKET] = { HAS_META, 0 },
    [HSR_ENTRY_DIR_END] = { HAS_DIR | HAS_META | HAS_XATTRS,
                            HSR_ENTRY_INCOMPLETE | HSR_ENTRY_IMPLIED },
};

bool hsr_name_valid(struct hsr_span name)
{
    if (name.size < 1 || name.size > HSR_NAME_MAX)
        return false;
    if (memchr(name.ptr, '/', name.size) != NULL || memchr(name.ptr, '\0', name.size) != NULL)
        return false;
    if (name.ptr[0] != '.')
        return true;
    return !(name.size == 1 || (name.size == 2 && name.ptr[1] == '.'));
}

bool hsr_path_valid(struct hsr_span path)
{
    size_t at = 0;

    if (path.size == 0)
        return true;
    if (path.size > HSR_PATH_WIRE_MAX)
        return false;
    for (;;) {
        const uint8_t *slash = memchr(path.ptr + at, '/', path.size - at);
        size_t end = slash != NULL ? (size_t)(slash - path.ptr) : path.size;

        if (!hsr_name_valid((struct hsr_span){ path.ptr + at, end - at }))
            return false;
        if (end == path.size)
            return true;
        at = end + 1;
        if (at == path.size) /* a trailing '/' is an empty last part */
            return false;
    }
}

/* ---- extended attributes ---- */

static int xattr_check(struct hsr_xattr xattr)
{
    hsr_require(xattr.name.size <= HSR_XATTR_NAME_MAX, HSR_E_LIMIT);
    hsr_require(xattr.value.size <= HSR_XATTR_VALUE_MAX, HSR_E_LIMIT);
    hsr_require(xattr.name.size >= 1, HSR_E_PROTOCOL);
    hsr_require(memchr(xattr.name.ptr, '\0', xattr.name.size) == NULL, HSR_E_PROTOCOL);
    return 0;
}

int hsr_xattr_put(struct hsr_writer *writer, struct hsr_xattr xattr)
{
    struct hsr_writer w = *writer;
    int rc = xattr_check(xattr);

    if (rc < 0)
        return rc;
    hsr_put_u8(&w, (uint8_t)xattr.name.size);
    hsr_put_u32(&w, (uint32_t)xattr.value.size);
    hsr_put_bytes(&w, xattr.name.ptr, xattr.name.size);
    hsr_put_bytes(&w, xattr.value.ptr, xattr.value.size);
    hsr_require(!w.failed, HSR_E_LIMIT);
    *writer = w;
    return 0;
}

int hsr_xattr_next(struct hsr_reader *reader, struct hsr_xattr *ret_xattr)
{
    struct hsr_xattr xattr;
    size_t name_size;
    size_t value_size;
    int rc;

    hsr_require(!reader->failed, HSR_E_TRUNCATED);
    if (hsr_reader_left(reader) == 0)
        return 0;
    name_size = hsr_get_u8(reader);
    value_size = hsr_get_u32(reader);
    xattr.name = hsr_get_span(reader, name_size);
    xattr.value = hsr_get_span(reader, value_size);
    hsr_require(!reader->failed, HSR_E_TRUNCATED);
    rc = xattr_check(xattr);
    if (rc < 0)
        return rc;
    *ret_xattr = xattr;
    return 1;
}

/* The list is as long as it says, and no larger than an entry may be. */
static int xattrs_check(struct hsr_span xattrs, uint32_t count)
{
    struct hsr_reader r = hsr_reader_init(xattrs.ptr, xattrs.size);
    struct hsr_xattr xattr;
    uint64_t total = 0;
    uint32_t found = 0;
    int rc;

    hsr_require(count <= HSR_XATTR_COUNT_MAX, HSR_E_LIMIT);
    while ((rc = hsr_xattr_next(&r, &xattr)) == 1) {
        total += xattr.name.size + xattr.value.size;
        hsr_require(total <= HSR_XATTR_TOTAL_MAX, HSR_E_LIMIT);
        found++;
        hsr_require(found <= count, HSR_E_PROTOCOL);
    }
    if (rc < 0)
        return rc;
    hsr_require(found == count, HSR_E_TRUNCATED);
    return 0;
}

/* ---- what both directions check ---- */

static int entry_name_check(const struct hsr_entry *entry)
{
    bool dir = entry->type == HSR_ENTRY_DIR || entry->type == HSR_ENTRY_DIR_END;

    if (!dir)
        return wire_name_check(entry->name);
    if (entry->dir == HSR_DIR_ROOT) { /* the root has no name and no parent but itself */
        hsr_require(entry->parent == HSR_DIR_ROOT, HSR_E_PROTOCOL);
        hsr_require(entry->name.size == 0, HSR_E_NAME);
        return 0;
    }
    hsr_require(entry->dir != entry->parent, HSR_E_PROTOCOL);
    if (entry->type == HSR_ENTRY_DIR_END && entry->name.size == 0)
        return 0; /* the id says which directory it is; the name is a help for people */
    return wire_name_check(entry->name);
}

static int entry_link_check(const struct hsr_entry *entry)
{
    hsr_require((entry->flags & LINK_FLAGS) != LINK_FLAGS, HSR_E_PROTOCOL);
    if ((entry->flags & HSR_ENTRY_LINK_NEXT) == 0)
        return 0;
    hsr_require(entry->link_path.size > 0, HSR_E_NAME);
    return wire_path_check(entry->link_path);
}

static int entry_check(const struct hsr_entry *entry)
{
    const struct entry_kind *kind = &entry_kinds[entry->type];
    int rc = entry_name_check(entry);

    if (rc == 0)
        rc = entry_link_check(entry);
    if (rc < 0)
        return rc;
    if (kind->has & HAS_META) {
        hsr_require(entry->mode <= MODE_MAX, HSR_E_PROTOCOL);
        hsr_require(entry->mtime_ns < MTIME_NS_END, HSR_E_PROTOCOL);
    }
    if (kind->has & HAS_SIZE)
        hsr_require(entry->size <= INT64_MAX, HSR_E_LIMIT);
    if (kind->has & HAS_RDEV)
        hsr_require(entry->rdev_major <= RDEV_MAJOR_MAX && entry->rdev_minor <= RDEV_MINOR_MAX,
                    HSR_E_LIMIT);
    if (kind->has & HAS_TARGET) {
        hsr_require(entry->target.size <= HSR_LINK_TARGET_MAX, HSR_E_LIMIT);
        hsr_require(entry->target.size >= 1, HSR_E_NAME);
        hsr_require(memchr(entry->target.ptr, '\0', entry->target.size) == NULL, HSR_E_NAME);
    }
    if (kind->has & HAS_XATTRS)
        return xattrs_check(entry->xattrs, entry->xattr_count);
    return 0;
}

/* Known type, and only flags that it can have. */
static int entry_type_check(uint8_t type, uint8_t flags)
{
    hsr_require(type >= HSR_ENTRY_FILE && type < HSR_ENTRY_TYPE_COUNT, HSR_E_PROTOCOL);
    hsr_require((flags & ~entry_kinds[type].flags) == 0, HSR_E_PROTOCOL);
    return 0;
}

/* ---- encoder ---- */

static void entry_write(struct hsr_writer *w, const struct hsr_entry *entry)
{
    const struct entry_kind *kind = &entry_kinds[entry->type];

    hsr_put_u8(w, entry->type);
    hsr_put_u8(w, entry->flags);
    hsr_put_u32(w, entry->parent);
    hsr_put_u8(w, (uint8_t)entry->name.size);
    hsr_put_bytes(w, entry->name.ptr, entry->name.size);
    if (kind->has & HAS_DIR)
        hsr_put_u32(w, entry->dir);
    if (kind->has & HAS_META) {
        hsr_put_u16(w, (uint16_t)entry->mode);
        hsr_put_u32(w, entry->uid);
        hsr_put_u32(w, entry->gid);
        hsr_put_u64(w, (uint64_t)entry->mtime_s);
        hsr_put_u32(w, entry->mtime_ns);
    }
    if (kind->has & HAS_SIZE)
        hsr_put_u64(w, entry->size);
    if (entry->flags & HSR_ENTRY_VERSION) {
        hsr_put_u64(w, entry->version.low);
        hsr_put_u64(w, entry->version.high);
    }
    if (kind->has & HAS_RDEV) {
        hsr_put_u32(w, entry->rdev_major);
        hsr_put_u32(w, entry->rdev_minor);
    }
    if (kind->has & HAS_TARGET)
        wire_put_string(w, entry->target);
    if (entry->flags & LINK_FLAGS)
        hsr_put_u32(w, entry->link_id);
    if (entry->flags & HSR_ENTRY_LINK_NEXT)
        wire_put_string(w, entry->link_path);
    if (kind->has & HAS_XATTRS) {
        hsr_put_u16(w, entry->xattr_count);
        hsr_put_u32(w, (uint32_t)entry->xattrs.size);
        hsr_put_bytes(w, entry->xattrs.ptr, entry->xattrs.size);
    }
}

int hsr_entry_encode(struct hsr_writer *writer, const struct hsr_entry *entry)
{
    struct hsr_writer w = *writer;
    int rc = entry_type_check(entry->type, entry->flags);

    if (rc == 0)
        rc = entry_check(entry);
    if (rc < 0)
        return rc;
    entry_write(&w, entry);
    hsr_require(!w.failed, HSR_E_LIMIT);
    *writer = w;
    return 0;
}

/* ---- decoder ---- */

static void entry_read(struct hsr_reader *r, struct hsr_entry *entry)
{
    const struct entry_kind *kind = &entry_kinds[entry->type];

    entry->parent = hsr_get_u32(r);
    entry->name = hsr_get_span(r, hsr_get_u8(r));
    if (kind->has & HAS_DIR)
        entry->dir = hsr_get_u32(r);
    if (kind->has & HAS_META) {
        entry->mode = hsr_get_u16(r);
        entry->uid = hsr_get_u32(r);
        entry->gid = hsr_get_u32(r);
        entry->mtime_s = (int64_t)hsr_get_u64(r);
        entry->mtime_ns = hsr_get_u32(r);
    }
    if (kind->has & HAS_SIZE)
        entry->size = hsr_get_u64(r);
    if (entry->flags & HSR_ENTRY_VERSION) {
        entry->version.low = hsr_get_u64(r);
        entry->version.high = hsr_get_u64(r);
    }
    if (kind->has & HAS_RDEV) {
        entry->rdev_major = hsr_get_u32(r);
        entry->rdev_minor = hsr_get_u32(r);
    }
    if (kind->has & HAS_TARGET)
        entry->target = wire_get_string(r);
    if (entry->flags & LINK_FLAGS)
        entry->link_id = hsr_get_u32(r);
    if (entry->flags & HSR_ENTRY_LINK_NEXT)
        entry->link_path = wire_get_string(r);
    if (kind->has & HAS_XATTRS) {
        entry->xattr_count = hsr_get_u16(r);
        entry->xattrs = hsr_get_span(r, hsr_get_u32(r));
    }
}

int hsr_entry_decode(struct hsr_reader *reader, struct hsr_entry *ret_entry)
{
    struct hsr_entry entry = { 0 };
    int rc;

    entry.type = hsr_get_u8(reader);
    entry.flags = hsr_get_u8(reader);
    hsr_require(!reader->failed, HSR_E_TRUNCATED);
    rc = entry_type_check(entry.type, entry.flags);
    if (rc < 0)
        return rc;
    entry_read(reader, &entry);
    hsr_require(!reader->failed, HSR_E_TRUNCATED);
    rc = entry_check(&entry);
    if (rc < 0)
        return rc;
    *ret_entry = entry;
    return 0;
}
