/* Pages of entries: each entry that is accepted encodes to the same bytes, names and attributes
 * included. */
#include <string.h>

#include "base/err.h"
#include "tests/fuzz/fuzz.h"
#include "transfer/proto/entry.h"

static uint8_t again[HSR_CONTROL_PAYLOAD_MAX];
static uint8_t list[HSR_CONTROL_PAYLOAD_MAX];

static void try_xattrs(const struct hsr_entry *entry)
{
    struct hsr_reader r = hsr_reader_init(entry->xattrs.ptr, entry->xattrs.size);
    struct hsr_writer w = hsr_writer_init(list, sizeof(list));
    struct hsr_xattr xattr;
    unsigned count = 0;
    int rc;

    while ((rc = hsr_xattr_next(&r, &xattr)) == 1) {
        FUZZ_CHECK(hsr_xattr_put(&w, xattr) == 0);
        count++;
    }
    FUZZ_CHECK(rc == 0 && count == entry->xattr_count && w.offset == entry->xattrs.size);
    FUZZ_CHECK(w.offset == 0 || memcmp(list, entry->xattrs.ptr, w.offset) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct hsr_reader r = hsr_reader_init(bytes, size);
    struct hsr_writer w = hsr_writer_init(again, sizeof(again));

    if (size > sizeof(again))
        return 0;
    while (hsr_reader_left(&r) > 0) {
        struct hsr_entry entry;
        int rc = hsr_entry_decode(&r, &entry);

        FUZZ_CHECK(rc == 0 || rc == HSR_E_TRUNCATED || rc == HSR_E_PROTOCOL || rc == HSR_E_LIMIT ||
                   rc == HSR_E_NAME);
        if (rc != 0)
            break;
        FUZZ_CHECK(entry.name.size == 0 || hsr_name_valid(entry.name));
        FUZZ_CHECK(entry.name.size != 0 || entry.type == HSR_ENTRY_DIR ||
                   entry.type == HSR_ENTRY_DIR_END);
        FUZZ_CHECK(hsr_path_valid(entry.link_path));
        try_xattrs(&entry);
        FUZZ_CHECK(hsr_entry_encode(&w, &entry) == 0);
        FUZZ_CHECK(w.offset == r.offset && memcmp(again, bytes, w.offset) == 0);
    }
    return 0;
}
