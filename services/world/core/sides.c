#include "services/world/core/sides.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include <string.h>

void world_sides_free(struct world_sides *sides)
{
    mm_free(sides->chunks);
    memset(sides, 0, sizeof *sides);
}

enum mm_err world_sides_reserve(struct world_sides *sides, const struct world_map *map)
{
    if (map->chunk_count <= sides->chunk_capacity)
        return MM_OK;
    size_t old = sides->chunk_capacity, chunks = map->chunk_capacity;
    struct world_side *grown = mm_realloc(sides->chunks, chunks * sizeof *grown);
    if (!grown)
        return MM_RESOURCE_EXHAUSTED;
    memset(grown + old, 0, (chunks - old) * sizeof *grown);
    sides->chunks = grown;
    sides->chunk_capacity = (uint32_t)chunks;
    return MM_OK;
}

void world_sides_add(struct world_sides *sides, uint32_t chunk, uint32_t owner)
{
    struct world_side *side = &sides->chunks[chunk];
    if (side->same + side->others == 0)
        side->owner = owner;
    if (side->owner == owner)
        side->same++;
    else
        side->others++;
}

void world_sides_remove(struct world_sides *sides, uint32_t chunk, uint32_t owner)
{
    struct world_side *side = &sides->chunks[chunk];
    uint32_t *count = side->owner == owner ? &side->same : &side->others;
    MM_CHECK(*count > 0);
    --*count;
}

bool world_sides_meet(const struct world_sides *sides, const struct world_map *map, uint32_t chunk,
                      int32_t radius)
{
    const struct world_side *own = &sides->chunks[chunk];
    if (own->same + own->others == 0)
        return false;
    if (own->others > 0)
        return true;
    // As in world_grid_in_range: a chunk that touches the disc about any hex of this one.
    int32_t reach = (radius + 2 * map->tiling.radius) / (map->tiling.radius + 1);
    struct hex_chunk home = map->chunks[chunk];
    for (int32_t b = -reach; b <= reach; b++)
        for (int32_t a = -reach; a <= reach; a++) {
            uint32_t other = world_map_chunk(map, (struct hex_chunk){home.a + a, home.b + b});
            if (other == WORLD_CHUNK_NONE)
                continue;
            const struct world_side *side = &sides->chunks[other];
            if (side->others > 0 || (side->same > 0 && side->owner != own->owner))
                return true;
        }
    return false;
}
