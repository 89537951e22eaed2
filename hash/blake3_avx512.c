/* BLAKE3 for AVX-512F and VL. */
#define VARIANT hsr_blake3_avx512
#define VARIANT_NAME "avx512"
#define WIDEST 16
#include "hash/blake3_impl.h"
