#ifndef HEX_ROUTE_INTERNAL_H
#define HEX_ROUTE_INTERNAL_H

// For route.c and the files beside it alone.

#include "libcommon/base/vec.h"
#include "libcommon/hex/overlay.h"
#include "libcommon/hex/route.h"

#define ROUTE_UNKNOWN     INT32_MAX // label: not reached
#define ROUTE_NO_VISIT    UINT32_MAX
#define ROUTE_NOT_IN_HEAP UINT32_MAX

// A kept overlay.
struct route_slot {
    uint32_t chunk;
    uint32_t version;
    uint64_t search; // last one that used it
    uint64_t needed; // last search that needed rows and hops
    bool built;      // those too, not only costs
};

// What a search knows of a chunk.
struct route_visit {
    _Alignas(16) int32_t labels[HEX_OVERLAY_ROW]; // least cost known from the start to each node
    uint64_t taken;                               // nodes whose row was used
    uint64_t pending; // nodes reached from outside whose row was not used yet
    const struct hex_overlay *overlay;
    const int32_t *told;     // labels of the field in use, NULL: it does not know the chunk
    struct hex_axial center; // relative to the goal
    uint32_t chunk;
    uint32_t slot;
    bool through;        // labels were passed on within it
    int32_t key;         // least estimate of those pending
    uint32_t heap_place; // or ROUTE_NOT_IN_HEAP
    uint32_t beside[6];  // visits of the neighbours, ROUTE_NO_VISIT: not looked up yet
};

struct route_chunk {
    uint32_t slot;   // of its overlay, + 1; 0 = none
    uint32_t visit;  // valid if `search` is the present one
    uint64_t search; // 0: never
};

struct route_waypoint {
    uint32_t visit;
    uint32_t node;
};

struct hex_route {
    struct hex_overlay_shape shape;
    // The cache.
    uint32_t overlays_max;
    uint32_t slot_count;
    uint32_t clock_hand;
    uint64_t builds;
    uint32_t block_count;
    struct route_slot *slots;     // overlays_max
    struct hex_overlay *overlays; // by slot
    uint8_t **blocks;             // of ROUTE_BLOCK bodies of overlays each
    size_t body_bytes;
    void *scratch;
    struct route_chunk *chunks; // by chunk index
    uint32_t chunk_capacity;
    // The present search.
    uint64_t search;
    const struct hex_route_map *map;
    struct route_visit *visits; // overlays_max
    uint32_t visit_count;
    uint32_t *heap;
    uint32_t heap_count;
    int32_t unreached[HEX_OVERLAY_ROW]; // labels of a chunk that was not reached yet
    uint32_t goal_visit, start_visit;
    uint32_t goal_cell, start_cell;
    struct hex_axial goal, start;
    int32_t from_start[HEX_OVERLAY_ROW]; // within the start's chunk, ROUTE_UNKNOWN: no way
    int32_t to_goal[HEX_OVERLAY_ROW];    // within the goal's
    int32_t best;                        // cost of the best way found
    int32_t limit;                       // estimates from here on are of no use any more
    int32_t margin;                      // if not 0: ways that cost so much more are of use too
    const struct hex_route_field *field; // in use, or NULL
    int32_t field_off;                   // what the way from the goal to its goal costs at most
    uint32_t slack_permille;
    uint32_t cost_min; // in units
    uint32_t work;     // without charts
    uint32_t charting; // what those took
    bool out_of_room;
    const uint64_t *charted;
    uint32_t charts_max, chart_work;
    uint32_t spend_max;  // of both together
    uint32_t *uncharted; // overlays_max
    uint32_t uncharted_count;
    bool put_off; // charts_max or spend_max was spent
    struct {
        MM_VEC(struct route_waypoint);
    } trail;
};

enum { ROUTE_BLOCK = 32 };

// --- route_cache.c -------------------------------------------------------------------------------

// Room for the map's chunks. False when out of memory.
bool route_reserve_chunks(struct hex_route *route, uint32_t chunk_count);
// The chunk's overlay, its costs up to date; *slot_out for route_build. NULL when out of memory, or
// if all are used by the present search.
struct hex_overlay *route_overlay(struct hex_route *route, uint32_t chunk, uint32_t *slot_out);
// Its rows and hops too. False: the chunk is not charted, and no more of those may be needed;
// route->put_off is set.
bool route_build(struct hex_route *route, uint32_t slot);

// --- route_enclosed.c ----------------------------------------------------------------------------

// Whether the goal is closed off from the start, in so few chunks that it is seen by going over
// them. False proves nothing.
bool route_is_enclosed(struct hex_route *route);

// --- route.c -------------------------------------------------------------------------------------

void route_begin(struct hex_route *route, const struct hex_route_map *map,
                 const struct hex_route_request *request);
// Visits both ends. False: no room, or put_off.
bool route_begin_ends(struct hex_route *route, const struct hex_route_request *request);

// --- route_search.c ------------------------------------------------------------------------------

// The visit of a chunk, begun if this search has not come there yet. ROUTE_NO_VISIT: no room, and
// route->out_of_room is set.
uint32_t route_visit_of(struct hex_route *route, uint32_t chunk);
// Passes on what is known of the start's chunk.
void route_pass_start(struct hex_route *route);
// Until nothing is left to do; true: until work_max, the room or what may be spent was.
bool route_run(struct hex_route *route, uint32_t work_max);

// --- route_field.c -------------------------------------------------------------------------------

const int32_t *route_field_labels(const struct hex_route_field *field, uint32_t chunk);
// What the field in use tells of the way from a node to the goal, which costs at least that much.
int32_t route_field_estimate(const struct hex_route *route, const struct route_visit *visit,
                             uint32_t node, struct hex_axial from_goal);
// Uses the request's field from here on, if it can be of use to its goal.
void route_field_take(struct hex_route *route, const struct hex_route_request *request);

// --- route_trace.c -------------------------------------------------------------------------------

// Writes the way to the goal, or to a node of a visit if that is not ROUTE_NO_VISIT.
enum mm_err MM_MUST_USE route_trace(struct hex_route *route, uint32_t visit, uint32_t node,
                                    uint8_t *steps, size_t steps_max,
                                    struct hex_route_result *result);

#endif
