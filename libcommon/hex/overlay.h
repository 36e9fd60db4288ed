#ifndef HEX_OVERLAY_H
#define HEX_OVERLAY_H

#include "libcommon/base/err.h"
#include "libcommon/hex/chunk.h"

// What far ways need to know of one chunk: the cheapest ways between any two of its border cells
// that stay within the chunk, and where they lead. A search over these instead of hexes crosses a
// chunk in one stride, and is exact all the same: every way is made of such pieces and of the steps
// from one chunk to the next. (The overlay graph of D. Delling, A. Goldberg, T. Pajor, R. Werneck,
// "Customizable Route Planning", 2011, with one level.)
//
// Border cells are numbered counter-clockwise as "nodes": node side * R + i is border cell i of
// that side (hex_edge_cell), so that every corner counts once: 6R of them.

#define HEX_OVERLAY_RADIUS_MAX 10 // 6R nodes are the bits of one word
#define HEX_OVERLAY_NODES_MAX  (6 * HEX_OVERLAY_RADIUS_MAX)
#define HEX_OVERLAY_CELLS_MAX  (3 * HEX_OVERLAY_RADIUS_MAX * (HEX_OVERLAY_RADIUS_MAX + 1) + 1)
#define HEX_OVERLAY_ROW        72 // nodes of a row, and room for eight lanes from any of them on
#define HEX_OVERLAY_NONE       UINT16_MAX
#define HEX_OVERLAY_NO_HOP     15u

// Distances within a chunk are in 15 bits: a way that costs more is taken as none. With costs up to
// 180 (after division by what they have in common) no shortest way in a chunk of the default radius
// can.
#define HEX_OVERLAY_FAR INT16_MAX

// A step from a border cell into another chunk.
struct hex_overlay_exit {
    uint8_t side;      // direction of the chunk
    uint8_t node;      // border cell there
    uint8_t direction; // of the step
};

// What is the same in every chunk. About 60 KiB for the default radius.
struct hex_overlay_shape {
    struct hex_tiling tiling;
    uint32_t node_count;
    uint32_t lanes; // node_count rounded up to a multiple of 8
    uint16_t node_cell[HEX_OVERLAY_NODES_MAX];
    struct hex_axial node_offset[HEX_OVERLAY_NODES_MAX]; // from the chunk's centre
    uint8_t exit_count[HEX_OVERLAY_NODES_MAX];
    struct hex_overlay_exit exits[HEX_OVERLAY_NODES_MAX][3];
    uint8_t cell_node[HEX_OVERLAY_CELLS_MAX]; // 0xff: not a border cell
    uint16_t inner[HEX_OVERLAY_CELLS_MAX][6]; // the neighbour in the chunk or HEX_OVERLAY_NONE
    int16_t *straight;                        // [cell][lane]: first step of the straight line
};

// One chunk's, as built from its costs. What a search looks at of every chunk it comes near to is
// here; the rest lies in a body of hex_overlay_body_bytes(), which is the caller's.
struct hex_overlay {
    uint64_t open;                  // bit per node: passable; all edge signatures in one
    int32_t far;                    // the greatest distance between two nodes
    int16_t enter[HEX_OVERLAY_ROW]; // cost of stepping onto a border cell; HEX_OVERLAY_FAR if it
                                    // is impassable, and beyond the last
    int16_t *rows;                  // [node][lane]
    uint16_t *cell_cost;            // of every cell
    uint8_t *hops;
};

// MM_INVALID_ARGUMENT if the radius is above HEX_OVERLAY_RADIUS_MAX, MM_RESOURCE_EXHAUSTED.
enum mm_err MM_MUST_USE hex_overlay_shape_init(struct hex_overlay_shape *shape,
                                               const struct hex_tiling *tiling);
void hex_overlay_shape_free(struct hex_overlay_shape *shape);

// 14 KiB for the default radius.
size_t hex_overlay_body_bytes(const struct hex_overlay_shape *shape);
// Takes a body, aligned to 16, for an overlay; that must be done before anything else.
void hex_overlay_place(const struct hex_overlay_shape *shape, struct hex_overlay *overlay,
                       void *body);

// Memory for building, to be aligned to 16; reused from chunk to chunk. 62 KiB.
size_t hex_overlay_scratch_bytes(const struct hex_overlay_shape *shape);

// Takes over what stepping onto each of the chunk's cells costs (tiling.cells numbers, 0 =
// impassable, below HEX_OVERLAY_FAR): the edges are known then. Cheap.
void hex_overlay_set_costs(const struct hex_overlay_shape *shape, const uint16_t *cell_cost,
                           struct hex_overlay *overlay);

// Then rows and hops. A pure function of the costs.
void hex_overlay_build(const struct hex_overlay_shape *shape, void *scratch,
                       struct hex_overlay *overlay);

// What ways from a node to every node cost, the first cell not counted; HEX_OVERLAY_FAR: no way.
static inline const int16_t *hex_overlay_row(const struct hex_overlay_shape *shape,
                                             const struct hex_overlay *overlay, uint32_t node)
{
    return overlay->rows + (size_t)node * shape->lanes;
}

// The direction of the first step from a cell towards a node, HEX_OVERLAY_NO_HOP if there is no way
// or it is there. Cells may be impassable: it is left, never entered.
static inline unsigned hex_overlay_hop(const struct hex_overlay_shape *shape,
                                       const struct hex_overlay *overlay, uint32_t node,
                                       uint32_t cell)
{
    uint8_t pair = overlay->hops[node * ((shape->tiling.cells + 1) / 2) + cell / 2];
    return (pair >> (cell % 2 * 4)) & 15u;
}

// What the way from a cell to a node costs: -1 if there is none.
int32_t hex_overlay_distance(const struct hex_overlay_shape *shape,
                             const struct hex_overlay *overlay, uint32_t cell, uint32_t node);

// The edge signature of a side (chunk.h), of nodes given as bits: of `open` what can be walked on.
static inline uint64_t hex_overlay_signature(const struct hex_overlay_shape *shape, uint64_t nodes,
                                             unsigned side)
{
    uint32_t radius = (uint32_t)shape->tiling.radius;
    // The last cell of the last side is node 0.
    uint64_t around = nodes | (nodes & 1) << shape->node_count;
    return around >> side * radius & ((UINT64_C(2) << radius) - 1);
}

// The neighbour's border cells that touch any of `nodes` (bits) across a side, as bits: edges
// stitched together.
static inline uint64_t hex_overlay_touched(const struct hex_overlay_shape *shape, uint64_t nodes,
                                           unsigned side)
{
    uint32_t radius = (uint32_t)shape->tiling.radius, count = shape->node_count;
    uint64_t theirs = hex_edge_touched(&shape->tiling, hex_overlay_signature(shape, nodes, side))
                      << hex_opposite(side) * radius;
    return (theirs | theirs >> count) & ((UINT64_C(1) << count) - 1);
}

#endif
