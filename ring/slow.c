/* The thread for calls that sleep long; see slow.h. */
#include "ring/slow.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/base.h"

static void *slow_thread(void *context);

int hsr_slow_start(struct hsr_slow *slow, struct hsr_backend *backend)
{
    int rc;

    slow->backend = backend;
    hsr_list_init(&slow->waiting);
    hsr_list_init(&slow->done);
    atomic_init(&slow->done_count, 0);
    atomic_init(&slow->usage_fd, -1);
    (void)pthread_mutex_init(&slow->lock, NULL); /* cannot fail with default attributes */
    (void)pthread_cond_init(&slow->come, NULL);
    rc = pthread_create(&slow->thread, NULL, slow_thread, slow);
    slow->started = rc == 0;
    return -rc;
}

void hsr_slow_run(struct hsr_slow *slow, struct hsr_op *op)
{
    (void)pthread_mutex_lock(&slow->lock);
    hsr_list_push_tail(&slow->waiting, &op->node);
    (void)pthread_cond_signal(&slow->come);
    (void)pthread_mutex_unlock(&slow->lock);
}

bool hsr_slow_done(const struct hsr_slow *slow)
{
    return atomic_load_explicit(&slow->done_count, memory_order_acquire) > 0;
}

struct hsr_op *hsr_slow_take(struct hsr_slow *slow)
{
    struct hsr_list *node;

    if (!hsr_slow_done(slow))
        return NULL;
    (void)pthread_mutex_lock(&slow->lock);
    node = hsr_list_pop_head(&slow->done);
    atomic_fetch_sub_explicit(&slow->done_count, 1, memory_order_relaxed);
    (void)pthread_mutex_unlock(&slow->lock);
    hsr_assert(node != NULL);
    return hsr_container_of(node, struct hsr_op, node);
}

bool hsr_slow_usage(const struct hsr_slow *slow, struct hsr_usage *ret_usage)
{
    return hsr_schedstat_read(atomic_load_explicit(&slow->usage_fd, memory_order_acquire),
                              ret_usage);
}

/* "ran waited slices": nanoseconds on a core, nanoseconds runnable without one, and a count. */
bool hsr_schedstat_read(int fd, struct hsr_usage *ret_usage)
{
    unsigned long long cpu_ns, delay_ns;
    char text[96];
    ssize_t size;

    if (fd < 0)
        return false;
    size = pread(fd, text, sizeof(text) - 1, 0);
    if (size <= 0)
        return false;
    text[size] = '\0';
    if (sscanf(text, "%llu %llu", &cpu_ns, &delay_ns) != 2)
        return false;
    *ret_usage = (struct hsr_usage){ .cpu_ns = cpu_ns, .delay_ns = delay_ns };
    return true;
}

void hsr_slow_stop(struct hsr_slow *slow)
{
    if (!slow->started)
        return;
    (void)pthread_mutex_lock(&slow->lock);
    slow->stop = true;
    (void)pthread_cond_signal(&slow->come);
    (void)pthread_mutex_unlock(&slow->lock);
    (void)pthread_join(slow->thread, NULL);
    if (atomic_load(&slow->usage_fd) >= 0)
        (void)close(atomic_load(&slow->usage_fd)); /* only read */
    (void)pthread_cond_destroy(&slow->come);
    (void)pthread_mutex_destroy(&slow->lock);
    slow->started = false;
}

static void *slow_thread(void *context)
{
    struct hsr_slow *slow = context;

    atomic_store(&slow->usage_fd, open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC));
    (void)pthread_mutex_lock(&slow->lock);
    for (;;) {
        struct hsr_list *node = hsr_list_pop_head(&slow->waiting);
        struct hsr_op *op;

        if (node == NULL && slow->stop)
            break;
        if (node == NULL) {
            (void)pthread_cond_wait(&slow->come, &slow->lock);
            continue;
        }
        op = hsr_container_of(node, struct hsr_op, node);
        (void)pthread_mutex_unlock(&slow->lock);
        op->res = hsr_syscall_run(op);
        (void)pthread_mutex_lock(&slow->lock);
        hsr_list_push_tail(&slow->done, &op->node);
        atomic_fetch_add_explicit(&slow->done_count, 1, memory_order_release);
        slow->backend->ops->wake(slow->backend);
    }
    (void)pthread_mutex_unlock(&slow->lock);
    return NULL;
}
