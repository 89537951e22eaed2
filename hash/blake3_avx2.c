/* BLAKE3 for AVX2. */
#define VARIANT hsr_blake3_avx2
#define VARIANT_NAME "avx2"
#define WIDEST 8
#include "hash/blake3_impl.h"
