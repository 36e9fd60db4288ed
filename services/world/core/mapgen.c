#include "services/world/core/mapgen.h"

#include "libcommon/base/bitset.h"
#include "libcommon/base/check.h"
#include "libcommon/base/hash.h"
#include <string.h>

// Purposes of random numbers, so that no two uses see the same ones.
enum { ROLL_HEIGHT = 1, ROLL_MOISTURE = 2, ROLL_NODE = 3, ROLL_CAMP = 4 };

uint64_t world_mapgen_roll(uint64_t seed, uint32_t purpose, struct hex_axial at)
{
    return mm_mix64(mm_mix64(seed ^ ((uint64_t)purpose << 56)) ^ mm_mix64(hex_pack(at)));
}

// --- noise ---------------------------------------------------------------------------------------

// Value noise on a square lattice (K. Perlin's fade curve 6t^5-15t^4+10t^3, in 16-bit fixed point).
#define ONE ((int64_t)1 << 16)

static int64_t lattice_value(uint64_t seed, uint32_t purpose, int64_t x, int64_t y)
{
    struct hex_axial at = {(int32_t)x, (int32_t)y};
    return (int64_t)(world_mapgen_roll(seed, purpose, at) & 0xffff);
}

static int64_t fade(int64_t t)
{
    int64_t t3 = (((t * t) >> 16) * t) >> 16;
    int64_t inner = (((6 * t - 15 * ONE) * t) >> 16) + 10 * ONE;
    return (t3 * inner) >> 16;
}

static int64_t mix(int64_t a, int64_t b, int64_t t)
{
    return a + (((b - a) * t) >> 16);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return q * b > a ? q - 1 : q;
}

// 0..65535. x and y in thousandths of a hex width, wavelength in the same.
static int64_t noise(uint64_t seed, uint32_t purpose, int64_t x, int64_t y, int64_t wavelength)
{
    int64_t cx = floor_div(x, wavelength), cy = floor_div(y, wavelength);
    int64_t tx = fade((x - cx * wavelength) * ONE / wavelength);
    int64_t ty = fade((y - cy * wavelength) * ONE / wavelength);
    int64_t top =
        mix(lattice_value(seed, purpose, cx, cy), lattice_value(seed, purpose, cx + 1, cy), tx);
    int64_t bottom = mix(lattice_value(seed, purpose, cx, cy + 1),
                         lattice_value(seed, purpose, cx + 1, cy + 1), tx);
    return mix(top, bottom, ty);
}

// Octaves of half the wavelength and half the weight each; 0..999.
static uint32_t noise_permille(const struct world_map_rules *rules, uint64_t seed, uint32_t purpose,
                               struct hex_axial at)
{
    // Pointy-top hexes of width 1 (https://www.redblobgames.com/grids/hexagons/#hex-to-pixel).
    int64_t x = (int64_t)at.q * 1000 + (int64_t)at.r * 500;
    int64_t y = (int64_t)at.r * 866;
    int64_t sum = 0, weights = 0;
    int64_t wavelength = (int64_t)rules->wavelength_hexes * 1000;
    for (uint32_t octave = 0; octave < rules->octaves && wavelength > 0; octave++) {
        int64_t weight = ONE >> octave;
        sum += noise(mm_mix64(seed + octave), purpose, x, y, wavelength) * weight;
        weights += weight;
        wavelength /= 2;
    }
    MM_CHECK(weights > 0);
    int64_t value = sum / weights; // 0..65535, bunched about the middle
    // Spread, so that permille in the rules mean roughly shares of the map.
    int64_t spread = (value - ONE / 2) * 2 + ONE / 2;
    if (spread < 0)
        spread = 0;
    if (spread > ONE - 1)
        spread = ONE - 1;
    return (uint32_t)((spread * 1000) >> 16);
}

static uint8_t noise_terrain(const struct world_map_rules *rules, uint64_t seed,
                             struct hex_axial at)
{
    uint32_t height = noise_permille(rules, seed, ROLL_HEIGHT, at);
    uint32_t moisture = noise_permille(rules, seed, ROLL_MOISTURE, at);
    for (uint32_t i = 0; i < rules->band_count; i++) {
        const struct world_band *band = &rules->bands[i];
        if (height >= band->height_from && height < band->height_below &&
            moisture >= band->moisture_from && moisture < band->moisture_below)
            return (uint8_t)band->terrain;
    }
    return (uint8_t)rules->open_terrain;
}

// --- homes and the roads between them ------------------------------------------------------------

struct hex_chunk world_mapgen_home(const struct world_map_rules *rules, uint32_t index)
{
    struct hex_axial site = hex_spiral(index);
    int32_t spacing = (int32_t)rules->home_spacing_chunks;
    return (struct hex_chunk){site.q * spacing, site.r * spacing};
}

struct carving {
    const struct hex_tiling *tiling;
    struct hex_chunk chunk;
    struct hex_axial center;
    uint8_t open_terrain;
    uint8_t *terrain;
    uint64_t *reserved;
};

static void carve_disc(struct carving *carving, struct hex_axial at, int32_t radius)
{
    if (hex_distance(at, carving->center) > carving->tiling->radius + radius)
        return;
    struct hex_offsets disc = hex_disc_offsets(radius);
    for (size_t i = 0; i < disc.count; i++) {
        struct hex_axial hex = hex_add(at, disc.items[i]);
        if (hex_distance(hex, carving->center) > carving->tiling->radius)
            continue;
        uint32_t cell = hex_disc_index(hex_sub(hex, carving->center), carving->tiling->radius);
        carving->terrain[cell] = carving->open_terrain;
        mm_bitset_set(carving->reserved, cell);
    }
}

// Two neighbouring homes are joined by one straight road, whichever side it is asked from.
static void carve_road(struct carving *carving, const struct world_map_rules *rules,
                       struct hex_axial a, struct hex_axial b)
{
    enum { ROAD_HEXES_MAX = 2048 };
    struct hex_axial line[ROAD_HEXES_MAX];
    size_t count = hex_line(a, b, line, ROAD_HEXES_MAX);
    MM_CHECK(count <= ROAD_HEXES_MAX);
    for (size_t i = 0; i < count; i++)
        carve_disc(carving, line[i], (int32_t)rules->road_width_hexes);
}

static void carve_site(struct carving *carving, const struct world_map_rules *rules, int32_t i,
                       int32_t j)
{
    int32_t spacing = (int32_t)rules->home_spacing_chunks;
    struct hex_chunk home = {i * spacing, j * spacing};
    struct hex_axial center = hex_chunk_center(carving->tiling, home);
    carve_disc(carving, center, (int32_t)rules->clearing_hexes);
    for (unsigned d = 0; d < 3; d++) {
        struct hex_axial other = hex_neighbor((struct hex_axial){i, j}, d);
        struct hex_chunk there = {other.q * spacing, other.r * spacing};
        carve_road(carving, rules, center, hex_chunk_center(carving->tiling, there));
    }
}

void world_mapgen_chunk(const struct world_rules *rules, const struct hex_tiling *tiling,
                        uint64_t seed, struct hex_chunk chunk, uint8_t *terrain_out,
                        uint64_t *reserved_out)
{
    const struct world_map_rules *map = &rules->map;
    memset(reserved_out, 0, MM_BITSET_WORDS(tiling->cells) * sizeof *reserved_out);
    for (uint32_t cell = 0; cell < tiling->cells; cell++)
        terrain_out[cell] = map->generator == WORLD_GENERATOR_BLANK
                                ? (uint8_t)map->open_terrain
                                : noise_terrain(map, seed, hex_chunk_hex(tiling, chunk, cell));
    struct carving carving = {
        .tiling = tiling,
        .chunk = chunk,
        .center = hex_chunk_center(tiling, chunk),
        .open_terrain = (uint8_t)map->open_terrain,
        .terrain = terrain_out,
        .reserved = reserved_out,
    };
    // Every site whose clearing or roads could reach this chunk lies within two lattice steps.
    int32_t spacing = (int32_t)map->home_spacing_chunks;
    int32_t i0 = (int32_t)floor_div(chunk.a, spacing), j0 = (int32_t)floor_div(chunk.b, spacing);
    for (int32_t j = j0 - 2; j <= j0 + 2; j++)
        for (int32_t i = i0 - 2; i <= i0 + 2; i++)
            carve_site(&carving, map, i, j);
}

int world_mapgen_node(const struct world_rules *rules, uint64_t seed, struct hex_axial at,
                      uint32_t terrain)
{
    uint64_t roll = world_mapgen_roll(seed, ROLL_NODE, at) % 10000;
    for (uint32_t i = 0; i < rules->map.scatter_count; i++) {
        const struct world_scatter *scatter = &rules->map.scatter[i];
        if (scatter->terrain != terrain)
            continue;
        if (roll < scatter->per_myriad)
            return (int)scatter->type;
        roll -= scatter->per_myriad;
    }
    return -1;
}

// Of chunks, from the nearest site of a home.
static int32_t home_distance(const struct world_map_rules *rules, struct hex_chunk chunk)
{
    int32_t spacing = (int32_t)rules->home_spacing_chunks, best = INT32_MAX;
    int32_t i0 = (int32_t)floor_div(chunk.a, spacing), j0 = (int32_t)floor_div(chunk.b, spacing);
    for (int32_t j = j0; j <= j0 + 1; j++)
        for (int32_t i = i0; i <= i0 + 1; i++) {
            int32_t distance = hex_distance((struct hex_axial){chunk.a, chunk.b},
                                            (struct hex_axial){i * spacing, j * spacing});
            best = distance < best ? distance : best;
        }
    return best;
}

int world_mapgen_camp(const struct world_rules *rules, uint64_t seed, struct hex_chunk chunk,
                      uint64_t *roll_out)
{
    const struct world_map_rules *map = &rules->map;
    if (map->camp_count == 0 || home_distance(map, chunk) < (int32_t)map->camp_distance_chunks)
        return -1;
    *roll_out = world_mapgen_roll(seed, ROLL_CAMP, (struct hex_axial){chunk.a, chunk.b});
    uint64_t roll = *roll_out % 10000;
    for (uint32_t i = 0; i < map->camp_count; i++) {
        if (roll < map->camps[i].per_myriad)
            return (int)i;
        roll -= map->camps[i].per_myriad;
    }
    return -1;
}
