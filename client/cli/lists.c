/* Filter rules and lists of files, from the command line and from files. They stay in memory until
 * the process ends: the library borrows them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"

#define STRINGS_ROOM_MIN 16u /* first size of a growing array */

bool cli_strings_add(struct cli_strings *strings, const char *text, size_t size)
{
    char *copy;

    if (strings->count == strings->room) {
        size_t room = strings->room > 0 ? strings->room * 2 : STRINGS_ROOM_MIN;
        char **items = reallocarray(strings->items, room, sizeof(items[0]));

        if (items == NULL)
            return false;
        strings->items = items;
        strings->room = room;
    }
    copy = strndup(text, size);
    if (copy == NULL)
        return false;
    strings->items[strings->count++] = copy;
    return true;
}

bool cli_rule_add(struct cli_options *options, const char *text, size_t size, bool include)
{
    if (size == 1 && *text == '!') {
        options->rule_count = 0;
        return true;
    }
    if (options->rule_count == options->rule_room) {
        size_t room = options->rule_room > 0 ? options->rule_room * 2 : STRINGS_ROOM_MIN;
        hawser_rule *rules = reallocarray(options->rules, room, sizeof(rules[0]));

        if (rules == NULL)
            return false;
        options->rules = rules;
        options->rule_room = room;
    }
    if (!cli_strings_add(&options->texts, text, size))
        return false;
    options->rules[options->rule_count++] = (hawser_rule){
        .pattern = options->texts.items[options->texts.count - 1],
        .include = include,
    };
    return true;
}

int cli_lines_read(const char *path, bool nul, bool comments,
                   bool (*line)(void *context, const char *text, size_t size), void *context)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    char *text = NULL;
    size_t room = 0;
    ssize_t size;
    int rc = 0;

    if (file == NULL)
        return errno;
    while (rc == 0 && (errno = 0, size = getdelim(&text, &room, nul ? '\0' : '\n', file)) >= 0) {
        size_t length = (size_t)size;

        /* As rsync: a line ends at either byte, so CR LF is an end and an empty line. */
        while (!nul && length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
            length--;
        if (nul && length > 0 && text[length - 1] == '\0')
            length--;
        if (length == 0 || (comments && (*text == '#' || *text == ';')))
            continue;
        if (memchr(text, '\0', length) != NULL)
            rc = EINVAL;
        else if (!line(context, text, length))
            rc = ENOMEM;
    }
    if (rc == 0 && ferror(file))
        rc = errno != 0 ? errno : EIO;
    free(text);
    if (file != stdin)
        (void)fclose(file); /* it was only read */
    return rc;
}
