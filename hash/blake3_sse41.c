/* BLAKE3 for SSE4.1. */
#define VARIANT hsr_blake3_sse41
#define VARIANT_NAME "sse41"
#define WIDEST 4
#include "hash/blake3_impl.h"
