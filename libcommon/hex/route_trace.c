#include "libcommon/base/check.h"
#include "libcommon/hex/route_internal.h"

// Where a way touches the border of a chunk, from the goal's end: found by asking, of each node,
// which other one its label can have come from. Labels only ever fall, so that there is one as
// long as the start is not reached, and each costs less than the one before: this ends.
struct choice {
    struct route_waypoint from;
    int32_t label; // of the node, if it is reached from there
    int32_t piece; // what the way between the two costs
    int64_t off;   // how far off the straight line it lies
};

static int64_t deviation(const struct hex_route *route, const struct route_visit *visit,
                         uint32_t node)
{
    struct hex_axial at = hex_add(visit->center, route->shape.node_offset[node]); // from the goal
    struct hex_axial line = hex_sub(route->start, route->goal);
    int64_t area = (int64_t)line.q * at.r - (int64_t)line.r * at.q;
    return area < 0 ? -area : area;
}

static void consider(const struct hex_route *route, struct choice *best, uint32_t visit,
                     uint32_t node, int32_t before, int32_t piece)
{
    int32_t label = before + piece;
    if (label > best->label)
        return;
    int64_t off = deviation(route, &route->visits[visit], node);
    if (label == best->label && off >= best->off)
        return;
    *best = (struct choice){{visit, node}, label, piece, off};
}

// Where a node was reached from. False: from the start, through its own chunk.
static bool came_from(const struct hex_route *route, struct route_waypoint at, struct choice *out)
{
    const struct route_visit *visit = &route->visits[at.visit];
    const struct hex_overlay *overlay = visit->overlay;
    int32_t label = visit->labels[at.node];
    if (at.visit == route->start_visit && route->from_start[at.node] <= label)
        return false;
    struct choice best = {.label = label, .off = INT64_MAX};
    for (unsigned i = 0; i < route->shape.exit_count[at.node]; i++) {
        struct hex_overlay_exit exit = route->shape.exits[at.node][i];
        uint32_t chunk = route->map->neighbors[visit->chunk][exit.side];
        if (chunk == HEX_ROUTE_NO_CHUNK || route->chunks[chunk].search != route->search)
            continue;
        uint32_t there = route->chunks[chunk].visit;
        int32_t before = route->visits[there].labels[exit.node];
        if (before != ROUTE_UNKNOWN)
            consider(route, &best, there, exit.node, before, overlay->enter[at.node]);
    }
    // Ways within a chunk cost the same in both directions, but for the ends.
    const int16_t *row = hex_overlay_row(&route->shape, overlay, at.node);
    for (uint64_t bits = visit->taken; bits; bits &= bits - 1) {
        uint32_t node = (uint32_t)__builtin_ctzll(bits);
        if (node != at.node && row[node] != HEX_OVERLAY_FAR)
            consider(route, &best, at.visit, node, visit->labels[node],
                     row[node] + overlay->enter[at.node] - overlay->enter[node]);
    }
    MM_CHECK(best.off != INT64_MAX);
    *out = best;
    return true;
}

// --- writing -------------------------------------------------------------------------------------

struct writer {
    uint8_t *steps;
    size_t count, max;
    struct hex_axial at;
};

static void write_step(struct writer *writer, unsigned direction)
{
    if (writer->count == writer->max)
        return;
    writer->steps[writer->count++] = (uint8_t)direction;
    writer->at = hex_neighbor(writer->at, direction);
}

// From a cell to a node of the same chunk.
static void write_inside(const struct hex_route *route, const struct route_visit *visit,
                         uint32_t cell, uint32_t node, struct writer *writer)
{
    while (cell != route->shape.node_cell[node] && writer->count < writer->max) {
        unsigned direction = hex_overlay_hop(&route->shape, visit->overlay, node, cell);
        MM_CHECK(direction != HEX_OVERLAY_NO_HOP);
        cell = route->shape.inner[cell][direction];
        write_step(writer, direction);
    }
}

// From a node to the goal: the way from the goal there, backwards.
static void write_last(const struct hex_route *route, uint32_t node, struct writer *writer)
{
    const struct route_visit *visit = &route->visits[route->goal_visit];
    uint8_t back[HEX_OVERLAY_CELLS_MAX];
    uint32_t count = 0, cell = route->goal_cell;
    while (cell != route->shape.node_cell[node]) {
        unsigned direction = hex_overlay_hop(&route->shape, visit->overlay, node, cell);
        MM_CHECK(direction != HEX_OVERLAY_NO_HOP && count < HEX_OVERLAY_CELLS_MAX);
        back[count++] = (uint8_t)direction;
        cell = route->shape.inner[cell][direction];
    }
    while (count > 0) {
        write_step(writer, hex_opposite(back[--count]));
    }
}

static unsigned crossing(const struct hex_route *route, struct route_waypoint from,
                         struct route_waypoint to)
{
    const struct route_visit *visit = &route->visits[from.visit];
    for (unsigned i = 0; i < route->shape.exit_count[from.node]; i++) {
        struct hex_overlay_exit exit = route->shape.exits[from.node][i];
        if (exit.node == to.node &&
            route->map->neighbors[visit->chunk][exit.side] == route->visits[to.visit].chunk)
            return exit.direction;
    }
    MM_CHECK(false);
    return 0;
}

// The node through which the goal's chunk is entered last.
static struct choice last_node(const struct hex_route *route)
{
    struct choice best = {.label = ROUTE_UNKNOWN - 1, .off = INT64_MAX};
    const struct route_visit *visit = &route->visits[route->goal_visit];
    for (uint32_t node = 0; node < route->shape.node_count; node++)
        if (visit->labels[node] != ROUTE_UNKNOWN && route->to_goal[node] != ROUTE_UNKNOWN)
            consider(route, &best, route->goal_visit, node, visit->labels[node],
                     route->to_goal[node]);
    return best;
}

enum mm_err route_trace(struct hex_route *route, uint32_t visit, uint32_t node, uint8_t *steps,
                        size_t steps_max, struct hex_route_result *result)
{
    bool to_goal = visit == ROUTE_NO_VISIT;
    struct choice at = to_goal ? last_node(route) : (struct choice){.from = {visit, node}};
    int64_t cost = at.piece;
    mm_vec_clear(&route->trail);
    do {
        if (!mm_vec_push(&route->trail, at.from))
            return MM_RESOURCE_EXHAUSTED;
    } while (came_from(route, at.from, &at) && (cost += at.piece, true));
    struct writer writer = {steps, 0, steps_max, route->start};
    size_t left = route->trail.count;
    struct route_waypoint here = route->trail.items[--left];
    cost += route->from_start[here.node];
    write_inside(route, &route->visits[here.visit], route->start_cell, here.node, &writer);
    while (left > 0 && writer.count < writer.max) {
        struct route_waypoint next = route->trail.items[--left];
        if (next.visit == here.visit)
            write_inside(route, &route->visits[here.visit], route->shape.node_cell[here.node],
                         next.node, &writer);
        else
            write_step(&writer, crossing(route, here, next));
        here = next;
    }
    if (to_goal && writer.count < writer.max)
        write_last(route, here.node, &writer);
    result->steps = writer.count;
    result->cost = (uint64_t)cost * route->map->cost_unit;
    result->last = writer.at;
    result->complete = hex_equal(writer.at, route->goal);
    return MM_OK;
}
