/* Filter rules: input is u8 path size (bit 7: a directory), path, encoded rules. The encoded form
 * is tried as it came; then the same bytes are taken as one text rule, whose answer is compared
 * with a slow matcher that follows the description in docs/PROTOCOL.md word by word. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "tests/fuzz/fuzz.h"
#include "transfer/tree/filter.h"

#define SLOW_SIZE_MAX 64u /* the slow matcher keeps a table of pattern x text */

struct slow {
    uint8_t pattern[SLOW_SIZE_MAX + 4];
    size_t pattern_size;
    uint8_t text[SLOW_SIZE_MAX * 2 + 4];
    size_t text_size;
    /* 0: not known, 1: no, 2: yes */
    uint8_t memo[SLOW_SIZE_MAX + 5][SLOW_SIZE_MAX * 2 + 5];
};

static struct slow slow;

static bool in_class(const char *name, size_t size, uint8_t byte, bool *ret_known)
{
    static const struct {
        const char *name;
        int (*has)(int);
    } classes[] = {
        { "alnum", isalnum }, { "alpha", isalpha }, { "blank", isblank }, { "cntrl", iscntrl },
        { "digit", isdigit }, { "graph", isgraph }, { "lower", islower }, { "print", isprint },
        { "punct", ispunct }, { "space", isspace }, { "upper", isupper }, { "xdigit", isxdigit },
    };

    *ret_known = false;
    for (size_t i = 0; i < HSR_ARRAY_COUNT(classes); i++) {
        if (strlen(classes[i].name) == size && memcmp(classes[i].name, name, size) == 0) {
            *ret_known = true;
            return classes[i].has(byte) != 0;
        }
    }
    return false;
}

/* Does the set at pattern[at] == '[' hold @byte? 1, 0, or -1 when it is malformed; *ret_end is
 * behind its ']'. */
static int slow_set(size_t at, uint8_t byte, size_t *ret_end)
{
    const uint8_t *p = slow.pattern; /* NUL ended */
    bool negated = false;
    bool found = false;
    bool first = true;
    int low = -1; /* start of a possible range */

    at++;
    if (p[at] == '!' || p[at] == '^') {
        negated = true;
        at++;
    }
    for (;; first = false) {
        if (p[at] == 0)
            return -1;
        if (p[at] == ']' && !first)
            break;
        if (p[at] == '[' && p[at + 1] == ':') {
            const uint8_t *end = (const uint8_t *)strchr((const char *)p + at + 2, ']');
            const char *name = (const char *)p + at + 2;
            bool known;

            if (end == NULL)
                return -1;
            if ((const char *)end > name && end[-1] == ':') {
                found |= in_class(name, (size_t)((const char *)end - name) - 1, byte, &known);
                if (!known)
                    return -1;
                at = (size_t)(end - p) + 1;
                low = -1;
                continue;
            }
        }
        if (p[at] == '-' && low >= 0 && p[at + 1] != 0 && p[at + 1] != ']') {
            at++;
            if (p[at] == '\\')
                at++;
            if (p[at] == 0)
                return -1;
            found |= low <= byte && byte <= p[at];
            low = -1;
            at++;
            continue;
        }
        if (p[at] == '\\')
            at++;
        if (p[at] == 0)
            return -1;
        found |= p[at] == byte;
        low = p[at++];
    }
    *ret_end = at + 1;
    return found != negated && byte != '/';
}

static bool slow_glob(size_t p, size_t t)
{
    uint8_t *memo = &slow.memo[p][t];
    uint8_t byte = t < slow.text_size ? slow.text[t] : 0;
    bool left = t < slow.text_size;
    bool yes = false;
    size_t end;

    if (*memo != 0)
        return *memo == 2;
    if (p == slow.pattern_size) {
        yes = !left;
    } else if (slow.pattern[p] == '*') {
        size_t stars = 1;
        while (slow.pattern[p + stars] == '*')
            stars++;
        yes =
            slow_glob(p + stars, t) || (left && (stars > 1 || byte != '/') && slow_glob(p, t + 1));
    } else if (slow.pattern[p] == '?') {
        yes = left && byte != '/' && slow_glob(p + 1, t + 1);
    } else if (slow.pattern[p] == '[') {
        yes = left && slow_set(p, byte, &end) == 1 && slow_glob(end, t + 1);
    } else {
        if (slow.pattern[p] == '\\')
            p++;
        yes = left && p < slow.pattern_size && slow.pattern[p] == byte && slow_glob(p + 1, t + 1);
    }
    *memo = yes ? 2 : 1;
    return yes;
}

static bool slow_match_at(const uint8_t *text, size_t size)
{
    memset(slow.memo, 0, sizeof(slow.memo));
    memcpy(slow.text, text, size);
    slow.text_size = size;
    return slow_glob(0, 0);
}

static bool slow_excluded(const char *rule, size_t rule_size, const char *path, size_t path_size,
                          bool is_dir)
{
    uint8_t text[SLOW_SIZE_MAX * 2 + 4];
    size_t size = 0;
    size_t slashes = 0;
    size_t parts = 1;
    bool any, wild, tail;

    if (rule_size > 1 && rule[rule_size - 1] == '/') {
        rule_size--;
        if (!is_dir)
            return false;
    }
    memcpy(slow.pattern, rule, rule_size);
    memset(slow.pattern + rule_size, 0, sizeof(slow.pattern) - rule_size);
    slow.pattern_size = rule_size;
    any = strstr((char *)slow.pattern, "**") != NULL;
    wild = strpbrk((char *)slow.pattern, "*?[") != NULL;
    tail = rule_size >= 3 && memcmp(rule + rule_size - 3, "***", 3) == 0;
    for (size_t i = 0; i < rule_size; i++)
        slashes += rule[i] == '/';
    for (size_t i = 0; i < path_size; i++)
        parts += path[i] == '/';
    if (rule_size >= 2 && rule[0] == '*' && rule[1] == '*')
        text[size++] = '/';
    memcpy(text + size, path, path_size);
    size += path_size;
    if (tail && is_dir)
        text[size++] = '/';
    if (rule[0] == '/') {
        memmove(slow.pattern, slow.pattern + 1, rule_size);
        slow.pattern_size--;
    }
    if (!wild) { /* compared as it is */
        const uint8_t *end = text + size - slow.pattern_size;
        if (slow.pattern_size > size || memcmp(end, slow.pattern, slow.pattern_size) != 0)
            return false;
        return end == text || (rule[0] != '/' && end[-1] == '/');
    }
    if (rule[0] == '/' || (rule_size >= 2 && rule[0] == '*' && rule[1] == '*'))
        return slow_match_at(text, size);
    for (size_t i = 0; i < size; i++) { /* at each start of a part */
        if (i > 0 && text[i - 1] != '/')
            continue;
        if ((any || parts == slashes + 1) && slow_match_at(text + i, size - i))
            return true;
        parts--;
    }
    return false;
}

static void try_text(const char *rule, size_t rule_size, const char *path, size_t path_size,
                     bool is_dir)
{
    uint8_t encoded[SLOW_SIZE_MAX + 8];
    struct hsr_writer w = hsr_writer_init(encoded, sizeof(encoded));
    struct hsr_filter *filter = NULL;

    if (rule_size > SLOW_SIZE_MAX || path_size == 0 || path_size > SLOW_SIZE_MAX ||
        memchr(path, 0, path_size) != NULL || path[0] == '/' || path[path_size - 1] == '/')
        return;
    if (rule_size >= 2 && (rule[0] == '+' || rule[0] == '-') && rule[1] == ' ')
        return;
    if (hsr_rule_encode(&w, rule, rule_size, false) != 0)
        return;
    FUZZ_CHECK(hsr_filter_create((struct hsr_span){ encoded, w.offset }, &filter) == 0);
    FUZZ_CHECK(hsr_filter_excluded(filter, path, path_size, is_dir) ==
               slow_excluded(rule, rule_size, path, path_size, is_dir));
    hsr_filter_destroy(filter);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct hsr_filter *filter = NULL;
    size_t path_size;
    bool is_dir;
    int rc;

    if (size < 1)
        return 0;
    path_size = bytes[0] & 0x7f;
    is_dir = (bytes[0] & 0x80) != 0;
    bytes++;
    size--;
    if (path_size > size)
        return 0;
    rc = hsr_filter_create((struct hsr_span){ bytes + path_size, size - path_size }, &filter);
    FUZZ_CHECK(rc == 0 || rc == HSR_E_FILTER || rc == HSR_E_LIMIT || rc == HSR_E_TRUNCATED);
    if (rc == 0) {
        (void)hsr_filter_excluded(filter, (const char *)bytes, path_size, is_dir);
        hsr_filter_destroy(filter);
    }
    try_text((const char *)bytes + path_size, size - path_size, (const char *)bytes, path_size,
             is_dir);
    return 0;
}
