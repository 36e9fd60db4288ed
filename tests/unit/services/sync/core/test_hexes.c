#include "services/sync/core/hexes.h"

#include "gen/frame.pb-c.h"
#include "libcommon/base/rng.h"
#include "services/sync/core/runs.h"

#include <criterion/criterion.h>

enum {
    SHROUD = MMORTS__FRAME__VISIBILITY__VISIBILITY_SHROUD,
    FOG = MMORTS__FRAME__VISIBILITY__VISIBILITY_FOG,
    VISIBLE = MMORTS__FRAME__VISIBILITY__VISIBILITY_VISIBLE,
    SIDE = 160, // ten tiles: more than are remembered as near, so that they displace each other
};

static uint32_t draw(struct mm_rng *rng, uint32_t bound)
{
    return (uint32_t)mm_rng_below(rng, bound);
}

struct model {
    uint8_t state[SIDE][SIDE], terrain[SIDE][SIDE];
};

static int32_t coordinate(uint32_t i)
{
    return (int32_t)i - SIDE / 2; // below zero too
}

// What the short way says must be what the long way would have done.
static enum sync_hex_change set(struct sync_hexes *hexes, int32_t q, int32_t r, unsigned state,
                                uint8_t terrain)
{
    struct sync_tile *tile = sync_hexes_near(hexes, q, r);
    bool changed = false;
    if (terrain == 0 && state != SHROUD &&
        sync_hexes_turn(hexes, tile, q, r, state == VISIBLE, &changed))
        return changed ? SYNC_HEX_CHANGED : SYNC_HEX_SAME;
    return sync_hexes_set(hexes, q, r, state, terrain, 7);
}

static enum sync_hex_change expected(struct model *model, uint32_t i, uint32_t j, unsigned state,
                                     uint8_t terrain)
{
    uint8_t *known = &model->terrain[i][j], *is = &model->state[i][j];
    unsigned before = *is;
    if (state != SHROUD && *known == 0 && terrain == 0)
        return SYNC_HEX_FAILED;
    bool news = state != SHROUD && terrain != 0 && terrain != *known;
    *is = (uint8_t)state;
    if (state == SHROUD)
        *known = 0;
    else if (terrain)
        *known = terrain;
    if (news)
        return SYNC_HEX_FIRST_SEEN;
    return before != state ? SYNC_HEX_CHANGED : SYNC_HEX_SAME;
}

static void check_all(const struct sync_hexes *hexes, const struct model *model)
{
    uint32_t visible = 0, explored = 0;
    for (uint32_t i = 0; i < SIDE; i++) {
        for (uint32_t j = 0; j < SIDE; j++) {
            uint8_t terrain = 255;
            unsigned state = sync_hexes_get(hexes, coordinate(i), coordinate(j), &terrain);
            cr_assert_eq(state, model->state[i][j], "%u %u", i, j);
            cr_assert_eq(terrain, model->terrain[i][j]);
            visible += state == VISIBLE;
            explored += terrain != 0;
        }
    }
    cr_assert_eq(hexes->visible, visible);
    cr_assert_eq(hexes->explored, explored);
}

Test(hexes, random_changes_are_those_of_a_plain_table)
{
    static struct model model;
    struct sync_hexes hexes;
    struct mm_rng rng;
    mm_rng_seed(&rng, 5);
    cr_assert_eq(sync_hexes_init(&hexes), MM_OK);
    for (unsigned n = 0; n < 200000; n++) {
        // Clusters in tiles whose remainders are the same now and then.
        uint32_t i = draw(&rng, n % 3 ? SIDE : 20), j = draw(&rng, SIDE);
        unsigned state = draw(&rng, 20) == 0 ? SHROUD : FOG + draw(&rng, 2);
        uint8_t terrain = (uint8_t)(draw(&rng, 4) == 0 ? 1 + draw(&rng, 3) : 0);
        if (state == SHROUD)
            terrain = 0;
        enum sync_hex_change want = expected(&model, i, j, state, terrain);
        cr_assert_eq(set(&hexes, coordinate(i), coordinate(j), state, terrain), want,
                     "change %u at %u, %u", n, i, j);
    }
    check_all(&hexes, &model);
    sync_hexes_free(&hexes);
}

Test(hexes, a_tile_that_was_displaced_is_found_again)
{
    struct sync_hexes hexes;
    cr_assert_eq(sync_hexes_init(&hexes), MM_OK);
    int32_t far = SYNC_TILE_SIDE * SYNC_TILES_NEAR;
    for (int32_t i = 0; i < 3; i++)
        cr_assert_eq(sync_hexes_set(&hexes, i * far, 0, VISIBLE, 1, 1), SYNC_HEX_FIRST_SEEN);
    cr_assert_eq(hexes.tiles.count, 3);
    for (int32_t i = 0; i < 3; i++)
        cr_assert_eq(sync_hexes_set(&hexes, i * far, 0, FOG, 0, 2), SYNC_HEX_CHANGED);
    cr_assert_eq(hexes.tiles.count, 3);
    cr_assert_null(sync_hexes_near(&hexes, 0, 0));
    cr_assert_not_null(sync_hexes_near(&hexes, 2 * far, 0));
    cr_assert_eq(hexes.visible, 0);
    sync_hexes_free(&hexes);
}

// Every hex once, in runs that are straight, of one state, and whose terrains lie behind each
// other.
Test(hexes, runs_are_all_hexes_and_nothing_else)
{
    enum { COUNT = 300 };
    struct sync_hex_news news[COUNT];
    struct sync_runs runs;
    struct mm_rng rng;
    static const int32_t dq[] = {1, 1, 0, -1, -1, 0}, dr[] = {0, -1, -1, 0, 1, 1};
    mm_rng_seed(&rng, 9);
    sync_runs_init(&runs);
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < COUNT; i++) {
            // Two lines at a time, row by row, with a stray hex now and then.
            unsigned line = i % 2, at = i / 2;
            news[i] = (struct sync_hex_news){.q = (int32_t)(at + 40 * line + round),
                                             .r = (int32_t)(at % 9)};
            news[i].state = (uint8_t)(FOG + line);
            if (draw(&rng, 5) == 0)
                news[i].q += 1000 * (int32_t)(1 + draw(&rng, 9));
            if (i > 0 && draw(&rng, 9) == 0) { // near, and no neighbour
                news[i].q = news[i - 1].q + 1;
                news[i].r = news[i - 1].r + 1;
            }
            if (draw(&rng, 3) == 0)
                news[i].terrain = (uint8_t)(1 + i % 5);
        }
        sync_runs_clear(&runs);
        sync_runs_add(&runs, news, COUNT);
        cr_assert_not(runs.failed);
        bool told[COUNT] = {false};
        uint32_t counts[SYNC_RUN_KINDS] = {0}, hexes = 0;
        for (size_t i = 0; i < runs.items.count; i++) {
            const struct sync_run *run = &runs.items.items[i];
            counts[run->kind]++;
            for (uint32_t k = 0; k < run->length; k++, hexes++) {
                int32_t q = run->q + (run->length > 1 ? dq[run->direction] * (int32_t)k : 0);
                int32_t r = run->r + (run->length > 1 ? dr[run->direction] * (int32_t)k : 0);
                bool found = false;
                for (unsigned n = 0; n < COUNT && !found; n++) {
                    uint32_t kind =
                        news[n].state + (news[n].terrain ? (uint32_t)SYNC_RUN_TERRAIN : 0);
                    found = !told[n] && news[n].q == q && news[n].r == r && kind == run->kind &&
                            (!news[n].terrain ||
                             runs.terrains.items[run->terrain + k] == news[n].terrain - 1);
                    told[n] |= found;
                }
                cr_assert(found, "round %u, run %zu, hex %u: %d, %d", round, i, k, q, r);
            }
            cr_assert_lt(run->direction, 6);
            cr_assert(run->length == 1 ||
                      (run->last_q - run->q == dq[run->direction] * (int32_t)(run->length - 1) &&
                       run->last_r - run->r == dr[run->direction] * (int32_t)(run->length - 1)));
        }
        cr_assert_eq(hexes, COUNT);
        cr_assert_arr_eq(counts, runs.counts, sizeof counts);
    }
    sync_runs_free(&runs);
}

Test(hexes, two_lines_told_in_turns_are_two_runs)
{
    struct sync_hex_news news[18];
    for (int i = 0; i < 18; i++)
        news[i] = (struct sync_hex_news){.q = i % 2 ? 20 - i / 2 : 5, .r = i / 2, .state = FOG};
    struct sync_runs runs;
    sync_runs_init(&runs);
    sync_runs_add(&runs, news, 18);
    cr_assert_eq(runs.items.count, 2);
    cr_assert_eq(runs.items.items[0].length, 9);
    cr_assert_eq(runs.items.items[0].direction, 5);
    cr_assert_eq(runs.items.items[1].direction, 4);
    sync_runs_free(&runs);
}
