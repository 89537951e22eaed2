/* XXH3 and the zero scan for AVX2. */
#define XXH_VECTOR XXH_AVX2
#define VARIANT hsr_hash_avx2
#define VARIANT_NAME "avx2"
#define VECTOR_SIZE 32
#include "hash/xxh3_impl.h"
