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

// The first bit at or after `from` that is set in words ^ flip, or `bits`. Here, and not in a .c
// file, because loops over entities consist of little else.
static inline size_t mm_bitset_scan(const uint64_t *words, size_t bits, size_t from, uint64_t flip)
{
    if (from >= bits)
        return bits;
    size_t i = from / 64;
    uint64_t word = (words[i] ^ flip) & (UINT64_MAX << from % 64);
    while (word == 0) {
        if (++i * 64 >= bits)
            return bits;
        word = words[i] ^ flip;
    }
    size_t found = i * 64 + (size_t)__builtin_ctzll(word);
    return found < bits ? found : bits;
}

// The first set bit at or after `from`, or `bits` if there is none.
static inline size_t mm_bitset_next(const uint64_t *words, size_t bits, size_t from)
{
    return mm_bitset_scan(words, bits, from, 0);
}

// The first clear bit at or after `from`, or `bits` if there is none.
static inline size_t mm_bitset_next_clear(const uint64_t *words, size_t bits, size_t from)
{
    return mm_bitset_scan(words, bits, from, UINT64_MAX);
}

#endif
