#include "libcommon/base/alloc.h"
#include "services/vision/core/internal.h"

#include <string.h>

// Terrain that shortens sight (options.terrain_blocks): an observer sees a hex within its range if
// the distance and the sight costs of the hexes between the two, together, are within its range as
// well. A cost as high as the range lets nobody see past it.
//
// Between are the hexes that the straight line from centre to centre passes. Where it runs along
// the border of two hexes, or through a corner, it is moved aside a little, to the one side and
// to the other: the better of the two ways counts. Seen from the other end both are the same lines,
// so whoever sees a hex is seen from there by an equal range.

enum { SIDES = 2, NUDGE_SCALE = 64 };

struct vision_lines {
    uint32_t count;    // of the disc's offsets
    uint32_t *first;   // [count * SIDES + 1] in between
    uint16_t *between; // places in a grid of (2R+1)^2
};

static uint32_t grid_place(int32_t radius, int32_t q, int32_t r)
{
    return (uint32_t)((r + radius) * (2 * radius + 1) + q + radius);
}

static int32_t round_div(int32_t value, int32_t by)
{
    int32_t doubled = 2 * value + by;
    return doubled >= 0 ? doubled / (2 * by) : -((-doubled + 2 * by - 1) / (2 * by));
}

// The hex at part `i` of `steps` of the way to `to`, moved aside by a vector that is parallel to no
// border and so short that it crosses one only from on it. (Cube rounding:
// redblobgames.com/grids/hexagons/#rounding.)
static struct hex_axial hex_between(struct hex_axial to, int32_t steps, int32_t i, int32_t side)
{
    int32_t scale = steps * NUDGE_SCALE;
    int32_t x = to.q * i * NUDGE_SCALE + side, y = to.r * i * NUDGE_SCALE + 2 * side;
    int32_t z = -x - y;
    int32_t q = round_div(x, scale), r = round_div(y, scale), s = round_div(z, scale);
    int32_t off_q = x - q * scale, off_r = y - r * scale, off_s = z - s * scale;
    off_q = off_q < 0 ? -off_q : off_q;
    off_r = off_r < 0 ? -off_r : off_r;
    off_s = off_s < 0 ? -off_s : off_s;
    if (off_q > off_r && off_q > off_s)
        q = -r - s;
    else if (off_r > off_s)
        r = -q - s;
    return (struct hex_axial){q, r};
}

static struct vision_lines *lines_new(int32_t radius)
{
    struct hex_offsets disc = hex_disc_offsets(radius);
    struct {
        MM_VEC(uint16_t);
    } between;
    mm_vec_init(&between, UINT32_MAX / 2);
    struct vision_lines *lines = mm_calloc(1, sizeof *lines);
    uint32_t *first = mm_calloc(disc.count * SIDES + 1, sizeof *first);
    bool room = lines && first;
    for (size_t i = 0; room && i < disc.count * SIDES; i++) {
        struct hex_axial to = disc.items[i / SIDES];
        int32_t steps = hex_distance((struct hex_axial){0, 0}, to);
        first[i] = (uint32_t)between.count;
        for (int32_t step = 1; room && step < steps; step++) {
            struct hex_axial at = hex_between(to, steps, step, i % SIDES == 0 ? 1 : -1);
            room = mm_vec_push(&between, (uint16_t)grid_place(radius, at.q, at.r));
        }
    }
    if (!room) {
        mm_vec_free(&between);
        mm_free(first);
        mm_free(lines);
        return NULL;
    }
    first[disc.count * SIDES] = (uint32_t)between.count;
    *lines = (struct vision_lines){
        .count = (uint32_t)disc.count, .first = first, .between = between.items};
    return lines;
}

void vision_lines_free(struct vision_lines *lines)
{
    if (!lines)
        return;
    mm_free(lines->first);
    mm_free(lines->between);
    mm_free(lines);
}

static bool lines_ready(struct vision *vision, int32_t radius)
{
    if (!vision->lines[radius])
        vision->lines[radius] = lines_new(radius);
    vision->exhausted |= !vision->lines[radius];
    return vision->lines[radius] != NULL;
}

// What a line from the middle of the grid to the disc's offset pays on its way, at least.
static uint32_t line_cost(const struct vision_lines *lines, uint32_t offset, const uint8_t *costs)
{
    uint32_t least = UINT32_MAX;
    uint32_t end = (offset + 1) * SIDES - (VISION_FAULT(ONE_SIDED_LINES) ? 1 : 0);
    for (uint32_t i = offset * SIDES; i < end; i++) {
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
                costs[grid_place(radius, hex.q - from.q, hex.r - from.r)] =
                    vision->sight_costs[chunk->cells[c]];
            }
        }
    }
    const struct vision_lines *lines = vision->lines[radius];
    struct hex_offsets disc = hex_disc_offsets(radius);
    for (uint32_t i = 0; i < lines->count; i++) {
        int32_t distance = hex_distance((struct hex_axial){0, 0}, disc.items[i]);
        vision->line_seen[grid_place(radius, disc.items[i].q, disc.items[i].r)] =
            line_cost(lines, i, costs) + (uint32_t)distance <= (uint32_t)radius;
    }
    return true;
}

bool vision_lines_saw(const struct vision *vision, struct hex_axial from, int32_t radius,
                      struct hex_axial to)
{
    return vision->line_seen[grid_place(radius, to.q - from.q, to.r - from.r)];
}

bool vision_lines_reach(const struct vision *vision, struct hex_axial from, int32_t radius,
                        struct hex_axial to)
{
    struct hex_axial offset = {to.q - from.q, to.r - from.r};
    int32_t steps = hex_distance(from, to);
    uint32_t least = UINT32_MAX;
    for (int32_t side = -1; side <= 1; side += 2) {
        uint32_t sum = 0;
        for (int32_t i = 1; i < steps; i++) {
            struct hex_axial at = hex_add(from, hex_between(offset, steps, i, side));
            struct hex_chunk chunk_at;
            uint32_t cell = hex_chunk_cell(&vision->tiling, at, &chunk_at);
            const struct vision_chunk *chunk = known_chunk(vision, chunk_at);
            sum += chunk ? vision->sight_costs[chunk->cells[cell]] : 0;
        }
        least = sum < least ? sum : least;
    }
    return least <= (uint32_t)radius && least + (uint32_t)steps <= (uint32_t)radius;
}
