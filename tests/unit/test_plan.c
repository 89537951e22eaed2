/* The plan: its sum is what its lines say, never over the budget; what does not fit is refused with
 * words that help. */
#include "tests/unit/hsr_test.h"

#include <inttypes.h>

#include "base/base.h"
#include "ring/buf.h"
#include "transfer/engine/engine.h"
#include "transfer/proto/frame.h"

static const char *const topologies[] = {
    "synthetic:core:1 pu:1",
    "synthetic:core:2 pu:1",
    "synthetic:pack:1 core:8 pu:2",
    "synthetic:pack:2 [numa] core:16 pu:2",
    "synthetic:pack:4 [numa] core:16 pu:1",
    "synthetic:pack:8 [numa] core:16 pu:1",
    "synthetic:pack:8 [numa] core:32 pu:2",
};

static struct hsr_placement placement_of(const char *topology, unsigned shards)
{
    struct hsr_placement placement = { 0 };

    CHECK_EQ(hsr_place_make(shards, topology, NULL, &placement), 0);
    return placement;
}

static uint64_t plan_total(const struct hsr_plan *plan)
{
    return plan->shards * (plan->loop_bytes + plan->buffer_bytes +
                           plan->connections * plan->connection_bytes) +
           plan->sessions * (plan->session_bytes + plan->links_bytes) + plan->delta_bytes;
}

static void plan_check(const struct hsr_plan *plan)
{
    CHECK_EQ(plan->total, plan_total(plan));
    CHECK(plan->total <= plan->memory);
    CHECK_EQ(plan->buffer_bytes, plan->buffers * hsr_buf_stride(plan->chunk));
    CHECK(plan->buffers >= (plan->streams + plan->shards - 1) / plan->shards * plan->depth);
    CHECK(plan->sessions >= 1);
    CHECK(plan->connections * plan->shards >= plan->streams + 1);
    CHECK(plan->links_bytes > 0);
    CHECK(plan->delta_bytes >= HSR_MIB && plan->delta_bytes <= plan->memory / 8 + HSR_MIB);
}

/* Goal: the defaults fit their own budget on every machine, from one core to 256. */
static void test_plan_defaults_fit_everywhere(void)
{
    for (size_t i = 0; i < HSR_ARRAY_COUNT(topologies); i++) {
        struct hsr_placement placement = placement_of(topologies[i], 0);

        for (int server = 0; server < 2; server++) {
            struct hsr_plan_request request = { .server = server };
            struct hsr_plan plan = { 0 };
            char why[512];
            int rc = hsr_plan_make(&request, &placement, &plan, why, sizeof(why));

            if (rc < 0)
                fprintf(stderr, "%s, server %d: %s\n", topologies[i], server, why);
            CHECK_EQ(rc, 0);
            CHECK_EQ(plan.shards, placement.count);
            plan_check(&plan);
        }
    }
}

static void test_plan_defaults_of_two_cores(void)
{
    struct hsr_placement placement = placement_of(topologies[1], 0);
    struct hsr_plan_request client = { 0 }, server = { .server = true };
    struct hsr_plan plan;
    char why[512];

    CHECK_EQ(hsr_plan_make(&client, &placement, &plan, why, sizeof(why)), 0);
    CHECK_EQ(plan.chunk, 1024 * 1024);
    CHECK_EQ(plan.depth, 4);
    CHECK_EQ(plan.streams, 2);
    CHECK_EQ(plan.sessions, 1);
    CHECK_EQ(plan.buffers, 4 + 2);
    CHECK_EQ(plan.memory, 128 * HSR_MIB);
    /* stays in cache */
    CHECK(plan.streams * plan.depth * (uint64_t)plan.chunk <= 4 * HSR_MIB * plan.shards);
    CHECK_EQ(hsr_plan_make(&server, &placement, &plan, why, sizeof(why)), 0);
    CHECK_EQ(plan.chunk, 1024 * 1024);
    CHECK_EQ(plan.depth, 16);
    CHECK_EQ(plan.streams, 16);
    CHECK_EQ(plan.memory, HSR_GIB);
    CHECK(plan.sessions >= 4 && plan.sessions <= 64);
}

/* Goal: a larger budget buys sessions first, then buffers. */
static void test_plan_memory_is_used(void)
{
    struct hsr_placement placement = placement_of(topologies[1], 0);
    struct hsr_plan_request request = { .server = true };
    uint32_t sessions = 0, buffers = 0;
    struct hsr_plan plan;
    char why[512];

    for (uint64_t memory = 512 * HSR_MIB; memory <= 64 * HSR_GIB; memory *= 2) {
        request.memory = memory;
        CHECK_EQ(hsr_plan_make(&request, &placement, &plan, why, sizeof(why)), 0);
        plan_check(&plan);
        CHECK(plan.sessions >= sessions);
        sessions = plan.sessions;
        buffers = plan.buffers;
    }
    CHECK_EQ(sessions, 64);
    CHECK(buffers > 128);
    CHECK(buffers <= 16384);
}

/* Goal: an explicit number of sessions is kept, or refused; never silently lowered. */
static void test_plan_sessions_asked_are_kept(void)
{
    struct hsr_placement placement = placement_of(topologies[1], 0);
    struct hsr_plan_request request = { .server = true, .sessions = 2 };
    struct hsr_plan plan;
    char why[512];

    CHECK_EQ(hsr_plan_make(&request, &placement, &plan, why, sizeof(why)), 0);
    CHECK_EQ(plan.sessions, 2);
    request.sessions = 1000;
    CHECK_EQ(hsr_plan_make(&request, &placement, &plan, why, sizeof(why)), HSR_E_PLAN);
    CHECK(strstr(why, "1000 sessions") != NULL);
    request.sessions = 5000;
    CHECK_EQ(hsr_plan_make(&request, &placement, &plan, why, sizeof(why)), HSR_E_PLAN);
}

/* Goal: the words of a refusal hold what is needed, and following them helps. */
static void test_plan_refusal_names_the_remedy(void)
{
    struct hsr_placement placement = placement_of(topologies[1], 0);
    struct hsr_plan_request request = { .memory = 64 * HSR_MIB, .depth = 64, .chunk = 4 << 20 };
    struct hsr_plan plan = { .shards = 77 };
    unsigned long long need = 0;
    char why[512];
    const char *option;

    CHECK_EQ(hsr_plan_make(&request, &placement, &plan, why, sizeof(why)), HSR_E_PLAN);
    CHECK_EQ(plan.shards, 77); /* written on success only */
    CHECK(strstr(why, "budget is 64 MiB") != NULL);
    CHECK(strstr(why, "--depth") != NULL);
    CHECK(strstr(why, "--chunk") != NULL);
    CHECK(strstr(why, "--streams") != NULL);
    option = strstr(why, "--memory ");
    CHECK(option != NULL && sscanf(option, "--memory %lluM", &need) == 1);
    request.memory = need * HSR_MIB;
    CHECK_EQ(hsr_plan_make(&request, &placement, &plan, why, sizeof(why)), 0);
    plan_check(&plan);
    CHECK_EQ(why[0], '\0');
    request.memory = 64 * HSR_MIB;
    request.depth = 2;
    CHECK_EQ(hsr_plan_make(&request, &placement, &plan, why, sizeof(why)), 0);
}

/* Goal: a small budget makes the defaults smaller, down to two chunks per stream, and never what
 * was asked for. */
static void test_plan_defaults_give_way(void)
{
    struct hsr_placement placement = placement_of(topologies[1], 0);
    struct hsr_plan plan;
    char why[512];

    for (int server = 0; server < 2; server++) {
        struct hsr_plan_request request = { .server = server, .memory = 48 * HSR_MIB };

        CHECK_EQ(hsr_plan_make(&request, &placement, &plan, why, sizeof(why)), 0);
        plan_check(&plan);
        CHECK(plan.depth >= 2);
        CHECK(plan.chunk >= HSR_DIGEST_LEAF_SIZE && plan.chunk % 4096 == 0);
        request.depth = plan.depth + 1;
        CHECK_EQ(hsr_plan_make(&request, &placement, &plan, why, sizeof(why)), 0);
        CHECK_EQ(plan.depth, request.depth);
        request.depth = 64;
        request.chunk = 4 << 20;
        request.streams = 8;
        CHECK_EQ(hsr_plan_make(&request, &placement, &plan, why, sizeof(why)), HSR_E_PLAN);
    }
}

/* Goal: a megabyte holds no plan, and even a byte of budget only gives words. */
static void test_plan_tiny_budget_is_refused(void)
{
    struct hsr_placement placement = placement_of(topologies[0], 0);

    for (int server = 0; server < 2; server++) {
        static const uint64_t sizes[] = { 1, 4096, HSR_MIB, 8 * HSR_MIB };

        for (size_t i = 0; i < HSR_ARRAY_COUNT(sizes); i++) {
            struct hsr_plan_request request = { .server = server, .memory = sizes[i] };
            struct hsr_plan plan;
            char why[512] = "";

            CHECK_EQ(hsr_plan_make(&request, &placement, &plan, why, sizeof(why)), HSR_E_PLAN);
            CHECK(strstr(why, "--memory") != NULL);
        }
    }
}

static void test_plan_nonsense_is_refused(void)
{
    static const struct hsr_plan_request requests[] = {
        { .chunk = 1 },
        { .chunk = 4095 },
        { .chunk = 4097 },
        { .chunk = HSR_CHUNK_SIZE_MAX + 4096 },
        { .chunk = UINT32_MAX },
        { .depth = HSR_DEPTH_MAX + 1 },
        { .depth = UINT32_MAX },
        { .streams = HSR_STREAMS_MAX + 1 },
        { .streams = UINT32_MAX },
        { .shards = HSR_SHARDS_MAX + 1 },
        { .shards = 1, .streams = 64, .depth = 256, .memory = UINT64_MAX / 2 },
    };
    struct hsr_placement placement = placement_of(topologies[1], 0);

    for (size_t i = 0; i < HSR_ARRAY_COUNT(requests); i++) {
        struct hsr_plan plan;
        char why[512] = "";

        CHECK_EQ(hsr_plan_make(&requests[i], &placement, &plan, why, sizeof(why)), HSR_E_PLAN);
        CHECK(why[0] != '\0');
    }
}

/* Goal: no room for words is no reason to write somewhere. */
static void test_plan_words_may_be_cut(void)
{
    struct hsr_placement placement = placement_of(topologies[1], 0);
    struct hsr_plan_request request = { .memory = 1 };
    struct hsr_plan plan;
    char why[8] = "#######";

    CHECK_EQ(hsr_plan_make(&request, &placement, &plan, NULL, 0), HSR_E_PLAN);
    CHECK_EQ(hsr_plan_make(&request, &placement, &plan, why, 4), HSR_E_PLAN);
    CHECK_EQ(why[3], '\0');
    CHECK_EQ(why[4], '#');
}

/* ---- printing ---- */

struct printed {
    unsigned lines, shards;
    uint64_t sum, total;
};

/* Every consumer's line: "name  bytes = factor x factor ..."; the factors give the bytes. */
static void printed_line(void *context, const char *text)
{
    struct printed *printed = context;
    uint64_t bytes, a = 0, b = 0, c = 0, d = 0;
    char name[32];

    printed->lines++;
    CHECK(strlen(text) < 120);
    CHECK(strchr(text, '\n') == NULL);
    if (sscanf(text, "total %" SCNu64, &printed->total) == 1)
        return;
    if (strncmp(text, "shard ", 6) == 0) {
        printed->shards++;
        CHECK(strstr(text, "cpu ") != NULL && strstr(text, "core ") != NULL &&
              strstr(text, "node ") != NULL);
        return;
    }
    if (sscanf(text, "%31s %" SCNu64 " = ", name, &bytes) != 2)
        return; /* words about a session */
    text = strchr(text, '=') + 2;
    if (strcmp(name, "buffers") == 0) {
        CHECK_EQ(sscanf(text,
                        "%" SCNu64 " shards x %" SCNu64 " buffers x (%" SCNu64
                        " payload + %" SCNu64,
                        &a, &b, &c, &d),
                 4);
        CHECK_EQ(bytes, a * b * (c + d));
    } else if (strcmp(name, "connections") == 0) {
        CHECK_EQ(
            sscanf(text, "%" SCNu64 " shards x %" SCNu64 " connections x %" SCNu64, &a, &b, &c), 3);
        CHECK_EQ(bytes, a * b * c);
    } else {
        CHECK_EQ(sscanf(text, "%" SCNu64 " %*s x %" SCNu64, &a, &b), 2);
        CHECK_EQ(bytes, a * b);
    }
    printed->sum += bytes;
}

/* Goal: what --print-plan says is an addition that comes out right, with a line per shard. */
static void test_plan_print_adds_up(void)
{
    for (size_t i = 0; i < HSR_ARRAY_COUNT(topologies); i++) {
        struct hsr_placement placement = placement_of(topologies[i], 0);

        for (int server = 0; server < 2; server++) {
            struct hsr_plan_request request = { .server = server };
            struct printed printed = { 0 };
            struct hsr_plan plan;
            char why[512];

            CHECK_EQ(hsr_plan_make(&request, &placement, &plan, why, sizeof(why)), 0);
            hsr_plan_print(&plan, &placement, printed_line, &printed);
            CHECK_EQ(printed.sum, plan.total);
            CHECK_EQ(printed.total, plan.total);
            CHECK_EQ(printed.shards, plan.shards);
        }
    }
}

/* ---- the two sockets of docs/TUNING.md ---- */

static const char *two_sockets, *tuning_path;

struct text {
    char bytes[8192];
    size_t size;
};

static void text_line(void *context, const char *line)
{
    struct text *text = context;

    text->size += (size_t)snprintf(text->bytes + text->size, sizeof(text->bytes) - text->size,
                                   "    %s\n", line);
    CHECK(text->size < sizeof(text->bytes));
}

/* Goal: the placement that docs/TUNING.md shows is what the code makes of that machine. */
static void test_plan_of_tuning_md(void)
{
    static const struct hsr_device near[] = { { .name = "eth1", .kind = HSR_DEVICE_NET },
                                              { .name = "nvme4n1", .kind = HSR_DEVICE_BLOCK } };
    struct hsr_place_request place = {
        .topology = two_sockets, .shards = 10, .near = near, .near_count = 2, .devices = true
    };
    struct hsr_plan_request request = { .server = true };
    struct hsr_placement placement;
    static struct text text;
    static char tuning[65536];
    struct hsr_plan plan;
    char why[512];
    const char *shown;
    FILE *file = fopen(tuning_path, "r");

    CHECK(file != NULL && fread(tuning, 1, sizeof(tuning) - 1, file) > 0);
    if (file != NULL)
        fclose(file);
    CHECK_EQ(hsr_place_decide(&place, &placement), 0);
    CHECK_EQ(hsr_plan_make(&request, &placement, &plan, why, sizeof(why)), 0);
    hsr_plan_print(&plan, &placement, text_line, &text);
    CHECK(strstr(text.bytes, "nic eth1: node 1, near shards 0-7\n") != NULL);
    CHECK(strstr(text.bytes, "disk nvme0n1: node 0, near shards 8-9\n") != NULL);
    CHECK(strstr(text.bytes, "first choice: node 1,") != NULL);
    shown = strstr(text.bytes, "    shard 0:"); /* the sums above it are those of any machine */
    CHECK(shown != NULL);
    if (shown != NULL && strstr(tuning, shown) == NULL)
        fprintf(stderr, "%s should hold:\n%s", tuning_path, shown);
    CHECK(shown != NULL && strstr(tuning, shown) != NULL);
    /* Nodes in turn: the list of near shards has no ranges. */
    place.near_count = 0;
    place.shards = 4;
    text.size = 0;
    CHECK_EQ(hsr_place_decide(&place, &placement), 0);
    CHECK_EQ(hsr_plan_make(&request, &placement, &plan, why, sizeof(why)), 0);
    hsr_plan_print(&plan, &placement, text_line, &text);
    CHECK(strstr(text.bytes, "nic eth1: node 1, near shards 1 3\n") != NULL);
    CHECK(strstr(text.bytes, "first choice") == NULL);
    place.shards = 1;
    text.size = 0;
    CHECK_EQ(hsr_place_decide(&place, &placement), 0);
    CHECK_EQ(hsr_plan_make(&request, &placement, &plan, why, sizeof(why)), 0);
    hsr_plan_print(&plan, &placement, text_line, &text);
    CHECK(strstr(text.bytes, "nic eth1: node 1, near shards none\n") != NULL);
}

int main(int argc, char **argv)
{
    static char topology[1024];

    if (argc != 3) {
        fprintf(stderr, "usage: test_plan MACHINES_DIRECTORY TUNING_MD\n");
        return 2;
    }
    (void)snprintf(topology, sizeof(topology), "xml:%s/two_sockets.xml", argv[1]);
    two_sockets = topology;
    tuning_path = argv[2];
    RUN(test_plan_of_tuning_md);
    RUN(test_plan_defaults_fit_everywhere);
    RUN(test_plan_defaults_of_two_cores);
    RUN(test_plan_memory_is_used);
    RUN(test_plan_sessions_asked_are_kept);
    RUN(test_plan_refusal_names_the_remedy);
    RUN(test_plan_defaults_give_way);
    RUN(test_plan_tiny_budget_is_refused);
    RUN(test_plan_nonsense_is_refused);
    RUN(test_plan_words_may_be_cut);
    RUN(test_plan_print_adds_up);
    TEST_END();
}
