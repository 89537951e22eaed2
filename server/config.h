/* What hawserd is told: by its command line, and by a file in the format of hawser.conf(5). */
#ifndef HSR_SERVER_CONFIG_H
#define HSR_SERVER_CONFIG_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/base.h"
#include "server/log.h"
#include "transfer/engine/engine.h"

#define CONFIG_LISTENERS_MAX 64u /* addresses of one machine */
#define CONFIG_EXPORTS_MAX 1024u
#define CONFIG_WHY_SIZE 1024u
#define CONFIG_NAME_MAX 255u /* bytes of an export's name */

struct config_listener {
    char *text; /* as it was given */
    struct sockaddr_storage address;
    socklen_t address_size;
    bool loopback;
};

struct config_export {
    char *name;
    char *path;
    bool writable;
    int fd; /* its directory, held open; -1 until config_exports_open() */
    unsigned line; /* of the file; 0: the command line */
};

struct config {
    char *file; /* --config, or NULL */
    struct config_listener listeners[CONFIG_LISTENERS_MAX];
    unsigned listener_count;
    bool listeners_of_file; /* those of the command line take their place */
    struct config_export exports[CONFIG_EXPORTS_MAX];
    unsigned export_count;
    uint32_t shards; /* 0 here and below: the default */
    uint64_t memory;
    uint32_t chunk, depth, streams, sessions, connections_per_peer;
    uint64_t handshake_ns, idle_ns, drain_ns;
    char congestion[HSR_CONGESTION_SIZE];
    enum log_format log;
    uint8_t io; /* enum hsr_io */
    uint8_t zero_copy; /* enum hsr_zc_mode */
    bool insecure;
    bool bench; /* memory to memory, and transfers that keep nothing */
    bool print_plan;
    const char *trace; /* --trace: of the command line; NULL: none */
    uint64_t seen; /* keys of the file that were set */
};

/** Set `@key` of the [server] section, which is also the long option of that name. @return 0,
 * HSR_E_USAGE with words in @why, -ENOMEM */
int config_set(struct config *config, const char *key, const char *value,
               char why[CONFIG_WHY_SIZE]);

/** Is there such a key? */
bool config_has_key(const char *key);

/** --export NAME=PATH[:ro|:rw]; :rw unless it says :ro. */
int config_add_export(struct config *config, const char *text, char why[CONFIG_WHY_SIZE]);

/** Read a file on top of what is set. @why names the file, and the line where there is one.
 * @return 0, HSR_E_USAGE, -errno */
int config_read(struct config *config, const char *path, char why[CONFIG_WHY_SIZE]);

/** Make or empty the file of --trace. @return its descriptor, 0 without one, or HSR_E_USAGE */
int config_trace_open(const struct config *config, char why[CONFIG_WHY_SIZE]);

/** Open the directories of all exports. @return 0, or HSR_E_USAGE with words in @why */
int config_exports_open(struct config *config, char why[CONFIG_WHY_SIZE]);

/** Close and free everything. Accepts a zeroed one. */
void config_fini(struct config *config);

#endif
