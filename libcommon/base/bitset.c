#include "libcommon/base/bitset.h"

size_t mm_bitset_count(const uint64_t *words, size_t bits)
{
    size_t count = 0;
    for (size_t i = 0; i < bits / 64; i++)
        count += (size_t)__builtin_popcountll(words[i]);
    if (bits % 64 != 0)
        count += (size_t)__builtin_popcountll(words[bits / 64] & ((UINT64_C(1) << bits % 64) - 1));
    return count;
}

// The first bit at or after `from` that is set in words ^ flip.
static size_t scan(const uint64_t *words, size_t bits, size_t from, uint64_t flip)
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

size_t mm_bitset_next(const uint64_t *words, size_t bits, size_t from)
{
    return scan(words, bits, from, 0);
}

size_t mm_bitset_next_clear(const uint64_t *words, size_t bits, size_t from)
{
    return scan(words, bits, from, UINT64_MAX);
}
