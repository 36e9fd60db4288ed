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

// a's lanes where the mask's bits are set, b's elsewhere.
static inline hex_lanes hex_lanes_choose(hex_lanes mask, hex_lanes a, hex_lanes b)
{
    return _mm_or_si128(_mm_and_si128(mask, a), _mm_andnot_si128(mask, b));
}

static inline hex_lanes hex_lanes_reversed(hex_lanes a)
{
    a = _mm_shufflehi_epi16(_mm_shufflelo_epi16(a, 0x1b), 0x1b);
    return _mm_shuffle_epi32(a, 0x4e);
}

// x[0..7] = base + a where the mask's bits are set.
static inline void hex_lanes_write(int32_t *x, hex_lanes mask, hex_lanes a, int32_t base)
{
    __m128i all = _mm_set1_epi32(base), sign = _mm_srai_epi16(a, 15);
    __m128i *to = (__m128i *)(void *)x;
    __m128i low = _mm_add_epi32(_mm_unpacklo_epi16(a, sign), all);
    __m128i high = _mm_add_epi32(_mm_unpackhi_epi16(a, sign), all);
    _mm_storeu_si128(to,
                     hex_lanes_choose(_mm_unpacklo_epi16(mask, mask), low, _mm_loadu_si128(to)));
    _mm_storeu_si128(
        to + 1, hex_lanes_choose(_mm_unpackhi_epi16(mask, mask), high, _mm_loadu_si128(to + 1)));
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

static inline hex_lanes hex_lanes_choose(hex_lanes mask, hex_lanes a, hex_lanes b)
{
    return (mask & a) | (~mask & b);
}

static inline hex_lanes hex_lanes_reversed(hex_lanes a)
{
    return (hex_lanes){a[7], a[6], a[5], a[4], a[3], a[2], a[1], a[0]};
}

static inline void hex_lanes_write(int32_t *x, hex_lanes mask, hex_lanes a, int32_t base)
{
    for (int i = 0; i < 8; i++)
        x[i] = mask[i] ? base + a[i] : x[i];
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
