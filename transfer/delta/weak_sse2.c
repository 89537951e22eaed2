/* Rolling sums of blocks for SSE2, which every x86-64 has. */
#define VARIANT hsr_weak_sse2
#define VARIANT_NAME "sse2"
#define LANES 8
#define MULTIPLY(a, b) _mm_madd_epi16((__m128i)(a), (__m128i)(b))
#include "transfer/delta/weak_impl.h"
