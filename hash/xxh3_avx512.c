/* XXH3 and the zero scan for AVX-512F. */
#define XXH_VECTOR XXH_AVX512
#define VARIANT hsr_hash_avx512
#define VARIANT_NAME "avx512"
#define VECTOR_SIZE 64
#include "hash/xxh3_impl.h"
