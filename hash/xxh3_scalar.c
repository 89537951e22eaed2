/* XXH3 and the zero scan in plain C: what other machines run, and what the tests compare with. */
#if defined(__x86_64__)
#define XXH_VECTOR XXH_SCALAR
#define VARIANT_NAME "scalar"
#elif defined(__aarch64__) /* XXH3 picks NEON by itself: part of the base instruction set */
#define VARIANT_NAME "neon"
#else
#define VARIANT_NAME "scalar"
#endif
#define VARIANT hsr_hash_scalar
#define VECTOR_SIZE 8
#include "hash/xxh3_impl.h"
