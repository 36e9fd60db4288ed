#include "services/world/core/state.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/bitset.h"
#include "libcommon/base/hash.h"
#include "libcommon/base/prefetch.h"
#include "libcommon/hex/overlay.h"
#include <string.h>

// Ways for units: near ones hex by hex, with everything that stands in the way at this moment; far
// ones over the borders of chunks, around terrain and whatever bars a hex, but through units, which
// will have moved by then.
//
// What far ways need to know of a chunk takes as long to work out as ten searches. It is kept, but
// what is kept is not part of the state, so a world that was loaded has to work it out again. That
// must not change the pace at which it plans: a chunk is paid for once, when a search first needs
// it as it is, which the state knows (grid.h, charted), and no matter whether it is kept. A search
// that needs too many chunks that are not charted charts those, and is begun anew. No more chunks
// are charted than are kept, and a world that was loaded works them out before its first tick: so
// what is paid for is there, and what a tick counts is what it takes.

// From this distance on a way is a far one.
#define FAR_HEXES 32
// A far way costs at most so much more than a cheapest one. It is planned in pieces, and each piece
// may add as much to what is left; two or three pieces stay within one per cent.
#define SLACK_PERMILLE 4
// Units this near to the one that looks for a way around count as obstacles; farther ones will
// have moved by then.
#define AVOID_RADIUS 3
// Who is barred by units gets back onto its way at the first free hex beyond them, at most so many
// steps on, by at most so many steps more; else it plans its whole way anew.
#define REJOIN_STEPS 14
#define DETOUR_STEPS 10
#define DETOUR_WORK  600
// So many chunks are known at most (16 KiB each); more than a search within its bounds comes to.
#define OVERLAYS_MAX 4096
_Static_assert(WORLD_CHARTED_MAX < OVERLAYS_MAX, "what is charted is kept, and more besides");
_Static_assert(HEX_OVERLAY_NODES_MAX + 2 < WORLD_PLAN_OVERRUN, "the rows of one chunk");

// Ends of requests within so many chunks of one another's make a group.
#define GROUP_CHUNKS 1

enum mm_err world_ways_init(struct world *world)
{
    world->paths = hex_path_workspace_new(WORLD_PATH_WINDOW_BITS);
    world->search_steps = mm_malloc(WORLD_SEARCH_STEPS_MAX);
    if (!world->paths || !world->search_steps)
        return MM_RESOURCE_EXHAUSTED;
    // Larger chunks have no overlays: all their ways are searched hex by hex.
    if (world->map.tiling.radius > HEX_OVERLAY_RADIUS_MAX)
        return MM_OK;
    world->routes = hex_route_new(&world->map.tiling, OVERLAYS_MAX);
    for (uint32_t i = 0; i < WORLD_WAY_GROUPS_MAX; i++) {
        world->way_groups[i].field = hex_route_field_new();
        if (!world->way_groups[i].field)
            return MM_RESOURCE_EXHAUSTED;
    }
    return world->routes ? MM_OK : MM_RESOURCE_EXHAUSTED;
}

void world_ways_free(struct world *world)
{
    mm_free(world->search_steps);
    hex_path_workspace_free(world->paths);
    for (uint32_t i = 0; i < WORLD_WAY_GROUPS_MAX; i++)
        hex_route_field_free(world->way_groups[i].field);
    hex_route_free(world->routes);
}

void world_ways_begin(struct world *world)
{
    world->way_group_count = 0;
}

void world_ways_forget(struct world *world)
{
    memset(world->grid.charted, 0, MM_BITSET_WORDS(world->map.chunk_count) * 8);
    if (world->routes)
        hex_route_clear(world->routes);
}

static uint32_t spend_left(const struct world_way_request *request, const struct world_way *way)
{
    return way->work < request->spend_max ? request->spend_max - way->work : 0;
}

// Whether a search that the budget cut off is put off: it comes farther when asked again. Who has
// the last word would be cut off again, unless it has paid for charts this time.
static bool may_wait(const struct world_way_request *request, const struct world_way *way)
{
    return !request->last_word || way->charts > 0;
}

// --- near ----------------------------------------------------------------------------------------

struct cost {
    const struct world *world;
    struct hex_axial from, goal;
    bool avoid;
};

static uint32_t cost_of_cell(const struct cost *cost, struct hex_axial at, uint32_t cell)
{
    const struct world *world = cost->world;
    if (cell == WORLD_CELL_NONE || world->grid.cells[cell].blockers > 0)
        return 0;
    if (cost->avoid && world->grid.cells[cell].units >= world->rules.movement.units_per_hex &&
        hex_distance(at, cost->from) <= AVOID_RADIUS && !hex_equal(at, cost->goal))
        return 0;
    return world->move_cost_percent[world->map.terrain[cell]];
}

static uint32_t cost_of(void *ctx, struct hex_axial at)
{
    const struct cost *cost = ctx;
    return cost_of_cell(cost, at, world_map_cell(&cost->world->map, at));
}

// A line's hexes lie anywhere in memory: all are on their way to the cache before the first is
// looked at. From neighbour to neighbour, which is also much quicker than to look each up.
static size_t cheapest_on_line(void *ctx, struct hex_axial from, const uint8_t *steps, size_t count)
{
    const struct cost *cost = ctx;
    const struct world *world = cost->world;
    struct world_walk walk = {from, world_map_cell(&world->map, from)}, line[FAR_HEXES];
    count = count < FAR_HEXES ? count : FAR_HEXES;
    for (size_t i = 0; i < count; i++) {
        world_walk_step(&world->map, &walk, steps[i]);
        line[i] = walk;
        if (walk.cell == WORLD_CELL_NONE)
            continue;
        mm_prefetch(&world->grid.cells[walk.cell]);
        mm_prefetch(&world->map.terrain[walk.cell]);
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t here = cost_of_cell(cost, line[i].at, line[i].cell);
        if (here == 0 || here > world->cost_min)
            return i;
    }
    return count;
}

static bool find_near(struct world *world, const struct world_way_request *request,
                      struct world_way *way)
{
    struct cost cost = {world, request->from, request->to, request->avoid};
    uint32_t left = spend_left(request, way);
    struct hex_path_request path = {
        .from = request->from,
        .to = request->to,
        .cost = cost_of,
        .cheapest = cheapest_on_line,
        .cost_ctx = &cost,
        .cost_min = world->cost_min,
        .nodes_max = request->work_max < left ? request->work_max : left,
        .partial = request->partial,
    };
    struct hex_path_result result;
    enum mm_err err =
        hex_path_find(world->paths, &path, world->search_steps, WORLD_SEARCH_STEPS_MAX, &result);
    way->work += result.nodes;
    // It may have ended because no more was left of the budget, not because it may do no more.
    way->later = result.nodes == left && left < request->work_max && may_wait(request, way);
    if (way->later)
        return false;
    way->steps = err == MM_OK ? (uint32_t)result.steps : 0;
    way->complete = result.complete;
    return way->steps > 0;
}

// --- far -----------------------------------------------------------------------------------------

static void chunk_costs(void *ctx, uint32_t chunk, uint16_t *cell_cost_out)
{
    const struct world *world = ctx;
    uint32_t cells = world->map.tiling.cells, first = chunk * cells;
    for (uint32_t i = 0; i < cells; i++)
        cell_cost_out[i] = world->grid.cells[first + i].blockers > 0
                               ? 0
                               : world->move_cost_percent[world->map.terrain[first + i]];
}

// How many chunks one search may chart: in work, as much as it may do itself.
static uint32_t charts_max(const struct world_way_request *request)
{
    uint32_t charts = request->work_max / WORLD_CHART_WORK;
    return charts > 2 ? charts : 2;
}

// The book is full: another chunk goes, any that is not among the last ones.
static void unchart_one(struct world *world, const uint32_t *last, uint32_t last_count)
{
    uint32_t count = world->map.chunk_count;
    uint64_t seed = world->tick ^ (uint64_t)last[0] << 32;
    for (;;) {
        seed = mm_mix64(seed + 1);
        uint32_t chunk = (uint32_t)mm_bitset_next(world->grid.charted, count, seed % count);
        bool is_last = chunk == count;
        for (uint32_t i = 0; i < last_count && !is_last; i++)
            is_last = last[i] == chunk;
        if (is_last)
            continue;
        mm_bitset_clear(world->grid.charted, chunk);
        return;
    }
}

// Enters into the book what the last search needed; it has been counted.
static void chart(struct world *world, struct world_way *way)
{
    uint32_t count, added = 0;
    const uint32_t *chunks = hex_route_uncharted(world->routes, &count);
    for (uint32_t i = 0; i < count; i++)
        added += mm_bitset_add(world->grid.charted, chunks[i]);
    way->charts += count;
    if (added == 0 || world->map.chunk_count <= WORLD_CHARTED_MAX)
        return;
    size_t charted = mm_bitset_count(world->grid.charted, world->map.chunk_count);
    for (; charted > WORLD_CHARTED_MAX; charted--)
        unchart_one(world, chunks, count);
}

// The group that a far way belongs to, a new one if there is none; in turn over the oldest.
static struct world_way_group *group_of(struct world *world, uint32_t from, uint32_t to)
{
    struct hex_chunk start = world->map.chunks[from], goal = world->map.chunks[to];
    uint32_t known = world->way_group_count < WORLD_WAY_GROUPS_MAX ? world->way_group_count
                                                                   : WORLD_WAY_GROUPS_MAX;
    for (uint32_t i = 0; i < known; i++) {
        struct world_way_group *group = &world->way_groups[i];
        if (hex_chunk_distance(group->goal, goal) <= GROUP_CHUNKS &&
            hex_chunk_distance(group->start, start) <= GROUP_CHUNKS)
            return group;
    }
    struct world_way_group *group =
        &world->way_groups[world->way_group_count++ % WORLD_WAY_GROUPS_MAX];
    *group = (struct world_way_group){.start = start, .goal = goal, .field = group->field};
    return group;
}

// The first of a group finds its way alone; the second learns for all that come after it in this
// tick. So who is alone pays for nobody, and nothing outlives the tick: what a state's ways are
// does not depend on when it was loaded.
static const struct hex_route_field *group_field(struct world *world,
                                                 const struct hex_route_map *map,
                                                 const struct hex_route_request *request,
                                                 struct world_way_group *group,
                                                 struct world_way *way)
{
    if (group->members == 1) {
        uint32_t work;
        enum mm_err err = hex_route_field_build(world->routes, map, request, group->field, &work);
        way->work += work;
        chart(world, way);
        way->later = err == MM_UNAVAILABLE;
        group->learned = err == MM_OK;
    }
    return group->learned ? group->field : NULL;
}

static struct hex_route_map route_map(const struct world *world)
{
    return (struct hex_route_map){
        .chunks = world->map.chunks,
        .neighbors = (const uint32_t(*)[6])world->map.neighbors,
        .versions = world->grid.barred_version,
        .chunk_count = world->map.chunk_count,
        .cost_min = world->cost_min,
        .cost_unit = world->cost_unit,
        .costs = chunk_costs,
        // Read alone; the field is for others as well, who may write.
        .ctx = (void *)(uintptr_t)world,
    };
}

void world_warm(struct world *world)
{
    struct hex_route_map map = route_map(world);
    if (world->routes)
        hex_route_warm(world->routes, &map, world->grid.charted);
}

static enum mm_err route(struct world *world, uint32_t from, uint32_t to,
                         const struct world_way_request *asked, struct world_way *way)
{
    struct hex_route_map map = route_map(world);
    uint32_t cells = world->map.tiling.cells;
    struct hex_route_request request = {
        .from = {from / cells, from % cells},
        .to = {to / cells, to % cells},
        .slack_permille = SLACK_PERMILLE,
        .work_max = asked->work_max,
        .charted = world->grid.charted,
        .charts_max = charts_max(asked),
        .chart_work = WORLD_CHART_WORK,
        .spend_max = spend_left(asked, way),
    };
    struct world_way_group *group = group_of(world, request.from.chunk, request.to.chunk);
    request.field = group_field(world, &map, &request, group, way);
    request.spend_max = spend_left(asked, way);
    // To spend nothing would mean to spend without bound.
    way->later = way->later || request.spend_max == 0;
    if (way->later)
        return MM_UNAVAILABLE;
    struct hex_route_result result;
    enum mm_err err = hex_route_find(world->routes, &map, &request, world->search_steps,
                                     WORLD_ROUTE_STEPS_MAX, &result);
    way->work += result.work;
    chart(world, way);
    way->later = err == MM_UNAVAILABLE;
    group->members += !way->later;
    way->steps = (uint32_t)result.steps;
    way->complete = result.complete;
    return err;
}

// Where a far way to a hex that nobody can step onto leads: next to it.
static uint32_t beside(const struct world *world, uint32_t cell)
{
    for (unsigned d = 0; d < HEX_DIRECTIONS; d++) {
        uint32_t next = world_map_step(&world->map, cell, d);
        if (next != WORLD_CELL_NONE && world_map_passable(&world->map, next) &&
            world->grid.cells[next].blockers == 0)
            return next;
    }
    return WORLD_CELL_NONE;
}

// False: it has to be searched hex by hex.
static bool find_far(struct world *world, const struct world_way_request *request,
                     struct world_way *way)
{
    uint32_t from = world_map_cell(&world->map, request->from);
    uint32_t to = world_map_cell(&world->map, request->to);
    if (from == WORLD_CELL_NONE || to == WORLD_CELL_NONE)
        return false;
    bool barred = world->grid.cells[to].blockers > 0 || !world_map_passable(&world->map, to);
    if (barred)
        to = beside(world, to);
    if (to == WORLD_CELL_NONE || from / world->map.tiling.cells == to / world->map.tiling.cells)
        return false;
    enum mm_err err = route(world, from, to, request, way);
    way->complete &= !barred;
    return (err == MM_OK || err == MM_RESOURCE_EXHAUSTED) && way->steps > 0;
}

bool world_way_find(struct world *world, const struct world_way_request *request,
                    struct world_way *way)
{
    *way = (struct world_way){0};
    bool far = world->routes && !request->avoid && request->partial &&
               hex_distance(request->from, request->to) >= FAR_HEXES;
    return (far && find_far(world, request, way)) ||
           (!way->later && find_near(world, request, way));
}

// --- around --------------------------------------------------------------------------------------

// The hexes of a route from `next` on: how many steps they are until the first one that is free and
// out of the reach of avoiding, 0 if there is none. False: they lead off the map.
static bool rejoin_at(const struct world *world, struct hex_axial from,
                      const struct world_route *route, uint32_t next, uint32_t *steps_out,
                      struct hex_axial *at_out)
{
    struct hex_axial at = from;
    uint32_t cell = world_map_cell(&world->map, from);
    *steps_out = 0;
    for (uint32_t i = next; i < route->steps; i++) {
        unsigned direction = world_route_direction(route, i);
        cell = direction < HEX_DIRECTIONS ? world_map_step(&world->map, cell, direction)
                                          : WORLD_CELL_NONE;
        if (cell == WORLD_CELL_NONE)
            return false;
        at = hex_neighbor(at, direction);
        uint32_t steps = i - next + 1;
        if (*steps_out > 0 || steps > REJOIN_STEPS || hex_distance(from, at) <= AVOID_RADIUS ||
            !world_cell_free(world, cell, WORLD_ON_UNIT))
            continue;
        *steps_out = steps;
        *at_out = at;
    }
    return !route->complete || hex_equal(at, (struct hex_axial){route->goal_q, route->goal_r});
}

bool world_way_around(struct world *world, const struct world_way_request *asked,
                      const struct world_route *route, uint32_t next, struct world_way *way)
{
    *way = (struct world_way){0};
    uint32_t skipped;
    struct world_way_request request = *asked;
    request.avoid = true;
    request.partial = false;
    request.work_max = asked->work_max < DETOUR_WORK ? asked->work_max : DETOUR_WORK;
    if (!rejoin_at(world, asked->from, route, next, &skipped, &request.to) || skipped == 0 ||
        !find_near(world, &request, way) || way->steps > skipped + DETOUR_STEPS)
        return false;
    uint32_t i = next + skipped;
    for (; i < route->steps && way->steps < WORLD_ROUTE_STEPS_MAX; i++)
        world->search_steps[way->steps++] = (uint8_t)world_route_direction(route, i);
    way->complete = route->complete && i == route->steps;
    return true;
}
