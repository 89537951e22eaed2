/* Rolling sums of blocks for AVX-512 with its byte and word instructions. */
#define VARIANT hsr_weak_avx512
#define VARIANT_NAME "avx512"
#define LANES 32
#define MULTIPLY(a, b) _mm512_madd_epi16((__m512i)(a), (__m512i)(b))
#include "transfer/delta/weak_impl.h"
