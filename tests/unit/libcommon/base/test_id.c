#include "libcommon/base/id.h"
#include "libcommon/base/idmap.h"
#include "libcommon/base/rng.h"
#include <criterion/criterion.h>
#include <string.h>

Test(id, is_a_permutation)
{
    struct mm_id_key key;
    mm_id_key_init(&key, "secret", 6);
    struct mm_idmap *seen = mm_idmap_new(200000);
    for (uint64_t serial = 0; serial < 100000; serial++) {
        uint64_t id = mm_id_from_serial(&key, serial);
        cr_assert_eq(mm_id_to_serial(&key, id), serial);
        cr_assert(!mm_idmap_has(seen, id));
        cr_assert_eq(mm_idmap_set(seen, id, 1), MM_OK);
    }
    struct mm_rng rng;
    mm_rng_seed(&rng, 1);
    for (int i = 0; i < 10000; i++) {
        uint64_t any = mm_rng_u64(&rng);
        cr_assert_eq(mm_id_to_serial(&key, mm_id_from_serial(&key, any)), any);
        cr_assert_eq(mm_id_from_serial(&key, mm_id_to_serial(&key, any)), any);
    }
    mm_idmap_free(seen);
}

// Ids of neighbouring serials differ like random numbers do: in about half of the bits.
Test(id, says_nothing_of_the_serial)
{
    struct mm_id_key key, other;
    mm_id_key_init(&key, "secret", 6);
    mm_id_key_init(&other, "secreu", 6);
    uint64_t bits = 0, rising = 0, keyed = 0;
    for (uint64_t serial = 0; serial < 10000; serial++) {
        uint64_t a = mm_id_from_serial(&key, serial), b = mm_id_from_serial(&key, serial + 1);
        bits += (uint64_t)__builtin_popcountll(a ^ b);
        rising += b > a;
        keyed += a != mm_id_from_serial(&other, serial);
    }
    cr_assert(bits > 10000 * 31 && bits < 10000 * 33);
    cr_assert(rising > 4800 && rising < 5200);
    cr_assert_eq(keyed, 10000);
}

Test(id, text_round_trips)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 2);
    char text[MM_ID_TEXT_BYTES];
    for (int i = 0; i < 10000; i++) {
        uint64_t id = i < 64 ? UINT64_C(1) << i : mm_rng_u64(&rng), read;
        size_t len = mm_id_format(text, "unit_", id);
        cr_assert_eq(len, strlen(text));
        cr_assert_eq(len, 18);
        cr_assert_eq(mm_id_parse(text, len, "unit_", &read), MM_OK);
        cr_assert_eq(read, id);
    }
    mm_id_format(text, "empire_", 0);
    cr_assert_str_eq(text, "empire_0000000000000");
    mm_id_format(text, "", UINT64_MAX);
    cr_assert_str_eq(text, "fzzzzzzzzzzzz");
}

Test(id, only_the_one_text_is_accepted)
{
    static const char *const bad[] = {
        "",
        "unit_",
        "unit_000000000000",
        "unit_00000000000000",
        "unit_g000000000000",
        "unit_z000000000000",
        "unit_000000000000i",
        "unit_000000000000l",
        "unit_000000000000o",
        "unit_000000000000u",
        "unit_000000000000A",
        "Unit_0000000000000",
        "unit-0000000000000",
        "npc__0000000000000",
        "unit_ 000000000000",
        "unit_000000000000 ",
        "0000000000000unit_",
    };
    uint64_t id = 7;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(mm_id_parse(bad[i], strlen(bad[i]), "unit_", &id), MM_INVALID_ARGUMENT, "%s",
                     bad[i]);
        cr_assert_eq(id, 7);
    }
    cr_assert_eq(mm_id_parse("unit_000000\0"
                             "000000",
                             18, "unit_", &id),
                 MM_INVALID_ARGUMENT);
}
