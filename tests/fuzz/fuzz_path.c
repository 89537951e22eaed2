/* Names and paths against slow checks that look at every part one byte at a time. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "transfer/proto/entry.h"

static bool name_slow(const uint8_t *bytes, size_t size)
{
    size_t dots = 0;

    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == '/' || bytes[i] == 0)
            return false;
        dots += bytes[i] == '.';
    }
    return size >= 1 && size <= 255 && !(size <= 2 && dots == size);
}

static bool path_slow(const uint8_t *bytes, size_t size)
{
    size_t start = 0;

    if (size > 32768)
        return false;
    if (size == 0)
        return true;
    for (size_t i = 0; i <= size; i++) {
        if (i < size && bytes[i] != '/')
            continue;
        if (!name_slow(bytes + start, i - start))
            return false;
        start = i + 1;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct hsr_span span = { bytes, size };

    FUZZ_CHECK(hsr_name_valid(span) == name_slow(bytes, size));
    FUZZ_CHECK(hsr_path_valid(span) == path_slow(bytes, size));
    return 0;
}
