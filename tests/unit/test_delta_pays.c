/* Whether deltas pay: a table of paths; and the memory for them, which has an end. */
#include "transfer/engine/delta.h"

#include "base/base.h"
#include "tests/unit/hsr_test.h"
#include "transfer/engine/shard.h"

static void test_delta_pays_where_the_path_is_slow(void)
{
    static const struct {
        struct hsr_delta_path path;
        bool pays;
        const char *why;
    } rows[] = {
        { { 0, 0, 0 }, false, "nothing is known of the path" },
        { { 0, 0, 30 }, false, "the round trip is 0.03 ms" },
        { { 0, 0, 1000 }, false, "the round trip is 1.00 ms" },
        { { 0, 0, 1001 }, true, "the round trip is 1.00 ms" },
        { { 0, 0, 10250 }, true, "the round trip is 10.25 ms" },
        { { 10000000, 0, 30 }, true, "--bwlimit is 10.0 MB/s" },
        { { 400 * HSR_MIB, 0, 30 }, false, "the round trip is 0.03 ms" },
        { { 0, 125000000, 30 }, true, "the network device does 125 MB/s" },
        { { 0, 1250000000, 30 }, false, "the round trip is 0.03 ms" },
        { { 0, 1250000000, 0 }, false, "nothing is known of the path" },
        { { 0, 12500000000, 20000 }, true, "the round trip is 20.00 ms" },
    };

    for (size_t i = 0; i < HSR_ARRAY_COUNT(rows); i++) {
        char why[HSR_DELTA_WHY_SIZE] = "";

        CHECK_EQ(hsr_delta_pays(&rows[i].path, why), rows[i].pays);
        CHECK(strcmp(why, rows[i].why) == 0);
    }
}

static void test_delta_room_has_an_end(void)
{
    struct hsr_engine engine = { .config.plan.delta_bytes = 1000 };

    CHECK(!hsr_delta_room_take(&engine, 1001));
    CHECK(hsr_delta_room_take(&engine, 400));
    CHECK(hsr_delta_room_take(&engine, 600));
    CHECK(!hsr_delta_room_take(&engine, 1));
    CHECK(!hsr_delta_room_take(&engine, UINT64_MAX));
    hsr_delta_room_give(&engine, 400);
    CHECK(!hsr_delta_room_take(&engine, 401));
    CHECK(hsr_delta_room_take(&engine, 400));
    hsr_delta_room_give(&engine, 1000);
    CHECK_EQ(atomic_load(&engine.delta_used), 0);
}

int main(void)
{
    RUN(test_delta_pays_where_the_path_is_slow);
    RUN(test_delta_room_has_an_end);
    TEST_END();
}
