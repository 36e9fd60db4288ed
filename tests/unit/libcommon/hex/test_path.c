#include "libcommon/base/alloc.h"
#include "libcommon/base/rng.h"
#include "libcommon/hex/path.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { MAP_BITS = 5, MAP_SIDE = 1 << MAP_BITS, STEPS_MAX = 4096 };

// A square of costs around the origin; impassable outside.
struct map {
    uint16_t cost[MAP_SIDE][MAP_SIDE];
};

static uint32_t map_cost(void *ctx, struct hex_axial at)
{
    const struct map *map = ctx;
    uint32_t q = (uint32_t)(at.q + MAP_SIDE / 2), r = (uint32_t)(at.r + MAP_SIDE / 2);
    return q < MAP_SIDE && r < MAP_SIDE ? map->cost[r][q] : 0;
}

static uint32_t open_plain(void *ctx, struct hex_axial at)
{
    (void)ctx;
    (void)at;
    return 1;
}

// At most so many at once, as a map that looks at a part of the line.
enum { CHEAPEST_MOST = 9 };

static size_t map_cheapest(void *ctx, struct hex_axial from, const uint8_t *steps, size_t count)
{
    for (size_t i = 0; i < count && i < CHEAPEST_MOST; i++) {
        from = hex_neighbor(from, steps[i]);
        if (map_cost(ctx, from) != 1)
            return i;
    }
    return count < CHEAPEST_MOST ? count : CHEAPEST_MOST;
}

static struct hex_axial map_hex(int i)
{
    return (struct hex_axial){i % MAP_SIDE - MAP_SIDE / 2, i / MAP_SIDE - MAP_SIDE / 2};
}

static int map_index(struct hex_axial at)
{
    return (at.r + MAP_SIDE / 2) * MAP_SIDE + at.q + MAP_SIDE / 2;
}

static void fill(struct map *map, uint16_t cost)
{
    for (int i = 0; i < MAP_SIDE * MAP_SIDE; i++)
        map->cost[i / MAP_SIDE][i % MAP_SIDE] = cost;
}

static void random_map(struct map *map, struct mm_rng *rng, uint64_t dead_percent, uint64_t costs)
{
    for (int i = 0; i < MAP_SIDE * MAP_SIDE; i++)
        map->cost[i / MAP_SIDE][i % MAP_SIDE] =
            mm_rng_chance(rng, dead_percent, 100) ? 0 : (uint16_t)(1 + mm_rng_below(rng, costs));
}

// The oracle: Bellman-Ford, which shares no idea with A*.
static void all_costs(struct map *map, struct hex_axial from, uint32_t dist[MAP_SIDE * MAP_SIDE])
{
    memset(dist, 0xff, MAP_SIDE * MAP_SIDE * sizeof *dist);
    dist[map_index(from)] = 0;
    for (bool changed = true; changed;) {
        changed = false;
        for (int i = 0; i < MAP_SIDE * MAP_SIDE; i++) {
            if (dist[i] == UINT32_MAX)
                continue;
            for (unsigned d = 0; d < 6; d++) {
                struct hex_axial next = hex_neighbor(map_hex(i), d);
                uint32_t cost = map_cost(map, next);
                if (cost > 0 && dist[i] + cost < dist[map_index(next)]) {
                    dist[map_index(next)] = dist[i] + cost;
                    changed = true;
                }
            }
        }
    }
}

// Walks the steps and sums their costs; every hex must be passable.
static struct hex_axial follow(struct map *map, struct hex_axial from, const uint8_t *steps,
                               size_t count, uint64_t *cost_out)
{
    *cost_out = 0;
    for (size_t i = 0; i < count; i++) {
        from = hex_neighbor(from, steps[i]);
        uint32_t cost = map_cost(map, from);
        cr_assert_gt(cost, 0, "the path leads through a wall");
        *cost_out += cost;
    }
    return from;
}

Test(path, costs_equal_an_exhaustive_search)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 1);
    // One step larger than the map, so that the window never is what stops a search.
    struct hex_path_workspace *workspace = hex_path_workspace_new(MAP_BITS + 2);
    static struct map map;
    static uint32_t dist[MAP_SIDE * MAP_SIDE];
    static uint8_t steps[STEPS_MAX];
    unsigned found = 0, missing = 0;
    for (int round = 0; round < 120; round++) {
        const uint64_t costs_of_round[3] = {1, 5, HEX_PATH_COST_MAX};
        random_map(&map, &rng, mm_rng_below(&rng, 50), costs_of_round[round % 3]);
        struct hex_axial from = map_hex((int)mm_rng_below(&rng, MAP_SIDE * MAP_SIDE));
        all_costs(&map, from, dist);
        for (int i = 0; i < 30; i++) {
            struct hex_axial to = map_hex((int)mm_rng_below(&rng, MAP_SIDE * MAP_SIDE));
            struct hex_path_request request = {.from = from,
                                               .to = to,
                                               .cost = map_cost,
                                               .cost_ctx = &map,
                                               .cost_min = 1,
                                               .nodes_max = UINT32_MAX};
            struct hex_path_result result;
            enum mm_err err = hex_path_find(workspace, &request, steps, STEPS_MAX, &result);
            if (dist[map_index(to)] == UINT32_MAX) {
                cr_assert_eq(err, MM_NOT_FOUND);
                missing++;
                continue;
            }
            found++;
            uint64_t cost;
            cr_assert_eq(err, MM_OK);
            cr_assert(hex_equal(follow(&map, from, steps, result.steps, &cost), to));
            cr_assert_eq(cost, dist[map_index(to)]);
            cr_assert_eq(result.cost, cost);
            cr_assert(result.complete && hex_equal(result.last, to));
        }
    }
    cr_assert(found > 500 && missing > 500);
    hex_path_workspace_free(workspace);
}

Test(path, partial_leads_to_a_nearest_reachable_hex)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 2);
    struct hex_path_workspace *workspace = hex_path_workspace_new(MAP_BITS + 2);
    static struct map map;
    static uint32_t dist[MAP_SIDE * MAP_SIDE];
    static uint8_t steps[STEPS_MAX];
    unsigned incomplete = 0;
    for (int round = 0; round < 200; round++) {
        random_map(&map, &rng, 45, 3);
        struct hex_axial from = map_hex((int)mm_rng_below(&rng, MAP_SIDE * MAP_SIDE));
        struct hex_axial to = map_hex((int)mm_rng_below(&rng, MAP_SIDE * MAP_SIDE));
        all_costs(&map, from, dist);
        int32_t nearest = INT32_MAX;
        for (int i = 0; i < MAP_SIDE * MAP_SIDE; i++)
            if (dist[i] != UINT32_MAX && hex_distance(map_hex(i), to) < nearest)
                nearest = hex_distance(map_hex(i), to);
        struct hex_path_request request = {.from = from,
                                           .to = to,
                                           .cost = map_cost,
                                           .cost_ctx = &map,
                                           .cost_min = 1,
                                           .nodes_max = UINT32_MAX,
                                           .partial = true};
        struct hex_path_result result;
        cr_assert_eq(hex_path_find(workspace, &request, steps, STEPS_MAX, &result), MM_OK);
        uint64_t cost;
        struct hex_axial last = follow(&map, from, steps, result.steps, &cost);
        cr_assert(hex_equal(last, result.last));
        cr_assert_eq(hex_distance(last, to), nearest);
        cr_assert_eq(cost, dist[map_index(last)], "and by a cheapest way");
        cr_assert_eq(result.complete, nearest == 0);
        incomplete += !result.complete;
    }
    cr_assert_gt(incomplete, 50);
    hex_path_workspace_free(workspace);
}

Test(path, same_request_same_path_whatever_came_before)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 3);
    struct hex_path_workspace *used = hex_path_workspace_new(MAP_BITS + 2);
    static struct map map;
    static uint8_t steps[2][STEPS_MAX];
    random_map(&map, &rng, 25, 2);
    for (int round = 0; round < 100; round++) {
        struct hex_path_workspace *fresh = hex_path_workspace_new(MAP_BITS + 2);
        struct hex_path_request request = {
            .from = map_hex((int)mm_rng_below(&rng, MAP_SIDE * MAP_SIDE)),
            .to = map_hex((int)mm_rng_below(&rng, MAP_SIDE * MAP_SIDE)),
            .cost = map_cost,
            .cost_ctx = &map,
            .cost_min = 1,
            .nodes_max = UINT32_MAX};
        struct hex_path_result result[2];
        enum mm_err err = hex_path_find(used, &request, steps[0], STEPS_MAX, &result[0]);
        cr_assert_eq(hex_path_find(fresh, &request, steps[1], STEPS_MAX, &result[1]), err);
        cr_assert_eq(result[0].steps, result[1].steps);
        cr_assert_eq(result[0].nodes, result[1].nodes);
        cr_assert_eq(memcmp(steps[0], steps[1], result[0].steps), 0);
        hex_path_workspace_free(fresh);
    }
    hex_path_workspace_free(used);
}

Test(path, open_ground_is_crossed_straight_and_at_once)
{
    struct hex_path_workspace *workspace = hex_path_workspace_new(8);
    struct mm_rng rng;
    mm_rng_seed(&rng, 4);
    static uint8_t steps[STEPS_MAX];
    static struct hex_axial line[512];
    for (int i = 0; i < 300; i++) {
        struct hex_axial from = {(int32_t)mm_rng_between(&rng, -5000, 5000), -3000};
        struct hex_axial to = {from.q + (int32_t)mm_rng_between(&rng, -90, 90),
                               from.r + (int32_t)mm_rng_between(&rng, -90, 90)};
        struct hex_path_request request = {
            .from = from, .to = to, .cost = open_plain, .cost_min = 1, .nodes_max = 1000};
        struct hex_path_result result;
        cr_assert_eq(hex_path_find(workspace, &request, steps, STEPS_MAX, &result), MM_OK);
        cr_assert_eq(result.steps, (size_t)hex_distance(from, to));
        cr_assert_leq(result.nodes, result.steps + 1, "no hex off the path is expanded");
        size_t n = hex_line(from, to, line, 512);
        struct hex_axial at = from;
        for (size_t k = 0; k < result.steps; k++) {
            at = hex_neighbor(at, steps[k]);
            cr_assert_lt(k + 1, n);
            cr_assert_leq(hex_distance(at, line[k + 1]), 1, "it keeps to the straight line");
        }
    }
    hex_path_workspace_free(workspace);
}

// --- the same search, step by step --------------------------------------------------------------

// What hex_path_find finds must not depend on how it finds it: worlds replay what they once did.
// This is its search as plainly as can be: of the open hexes the newest of the least f, neighbours
// pushed in the order of how far off the straight line they lie.
struct plain_hex {
    uint32_t g, f;
    uint64_t pushed; // 0: not open
    bool seen, closed;
    uint8_t direction;
};

static int64_t off_line(struct hex_axial from, struct hex_axial to, struct hex_axial at)
{
    return llabs((int64_t)(to.q - from.q) * (at.r - from.r) -
                 (int64_t)(to.r - from.r) * (at.q - from.q));
}

static int plain_next(const struct plain_hex *hexes)
{
    int best = -1;
    for (int i = 0; i < MAP_SIDE * MAP_SIDE; i++)
        if (hexes[i].pushed > 0 &&
            (best < 0 || hexes[i].f < hexes[best].f ||
             (hexes[i].f == hexes[best].f && hexes[i].pushed > hexes[best].pushed)))
            best = i;
    return best;
}

// The hex where the search ends; steps in reverse are read from `hexes`.
static int plain_search(const struct hex_path_request *request, struct plain_hex *hexes,
                        uint32_t *nodes_out)
{
    struct map *map = request->cost_ctx;
    struct hex_axial from = request->from, to = request->to;
    int32_t distance_min = map_cost(map, to) == 0 ? 1 : 0;
    int nearest = map_index(from);
    uint64_t pushes = 1;
    memset(hexes, 0, MAP_SIDE * MAP_SIDE * sizeof *hexes);
    hexes[nearest] = (struct plain_hex){.pushed = pushes, .seen = true};
    *nodes_out = 0;
    for (int here; *nodes_out < request->nodes_max && (here = plain_next(hexes)) >= 0;) {
        ++*nodes_out;
        hexes[here].pushed = 0;
        hexes[here].closed = true;
        struct hex_axial at = map_hex(here);
        if (hex_distance(at, to) < hex_distance(map_hex(nearest), to))
            nearest = here;
        if (hex_distance(at, to) <= distance_min)
            break;
        int found[HEX_DIRECTIONS], count = 0;
        for (unsigned d = 0; d < HEX_DIRECTIONS; d++) {
            struct hex_axial next = hex_neighbor(at, d);
            uint32_t cost = map_cost(map, next);
            struct plain_hex *hex = cost > 0 ? &hexes[map_index(next)] : NULL;
            if (!hex || hex->closed || (hex->seen && hex->g <= hexes[here].g + cost))
                continue;
            hex->g = hexes[here].g + cost;
            hex->f = hex->g + request->cost_min * (uint32_t)hex_distance(next, to);
            hex->seen = true;
            hex->direction = (uint8_t)d;
            int place = count++;
            for (; place > 0 &&
                   off_line(from, to, map_hex(found[place - 1])) < off_line(from, to, next);
                 place--)
                found[place] = found[place - 1];
            found[place] = map_index(next);
        }
        for (int i = 0; i < count; i++)
            hexes[found[i]].pushed = ++pushes;
    }
    return nearest;
}

// Lands from empty to half dead, costs alike and not: some ways need no search, most some of it.
Test(path, finds_what_the_search_finds_step_by_step)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 5);
    struct hex_path_workspace *workspace = hex_path_workspace_new(MAP_BITS + 2);
    static struct map map;
    static struct plain_hex hexes[MAP_SIDE * MAP_SIDE];
    static uint8_t steps[STEPS_MAX];
    unsigned straight = 0, searched = 0;
    for (int round = 0; round < 800; round++) {
        random_map(&map, &rng, (uint64_t)(round % 5) * 4, round % 3 == 2 ? 2 : 1);
        struct hex_path_request request = {
            .from = map_hex((int)mm_rng_below(&rng, MAP_SIDE * MAP_SIDE)),
            .to = map_hex((int)mm_rng_below(&rng, MAP_SIDE * MAP_SIDE)),
            .cost = map_cost,
            .cheapest = round % 2 == 0 ? map_cheapest : NULL,
            .cost_ctx = &map,
            .cost_min = 1,
            .nodes_max = round % 7 == 0 ? 12 : UINT32_MAX,
            .partial = true};
        if (hex_equal(request.from, request.to))
            continue;
        struct hex_path_result result;
        uint32_t nodes;
        int end = plain_search(&request, hexes, &nodes);
        cr_assert_eq(hex_path_find(workspace, &request, steps, STEPS_MAX, &result), MM_OK);
        cr_assert_eq(result.nodes, nodes, "%u and %u", result.nodes, nodes);
        cr_assert_eq(map_index(result.last), end);
        cr_assert_eq(result.cost, hexes[end].g);
        cr_assert_eq(result.complete, hex_equal(map_hex(end), request.to));
        struct hex_axial at = map_hex(end);
        for (size_t i = result.steps; i > 0; i--) {
            cr_assert_eq(steps[i - 1], hexes[map_index(at)].direction);
            at = hex_neighbor(at, hex_opposite(steps[i - 1]));
        }
        cr_assert(hex_equal(at, request.from));
        straight += nodes == result.steps + 1;
        searched += nodes > result.steps + 1;
    }
    cr_assert(straight > 100 && searched > 100, "%u and %u", straight, searched);
    hex_path_workspace_free(workspace);
}

Test(path, limits_are_reported)
{
    struct hex_path_workspace *workspace = hex_path_workspace_new(6);
    static uint8_t steps[STEPS_MAX];
    struct hex_path_result result;
    struct hex_path_request request = {
        .from = {10, 10}, .to = {10, 58}, .cost = open_plain, .cost_min = 1, .nodes_max = 100};
    cr_assert_eq(hex_path_find(workspace, &request, steps, STEPS_MAX, &result), MM_OK);
    cr_assert_eq(result.steps, 48);
    cr_assert_eq(hex_path_find(workspace, &request, steps, 47, &result), MM_OUT_OF_RANGE);
    cr_assert_eq(result.steps, 0);
    request.nodes_max = 48; // the goal is the 49th
    cr_assert_eq(hex_path_find(workspace, &request, steps, STEPS_MAX, &result),
                 MM_RESOURCE_EXHAUSTED);
    cr_assert_eq(result.nodes, 48);
    request.nodes_max = 100;
    request.to.r = 59;
    cr_assert_eq(hex_path_find(workspace, &request, steps, STEPS_MAX, &result), MM_OUT_OF_RANGE);
    request.to = (struct hex_axial){1010, -990};
    request.partial = true;
    cr_assert_eq(hex_path_find(workspace, &request, steps, STEPS_MAX, &result), MM_OK);
    cr_assert(!result.complete);
    cr_assert_eq(hex_distance(result.last, request.to), 1000 - 48, "straight towards the far goal");
    request.to = request.from;
    cr_assert_eq(hex_path_find(workspace, &request, steps, STEPS_MAX, &result), MM_OK);
    cr_assert(result.complete && result.steps == 0);
    hex_path_workspace_free(workspace);
    cr_assert_null(hex_path_workspace_new(HEX_PATH_WINDOW_BITS_MIN - 1));
    cr_assert_null(hex_path_workspace_new(HEX_PATH_WINDOW_BITS_MAX + 1));
}

Test(path, workspace_survives_failing_allocations)
{
    for (int64_t n = 0; n < 2; n++) {
        mm_alloc_fail_after(n);
        struct hex_path_workspace *workspace = hex_path_workspace_new(4);
        mm_alloc_fail_after(-1);
        cr_assert_null(workspace);
    }
    hex_path_workspace_free(NULL);
}

Test(walker, pays_for_each_step_and_keeps_the_change)
{
    static struct map map;
    fill(&map, 2);
    const uint8_t steps[] = {0, 0, 5};
    struct hex_walker walker;
    hex_walker_start(&walker, (struct hex_axial){0, 0}, steps, 3);
    struct hex_axial next;
    cr_assert(hex_walker_peek(&walker, &next) && hex_equal(next, (struct hex_axial){1, 0}));
    // 2 * 10 points a step, 15 points a turn.
    cr_assert_eq(hex_walker_advance(&walker, 15, 10, map_cost, &map), HEX_WALK_GATHERING);
    cr_assert_eq(hex_walker_advance(&walker, 15, 10, map_cost, &map), HEX_WALK_STEPPED);
    cr_assert(hex_equal(walker.at, (struct hex_axial){1, 0}));
    cr_assert_eq(walker.points, 10);
    cr_assert_eq(hex_walker_advance(&walker, 15, 10, map_cost, &map), HEX_WALK_STEPPED);
    cr_assert_eq(hex_walker_advance(&walker, 0, 10, map_cost, &map), HEX_WALK_GATHERING);
    map.cost[MAP_SIDE / 2 + 1][MAP_SIDE / 2 + 2] = 0;
    cr_assert_eq(hex_walker_advance(&walker, 15, 10, map_cost, &map), HEX_WALK_BLOCKED);
    cr_assert(hex_equal(walker.at, (struct hex_axial){2, 0}));
    map.cost[MAP_SIDE / 2 + 1][MAP_SIDE / 2 + 2] = 1;
    cr_assert_eq(hex_walker_advance(&walker, 15, 10, map_cost, &map), HEX_WALK_STEPPED);
    cr_assert(hex_equal(walker.at, (struct hex_axial){2, 1}));
    cr_assert_eq(hex_walker_advance(&walker, 15, 10, map_cost, &map), HEX_WALK_DONE);
    cr_assert(!hex_walker_peek(&walker, &next));
}

Test(walker, points_do_not_wrap)
{
    static struct map map;
    fill(&map, 255);
    const uint8_t steps[] = {0};
    struct hex_walker walker;
    hex_walker_start(&walker, (struct hex_axial){0, 0}, steps, 1);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(hex_walker_advance(&walker, UINT32_MAX / 2, UINT32_MAX, map_cost, &map),
                     HEX_WALK_GATHERING);
    cr_assert_eq(walker.points, UINT32_MAX);
}
