#include "libcommon/base/alloc.h"
#include "libcommon/hex/route_internal.h"
#include <string.h>

// A field is a search the other way round, from the goal to a start, kept: its labels tell what the
// way from its goal to a node costs, and so what the way back does. Ways to another goal cannot be
// cheaper than that by more than what lies between the two goals (the triangle inequality, as in
// A. Goldberg, C. Harrelson, "Computing the shortest path: A* search meets graph theory", 2005; the
// landmark is the group's own goal, hence as good as a landmark can be).
struct hex_route_field {
    uint32_t cells; // of the tiling it was built for; 0: empty
    uint32_t chunk; // of its goal
    int32_t goal_cost;
    struct hex_axial towards; // the start that it was built for
    // A label is final if label + estimate to `towards` is less; what has none costs at least that.
    int32_t limit;
    uint32_t count, capacity; // known chunks
    int32_t *labels;          // HEX_OVERLAY_ROW each
    uint32_t *chunks;
    uint32_t *places; // by chunk index: place + 1; 0 = not known
    uint32_t place_capacity;
    int32_t within[HEX_OVERLAY_CELLS_MAX]; // from each cell of its chunk to the goal, inside
};

// The field's goal lies so many hexes behind the one it is asked for, as seen from the start, so
// that the ways to the goals of a group all lead towards it: what they cost less is then nearly
// what lies between.
#define BEHIND_STEPS 8

// Starts so many least steps off the one that a field is built for are sure to be within it.
#define MARGIN_STEPS 24

struct hex_route_field *hex_route_field_new(void)
{
    return mm_calloc(1, sizeof(struct hex_route_field));
}

void hex_route_field_free(struct hex_route_field *field)
{
    if (!field)
        return;
    mm_free(field->places);
    mm_free(field->chunks);
    mm_free(field->labels);
    mm_free(field);
}

static void clear(struct hex_route_field *field)
{
    for (uint32_t i = 0; i < field->count; i++)
        field->places[field->chunks[i]] = 0;
    field->count = field->cells = 0;
}

static bool reserve(struct hex_route_field *field, uint32_t count, uint32_t chunk_count)
{
    if (chunk_count > field->place_capacity) {
        uint32_t *places = mm_calloc(chunk_count, sizeof *places);
        if (!places)
            return false;
        mm_free(field->places);
        field->places = places;
        field->place_capacity = chunk_count;
    }
    if (count <= field->capacity)
        return true;
    int32_t *labels = mm_realloc(field->labels, count * HEX_OVERLAY_ROW * sizeof *labels);
    if (!labels)
        return false;
    field->labels = labels;
    uint32_t *chunks = mm_realloc(field->chunks, count * sizeof *chunks);
    if (!chunks)
        return false;
    field->chunks = chunks;
    field->capacity = count;
    return true;
}

// What ways within the goal's chunk cost: cells are brought up to date, to and fro, until nothing
// changes any more.
static void ways_within(const struct hex_route *route, uint32_t goal_cell, int32_t *within)
{
    const struct hex_overlay *overlay = route->visits[route->start_visit].overlay;
    uint32_t cells = route->shape.tiling.cells;
    for (uint32_t cell = 0; cell < cells; cell++)
        within[cell] = ROUTE_UNKNOWN;
    within[goal_cell] = 0;
    for (bool forward = true, changed = true; changed; forward = !forward) {
        changed = false;
        for (uint32_t i = 0; i < cells; i++) {
            uint32_t cell = forward ? i : cells - 1 - i;
            for (unsigned d = 0; d < HEX_DIRECTIONS; d++) {
                uint32_t next = route->shape.inner[cell][d];
                if (next == HEX_OVERLAY_NONE || overlay->cell_cost[next] == 0 ||
                    within[next] == ROUTE_UNKNOWN)
                    continue;
                int32_t cost = within[next] + overlay->cell_cost[next];
                if (cost < within[cell]) {
                    within[cell] = cost;
                    changed = true;
                }
            }
        }
    }
}

static void keep(const struct hex_route *route, uint32_t goal_cell, struct hex_route_field *field)
{
    const struct route_visit *start = &route->visits[route->start_visit];
    field->cells = route->shape.tiling.cells;
    field->chunk = start->chunk;
    field->goal_cost = start->overlay->cell_cost[goal_cell];
    field->towards = route->goal;
    field->limit = route->limit;
    field->count = route->visit_count;
    for (uint32_t i = 0; i < route->visit_count; i++) {
        memcpy(field->labels + (size_t)i * HEX_OVERLAY_ROW, route->visits[i].labels,
               HEX_OVERLAY_ROW * sizeof *field->labels);
        field->chunks[i] = route->visits[i].chunk;
        field->places[field->chunks[i]] = i + 1;
    }
    ways_within(route, goal_cell, field->within);
}

static struct hex_route_end step_on(const struct hex_route *route, const struct hex_route_map *map,
                                    struct hex_route_end at, unsigned direction)
{
    uint32_t inner = route->shape.inner[at.cell][direction];
    if (inner != HEX_OVERLAY_NONE)
        return (struct hex_route_end){at.chunk, inner};
    uint32_t node = route->shape.cell_node[at.cell];
    for (unsigned i = 0; i < route->shape.exit_count[node]; i++) {
        struct hex_overlay_exit exit = route->shape.exits[node][i];
        if (exit.direction == direction)
            return (struct hex_route_end){map->neighbors[at.chunk][exit.side],
                                          route->shape.node_cell[exit.node]};
    }
    return (struct hex_route_end){HEX_ROUTE_NO_CHUNK, 0};
}

// The farthest passable hex straight behind the goal; the goal itself if there is none.
static struct hex_route_end behind(struct hex_route *route, const struct hex_route_map *map,
                                   const struct hex_route_request *request)
{
    const struct hex_tiling *tiling = &route->shape.tiling;
    struct hex_axial from =
        hex_chunk_hex(tiling, map->chunks[request->from.chunk], request->from.cell);
    struct hex_axial to = hex_chunk_hex(tiling, map->chunks[request->to.chunk], request->to.cell);
    unsigned direction = hex_direction_towards(from, to);
    struct hex_route_end at = request->to, best = request->to;
    route->map = map;
    for (int i = 0; i < BEHIND_STEPS; i++) {
        at = step_on(route, map, at, direction);
        if (at.chunk == HEX_ROUTE_NO_CHUNK)
            break;
        uint32_t slot;
        const struct hex_overlay *overlay = route_overlay(route, at.chunk, &slot);
        if (overlay && overlay->cell_cost[at.cell] > 0 && at.chunk != request->from.chunk)
            best = at;
    }
    return best;
}

static enum mm_err search_back(struct hex_route *route, const struct hex_route_request *back)
{
    if (!route_begin_ends(route, back))
        return route->put_off ? MM_UNAVAILABLE : MM_RESOURCE_EXHAUSTED;
    if (route->visits[route->start_visit].overlay->cell_cost[back->from.cell] == 0)
        return MM_INVALID_ARGUMENT;
    route->margin = 2 * MARGIN_STEPS * (int32_t)route->cost_min;
    route_pass_start(route);
    bool spent = route_run(route, back->work_max);
    if (route->put_off)
        return MM_UNAVAILABLE;
    // Cut short, labels need not be final.
    if (spent)
        return MM_RESOURCE_EXHAUSTED;
    return route->best == ROUTE_UNKNOWN ? MM_NOT_FOUND : MM_OK;
}

static enum mm_err build_towards(struct hex_route *route, const struct hex_route_map *map,
                                 const struct hex_route_request *back,
                                 struct hex_route_field *field, uint32_t *work_out)
{
    route_begin(route, map, back);
    enum mm_err err = search_back(route, back);
    *work_out += route->work + route->charting;
    if (err != MM_OK)
        return err;
    if (!reserve(field, route->visit_count, map->chunk_count))
        return MM_RESOURCE_EXHAUSTED;
    keep(route, back->from.cell, field);
    return MM_OK;
}

enum mm_err hex_route_field_build(struct hex_route *route, const struct hex_route_map *map,
                                  const struct hex_route_request *request,
                                  struct hex_route_field *field, uint32_t *work_out)
{
    *work_out = 0;
    route->uncharted_count = 0;
    clear(field);
    if (request->from.chunk == request->to.chunk)
        return MM_INVALID_ARGUMENT;
    if (!route_reserve_chunks(route, map->chunk_count))
        return MM_RESOURCE_EXHAUSTED;
    struct hex_route_request back = *request;
    route->charted = request->charted;
    back.from = behind(route, map, request);
    back.to = request->from;
    enum mm_err err = build_towards(route, map, &back, field, work_out);
    if (err != MM_NOT_FOUND)
        return err;
    // Closed off from there, perhaps not from the goal. Both tries together keep to the bounds.
    if (*work_out >= back.work_max || (back.spend_max > 0 && *work_out >= back.spend_max))
        return MM_RESOURCE_EXHAUSTED;
    back.work_max -= *work_out;
    back.spend_max -= back.spend_max > 0 ? *work_out : 0;
    back.from = request->to;
    return build_towards(route, map, &back, field, work_out);
}

// --- use -----------------------------------------------------------------------------------------

const int32_t *route_field_labels(const struct hex_route_field *field, uint32_t chunk)
{
    uint32_t place = chunk < field->place_capacity ? field->places[chunk] : 0;
    return place ? field->labels + (size_t)(place - 1) * HEX_OVERLAY_ROW : NULL;
}

// The least that the way from a node to the field's goal can cost: the way there costs what the way
// back does, but for the ends.
static int32_t least_to_goal(const struct hex_route *route, const struct hex_route_field *field,
                             const int32_t *labels, uint32_t node, struct hex_axial at,
                             int32_t enter)
{
    int32_t least = field->limit - hex_distance(at, field->towards) * (int32_t)route->cost_min;
    if (labels && labels[node] < least)
        least = labels[node];
    return least - enter + field->goal_cost;
}

int32_t route_field_estimate(const struct hex_route *route, const struct route_visit *visit,
                             uint32_t node, struct hex_axial from_goal)
{
    return least_to_goal(route, route->field, visit->told, node, hex_add(from_goal, route->goal),
                         visit->overlay->enter[node]) -
           route->field_off;
}

void route_field_take(struct hex_route *route, const struct hex_route_request *request)
{
    const struct hex_route_field *field = request->field;
    if (field->cells != route->shape.tiling.cells)
        return;
    int32_t off = ROUTE_UNKNOWN;
    const struct route_visit *goal = &route->visits[route->goal_visit];
    if (request->to.chunk == field->chunk)
        off = field->within[request->to.cell];
    // From the goal to a node of its chunk, and from there.
    const int32_t *labels = route_field_labels(field, request->to.chunk);
    for (uint32_t node = 0; labels && node < route->shape.node_count; node++) {
        if (route->to_goal[node] == ROUTE_UNKNOWN || labels[node] == ROUTE_UNKNOWN)
            continue;
        int32_t enter = goal->overlay->enter[node];
        int32_t there = route->to_goal[node] + enter - goal->overlay->cell_cost[request->to.cell];
        int32_t cost = there + labels[node] - enter + field->goal_cost;
        if (cost < off)
            off = cost;
    }
    if (off == ROUTE_UNKNOWN)
        return;
    route->field = field;
    route->field_off = off;
    for (uint32_t i = 0; i < route->visit_count; i++)
        route->visits[i].told = route_field_labels(field, route->visits[i].chunk);
}
