#include "libcommon/hex/disc.h"

#include "libcommon/base/check.h"
#include <threads.h>

enum {
    RADII = HEX_DISC_RADIUS_MAX + 1,
    // sum of 3R(R+1)+1 over R = 0..n-1 is n^3
    CELLS_ALL = RADII * RADII * RADII,
    // sum of 2R+1 over R = 0..n-1 is n^2
    ENTER_ALL = RADII * RADII,
};

static struct hex_axial cells[CELLS_ALL];
static struct hex_axial enters[HEX_DIRECTIONS][ENTER_ALL];
static once_flag tables_once = ONCE_FLAG_INIT;

static void build_tables(void)
{
    for (int32_t radius = 0; radius < RADII; radius++) {
        struct hex_axial *disc = &cells[radius * radius * radius];
        size_t count = hex_disc((struct hex_axial){0, 0}, radius, disc);
        for (unsigned d = 0; d < HEX_DIRECTIONS; d++) {
            struct hex_axial *enter = &enters[d][radius * radius];
            size_t entering = 0;
            // Seen from the old centre, the same hex lies one step further.
            for (size_t i = 0; i < count; i++)
                if (hex_length(hex_add(disc[i], hex_directions[d])) > radius)
                    enter[entering++] = disc[i];
            MM_CHECK(entering == 2 * (size_t)radius + 1);
        }
    }
}

struct hex_offsets hex_disc_offsets(int32_t radius)
{
    MM_CHECK(radius >= 0 && radius <= HEX_DISC_RADIUS_MAX);
    call_once(&tables_once, build_tables);
    return (struct hex_offsets){&cells[radius * radius * radius], hex_disc_count(radius)};
}

struct hex_offsets hex_disc_enter(int32_t radius, unsigned direction)
{
    MM_CHECK(radius >= 0 && radius <= HEX_DISC_RADIUS_MAX && direction < HEX_DIRECTIONS);
    call_once(&tables_once, build_tables);
    return (struct hex_offsets){&enters[direction][radius * radius], 2 * (size_t)radius + 1};
}

struct hex_offsets hex_disc_leave(int32_t radius, unsigned direction)
{
    // What leaves on a step is what would enter on the step back.
    return hex_disc_enter(radius, hex_opposite(direction));
}
