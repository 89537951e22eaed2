/* What a list of filter rules costs for one path of the walk. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/util.h"
#include "bench/micro/rows.h"
#include "transfer/tree/filter.h"

#define PATH                                                                                       \
    "projects/hawser/transfer/engine/stream_source.c" /* no rule matches: all are tried            \
                                                       */
#define RULE_SIZE_MAX 64u

static const char *const usual[] = {
    "*.o",           "*.pyc",     "*~",    ".git/",      "build/",  "/tmp/***",
    "node_modules/", "*.sw[op]",  "core",  ".cache/",    "**/venv", "/proc/***",
    "lost+found/",   "Thumbs.db", "*.tmp", "/var/log/*",
};

static const char *filter_open(const struct hsr_micro_row *row, void **ret_state)
{
    size_t room = row->size * RULE_SIZE_MAX;
    uint8_t *rules = hsr_micro_alloc(room);
    struct hsr_writer w = hsr_writer_init(rules, room);
    struct hsr_filter *filter = NULL;
    char numbered[RULE_SIZE_MAX];

    for (size_t i = 0; i < row->size; i++) {
        const char *rule = row->what;

        if (rule == NULL && i < HSR_ARRAY_COUNT(usual))
            rule = usual[i];
        if (rule == NULL) {
            (void)snprintf(numbered, sizeof(numbered), "*.type%03zu", i); /* it fits */
            rule = numbered;
        }
        hsr_assert(hsr_rule_encode(&w, rule, strlen(rule), false) == 0);
    }
    hsr_assert(hsr_filter_create((struct hsr_span){ rules, w.offset }, &filter) == 0);
    hsr_assert(!hsr_filter_excluded(filter, PATH, sizeof(PATH) - 1, false));
    free(rules);
    *ret_state = filter;
    return NULL;
}

static void filter_run(void *state, uint64_t times)
{
    while (times-- > 0)
        hsr_micro_keep(hsr_filter_excluded(state, PATH, sizeof(PATH) - 1, false));
}

static void filter_close(void *state)
{
    hsr_filter_destroy(state);
}

#define FILTER(row_name, rule, count)                                                              \
    {                                                                                              \
        .name = row_name, .open = filter_open, .run = filter_run, .close = filter_close,           \
        .what = (rule), .size = (count), .counted = true                                           \
    }

static const struct hsr_micro_row rows[] = {
    FILTER("filter/name/1", "core", 1),
    FILTER("filter/suffix/1", "*.o", 1),
    FILTER("filter/anchored/1", "/var/log/*", 1),
    FILTER("filter/stars/1", "**/e*/s*_t*.c", 1), /* has to go back often */
    FILTER("filter/usual/16", NULL, 16),
    FILTER("filter/usual/256", NULL, 256),
};

const struct hsr_micro_table hsr_micro_filter = { rows, HSR_ARRAY_COUNT(rows) };
