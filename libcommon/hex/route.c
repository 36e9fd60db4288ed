#include "libcommon/hex/route.h"

#include "libcommon/base/check.h"
#include "libcommon/hex/route_internal.h"

// --- both ends -----------------------------------------------------------------------------------

static bool begin_start(struct hex_route *route, struct hex_route_end from)
{
    route->start_visit = route_visit_of(route, from.chunk);
    if (route->start_visit == ROUTE_NO_VISIT)
        return false;
    struct route_visit *visit = &route->visits[route->start_visit];
    if (!route_build(route, visit->slot))
        return false;
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
    if (!route_build(route, visit->slot))
        return false;
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

void route_begin(struct hex_route *route, const struct hex_route_map *map,
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
    route->margin = 0;
    route->field = NULL;
    route->work = route->charting = 0;
    route->out_of_room = route->put_off = false;
    route->charted = request->charted;
    route->charts_max = request->charts_max;
    route->chart_work = request->chart_work;
    route->spend_max = request->spend_max > 0 ? request->spend_max : UINT32_MAX;
}

bool route_begin_ends(struct hex_route *route, const struct hex_route_request *request)
{
    return begin_goal(route, request->to) && begin_start(route, request->from);
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
            int32_t left =
                hex_length(hex_add(route->visits[i].center, route->shape.node_offset[node]));
            if (left < distance || (left == distance && here < label)) {
                distance = left;
                label = here;
                *visit_out = i;
                *node_out = node;
            }
        }
}

// RESOURCE_EXHAUSTED: cut short, at either end already or with labels that are worth a look.
static enum mm_err search(struct hex_route *route, const struct hex_route_request *request)
{
    if (!route_begin_ends(route, request))
        return route->put_off ? MM_UNAVAILABLE : MM_RESOURCE_EXHAUSTED;
    if (route->visits[route->goal_visit].overlay->cell_cost[request->to.cell] == 0)
        return MM_INVALID_ARGUMENT;
    if (route_is_enclosed(route))
        return MM_NOT_FOUND;
    if (request->field)
        route_field_take(route, request);
    route_pass_start(route);
    bool spent = route_run(route, request->work_max);
    if (route->put_off)
        return MM_UNAVAILABLE;
    return spent ? MM_RESOURCE_EXHAUSTED : MM_OK;
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
    route->uncharted_count = 0;
    route_begin(route, map, request);
    result->last = route->start;
    enum mm_err err = search(route, request);
    result->work = route->work + route->charting;
    if (err != MM_OK && err != MM_RESOURCE_EXHAUSTED)
        return err;
    uint32_t visit = ROUTE_NO_VISIT, node = ROUTE_NO_VISIT;
    // Cut short, a way may be known, but not that it is good enough: it is as good as any.
    if (route->best == ROUTE_UNKNOWN) {
        if (err == MM_OK)
            return MM_NOT_FOUND;
        nearest_reached(route, &visit, &node);
        if (visit == ROUTE_NO_VISIT)
            return MM_RESOURCE_EXHAUSTED;
    }
    err = route_trace(route, visit, node, steps, steps_max, result);
    return err == MM_OK && visit != ROUTE_NO_VISIT ? MM_RESOURCE_EXHAUSTED : err;
}

const uint32_t *hex_route_uncharted(const struct hex_route *route, uint32_t *count_out)
{
    *count_out = route->uncharted_count;
    return route->uncharted;
}
