/* XXH3 and the zero scan for SSE2, which every x86-64 has. */
#define XXH_VECTOR XXH_SSE2
#define VARIANT hsr_hash_sse2
#define VARIANT_NAME "sse2"
#define VECTOR_SIZE 16
#include "hash/xxh3_impl.h"
