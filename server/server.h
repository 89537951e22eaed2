/* hawserd: what its files share. */
#ifndef HSR_SERVER_SERVER_H
#define HSR_SERVER_SERVER_H

#include <pthread.h>

#include "server/config.h"
#include "transfer/engine/engine.h"

enum server_exit { SERVER_EXIT_OK = 0, SERVER_EXIT_USAGE = 2, SERVER_EXIT_RESOURCE = 5 };

/* ---- options.c ---- */

/** The command line, and the file it names. Called again for a reload. @return -1: go on, else exit
 * with this code (everything was printed, or put in @why if that is not NULL). */
int options_load(int argc, char **argv, struct config *config, char *why);

/* ---- exports.c: which directory a name stands for now ---- */

struct exports {
    pthread_mutex_t lock; /* shard threads ask, the main thread replaces */
    struct config_export *items;
    unsigned count;
    int *retired; /* descriptors that running sessions may hold; closed at the end */
    unsigned retired_count;
};

void exports_init(struct exports *exports);

/** Take the opened exports of @config over (it is left with none). One whose directory is the same
 * as before keeps its old descriptor. 0 or -ENOMEM (nothing changed). */
int exports_replace(struct exports *exports, struct config *config);

/** hsr_authorize of the engine; @context is the exports. */
int exports_authorize(void *context, const struct sockaddr *peer, struct hsr_span name, bool write,
                      int *ret_root_fd);

/** After the engine has ended. */
void exports_fini(struct exports *exports);

/* ---- near.c ---- */

#define NEAR_MAX 64u /* NICs and disks that decide where shards run */

/** The disks behind the opened exports and the NICs behind the listeners; returns how many. */
unsigned near_find(const struct config *config, struct hsr_device near[NEAR_MAX]);

/** Nodes of the shards that are to accept on listener @index; 0: all. */
uint64_t near_listener(const struct config *config, const struct hsr_placement *placement,
                       unsigned index);

/** The same from the nodes of each listener's NIC: its own, if every node that has shards has a
 * listener; else 0, so that no core is left without work. */
uint64_t near_share(const struct hsr_placement *placement, const uint64_t *nodes, unsigned count,
                    unsigned index);

/* ---- listen.c ---- */

/** A listening socket; an address in use is tried for a second. *ret_text: "ADDR:PORT" it really
 * has, malloc'ed. @return descriptor, or -errno with words in @why */
int listener_open(const struct config_listener *listener, char **ret_text,
                  char why[CONFIG_WHY_SIZE]);

/** "ADDR:PORT", IPv6 in brackets; malloc'ed or NULL. */
char *address_print(const struct sockaddr *address);

/* ---- notify.c ---- */

/** Tell the service manager (sd_notify(3) protocol), if there is one: "READY=1". */
void notify_send(const char *state);

/** RELOADING=1 with the time that systemd wants with it. */
void notify_reloading(void);

#endif
