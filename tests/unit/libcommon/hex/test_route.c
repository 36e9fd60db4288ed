#include "libcommon/base/alloc.h"
#include "libcommon/base/bitset.h"
#include "libcommon/base/rng.h"
#include "libcommon/hex/overlay.h"
#include "libcommon/hex/path.h"
#include "libcommon/hex/route.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { REACH_MAX = 8, CHUNKS_MAX = 3 * REACH_MAX * (REACH_MAX + 1) + 1, STEPS_MAX = 1 << 16 };

// All chunks within `reach` of the middle one, in the order of the spiral.
struct land {
    struct hex_tiling tiling;
    struct hex_chunk chunks[CHUNKS_MAX];
    uint32_t neighbors[CHUNKS_MAX][6];
    uint32_t versions[CHUNKS_MAX];
    uint16_t costs[CHUNKS_MAX][HEX_OVERLAY_CELLS_MAX];
    uint32_t chunk_count;
    uint32_t cost_min, cost_unit;
    unsigned asked; // for costs of a chunk
};

static uint32_t chunk_index(const struct land *land, struct hex_chunk chunk)
{
    uint64_t index = hex_spiral_index((struct hex_axial){chunk.a, chunk.b});
    return index < land->chunk_count ? (uint32_t)index : HEX_ROUTE_NO_CHUNK;
}

static struct land *land_new(int32_t radius, int32_t reach)
{
    struct land *land = calloc(1, sizeof *land);
    cr_assert_eq(hex_tiling_init(&land->tiling, radius), MM_OK);
    land->chunk_count = (uint32_t)hex_disc_count(reach);
    land->cost_min = land->cost_unit = 1;
    for (uint32_t i = 0; i < land->chunk_count; i++) {
        struct hex_axial at = hex_spiral(i);
        land->chunks[i] = (struct hex_chunk){at.q, at.r};
    }
    for (uint32_t i = 0; i < land->chunk_count; i++)
        for (unsigned d = 0; d < HEX_DIRECTIONS; d++)
            land->neighbors[i][d] = chunk_index(land, hex_chunk_neighbor(land->chunks[i], d));
    return land;
}

static void land_fill(struct land *land, struct mm_rng *rng, uint64_t dead_percent, uint64_t costs)
{
    for (uint32_t i = 0; i < land->chunk_count; i++) {
        for (uint32_t cell = 0; cell < land->tiling.cells; cell++)
            land->costs[i][cell] =
                mm_rng_chance(rng, dead_percent, 100)
                    ? 0
                    : (uint16_t)(land->cost_unit *
                                 (land->cost_min / land->cost_unit + mm_rng_below(rng, costs)));
        land->versions[i]++;
    }
}

static uint16_t *land_cost(struct land *land, struct hex_axial at)
{
    struct hex_chunk chunk;
    uint32_t cell = hex_chunk_cell(&land->tiling, at, &chunk);
    uint32_t index = chunk_index(land, chunk);
    return index == HEX_ROUTE_NO_CHUNK ? NULL : &land->costs[index][cell];
}

// Walls everywhere but for corridors of one hex's width that form a tree: ways wind, and there is
// but one between any two hexes. Every hex of odd coordinates is a room.
static void land_maze(struct land *land, struct mm_rng *rng, int32_t reach_hexes)
{
    land_fill(land, rng, 100, 1);
    static struct hex_axial stack[100000];
    size_t depth = 0;
    stack[depth++] = (struct hex_axial){1, 1};
    *land_cost(land, stack[0]) = 1;
    while (depth > 0) {
        struct hex_axial at = stack[depth - 1];
        unsigned first = (unsigned)mm_rng_below(rng, HEX_DIRECTIONS), d = 0;
        for (; d < HEX_DIRECTIONS; d++) {
            struct hex_axial wall = hex_neighbor(at, (first + d) % HEX_DIRECTIONS);
            struct hex_axial room = hex_neighbor(wall, (first + d) % HEX_DIRECTIONS);
            uint16_t *between = land_cost(land, wall), *there = land_cost(land, room);
            if (hex_length(room) > reach_hexes || !between || !there || *there)
                continue;
            *between = *there = (uint16_t)(1 + mm_rng_below(rng, 3));
            stack[depth++] = room;
            break;
        }
        if (d == HEX_DIRECTIONS)
            depth--;
    }
}

static uint32_t cost_at(void *ctx, struct hex_axial at)
{
    const uint16_t *cost = land_cost(ctx, at);
    return cost ? *cost : 0;
}

static void chunk_costs(void *ctx, uint32_t chunk, uint16_t *out)
{
    struct land *land = ctx;
    land->asked++;
    memcpy(out, land->costs[chunk], land->tiling.cells * sizeof *out);
}

static struct hex_route_map map_of(struct land *land)
{
    return (struct hex_route_map){
        .chunks = land->chunks,
        .neighbors = (const uint32_t(*)[6])land->neighbors,
        .versions = land->versions,
        .chunk_count = land->chunk_count,
        .cost_min = land->cost_min,
        .cost_unit = land->cost_unit,
        .costs = chunk_costs,
        .ctx = land,
    };
}

static struct hex_axial hex_of(const struct land *land, struct hex_route_end end)
{
    return hex_chunk_hex(&land->tiling, land->chunks[end.chunk], end.cell);
}

static struct hex_route_end random_end(const struct land *land, struct mm_rng *rng, bool passable)
{
    struct hex_route_end end;
    do
        end = (struct hex_route_end){(uint32_t)mm_rng_below(rng, land->chunk_count),
                                     (uint32_t)mm_rng_below(rng, land->tiling.cells)};
    while (passable && land->costs[end.chunk][end.cell] == 0);
    return end;
}

static uint8_t steps[STEPS_MAX], other_steps[STEPS_MAX];

// Walks the steps; every hex must be passable.
static struct hex_axial follow(struct land *land, struct hex_axial at, size_t count, uint64_t *cost)
{
    *cost = 0;
    for (size_t i = 0; i < count; i++) {
        at = hex_neighbor(at, steps[i]);
        uint32_t here = cost_at(land, at);
        cr_assert_gt(here, 0, "the way leads through a wall");
        *cost += here;
    }
    return at;
}

struct tally {
    unsigned found, missing;
    double worst, sum; // of cost / least cost
};

// A pair of hexes: the way found against A*'s.
static void compare(struct land *land, struct hex_route *route, struct hex_path_workspace *oracle,
                    struct mm_rng *rng, uint32_t slack, struct tally *tally)
{
    struct hex_route_request request = {random_end(land, rng, mm_rng_chance(rng, 9, 10)),
                                        random_end(land, rng, true), slack, UINT32_MAX,
                                        .field = NULL};
    if (request.from.chunk == request.to.chunk)
        return;
    struct hex_axial from = hex_of(land, request.from), to = hex_of(land, request.to);
    struct hex_path_request path = {.from = from,
                                    .to = to,
                                    .cost = cost_at,
                                    .cost_ctx = land,
                                    .cost_min = land->cost_min,
                                    .nodes_max = UINT32_MAX,
                                    NULL};
    struct hex_path_result best;
    enum mm_err wanted = hex_path_find(oracle, &path, steps, STEPS_MAX, &best);
    struct hex_route_map map = map_of(land);
    struct hex_route_result result;
    enum mm_err err = hex_route_find(route, &map, &request, steps, STEPS_MAX, &result);
    cr_assert_eq(err, wanted, "%d %d", (int)err, (int)wanted);
    if (err != MM_OK) {
        cr_assert_eq(result.steps, 0);
        tally->missing++;
        return;
    }
    uint64_t cost;
    cr_assert(hex_equal(follow(land, from, result.steps, &cost), to));
    cr_assert(result.complete && hex_equal(result.last, to));
    cr_assert_eq(result.cost, cost);
    cr_assert_geq(cost, best.cost);
    cr_assert_leq(cost * 1000, best.cost * (1000 + slack));
    double ratio = (double)cost / (double)best.cost;
    tally->found++;
    tally->sum += ratio;
    if (ratio > tally->worst)
        tally->worst = ratio;
}

Test(route, cheapest_ways_on_random_land_of_any_radius)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 1);
    struct hex_path_workspace *oracle = hex_path_workspace_new(10);
    struct tally tally = {0};
    for (int32_t radius = 1; radius <= HEX_OVERLAY_RADIUS_MAX; radius++) {
        struct land *land = land_new(radius, radius < 5 ? REACH_MAX : 4);
        struct hex_route *route = hex_route_new(&land->tiling, CHUNKS_MAX);
        for (int round = 0; round < 8; round++) {
            land->cost_unit = round % 3 ? 1 : 20;
            land->cost_min = round % 3 ? 1 + (uint32_t)round : 100;
            land_fill(land, &rng, mm_rng_below(&rng, 55), round % 2 ? 1 : 12);
            for (int i = 0; i < 40; i++)
                compare(land, route, oracle, &rng, 0, &tally);
        }
        hex_route_free(route);
        free(land);
    }
    cr_assert(tally.found > 1000 && tally.missing > 300, "%u %u", tally.found, tally.missing);
    cr_assert_float_eq(tally.worst, 1.0, 1e-9);
    hex_path_workspace_free(oracle);
}

Test(route, with_slack_thousands_of_ways_stay_within_it)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 2);
    struct hex_path_workspace *oracle = hex_path_workspace_new(10);
    struct land *land = land_new(9, 6);
    struct hex_route *route = hex_route_new(&land->tiling, CHUNKS_MAX);
    struct tally tally = {0};
    land->cost_unit = 20;
    land->cost_min = 100;
    for (int round = 0; round < 10; round++) {
        land_fill(land, &rng, 5 * (uint64_t)round, 6);
        for (int i = 0; i < 300; i++)
            compare(land, route, oracle, &rng, 10, &tally);
    }
    cr_assert_gt(tally.found, 2000);
    cr_assert(tally.worst > 1.0 && tally.worst <= 1.01, "%f", tally.worst);
    hex_route_free(route);
    hex_path_workspace_free(oracle);
    free(land);
}

Test(route, mazes)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 3);
    struct hex_path_workspace *oracle = hex_path_workspace_new(10);
    struct land *land = land_new(9, 5);
    struct hex_route *route = hex_route_new(&land->tiling, CHUNKS_MAX);
    struct tally tally = {0};
    for (int round = 0; round < 4; round++) {
        land_maze(land, &rng, 75);
        for (int i = 0; i < 60; i++)
            compare(land, route, oracle, &rng, round % 2 ? 8 : 0, &tally);
    }
    cr_assert_gt(tally.found, 150);
    hex_route_free(route);
    hex_path_workspace_free(oracle);
    free(land);
}

// --- what is in the cache does not show ----------------------------------------------------------

static void same_as_fresh(struct land *land, struct hex_route *used, struct mm_rng *rng)
{
    struct hex_route_request request = {random_end(land, rng, true), random_end(land, rng, true),
                                        (uint32_t)mm_rng_below(rng, 10),
                                        mm_rng_chance(rng, 1, 2) ? UINT32_MAX : 300, .field = NULL};
    struct hex_route *fresh = hex_route_new(&land->tiling, 200);
    struct hex_route_map map = map_of(land);
    struct hex_route_result a, b;
    enum mm_err err = hex_route_find(used, &map, &request, steps, STEPS_MAX, &a);
    cr_assert_eq(hex_route_find(fresh, &map, &request, other_steps, STEPS_MAX, &b), err);
    cr_assert_eq(a.steps, b.steps);
    cr_assert_eq(a.work, b.work);
    cr_assert_eq(a.cost, b.cost);
    cr_assert_eq(memcmp(steps, other_steps, a.steps), 0);
    hex_route_free(fresh);
}

Test(route, same_request_same_way_whatever_came_before)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 4);
    struct land *land = land_new(9, REACH_MAX);
    land_fill(land, &rng, 25, 3);
    // Room for fewer overlays than there are chunks: they push each other out all the time.
    struct hex_route *used = hex_route_new(&land->tiling, 200);
    cr_assert_gt(land->chunk_count, 200);
    for (int i = 0; i < 200; i++) {
        same_as_fresh(land, used, &rng);
        // Something is built or broken: what is kept of that chunk is no longer true.
        struct hex_route_end at = random_end(land, &rng, false);
        land->costs[at.chunk][at.cell] = land->costs[at.chunk][at.cell] ? 0 : 2;
        land->versions[at.chunk]++;
        if (i == 100)
            hex_route_clear(used);
    }
    hex_route_free(used);
    free(land);
}

// A search that may need few chunks that are not charted stops there, and comes farther each time:
// in the end to what it finds where all are. What it needed does not depend on what is kept.
Test(route, chunks_are_charted_a_few_at_a_time)
{
    enum { CHARTS_MAX = 5 };
    struct mm_rng rng;
    mm_rng_seed(&rng, 14);
    struct land *land = land_new(9, 5);
    struct hex_route *used = hex_route_new(&land->tiling, CHUNKS_MAX);
    struct hex_route_map map = map_of(land);
    land_fill(land, &rng, 20, 3);
    unsigned stopped = 0;
    for (int i = 0; i < 40; i++) {
        struct hex_route *fresh = hex_route_new(&land->tiling, CHUNKS_MAX);
        uint64_t charted[MM_BITSET_WORDS(CHUNKS_MAX)] = {0};
        struct hex_route_request request = {.from = random_end(land, &rng, true),
                                            .to = random_end(land, &rng, true),
                                            .slack_permille = 4,
                                            .work_max = UINT32_MAX};
        struct hex_route_result wanted, result;
        enum mm_err err = hex_route_find(used, &map, &request, other_steps, STEPS_MAX, &wanted),
                    now;
        request.charted = charted;
        request.charts_max = CHARTS_MAX;
        for (;;) {
            uint32_t count, other_count;
            now = hex_route_find(used, &map, &request, steps, STEPS_MAX, &result);
            const uint32_t *needed = hex_route_uncharted(used, &count);
            cr_assert_leq(count, CHARTS_MAX);
            struct hex_route_result other;
            cr_assert_eq(hex_route_find(fresh, &map, &request, steps, STEPS_MAX, &other), now);
            cr_assert_eq(other.work, result.work);
            cr_assert_arr_eq(hex_route_uncharted(fresh, &other_count), needed,
                             count * sizeof *needed);
            cr_assert_eq(other_count, count);
            for (uint32_t k = 0; k < count; k++)
                cr_assert(mm_bitset_add(charted, needed[k]), "it was charted before");
            if (now != MM_UNAVAILABLE)
                break;
            cr_assert_eq(count, CHARTS_MAX);
            stopped++;
        }
        cr_assert_eq(now, err);
        cr_assert(result.steps == wanted.steps && result.cost == wanted.cost &&
                  result.work == wanted.work);
        cr_assert_arr_eq(steps, other_steps, wanted.steps);
        hex_route_free(fresh);
    }
    cr_assert_gt(stopped, 40);
    hex_route_free(used);
    free(land);
}

Test(route, overlays_are_kept_until_their_version_changes)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 5);
    struct land *land = land_new(9, 4);
    land_fill(land, &rng, 10, 1);
    struct hex_route *route = hex_route_new(&land->tiling, CHUNKS_MAX);
    struct hex_route_map map = map_of(land);
    struct hex_route_request request = {{30, 135}, {50, 135}, 0, UINT32_MAX, .field = NULL};
    land->costs[30][135] = land->costs[50][135] = 1;
    struct hex_route_result result;
    cr_assert_eq(hex_route_find(route, &map, &request, steps, STEPS_MAX, &result), MM_OK);
    unsigned asked = land->asked;
    cr_assert(asked > 0 && asked <= land->chunk_count);
    cr_assert_eq(hex_route_find(route, &map, &request, steps, STEPS_MAX, &result), MM_OK);
    cr_assert_eq(land->asked, asked);
    land->versions[50]++;
    cr_assert_eq(hex_route_find(route, &map, &request, steps, STEPS_MAX, &result), MM_OK);
    cr_assert_eq(land->asked, asked + 1);
    cr_assert_gt(hex_route_memory_bytes(route), asked * (size_t)14000);
    hex_route_free(route);
    free(land);
}

// --- groups --------------------------------------------------------------------------------------

// An end near another one.
static struct hex_route_end near_end(const struct land *land, struct mm_rng *rng,
                                     struct hex_route_end end, int32_t reach)
{
    for (;;) {
        struct hex_axial at = hex_add(
            hex_of(land, end), (struct hex_axial){(int32_t)mm_rng_between(rng, -reach, reach),
                                                  (int32_t)mm_rng_between(rng, -reach, reach)});
        struct hex_chunk chunk;
        struct hex_route_end found;
        found.cell = hex_chunk_cell(&land->tiling, at, &chunk);
        found.chunk = chunk_index(land, chunk);
        if (found.chunk != HEX_ROUTE_NO_CHUNK && land->costs[found.chunk][found.cell])
            return found;
    }
}

// With a field, whoever asks, ways stay within the slack; for a group they take less work.
Test(route, a_group_shares_what_its_first_one_learned)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 10);
    struct land *land = land_new(9, REACH_MAX);
    struct hex_route *route = hex_route_new(&land->tiling, CHUNKS_MAX);
    struct hex_route_field *field = hex_route_field_new();
    struct hex_route_map map = map_of(land);
    uint64_t alone = 0, together = 0;
    unsigned groups = 0, strangers = 0;
    land->cost_unit = 20;
    land->cost_min = 100;
    for (int round = 0; round < 24; round++) {
        if (round % 4 == 0) {
            land_fill(land, &rng, 8 * (uint64_t)(round / 4), 6);
            map = map_of(land);
        }
        struct hex_route_request first = {random_end(land, &rng, true),
                                          random_end(land, &rng, true), round % 2 ? 5 : 0,
                                          UINT32_MAX, .field = NULL};
        if (hex_distance(hex_of(land, first.from), hex_of(land, first.to)) < 90)
            continue;
        uint32_t work;
        enum mm_err err = hex_route_field_build(route, &map, &first, field, &work);
        cr_assert_gt(work, 0);
        for (int i = 0; i < 40; i++) {
            bool stranger = i % 8 == 7;
            struct hex_route_request request = first, plain;
            request.from =
                stranger ? random_end(land, &rng, true) : near_end(land, &rng, first.from, 12);
            request.to =
                i % 16 == 15 ? random_end(land, &rng, true) : near_end(land, &rng, first.to, 7);
            if (request.from.chunk == request.to.chunk)
                continue;
            plain = request;
            plain.slack_permille = 0;
            request.field = field;
            struct hex_route_result best, result;
            enum mm_err wanted = hex_route_find(route, &map, &plain, steps, STEPS_MAX, &best);
            cr_assert_eq(hex_route_find(route, &map, &request, steps, STEPS_MAX, &result), wanted);
            if (wanted != MM_OK)
                continue;
            uint64_t cost;
            cr_assert(hex_equal(follow(land, hex_of(land, request.from), result.steps, &cost),
                                hex_of(land, request.to)));
            cr_assert_eq(cost, result.cost);
            cr_assert_geq(cost, best.cost);
            cr_assert_leq(cost * 1000, best.cost * (1000 + request.slack_permille));
            strangers += stranger;
            if (!stranger && err == MM_OK) {
                alone += best.work;
                together += result.work;
                groups++;
            }
        }
    }
    cr_assert(groups > 300 && strangers > 40, "%u %u", groups, strangers);
    cr_assert_lt(together * 2, alone, "%llu %llu", (unsigned long long)together,
                 (unsigned long long)alone);
    hex_route_field_free(field);
    hex_route_field_free(NULL);
    hex_route_free(route);
    free(land);
}

// --- bounds --------------------------------------------------------------------------------------

Test(route, a_walled_in_goal_is_known_without_a_search)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 6);
    struct land *land = land_new(9, REACH_MAX);
    struct hex_route *route = hex_route_new(&land->tiling, CHUNKS_MAX);
    struct hex_route_map map = map_of(land);
    struct hex_axial middle = hex_chunk_center(&land->tiling, land->chunks[60]), ring[6 * 20];
    for (int32_t radius = 1; radius <= 20; radius++) {
        land_fill(land, &rng, 0, 1);
        size_t count = hex_ring(middle, radius, ring);
        for (size_t i = 0; i < count; i++)
            *land_cost(land, ring[i]) = 0;
        struct hex_route_request request = {{0, 0}, {60, 135}, 0, UINT32_MAX, .field = NULL};
        struct hex_route_result result;
        land->asked = 0;
        cr_assert_eq(hex_route_find(route, &map, &request, steps, STEPS_MAX, &result),
                     MM_NOT_FOUND);
        cr_assert_eq(result.work, 0);
        cr_assert_leq(land->asked, 20, "%u chunks were looked at", land->asked);
        // And the other way round: who is walled in does not search the land either.
        request = (struct hex_route_request){{60, 135}, {0, 0}, 0, UINT32_MAX, .field = NULL};
        cr_assert_eq(hex_route_find(route, &map, &request, steps, STEPS_MAX, &result),
                     MM_NOT_FOUND);
        cr_assert_leq(result.work, 200);
        // One gap, and there is a way.
        *land_cost(land, ring[count / 2]) = 1;
        for (uint32_t i = 0; i < land->chunk_count; i++)
            land->versions[i]++;
        cr_assert_eq(hex_route_find(route, &map, &request, steps, STEPS_MAX, &result), MM_OK);
        cr_assert(result.complete);
    }
    hex_route_free(route);
    free(land);
}

Test(route, bounds_are_reported)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 7);
    struct land *land = land_new(9, REACH_MAX);
    land_fill(land, &rng, 30, 3);
    struct hex_route *route = hex_route_new(&land->tiling, CHUNKS_MAX);
    struct hex_route_map map = map_of(land);
    land->costs[170][100] = land->costs[200][100] = 1;
    struct hex_route_request request = {{170, 100}, {200, 100}, 0, UINT32_MAX, .field = NULL};
    struct hex_axial from = hex_of(land, request.from), to = hex_of(land, request.to);
    struct hex_route_result whole, result;
    cr_assert_eq(hex_route_find(route, &map, &request, steps, STEPS_MAX, &whole), MM_OK);
    cr_assert(whole.complete);
    // The first part only: the same steps.
    memcpy(other_steps, steps, whole.steps);
    memset(steps, 9, sizeof steps);
    cr_assert_eq(hex_route_find(route, &map, &request, steps, 50, &result), MM_OK);
    cr_assert(result.steps == 50 && !result.complete && result.cost == whole.cost);
    cr_assert_eq(memcmp(steps, other_steps, 50), 0);
    cr_assert_eq(steps[50], 9, "nothing is written behind the end");
    uint64_t cost;
    cr_assert(hex_equal(follow(land, from, 50, &cost), result.last));
    // Little work: nearer to the goal than at the start.
    request.work_max = 60;
    cr_assert_eq(hex_route_find(route, &map, &request, steps, STEPS_MAX, &result),
                 MM_RESOURCE_EXHAUSTED);
    cr_assert(result.work >= 60 && result.work < 200 && result.steps > 0 && !result.complete);
    cr_assert(hex_equal(follow(land, from, result.steps, &cost), result.last));
    cr_assert_eq(cost, result.cost);
    cr_assert_lt(hex_distance(result.last, to), hex_distance(from, to));
    // Room for too few chunks.
    struct hex_route *small = hex_route_new(&land->tiling, 12);
    request.work_max = UINT32_MAX;
    cr_assert_eq(hex_route_find(small, &map, &request, steps, STEPS_MAX, &result),
                 MM_RESOURCE_EXHAUSTED);
    hex_route_free(small);
    // No work for this.
    request.to = (struct hex_route_end){170, 50};
    cr_assert_eq(hex_route_find(route, &map, &request, steps, STEPS_MAX, &result),
                 MM_INVALID_ARGUMENT);
    request.to = (struct hex_route_end){200, 100};
    land->costs[200][100] = 0;
    land->versions[200]++;
    cr_assert_eq(hex_route_find(route, &map, &request, steps, STEPS_MAX, &result),
                 MM_INVALID_ARGUMENT);
    hex_route_free(route);
    free(land);
}

Test(route, survives_failing_allocations)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 8);
    struct land *land = land_new(9, 3);
    land_fill(land, &rng, 10, 2);
    land->costs[20][135] = land->costs[30][135] = 1;
    struct hex_route_map map = map_of(land);
    struct hex_route_request request = {{20, 135}, {30, 135}, 0, UINT32_MAX, .field = NULL};
    struct hex_route_result result;
    enum mm_err err = MM_RESOURCE_EXHAUSTED;
    unsigned made = 0, refused = 0;
    for (int64_t n = 0; err != MM_OK; n++) {
        cr_assert_lt(n, 100);
        mm_alloc_fail_after(n);
        struct hex_route *route = hex_route_new(&land->tiling, 100);
        if (route) {
            made++;
            err = hex_route_find(route, &map, &request, steps, STEPS_MAX, &result);
            refused += err != MM_OK;
            cr_assert(err == MM_OK || err == MM_RESOURCE_EXHAUSTED);
            mm_alloc_fail_after(-1);
            // And none the worse for it.
            cr_assert_eq(hex_route_find(route, &map, &request, steps, STEPS_MAX, &result), MM_OK);
        }
        mm_alloc_fail_after(-1);
        hex_route_free(route);
    }
    cr_assert(made > 2 && refused > 1);
    struct hex_tiling large;
    cr_assert_eq(hex_tiling_init(&large, HEX_OVERLAY_RADIUS_MAX + 1), MM_OK);
    cr_assert_null(hex_route_new(&large, 100));
    hex_route_free(NULL);
    free(land);
}
