#include "libcommon/base/alloc.h"
#include "libcommon/base/idmap.h"
#include "libcommon/base/rng.h"
#include <criterion/criterion.h>
#include <string.h>

enum { KEYS = 700 };

// Keys of one class each: dense, sparse, and multiples of a large power of two.
static uint64_t key_of(int kind, uint64_t i)
{
    return kind == 0 ? i : kind == 1 ? i * UINT64_C(0x9e3779b97f4a7c15) : i << 40;
}

// Against an array that simply remembers each key's value.
Test(idmap, does_what_an_array_does)
{
    for (int kind = 0; kind < 3; kind++) {
        struct mm_rng rng;
        mm_rng_seed(&rng, 1);
        struct mm_idmap *map = mm_idmap_new(SIZE_MAX);
        static uint64_t value_of[KEYS];
        static bool present[KEYS];
        memset(present, 0, sizeof present);
        size_t count = 0;
        for (int i = 0; i < 60000; i++) {
            uint64_t k = mm_rng_below(&rng, KEYS), value = 77;
            uint64_t key = key_of(kind, k);
            switch (mm_rng_below(&rng, i % 20000 < 10000 ? 4 : 3)) {
            case 0:
            case 3:
                cr_assert_eq(mm_idmap_set(map, key, (uint64_t)i), MM_OK);
                count += !present[k];
                present[k] = true;
                value_of[k] = (uint64_t)i;
                break;
            case 1:
                cr_assert_eq(mm_idmap_remove(map, key, &value), present[k]);
                cr_assert_eq(value, present[k] ? value_of[k] : 77);
                count -= present[k];
                present[k] = false;
                break;
            default:
                cr_assert_eq(mm_idmap_get(map, key, &value), present[k]);
                cr_assert_eq(value, present[k] ? value_of[k] : 77);
                cr_assert_eq(mm_idmap_has(map, key), present[k]);
                cr_assert_eq(mm_idmap_find(map, key) != NULL, present[k]);
            }
            cr_assert_eq(mm_idmap_count(map), count);
        }
        uint64_t key, value;
        size_t visited = 0;
        for (size_t cursor = 0; mm_idmap_next(map, &cursor, &key, &value); visited++) {
            uint64_t stored;
            cr_assert(mm_idmap_get(map, key, &stored) && stored == value);
        }
        cr_assert_eq(visited, count);
        mm_idmap_clear(map);
        cr_assert_eq(mm_idmap_count(map), 0);
        cr_assert(!mm_idmap_has(map, key));
        mm_idmap_free(map);
    }
}

Test(idmap, limit_and_reserve)
{
    struct mm_idmap *map = mm_idmap_new(100);
    for (uint64_t i = 0; i < 100; i++)
        cr_assert_eq(mm_idmap_set(map, i, i), MM_OK);
    cr_assert_eq(mm_idmap_set(map, 100, 0), MM_RESOURCE_EXHAUSTED);
    cr_assert_eq(mm_idmap_set(map, 99, 5), MM_OK, "replacing is not inserting");
    *mm_idmap_find(map, 98) = 6;
    uint64_t value;
    cr_assert(mm_idmap_get(map, 98, &value) && value == 6);
    cr_assert_eq(mm_idmap_reserve(map, 101), MM_RESOURCE_EXHAUSTED);
    mm_idmap_free(map);
    map = mm_idmap_new(10000);
    cr_assert_eq(mm_idmap_reserve(map, 10000), MM_OK);
    mm_alloc_fail_after(0);
    for (uint64_t i = 0; i < 10000; i++)
        cr_assert_eq(mm_idmap_set(map, i, i), MM_OK, "room was reserved");
    mm_alloc_fail_after(-1);
    mm_idmap_free(map);
}

Test(idmap, failing_allocations_change_nothing)
{
    mm_alloc_fail_after(0);
    cr_assert_null(mm_idmap_new(10));
    mm_alloc_fail_after(-1);
    struct mm_idmap *map = mm_idmap_new(10000);
    unsigned failures = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        // A table grows by two allocations: each is failed once before the insertion succeeds.
        for (int64_t n = 0; n <= 2; n++) {
            mm_alloc_fail_after(n);
            enum mm_err err = mm_idmap_set(map, i, i);
            mm_alloc_fail_after(-1);
            cr_assert_eq(mm_idmap_has(map, i), err == MM_OK);
            cr_assert_eq(mm_idmap_count(map), i + (err == MM_OK));
            failures += err != MM_OK;
            if (err == MM_OK)
                break;
        }
    }
    cr_assert_gt(failures, 10);
    cr_assert_eq(mm_idmap_count(map), 1000);
    mm_idmap_free(map);
    mm_idmap_free(NULL);
}

Test(idmap, same_history_same_order)
{
    struct mm_idmap *maps[2];
    for (int m = 0; m < 2; m++) {
        struct mm_rng rng;
        mm_rng_seed(&rng, 9);
        maps[m] = mm_idmap_new(10000);
        for (int i = 0; i < 5000; i++) {
            uint64_t key = mm_rng_below(&rng, 2000);
            if (mm_rng_chance(&rng, 1, 3))
                mm_idmap_remove(maps[m], key, NULL);
            else
                cr_assert_eq(mm_idmap_set(maps[m], key, key), MM_OK);
        }
    }
    size_t cursor[2] = {0, 0};
    uint64_t key[2], value;
    while (mm_idmap_next(maps[0], &cursor[0], &key[0], &value)) {
        cr_assert(mm_idmap_next(maps[1], &cursor[1], &key[1], &value));
        cr_assert_eq(key[0], key[1]);
    }
    mm_idmap_free(maps[0]);
    mm_idmap_free(maps[1]);
}

Test(idmap, may_be_asked_ahead_for_any_key_at_any_time)
{
    struct mm_idmap *map = mm_idmap_new(10);
    mm_idmap_ask(map, 7); // it has no memory yet
    cr_assert_eq(mm_idmap_set(map, 7, 70), MM_OK);
    for (uint64_t key = 0; key < 100; key++)
        mm_idmap_ask(map, key * UINT64_C(0x9e3779b97f4a7c15));
    uint64_t value = 0;
    cr_assert(mm_idmap_get(map, 7, &value));
    cr_assert_eq(value, 70);
    cr_assert_eq(mm_idmap_count(map), 1);
    mm_idmap_free(map);
}
