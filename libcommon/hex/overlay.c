#include "libcommon/hex/overlay.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/hex/lanes.h"
#include <string.h>

// --- the shape -----------------------------------------------------------------------------------

static void shape_nodes(struct hex_overlay_shape *shape)
{
    const struct hex_tiling *tiling = &shape->tiling;
    memset(shape->cell_node, 0xff, sizeof shape->cell_node);
    for (uint32_t node = 0; node < shape->node_count; node++) {
        uint32_t radius = (uint32_t)tiling->radius;
        uint32_t cell = hex_edge_cell(tiling, node / radius, node % radius);
        shape->node_cell[node] = (uint16_t)cell;
        shape->node_offset[node] = tiling->offsets[cell];
        shape->cell_node[cell] = (uint8_t)node;
    }
}

static void shape_steps(struct hex_overlay_shape *shape)
{
    const struct hex_tiling *tiling = &shape->tiling;
    struct hex_chunk here = {0, 0};
    for (uint32_t cell = 0; cell < tiling->cells; cell++) {
        for (unsigned d = 0; d < HEX_DIRECTIONS; d++) {
            struct hex_chunk chunk;
            struct hex_axial next = hex_neighbor(tiling->offsets[cell], d);
            uint32_t there = hex_chunk_cell(tiling, next, &chunk);
            if (hex_chunk_equal(chunk, here)) {
                shape->inner[cell][d] = (uint16_t)there;
                continue;
            }
            shape->inner[cell][d] = HEX_OVERLAY_NONE;
            int side = hex_direction_between((struct hex_axial){0, 0},
                                             (struct hex_axial){chunk.a, chunk.b});
            uint8_t node = shape->cell_node[cell];
            MM_CHECK(side >= 0 && node != 0xff && shape->exit_count[node] < 3);
            shape->exits[node][shape->exit_count[node]++] =
                (struct hex_overlay_exit){(uint8_t)side, shape->cell_node[there], (uint8_t)d};
        }
    }
}

// Of equally cheap ways within a chunk the one that begins along the straight line is taken.
static void shape_straight(struct hex_overlay_shape *shape)
{
    for (uint32_t cell = 0; cell < shape->tiling.cells; cell++)
        for (uint32_t node = 0; node < shape->node_count; node++) {
            struct hex_axial line[2], from = shape->tiling.offsets[cell];
            size_t count = hex_line(from, shape->node_offset[node], line, 2);
            shape->straight[cell * shape->lanes + node] =
                (int16_t)(count > 1 ? hex_direction_between(from, line[1]) : 0);
        }
}

enum mm_err hex_overlay_shape_init(struct hex_overlay_shape *shape, const struct hex_tiling *tiling)
{
    memset(shape, 0, sizeof *shape);
    if (tiling->radius > HEX_OVERLAY_RADIUS_MAX)
        return MM_INVALID_ARGUMENT;
    shape->tiling = *tiling;
    shape->node_count = 6 * (uint32_t)tiling->radius;
    shape->lanes = (shape->node_count + 7) / 8 * 8;
    size_t bytes = (size_t)tiling->cells * shape->lanes * sizeof *shape->straight;
    shape->straight = mm_calloc_aligned(16, bytes);
    if (!shape->straight)
        return MM_RESOURCE_EXHAUSTED;
    shape_nodes(shape);
    shape_steps(shape);
    shape_straight(shape);
    return MM_OK;
}

void hex_overlay_shape_free(struct hex_overlay_shape *shape)
{
    mm_free(shape->straight);
    shape->straight = NULL;
}

// --- one chunk -----------------------------------------------------------------------------------

static size_t hop_row_bytes(const struct hex_overlay_shape *shape)
{
    return (shape->tiling.cells + 1) / 2;
}

static size_t rows_bytes(const struct hex_overlay_shape *shape)
{
    return (size_t)shape->node_count * shape->lanes * sizeof(int16_t);
}

size_t hex_overlay_body_bytes(const struct hex_overlay_shape *shape)
{
    size_t bytes = rows_bytes(shape) + shape->tiling.cells * sizeof(uint16_t) +
                   shape->node_count * hop_row_bytes(shape);
    return (bytes + 63) / 64 * 64;
}

void hex_overlay_place(const struct hex_overlay_shape *shape, struct hex_overlay *overlay,
                       void *body)
{
    overlay->rows = body;
    overlay->cell_cost = (uint16_t *)(void *)((uint8_t *)body + rows_bytes(shape));
    overlay->hops = (uint8_t *)(overlay->cell_cost + shape->tiling.cells);
}

// Of every cell and one more, which stands for whatever lies outside: two rows of lanes.
size_t hex_overlay_scratch_bytes(const struct hex_overlay_shape *shape)
{
    return 2 * ((size_t)shape->tiling.cells + 1) * shape->lanes * sizeof(int16_t);
}

// While a chunk is built. entered[cell][lane]: what the way to that lane's node costs, the cell
// itself counted.
struct building {
    const struct hex_overlay_shape *shape;
    const uint16_t *cell_cost;
    uint32_t blocks; // of eight lanes
    hex_lanes *entered;
    hex_lanes *hops;
};

static const hex_lanes *entered_at(const struct building *b, uint32_t cell)
{
    return b->entered +
           (size_t)(cell < b->shape->tiling.cells ? cell : b->shape->tiling.cells) * b->blocks;
}

// Brings one cell up to date with its neighbours; true if something changed.
static bool relax(const struct building *b, uint32_t cell)
{
    const uint16_t *inner = b->shape->inner[cell];
    const hex_lanes *next[HEX_DIRECTIONS];
    for (unsigned d = 0; d < HEX_DIRECTIONS; d++)
        next[d] = entered_at(b, inner[d]);
    hex_lanes *here = b->entered + (size_t)cell * b->blocks,
              cost = hex_lanes_all((int16_t)b->cell_cost[cell]);
    hex_lanes same = hex_lanes_all(-1);
    for (uint32_t k = 0; k < b->blocks; k++) {
        hex_lanes least = hex_lanes_least(hex_lanes_least(next[0][k], next[1][k]),
                                          hex_lanes_least(next[2][k], next[3][k]));
        least = hex_lanes_least(least, hex_lanes_least(next[4][k], next[5][k]));
        hex_lanes now = hex_lanes_least(here[k], hex_lanes_sum(least, cost));
        same &= hex_lanes_equal(now, here[k]);
        here[k] = now;
    }
    uint64_t words[2];
    memcpy(words, &same, sizeof words);
    return (words[0] & words[1]) != UINT64_MAX;
}

// All distances at once, by going over the cells to and fro until nothing changes any more.
static void sweep(const struct building *b)
{
    uint32_t cells = b->shape->tiling.cells;
    for (bool forward = true, changed = true; changed; forward = !forward) {
        changed = false;
        for (uint32_t i = 0; i < cells; i++) {
            uint32_t cell = forward ? i : cells - 1 - i;
            if (b->cell_cost[cell])
                changed |= relax(b, cell);
        }
    }
}

// The least of the neighbours: what the way costs without the cell itself; and the first step.
static void choose_hops(const struct building *b, uint32_t cell, int16_t *distances)
{
    const uint16_t *inner = b->shape->inner[cell];
    const int16_t *straight_at = b->shape->straight + (size_t)cell * b->shape->lanes;
    hex_lanes *hops = b->hops + (size_t)cell * b->blocks;
    for (uint32_t k = 0; k < b->blocks; k++) {
        hex_lanes straight, least = hex_lanes_all(HEX_OVERLAY_FAR), all = hex_lanes_all(-1);
        memcpy(&straight, straight_at + k * 8, sizeof straight);
        for (unsigned d = 0; d < HEX_DIRECTIONS; d++)
            least = hex_lanes_least(least, entered_at(b, inner[d])[k]);
        hex_lanes hop = hex_lanes_all(HEX_OVERLAY_NO_HOP), is_straight = hex_lanes_all(0);
        for (int d = HEX_DIRECTIONS - 1; d >= 0; d--) {
            hex_lanes direction = hex_lanes_all((int16_t)d);
            hex_lanes fits = hex_lanes_equal(entered_at(b, inner[d])[k], least);
            hop = (fits & direction) | ((all ^ fits) & hop);
            is_straight |= fits & hex_lanes_equal(straight, direction);
        }
        hop = (is_straight & straight) | ((all ^ is_straight) & hop);
        hex_lanes none = hex_lanes_equal(least, hex_lanes_all(HEX_OVERLAY_FAR));
        hops[k] = hop | (none & hex_lanes_all(HEX_OVERLAY_NO_HOP));
        memcpy(distances + k * 8, &least, sizeof least);
    }
}

static void pack_hops(const struct building *b, uint8_t *out)
{
    uint32_t cells = b->shape->tiling.cells, lanes = b->shape->lanes;
    const int16_t *hops = (const int16_t *)b->hops;
    for (uint32_t node = 0; node < b->shape->node_count; node++) {
        const int16_t *hop = hops + node;
        for (uint32_t cell = 0; cell + 1 < cells; cell += 2, hop += 2 * (size_t)lanes)
            *out++ = (uint8_t)(hop[0] | hop[lanes] << 4);
        if (cells % 2)
            *out++ = (uint8_t)hop[0];
    }
}

void hex_overlay_set_costs(const struct hex_overlay_shape *shape, const uint16_t *cell_cost,
                           struct hex_overlay *overlay)
{
    overlay->open = 0;
    overlay->far = 0;
    for (uint32_t i = 0; i < HEX_OVERLAY_ROW; i++)
        overlay->enter[i] = HEX_OVERLAY_FAR;
    memcpy(overlay->cell_cost, cell_cost, shape->tiling.cells * sizeof *cell_cost);
    for (uint32_t node = 0; node < shape->node_count; node++) {
        uint16_t cost = cell_cost[shape->node_cell[node]];
        MM_CHECK(cost < HEX_OVERLAY_FAR);
        if (cost == 0)
            continue;
        overlay->enter[node] = (int16_t)cost;
        overlay->open |= UINT64_C(1) << node;
    }
}

void hex_overlay_build(const struct hex_overlay_shape *shape, void *scratch,
                       struct hex_overlay *overlay)
{
    uint32_t cells = shape->tiling.cells, lanes = shape->lanes;
    struct building b = {shape, overlay->cell_cost, lanes / 8, scratch, NULL};
    b.hops = b.entered + (size_t)(cells + 1) * b.blocks;
    int16_t *entered = scratch;
    for (size_t i = 0; i < (size_t)(cells + 1) * lanes; i++)
        entered[i] = HEX_OVERLAY_FAR;
    for (uint32_t node = 0; node < shape->node_count; node++)
        if (overlay->open >> node & 1)
            entered[shape->node_cell[node] * lanes + node] = overlay->enter[node];
    sweep(&b);
    overlay->far = 0;
    int16_t distances[HEX_OVERLAY_ROW];
    for (uint32_t cell = 0; cell < cells; cell++) {
        choose_hops(&b, cell, distances);
        uint8_t node = shape->cell_node[cell];
        if (node == 0xff)
            continue;
        distances[node] = 0;
        ((int16_t *)b.hops)[cell * lanes + node] = HEX_OVERLAY_NO_HOP;
        memcpy(overlay->rows + (size_t)node * lanes, distances, lanes * sizeof *distances);
        for (uint32_t i = 0; i < lanes; i++)
            if (distances[i] != HEX_OVERLAY_FAR && distances[i] > overlay->far)
                overlay->far = distances[i];
    }
    pack_hops(&b, overlay->hops);
}

int32_t hex_overlay_distance(const struct hex_overlay_shape *shape,
                             const struct hex_overlay *overlay, uint32_t cell, uint32_t node)
{
    int32_t cost = 0;
    while (cell != shape->node_cell[node]) {
        unsigned direction = hex_overlay_hop(shape, overlay, node, cell);
        if (direction == HEX_OVERLAY_NO_HOP)
            return -1;
        cell = shape->inner[cell][direction];
        cost += overlay->cell_cost[cell];
    }
    return cost;
}
