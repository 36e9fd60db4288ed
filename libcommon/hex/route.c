#include "libcommon/hex/route.h"

#include "libcommon/base/check.h"
#include "libcommon/hex/lanes.h"
#include "libcommon/hex/route_internal.h"
#include <string.h>

// A label-correcting search whose unit of work is a chunk. In the heap a chunk stands with the
// least estimate (cost so far plus the least that the rest can cost) of the nodes through which
// it was entered anew; whatever else was entered meanwhile is taken along. Nothing is settled: a
// later, cheaper entry is passed on again. The search is over when no estimate in the heap can
// lead to a way that is cheaper, by more than the slack, than the best one known.

// Of equally promising chunks those nearer to the goal come first: the heap holds estimates of
// which the rest counts for a 64th more. On open ground the first way found is then as good as any.
#define EAGERNESS 64

// --- heap ----------------------------------------------------------------------------------------

static void heap_put(struct hex_route *route, uint32_t place, uint32_t visit)
{
    route->heap[place] = visit;
    route->visits[visit].heap_place = place;
}

static void heap_up(struct hex_route *route, uint32_t place, uint32_t visit)
{
    int32_t key = route->visits[visit].key;
    while (place > 0) {
        uint32_t parent = (place - 1) / 2;
        if (route->visits[route->heap[parent]].key <= key)
            break;
        heap_put(route, place, route->heap[parent]);
        place = parent;
    }
    heap_put(route, place, visit);
}

static uint32_t heap_pop(struct hex_route *route)
{
    uint32_t top = route->heap[0], last = route->heap[--route->heap_count];
    route->visits[top].heap_place = ROUTE_NOT_IN_HEAP;
    if (route->heap_count == 0)
        return top;
    int32_t key = route->visits[last].key;
    uint32_t place = 0;
    for (;;) {
        uint32_t child = 2 * place + 1;
        if (child >= route->heap_count)
            break;
        if (child + 1 < route->heap_count &&
            route->visits[route->heap[child + 1]].key < route->visits[route->heap[child]].key)
            child++;
        if (route->visits[route->heap[child]].key >= key)
            break;
        heap_put(route, place, route->heap[child]);
        place = child;
    }
    heap_put(route, place, last);
    return top;
}

// The chunk's earliest estimate may have fallen to `key`.
static void heap_offer(struct hex_route *route, uint32_t index, int32_t key)
{
    struct route_visit *visit = &route->visits[index];
    if (visit->heap_place == ROUTE_NOT_IN_HEAP) {
        visit->key = key;
        heap_up(route, route->heap_count++, index);
    } else if (key < visit->key) {
        visit->key = key;
        heap_up(route, visit->heap_place, index);
    }
}

// --- visits --------------------------------------------------------------------------------------

uint32_t route_visit_of(struct hex_route *route, uint32_t chunk)
{
    struct route_chunk *known = &route->chunks[chunk];
    if (known->search == route->search)
        return known->visit;
    uint32_t slot;
    const struct hex_overlay *overlay =
        route->visit_count < route->overlays_max ? route_overlay(route, chunk, &slot) : NULL;
    if (!overlay) {
        route->out_of_room = true;
        return ROUTE_NO_VISIT;
    }
    uint32_t index = route->visit_count++;
    struct route_visit *visit = &route->visits[index];
    for (uint32_t i = 0; i < route->shape.lanes; i++)
        visit->labels[i] = ROUTE_UNKNOWN;
    visit->taken = visit->pending = 0;
    visit->overlay = overlay;
    visit->center =
        hex_sub(hex_chunk_center(&route->shape.tiling, route->map->chunks[chunk]), route->goal);
    visit->chunk = chunk;
    visit->slot = slot;
    visit->heap_place = ROUTE_NOT_IN_HEAP;
    for (unsigned d = 0; d < HEX_DIRECTIONS; d++)
        visit->beside[d] = ROUTE_NO_VISIT;
    known->search = route->search;
    known->visit = index;
    return index;
}

// The least that the way from a node to the goal can cost.
static int32_t estimate(const struct hex_route *route, const struct route_visit *visit,
                        uint32_t node)
{
    struct hex_axial at = hex_add(visit->center, route->shape.node_offset[node]);
    return hex_length(at) * (int32_t)route->cost_min;
}

static void found(struct hex_route *route, int32_t cost)
{
    if (cost >= route->best)
        return;
    route->best = cost;
    // Estimates e with e * (1 + slack) >= cost are of no use.
    int64_t scale = 1000 + (int64_t)route->slack_permille;
    route->limit = (int32_t)(((int64_t)cost * 1000 + scale - 1) / scale);
}

// A label of a node that is reached from another chunk. Returns the estimate, ROUTE_UNKNOWN if it
// is of no use.
static int32_t enter(struct hex_route *route, uint32_t index, uint32_t node, int32_t label)
{
    struct route_visit *visit = &route->visits[index];
    int32_t left = estimate(route, visit, node);
    if (label + left >= route->limit)
        return ROUTE_UNKNOWN;
    int32_t whole = label + left + left / EAGERNESS;
    visit->labels[node] = label;
    visit->pending |= UINT64_C(1) << node;
    // Its row is wanted when the chunk's turn comes; most are in no cache by then.
    const int16_t *row = hex_overlay_row(&route->shape, visit->overlay, node);
    __builtin_prefetch(row);
    __builtin_prefetch(row + 32);
    if (index == route->goal_visit && route->to_goal[node] != ROUTE_UNKNOWN)
        found(route, label + route->to_goal[node]);
    return whole;
}

// What a chunk passes on: labels relative to base, in reverse order around the border, so that they
// lie in the order in which the neighbours count: place x is node -x (modulo the count), and what
// lies behind place 0 lies behind the last one again. HEX_OVERLAY_FAR: nothing new.
struct passing {
    int32_t base;
    int16_t labels[HEX_OVERLAY_NODES_MAX + 24];
};

static void passing_begin(struct passing *passing, int32_t base)
{
    passing->base = base;
    for (unsigned i = 0; i < sizeof passing->labels / sizeof passing->labels[0]; i += 4)
        memcpy(
            passing->labels + i,
            (const int16_t[4]){HEX_OVERLAY_FAR, HEX_OVERLAY_FAR, HEX_OVERLAY_FAR, HEX_OVERLAY_FAR},
            4 * sizeof(int16_t));
}

static void passing_put(struct passing *passing, uint32_t node_count, uint32_t node, int16_t label)
{
    uint32_t place = node == 0 ? 0 : node_count - node;
    passing->labels[place] = label;
    if (place < 24)
        passing->labels[place + node_count] = label;
}

// Over one side. The neighbour's border cell j of its own side touches cells R - j and R - 1 - j of
// this one; the last, which is a corner, only cell 0.
static void pass_side(struct hex_route *route, const struct passing *passing, unsigned side,
                      uint32_t there)
{
    const struct route_visit *next = &route->visits[there];
    uint32_t radius = (uint32_t)route->shape.tiling.radius, count = route->shape.node_count;
    const int16_t *mine = passing->labels + (count - (side + 1) * radius);
    uint32_t first = hex_opposite(side) * radius;
    int32_t key = ROUTE_UNKNOWN;
    for (uint32_t j = 0; j < radius; j += 8) {
        hex_lanes least = hex_lanes_least(hex_lanes_load(mine + j), hex_lanes_load(mine + j + 1));
        hex_lanes reached = hex_lanes_sum(least, hex_lanes_load(next->overlay->enter + first + j));
        hex_lanes known = hex_lanes_relative(next->labels + first + j, passing->base);
        unsigned better = hex_lanes_bits(hex_lanes_less(reached, known));
        better &= radius - j < 8 ? (1U << (radius - j)) - 1 : 255;
        if (!better)
            continue;
        int16_t labels[8];
        hex_lanes_store(labels, reached);
        for (; better; better &= better - 1) {
            uint32_t lane = (uint32_t)__builtin_ctz(better);
            int32_t whole = enter(route, there, first + j + lane, passing->base + labels[lane]);
            key = whole < key ? whole : key;
        }
    }
    uint32_t corner = first + radius < count ? first + radius : 0;
    if (mine[radius] != HEX_OVERLAY_FAR && next->overlay->open >> corner & 1) {
        int32_t label = passing->base + mine[radius] + next->overlay->enter[corner];
        if (label < next->labels[corner]) {
            int32_t whole = enter(route, there, corner, label);
            key = whole < key ? whole : key;
        }
    }
    if (key != ROUTE_UNKNOWN)
        heap_offer(route, there, key);
}

static void pass_on(struct hex_route *route, uint32_t index, const struct passing *passing,
                    uint64_t nodes)
{
    uint32_t radius = (uint32_t)route->shape.tiling.radius;
    uint64_t side_nodes = (UINT64_C(2) << radius) - 1;
    // The last side's last cell is node 0.
    uint64_t around = nodes | (nodes & 1) << route->shape.node_count;
    for (unsigned side = 0; side < HEX_DIRECTIONS; side++) {
        if (!(around >> side * radius & side_nodes))
            continue;
        uint32_t there = route->visits[index].beside[side];
        if (there == ROUTE_NO_VISIT) {
            uint32_t chunk = route->map->neighbors[route->visits[index].chunk][side];
            if (chunk == HEX_ROUTE_NO_CHUNK)
                continue;
            there = route_visit_of(route, chunk);
            if (there == ROUTE_NO_VISIT)
                continue;
            route->visits[index].beside[side] = there;
        }
        pass_side(route, passing, side, there);
    }
}

// --- work on one chunk ---------------------------------------------------------------------------

// The nodes that were entered, by label: label << 8 | node.
static uint32_t entries_sorted(struct route_visit *visit, uint64_t entries[HEX_OVERLAY_ROW])
{
    uint32_t count = 0;
    for (uint64_t bits = visit->pending; bits; bits &= bits - 1) {
        uint32_t node = (uint32_t)__builtin_ctzll(bits), place = count++;
        uint64_t entry = (uint64_t)visit->labels[node] << 8 | node;
        for (; place > 0 && entries[place - 1] > entry; place--)
            entries[place] = entries[place - 1];
        entries[place] = entry;
    }
    visit->pending = 0;
    return count;
}

// Since they were entered a way may have been found that is cheaper than any through here.
static bool any_of_use(const struct hex_route *route, const struct route_visit *visit,
                       const uint64_t *entries, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t node = (uint32_t)(entries[i] & 255);
        if (visit->labels[node] + estimate(route, visit, node) < route->limit)
            return true;
    }
    return false;
}

// The rows of those entries that are cheapest through themselves, taken together: what they make of
// the labels of all nodes. Returns the entries taken.
static uint64_t take_rows(struct hex_route *route, uint32_t index, const uint64_t *entries,
                          uint32_t count, int16_t *after)
{
    struct route_visit *visit = &route->visits[index];
    const struct hex_overlay *overlay = visit->overlay;
    uint32_t lanes = route->shape.lanes;
    uint64_t taken = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t node = (uint32_t)(entries[i] & 255);
        int32_t above = (int32_t)((entries[i] >> 8) - (entries[0] >> 8));
        if (above + overlay->far >= HEX_OVERLAY_FAR) {
            // Too far behind the first to be told in 15 bits: next time.
            visit->pending |= UINT64_C(1) << node;
            heap_offer(route, index, visit->labels[node] + estimate(route, visit, node));
            continue;
        }
        // Cheaper from within: its row can tell nothing new. Or it leads nowhere by now.
        if (after[node] < above ||
            visit->labels[node] + estimate(route, visit, node) >= route->limit)
            continue;
        const int16_t *row = hex_overlay_row(&route->shape, overlay, node);
        hex_lanes added = hex_lanes_all((int16_t)above);
        for (uint32_t k = 0; k < lanes; k += 8)
            hex_lanes_store(after + k,
                            hex_lanes_least(hex_lanes_load(after + k),
                                            hex_lanes_sum(hex_lanes_load(row + k), added)));
        taken |= UINT64_C(1) << node;
        route->work++;
    }
    return taken;
}

// They are looked at when the chunk's rows are done, and are in no cache, mostly.
static void ask_for_neighbors(const struct hex_route *route, const struct route_visit *visit)
{
    for (unsigned d = 0; d < HEX_DIRECTIONS; d++) {
        if (visit->beside[d] == ROUTE_NO_VISIT)
            continue;
        const int16_t *enter_costs = route->visits[visit->beside[d]].overlay->enter;
        __builtin_prefetch(enter_costs);
        __builtin_prefetch(enter_costs + 32);
    }
}

// All that entered a chunk spreads to its other border cells, and on to the chunks beside it.
static void go_through(struct hex_route *route, uint32_t index)
{
    struct route_visit *visit = &route->visits[index];
    uint64_t entries[HEX_OVERLAY_ROW];
    uint32_t count = entries_sorted(visit, entries);
    if (!any_of_use(route, visit, entries, count))
        return;
    route_build(route, visit->slot);
    route->work++;
    ask_for_neighbors(route, visit);
    int32_t base = (int32_t)(entries[0] >> 8);
    int16_t before[HEX_OVERLAY_ROW], after[HEX_OVERLAY_ROW];
    for (uint32_t k = 0; k < route->shape.lanes; k += 8) {
        hex_lanes labels = hex_lanes_relative(visit->labels + k, base);
        hex_lanes_store(before + k, labels);
        hex_lanes_store(after + k, labels);
    }
    uint64_t changed = take_rows(route, index, entries, count, after);
    visit->taken |= changed;
    struct passing passing;
    passing_begin(&passing, base);
    for (uint32_t k = 0; k < route->shape.lanes; k += 8) {
        uint64_t less =
            hex_lanes_bits(hex_lanes_less(hex_lanes_load(after + k), hex_lanes_load(before + k)));
        changed |= less << k;
        for (; less; less &= less - 1) {
            uint32_t node = k + (uint32_t)__builtin_ctzll(less);
            visit->labels[node] = base + after[node];
        }
    }
    for (uint64_t bits = changed; bits; bits &= bits - 1) {
        uint32_t node = (uint32_t)__builtin_ctzll(bits);
        passing_put(&passing, route->shape.node_count, node, after[node]);
    }
    pass_on(route, index, &passing, changed);
}

// --- both ends -----------------------------------------------------------------------------------

static bool begin_start(struct hex_route *route, struct hex_route_end from)
{
    route->start_visit = route_visit_of(route, from.chunk);
    if (route->start_visit == ROUTE_NO_VISIT)
        return false;
    struct route_visit *visit = &route->visits[route->start_visit];
    route_build(route, visit->slot);
    for (uint32_t node = 0; node < route->shape.node_count; node++) {
        int32_t cost = hex_overlay_distance(&route->shape, visit->overlay, from.cell, node);
        route->from_start[node] = cost < 0 ? ROUTE_UNKNOWN : cost;
        visit->labels[node] = route->from_start[node];
    }
    return true;
}

static bool begin_goal(struct hex_route *route, struct hex_route_end to)
{
    route->goal_visit = route_visit_of(route, to.chunk);
    if (route->goal_visit == ROUTE_NO_VISIT)
        return false;
    const struct route_visit *visit = &route->visits[route->goal_visit];
    const struct hex_overlay *overlay = visit->overlay;
    route_build(route, visit->slot);
    for (uint32_t node = 0; node < route->shape.node_count; node++) {
        // The same way back: it leaves the node instead of the goal, and enters the goal instead.
        int32_t cost = overlay->open >> node & 1
                           ? hex_overlay_distance(&route->shape, overlay, to.cell, node)
                           : -1;
        route->to_goal[node] =
            cost < 0 ? ROUTE_UNKNOWN : cost + overlay->cell_cost[to.cell] - overlay->enter[node];
    }
    return true;
}

static void pass_on_start(struct hex_route *route)
{
    struct passing passing;
    uint64_t nodes = 0;
    passing_begin(&passing, 0);
    for (uint32_t node = 0; node < route->shape.node_count; node++) {
        if (route->from_start[node] == ROUTE_UNKNOWN)
            continue;
        nodes |= UINT64_C(1) << node;
        passing_put(&passing, route->shape.node_count, node, (int16_t)route->from_start[node]);
    }
    pass_on(route, route->start_visit, &passing, nodes);
}

static void begin(struct hex_route *route, const struct hex_route_map *map,
                  const struct hex_route_request *request)
{
    route->map = map;
    route->search++;
    route->goal =
        hex_chunk_hex(&route->shape.tiling, map->chunks[request->to.chunk], request->to.cell);
    route->start =
        hex_chunk_hex(&route->shape.tiling, map->chunks[request->from.chunk], request->from.cell);
    route->visit_count = route->heap_count = 0;
    route->goal_visit = route->start_visit = ROUTE_NO_VISIT;
    route->start_cell = request->from.cell;
    route->goal_cell = request->to.cell;
    route->best = route->limit = ROUTE_UNKNOWN;
    route->slack_permille = request->slack_permille;
    route->cost_min = map->cost_min / map->cost_unit > 0 ? map->cost_min / map->cost_unit : 1;
    route->work = 0;
    route->out_of_room = false;
}

// The border cell nearest to the goal, of those reached the one to which the way is cheapest.
static void nearest_reached(const struct hex_route *route, uint32_t *visit_out, uint32_t *node_out)
{
    int32_t distance = INT32_MAX, label = ROUTE_UNKNOWN;
    *visit_out = *node_out = ROUTE_NO_VISIT;
    for (uint32_t i = 0; i < route->visit_count; i++)
        for (uint32_t node = 0; node < route->shape.node_count; node++) {
            int32_t here = route->visits[i].labels[node];
            if (here == ROUTE_UNKNOWN)
                continue;
            int32_t left = estimate(route, &route->visits[i], node);
            if (left < distance || (left == distance && here < label)) {
                distance = left;
                label = here;
                *visit_out = i;
                *node_out = node;
            }
        }
}

enum mm_err hex_route_find(struct hex_route *route, const struct hex_route_map *map,
                           const struct hex_route_request *request, uint8_t *steps,
                           size_t steps_max, struct hex_route_result *result)
{
    MM_CHECK(request->from.chunk < map->chunk_count && request->to.chunk < map->chunk_count &&
             request->from.cell < route->shape.tiling.cells &&
             request->to.cell < route->shape.tiling.cells);
    *result = (struct hex_route_result){0};
    if (request->from.chunk == request->to.chunk)
        return MM_INVALID_ARGUMENT;
    if (!route_reserve_chunks(route, map->chunk_count))
        return MM_RESOURCE_EXHAUSTED;
    begin(route, map, request);
    result->last = route->start;
    if (!begin_goal(route, request->to) || !begin_start(route, request->from))
        return MM_RESOURCE_EXHAUSTED;
    if (route->visits[route->goal_visit].overlay->cell_cost[request->to.cell] == 0)
        return MM_INVALID_ARGUMENT;
    if (route_is_enclosed(route)) {
        result->work = route->work;
        return MM_NOT_FOUND;
    }
    pass_on_start(route);
    bool spent = route->out_of_room;
    while (!spent && route->heap_count > 0) {
        go_through(route, heap_pop(route));
        spent = route->work >= request->work_max || route->out_of_room;
    }
    result->work = route->work;
    uint32_t visit = ROUTE_NO_VISIT, node = ROUTE_NO_VISIT;
    // Cut short, a way may be known, but not that it is good enough: it is as good as any.
    if (route->best == ROUTE_UNKNOWN) {
        if (!spent)
            return MM_NOT_FOUND;
        nearest_reached(route, &visit, &node);
        if (visit == ROUTE_NO_VISIT)
            return MM_RESOURCE_EXHAUSTED;
    }
    enum mm_err err = route_trace(route, visit, node, steps, steps_max, result);
    return err == MM_OK && visit != ROUTE_NO_VISIT ? MM_RESOURCE_EXHAUSTED : err;
}
