/* Goal: a trace holds the newest spans in order and what it writes can be read.
 * Method: spans by hand beyond its room; a loop over the null backend; the file is read back. */
#include "hsr_test.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "ring/ring.h"

static void idle_run(struct hsr_task *task)
{
    (void)task;
}

static char *written(const struct hsr_trace *trace, size_t *ret_size)
{
    char path[] = "/tmp/hsr_trace_XXXXXX";
    int fd = mkstemp(path);
    off_t size;
    char *text;

    CHECK(fd >= 0);
    CHECK(unlink(path) == 0);
    CHECK_EQ(hsr_trace_write(trace, 7, fd), 0);
    size = lseek(fd, 0, SEEK_END);
    text = malloc((size_t)size + 1);
    CHECK(text != NULL);
    CHECK_EQ(pread(fd, text, (size_t)size, 0), size);
    text[size] = '\0';
    close(fd);
    *ret_size = (size_t)size;
    return text;
}

static void test_trace_keeps_the_newest(void)
{
    struct hsr_trace *trace = hsr_trace_create();
    size_t size, lines = 0;
    char *text;

    CHECK(trace != NULL);
    for (uint64_t i = 0; i < HSR_TRACE_SPANS + 10; i++)
        hsr_trace_add(trace, HSR_SPAN_TASK, "task name", i * 10, i * 10 + 4);
    hsr_trace_add(trace, HSR_SPAN_SLEEP, "sleep", 5, 5 + (UINT64_C(1) << 40)); /* cut */
    text = written(trace, &size);
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    CHECK_EQ(lines, HSR_TRACE_SPANS);
    CHECK(strstr(text, "{\"loop\":7,\"kind\":\"task\",\"name\":\"task name\",\"start_ns\":110,"
                       "\"size_ns\":4}\n") == text);
    CHECK(strstr(text, "{\"loop\":7,\"kind\":\"sleep\",\"name\":\"sleep\",\"start_ns\":5,"
                       "\"size_ns\":4294967295}\n") != NULL);
    free(text);
    hsr_trace_destroy(trace);
}

static void test_trace_refused_by_the_file(void)
{
    struct hsr_trace *trace = hsr_trace_create();

    CHECK(trace != NULL);
    CHECK_EQ(hsr_trace_write(trace, 0, -1), 0); /* nothing to write */
    hsr_trace_add(trace, HSR_SPAN_ENTER, "enter", 1, 2);
    CHECK_EQ(hsr_trace_write(trace, 0, -1), -EBADF);
    hsr_trace_destroy(trace);
}

static void test_trace_of_a_loop(void)
{
    struct hsr_backend *backend;
    struct hsr_loop loop;
    struct hsr_task task;
    size_t size;
    char *text;

    CHECK_EQ(hsr_null_create(&backend), 0);
    CHECK_EQ(hsr_loop_init(&loop, backend, 0), 0);
    hsr_task_init(&task, "my task", idle_run);
    hsr_loop_wake(&loop, &task);
    (void)hsr_loop_turn(&loop, false); /* without a trace nothing is kept */
    CHECK(loop.trace == NULL);
    CHECK_EQ(hsr_loop_trace(&loop), 0);
    hsr_loop_wake(&loop, &task);
    (void)hsr_loop_turn(&loop, false);
    CHECK_EQ(loop.trace->count, 4);
    text = written(loop.trace, &size);
    CHECK(strstr(text, "\"kind\":\"handlers\"") != NULL);
    CHECK(strstr(text, "\"name\":\"my task\"") != NULL);
    CHECK(strstr(text, "\"name\":\"hand over\"") != NULL);
    CHECK(strstr(text, "\"name\":\"enter\"") != NULL);
    free(text);
    hsr_loop_fini(&loop);
}

int main(void)
{
    RUN(test_trace_keeps_the_newest);
    RUN(test_trace_refused_by_the_file);
    RUN(test_trace_of_a_loop);
    TEST_END();
}
