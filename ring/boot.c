#include "ring/boot.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BOOT_ID "/proc/sys/kernel/random/boot_id" /* a UUID: 32 hex digits and 4 dashes */

void hsr_boot_id(uint8_t ret_id[HSR_BOOT_ID_SIZE])
{
    uint8_t id[HSR_BOOT_ID_SIZE];
    char text[64] = "";
    const char *at = text;
    int fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

    memset(ret_id, 0, HSR_BOOT_ID_SIZE);
    if (fd >= 0)
        (void)close(fd); /* only read */
    for (unsigned i = 0; size > 0 && i < HSR_BOOT_ID_SIZE; i++) {
        char digits[3] = "";

        at += *at == '-';
        if (!isxdigit((unsigned char)at[0]) || !isxdigit((unsigned char)at[1]))
            return;
        memcpy(digits, at, 2);
        id[i] = (uint8_t)strtoul(digits, NULL, 16);
        at += 2;
    }
    if (size > 0)
        memcpy(ret_id, id, sizeof(id));
}
