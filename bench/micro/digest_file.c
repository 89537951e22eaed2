/* Prints the BLAKE3 of a file as b3sum does, by one thread that reads a chunk and hashes it as a
 * transfer does. For bench/macro/b3sum, which compares the two. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "hash/digest.h"

#define CHUNK_SIZE ((size_t)256 << 10) /* bytes read at once: stays in L2 */
#define NODES 64u /* of a file in order */

static int file_digest(int fd, uint8_t *chunk, uint8_t digest[HSR_DIGEST_SIZE_MAX])
{
    struct hsr_digest_node nodes[NODES];
    struct hsr_digest_tree tree;
    struct hsr_digest_run run;
    ssize_t got;

    hsr_digest_tree_init(&tree, HSR_DIGEST_BLAKE3, HSR_DIGEST_LEAF_SIZE, nodes, NODES);
    hsr_digest_run_init(&run, HSR_DIGEST_BLAKE3, HSR_DIGEST_LEAF_SIZE, 0);
    while ((got = read(fd, chunk, CHUNK_SIZE)) > 0) {
        if (run.end % CHUNK_SIZE != 0)
            return -EIO; /* it grows, or is no regular file */
        (void)hsr_digest_run_add(&run, chunk, (size_t)got);
    }
    if (got < 0)
        return -errno;
    if (hsr_digest_tree_add(&tree, &run) < 0)
        return -EIO;
    return hsr_digest_tree_final(&tree, run.end, digest);
}

int main(int argc, char **argv)
{
    uint8_t *chunk = aligned_alloc(4096, CHUNK_SIZE), digest[HSR_DIGEST_SIZE_MAX];
    char text[HSR_DIGEST_HEX_SIZE];
    int fd, rc;

    if (argc != 2 || chunk == NULL) {
        fprintf(stderr, "usage: digest_file FILE\n");
        return 2;
    }
    fd = open(argv[1], O_RDONLY | O_CLOEXEC);
    rc = fd < 0 ? -errno : file_digest(fd, chunk, digest);
    if (rc < 0) {
        fprintf(stderr, "%s: %s\n", argv[1], strerror(-rc));
        return 1;
    }
    hsr_digest_hex(digest, HSR_BLAKE3_SIZE, text);
    printf("%s  %s\n", text, argv[1]);
    close(fd);
    free(chunk);
    return 0;
}
