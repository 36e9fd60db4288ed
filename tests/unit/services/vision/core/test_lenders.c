// Who lends by order, as it is said to others: against a plain model of orders and their ticks.

#include "libcommon/base/alloc.h"
#include "services/vision/core/vision.h"
#include "tests/support/vision_scene.h"

#include <criterion/criterion.h>
#include <string.h>

enum { EMPIRES = 12, QUEUED_MAX = 64, TICKS = 400, FIRST_TICK = 100 };

struct lending {
    bool ordered, effective, listed; // listed: when the news were last asked for
    struct {
        uint64_t tick;
        bool begin;
    } queue[QUEUED_MAX];
    size_t queued;
};

struct model {
    struct vision *core;
    struct scene *scene;
    struct mm_rng rng;
    struct lending of[EMPIRES + 1][EMPIRES + 1]; // by borrower and lender
};

static bool is_listed(const struct lending *lending)
{
    bool listed = lending->effective;
    for (size_t i = 0; i < lending->queued; i++)
        listed |= lending->queue[i].begin;
    return listed;
}

static void order(struct model *m)
{
    uint32_t from = (uint32_t)mm_rng_between(&m->rng, 1, EMPIRES);
    uint32_t to = (uint32_t)mm_rng_between(&m->rng, 1, EMPIRES);
    uint64_t tick = vision_tick(m->core) + mm_rng_below(&m->rng, 6);
    struct lending *lending = &m->of[to][from];
    if (from == to || lending->queued == QUEUED_MAX)
        return;
    bool begin = mm_rng_chance(&m->rng, 1, 2);
    enum mm_err err =
        begin ? vision_share(m->core, from, to, tick) : vision_unshare(m->core, from, to, tick);
    cr_assert_eq(err, begin || lending->ordered ? MM_OK : MM_NOT_FOUND);
    if (begin == lending->ordered)
        return;
    // Orders about a pair keep their order.
    if (lending->queued > 0 && lending->queue[lending->queued - 1].tick > tick)
        tick = lending->queue[lending->queued - 1].tick;
    lending->queue[lending->queued].tick = tick;
    lending->queue[lending->queued++].begin = begin;
    lending->ordered = begin;
}

static void step(struct model *m, uint64_t tick)
{
    const Mmorts__Frame__VisionFrame *out;
    scene_move(m->scene, tick);
    cr_assert_eq(vision_apply(m->core, &m->scene->delta, &out), MM_OK);
    for (uint32_t to = 1; to <= EMPIRES; to++)
        for (uint32_t from = 1; from <= EMPIRES; from++) {
            struct lending *lending = &m->of[to][from];
            size_t done = 0;
            for (; done < lending->queued && lending->queue[done].tick <= tick; done++)
                lending->effective = lending->queue[done].begin;
            lending->queued -= done;
            memmove(lending->queue, lending->queue + done,
                    lending->queued * sizeof *lending->queue);
        }
}

// All of the borrowers first to last, asked for a few pairs at a time.
static void check_pairs(struct model *m, uint32_t first, uint32_t last, size_t pairs_max)
{
    uint32_t from = 1, to = first, asked = first;
    while (asked <= last) {
        struct vision_lenders lenders;
        cr_assert_eq(vision_lenders(m->core, asked, last, pairs_max, &lenders), MM_OK);
        cr_assert(lenders.last >= asked && lenders.last <= last);
        size_t at = 0;
        for (to = asked; to <= lenders.last && to <= EMPIRES; to++)
            for (from = 1; from <= EMPIRES; from++) {
                if (!is_listed(&m->of[to][from]))
                    continue;
                cr_assert_lt(at, lenders.count, "%u of %u is missing", to, from);
                cr_assert_eq(lenders.pairs[at++], (uint64_t)to << 32 | from);
            }
        cr_assert_eq(at, lenders.count);
        bool one = lenders.count > 0 && lenders.pairs[0] >> 32 == lenders.pairs[at - 1] >> 32;
        cr_assert(lenders.count <= pairs_max || one, "%zu at once", lenders.count);
        mm_free(lenders.pairs);
        if (lenders.last == last)
            break;
        asked = lenders.last + 1;
    }
}

static size_t check_news(struct model *m)
{
    uint32_t first, last;
    size_t changes = 0;
    bool news = vision_lenders_news(m->core, &first, &last);
    for (uint32_t to = 1; to <= EMPIRES; to++) {
        uint32_t ordered = 0;
        for (uint32_t from = 1; from <= EMPIRES; from++) {
            struct lending *lending = &m->of[to][from];
            bool listed = is_listed(lending);
            ordered += lending->ordered;
            if (listed == lending->listed)
                continue;
            cr_assert(news && to >= first && to <= last, "%u is not told of %u", to, from);
            lending->listed = listed;
            changes++;
        }
        cr_assert_eq(vision_ordered_lenders(m->core, to), ordered);
    }
    cr_assert_not(vision_lenders_news(m->core, &first, &last), "told once");
    return changes;
}

Test(vision_lenders, are_those_ordered_and_not_ended_yet, .timeout = 300)
{
    struct model *m = mm_calloc(1, sizeof *m);
    struct vision_options options = vision_options_default();
    const Mmorts__Frame__VisionFrame *out;
    m->scene = scene_new(EMPIRES, SCENE_MOVERS);
    options.chunk_radius = m->scene->tiling.radius;
    mm_rng_seed(&m->rng, 5);
    cr_assert_eq(vision_new(&options, &m->core), MM_OK);
    m->scene->snapshot.tick = FIRST_TICK;
    cr_assert_eq(vision_apply(m->core, &m->scene->snapshot, &out), MM_OK);
    size_t changes = 0;
    for (uint64_t tick = FIRST_TICK + 1; tick <= FIRST_TICK + TICKS; tick++) {
        for (uint64_t i = mm_rng_below(&m->rng, 4); i > 0; i--)
            order(m);
        if (mm_rng_chance(&m->rng, 1, 2))
            changes += check_news(m);
        step(m, tick);
        changes += check_news(m);
        check_pairs(m, 1, UINT32_MAX, 1000);
        check_pairs(m, 1, EMPIRES, 1 + tick % 40);
        check_pairs(m, 3, 7, 1);
    }
    cr_expect_gt(changes, 100u);
    // Whom world has not told of is not spoken of.
    cr_assert_eq(vision_share(m->core, 1, EMPIRES + 5, 0), MM_OK);
    step(m, FIRST_TICK + TICKS + 1);
    check_pairs(m, 1, UINT32_MAX, 1000);
    vision_free(m->core);
    scene_free(m->scene);
    mm_free(m);
}
