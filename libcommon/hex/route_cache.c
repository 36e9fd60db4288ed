#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/hex/path.h"
#include "libcommon/hex/route_internal.h"
#include <string.h>

struct hex_route *hex_route_new(const struct hex_tiling *tiling, uint32_t overlays_max)
{
    struct hex_route *route = mm_calloc(1, sizeof *route);
    if (!route)
        return NULL;
    route->overlays_max = overlays_max;
    for (uint32_t i = 0; i < HEX_OVERLAY_ROW; i++)
        route->unreached[i] = ROUTE_UNKNOWN;
    mm_vec_init(&route->trail, (size_t)overlays_max * HEX_OVERLAY_NODES_MAX);
    bool sound = hex_overlay_shape_init(&route->shape, tiling) == MM_OK;
    if (sound) {
        route->body_bytes = hex_overlay_body_bytes(&route->shape);
        route->scratch = mm_calloc_aligned(16, hex_overlay_scratch_bytes(&route->shape));
        route->slots = mm_calloc(overlays_max, sizeof *route->slots);
        route->overlays = mm_calloc(overlays_max, sizeof *route->overlays);
        route->blocks = mm_calloc(overlays_max / ROUTE_BLOCK + 1, sizeof *route->blocks);
        route->visits = mm_calloc(overlays_max, sizeof *route->visits);
        route->heap = mm_calloc(overlays_max, sizeof *route->heap);
        route->uncharted = mm_calloc(overlays_max, sizeof *route->uncharted);
    }
    if (!sound || !route->scratch || !route->slots || !route->overlays || !route->blocks ||
        !route->visits || !route->heap || !route->uncharted) {
        hex_route_free(route);
        return NULL;
    }
    return route;
}

void hex_route_free(struct hex_route *route)
{
    if (!route)
        return;
    hex_overlay_shape_free(&route->shape);
    for (uint32_t i = 0; i < route->block_count; i++)
        mm_free(route->blocks[i]);
    mm_vec_free(&route->trail);
    mm_free(route->uncharted);
    mm_free(route->heap);
    mm_free(route->visits);
    mm_free(route->blocks);
    mm_free(route->overlays);
    mm_free(route->slots);
    mm_free(route->scratch);
    mm_free(route->chunks);
    mm_free(route);
}

void hex_route_clear(struct hex_route *route)
{
    route->slot_count = route->clock_hand = 0;
    if (route->chunks)
        memset(route->chunks, 0, route->chunk_capacity * sizeof *route->chunks);
}

uint64_t hex_route_builds(const struct hex_route *route)
{
    return route->builds;
}

size_t hex_route_memory_bytes(const struct hex_route *route)
{
    size_t each = sizeof *route->slots + sizeof *route->overlays + sizeof *route->visits +
                  sizeof *route->heap + sizeof *route->uncharted;
    return sizeof *route + hex_overlay_scratch_bytes(&route->shape) +
           (size_t)route->shape.tiling.cells * route->shape.lanes * sizeof(int16_t) +
           route->overlays_max * each +
           (size_t)route->block_count * ROUTE_BLOCK * route->body_bytes +
           route->chunk_capacity * sizeof *route->chunks;
}

bool route_reserve_chunks(struct hex_route *route, uint32_t chunk_count)
{
    if (chunk_count <= route->chunk_capacity)
        return true;
    uint32_t capacity = chunk_count + chunk_count / 2 + 64;
    struct route_chunk *chunks = mm_realloc(route->chunks, capacity * sizeof *chunks);
    if (!chunks)
        return false;
    memset(chunks + route->chunk_capacity, 0, (capacity - route->chunk_capacity) * sizeof *chunks);
    route->chunks = chunks;
    route->chunk_capacity = capacity;
    return true;
}

static bool is_charted(const struct hex_route *route, uint32_t chunk)
{
    return !route->charted || (route->charted[chunk / 64] >> chunk % 64 & 1);
}

// A slot for another overlay: a new one, or that of one which no search needed for the longest
// time, roughly. False: there is none.
static bool slot_take(struct hex_route *route, uint32_t *slot_out)
{
    if (route->slot_count < route->overlays_max) {
        if (route->slot_count == route->block_count * ROUTE_BLOCK) {
            uint8_t *block = mm_calloc_aligned(64, ROUTE_BLOCK * route->body_bytes);
            if (!block)
                return false;
            route->blocks[route->block_count++] = block;
        }
        uint32_t slot = route->slot_count++;
        uint8_t *block = route->blocks[slot / ROUTE_BLOCK];
        hex_overlay_place(&route->shape, &route->overlays[slot],
                          block + slot % ROUTE_BLOCK * route->body_bytes);
        *slot_out = slot;
        return true;
    }
    uint32_t oldest = ROUTE_NO_VISIT;
    bool oldest_charted = true;
    // A few are looked at, in turn; more while all are needed, or charted.
    for (uint32_t i = 0;
         i < route->slot_count && (i < 8 || oldest == ROUTE_NO_VISIT || (oldest_charted && i < 64));
         i++) {
        uint32_t slot = route->clock_hand++ % route->slot_count;
        bool charted = is_charted(route, route->slots[slot].chunk);
        if (route->slots[slot].search == route->search || (charted && !oldest_charted))
            continue;
        if (oldest == ROUTE_NO_VISIT || charted < oldest_charted ||
            route->slots[slot].search < route->slots[oldest].search) {
            oldest = slot;
            oldest_charted = charted;
        }
    }
    if (oldest == ROUTE_NO_VISIT)
        return false;
    route->chunks[route->slots[oldest].chunk].slot = 0;
    *slot_out = oldest;
    return true;
}

struct hex_overlay *route_overlay(struct hex_route *route, uint32_t chunk, uint32_t *slot_out)
{
    const struct hex_route_map *map = route->map;
    struct route_chunk *known = &route->chunks[chunk];
    if (known->slot == 0) {
        uint32_t slot;
        if (!slot_take(route, &slot))
            return NULL;
        known->slot = slot + 1;
        route->slots[slot] = (struct route_slot){.chunk = chunk, .version = ~map->versions[chunk]};
    }
    *slot_out = known->slot - 1;
    struct route_slot *slot = &route->slots[*slot_out];
    struct hex_overlay *overlay = &route->overlays[*slot_out];
    slot->search = route->search;
    if (slot->version == map->versions[chunk])
        return overlay;
    uint16_t costs[HEX_OVERLAY_CELLS_MAX];
    map->costs(map->ctx, chunk, costs);
    for (uint32_t cell = 0; cell < route->shape.tiling.cells; cell++) {
        uint32_t cost = costs[cell] / map->cost_unit;
        costs[cell] = (uint16_t)(cost < HEX_PATH_COST_MAX ? cost : HEX_PATH_COST_MAX);
    }
    hex_overlay_set_costs(&route->shape, costs, overlay);
    slot->version = map->versions[chunk];
    slot->built = false;
    return overlay;
}

// Whether the present search may need a chunk's rows and hops: no matter whether they are built.
static bool may_need(struct hex_route *route, struct route_slot *slot)
{
    if (slot->needed == route->search || is_charted(route, slot->chunk))
        return true;
    if (route->uncharted_count >= route->charts_max ||
        route->uncharted_count >= route->overlays_max ||
        route->work + route->charting + route->chart_work > route->spend_max) {
        route->put_off = true;
        return false;
    }
    route->charting += route->chart_work;
    route->uncharted[route->uncharted_count++] = slot->chunk;
    slot->needed = route->search;
    return true;
}

bool route_build(struct hex_route *route, uint32_t slot)
{
    if (!may_need(route, &route->slots[slot]))
        return false;
    if (!route->slots[slot].built) {
        hex_overlay_build(&route->shape, route->scratch, &route->overlays[slot]);
        route->builds++;
    }
    route->slots[slot].built = true;
    return true;
}

void hex_route_warm(struct hex_route *route, const struct hex_route_map *map,
                    const uint64_t *charted)
{
    if (!route_reserve_chunks(route, map->chunk_count))
        return;
    route->map = map;
    route->charted = charted;
    route->search++;
    for (uint32_t chunk = 0; chunk < map->chunk_count; chunk++) {
        uint32_t slot;
        if (is_charted(route, chunk) &&
            (!route_overlay(route, chunk, &slot) || !route_build(route, slot)))
            return;
    }
}
