#ifndef MM_BASE_BITSET_H
#define MM_BASE_BITSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Bits in an array of words that the caller owns (any zeroed uint64_t array will do).
#define MM_BITSET_WORDS(bits) (((bits) + 63) / 64)

static inline void mm_bitset_set(uint64_t *words, size_t bit)
{
    words[bit / 64] |= UINT64_C(1) << (bit % 64);
}

static inline void mm_bitset_clear(uint64_t *words, size_t bit)
{
    words[bit / 64] &= ~(UINT64_C(1) << (bit % 64));
}

static inline bool mm_bitset_get(const uint64_t *words, size_t bit)
{
    return (words[bit / 64] >> (bit % 64)) & 1;
}

// Sets the bit and tells whether it was clear before.
static inline bool mm_bitset_add(uint64_t *words, size_t bit)
{
    uint64_t mask = UINT64_C(1) << (bit % 64);
    bool was_clear = !(words[bit / 64] & mask);
    words[bit / 64] |= mask;
    return was_clear;
}

size_t mm_bitset_count(const uint64_t *words, size_t bits);
// The first set bit at or after `from`, or `bits` if there is none.
size_t mm_bitset_next(const uint64_t *words, size_t bits, size_t from);
// The first clear bit at or after `from`, or `bits` if there is none.
size_t mm_bitset_next_clear(const uint64_t *words, size_t bits, size_t from);

#endif
