/* Rolling sums of blocks for AVX2. */
#define VARIANT hsr_weak_avx2
#define VARIANT_NAME "avx2"
#define LANES 16
#define MULTIPLY(a, b) _mm256_madd_epi16((__m256i)(a), (__m256i)(b))
#include "transfer/delta/weak_impl.h"
