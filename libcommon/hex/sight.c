#include "libcommon/hex/sight.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/vec.h"

enum { NUDGE_SCALE = 64 };

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

static int32_t nudge_of(unsigned side)
{
    return side == 0 ? 1 : -1;
}

bool hex_sight_reaches(struct hex_axial from, int32_t range, struct hex_axial to,
                       hex_sight_cost_fn cost, const void *ctx)
{
    struct hex_axial offset = hex_sub(to, from);
    int32_t steps = hex_length(offset);
    if (steps > range || range > HEX_SIGHT_RADIUS_MAX)
        return false;
    uint32_t allowed = (uint32_t)(range - steps);
    for (unsigned side = 0; side < HEX_SIGHT_SIDES; side++) {
        uint32_t sum = 0;
        for (int32_t i = 1; i < steps && sum <= allowed; i++)
            sum += cost(ctx, hex_add(from, hex_between(offset, steps, i, nudge_of(side))));
        if (sum <= allowed)
            return true;
    }
    return false;
}

enum mm_err hex_sight_lines_init(struct hex_sight_lines *lines, int32_t radius)
{
    *lines = (struct hex_sight_lines){0};
    if (radius < 0 || radius > HEX_SIGHT_RADIUS_MAX)
        return MM_INVALID_ARGUMENT;
    struct hex_offsets disc = hex_disc_offsets(radius);
    struct {
        MM_VEC(uint16_t);
    } between;
    mm_vec_init(&between, UINT32_MAX / 2);
    uint32_t *first = mm_calloc(disc.count * HEX_SIGHT_SIDES + 1, sizeof *first);
    bool room = first != NULL;
    for (size_t i = 0; room && i < disc.count * HEX_SIGHT_SIDES; i++) {
        struct hex_axial to = disc.items[i / HEX_SIGHT_SIDES];
        int32_t steps = hex_length(to);
        first[i] = (uint32_t)between.count;
        for (int32_t step = 1; room && step < steps; step++) {
            struct hex_axial at = hex_between(to, steps, step, nudge_of(i % HEX_SIGHT_SIDES));
            room = mm_vec_push(&between, (uint16_t)hex_sight_place(radius, at));
        }
    }
    if (!room) {
        mm_vec_free(&between);
        mm_free(first);
        return MM_RESOURCE_EXHAUSTED;
    }
    first[disc.count * HEX_SIGHT_SIDES] = (uint32_t)between.count;
    *lines = (struct hex_sight_lines){
        .count = (uint32_t)disc.count, .first = first, .between = between.items};
    return MM_OK;
}

void hex_sight_lines_free(struct hex_sight_lines *lines)
{
    mm_free(lines->first);
    mm_free(lines->between);
    *lines = (struct hex_sight_lines){0};
}
