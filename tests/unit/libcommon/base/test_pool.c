#include "libcommon/base/alloc.h"
#include "libcommon/base/pool.h"
#include "libcommon/base/rng.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

struct thing {
    uint64_t serial;
    uint8_t rest[21];
};

Test(pool, objects_are_apart_zeroed_and_limited)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 1);
    enum { LIMIT = 1000 };
    struct mm_pool *pool = mm_pool_new(sizeof(struct thing), LIMIT);
    static struct thing *out[LIMIT];
    size_t count = 0;
    for (uint64_t i = 0; i < 20000; i++) {
        if (mm_rng_chance(&rng, 11, 20)) {
            struct thing *thing = mm_pool_get(pool);
            cr_assert_eq(thing == NULL, count == LIMIT);
            if (!thing)
                continue;
            const struct thing zero = {0};
            cr_assert_eq(memcmp(thing, &zero, sizeof zero), 0);
            thing->serial = i + 1;
            memset(thing->rest, 0xee, sizeof thing->rest);
            out[count++] = thing;
        } else if (count > 0) {
            size_t victim = (size_t)mm_rng_below(&rng, count);
            cr_assert_neq(out[victim]->serial, 0);
            mm_pool_put(pool, out[victim]);
            out[victim] = out[--count];
        }
        cr_assert_eq(mm_pool_in_use(pool), count);
    }
    cr_assert_eq(mm_pool_high_water(pool), LIMIT);
    mm_pool_free(pool);
}

Test(pool, failing_mode)
{
    struct mm_pool *pool = mm_pool_new(8, 100);
    mm_pool_fail_after(pool, 1);
    cr_assert_not_null(mm_pool_get(pool));
    cr_assert_null(mm_pool_get(pool));
    cr_assert_null(mm_pool_get(pool));
    mm_pool_fail_after(pool, -1);
    cr_assert_not_null(mm_pool_get(pool));
    mm_pool_put(pool, NULL);
    cr_assert_eq(mm_pool_in_use(pool), 2);
    mm_pool_free(pool);
}

Test(pool, out_of_memory_is_null)
{
    mm_alloc_fail_after(0);
    cr_assert_null(mm_pool_new(8, 100));
    mm_alloc_fail_after(1);
    struct mm_pool *pool = mm_pool_new(8, 100);
    cr_assert_null(mm_pool_get(pool));
    mm_alloc_fail_after(-1);
    cr_assert_not_null(mm_pool_get(pool));
    mm_pool_free(pool);
    mm_pool_free(NULL);
}

Test(pool, putting_twice_is_caught, .signal = SIGABRT)
{
    struct mm_pool *pool = mm_pool_new(8, 100);
    void *object = mm_pool_get(pool);
    mm_pool_put(pool, object);
    mm_pool_put(pool, object);
}
