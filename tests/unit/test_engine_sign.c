/* Signatures in slices: the same sums however a base is cut, by calls and by reads; what becomes
 * shorter is told; nothing stays in the kernel's hands. */
#include "transfer/engine/sign.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/prng.h"
#include "tree_test.h"

#define BASE_SIZE (3 * HSR_MIB + 12345)

struct signing {
    struct tree_fixture fx;
    struct hsr_task task;
    unsigned woken;
    struct hsr_delta_key key;
    uint8_t *bytes, *memory, *sums;
    int fd;
};

static struct signing *signing_now;

static void signing_woken(struct hsr_task *task)
{
    (void)task;
    signing_now->woken++;
}

static void signing_init(struct signing *s)
{
    struct hsr_prng prng = hsr_prng_init(5);
    uint8_t secret[HSR_DELTA_KEY_SIZE] = { 1, 2, 3 };

    memset(s, 0, sizeof(*s));
    signing_now = s;
    tree_fixture_init(&s->fx);
    hsr_task_init(&s->task, "test", signing_woken);
    hsr_delta_key_init(&s->key, secret);
    s->bytes = malloc(BASE_SIZE);
    s->sums = malloc(HSR_MIB);
    s->memory = aligned_alloc(4096, HSR_SIGN_MEMORY);
    for (size_t i = 0; i < BASE_SIZE; i++)
        s->bytes[i] = (uint8_t)hsr_prng_next(&prng);
    s->fd = openat(s->fx.fd, "base", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK_EQ(write(s->fd, s->bytes, BASE_SIZE), BASE_SIZE);
}

static void signing_fini(struct signing *s)
{
    close(s->fd);
    free(s->bytes);
    free(s->sums);
    free(s->memory);
    tree_fixture_fini(&s->fx);
}

/* To its end; how often it had to wait. */
static unsigned signing_run(struct signing *s, struct hsr_sign *sign)
{
    enum hsr_sign_result result;
    unsigned waits = 0;

    hsr_sign_begin(sign, &s->fx.loop, &s->task, s->memory);
    while ((result = hsr_sign_step(sign, 0)) != HSR_SIGN_DONE) {
        waits += result == HSR_SIGN_WAITS;
        if (result == HSR_SIGN_WAITS)
            (void)hsr_loop_turn(&s->fx.loop, /* may_sleep= */ false);
    }
    return waits;
}

/* Goal: sums do not depend on block size, way of reading, or how the base is cut into parts.
 * Method: compare with the sums of the whole in one call. */
static void test_sign_equals_one_call(void)
{
    static const uint32_t blocks[] = { 512, 4096, 262144, HSR_DELTA_BLOCK_MAX };
    uint8_t *expect = malloc(HSR_MIB);
    struct signing s;

    signing_init(&s);
    for (unsigned i = 0; i < 2 * HSR_ARRAY_COUNT(blocks); i++) {
        struct hsr_delta_plan plan = { BASE_SIZE, blocks[i / 2], 7 };
        bool call = i & 1;
        uint64_t middle = 2 * HSR_MIB;
        unsigned waits;

        CHECK_EQ(hsr_delta_sign(&plan, &s.key, s.bytes, BASE_SIZE, 0, expect),
                 hsr_delta_blocks(&plan));
        memset(s.sums, 0, HSR_MIB);
        struct hsr_sign sign = { .fd = s.fd, .io = { .call = call }, .plan = plan, .key = &s.key };
        sign.offset = 0, sign.end = middle, sign.sums = s.sums;
        CHECK_EQ(hsr_sign_size(&plan, 0, BASE_SIZE), hsr_delta_signature_size(&plan));
        waits = signing_run(&s, &sign);
        CHECK_EQ(sign.rc, 0);
        sign.offset = middle, sign.end = BASE_SIZE;
        sign.sums = s.sums + hsr_sign_size(&plan, 0, middle);
        waits += signing_run(&s, &sign);
        CHECK_EQ(sign.rc, 0);
        CHECK(call ? waits == 0 : waits > 0);
        CHECK(memcmp(s.sums, expect, hsr_delta_signature_size(&plan)) == 0);
    }
    CHECK(s.woken > 0);
    signing_fini(&s);
    free(expect);
}

/* Goal: a base that is shorter than it was is found out, by both ways, with every read home. */
static void test_sign_base_became_shorter(void)
{
    struct signing s;

    signing_init(&s);
    CHECK_EQ(ftruncate(s.fd, HSR_MIB + 100), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct hsr_sign sign = { .fd = s.fd,
                                 .io = { .call = i & 1 },
                                 .plan = { BASE_SIZE, 4096, 7 },
                                 .key = &s.key,
                                 .end = BASE_SIZE,
                                 .sums = s.sums };

        (void)signing_run(&s, &sign);
        CHECK_EQ(sign.rc, HSR_E_CHANGED);
        CHECK_EQ(s.fx.loop.armed, 0);
    }
    signing_fini(&s);
}

/* Goal: one that is stopped gives its memory back only when no read is under way. */
static void test_sign_stop(void)
{
    struct hsr_sign sign = { .plan = { BASE_SIZE, 4096, 7 }, .end = BASE_SIZE };
    struct signing s;

    signing_init(&s);
    sign.fd = s.fd;
    sign.key = &s.key;
    sign.sums = s.sums;
    hsr_sign_begin(&sign, &s.fx.loop, &s.task, s.memory);
    CHECK_EQ(hsr_sign_step(&sign, 0), HSR_SIGN_WAITS);
    CHECK(!hsr_sign_stop(&sign));
    while (!hsr_sign_stop(&sign))
        (void)hsr_loop_turn(&s.fx.loop, /* may_sleep= */ false);
    CHECK_EQ(s.fx.loop.armed, 0);
    signing_fini(&s);
}

int main(void)
{
    RUN(test_sign_equals_one_call);
    RUN(test_sign_base_became_shorter);
    RUN(test_sign_stop);
    TEST_END();
}
