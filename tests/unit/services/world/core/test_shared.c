// Shared components: every value once, counted by those who have it.

#include "libcommon/base/alloc.h"
#include "libcommon/base/rng.h"
#include "services/world/core/shared.h"
#include <criterion/criterion.h>
#include <string.h>

struct value {
    uint32_t a, b;
};

static uint32_t a_of(const struct world_shared *shared, uint32_t slot)
{
    const struct value *value = world_shared_get(shared, slot);
    return value ? value->a : 0;
}

Test(shared, equal_values_are_one_and_leave_with_the_last)
{
    struct world_shared shared;
    cr_assert_eq(world_shared_init(&shared, sizeof(struct value), 3), MM_OK);
    cr_assert_eq(world_shared_reserve(&shared, 10), MM_OK);
    struct value soldier = {5, 1}, scout = {5, 2};
    cr_expect_null(world_shared_get(&shared, 4));
    cr_expect_eq(world_shared_references(&shared, 4), 0);
    for (uint32_t slot = 1; slot < 8; slot++)
        world_shared_set(&shared, slot, &soldier);
    cr_expect_eq(world_shared_values(&shared), 1);
    cr_expect_eq(world_shared_references(&shared, 1), 7);
    cr_expect_eq(world_shared_get(&shared, 1), world_shared_get(&shared, 7));
    world_shared_set(&shared, 7, &scout);
    cr_expect_eq(world_shared_values(&shared), 2, "values are told apart by every member");
    cr_expect_eq(world_shared_references(&shared, 1), 6);
    world_shared_set(&shared, 7, &scout); // again: changes nothing
    cr_expect_eq(world_shared_references(&shared, 7), 1);
    world_shared_clear(&shared, 7);
    world_shared_clear(&shared, 7);
    cr_expect_eq(world_shared_values(&shared), 1);
    cr_expect_null(world_shared_get(&shared, 7));
    world_shared_free(&shared);
}

// Few places and many values, so that they get into each other's way, against a plain model.
Test(shared, against_a_model)
{
    enum { SLOTS = 60, VALUES = 40 };
    struct world_shared shared;
    uint32_t model[SLOTS] = {0};
    struct mm_rng rng;
    mm_rng_seed(&rng, 8);
    cr_assert_eq(world_shared_init(&shared, sizeof(struct value), VALUES + 1), MM_OK);
    for (int round = 0; round < 50000; round++) {
        cr_assert_eq(world_shared_reserve(&shared, round < 100 ? 30 : SLOTS), MM_OK);
        uint32_t slot = (uint32_t)mm_rng_below(&rng, round < 100 ? 30 : SLOTS);
        struct value value = {(uint32_t)mm_rng_between(&rng, 1, VALUES), 0};
        if (mm_rng_chance(&rng, 1, 4)) {
            world_shared_clear(&shared, slot);
            value.a = 0;
        } else {
            world_shared_set(&shared, slot, &value);
        }
        model[slot] = value.a;
        uint32_t look = (uint32_t)mm_rng_below(&rng, round < 100 ? 30 : SLOTS), same = 0,
                 values = 0;
        cr_assert_eq(a_of(&shared, look), model[look]);
        for (uint32_t i = 0; i < SLOTS; i++) {
            same += model[look] != 0 && model[i] == model[look];
            bool first = model[i] != 0;
            for (uint32_t j = 0; j < i; j++)
                first = first && model[j] != model[i];
            values += first;
        }
        cr_assert_eq(world_shared_references(&shared, look), same, "round %d", round);
        cr_assert_eq(world_shared_values(&shared), values, "round %d", round);
    }
    world_shared_free(&shared);
}

Test(shared, out_of_memory)
{
    struct world_shared shared;
    for (int countdown = 0; countdown < 4; countdown++) {
        mm_alloc_fail_after(countdown);
        cr_assert_eq(world_shared_init(&shared, 8, 10), MM_RESOURCE_EXHAUSTED);
    }
    mm_alloc_fail_after(-1);
    cr_assert_eq(world_shared_init(&shared, 8, 10), MM_OK);
    mm_alloc_fail_after(0);
    cr_assert_eq(world_shared_reserve(&shared, 10), MM_RESOURCE_EXHAUSTED);
    mm_alloc_fail_after(-1);
    world_shared_free(&shared);
}

Test(shared, more_values_than_agreed_are_a_bug, .signal = 6)
{
    struct world_shared shared;
    cr_assert_eq(world_shared_init(&shared, 8, 2), MM_OK);
    cr_assert_eq(world_shared_reserve(&shared, 10), MM_OK);
    for (uint32_t slot = 1; slot < 4; slot++)
        world_shared_set(&shared, slot, &(struct value){slot, 0});
}
