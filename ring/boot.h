/* Which run of the machine is this? */
#ifndef HSR_RING_BOOT_H
#define HSR_RING_BOOT_H

#include <stdint.h>

#define HSR_BOOT_ID_SIZE 16u

/** The kernel's random id of this boot (random(4)); zeros where it cannot be read. Blocks for
 * microseconds: for the start of a program. */
void hsr_boot_id(uint8_t ret_id[HSR_BOOT_ID_SIZE]);

#endif
