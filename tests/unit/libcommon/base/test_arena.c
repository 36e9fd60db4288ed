#include "libcommon/base/alloc.h"
#include "libcommon/base/arena.h"
#include "libcommon/base/rng.h"
#include <criterion/criterion.h>
#include <stdalign.h>
#include <string.h>

Test(arena, memory_is_aligned_and_does_not_overlap)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 1);
    struct mm_arena *arena = mm_arena_new(1000, 1 << 20);
    for (int round = 0; round < 20; round++) {
        struct {
            uint8_t *at;
            size_t bytes;
        } blocks[200];
        for (int i = 0; i < 200; i++) {
            blocks[i].bytes = (size_t)mm_rng_below(&rng, i % 50 == 0 ? 5000 : 100);
            blocks[i].at = mm_arena_alloc(arena, blocks[i].bytes);
            cr_assert_not_null(blocks[i].at);
            cr_assert_eq((uintptr_t)blocks[i].at % alignof(max_align_t), 0);
            memset(blocks[i].at, i, blocks[i].bytes);
        }
        for (int i = 0; i < 200; i++)
            for (size_t k = 0; k < blocks[i].bytes; k++)
                cr_assert_eq(blocks[i].at[k], (uint8_t)i, "another block was written over");
        mm_arena_reset(arena);
        cr_assert_eq(mm_arena_used_bytes(arena), 0);
    }
    mm_arena_free(arena);
}

Test(arena, a_steady_load_takes_nothing_new)
{
    struct mm_arena *arena = mm_arena_new(512, SIZE_MAX);
    size_t reserved = 0;
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 100; i++)
            cr_assert_not_null(mm_arena_alloc(arena, (size_t)(i * 7 % 400)));
        if (round == 0)
            reserved = mm_arena_reserved_bytes(arena);
        cr_assert_eq(mm_arena_reserved_bytes(arena), reserved);
        mm_arena_reset(arena);
    }
    mm_arena_free(arena);
}

Test(arena, limit_holds_and_high_water_is_kept)
{
    struct mm_arena *arena = mm_arena_new(256, 4096);
    size_t got = 0;
    while (mm_arena_alloc(arena, 64))
        got += 64;
    cr_assert_geq(got, 3000);
    cr_assert_leq(mm_arena_reserved_bytes(arena), 4096);
    cr_assert_eq(mm_arena_high_water_bytes(arena), got);
    mm_arena_reset(arena);
    cr_assert_not_null(mm_arena_alloc(arena, 64));
    cr_assert_eq(mm_arena_high_water_bytes(arena), got);
    cr_assert_null(mm_arena_alloc(arena, 4097));
    cr_assert_null(mm_arena_alloc(arena, SIZE_MAX));
    cr_assert_null(mm_arena_calloc(arena, SIZE_MAX / 2, 3));
    mm_arena_free(arena);
}

Test(arena, copies)
{
    struct mm_arena *arena = mm_arena_new(256, 4096);
    cr_assert_str_eq(mm_arena_strndup(arena, "abcdef", 3), "abc");
    cr_assert_str_eq(mm_arena_strndup(arena, NULL, 0), "");
    cr_assert_null(mm_arena_strndup(arena, "x", SIZE_MAX));
    cr_assert_eq(memcmp(mm_arena_memdup(arena, "a\0b", 3), "a\0b", 3), 0);
    uint8_t *zeroed = mm_arena_calloc(arena, 10, 3);
    for (int i = 0; i < 30; i++)
        cr_assert_eq(zeroed[i], 0);
    mm_arena_free(arena);
}

Test(arena, failing_allocations_leave_it_usable)
{
    mm_alloc_fail_after(0);
    cr_assert_null(mm_arena_new(256, 4096));
    mm_alloc_fail_after(1);
    struct mm_arena *arena = mm_arena_new(256, 4096);
    cr_assert_null(mm_arena_alloc(arena, 10));
    mm_alloc_fail_after(-1);
    cr_assert_not_null(mm_arena_alloc(arena, 10));
    mm_arena_free(arena);
    mm_arena_free(NULL);
}
