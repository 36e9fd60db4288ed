#include "libcommon/base/alloc.h"
#include "libcommon/base/rng.h"
#include "libcommon/base/strmap.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

enum { KEYS = 500 };

Test(strmap, does_what_an_array_does)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 1);
    struct mm_strmap *map = mm_strmap_new(SIZE_MAX);
    static uint64_t value_of[KEYS];
    static bool present[KEYS];
    size_t count = 0;
    for (int i = 0; i < 60000; i++) {
        uint64_t k = mm_rng_below(&rng, KEYS), value = 77;
        char key[32];
        snprintf(key, sizeof key, "key%u", (unsigned)k);
        switch (mm_rng_below(&rng, 3)) {
        case 0:
            cr_assert_eq(mm_strmap_set(map, key, (uint64_t)i), MM_OK);
            count += !present[k];
            present[k] = true;
            value_of[k] = (uint64_t)i;
            break;
        case 1:
            cr_assert_eq(mm_strmap_remove(map, key, &value), present[k]);
            cr_assert_eq(value, present[k] ? value_of[k] : 77);
            count -= present[k];
            present[k] = false;
            break;
        default:
            cr_assert_eq(mm_strmap_get(map, key, &value), present[k]);
            cr_assert_eq(value, present[k] ? value_of[k] : 77);
        }
        cr_assert_eq(mm_strmap_count(map), count);
    }
    const char *key;
    uint64_t value;
    size_t visited = 0;
    for (size_t cursor = 0; mm_strmap_next(map, &cursor, &key, &value); visited++) {
        unsigned k = 0;
        cr_assert_eq(sscanf(key, "key%u", &k), 1);
        cr_assert(present[k] && value_of[k] == value);
    }
    cr_assert_eq(visited, count);
    mm_strmap_clear(map);
    cr_assert_eq(mm_strmap_count(map), 0);
    cr_assert(!mm_strmap_get(map, "key1", NULL));
    mm_strmap_free(map);
}

Test(strmap, keys_are_copied_and_may_hold_anything)
{
    struct mm_strmap *map = mm_strmap_new(10);
    char key[] = "ab\0cd";
    cr_assert_eq(mm_strmap_set_n(map, key, 5, 1), MM_OK);
    cr_assert_eq(mm_strmap_set_n(map, key, 2, 2), MM_OK);
    cr_assert_eq(mm_strmap_set_n(map, "", 0, 3), MM_OK);
    memset(key, 'z', sizeof key);
    uint64_t value;
    cr_assert(mm_strmap_get_n(map, "ab\0cd", 5, &value) && value == 1);
    cr_assert(mm_strmap_get(map, "ab", &value) && value == 2);
    cr_assert(mm_strmap_get(map, "", &value) && value == 3);
    int thing;
    cr_assert_eq(mm_strmap_set_ptr(map, "p", &thing), MM_OK);
    cr_assert_eq(mm_strmap_get_ptr(map, "p"), &thing);
    cr_assert_null(mm_strmap_get_ptr(map, "q"));
    mm_strmap_free(map);
}

Test(strmap, entries_come_in_insertion_order)
{
    struct mm_strmap *map = mm_strmap_new(100);
    char name[8];
    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "%u", i);
        cr_assert_eq(mm_strmap_set(map, name, i), MM_OK);
    }
    cr_assert_eq(mm_strmap_set(map, "x", 0), MM_RESOURCE_EXHAUSTED);
    const char *key;
    uint64_t value, wanted = 0;
    for (size_t cursor = 0; mm_strmap_next(map, &cursor, &key, &value); wanted++)
        cr_assert_eq(value, wanted);
    mm_strmap_free(map);
}

Test(strmap, failing_allocations_change_nothing)
{
    struct mm_strmap *map = mm_strmap_new(1000);
    char name[16];
    unsigned failures = 0;
    for (unsigned i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "%u", i);
        for (int64_t n = 0;; n++) {
            mm_alloc_fail_after(n);
            enum mm_err err = mm_strmap_set(map, name, i);
            mm_alloc_fail_after(-1);
            cr_assert_eq(mm_strmap_get(map, name, NULL), err == MM_OK);
            cr_assert_eq(mm_strmap_count(map), i + (err == MM_OK));
            if (err == MM_OK)
                break;
            failures++;
        }
    }
    cr_assert_geq(failures, 200);
    mm_alloc_fail_after(0);
    cr_assert_null(mm_strmap_new(1));
    mm_alloc_fail_after(-1);
    mm_strmap_free(map);
    mm_strmap_free(NULL);
}
