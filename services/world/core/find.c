#include "services/world/core/find.h"

#include "services/world/core/state.h"

struct finding {
    const struct world *world;
    const struct world_wanted *wanted;
    world_grid_fn fn;
    void *ctx;
};

static bool is_wanted(const struct finding *finding, uint32_t slot)
{
    const struct world_wanted *wanted = finding->wanted;
    const struct world_identity *identity =
        WORLD_GET(&finding->world->ecs, WORLD_IDENTITY, world_identity, slot);
    return (wanted->kinds == 0 || (wanted->kinds >> identity->kind & 1) != 0) &&
           (!wanted->of_owner || identity->owner == wanted->owner);
}

static bool find_here(void *ctx, uint32_t slot, uint32_t cell)
{
    const struct finding *finding = ctx;
    return !is_wanted(finding, slot) || finding->fn(finding->ctx, slot, cell);
}

static bool find_on_cell(struct finding *finding, uint32_t cell)
{
    if (cell == WORLD_CELL_NONE)
        return true;
    const struct world_grid *grid = &finding->world->grid;
    // The next slot is fetched first: fn may move the entity it is shown.
    for (uint32_t slot = world_grid_first(grid, cell), next; slot != 0; slot = next) {
        next = world_grid_next(grid, slot);
        if (!find_here(finding, slot, cell))
            return false;
    }
    return true;
}

void world_find_in_disc(const struct world *world, struct hex_axial center, int32_t radius,
                        const struct world_wanted *wanted, world_grid_fn fn, void *ctx)
{
    struct finding finding = {world, wanted, fn, ctx};
    world_grid_in_range(&world->grid, &world->map, center, radius, find_here, &finding);
}

void world_find_on_line(const struct world *world, struct hex_axial a, struct hex_axial b,
                        const struct world_wanted *wanted, world_grid_fn fn, void *ctx)
{
    struct finding finding = {world, wanted, fn, ctx};
    struct hex_axial line[WORLD_FIND_LINE_MAX];
    if (!hex_in_bounds(a) || !hex_in_bounds(b))
        return;
    size_t count = hex_line(a, b, line, WORLD_FIND_LINE_MAX);
    for (size_t i = 0; i < count && i < WORLD_FIND_LINE_MAX; i++)
        if (!find_on_cell(&finding, world_map_cell(&world->map, line[i])))
            return;
}

static bool between(int32_t value, int32_t a, int32_t b, int32_t margin)
{
    int64_t least = a < b ? a : b, most = a < b ? b : a;
    return value >= least - margin && value <= most + margin;
}

void world_find_in_area(const struct world *world, struct hex_axial a, struct hex_axial b,
                        const struct world_wanted *wanted, world_grid_fn fn, void *ctx)
{
    struct finding finding = {world, wanted, fn, ctx};
    const struct world_map *map = &world->map;
    const struct hex_tiling *tiling = &map->tiling;
    for (uint32_t chunk = 0; chunk < map->chunk_count; chunk++) {
        struct hex_axial middle = hex_chunk_center(tiling, map->chunks[chunk]);
        if (world->grid.in_chunk[chunk] == 0 || !between(middle.q, a.q, b.q, tiling->radius) ||
            !between(middle.r, a.r, b.r, tiling->radius))
            continue;
        for (uint32_t cell = 0; cell < tiling->cells; cell++) {
            struct hex_axial at = hex_add(middle, tiling->offsets[cell]);
            if (between(at.q, a.q, b.q, 0) && between(at.r, a.r, b.r, 0) &&
                !find_on_cell(&finding, chunk * tiling->cells + cell))
                return;
        }
    }
}

struct nearest {
    world_grid_fn fits;
    void *ctx;
    uint32_t slot;
};

static bool take_first(void *ctx, uint32_t slot, uint32_t cell)
{
    struct nearest *nearest = ctx;
    if (nearest->fits && !nearest->fits(nearest->ctx, slot, cell))
        return true;
    nearest->slot = slot;
    return false;
}

uint32_t world_find_nearest(const struct world *world, struct hex_axial center, int32_t radius,
                            const struct world_wanted *wanted, world_grid_fn fits, void *ctx)
{
    struct nearest nearest = {fits, ctx, WORLD_SLOT_NONE};
    struct finding finding = {world, wanted, take_first, &nearest};
    if (radius < 0 || !hex_in_bounds(center))
        return WORLD_SLOT_NONE;
    struct world_walk walk = {center, world_map_cell(&world->map, center)};
    bool going = find_on_cell(&finding, walk.cell);
    for (int32_t ring = 1; ring <= radius && going; ring++) {
        world_walk_step(&world->map, &walk, 0);
        for (unsigned side = 0; side < HEX_DIRECTIONS; side++)
            for (int32_t i = 0; i < ring && going; i++) {
                going = find_on_cell(&finding, walk.cell);
                world_walk_step(&world->map, &walk, (side + 2) % HEX_DIRECTIONS);
            }
    }
    return nearest.slot;
}
