/* What a failed assertion does: say it in one write, let the hook save what helps, abort. */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ASSERT_TEXT_SIZE 512

static void (*assert_hook)(const char *text);
static _Thread_local int assert_depth;

void hsr_assert_hook_set(void (*hook)(const char *text))
{
    assert_hook = hook;
}

_Noreturn void hsr_assert_failed(const char *expression, const char *file, int line)
{
    char text[ASSERT_TEXT_SIZE];
    int size;

    /* An assertion that fails in the hook must not call the hook again. */
    if (assert_depth++ > 0)
        abort();

    size = snprintf(text, sizeof(text), "%s:%d: assertion failed: %s\n", file, line, expression);
    if (size < 0)
        size = 0;
    if ((size_t)size >= sizeof(text)) {
        size = (int)sizeof(text) - 1;
        text[size - 1] = '\n';
    }
    /* write(2), not stdio: the failure may have happened while a stream was locked. There is
     * nobody left to tell if it fails. */
    if (write(STDERR_FILENO, text, (size_t)size) < 0)
        abort();
    if (assert_hook != NULL)
        assert_hook(text);
    abort();
}
