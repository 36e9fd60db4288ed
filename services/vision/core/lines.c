#include "services/vision/core/footprint.h"
#include "services/vision/core/mirror.h"
#include "services/vision/core/sight.h"
#include "services/vision/core/state.h"

#include <string.h>

// Terrain that shortens sight, if world says that it does: libcommon/hex/sight.h.

static bool lines_ready(struct vision *vision, int32_t radius)
{
    struct hex_sight_lines *lines = &vision->lines[radius];
    bool ready = lines->first || hex_sight_lines_init(lines, radius) == MM_OK;
    vision->exhausted |= !ready;
    return ready;
}

// What a line from the middle of the grid to the disc's offset pays on its way, at least.
static uint32_t line_cost(const struct hex_sight_lines *lines, uint32_t offset,
                          const uint8_t *costs)
{
    uint32_t least = UINT32_MAX;
    uint32_t end = (offset + 1) * HEX_SIGHT_SIDES - (VISION_FAULT(ONE_SIDED_LINES) ? 1 : 0);
    for (uint32_t i = offset * HEX_SIGHT_SIDES; i < end; i++) {
        uint32_t sum = 0;
        for (uint32_t k = lines->first[i]; k < lines->first[i + 1]; k++)
            sum += costs[lines->between[k]];
        least = sum < least ? sum : least;
    }
    return least;
}

static const struct vision_chunk *known_chunk(const struct vision *vision, struct hex_chunk at)
{
    uint32_t index;
    if (!vision_chunk_find(vision, at, &index) || !vision->chunks.items[index].known)
        return NULL;
    return &vision->chunks.items[index];
}

uint32_t vision_lines_costly_cells(const struct vision *vision, const uint8_t *cells)
{
    uint32_t count = 0;
    for (uint32_t cell = 0; cell < vision->tiling.cells; cell++)
        count += vision->sight_costs[cells[cell]] > 0;
    return count;
}

bool vision_lines_matter(const struct vision *vision, struct hex_chunk at, uint32_t cell,
                         int32_t radius)
{
    const uint64_t *disc = vision_footprint_shape(vision->footprints[radius], cell, SHAPE_DISC);
    for (struct vision_group group = {0}; !group.last; disc += group.words) {
        group = vision_footprint_group(disc++);
        const struct vision_chunk *chunk =
            known_chunk(vision, (struct hex_chunk){at.a + group.a, at.b + group.b});
        if (chunk && chunk->costly_cells > 0)
            return true;
    }
    return false;
}

bool vision_lines_look(struct vision *vision, struct hex_axial from, struct hex_chunk at,
                       uint32_t cell, int32_t radius)
{
    if (!lines_ready(vision, radius))
        return false;
    uint8_t *costs = vision->line_costs;
    memset(costs, 0, sizeof vision->line_costs);
    const uint64_t *masks = vision_footprint_shape(vision->footprints[radius], cell, SHAPE_DISC);
    for (struct vision_group group = {0}; !group.last; masks += group.words) {
        group = vision_footprint_group(masks++);
        struct hex_chunk there = {at.a + group.a, at.b + group.b};
        const struct vision_chunk *chunk = known_chunk(vision, there);
        if (!chunk || chunk->costly_cells == 0)
            continue;
        for (uint32_t w = 0; w < group.words; w++) {
            for (uint64_t bits = masks[w]; bits; bits &= bits - 1) {
                uint32_t c = (group.first_word + w) * 64 + (uint32_t)__builtin_ctzll(bits);
                struct hex_axial hex = hex_chunk_hex(&vision->tiling, there, c);
                costs[hex_sight_place(radius, hex_sub(hex, from))] =
                    vision->sight_costs[chunk->cells[c]];
            }
        }
    }
    const struct hex_sight_lines *lines = &vision->lines[radius];
    struct hex_offsets disc = hex_disc_offsets(radius);
    for (uint32_t i = 0; i < lines->count; i++) {
        int32_t distance = hex_distance((struct hex_axial){0, 0}, disc.items[i]);
        vision->line_seen[hex_sight_place(radius, disc.items[i])] =
            line_cost(lines, i, costs) + (uint32_t)distance <= (uint32_t)radius;
    }
    return true;
}

bool vision_lines_saw(const struct vision *vision, struct hex_axial from, int32_t radius,
                      struct hex_axial to)
{
    return vision->line_seen[hex_sight_place(radius, hex_sub(to, from))];
}

static uint32_t cost_at(const void *ctx, struct hex_axial at)
{
    const struct vision *vision = ctx;
    struct hex_chunk chunk_at;
    uint32_t cell = hex_chunk_cell(&vision->tiling, at, &chunk_at);
    const struct vision_chunk *chunk = known_chunk(vision, chunk_at);
    return chunk ? vision->sight_costs[chunk->cells[cell]] : 0;
}

bool vision_lines_reach(const struct vision *vision, struct hex_axial from, int32_t radius,
                        struct hex_axial to)
{
    return hex_sight_reaches(from, radius, to, cost_at, vision);
}
