/* Edits: whatever became of a base, signature, match and patch make the same of it. The input says
 * how: six bytes for sizes and the kind of base, then edits of five bytes, each a piece of the new
 * content: u8 kind, u16 from, u16 size. */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/delta_fixture.h"

#define HEAD 6u
#define EDIT 5u
#define BASE_SIZE 40000u
#define FRESH_MAX 300000u

static uint8_t base[BASE_SIZE];
static uint8_t fresh[FRESH_MAX];

static void base_fill(uint8_t kind)
{
    delta_random(base, BASE_SIZE, kind);
    for (uint32_t i = 0; i < BASE_SIZE; i++)
        if (kind % 4 == 1)
            base[i] = (uint8_t)(i % (kind + 1u)); /* periodic */
        else if (kind % 4 == 2)
            base[i] = i / 3000 % 2 == 0 ? 0 : base[i];
        else if (kind % 4 == 3)
            base[i] = (uint8_t)(base[i] % 2);
}

static size_t edit_add(const uint8_t *edit, size_t at)
{
    size_t from = (edit[1] | (size_t)edit[2] << 8) % BASE_SIZE;
    size_t size = edit[3] | (size_t)edit[4] << 8;

    size = HSR_MIN(size, (size_t)(FRESH_MAX - at));
    switch (edit[0] % 4) {
    case 0:
        delta_random(fresh + at, size, from);
        return size;
    case 1:
        memset(fresh + at, edit[0] / 4, size);
        return size;
    default:
        size = HSR_MIN(size, BASE_SIZE - from);
        memcpy(fresh + at, base + from, size);
        return size;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct delta_case c = { .base = base, .fresh = fresh };

    if (size < HEAD + EDIT || size > HEAD + 100 * EDIT)
        return 0;
    base_fill(bytes[0]);
    for (size_t i = HEAD; i + EDIT <= size; i += EDIT)
        c.fresh_size += edit_add(bytes + i, c.fresh_size);
    c.base_size = BASE_SIZE - bytes[1] * 100u;
    c.block_size = 512u << bytes[2] % 5;
    c.region_size = 512u << bytes[2] / 32;
    c.range_regions = bytes[3];
    c.budget = 1u + bytes[4] * 64u;
    c.sums_spoilt = bytes[5] % 4;
    c.window = bytes[5] / 4 * 1000u;
    FUZZ_CHECK(delta_run(&c).same);
    return 0;
}
