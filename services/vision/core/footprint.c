#include "libcommon/base/alloc.h"
#include "services/vision/core/internal.h"

// Where an observer stands within its chunk decides which cells of which chunks its disc covers;
// that does not depend on the chunk, so it is worked out once per radius and cell. Counting a disc
// or a step is then a run through arrays of cell numbers, chunk by chunk, without any coordinate
// arithmetic.

struct footprint_builder {
    const struct hex_tiling *tiling;
    struct {
        MM_VEC(struct vision_group);
    } groups;
    struct {
        MM_VEC(uint16_t);
    } cells;
    bool exhausted;
};

static uint8_t near_of(struct hex_chunk at)
{
    if (at.a == 0 && at.b == 0)
        return 0;
    for (unsigned d = 0; d < HEX_DIRECTIONS; d++) {
        if (at.a == hex_directions[d].q && at.b == hex_directions[d].r)
            return (uint8_t)(d + 1);
    }
    return FOOTPRINT_FAR;
}

// Appends the groups of one shape: the offsets around `from`, a cell of chunk (0, 0). Two passes
// per chunk met, so that a group's cells lie side by side.
static void add_shape(struct footprint_builder *builder, struct hex_axial from,
                      struct hex_offsets offsets)
{
    size_t first_group = builder->groups.count;
    for (size_t i = 0; i < offsets.count; i++) {
        struct hex_chunk chunk = hex_chunk_of(builder->tiling, hex_add(from, offsets.items[i]));
        bool known = false;
        for (size_t g = first_group; g < builder->groups.count && !known; g++)
            known = builder->groups.items[g].a == chunk.a && builder->groups.items[g].b == chunk.b;
        if (known)
            continue;
        struct vision_group group = {.a = (int16_t)chunk.a,
                                     .b = (int16_t)chunk.b,
                                     .near = near_of(chunk),
                                     .first = (uint32_t)builder->cells.count};
        for (size_t k = i; k < offsets.count; k++) {
            struct hex_chunk of;
            uint32_t cell = hex_chunk_cell(builder->tiling, hex_add(from, offsets.items[k]), &of);
            if (!hex_chunk_equal(of, chunk))
                continue;
            builder->exhausted |= !mm_vec_push(&builder->cells, (uint16_t)cell);
            group.count++;
        }
        builder->exhausted |= !mm_vec_push(&builder->groups, group);
        if (builder->exhausted)
            return;
    }
}

struct vision_footprint *vision_footprint_new(const struct hex_tiling *tiling, int32_t radius)
{
    struct footprint_builder builder = {.tiling = tiling};
    mm_vec_init(&builder.groups, UINT32_MAX / 2);
    mm_vec_init(&builder.cells, UINT32_MAX / 2);
    struct vision_footprint *footprint = mm_calloc(1, sizeof *footprint);
    uint32_t *first_group = mm_calloc((size_t)tiling->cells * SHAPES + 1, sizeof *first_group);
    if (!footprint || !first_group)
        goto fail;
    for (uint32_t cell = 0; cell < tiling->cells; cell++) {
        struct hex_axial from = tiling->offsets[cell];
        for (unsigned shape = 0; shape < SHAPES; shape++) {
            first_group[cell * SHAPES + shape] = (uint32_t)builder.groups.count;
            struct hex_offsets offsets = shape == SHAPE_DISC ? hex_disc_offsets(radius)
                                         : shape < SHAPE_LEAVE
                                             ? hex_disc_enter(radius, shape - SHAPE_ENTER)
                                             : hex_disc_leave(radius, shape - SHAPE_LEAVE);
            if (VISION_FAULT(RING_OFF_BY_ONE) && shape >= SHAPE_LEAVE)
                offsets = hex_disc_leave(radius - 1, shape - SHAPE_LEAVE);
            add_shape(&builder, from, offsets);
            if (builder.exhausted)
                goto fail;
        }
    }
    first_group[(size_t)tiling->cells * SHAPES] = (uint32_t)builder.groups.count;
    *footprint = (struct vision_footprint){
        .groups = builder.groups.items, .first_group = first_group, .cells = builder.cells.items};
    return footprint;

fail:
    mm_vec_free(&builder.groups);
    mm_vec_free(&builder.cells);
    mm_free(first_group);
    mm_free(footprint);
    return NULL;
}

void vision_footprint_free(struct vision_footprint *footprint)
{
    if (!footprint)
        return;
    mm_free(footprint->groups);
    mm_free(footprint->first_group);
    mm_free(footprint->cells);
    mm_free(footprint);
}
