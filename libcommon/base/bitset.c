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
