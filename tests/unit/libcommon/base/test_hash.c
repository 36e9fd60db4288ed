#include "libcommon/base/hash.h"
#include "libcommon/base/rng.h"
#include <criterion/criterion.h>
#include <string.h>
#include <xxhash.h>

// The reference implementation is the oracle.
Test(hash, equals_the_reference)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 1);
    static uint8_t data[1000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)mm_rng_u64(&rng);
    for (size_t len = 0; len <= sizeof data; len++) {
        uint64_t seed = len % 3 == 0 ? 0 : mm_rng_u64(&rng);
        cr_assert_eq(mm_hash64(data, len, seed), XXH64(data, len, seed));
    }
}

Test(hash, streaming_in_any_pieces_is_the_same)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 2);
    static uint8_t data[500];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)mm_rng_u64(&rng);
    for (int round = 0; round < 3000; round++) {
        size_t len = (size_t)mm_rng_below(&rng, sizeof data + 1);
        struct mm_hash hash;
        mm_hash_init(&hash, 5);
        for (size_t at = 0; at < len;) {
            size_t piece = (size_t)mm_rng_below(&rng, round % 2 ? 5 : 90);
            piece = piece < len - at ? piece : len - at;
            mm_hash_update(&hash, data + at, piece);
            at += piece;
            cr_assert_eq(mm_hash_digest(&hash), mm_hash64(data, at, 5));
        }
    }
}

Test(hash, integers_are_little_endian_bytes)
{
    struct mm_hash hash;
    mm_hash_init(&hash, 0);
    mm_hash_u32(&hash, 0x04030201);
    mm_hash_u64(&hash, UINT64_C(0x0c0b0a0908070605));
    cr_assert_eq(mm_hash_digest(&hash), mm_hash64("\1\2\3\4\5\6\7\10\11\12\13\14", 12, 0));
}
