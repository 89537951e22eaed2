/* Filter rules: encoded as u8 kind (0 exclude, 1 include), u16 size, pattern bytes, one after the
 * other. Patterns are compiled to tokens once; a match walks path and tokens with two points to go
 * back to, the last `*` and the last `**`: earlier ones need no second look, because the parts
 * between them were placed as far left as they go. So the cost is bounded by path x pattern for
 * each directory level of the pattern, never exponential. */
#include "transfer/tree/filter.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/err.h"

#define RULE_HEAD_SIZE 3u /* kind, size */
#define RULE_PATTERN_SIZE_MAX 4096u /* a pattern longer than a usual path helps nobody */
/* what compiling may add to one token a byte: leading `**` and '/' */
#define RULE_TOKENS_EXTRA 2u

enum rule_kind { RULE_EXCLUDE = 0, RULE_INCLUDE = 1, RULE_KIND_COUNT };

enum token_kind {
    TOKEN_BYTE, /* this byte */
    TOKEN_ONE, /* `?`: any byte but '/' */
    TOKEN_SET, /* a byte of a set */
    TOKEN_STAR, /* any bytes but '/' */
    TOKEN_ANY, /* any bytes */
};

struct token {
    uint8_t kind;
    uint8_t byte;
    uint32_t set; /* index into filter->sets */
};

struct byte_set {
    uint64_t bits[4];
};

struct rule {
    bool include;
    bool dir_only; /* had a trailing '/' */
    bool literal; /* no wildcard: bytes are compared, backslash included */
    bool anchored; /* started with '/' */
    bool never; /* malformed set or trailing backslash: rsync matches nothing, so do we */
    bool lead_slash; /* match against '/' + path, so that a leading `**` + '/' finds the top */
    bool tail_slash; /* ends in `***`: match a directory as path + '/' */
    uint32_t parts; /* compare only that many last parts of the path; 0: all of it */
    const uint8_t *pattern; /* literal: bytes to compare, without outer slashes */
    size_t size;
    uint32_t token_first;
    uint32_t token_count;
};

struct hsr_filter {
    uint32_t rule_count;
    uint32_t token_count;
    uint32_t set_count;
    struct rule *rules;
    struct token *tokens;
    struct byte_set *sets;
    uint8_t *bytes; /* copy of the encoded form; literals point into it */
};

static void set_add(struct byte_set *set, unsigned first, unsigned last)
{
    for (unsigned byte = first; byte <= last; byte++)
        set->bits[byte / 64] |= 1ull << (byte % 64);
}

static bool set_has(const struct byte_set *set, uint8_t byte)
{
    return (set->bits[byte / 64] >> (byte % 64) & 1) != 0;
}

/* ---- text to encoded form ---- */

int hsr_rule_encode(struct hsr_writer *writer, const char *text, size_t text_size, bool include)
{
    struct hsr_writer w = *writer;

    if (text_size >= 2 && (text[0] == '+' || text[0] == '-') && text[1] == ' ') {
        include = text[0] == '+';
        text += 2;
        text_size -= 2;
    }
    hsr_require(text_size > 0 && memchr(text, '\0', text_size) == NULL, HSR_E_FILTER);
    /* To rsync a lone `!` means "forget all rules": rather no rule than another meaning. */
    hsr_require(!(text_size == 1 && text[0] == '!'), HSR_E_FILTER);
    hsr_require(text_size <= RULE_PATTERN_SIZE_MAX, HSR_E_LIMIT);
    hsr_put_u8(&w, include ? RULE_INCLUDE : RULE_EXCLUDE);
    hsr_put_u16(&w, (uint16_t)text_size);
    hsr_put_bytes(&w, text, text_size);
    hsr_require(!w.failed && w.offset <= HSR_RULES_SIZE_MAX, HSR_E_LIMIT);
    *writer = w;
    return 0;
}

/* ---- compiling ---- */

/* The byte at @at, 0 behind the end: patterns hold no NUL, so the parsers need one test only. */
static uint8_t pattern_at(struct hsr_span pattern, size_t at)
{
    return at < pattern.size ? pattern.ptr[at] : 0;
}

/* Add a named class to the set; false when there is none of that name. The C locale's classes,
 * written out: what a rule means must not depend on who runs it. */
static bool set_add_class(struct byte_set *set, const uint8_t *name, size_t size)
{
    static const struct {
        const char *name;
        uint8_t ranges[4][2]; /* first, last; {0, 0} ends */
    } classes[] = {
        { "alnum", { { '0', '9' }, { 'A', 'Z' }, { 'a', 'z' } } },
        { "alpha", { { 'A', 'Z' }, { 'a', 'z' } } },
        { "blank", { { ' ', ' ' }, { '\t', '\t' } } },
        { "cntrl", { { 1, 31 }, { 127, 127 } } },
        { "digit", { { '0', '9' } } },
        { "graph", { { '!', '~' } } },
        { "lower", { { 'a', 'z' } } },
        { "print", { { ' ', '~' } } },
        { "punct", { { '!', '/' }, { ':', '@' }, { '[', '`' }, { '{', '~' } } },
        { "space", { { ' ', ' ' }, { '\t', '\r' } } },
        { "upper", { { 'A', 'Z' } } },
        { "xdigit", { { '0', '9' }, { 'A', 'F' }, { 'a', 'f' } } },
    };

    for (size_t i = 0; i < HSR_ARRAY_COUNT(classes); i++) {
        if (strlen(classes[i].name) != size || memcmp(classes[i].name, name, size) != 0)
            continue;
        for (size_t j = 0; j < 4 && classes[i].ranges[j][0] != 0; j++)
            set_add(set, classes[i].ranges[j][0], classes[i].ranges[j][1]);
        return true;
    }
    return false;
}

/* "[:name:]" at @at. Returns the offset of its last byte, @at when this is no class but a plain
 * '[', or 0 when it is malformed. */
static size_t set_parse_class(struct hsr_span pattern, size_t at, struct byte_set *set)
{
    size_t first = at + 2;
    size_t end = first;

    while (pattern_at(pattern, end) != 0 && pattern_at(pattern, end) != ']')
        end++;
    if (pattern_at(pattern, end) == 0)
        return 0;
    if (end == first || pattern.ptr[end - 1] != ':') {
        set_add(set, '[', '[');
        return at;
    }
    return set_add_class(set, pattern.ptr + first, end - 1 - first) ? end : 0;
}

/* The set whose '[' is at @at. Returns the offset of its ']', or 0 when it is malformed. A ']' that
 * comes first is a member; '-' makes a range unless it is first, last, or behind a range or class;
 * backslash takes the next byte as it is; '/' is in no set. */
static size_t set_parse(struct hsr_span pattern, size_t at, struct byte_set *ret_set)
{
    struct byte_set set = { { 0 } };
    bool negated = false;
    uint8_t before = 0; /* what a range may start with */

    at++;
    if (pattern_at(pattern, at) == '!' || pattern_at(pattern, at) == '^') {
        negated = true;
        at++;
    }
    do {
        uint8_t byte = pattern_at(pattern, at);
        uint8_t after = pattern_at(pattern, at + 1);

        if (byte == '-' && before != 0 && after != 0 && after != ']') {
            at++;
            if (after == '\\')
                after = pattern_at(pattern, ++at);
            if (after == 0)
                return 0;
            if (before <= after)
                set_add(&set, before, after);
            before = 0;
        } else if (byte == '[' && after == ':') {
            size_t end = set_parse_class(pattern, at, &set);
            if (end == 0)
                return 0;
            before = end == at ? '[' : 0;
            at = end;
        } else {
            if (byte == '\\')
                byte = pattern_at(pattern, ++at);
            if (byte == 0)
                return 0;
            set_add(&set, byte, byte);
            before = byte;
        }
        at++;
    } while (pattern_at(pattern, at) != ']');

    for (size_t i = 0; negated && i < HSR_ARRAY_COUNT(set.bits); i++)
        set.bits[i] = ~set.bits[i];
    set.bits['/' / 64] &= ~(1ull << ('/' % 64));
    *ret_set = set;
    return at;
}

static void token_add(struct hsr_filter *filter, enum token_kind kind, uint8_t byte, uint32_t set)
{
    filter->tokens[filter->token_count++] =
        (struct token){ .kind = (uint8_t)kind, .byte = byte, .set = set };
}

/* One token a byte at most. False: the pattern can match nothing. */
static bool pattern_compile(struct hsr_filter *filter, struct hsr_span pattern)
{
    for (size_t at = 0; at < pattern.size; at++) {
        uint8_t byte = pattern.ptr[at];

        if (byte == '*') {
            size_t first = at;
            while (pattern_at(pattern, at + 1) == '*')
                at++;
            token_add(filter, at > first ? TOKEN_ANY : TOKEN_STAR, 0, 0);
        } else if (byte == '?') {
            token_add(filter, TOKEN_ONE, 0, 0);
        } else if (byte == '[') {
            at = set_parse(pattern, at, &filter->sets[filter->set_count]);
            if (at == 0)
                return false;
            token_add(filter, TOKEN_SET, 0, filter->set_count++);
        } else {
            if (byte == '\\')
                byte = pattern_at(pattern, ++at);
            if (byte == 0)
                return false;
            token_add(filter, TOKEN_BYTE, byte, 0);
        }
    }
    return true;
}

static size_t pattern_find(struct hsr_span pattern, const char *what)
{
    const uint8_t *found = memmem(pattern.ptr, pattern.size, what, strlen(what));

    return found != NULL ? (size_t)(found - pattern.ptr) : SIZE_MAX;
}

/* How a pattern lies on a path, as rsync has it: without '/' and `**` on the last part; from the
 * start when it is anchored or starts with `**`; with other `**` from the start or behind any '/';
 * else on as many last parts as it has itself. */
static void rule_compile(struct hsr_filter *filter, struct rule *rule, struct hsr_span pattern)
{
    uint32_t slash_count = 0;
    size_t any_at;

    if (pattern.size > 1 && pattern.ptr[pattern.size - 1] == '/') {
        rule->dir_only = true;
        pattern.size--;
    }
    any_at = pattern_find(pattern, "**");
    rule->literal = any_at == SIZE_MAX && pattern_find(pattern, "*") == SIZE_MAX &&
                    pattern_find(pattern, "?") == SIZE_MAX &&
                    pattern_find(pattern, "[") == SIZE_MAX;
    rule->tail_slash = pattern.size >= 3 && memcmp(pattern.ptr + pattern.size - 3, "***", 3) == 0;
    rule->lead_slash = any_at == 0;
    for (size_t i = 0; i < pattern.size; i++)
        slash_count += pattern.ptr[i] == '/';
    if (pattern.ptr[0] == '/') {
        rule->anchored = true;
        pattern.ptr++;
        pattern.size--;
    }
    rule->pattern = pattern.ptr;
    rule->size = pattern.size;
    rule->token_first = filter->token_count;
    if (rule->literal)
        return;
    if (!rule->anchored && any_at == SIZE_MAX) {
        rule->parts = slash_count + 1;
    } else if (!rule->anchored && any_at != 0) {
        rule->lead_slash = true; /* behind any '/' is the same as `**` + '/' in front */
        token_add(filter, TOKEN_ANY, 0, 0);
        token_add(filter, TOKEN_BYTE, '/', 0);
    }
    rule->never = !pattern_compile(filter, pattern);
    rule->token_count = filter->token_count - rule->token_first;
}

/* First pass: is the encoded form sound, and how much room does its compiled form need? */
static int rules_measure(struct hsr_span rules, uint32_t *ret_rules, uint32_t *ret_tokens,
                         uint32_t *ret_sets)
{
    struct hsr_reader r = hsr_reader_init(rules.ptr, rules.size);
    uint32_t rule_count = 0;
    uint32_t token_count = 0;
    uint32_t set_count = 0;

    hsr_require(rules.size <= HSR_RULES_SIZE_MAX, HSR_E_LIMIT);
    while (hsr_reader_left(&r) > 0) {
        uint8_t kind = hsr_get_u8(&r);
        uint16_t size = hsr_get_u16(&r);
        struct hsr_span pattern = hsr_get_span(&r, size);

        hsr_require(!r.failed, HSR_E_TRUNCATED);
        hsr_require(kind < RULE_KIND_COUNT && size > 0, HSR_E_FILTER);
        hsr_require(size <= RULE_PATTERN_SIZE_MAX, HSR_E_LIMIT);
        hsr_require(memchr(pattern.ptr, '\0', size) == NULL, HSR_E_FILTER);
        hsr_require(++rule_count <= HSR_RULES_MAX, HSR_E_LIMIT);
        token_count += size + RULE_TOKENS_EXTRA;
        for (size_t i = 0; i < size; i++)
            set_count += pattern.ptr[i] == '[';
    }
    *ret_rules = rule_count;
    *ret_tokens = token_count;
    *ret_sets = set_count;
    return 0;
}

int hsr_filter_create(struct hsr_span rules, struct hsr_filter **ret_filter)
{
    struct hsr_filter *filter;
    struct hsr_reader r;
    uint32_t rule_max;
    uint32_t token_max;
    uint32_t set_max;
    int rc = rules_measure(rules, &rule_max, &token_max, &set_max);

    if (rc < 0)
        return rc;
    filter = calloc(1, sizeof(*filter));
    if (filter == NULL)
        return -ENOMEM;
    /* One more of each: an empty list is no failed allocation, and a set is parsed in place. */
    filter->rules = calloc(rule_max + 1u, sizeof(*filter->rules));
    filter->tokens = calloc(token_max + 1u, sizeof(*filter->tokens));
    filter->sets = calloc(set_max + 1u, sizeof(*filter->sets));
    filter->bytes = malloc(rules.size + 1);
    if (filter->rules == NULL || filter->tokens == NULL || filter->sets == NULL ||
        filter->bytes == NULL) {
        hsr_filter_destroy(filter);
        return -ENOMEM;
    }
    if (rules.size > 0)
        memcpy(filter->bytes, rules.ptr, rules.size);
    r = hsr_reader_init(filter->bytes, rules.size);
    while (hsr_reader_left(&r) > 0) {
        struct rule *rule = &filter->rules[filter->rule_count++];
        rule->include = hsr_get_u8(&r) == RULE_INCLUDE;
        rule_compile(filter, rule, hsr_get_span(&r, hsr_get_u16(&r)));
    }
    hsr_assert(filter->rule_count == rule_max);
    hsr_assert(filter->token_count <= token_max && filter->set_count <= set_max);
    *ret_filter = filter;
    return 0;
}

void hsr_filter_destroy(struct hsr_filter *filter)
{
    if (filter == NULL)
        return;
    free(filter->rules);
    free(filter->tokens);
    free(filter->sets);
    free(filter->bytes);
    free(filter);
}

/* ---- matching ---- */

/* A path as a pattern sees it: perhaps with a '/' in front or behind, without copying it. */
struct text {
    const uint8_t *ptr;
    size_t lead; /* 1 when there is a '/' in front */
    size_t path_end;
    size_t size; /* with both slashes */
};

static uint8_t text_at(const struct text *text, size_t at)
{
    if (at < text->lead || at >= text->path_end)
        return '/';
    return text->ptr[at - text->lead];
}

static bool token_matches(const struct hsr_filter *filter, const struct token *token, uint8_t byte)
{
    switch (token->kind) {
    case TOKEN_BYTE:
        return token->byte == byte;
    case TOKEN_ONE:
        return byte != '/';
    case TOKEN_SET:
        return set_has(&filter->sets[token->set], byte);
    default: /* stars never come here */
        return false;
    }
}

#define NOWHERE SIZE_MAX

/* Where to go on after a mismatch. `token` is the one behind the star, or NOWHERE. */
struct retry {
    size_t star_token;
    size_t star_text; /* the `*` holds the bytes before this */
    size_t any_token;
    size_t any_text;
    size_t first_star; /* text offset at which the first `*` behind the last `**` began */
};

/* Let the last `*` take one more byte, else the last `**`. When a `*` behind the `**` failed, it
 * fails for every later start of the `**` that puts it into the same part of the path (it would
 * hold fewer bytes of it), so those starts are skipped. */
static bool retry_step(struct retry *retry, const struct text *text, size_t *token, size_t *at)
{
    size_t next = retry->any_text + 1;

    if (retry->star_token != NOWHERE && retry->star_text < text->size &&
        text_at(text, retry->star_text) != '/') {
        *at = ++retry->star_text;
        *token = retry->star_token;
        return true;
    }
    if (retry->any_token == NOWHERE)
        return false;
    if (retry->star_token != NOWHERE) {
        size_t part_end = retry->first_star;
        while (part_end < text->size && text_at(text, part_end) != '/')
            part_end++;
        if (part_end == text->size)
            return false;
        next = part_end + 1 - (retry->first_star - retry->any_text);
    }
    hsr_assert_hot(next > retry->any_text);
    if (next > text->size)
        return false;
    *at = retry->any_text = next;
    *token = retry->any_token;
    retry->star_token = NOWHERE;
    retry->first_star = NOWHERE;
    return true;
}

static bool glob_matches(const struct hsr_filter *filter, const struct rule *rule,
                         const struct text *text)
{
    const struct token *tokens = filter->tokens + rule->token_first;
    struct retry retry = { NOWHERE, 0, NOWHERE, 0, NOWHERE };
    size_t token = 0;
    size_t at = 0;

    for (;;) {
        if (token == rule->token_count) {
            if (at == text->size)
                return true;
        } else if (tokens[token].kind == TOKEN_ANY) {
            token++;
            if (token == rule->token_count)
                return true;
            retry = (struct retry){ NOWHERE, 0, token, at, NOWHERE };
            continue;
        } else if (tokens[token].kind == TOKEN_STAR) {
            token++;
            retry.star_token = token;
            retry.star_text = at;
            if (retry.first_star == NOWHERE)
                retry.first_star = at;
            continue;
        } else if (at == text->size) {
            return false; /* the rest needs more bytes than there are: so it does further right */
        } else if (token_matches(filter, &tokens[token], text_at(text, at))) {
            token++;
            at++;
            continue;
        }
        if (!retry_step(&retry, text, &token, &at))
            return false;
    }
}

static bool literal_matches(const struct rule *rule, const uint8_t *path, size_t size)
{
    size_t before;

    if (rule->size > size || (rule->anchored && rule->size != size))
        return false;
    before = size - rule->size;
    if (memcmp(path + before, rule->pattern, rule->size) != 0)
        return false;
    return before == 0 || path[before - 1] == '/';
}

/* Offset of the last @parts parts of the path; NOWHERE when it has fewer. */
static size_t path_tail(const uint8_t *path, size_t size, uint32_t parts)
{
    size_t at = size;

    for (;;) {
        const uint8_t *slash = memrchr(path, '/', at);

        if (--parts == 0)
            return slash != NULL ? (size_t)(slash - path) + 1 : 0;
        if (slash == NULL)
            return NOWHERE;
        at = (size_t)(slash - path);
    }
}

static bool rule_matches(const struct hsr_filter *filter, const struct rule *rule,
                         const uint8_t *path, size_t size, bool is_dir)
{
    struct text text;

    if (rule->never || (rule->dir_only && !is_dir))
        return false;
    if (rule->literal)
        return literal_matches(rule, path, size);
    if (rule->parts != 0) {
        size_t skip = path_tail(path, size, rule->parts);
        if (skip == NOWHERE)
            return false;
        path += skip;
        size -= skip;
    }
    text.ptr = path;
    text.lead = rule->lead_slash ? 1 : 0;
    text.path_end = text.lead + size;
    text.size = text.path_end + (rule->tail_slash && is_dir ? 1 : 0);
    return glob_matches(filter, rule, &text);
}

bool hsr_filter_excluded(const struct hsr_filter *filter, const char *path, size_t path_size,
                         bool is_dir)
{
    if (filter == NULL || path_size == 0)
        return false;
    for (uint32_t i = 0; i < filter->rule_count; i++) {
        if (rule_matches(filter, &filter->rules[i], (const uint8_t *)path, path_size, is_dir))
            return !filter->rules[i].include;
    }
    return false;
}
