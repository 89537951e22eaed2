/* Which shards accept on which listener, and what a server's own configuration says it is near. */
#include <arpa/inet.h>

#include "server/server.h"
#include "tests/unit/hsr_test.h"

static struct hsr_placement two_nodes(unsigned shards)
{
    struct hsr_placement placement = { 0 };

    CHECK_EQ(hsr_place_make(shards, "synthetic:pack:2 [numa] core:4 pu:1", NULL, &placement), 0);
    return placement;
}

/* Goal: a listener on each node's NIC is served by that node; as soon as one node would be left
 * without a listener, or a listener's NIC is not known, every shard serves it. */
static void test_near_listeners_share_nodes(void)
{
    static const uint64_t each[] = { 1, 2 }, one[] = { 1, 0 }, same[] = { 2, 2 }, wide[] = { 3, 0 };
    struct hsr_placement placement = two_nodes(0);

    CHECK_EQ(near_share(&placement, each, 2, 0), 1);
    CHECK_EQ(near_share(&placement, each, 2, 1), 2);
    CHECK_EQ(near_share(&placement, each, 1, 0), 0);
    CHECK_EQ(near_share(&placement, one, 2, 0), 0);
    CHECK_EQ(near_share(&placement, same, 2, 1), 0);
    CHECK_EQ(near_share(&placement, wide, 2, 0), 3);
    CHECK_EQ(near_share(&placement, wide, 2, 1), 0); /* a wildcard: all */
    placement = two_nodes(1); /* on node 0 only */
    CHECK_EQ(near_share(&placement, one, 2, 0), 1);
}

/* Goal: loopback is no NIC, and exports that are not there are no disk. */
static void test_near_of_nothing(void)
{
    static struct config config;
    struct hsr_placement placement = two_nodes(0);
    struct hsr_device near[NEAR_MAX];
    char why[CONFIG_WHY_SIZE];

    CHECK_EQ(near_find(&config, near), 0);
    CHECK_EQ(config_set(&config, "listen", "127.0.0.1:0", why), 0);
    CHECK_EQ(config_set(&config, "listen", "[::1]:0", why), 0);
    CHECK_EQ(config_add_export(&config, "data=/proc", why), 0);
    CHECK_EQ(near_find(&config, near), 0); /* not open yet */
    CHECK_EQ(config_exports_open(&config, why), 0);
    CHECK_EQ(near_find(&config, near), 0); /* open, and on no disk */
    CHECK_EQ(near_listener(&config, &placement, 1), 0);
    config_fini(&config);
}

int main(void)
{
    RUN(test_near_listeners_share_nodes);
    RUN(test_near_of_nothing);
    TEST_END();
}
