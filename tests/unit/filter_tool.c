/* For tests/integration/filter_table.py: print what a filter leaves over of a tree. Usage:
 * filter_tool DIRECTORY [RULE...]; each RULE is "+ PATTERN" or "- PATTERN". Prints each path that
 * is not excluded, NUL ended, directories before their contents. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "transfer/tree/filter.h"

static uint8_t rules[HSR_RULES_SIZE_MAX];

static int walk(const struct hsr_filter *filter, int parent_fd, const char *name, char *path,
                size_t path_size)
{
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *dirent;

    if (dir == NULL) {
        perror(name);
        return 1;
    }
    while ((dirent = readdir(dir)) != NULL) {
        size_t size = strlen(dirent->d_name);
        size_t at = path_size;
        bool is_dir = dirent->d_type == DT_DIR;

        if (strcmp(dirent->d_name, ".") == 0 || strcmp(dirent->d_name, "..") == 0)
            continue;
        if (path_size + size + 2 > HSR_PATH_WIRE_MAX)
            return 1;
        if (at > 0)
            path[at++] = '/';
        memcpy(path + at, dirent->d_name, size);
        at += size;
        if (hsr_filter_excluded(filter, path, at, is_dir))
            continue;
        fwrite(path, 1, at, stdout);
        putchar('\0');
        if (is_dir && walk(filter, fd, dirent->d_name, path, at) != 0)
            return 1;
    }
    closedir(dir);
    return 0;
}

int main(int argc, char **argv)
{
    static char path[HSR_PATH_WIRE_MAX];
    struct hsr_writer w = hsr_writer_init(rules, sizeof(rules));
    struct hsr_filter *filter;
    int rc;

    if (argc < 2)
        return 2;
    for (int i = 2; i < argc; i++) {
        rc = hsr_rule_encode(&w, argv[i], strlen(argv[i]), false);
        if (rc < 0) {
            fprintf(stderr, "rule %d: error %d\n", i - 1, rc);
            return 3;
        }
    }
    rc = hsr_filter_create((struct hsr_span){ rules, w.offset }, &filter);
    if (rc < 0) {
        fprintf(stderr, "rules: error %d\n", rc);
        return 3;
    }
    rc = walk(filter, AT_FDCWD, argv[1], path, 0);
    hsr_filter_destroy(filter);
    return rc;
}
