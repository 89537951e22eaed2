/* The exports as they are now. Sessions borrow descriptors and outlive a reload, so a descriptor
 * that was ever handed out is closed only when the engine is gone. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/server.h"

void exports_init(struct exports *exports)
{
    *exports = (struct exports){ 0 };
    (void)pthread_mutex_init(&exports->lock, NULL); /* default kind: cannot fail */
}

static bool same_directory(int a, int b)
{
    struct stat x, y;

    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Use the descriptor we hold already, so that reloads do not pile them up. */
static void fd_keep(struct exports *exports, struct config_export *fresh)
{
    for (unsigned i = 0; i < exports->count; i++) {
        struct config_export *old = &exports->items[i];

        if (old->fd < 0 || !same_directory(old->fd, fresh->fd))
            continue;
        (void)close(fresh->fd); /* a directory: nothing can be lost */
        fresh->fd = old->fd;
        old->fd = -1;
        return;
    }
}

int exports_replace(struct exports *exports, struct config *config)
{
    unsigned count = config->export_count;
    struct config_export *items = calloc(count + 1, sizeof(*items)), *old;
    int *retired = reallocarray(exports->retired, exports->retired_count + exports->count + 1,
                                sizeof(retired[0]));
    unsigned old_count = exports->count;

    if (retired != NULL)
        exports->retired = retired; /* more room is no change */
    if (items == NULL || retired == NULL) {
        free(items);
        return -ENOMEM;
    }
    memcpy(items, config->exports, count * sizeof(items[0]));
    config->export_count = 0;

    (void)pthread_mutex_lock(&exports->lock);
    for (unsigned i = 0; i < count; i++)
        fd_keep(exports, &items[i]);
    old = exports->items;
    exports->items = items;
    exports->count = count;
    for (unsigned i = 0; i < old_count; i++)
        if (old[i].fd >= 0)
            exports->retired[exports->retired_count++] = old[i].fd;
    (void)pthread_mutex_unlock(&exports->lock);

    for (unsigned i = 0; i < old_count; i++) {
        free(old[i].name);
        free(old[i].path);
    }
    free(old);
    return 0;
}

int exports_authorize(void *context, const struct sockaddr *peer, struct hsr_span name, bool write,
                      int *ret_root_fd)
{
    struct exports *exports = context;
    int rc = HSR_E_EXPORT;

    (void)peer; /* everybody who can connect may use every export: see hawserd(8), --insecure */
    (void)pthread_mutex_lock(&exports->lock);
    for (unsigned i = 0; i < exports->count; i++) {
        const struct config_export *export = &exports->items[i];

        if (strlen(export->name) != name.size || memcmp(export->name, name.ptr, name.size) != 0)
            continue;
        rc = write && !export->writable ? HSR_E_READONLY : 0;
        if (rc == 0)
            *ret_root_fd = export->fd;
        break;
    }
    (void)pthread_mutex_unlock(&exports->lock);
    return rc;
}

void exports_fini(struct exports *exports)
{
    for (unsigned i = 0; i < exports->count; i++) {
        free(exports->items[i].name);
        free(exports->items[i].path);
        if (exports->items[i].fd >= 0)
            (void)close(exports->items[i].fd); /* directories: nothing can be lost */
    }
    for (unsigned i = 0; i < exports->retired_count; i++)
        (void)close(exports->retired[i]);
    free(exports->items);
    free(exports->retired);
    (void)pthread_mutex_destroy(&exports->lock);
}
