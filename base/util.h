/* Small words everyone shares: sizes, alignment, container_of. No I/O, no allocation. */
#ifndef HSR_BASE_UTIL_H
#define HSR_BASE_UTIL_H

#include <stddef.h>
#include <stdint.h>

#define HSR_KIB ((size_t)1024)
#define HSR_MIB (HSR_KIB * 1024)
#define HSR_GIB (HSR_MIB * 1024)

#define HSR_NS_PER_US 1000ull
#define HSR_NS_PER_MS 1000000ull
#define HSR_NS_PER_S 1000000000ull

#define HSR_MIN(a, b) ((a) < (b) ? (a) : (b))
#define HSR_MAX(a, b) ((a) > (b) ? (a) : (b))
#define HSR_ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/** Round up to a power of two @align. */
#define HSR_ALIGN_UP(value, align) (((value) + ((align)-1)) & ~((align)-1))

/** From a pointer to a member back to the structure that holds it. */
#define hsr_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define HSR_PRINTF(fmt_index, args_index) __attribute__((format(printf, fmt_index, args_index)))
#define HSR_MUST_USE __attribute__((warn_unused_result))

#endif
