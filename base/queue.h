/* Intrusive containers. A node is in at most one list; a node that is in none points to itself.
 * `hsr_list` is for one thread. `hsr_mpsc` is the only thing in the house that two threads touch:
 * many producers push, one consumer pops in order (Vyukov's intrusive queue). */
#ifndef HSR_BASE_QUEUE_H
#define HSR_BASE_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/assert.h"

struct hsr_list {
    struct hsr_list *next;
    struct hsr_list *prev;
};

static inline void hsr_list_init(struct hsr_list *list)
{
    list->next = list;
    list->prev = list;
}

static inline bool hsr_list_empty(const struct hsr_list *list)
{
    return list->next == list;
}

/** Is this node in some list? The node must have been initialised. */
static inline bool hsr_list_linked(const struct hsr_list *node)
{
    return node->next != node;
}

static inline void hsr_list_push_tail(struct hsr_list *list, struct hsr_list *node)
{
    hsr_assert_hot(!hsr_list_linked(node));
    node->prev = list->prev;
    node->next = list;
    list->prev->next = node;
    list->prev = node;
}

static inline void hsr_list_push_head(struct hsr_list *list, struct hsr_list *node)
{
    hsr_assert_hot(!hsr_list_linked(node));
    node->next = list->next;
    node->prev = list;
    list->next->prev = node;
    list->next = node;
}

/** Take the node out of its list; harmless when it is in none. */
static inline void hsr_list_remove(struct hsr_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    hsr_list_init(node);
}

static inline struct hsr_list *hsr_list_pop_head(struct hsr_list *list)
{
    struct hsr_list *node = list->next;

    if (node == list)
        return NULL;
    hsr_list_remove(node);
    return node;
}

/** Move every node of @from to the end of @to, in order. */
static inline void hsr_list_splice_tail(struct hsr_list *to, struct hsr_list *from)
{
    if (hsr_list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    hsr_list_init(from);
}

struct hsr_mpsc_node {
    _Atomic(struct hsr_mpsc_node *) next;
};

struct hsr_mpsc {
    _Atomic(struct hsr_mpsc_node *) tail; /* producers swap themselves in here */
    struct hsr_mpsc_node *head; /* the consumer's */
    struct hsr_mpsc_node dummy;
};

static inline void hsr_mpsc_init(struct hsr_mpsc *queue)
{
    atomic_store_explicit(&queue->dummy.next, NULL, memory_order_relaxed);
    atomic_store_explicit(&queue->tail, &queue->dummy, memory_order_relaxed);
    queue->head = &queue->dummy;
}

/** Any thread. The node is the queue's until hsr_mpsc_pop() returns it. */
static inline void hsr_mpsc_push(struct hsr_mpsc *queue, struct hsr_mpsc_node *node)
{
    struct hsr_mpsc_node *before;

    atomic_store_explicit(&node->next, NULL, memory_order_relaxed);
    before = atomic_exchange_explicit(&queue->tail, node, memory_order_acq_rel);
    atomic_store_explicit(&before->next, node, memory_order_release);
}

/** Consumer thread only. NULL when empty, or when a producer is between its two stores: it rings
 * the doorbell after the second, so nothing is lost. */
static inline struct hsr_mpsc_node *hsr_mpsc_pop(struct hsr_mpsc *queue)
{
    struct hsr_mpsc_node *head = queue->head;
    struct hsr_mpsc_node *next = atomic_load_explicit(&head->next, memory_order_acquire);

    if (head == &queue->dummy) {
        if (next == NULL)
            return NULL;
        queue->head = next;
        head = next;
        next = atomic_load_explicit(&head->next, memory_order_acquire);
    }
    if (next != NULL) {
        queue->head = next;
        return head;
    }
    if (head != atomic_load_explicit(&queue->tail, memory_order_acquire))
        return NULL;
    hsr_mpsc_push(queue, &queue->dummy);
    next = atomic_load_explicit(&head->next, memory_order_acquire);
    if (next == NULL)
        return NULL;
    queue->head = next;
    return head;
}

#endif
