/* Assertions for our own bugs. They stay on in release builds. What a peer or a user sends is never
 * asserted: hsr_require() returns an error instead. */
#ifndef HSR_BASE_ASSERT_H
#define HSR_BASE_ASSERT_H

/** Called with what failed just before the process aborts; NULL removes it. Not thread safe: set
 * it once at start. The server uses it to dump its trace. */
void hsr_assert_hook_set(void (*hook)(const char *text));

/** Print the failed expression to stderr, run the hook, abort. */
_Noreturn void hsr_assert_failed(const char *expression, const char *file, int line);

#define hsr_assert(expression)                                                                     \
    do {                                                                                           \
        if (__builtin_expect(!(expression), 0))                                                    \
            hsr_assert_failed(#expression, __FILE__, __LINE__);                                    \
    } while (0)

/* For hot paths: only in strict builds (-Dstrict=true, and every sanitizer build of the tests). */
#ifdef HSR_STRICT
#define hsr_assert_hot(expression) hsr_assert(expression)
#else
#define hsr_assert_hot(expression)                                                                 \
    do {                                                                                           \
        (void)sizeof(expression);                                                                  \
    } while (0)
#endif

#define hsr_unreachable(what) hsr_assert_failed("unreachable: " what, __FILE__, __LINE__)

/** Return @code from the calling function unless @condition holds. For peer and user input. */
#define hsr_require(condition, code)                                                               \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0))                                                     \
            return (code);                                                                         \
    } while (0)

#endif
