/* Lists for one thread, and the queue that many threads push to. */
#include <pthread.h>
#include <sched.h>
#include <stdint.h>

#include "base/queue.h"
#include "base/util.h"
#include "tests/unit/hsr_test.h"

struct item {
    struct hsr_list node;
    int value;
};

static void test_list_keeps_order(void)
{
    struct hsr_list list;
    struct item items[4];

    hsr_list_init(&list);
    CHECK(hsr_list_empty(&list));
    CHECK(hsr_list_pop_head(&list) == NULL);
    for (int i = 0; i < 4; i++) {
        items[i].value = i;
        hsr_list_init(&items[i].node);
        CHECK(!hsr_list_linked(&items[i].node));
    }
    hsr_list_push_tail(&list, &items[1].node);
    hsr_list_push_tail(&list, &items[2].node);
    hsr_list_push_head(&list, &items[0].node);
    hsr_list_push_tail(&list, &items[3].node);
    hsr_list_remove(&items[2].node);
    hsr_list_remove(&items[2].node); /* harmless the second time */
    CHECK(!hsr_list_linked(&items[2].node));

    static const int want[] = { 0, 1, 3 };
    for (size_t i = 0; i < HSR_ARRAY_COUNT(want); i++) {
        struct hsr_list *node = hsr_list_pop_head(&list);
        CHECK(node != NULL);
        CHECK_EQ(hsr_container_of(node, struct item, node)->value, want[i]);
        CHECK(!hsr_list_linked(node));
    }
    CHECK(hsr_list_empty(&list));
}

static void test_list_splice_moves_all_in_order(void)
{
    struct hsr_list a, b;
    struct item items[4];

    hsr_list_init(&a);
    hsr_list_init(&b);
    hsr_list_splice_tail(&a, &b); /* nothing to move */
    CHECK(hsr_list_empty(&a));
    for (int i = 0; i < 4; i++) {
        items[i].value = i;
        hsr_list_init(&items[i].node);
        hsr_list_push_tail(i < 2 ? &a : &b, &items[i].node);
    }
    hsr_list_splice_tail(&a, &b);
    CHECK(hsr_list_empty(&b));
    for (int i = 0; i < 4; i++)
        CHECK_EQ(hsr_container_of(hsr_list_pop_head(&a), struct item, node)->value, i);
    CHECK(hsr_list_empty(&a));
}

struct message {
    struct hsr_mpsc_node node;
    unsigned producer;
    unsigned sequence;
};

static void test_mpsc_one_thread_first_in_first_out(void)
{
    struct hsr_mpsc queue;
    struct message messages[3];

    hsr_mpsc_init(&queue);
    CHECK(hsr_mpsc_pop(&queue) == NULL);
    for (int round = 0; round < 3; round++) { /* nodes and the dummy are used again */
        for (unsigned i = 0; i < 3; i++)
            hsr_mpsc_push(&queue, &messages[i].node);
        for (unsigned i = 0; i < 3; i++)
            CHECK(hsr_mpsc_pop(&queue) == &messages[i].node);
        CHECK(hsr_mpsc_pop(&queue) == NULL);
    }
}

#define PRODUCERS 4u
#define MESSAGES 50000u

struct producer {
    struct hsr_mpsc *queue;
    struct message *messages;
    unsigned index;
};

static void *producer_main(void *context)
{
    struct producer *producer = context;

    for (unsigned i = 0; i < MESSAGES; i++) {
        producer->messages[i].producer = producer->index;
        producer->messages[i].sequence = i;
        hsr_mpsc_push(producer->queue, &producer->messages[i].node);
    }
    return NULL;
}

/* Goal: nothing is lost, doubled or reordered within a producer; the thread sanitizer sees every
 * field of a message ordered by the queue alone. */
static void test_mpsc_four_producers(void)
{
    struct hsr_mpsc queue;
    struct producer producers[PRODUCERS];
    pthread_t threads[PRODUCERS];
    unsigned next[PRODUCERS] = { 0 };

    hsr_mpsc_init(&queue);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){ &queue, calloc(MESSAGES, sizeof(struct message)), i };
        CHECK(producers[i].messages != NULL);
        CHECK_EQ(pthread_create(&threads[i], NULL, producer_main, &producers[i]), 0);
    }
    for (unsigned count = 0; count < PRODUCERS * MESSAGES;) {
        struct hsr_mpsc_node *node = hsr_mpsc_pop(&queue);
        if (node == NULL) {
            sched_yield();
            continue;
        }
        struct message *message = hsr_container_of(node, struct message, node);
        if (message->producer >= PRODUCERS || message->sequence != next[message->producer]) {
            break; /* lost, doubled or out of order: the counts below say so */
        }
        next[message->producer]++;
        count++;
    }
    for (unsigned i = 0; i < PRODUCERS; i++) {
        pthread_join(threads[i], NULL);
        CHECK_EQ(next[i], MESSAGES);
        free(producers[i].messages);
    }
    CHECK(hsr_mpsc_pop(&queue) == NULL);
}

int main(void)
{
    RUN(test_list_keeps_order);
    RUN(test_list_splice_moves_all_in_order);
    RUN(test_mpsc_one_thread_first_in_first_out);
    RUN(test_mpsc_four_producers);
    TEST_END();
}
