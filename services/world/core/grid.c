#include "services/world/core/grid.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/bitset.h"
#include "libcommon/base/check.h"
#include <string.h>

void world_grid_init(struct world_grid *grid)
{
    memset(grid, 0, sizeof *grid);
}

void world_grid_free(struct world_grid *grid)
{
    mm_free(grid->cells);
    mm_free(grid->next);
    mm_free(grid->in_chunk);
    mm_free(grid->barred_version);
    mm_free(grid->charted);
    memset(grid, 0, sizeof *grid);
}

static bool grow(struct mm_progress *progress, void **memory, size_t old_bytes, size_t new_bytes)
{
    void *grown = mm_realloc(*memory, new_bytes);
    if (!grown)
        return false;
    mm_progress_zero(progress, (uint8_t *)grown + old_bytes, new_bytes - old_bytes);
    *memory = grown;
    return true;
}

enum mm_err world_grid_reserve(struct world_grid *grid, const struct world_map *map,
                               uint32_t slot_end)
{
    if (map->chunk_count > grid->chunk_capacity) {
        size_t old = grid->chunk_capacity, chunks = map->chunk_capacity;
        size_t old_cells = old * map->tiling.cells, cells = chunks * map->tiling.cells;
        if (!grow(grid->progress, (void **)&grid->cells, old_cells * sizeof *grid->cells,
                  cells * sizeof *grid->cells) ||
            !grow(grid->progress, (void **)&grid->in_chunk, old * 4, chunks * 4) ||
            !grow(grid->progress, (void **)&grid->barred_version, old * 4, chunks * 4) ||
            !grow(grid->progress, (void **)&grid->charted, MM_BITSET_WORDS(old) * 8,
                  MM_BITSET_WORDS(chunks) * 8))
            return MM_RESOURCE_EXHAUSTED;
        grid->chunk_capacity = (uint32_t)chunks;
        grid->cell_capacity = (uint32_t)cells;
    }
    if (slot_end > grid->slot_capacity) {
        size_t slots = (size_t)slot_end + slot_end / 2 + 256;
        if (!grow(grid->progress, (void **)&grid->next, (size_t)grid->slot_capacity * 4, slots * 4))
            return MM_RESOURCE_EXHAUSTED;
        grid->slot_capacity = (uint32_t)slots;
    }
    return MM_OK;
}

// Who lets nobody pass has come or gone.
static void bar_changed(struct world_grid *grid, uint32_t chunk)
{
    grid->barred_version[chunk]++;
    mm_bitset_clear(grid->charted, chunk);
}

void world_grid_insert(struct world_grid *grid, const struct world_map *map, uint32_t cell,
                       uint32_t slot, unsigned counts_as)
{
    uint32_t *link = &grid->cells[cell].head;
    while (*link != 0 && *link < slot)
        link = &grid->next[*link];
    grid->next[slot] = *link;
    *link = slot;
    if (counts_as & WORLD_ON_UNIT)
        grid->cells[cell].units++;
    if (counts_as & WORLD_ON_BLOCKER) {
        grid->cells[cell].blockers++;
        bar_changed(grid, cell / map->tiling.cells);
    }
    grid->in_chunk[cell / map->tiling.cells]++;
}

void world_grid_remove(struct world_grid *grid, const struct world_map *map, uint32_t cell,
                       uint32_t slot, unsigned counts_as)
{
    uint32_t *link = &grid->cells[cell].head;
    while (*link != slot) {
        MM_CHECK(*link != 0);
        link = &grid->next[*link];
    }
    *link = grid->next[slot];
    grid->next[slot] = 0;
    if (counts_as & WORLD_ON_UNIT)
        grid->cells[cell].units--;
    if (counts_as & WORLD_ON_BLOCKER) {
        grid->cells[cell].blockers--;
        bar_changed(grid, cell / map->tiling.cells);
    }
    grid->in_chunk[cell / map->tiling.cells]--;
}

struct range {
    const struct world_grid *grid;
    const struct world_map *map;
    struct hex_axial center;
    int32_t radius;
    world_grid_fn fn;
    void *ctx;
};

static bool range_cell(const struct range *range, uint32_t cell)
{
    // The next slot is fetched first: the callback may move the entity it is shown.
    for (uint32_t slot = range->grid->cells[cell].head, next; slot != 0; slot = next) {
        next = range->grid->next[slot];
        if (!range->fn(range->ctx, slot, cell))
            return false;
    }
    return true;
}

static bool range_chunk(const struct range *range, uint32_t chunk)
{
    if (range->grid->in_chunk[chunk] == 0)
        return true;
    const struct hex_tiling *tiling = &range->map->tiling;
    struct hex_axial middle = hex_chunk_center(tiling, range->map->chunks[chunk]);
    if (hex_distance(middle, range->center) > range->radius + tiling->radius)
        return true;
    uint32_t first = chunk * tiling->cells;
    for (uint32_t cell = 0; cell < tiling->cells; cell++)
        if (range->grid->cells[first + cell].head != 0 &&
            hex_distance(hex_add(middle, tiling->offsets[cell]), range->center) <= range->radius &&
            !range_cell(range, first + cell))
            return false;
    return true;
}

void world_grid_in_range(const struct world_grid *grid, const struct world_map *map,
                         struct hex_axial center, int32_t radius, world_grid_fn fn, void *ctx)
{
    if (radius < 0 || !hex_in_bounds(center))
        return;
    struct range range = {grid, map, center, radius, fn, ctx};
    // A chunk that touches the disc is at most this many chunk steps away: one step moves the
    // centre by at least R+1 hexes.
    int32_t reach = (radius + 2 * map->tiling.radius) / (map->tiling.radius + 1);
    struct hex_chunk home = hex_chunk_of(&map->tiling, center);
    uint64_t ring_chunks = 3 * (uint64_t)reach * ((uint64_t)reach + 1) + 1;
    if (ring_chunks >= map->chunk_count) {
        for (uint32_t chunk = 0; chunk < map->chunk_count; chunk++)
            if (!range_chunk(&range, chunk))
                return;
        return;
    }
    for (int32_t b = -reach; b <= reach; b++)
        for (int32_t a = -reach; a <= reach; a++) {
            struct hex_chunk at = {home.a + a, home.b + b};
            uint32_t chunk = world_map_chunk(map, at);
            if (chunk != WORLD_CHUNK_NONE && !range_chunk(&range, chunk))
                return;
        }
}
