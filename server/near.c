/* What a server serves: the disks behind its exports, the NICs behind its addresses, and which
 * shards are near them. */
#include <sys/stat.h>

#include "server/server.h"

unsigned near_find(const struct config *config, struct hsr_device near[NEAR_MAX])
{
    unsigned count = 0;
    struct stat st;

    for (unsigned i = 0; i < config->listener_count && count < NEAR_MAX; i++)
        count += hsr_device_of_address((const struct sockaddr *)&config->listeners[i].address,
                                       near + count, NEAR_MAX - count);
    for (unsigned i = 0; i < config->export_count && count < NEAR_MAX; i++)
        if (fstat(config->exports[i].fd, &st) == 0)
            count += hsr_device_of_dev("", st.st_dev, near + count, NEAR_MAX - count);
    return count;
}

uint64_t near_listener(const struct config *config, const struct hsr_placement *placement,
                       unsigned index)
{
    uint64_t nodes[CONFIG_LISTENERS_MAX];
    struct hsr_device nics[NEAR_MAX];

    for (unsigned i = 0; i < config->listener_count; i++) {
        const struct sockaddr *address = (const struct sockaddr *)&config->listeners[i].address;

        nodes[i] = hsr_place_nodes(placement, nics, hsr_device_of_address(address, nics, NEAR_MAX));
    }
    return near_share(placement, nodes, config->listener_count, index);
}

uint64_t near_share(const struct hsr_placement *placement, const uint64_t *nodes, unsigned count,
                    unsigned index)
{
    struct hsr_device all = { .nodes = 0 };

    hsr_assert(index < count);
    for (unsigned i = 0; i < count; i++)
        all.nodes |= nodes[i];
    for (unsigned i = 0; i < placement->count; i++)
        if (!hsr_device_is_near(&all, placement->shards[i].node))
            return 0;
    return nodes[index];
}
