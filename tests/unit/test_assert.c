/* A failed assertion says where, runs the hook once and aborts; hsr_require only returns. */
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "tests/unit/hsr_test.h"

static void hook_prints(const char *text)
{
    printf("hook: %s", text);
    fflush(stdout);
}

static void hook_fails_too(const char *text)
{
    hook_prints(text);
    hsr_assert(text == NULL);
}

static void child_plain(void)
{
    hsr_assert(1 + 1 == 2);
    hsr_assert(1 + 1 == 3);
}

static void child_hook(void)
{
    hsr_assert_hook_set(hook_prints);
    hsr_unreachable("the end");
}

static void child_hook_fails(void)
{
    hsr_assert_hook_set(hook_fails_too);
    hsr_assert(getpid() == 0);
}

static void child_long(void)
{
    char expression[2000];

    memset(expression, 'e', sizeof(expression));
    expression[sizeof(expression) - 1] = '\0';
    hsr_assert_failed(expression, "file.c", 1);
}

/* Run @child in a process of its own; how it ended, and what it wrote to both outputs. */
static int run_child(void (*child)(void), char *text, size_t size)
{
    int pipes[2], status = -1;
    size_t at = 0;
    ssize_t got;
    pid_t pid;

    if (pipe(pipes) < 0)
        return -1;
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
        signal(SIGABRT, SIG_DFL); /* sanitizers may have taken it */
        dup2(pipes[1], STDOUT_FILENO);
        dup2(pipes[1], STDERR_FILENO);
        child();
        _exit(0);
    }
    close(pipes[1]);
    while (at + 1 < size && (got = read(pipes[0], text + at, size - at - 1)) > 0)
        at += (size_t)got;
    text[at] = '\0';
    close(pipes[0]);
    waitpid(pid, &status, 0);
    return status;
}

static bool aborted(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void test_assert_says_what_and_where(void)
{
    char text[4096];

    CHECK(aborted(run_child(child_plain, text, sizeof(text))));
    CHECK(strstr(text, "test_assert.c:") != NULL);
    CHECK(strstr(text, "1 + 1 == 3") != NULL);
    CHECK(strstr(text, "1 + 1 == 2") == NULL);
}

static void test_assert_runs_hook(void)
{
    char text[4096];

    CHECK(aborted(run_child(child_hook, text, sizeof(text))));
    CHECK(strstr(text, "hook: ") != NULL);
    CHECK(strstr(text, "unreachable: the end") != NULL);
}

/* Goal: a hook that fails an assertion itself does not run for ever. */
static void test_assert_hook_that_fails_runs_once(void)
{
    char text[4096];
    const char *first;

    CHECK(aborted(run_child(child_hook_fails, text, sizeof(text))));
    first = strstr(text, "hook: ");
    CHECK(first != NULL);
    CHECK(first == NULL || strstr(first + 1, "hook: ") == NULL);
}

static void test_assert_long_text_is_cut(void)
{
    char text[4096];

    CHECK(aborted(run_child(child_long, text, sizeof(text))));
    CHECK(strlen(text) > 100 && strlen(text) < 1000);
    CHECK(text[strlen(text) - 1] == '\n');
}

static int require_positive(int value)
{
    hsr_require(value > 0, -7);
    return value;
}

static void test_require_returns_the_code(void)
{
    CHECK_EQ(require_positive(3), 3);
    CHECK_EQ(require_positive(0), -7);
}

int main(void)
{
    RUN(test_assert_says_what_and_where);
    RUN(test_assert_runs_hook);
    RUN(test_assert_hook_that_fails_runs_once);
    RUN(test_assert_long_text_is_cut);
    RUN(test_require_returns_the_code);
    TEST_END();
}
