/* The lookup made from a signature, whatever a peer sends as one. */
#include "tests/unit/delta_fixture.h"
#include "tests/unit/hsr_test.h"

#define BLOCKS 20000u
#define SUM_SIZE 9u

static uint8_t sums[BLOCKS][SUM_SIZE];
static const struct hsr_delta_plan plan = { (uint64_t)BLOCKS * 4096, 4096, SUM_SIZE - 4 };

static void sum_set(uint32_t block, uint32_t weak, uint32_t strong)
{
    memset(sums[block], 0, SUM_SIZE);
    memcpy(sums[block], &weak, sizeof(weak));
    memcpy(sums[block] + 4, &strong, sizeof(strong));
}

static uint32_t found(const struct hsr_delta_index *index, uint32_t block)
{
    uint32_t weak;

    memcpy(&weak, sums[block], sizeof(weak));
    return hsr_delta_index_find(index, weak, sums[block] + 4, 0);
}

/* Returns how many calls it took. */
static uint32_t built(struct hsr_delta_index *index, uint32_t budget)
{
    void *memory = delta_alloc(hsr_delta_index_size(&plan));
    uint32_t calls = 1;

    memset(memory, 0xa5, hsr_delta_index_size(&plan)); /* nothing is expected of it */
    hsr_delta_index_init(index, &plan, memory);
    CHECK_EQ(hsr_delta_index_put(index, 0, sums, sizeof(sums)), 0);
    CHECK(hsr_delta_index_received(index));
    while (!hsr_delta_index_build(index, budget))
        calls++;
    return calls;
}

static void test_index_finds_every_block(void)
{
    struct hsr_prng prng = hsr_prng_init(3);
    uint32_t missing = 0, wrong = 0, strangers = 0;
    struct hsr_delta_index index;

    for (uint32_t i = 0; i < BLOCKS; i++)
        sum_set(i, (uint32_t)hsr_prng_next(&prng), i);
    built(&index, 1000);
    for (uint32_t i = 0; i < BLOCKS; i++) {
        uint32_t weak = (uint32_t)hsr_prng_next(&prng);

        missing += found(&index, i) == HSR_DELTA_BLOCK_NONE;
        wrong += found(&index, i) != i && found(&index, i) != HSR_DELTA_BLOCK_NONE;
        strangers += hsr_delta_index_has(&index, weak);
        memcpy(&weak, sums[i], sizeof(weak));
        CHECK_EQ(hsr_delta_index_find(&index, weak, sums[i] + 4, i + 1), HSR_DELTA_BLOCK_NONE);
        sums[i][8] ^= 1; /* another strong hash */
        CHECK_EQ(found(&index, i), HSR_DELTA_BLOCK_NONE);
    }
    CHECK(missing <= 1);
    CHECK_EQ(wrong, 0);
    CHECK(strangers <= 2);
    free(index.filter);
}

static void test_index_needs_little_memory(void)
{
    for (uint32_t blocks = 1000; blocks <= HSR_DELTA_BLOCKS_MAX; blocks *= 2) {
        struct hsr_delta_plan p = { (uint64_t)blocks * 4096, 4096, 5 };

        CHECK(hsr_delta_index_size(&p) <= (size_t)blocks * 20);
    }
    CHECK(hsr_delta_index_size(&(struct hsr_delta_plan){ HSR_GIB, 4096, 5 }) <=
          (HSR_GIB / 4096) * 16 + 64);
}

/* Goal: a hostile signature costs no more than an honest one. Method: the work is counted in the
 * budget's units; searches are bounded by the bucket. Equal sums have one entry, the last. */
static void test_index_of_equal_sums_is_linear(void)
{
    struct hsr_delta_index index;
    uint32_t honest, calls;

    for (uint32_t i = 0; i < BLOCKS; i++)
        sum_set(i, i * 0x9e3779b1u, i);
    honest = built(&index, 100);
    free(index.filter);

    for (uint32_t i = 0; i < BLOCKS; i++)
        sum_set(i, 77, 5);
    calls = built(&index, 100);
    CHECK_EQ(calls, honest);
    CHECK_EQ(found(&index, 0), BLOCKS - 1);
    CHECK_EQ(index.buckets[index.bucket_count], HSR_DELTA_BUCKET_MAX);
    free(index.filter);

    for (uint32_t i = 0; i < BLOCKS; i++)
        sum_set(i, 77, i);
    calls = built(&index, 100);
    CHECK_EQ(calls, honest);
    CHECK_EQ(index.buckets[index.bucket_count], HSR_DELTA_BUCKET_MAX);
    CHECK_EQ(found(&index, BLOCKS - HSR_DELTA_BUCKET_MAX), BLOCKS - HSR_DELTA_BUCKET_MAX);
    CHECK_EQ(found(&index, 0), HSR_DELTA_BLOCK_NONE); /* left out: the bucket was full */
    free(index.filter);
}

/* A sum whose entry looks like an empty one must not hide others. */
static void test_index_survives_the_look_of_nothing(void)
{
    static uint8_t all[HSR_DELTA_BLOCKS_MAX][8];
    struct hsr_delta_plan full = { (uint64_t)HSR_DELTA_BLOCKS_MAX * 512, 512, 4 };
    struct hsr_delta_index index;
    uint32_t last = HSR_DELTA_BLOCKS_MAX - 1, weak = UINT32_MAX;

    memset(all, 0, sizeof(all));
    memset(all[last], 0xff, 4);
    memset(all[3], 0xff, 4);
    all[3][4] = 1;
    hsr_delta_index_init(&index, &full, delta_alloc(hsr_delta_index_size(&full)));
    CHECK_EQ(hsr_delta_index_put(&index, 0, all, sizeof(all)), 0);
    while (!hsr_delta_index_build(&index, 100000))
        ;
    CHECK_EQ(hsr_delta_index_find(&index, weak, all[3] + 4, 0), 3);
    CHECK_EQ(hsr_delta_index_find(&index, weak, all[last] + 4, 0), HSR_DELTA_BLOCK_NONE);
    free(index.filter);
}

static void test_index_refuses_a_broken_signature(void)
{
    struct hsr_delta_index index;

    hsr_delta_index_init(&index, &plan, delta_alloc(hsr_delta_index_size(&plan)));
    CHECK_EQ(hsr_delta_index_put(&index, 1, sums, SUM_SIZE), HSR_E_PROTOCOL);
    CHECK_EQ(hsr_delta_index_put(&index, 0, sums, SUM_SIZE - 1), HSR_E_PROTOCOL);
    CHECK_EQ(hsr_delta_index_put(&index, 0, sums, 10 * SUM_SIZE), 0);
    CHECK_EQ(hsr_delta_index_put(&index, 0, sums, SUM_SIZE), HSR_E_PROTOCOL);
    CHECK_EQ(hsr_delta_index_put(&index, 10, sums, sizeof(sums)), HSR_E_LIMIT);
    CHECK_EQ(hsr_delta_index_put(&index, 10, sums, 0), 0);
    CHECK_EQ(index.received, 10);
    CHECK(!hsr_delta_index_received(&index));
    free(index.filter);
}

/* A base of one short block has nothing to search, and one of one block has one bucket. */
static void test_index_of_the_least_bases(void)
{
    static const uint64_t sizes[] = { 1, 511, 512, 513 };

    for (size_t i = 0; i < HSR_ARRAY_COUNT(sizes); i++) {
        struct hsr_delta_plan least = { sizes[i], 512, 4 };
        uint8_t base[513];
        struct hsr_delta_key key;
        struct hsr_delta_index index;

        hsr_delta_key_init(&key, delta_secret);
        delta_random(base, sizeof(base), i);
        delta_index_make(&index, &key, &least, base, 0, 0);
        uint32_t weak;
        memcpy(&weak, hsr_delta_index_sum(&index, 0), sizeof(weak));
        CHECK_EQ(hsr_delta_index_find(&index, weak, hsr_delta_index_sum(&index, 0) + 4, 0),
                 sizes[i] >= 512 ? 0 : HSR_DELTA_BLOCK_NONE);
        free(index.filter);
    }
}

int main(void)
{
    RUN(test_index_finds_every_block);
    RUN(test_index_needs_little_memory);
    RUN(test_index_of_equal_sums_is_linear);
    RUN(test_index_survives_the_look_of_nothing);
    RUN(test_index_refuses_a_broken_signature);
    RUN(test_index_of_the_least_bases);
    TEST_END();
}
