#include "libcommon/base/rng.h"

#include "libcommon/base/check.h"
#include "libcommon/base/hash.h"

uint64_t mm_splitmix64(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    return mm_mix64(*state);
}

void mm_rng_seed(struct mm_rng *rng, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        rng->s[i] = mm_splitmix64(&seed);
}

static uint64_t rotate_left(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

uint64_t mm_rng_u64(struct mm_rng *rng)
{
    uint64_t *s = rng->s;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

// D. Lemire, "Fast Random Integer Generation in an Interval" (2019): the high half of a 128-bit
// product, rejecting the few low halves that would favour some results.
uint64_t mm_rng_below(struct mm_rng *rng, uint64_t bound)
{
    MM_CHECK(bound > 0);
    __extension__ typedef unsigned __int128 u128;
    u128 product = (u128)mm_rng_u64(rng) * bound;
    if ((uint64_t)product < bound) {
        uint64_t threshold = (0 - bound) % bound;
        while ((uint64_t)product < threshold)
            product = (u128)mm_rng_u64(rng) * bound;
    }
    return (uint64_t)(product >> 64);
}

int64_t mm_rng_between(struct mm_rng *rng, int64_t low, int64_t high)
{
    MM_CHECK(low <= high);
    uint64_t span = (uint64_t)high - (uint64_t)low;
    uint64_t offset = span == UINT64_MAX ? mm_rng_u64(rng) : mm_rng_below(rng, span + 1);
    return (int64_t)((uint64_t)low + offset);
}

bool mm_rng_chance(struct mm_rng *rng, uint64_t numerator, uint64_t denominator)
{
    return mm_rng_below(rng, denominator) < numerator;
}
