#include "libcommon/base/bitset.h"
#include "libcommon/base/rng.h"
#include <criterion/criterion.h>
#include <string.h>

Test(bitset, does_what_an_array_of_bools_does)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 1);
    const size_t sizes[] = {1, 63, 64, 65, 271, 640};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        size_t bits = sizes[s];
        uint64_t words[MM_BITSET_WORDS(640)] = {0};
        bool model[640] = {false};
        // Bits beyond the size must not count.
        if (bits % 64 != 0)
            words[bits / 64] = UINT64_MAX << bits % 64;
        for (int i = 0; i < 3000; i++) {
            size_t bit = (size_t)mm_rng_below(&rng, bits);
            switch (mm_rng_below(&rng, 3)) {
            case 0:
                mm_bitset_set(words, bit);
                model[bit] = true;
                break;
            case 1:
                mm_bitset_clear(words, bit);
                model[bit] = false;
                break;
            default:
                cr_assert_eq(mm_bitset_add(words, bit), !model[bit]);
                model[bit] = true;
            }
            size_t count = 0, set = bits, clear = bits;
            size_t from = (size_t)mm_rng_below(&rng, bits + 2);
            for (size_t k = bits; k-- > 0;) {
                count += model[k];
                cr_assert_eq(mm_bitset_get(words, k), model[k]);
                if (k >= from)
                    *(model[k] ? &set : &clear) = k;
            }
            cr_assert_eq(mm_bitset_count(words, bits), count);
            cr_assert_eq(mm_bitset_next(words, bits, from), set);
            cr_assert_eq(mm_bitset_next_clear(words, bits, from), clear);
        }
    }
}
