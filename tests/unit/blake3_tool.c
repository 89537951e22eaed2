/* For b3sum_table.py: hash files by each kernel and print what b3sum would, or which kernel does
 * not agree with the others. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hash/blake3_simd.h"
#include "hash/digest.h"

#define SIZE_MAX_READ ((size_t)64 << 20) /* bytes of a file */

static void file_hash(struct hsr_blake3_mode mode, const char *path, uint8_t *bytes)
{
    const struct hsr_blake3_variant *variants[HSR_BLAKE3_VARIANTS_MAX];
    size_t count = hsr_blake3_variants(variants), size;
    uint8_t digests[HSR_BLAKE3_VARIANTS_MAX][HSR_BLAKE3_SIZE];
    char text[HSR_DIGEST_HEX_SIZE];
    FILE *file = fopen(path, "r");

    if (file == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(1);
    }
    size = fread(bytes, 1, SIZE_MAX_READ, file);
    fclose(file);
    for (size_t i = 0; i < count; i++) {
        mode.variant = variants[i];
        hsr_blake3(&mode, bytes, size, digests[i], sizeof(digests[i]));
        if (memcmp(digests[i], digests[0], sizeof(digests[i])) != 0) {
            printf("%s and %s differ\n", variants[0]->name, variants[i]->name);
            return;
        }
    }
    hsr_digest_hex(digests[0], sizeof(digests[0]), text);
    puts(text);
}

int main(int argc, char **argv)
{
    struct hsr_blake3_mode mode = hsr_blake3_plain;
    uint8_t *bytes = malloc(SIZE_MAX_READ);

    if (bytes == NULL || argc < 3 ||
        (strcmp(argv[1], "plain") != 0 && strcmp(argv[1], "derive") != 0 &&
         (strcmp(argv[1], "keyed") != 0 || strlen(argv[2]) != HSR_BLAKE3_SIZE))) {
        fprintf(stderr, "usage: blake3_tool plain -|keyed KEY|derive CONTEXT FILE...\n");
        return 2;
    }
    if (argv[1][0] == 'k')
        mode = hsr_blake3_keyed((const uint8_t *)argv[2]);
    if (argv[1][0] == 'd')
        mode = hsr_blake3_derive(argv[2]);
    for (int i = 3; i < argc; i++)
        file_hash(mode, argv[i], bytes);
    free(bytes);
    return 0;
}
