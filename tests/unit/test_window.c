/* The old content of what was written over: found where it is, for as long as it is promised. */
#include "transfer/engine/window.h"

#include <stdlib.h>
#include <string.h>

#include "base/prng.h"
#include "base/util.h"
#include "tests/unit/hsr_test.h"

#define BLOCK HSR_WINDOW_BLOCK
#define REGION (16 * BLOCK)

/* A file that is changed in place, its old content beside it. */
struct model {
    struct hsr_window *window;
    uint8_t *old, *now;
    uint64_t size;
    struct hsr_prng prng;
};

static void model_init(struct model *model, uint64_t size, uint64_t seed)
{
    *model = (struct model){ .size = size, .prng = hsr_prng_init(seed) };
    model->window = hsr_window_create(size);
    model->old = malloc(size);
    model->now = malloc(size);
    for (uint64_t i = 0; i < size; i++)
        model->now[i] = model->old[i] = (uint8_t)hsr_prng_next(&model->prng);
}

static void model_fini(struct model *model)
{
    free(model->window);
    free(model->old);
    free(model->now);
}

/* Is what the window says of this range the old content? Counts the bytes that it had itself. */
static uint64_t model_read(struct model *model, uint64_t offset, uint32_t size)
{
    uint64_t kept = 0;

    while (size > 0) {
        const uint8_t *bytes;
        uint32_t part = hsr_window_find(model->window, offset, size, &bytes);

        CHECK(part >= 1 && part <= size);
        if (part == 0 || part > size)
            return kept;
        CHECK(memcmp(bytes != NULL ? bytes : model->now + offset, model->old + offset, part) == 0);
        kept += bytes != NULL ? part : 0;
        offset += part;
        size -= part;
    }
    return kept;
}

/* Write the next region: blocks of which @changed has a bit, their old content kept before. */
static void model_write(struct model *model, uint64_t changed)
{
    struct hsr_window *window = model->window;
    uint64_t offset = window->front;
    uint64_t bits[1] = { changed };

    for (uint32_t i = 0; i < REGION / BLOCK && offset + i * BLOCK < model->size; i++) {
        uint64_t at = offset + i * BLOCK;
        uint32_t size = (uint32_t)HSR_MIN(model->size - at, BLOCK), part;
        uint8_t *place = hsr_window_keep(window, at, size, &part);

        if (!(changed >> i & 1))
            continue;
        CHECK_EQ(part, size);
        memcpy(place, model->now + at, size);
        for (uint32_t k = 0; k < size; k++)
            model->now[at + k] ^= 0x5a;
    }
    hsr_window_advance(window, HSR_MIN(offset + REGION, model->size), bits);
}

/* Goal: at any time every range that may be asked for reads as it was: kept, untouched, and what
 * crosses from one to the other and round the ring.
 * Method: a file more than twice the window, random blocks changed, random ranges compared. */
static void test_window_finds_old_content(void)
{
    struct model model;
    uint64_t kept = 0;

    model_init(&model, 2 * HSR_INPLACE_WINDOW + 3 * HSR_MIB + 123, 7);
    CHECK_EQ(model.window->size, HSR_INPLACE_WINDOW);
    while (model.window->front < model.size) {
        uint64_t front, least;

        model_write(&model, hsr_prng_next(&model.prng));
        front = model.window->front;
        least = front - HSR_MIN(front, (uint64_t)HSR_INPLACE_WINDOW);
        for (unsigned i = 0; i < 4; i++) {
            uint64_t offset = least + hsr_prng_below(&model.prng, model.size - least);
            uint64_t size = 1 + hsr_prng_below(&model.prng, 3 * REGION);

            kept += model_read(&model, offset, (uint32_t)HSR_MIN(size, model.size - offset));
        }
        kept += model_read(&model, least, (uint32_t)HSR_MIN(2 * BLOCK + 1, model.size - least));
    }
    CHECK(kept > HSR_MIB); /* else this tested nothing */
    model_fini(&model);
}

/* Goal: a small file's window is no larger than the file, and keeps all of it. */
static void test_window_of_a_small_file(void)
{
    struct model model;

    CHECK_EQ(hsr_window_bytes(1), BLOCK);
    CHECK_EQ(hsr_window_bytes(BLOCK + 1), 2 * BLOCK);
    CHECK_EQ(hsr_window_bytes(1ull << 40), HSR_INPLACE_WINDOW);
    model_init(&model, 5 * REGION + 77, 8);
    while (model.window->front < model.size)
        model_write(&model, UINT64_MAX);
    CHECK_EQ(model_read(&model, 0, (uint32_t)model.size), model.size);
    model_fini(&model);
}

/* Goal: what did not change is not kept, and a slot's earlier block is forgotten. */
static void test_window_forgets(void)
{
    struct model model;

    model_init(&model, HSR_INPLACE_WINDOW + 2 * REGION, 9);
    model_write(&model, UINT64_MAX);
    while (model.window->front < HSR_INPLACE_WINDOW)
        model_write(&model, 0);
    CHECK_EQ(model_read(&model, 0, HSR_INPLACE_WINDOW), REGION);
    model_write(&model, 0); /* the first region's slots, with nothing */
    CHECK_EQ(model_read(&model, REGION, HSR_INPLACE_WINDOW), 0);
    model_fini(&model);
}

int main(void)
{
    RUN(test_window_finds_old_content);
    RUN(test_window_of_a_small_file);
    RUN(test_window_forgets);
    TEST_END();
}
