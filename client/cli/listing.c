/* hawser ls and hawser stat. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "client/cli/cli.h"

#define LS_LINES_MIN 64u /* first size of the growing array */
#define LS_LINES_MAX (1u << 20) /* sorted; a larger directory comes as the server reads it */
#define NAME_SAFE_SIZE (4 * HAWSER_NAME_MAX + 1)
#define TARGET_SAFE_SIZE (4 * 4096 + 1)

static char type_letter(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return 'd';
    case S_IFLNK:
        return 'l';
    case S_IFIFO:
        return 'p';
    case S_IFCHR:
        return 'c';
    case S_IFBLK:
        return 'b';
    case S_IFSOCK:
        return 's';
    default:
        return '-';
    }
}

static const char *type_name(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return "directory";
    case S_IFLNK:
        return "symbolic link";
    case S_IFIFO:
        return "fifo";
    case S_IFCHR:
        return "character device";
    case S_IFBLK:
        return "block device";
    case S_IFSOCK:
        return "socket";
    default:
        return "regular file";
    }
}

static void mode_print(uint32_t mode, char out[11])
{
    static const char letters[] = "rwxrwxrwx";

    out[0] = type_letter(mode);
    for (unsigned i = 0; i < 9; i++)
        out[1 + i] = (mode >> (8 - i) & 1) != 0 ? letters[i] : '-';
    if ((mode & S_ISUID) != 0)
        out[3] = out[3] == 'x' ? 's' : 'S';
    if ((mode & S_ISGID) != 0)
        out[6] = out[6] == 'x' ? 's' : 'S';
    if ((mode & S_ISVTX) != 0)
        out[9] = out[9] == 'x' ? 't' : 'T';
    out[10] = '\0';
}

static void time_print(const hawser_entry *entry, bool exact, char *buf, size_t size)
{
    time_t seconds = (time_t)entry->mtime_s;
    struct tm tm;
    size_t at;

    if (localtime_r(&seconds, &tm) == NULL) { /* a year that does not fit */
        (void)snprintf(buf, size, "@%lld", (long long)entry->mtime_s);
        return;
    }
    if (!exact) {
        if (strftime(buf, size, "%Y-%m-%d %H:%M", &tm) == 0)
            buf[0] = '\0';
        return;
    }
    at = strftime(buf, size, "%Y-%m-%d %H:%M:%S", &tm);
    at += (size_t)snprintf(buf + at, size - at, ".%09u ", entry->mtime_ns);
    if (strftime(buf + at, size - at, "%z", &tm) == 0)
        buf[at] = '\0';
}

/* A line of ls, printed when all have come, in the order of the names. */
struct ls_line {
    char *name;
    char *text;
};

static struct ls_line *ls_lines;
static size_t ls_count, ls_room;

static int ls_compare(const void *a, const void *b)
{
    return strcmp(((const struct ls_line *)a)->name, ((const struct ls_line *)b)->name);
}

void cli_listing_end(void)
{
    if (ls_count > 0)
        qsort(ls_lines, ls_count, sizeof(ls_lines[0]), ls_compare);
    for (size_t i = 0; i < ls_count; i++) {
        fputs(ls_lines[i].text, stdout);
        free(ls_lines[i].text);
        free(ls_lines[i].name);
    }
    free(ls_lines);
    ls_lines = NULL;
    ls_count = ls_room = 0;
}

/* Takes @text. What cannot be kept for sorting is printed at once. */
static void ls_keep(const char *name, char *text)
{
    if (ls_count == ls_room && ls_count < LS_LINES_MAX) {
        size_t room = ls_room > 0 ? ls_room * 2 : LS_LINES_MIN;
        struct ls_line *lines = reallocarray(ls_lines, room, sizeof(lines[0]));

        if (lines != NULL) {
            ls_lines = lines;
            ls_room = room;
        }
    }
    if (ls_count < ls_room) {
        ls_lines[ls_count] = (struct ls_line){ .name = strdup(name), .text = text };
        if (ls_lines[ls_count].name != NULL) {
            ls_count++;
            return;
        }
    }
    fputs(text, stdout);
    free(text);
}

/* Ids are the server's: names of this machine would mislead. */
static void ls_print(const hawser_entry *entry, const char *name, const char *target)
{
    char *text;
    char mode[11], when[64], size[32];

    mode_print(entry->mode, mode);
    time_print(entry, false, when, sizeof(when));
    if (S_ISCHR(entry->mode) || S_ISBLK(entry->mode))
        (void)snprintf(size, sizeof(size), "%u,%u", entry->rdev_major, entry->rdev_minor);
    else
        (void)snprintf(size, sizeof(size), "%llu", (unsigned long long)entry->bytes);
    if (asprintf(&text, "%s%c %5u %5u %12s %s %s%s%s\n", mode, entry->xattr_count > 0 ? '@' : ' ',
                 entry->uid, entry->gid, size, when, name, S_ISLNK(entry->mode) ? " -> " : "",
                 S_ISLNK(entry->mode) ? target : "") >= 0)
        ls_keep(name, text);
    else
        printf("%s\n", name); /* no memory: at least the name */
}

static void stat_print(const hawser_entry *entry, const char *name, const char *target)
{
    char mode[11], when[64], count[32];

    mode_print(entry->mode, mode);
    time_print(entry, true, when, sizeof(when));
    printf("name:     %s\n", *name != '\0' ? name : ".");
    printf("type:     %s%s\n", type_name(entry->mode), entry->sparse ? ", sparse" : "");
    if (S_ISLNK(entry->mode))
        printf("target:   %s\n", target);
    if (S_ISCHR(entry->mode) || S_ISBLK(entry->mode))
        printf("device:   %u,%u\n", entry->rdev_major, entry->rdev_minor);
    if (S_ISREG(entry->mode))
        printf("size:     %llu (%s)\n", (unsigned long long)entry->bytes,
               cli_bytes_print((double)entry->bytes, count, sizeof(count)));
    printf("mode:     %04o %s\n", entry->mode & 07777, mode);
    printf("owner:    uid %u gid %u\n", entry->uid, entry->gid);
    printf("modified: %s\n", when);
    for (size_t i = 0; i < entry->xattr_count; i++) {
        char safe[NAME_SAFE_SIZE];

        hawser_escape(entry->xattrs[i].name, strlen(entry->xattrs[i].name), safe, sizeof(safe));
        printf("xattr:    %s (%zu bytes)\n", safe, entry->xattrs[i].value_size);
    }
}

void cli_listing_entry(void *context, const hawser_entry *entry)
{
    const struct cli_options *options = context;
    char name[NAME_SAFE_SIZE], target[TARGET_SAFE_SIZE];

    if (options->quiet)
        return;
    if (options->json) {
        cli_json_entry(entry);
        return;
    }
    hawser_escape(entry->name, strlen(entry->name), name, sizeof(name));
    hawser_escape(entry->link_target, strlen(entry->link_target), target, sizeof(target));
    if (options->command == CLI_LS)
        ls_print(entry, *name != '\0' ? name : ".", target);
    else
        stat_print(entry, name, target);
}
