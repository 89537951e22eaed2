/* What a target does before it gives a name where a file system cannot be synced as a whole.
 * Method: the descriptor that syncfs(2) would get is taken away. */
#include "tests/unit/server_fixture.h"

#include <sys/syscall.h>

#include "transfer/engine/shard.h"
#include "transfer/engine/target_impl.h"

#define DIGEST_SIZE 16u /* xxh3 */
#define SIZE 1000u

static int root_fd;
static unsigned syncs, named; /* of these: when it had its name already */

/* In place of the library's: what a hand syncs comes here. */
int fdatasync(int fd)
{
    syncs++;
    named += faccessat(root_fd, "f", F_OK, 0) == 0;
    return (int)syscall(SYS_fdatasync, fd);
}

static struct hsr_target *target_of(const struct fixture *fx)
{
    struct hsr_list *node = fx->engine->shards[0].sessions.next;

    return hsr_container_of(node, struct hsr_session, node)->target;
}

static void pack_send(struct raw *stream)
{
    static uint8_t out[HSR_FRAME_HEADER_SIZE + 1024 + SIZE];
    uint8_t *table = out + HSR_FRAME_HEADER_SIZE;
    size_t table_size = hsr_pack_table_size(1, DIGEST_SIZE);
    struct hsr_pack_member member = { .size = SIZE };
    struct hsr_frame frame = { .kind = HSR_FRAME_PACK,
                               .size = (uint32_t)table_size + SIZE,
                               .seq = stream->seq++ };

    memset(table + table_size, 'x', SIZE);
    hsr_digest_bytes(HSR_DIGEST_XXH3, table + table_size, SIZE, 65536, member.digest);
    hsr_pack_encode(&member, 1, DIGEST_SIZE, table);
    frame.check.low = hsr_hash64(table, table_size);
    hsr_frame_encode(&frame, out);
    raw_send(stream, out, HSR_FRAME_HEADER_SIZE + table_size + SIZE);
}

/* Goal: a small file is synced by itself, before it has its name. */
static void test_group_small_file_without_a_volume(void)
{
    struct hsr_open open = open_of(HSR_ROLE_SOURCE);
    struct hsr_entry entry = { .type = HSR_ENTRY_FILE,
                               .name = { (const uint8_t *)"f", 1 },
                               .mode = 0600,
                               .uid = getuid(),
                               .gid = getgid(),
                               .size = SIZE };
    uint8_t out[512], token[HSR_TOKEN_SIZE];
    struct hsr_writer writer = hsr_writer_init(out, sizeof(out));
    struct raw control, stream;
    struct hsr_span payload;
    struct hsr_frame frame = { 0 };
    struct hsr_volume *volume;
    struct fixture fx;

    open.durability = HSR_DURABILITY_DURABLE;
    fixture_start(&fx, 1);
    fx.writable = true;
    root_fd = fx.root_fd;
    raw_session(&fx, &control, &stream, hello_good.features, &open, token);
    volume = &target_of(&fx)->groups.volumes.list[0];
    volume->fd = -1;
    volume->memory = false; /* wherever this test runs */
    CHECK_EQ(hsr_entry_encode(&writer, &entry), 0);
    raw_frame(&control, HSR_FRAME_ENTRIES, out, writer.offset);
    raw_expect(&fx, &control, HSR_FRAME_WANT, &payload);
    pack_send(&stream);
    while (raw_wait(&fx, &control, &frame, &payload) && frame.kind != HSR_FRAME_PAGE_ACK)
        continue;
    CHECK_EQ(frame.kind, HSR_FRAME_PAGE_ACK);
    CHECK_EQ(faccessat(fx.root_fd, "f", F_OK, 0), 0);
    CHECK_EQ(syncs, 1);
    CHECK_EQ(named, 0);
    raw_close(&stream);
    raw_close(&control);
    fixture_stop(&fx);
}

/* Goal: a larger file is not left to a sync that does not come. */
static void test_group_large_file_without_a_volume(void)
{
    static struct target_page page;
    struct hsr_volume volume = { .fd = -1 };
    struct target_dir dir = { .dir.volume = &volume };
    struct hsr_target_file file = { .page = &page, .entry.size = TARGET_GROUP_LARGE_MAX - 1 };
    struct hsr_target *target = calloc(1, sizeof(*target));

    page.entries[0].dir = &dir;
    CHECK(!hsr_target_group_file(target, &file));
    CHECK_EQ(target->groups.staged, 0);
    free(target);
}

int main(void)
{
    RUN(test_group_small_file_without_a_volume);
    RUN(test_group_large_file_without_a_volume);
    TEST_END();
}
