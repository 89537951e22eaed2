/* Payloads that are lists: PATHS, WANT and PAGE_ACK item by item, and the member table of PACK. */
#include "transfer/proto/message.h"

#include "transfer/proto/delta.h"
#include "transfer/proto/wire.h"

#define ACK_HEAD_SIZE 1u /* PAGE_ACK: the level, before the list */
#define LIST_HEAD_SIZE 4u /* u32 count */
#define LIST_ITEM_SIZE_MIN 2u /* the smallest item there is: an empty path */

/* ---- readers ---- */

int hsr_list_begin(struct hsr_list_reader *list, struct hsr_span payload, uint32_t count_max)
{
    *list = (struct hsr_list_reader){ .reader = hsr_reader_init(payload.ptr, payload.size) };
    list->left = hsr_get_u32(&list->reader);
    hsr_require(!list->reader.failed, HSR_E_TRUNCATED);
    hsr_require(list->left <= count_max, HSR_E_LIMIT);
    hsr_require(list->left <= hsr_reader_left(&list->reader) / LIST_ITEM_SIZE_MIN, HSR_E_TRUNCATED);
    return 0;
}

/* 1: another item is to be read; 0: the end; HSR_E_PROTOCOL: something trails */
static int list_more(struct hsr_list_reader *list)
{
    if (list->left > 0) {
        list->left--;
        return 1;
    }
    hsr_require(hsr_reader_left(&list->reader) == 0, HSR_E_PROTOCOL);
    return 0;
}

static int list_index_check(struct hsr_list_reader *list, uint16_t index)
{
    uint64_t bit = 1ull << (index % 64);

    hsr_require(index < HSR_PAGE_ENTRIES_MAX, HSR_E_LIMIT);
    hsr_require((list->seen[index / 64] & bit) == 0, HSR_E_PROTOCOL);
    list->seen[index / 64] |= bit;
    return 0;
}

int hsr_paths_next(struct hsr_list_reader *list, struct hsr_span *ret_path)
{
    struct hsr_span path;
    int rc = list_more(list);

    if (rc <= 0)
        return rc;
    path = wire_get_string(&list->reader);
    hsr_require(!list->reader.failed, HSR_E_TRUNCATED);
    rc = wire_path_check(path);
    if (rc < 0)
        return rc;
    *ret_path = path;
    return 1;
}

/* Is what PATCH says of the old version within its limits? Writes what its sums must have. */
static int want_patch_check(const struct hsr_want_item *item, size_t *ret_size)
{
    hsr_require(item->base_size > 0, HSR_E_PROTOCOL);
    hsr_require(item->base_size <= HSR_SMALL_BASE_MAX, HSR_E_LIMIT);
    hsr_require(item->block_log >= HSR_SMALL_BLOCK_LOG_MIN &&
                    item->block_log <= HSR_SMALL_BLOCK_LOG_MAX,
                HSR_E_LIMIT);
    *ret_size = (size_t)hsr_sig_blocks(item->base_size, item->block_log) *
                hsr_sig_sum_size(HSR_SMALL_STRONG_SIZE);
    return 0;
}

static int want_patch_get(struct hsr_reader *reader, struct hsr_want_item *item)
{
    size_t size;
    int rc;

    item->base_size = hsr_get_u32(reader);
    item->block_log = hsr_get_u8(reader);
    hsr_require(!reader->failed, HSR_E_TRUNCATED);
    rc = want_patch_check(item, &size);
    if (rc < 0)
        return rc;
    item->sums = hsr_get_span(reader, size);
    return 0;
}

int hsr_want_next(struct hsr_list_reader *list, uint32_t digest_size,
                  struct hsr_want_item *ret_item)
{
    struct hsr_want_item item = { 0 };
    int rc = list_more(list);

    if (rc <= 0)
        return rc;
    item.index = hsr_get_u16(&list->reader);
    item.action = hsr_get_u8(&list->reader);
    if (item.action == HSR_WANT_UNLESS)
        hsr_get_bytes(&list->reader, item.digest, digest_size);
    else if (item.action == HSR_WANT_PATCH && !list->reader.failed)
        rc = want_patch_get(&list->reader, &item);
    if (rc < 0)
        return rc;
    hsr_require(!list->reader.failed, HSR_E_TRUNCATED);
    hsr_require(item.action >= HSR_WANT_WHOLE && item.action < HSR_WANT_ACTION_COUNT,
                HSR_E_PROTOCOL);
    rc = list_index_check(list, item.index);
    if (rc < 0)
        return rc;
    *ret_item = item;
    return 1;
}

int hsr_ack_begin(struct hsr_list_reader *list, struct hsr_span payload, uint32_t count_max,
                  uint8_t *ret_level)
{
    int rc;

    hsr_require(payload.size >= ACK_HEAD_SIZE, HSR_E_TRUNCATED);
    hsr_require(payload.ptr[0] <= HSR_DURABILITY_DURABLE, HSR_E_PROTOCOL);
    rc = hsr_list_begin(
        list, (struct hsr_span){ payload.ptr + ACK_HEAD_SIZE, payload.size - ACK_HEAD_SIZE },
        count_max);
    if (rc == 0)
        *ret_level = payload.ptr[0];
    return rc;
}

int hsr_ack_next(struct hsr_list_reader *list, struct hsr_ack_item *ret_item)
{
    struct hsr_ack_item item = { 0 };
    int rc = list_more(list);
    uint8_t mend;

    if (rc <= 0)
        return rc;
    item.index = hsr_get_u16(&list->reader);
    mend = hsr_get_u8(&list->reader);
    item.code = wire_get_i32(&list->reader);
    hsr_require(!list->reader.failed, HSR_E_TRUNCATED);
    hsr_require(mend <= 1, HSR_E_PROTOCOL);
    item.mend = mend == 1;
    hsr_require(wire_code_failed(item.code), HSR_E_PROTOCOL);
    rc = list_index_check(list, item.index);
    if (rc < 0)
        return rc;
    *ret_item = item;
    return 1;
}

/* ---- writers ---- */

void hsr_list_start(struct hsr_list_writer *list, void *out, size_t size)
{
    *list = (struct hsr_list_writer){
        .writer = hsr_writer_init(out, HSR_MIN(size, (size_t)HSR_CONTROL_PAYLOAD_MAX)),
    };
    hsr_put_u32(&list->writer, 0); /* hsr_list_finish() writes the count here */
}

/* Keep what was put since @before, or take it out again. A list that has no room even for its
 * count stays failed. */
static int list_put_end(struct hsr_list_writer *list, size_t before)
{
    if (!list->writer.failed) {
        list->count++;
        return 0;
    }
    if (before >= LIST_HEAD_SIZE) {
        list->writer.offset = before;
        list->writer.failed = false;
    }
    return HSR_E_LIMIT;
}

int hsr_paths_put(struct hsr_list_writer *list, struct hsr_span path)
{
    size_t before = list->writer.offset;
    int rc = wire_path_check(path);

    if (rc < 0)
        return rc;
    wire_put_string(&list->writer, path);
    return list_put_end(list, before);
}

int hsr_want_put(struct hsr_list_writer *list, uint32_t digest_size,
                 const struct hsr_want_item *item)
{
    size_t before = list->writer.offset;

    hsr_require(list->count < HSR_PAGE_ENTRIES_MAX, HSR_E_LIMIT);
    hsr_require(item->index < HSR_PAGE_ENTRIES_MAX, HSR_E_LIMIT);
    hsr_require(item->action >= HSR_WANT_WHOLE && item->action < HSR_WANT_ACTION_COUNT,
                HSR_E_PROTOCOL);
    if (item->action == HSR_WANT_PATCH) {
        size_t size = 0;
        int rc = want_patch_check(item, &size);

        hsr_require(rc == 0, rc);
        hsr_require(item->sums.size == size, HSR_E_PROTOCOL);
    }
    hsr_put_u16(&list->writer, item->index);
    hsr_put_u8(&list->writer, item->action);
    if (item->action == HSR_WANT_PATCH) {
        hsr_put_u32(&list->writer, item->base_size);
        hsr_put_u8(&list->writer, item->block_log);
        hsr_put_bytes(&list->writer, item->sums.ptr, item->sums.size);
    }
    if (item->action == HSR_WANT_UNLESS)
        hsr_put_bytes(&list->writer, item->digest, digest_size);
    return list_put_end(list, before);
}

void hsr_ack_start(struct hsr_list_writer *list, void *out, size_t size, uint8_t level)
{
    uint8_t *bytes = out;

    hsr_assert(size > ACK_HEAD_SIZE && level <= HSR_DURABILITY_DURABLE);
    bytes[0] = level;
    hsr_list_start(list, bytes + ACK_HEAD_SIZE, size - ACK_HEAD_SIZE);
}

int hsr_ack_finish(struct hsr_list_writer *list)
{
    int size = hsr_list_finish(list);

    return size < 0 ? size : size + (int)ACK_HEAD_SIZE;
}

int hsr_ack_put(struct hsr_list_writer *list, const struct hsr_ack_item *item)
{
    size_t before = list->writer.offset;

    hsr_require(list->count < HSR_PAGE_ENTRIES_MAX, HSR_E_LIMIT);
    hsr_require(item->index < HSR_PAGE_ENTRIES_MAX, HSR_E_LIMIT);
    hsr_require(wire_code_failed(item->code), HSR_E_PROTOCOL);
    hsr_put_u16(&list->writer, item->index);
    hsr_put_u8(&list->writer, item->mend);
    wire_put_i32(&list->writer, item->code);
    return list_put_end(list, before);
}

int hsr_list_finish(struct hsr_list_writer *list)
{
    struct hsr_writer head = hsr_writer_init(list->writer.ptr, LIST_HEAD_SIZE);

    hsr_require(!list->writer.failed, HSR_E_LIMIT);
    hsr_assert(list->writer.offset >= LIST_HEAD_SIZE);
    hsr_put_u32(&head, list->count);
    return (int)list->writer.offset;
}

/* ---- PACK ---- */

void hsr_pack_encode(const struct hsr_pack_member *members, uint32_t count, uint32_t digest_size,
                     uint8_t *out)
{
    struct hsr_writer w = hsr_writer_init(out, hsr_pack_table_size(count, digest_size));

    hsr_assert(count >= 1 && count <= HSR_PACK_MEMBERS_MAX);
    hsr_put_u32(&w, count);
    hsr_put_u32(&w, 0);
    for (uint32_t i = 0; i < count; i++) {
        static const uint8_t zeros[HSR_DIGEST_SIZE_MAX];
        const struct hsr_pack_member *member = &members[i];

        hsr_assert(member->code == 0 || (wire_code_failed(member->code) && member->size == 0));
        hsr_assert(member->index < HSR_PAGE_ENTRIES_MAX);
        hsr_put_u32(&w, member->page);
        hsr_put_u16(&w, member->index);
        hsr_put_u16(&w, member->patch ? HSR_PACK_MEMBER_PATCH : 0);
        wire_put_i32(&w, member->code);
        hsr_put_u32(&w, member->size);
        hsr_put_bytes(&w, member->code == 0 ? member->digest : zeros, digest_size);
    }
    hsr_assert(!w.failed && w.offset == hsr_pack_table_size(count, digest_size));
}

static int pack_member_decode(struct hsr_reader *r, uint32_t digest_size,
                              struct hsr_pack_member *ret_member)
{
    static const uint8_t zeros[HSR_DIGEST_SIZE_MAX];
    uint16_t flags;

    *ret_member = (struct hsr_pack_member){ 0 };
    ret_member->page = hsr_get_u32(r);
    ret_member->index = hsr_get_u16(r);
    flags = hsr_get_u16(r);
    ret_member->patch = (flags & HSR_PACK_MEMBER_PATCH) != 0;
    ret_member->code = wire_get_i32(r);
    ret_member->size = hsr_get_u32(r);
    hsr_get_bytes(r, ret_member->digest, digest_size);
    hsr_assert_hot(!r->failed); /* the table's size was checked before */

    hsr_require((flags & ~HSR_PACK_MEMBER_PATCH) == 0, HSR_E_PROTOCOL);
    hsr_require(!ret_member->patch || ret_member->size > 0, HSR_E_PROTOCOL);
    hsr_require(ret_member->index < HSR_PAGE_ENTRIES_MAX, HSR_E_LIMIT);
    hsr_require(ret_member->size <= HSR_CHUNK_SIZE_MAX, HSR_E_LIMIT);
    if (ret_member->code == 0)
        return 0;
    hsr_require(wire_code_failed(ret_member->code), HSR_E_PROTOCOL);
    hsr_require(ret_member->size == 0, HSR_E_PROTOCOL);
    hsr_require(memcmp(ret_member->digest, zeros, digest_size) == 0, HSR_E_PROTOCOL);
    return 0;
}

int hsr_pack_decode(struct hsr_span payload, uint32_t digest_size, struct hsr_pack_member *members,
                    uint32_t *ret_count)
{
    struct hsr_reader r = hsr_reader_init(payload.ptr, payload.size);
    uint64_t total = 0; /* at most 512 x 4 MiB: cannot overflow */
    uint32_t count = hsr_get_u32(&r);
    uint32_t reserved = hsr_get_u32(&r);

    hsr_require(!r.failed, HSR_E_TRUNCATED);
    hsr_require(reserved == 0 && count >= 1, HSR_E_PROTOCOL);
    hsr_require(count <= HSR_PACK_MEMBERS_MAX, HSR_E_LIMIT);
    hsr_require(hsr_pack_table_size(count, digest_size) <= payload.size, HSR_E_TRUNCATED);
    for (uint32_t i = 0; i < count; i++) {
        int rc = pack_member_decode(&r, digest_size, &members[i]);
        if (rc < 0)
            return rc;
        total += members[i].size;
    }
    hsr_require(total <= hsr_reader_left(&r), HSR_E_TRUNCATED);
    hsr_require(total == hsr_reader_left(&r), HSR_E_PROTOCOL);
    *ret_count = count;
    return 0;
}
