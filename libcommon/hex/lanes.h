#ifndef HEX_LANES_H
#define HEX_LANES_H

#include <stdint.h>

// Eight numbers of 15 bits at once, for overlay.c and route.c. Sums stop at INT16_MAX, which stands
// for "no way".
#ifdef __SSE2__
#include <emmintrin.h>

typedef __m128i hex_lanes;

static inline hex_lanes hex_lanes_all(int16_t x)
{
    return _mm_set1_epi16(x);
}

static inline hex_lanes hex_lanes_sum(hex_lanes a, hex_lanes b)
{
    return _mm_adds_epi16(a, b);
}

static inline hex_lanes hex_lanes_least(hex_lanes a, hex_lanes b)
{
    return _mm_min_epi16(a, b);
}

// All bits of a lane where equal, or where a is less than b; else none.
static inline hex_lanes hex_lanes_equal(hex_lanes a, hex_lanes b)
{
    return _mm_cmpeq_epi16(a, b);
}

static inline hex_lanes hex_lanes_less(hex_lanes a, hex_lanes b)
{
    return _mm_cmplt_epi16(a, b);
}

static inline hex_lanes hex_lanes_load(const int16_t *x)
{
    return _mm_loadu_si128((const __m128i *)(const void *)x);
}

static inline void hex_lanes_store(int16_t *x, hex_lanes lanes)
{
    _mm_storeu_si128((__m128i *)(void *)x, lanes);
}

// One bit per lane of a comparison's result.
static inline unsigned hex_lanes_bits(hex_lanes mask)
{
    return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(mask, _mm_setzero_si128()));
}

// x[0..7] - base, at most INT16_MAX and at least INT16_MIN.
static inline hex_lanes hex_lanes_relative(const int32_t *x, int32_t base)
{
    __m128i all = _mm_set1_epi32(base);
    return _mm_packs_epi32(
        _mm_sub_epi32(_mm_loadu_si128((const __m128i *)(const void *)x), all),
        _mm_sub_epi32(_mm_loadu_si128((const __m128i *)(const void *)x + 1), all));
}

#else
#include <string.h>

typedef int16_t hex_lanes __attribute__((vector_size(16)));

static inline int16_t hex_lanes_clamp_(int64_t x)
{
    return (int16_t)(x > INT16_MAX ? INT16_MAX : x < INT16_MIN ? INT16_MIN : x);
}

static inline hex_lanes hex_lanes_all(int16_t x)
{
    return (hex_lanes){x, x, x, x, x, x, x, x};
}

static inline hex_lanes hex_lanes_load(const int16_t *x)
{
    hex_lanes lanes;
    memcpy(&lanes, x, sizeof lanes);
    return lanes;
}

static inline void hex_lanes_store(int16_t *x, hex_lanes lanes)
{
    memcpy(x, &lanes, sizeof lanes);
}

static inline hex_lanes hex_lanes_sum(hex_lanes a, hex_lanes b)
{
    for (int i = 0; i < 8; i++)
        a[i] = hex_lanes_clamp_((int64_t)a[i] + b[i]);
    return a;
}

static inline hex_lanes hex_lanes_equal(hex_lanes a, hex_lanes b)
{
    return a == b;
}

static inline hex_lanes hex_lanes_less(hex_lanes a, hex_lanes b)
{
    return a < b;
}

static inline hex_lanes hex_lanes_least(hex_lanes a, hex_lanes b)
{
    hex_lanes less = a < b;
    return (a & less) | (b & ~less);
}

static inline unsigned hex_lanes_bits(hex_lanes mask)
{
    unsigned bits = 0;
    for (int i = 0; i < 8; i++)
        bits |= (unsigned)(mask[i] != 0) << i;
    return bits;
}

static inline hex_lanes hex_lanes_relative(const int32_t *x, int32_t base)
{
    hex_lanes lanes = {0};
    for (int i = 0; i < 8; i++)
        lanes[i] = hex_lanes_clamp_((int64_t)x[i] - base);
    return lanes;
}

#endif

#endif
