#include "libcommon/hex/route_internal.h"

// The parts of chunks that hang together, from one on: a part is the nodes of a chunk between which
// there are ways within it. A part that touches no open border cell of another chunk leads nowhere,
// so a goal behind walls is known for what it is after a look at the chunks within the walls.
enum { PARTS_MAX = 12 };

struct part {
    uint32_t visit;
    uint64_t nodes;
};

struct flood {
    struct part parts[PARTS_MAX];
    uint32_t count;
    bool full; // there is more than PARTS_MAX
};

// 0: it cannot be told.
static uint64_t part_of(struct hex_route *route, uint32_t visit, uint32_t node)
{
    const struct hex_overlay *overlay = route->visits[visit].overlay;
    if (!route_build(route, route->visits[visit].slot))
        return 0;
    const int16_t *row = hex_overlay_row(&route->shape, overlay, node);
    uint64_t nodes = 0;
    for (uint32_t i = 0; i < route->shape.node_count; i++)
        nodes |= (uint64_t)(row[i] != HEX_OVERLAY_FAR) << i;
    return nodes & overlay->open;
}

static uint64_t known_of(const struct flood *flood, uint32_t visit)
{
    uint64_t nodes = 0;
    for (uint32_t i = 0; i < flood->count; i++)
        if (flood->parts[i].visit == visit)
            nodes |= flood->parts[i].nodes;
    return nodes;
}

static void flood_across(struct hex_route *route, struct flood *flood, struct part from,
                         unsigned side)
{
    uint64_t touched = hex_overlay_touched(&route->shape, from.nodes, side);
    uint32_t chunk = route->map->neighbors[route->visits[from.visit].chunk][side];
    if (!touched || chunk == HEX_ROUTE_NO_CHUNK)
        return;
    uint32_t visit = route_visit_of(route, chunk);
    if (visit == ROUTE_NO_VISIT) {
        flood->full = true;
        return;
    }
    touched &= route->visits[visit].overlay->open & ~known_of(flood, visit);
    while (touched) {
        if (flood->count == PARTS_MAX) {
            flood->full = true;
            return;
        }
        uint64_t nodes = part_of(route, visit, (uint32_t)__builtin_ctzll(touched));
        if (nodes == 0) {
            flood->full = true;
            return;
        }
        flood->parts[flood->count++] = (struct part){visit, nodes};
        touched &= ~nodes;
    }
}

bool route_is_enclosed(struct hex_route *route)
{
    struct flood flood = {.count = 0};
    uint64_t nodes = 0;
    for (uint32_t node = 0; node < route->shape.node_count; node++)
        nodes |= (uint64_t)(route->to_goal[node] != ROUTE_UNKNOWN) << node;
    flood.parts[flood.count++] = (struct part){route->goal_visit, nodes};
    for (uint32_t i = 0; i < flood.count && !flood.full; i++) {
        struct part part = flood.parts[i];
        for (unsigned side = 0; side < HEX_DIRECTIONS && !flood.full; side++)
            flood_across(route, &flood, part, side);
    }
    if (flood.full)
        return false;
    uint64_t known = known_of(&flood, route->start_visit);
    for (uint32_t node = 0; node < route->shape.node_count; node++)
        if (route->from_start[node] != ROUTE_UNKNOWN && known >> node & 1)
            return false;
    return true;
}
