#include "tests/support/ways_bench.h"

#include "libcommon/base/check.h"
#include "libcommon/base/rng.h"
#include "libcommon/hex/overlay.h"
#include "libcommon/hex/route.h"
#include "services/world/core/state.h"
#include "tests/support/world_fixture.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SIDE = 500,
    PAIRS = 1000,
    BASELINE_PAIRS = 100, // of them: it takes its time
    RUNS = 7,
    STEPS_MIN = 200,
    STEPS_MAX = 8192,
    SLACK_PERMILLE = 4, // world's
};

struct pair {
    struct hex_axial from, to;
    uint64_t least; // cost
    size_t steps;
};

static uint8_t land[SIDE][SIDE];
static struct world *world;
static uint8_t steps[STEPS_MAX];

static uint32_t cost_at(void *ctx, struct hex_axial at)
{
    (void)ctx;
    uint32_t q = (uint32_t)at.q, r = (uint32_t)at.r;
    return q < SIDE && r < SIDE ? land[r][q] : 0;
}

static void chunk_costs(void *ctx, uint32_t chunk, uint16_t *cell_cost_out)
{
    (void)ctx;
    const struct hex_tiling *tiling = &world->map.tiling;
    struct hex_axial center = hex_chunk_center(tiling, world->map.chunks[chunk]);
    for (uint32_t cell = 0; cell < tiling->cells; cell++)
        cell_cost_out[cell] = (uint16_t)cost_at(NULL, hex_add(center, tiling->offsets[cell]));
}

// Every chunk that lies in the square, with what stands there.
static void make_land(void)
{
    struct world_rules *rules = fixture_rules();
    world = fixture_world(rules, 7);
    free(rules);
    MM_CHECK(world_reserve_entities(world, 50000) == MM_OK);
    for (int32_t r = 0; r < SIDE; r++)
        for (int32_t q = 0; q < SIDE; q++) {
            struct hex_axial at = {q, r};
            struct hex_chunk chunk = hex_chunk_of(&world->map.tiling, at);
            if (world_map_chunk(&world->map, chunk) == WORLD_CHUNK_NONE)
                MM_CHECK(world_grow(world, chunk, 0) == MM_OK);
            uint32_t cell = world_map_cell(&world->map, at);
            land[r][q] = world->grid.cells[cell].blockers
                             ? 0
                             : world->move_cost_percent[world->map.terrain[cell]];
        }
}

static struct hex_route_map route_map(void)
{
    return (struct hex_route_map){
        .chunks = world->map.chunks,
        .neighbors = (const uint32_t(*)[6])world->map.neighbors,
        .versions = world->grid.barred_version,
        .chunk_count = world->map.chunk_count,
        .cost_min = world->cost_min,
        .cost_unit = world->cost_unit,
        .costs = chunk_costs,
    };
}

static struct hex_route_end end_of(struct hex_axial at)
{
    uint32_t cell = world_map_cell(&world->map, at);
    return (struct hex_route_end){cell / world->map.tiling.cells, cell % world->map.tiling.cells};
}

static bool plain(struct hex_path_workspace *workspace, struct pair *pair)
{
    struct hex_path_request request = {.from = pair->from,
                                       .to = pair->to,
                                       .cost = cost_at,
                                       .cost_min = world->cost_min,
                                       .nodes_max = UINT32_MAX,
                                       NULL};
    struct hex_path_result result;
    bool found = hex_path_find(workspace, &request, steps, STEPS_MAX, &result) == MM_OK;
    pair->least = result.cost;
    pair->steps = result.steps;
    return found;
}

static void overlaid(struct hex_route *route, const struct hex_route_map *map,
                     const struct pair *pair, struct hex_route_result *result)
{
    struct hex_route_request request = {end_of(pair->from), end_of(pair->to), SLACK_PERMILLE,
                                        UINT32_MAX, .field = NULL};
    MM_CHECK(hex_route_find(route, map, &request, steps, STEPS_MAX, result) == MM_OK);
    MM_CHECK(result->complete && hex_equal(result->last, pair->to));
}

// Pairs with a way of at least STEPS_MIN steps between them, at most `distance_max` apart.
static void draw_pairs(struct hex_path_workspace *workspace, int32_t distance_max,
                       struct pair *pairs)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 3);
    for (int i = 0; i < PAIRS;) {
        struct pair *pair = &pairs[i];
        pair->from = (struct hex_axial){(int32_t)mm_rng_below(&rng, SIDE),
                                        (int32_t)mm_rng_below(&rng, SIDE)};
        pair->to = (struct hex_axial){(int32_t)mm_rng_below(&rng, SIDE),
                                      (int32_t)mm_rng_below(&rng, SIDE)};
        int32_t distance = hex_distance(pair->from, pair->to);
        i += distance >= STEPS_MIN * 3 / 4 && distance <= distance_max &&
             cost_at(NULL, pair->from) && cost_at(NULL, pair->to) && plain(workspace, pair) &&
             pair->steps >= STEPS_MIN;
    }
}

// Every way is walked: passable, as dear as was said, within the slack of the cheapest.
static void check(struct hex_route *route, const struct hex_route_map *map,
                  const struct pair *pairs, struct bench *bench, const char *name)
{
    double sum = 0, worst = 1, count = 0, work = 0;
    for (int i = 0; i < PAIRS; i++) {
        struct hex_route_result result;
        overlaid(route, map, &pairs[i], &result);
        uint64_t cost = 0;
        struct hex_axial at = pairs[i].from;
        for (size_t k = 0; k < result.steps; k++) {
            at = hex_neighbor(at, steps[k]);
            MM_CHECK(cost_at(NULL, at) > 0);
            cost += cost_at(NULL, at);
        }
        MM_CHECK(hex_equal(at, pairs[i].to) && cost == result.cost && cost >= pairs[i].least);
        double ratio = (double)cost / (double)pairs[i].least;
        worst = ratio > worst ? ratio : worst;
        sum += ratio;
        count += (double)result.steps;
        work += result.work;
    }
    MM_CHECK(worst <= 1 + SLACK_PERMILLE / 1000.0);
    char figure[96];
    snprintf(figure, sizeof figure, "%s.steps", name);
    bench_figure(bench, figure, count / PAIRS, "steps");
    snprintf(figure, sizeof figure, "%s.work", name);
    bench_figure(bench, figure, work / PAIRS, "rows and chunks");
    snprintf(figure, sizeof figure, "%s.above_least", name);
    bench_figure(bench, figure, (sum / PAIRS - 1) * 1000, "permille");
    snprintf(figure, sizeof figure, "%s.above_least_worst", name);
    bench_figure(bench, figure, (worst - 1) * 1000, "permille");
}

static double per_second(uint64_t began_ns, int paths)
{
    return paths * 1e9 / (double)(bench_cpu_ns() - began_ns);
}

static void scenario(struct bench *bench, struct hex_path_workspace *workspace,
                     struct hex_route *route, const char *name, int32_t distance_max)
{
    static struct pair pairs[PAIRS];
    struct hex_route_map map = route_map();
    draw_pairs(workspace, distance_max, pairs);
    check(route, &map, pairs, bench, name);
    double ours[RUNS], theirs[RUNS];
    for (int run = 0; run < RUNS; run++) {
        uint64_t began = bench_cpu_ns();
        for (int i = 0; i < BASELINE_PAIRS; i++)
            MM_CHECK(plain(workspace, &pairs[i]));
        theirs[run] = per_second(began, BASELINE_PAIRS);
        struct hex_route_result result;
        began = bench_cpu_ns();
        for (int i = 0; i < PAIRS; i++)
            overlaid(route, &map, &pairs[i], &result);
        ours[run] = per_second(began, PAIRS);
    }
    bench_compare(bench, name, bench_median(ours, RUNS), bench_median(theirs, RUNS), "1/s");
}

// --- groups --------------------------------------------------------------------------------------

static struct hex_axial near(struct mm_rng *rng, struct hex_axial at, int32_t reach)
{
    struct hex_axial found;
    do
        found = hex_add(at, (struct hex_axial){(int32_t)mm_rng_between(rng, -reach, reach),
                                               (int32_t)mm_rng_between(rng, -reach, reach)});
    while (!cost_at(NULL, found) ||
           world_map_region(&world->map, world_map_cell(&world->map, found)) !=
               world_map_region(&world->map, world_map_cell(&world->map, at)));
    return found;
}

// Groups of a hundred from within 8 hexes to as many within 6 of a goal anywhere: one after the
// other, and with what the first one's search learned for all (which is in the time).
static void groups(struct bench *bench, struct hex_path_workspace *workspace,
                   struct hex_route *route)
{
    enum { GROUPS = 10, MEMBERS = 100 };
    static struct pair pairs[PAIRS];
    static struct hex_route_request members[GROUPS][MEMBERS];
    struct hex_route_map map = route_map();
    struct hex_route_field *field = hex_route_field_new();
    struct mm_rng rng;
    mm_rng_seed(&rng, 5);
    draw_pairs(workspace, 2 * SIDE, pairs);
    for (int g = 0; g < GROUPS; g++)
        for (int i = 0; i < MEMBERS; i++)
            members[g][i] = (struct hex_route_request){end_of(near(&rng, pairs[g].from, 8)),
                                                       end_of(near(&rng, pairs[g].to, 6)),
                                                       SLACK_PERMILLE, UINT32_MAX, .field = NULL};
    double runs[2][RUNS], costs[2] = {0};
    for (int run = 0; run < RUNS; run++)
        for (int shared = 0; shared < 2; shared++) {
            uint64_t began = bench_cpu_ns();
            for (int g = 0; g < GROUPS; g++) {
                uint32_t work;
                MM_CHECK(!shared ||
                         hex_route_field_build(route, &map, &members[g][0], field, &work) == MM_OK);
                for (int i = 0; i < MEMBERS; i++) {
                    struct hex_route_request request = members[g][i];
                    request.field = shared ? field : NULL;
                    struct hex_route_result result;
                    MM_CHECK(hex_route_find(route, &map, &request, steps, STEPS_MAX, &result) ==
                                 MM_OK &&
                             result.complete);
                    costs[shared] += (double)result.cost;
                }
            }
            runs[shared][run] = per_second(began, GROUPS * MEMBERS);
        }
    bench_compare(bench, "world.paths_per_s.group", bench_median(runs[1], RUNS),
                  bench_median(runs[0], RUNS), "1/s");
    bench_figure(bench, "world.paths_per_s.group.above_alone", (costs[1] / costs[0] - 1) * 1000,
                 "permille");
    hex_route_field_free(field);
}

// What it costs to know a chunk, and to keep it.
static void cold(struct bench *bench, struct hex_route *route)
{
    struct hex_route_map map = route_map();
    double runs[RUNS];
    const struct hex_tiling *tiling = &world->map.tiling;
    struct hex_overlay_shape shape;
    MM_CHECK(hex_overlay_shape_init(&shape, tiling) == MM_OK);
    void *scratch = aligned_alloc(64, (hex_overlay_scratch_bytes(&shape) + 63) / 64 * 64);
    struct hex_overlay overlay;
    void *body = aligned_alloc(64, hex_overlay_body_bytes(&shape));
    hex_overlay_place(&shape, &overlay, body);
    uint16_t costs[HEX_OVERLAY_CELLS_MAX];
    for (int run = 0; run < RUNS; run++) {
        uint64_t began = bench_cpu_ns();
        for (uint32_t chunk = 0; chunk < 500; chunk++) {
            chunk_costs(NULL, chunk, costs);
            hex_overlay_set_costs(&shape, costs, &overlay);
            hex_overlay_build(&shape, scratch, &overlay);
        }
        runs[run] = (double)(bench_cpu_ns() - began) / 1000 / 500;
    }
    bench_figure(bench, "overlay.build_us", bench_median(runs, RUNS), "us per chunk");
    bench_figure(bench, "overlay.bytes", (double)(sizeof overlay + hex_overlay_body_bytes(&shape)),
                 "bytes per chunk");
    bench_figure(bench, "route.memory_bytes", (double)hex_route_memory_bytes(route), "bytes");
    bench_figure(bench, "chunks", map.chunk_count, "chunks");
    free(body);
    free(scratch);
    hex_overlay_shape_free(&shape);
}

static struct hex_path_workspace *open_all(struct hex_route **route)
{
    make_land();
    struct hex_path_workspace *workspace = hex_path_workspace_new(10);
    *route = hex_route_new(&world->map.tiling, 4096);
    MM_CHECK(workspace && *route);
    return workspace;
}

static void close_all(struct hex_path_workspace *workspace, struct hex_route *route)
{
    hex_route_free(route);
    hex_path_workspace_free(workspace);
    world_free(world);
}

void ways_bench_long(struct bench *bench)
{
    struct hex_route *route;
    struct hex_path_workspace *workspace = open_all(&route);
    scenario(bench, workspace, route, "world.paths_per_s", 230);
    close_all(workspace, route);
}

void ways_bench_all(struct bench *bench)
{
    struct hex_route *route;
    struct hex_path_workspace *workspace = open_all(&route);
    scenario(bench, workspace, route, "world.paths_per_s", 230);
    scenario(bench, workspace, route, "world.paths_per_s.anywhere", 2 * SIDE);
    groups(bench, workspace, route);
    cold(bench, route);
    close_all(workspace, route);
}
