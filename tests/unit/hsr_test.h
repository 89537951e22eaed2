/* What every unit test uses: CHECK keeps going and counts, RUN names the test, the exit code says
 * it all (77: skipped). */
#ifndef HSR_TEST_H
#define HSR_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int hsr_test_failures;
static int hsr_test_runs;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: CHECK(%s) failed\n", __FILE__, __LINE__, #condition);          \
            hsr_test_failures++;                                                                   \
        }                                                                                          \
    } while (0)

#define CHECK_EQ(a, b)                                                                             \
    do {                                                                                           \
        long long check_a = (long long)(a), check_b = (long long)(b);                              \
        if (check_a != check_b) {                                                                  \
            fprintf(stderr, "%s:%d: %s = %lld, %s = %lld\n", __FILE__, __LINE__, #a, check_a, #b,  \
                    check_b);                                                                      \
            hsr_test_failures++;                                                                   \
        }                                                                                          \
    } while (0)

#define RUN(test)                                                                                  \
    do {                                                                                           \
        int run_before = hsr_test_failures;                                                        \
        hsr_test_runs++;                                                                           \
        test();                                                                                    \
        if (hsr_test_failures != run_before)                                                       \
            fprintf(stderr, "FAILED %s\n", #test);                                                 \
    } while (0)

#define SKIP(reason)                                                                               \
    do {                                                                                           \
        fprintf(stderr, "skipped: %s\n", reason);                                                  \
        exit(77);                                                                                  \
    } while (0)

#define TEST_END()                                                                                 \
    do {                                                                                           \
        printf("%d tests, %d checks failed\n", hsr_test_runs, hsr_test_failures);                  \
        return hsr_test_failures ? 1 : 0;                                                          \
    } while (0)

#endif
