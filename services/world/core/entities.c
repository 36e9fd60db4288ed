#include "services/world/core/state.h"

#include "libcommon/base/alloc.h"
#include <string.h>

uint64_t world_entity_public_id(const struct world *world, uint32_t slot)
{
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    return mm_id_from_serial(&world->entity_key, identity->serial);
}

uint32_t world_slot_of_id(const struct world *world, uint64_t id)
{
    uint64_t slot = WORLD_SLOT_NONE;
    if (id == 0 ||
        !mm_idmap_get(world->slot_of_serial, mm_id_to_serial(&world->entity_key, id), &slot))
        return WORLD_SLOT_NONE;
    return (uint32_t)slot;
}

unsigned world_counts_as(const struct world *world, uint32_t type)
{
    const struct world_type *t = &world->rules.types[type];
    if (t->blocks)
        return WORLD_ON_BLOCKER;
    bool walks =
        t->kind == MMORTS__FRAME__KIND__KIND_UNIT || t->kind == MMORTS__FRAME__KIND__KIND_NPC;
    return walks ? WORLD_ON_UNIT : 0;
}

enum mm_err world_reserve_entities(struct world *world, uint32_t more)
{
    enum mm_err err = world_ecs_reserve(&world->ecs, more);
    if (err == MM_OK)
        err = world_grid_reserve(&world->grid, &world->map, world->ecs.capacity);
    (void)mm_progress_step(world->progress);
    if (err == MM_OK)
        err = world_sides_reserve(&world->sides, &world->map);
    if (err == MM_OK)
        err = world_shared_reserve(&world->stats, world->ecs.capacity);
    (void)mm_progress_step(world->progress);
    if (err == MM_OK)
        err = mm_idmap_reserve(world->slot_of_serial, mm_idmap_count(world->slot_of_serial) + more);
    if (err == MM_OK && world->due_slots < world->ecs.capacity) {
        size_t words = MM_BITSET_WORDS(world->ecs.capacity);
        uint64_t *due = mm_realloc(world->due, words * sizeof *due);
        if (!due)
            return MM_RESOURCE_EXHAUSTED;
        memset(due, 0, words * sizeof *due);
        world->due = due;
        size_t old = world->due_slots, slots = world->ecs.capacity;
        uint32_t *next = mm_realloc(world->next_settlement, slots * sizeof *next);
        if (!next)
            return MM_RESOURCE_EXHAUSTED;
        memset(next + old, 0, (slots - old) * sizeof *next);
        world->next_settlement = next;
        world->due_slots = world->ecs.capacity;
    }
    return err;
}

void world_entity_enter(struct world *world, uint32_t slot, uint32_t cell)
{
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    world_grid_insert(&world->grid, &world->map, cell, slot,
                      world_counts_as(world, identity->type));
    if (identity->kind != MMORTS__FRAME__KIND__KIND_RESOURCE)
        world_sides_add(&world->sides, cell / world->map.tiling.cells, identity->owner);
    world_stats_derive(world, slot);
    world_sight_enter(world, slot);
    world_settlement_enter(world, slot);
}

uint32_t world_entity_create(struct world *world, uint32_t type, uint32_t owner, uint32_t cell)
{
    const struct world_type *t = &world->rules.types[type];
    uint32_t slot = world_ecs_spawn(&world->ecs);
    struct world_identity *identity =
        WORLD_TOUCH(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    identity->serial = world->serial_next++;
    identity->owner = owner;
    identity->type = (uint16_t)type;
    identity->kind = (uint8_t)t->kind;
    struct hex_axial at = world_map_hex(&world->map, cell);
    struct world_place *place = WORLD_TOUCH(&world->ecs, WORLD_PLACE, world_place, slot);
    *place = (struct world_place){at.q, at.r, cell};
    WORLD_TOUCH(&world->ecs, WORLD_HEALTH, world_health, slot)->value = (int32_t)t->health_max;
    if (t->kind == MMORTS__FRAME__KIND__KIND_RESOURCE) {
        struct world_amount *amount = world_ecs_add(&world->ecs, WORLD_AMOUNT, slot);
        amount->value = (int32_t)t->amount;
    }
    world_entity_enter(world, slot, cell);
    MM_CHECK(mm_idmap_set(world->slot_of_serial, identity->serial, slot) == MM_OK);
    return slot;
}

void world_entity_destroy(struct world *world, uint32_t slot)
{
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot);
    world_grid_remove(&world->grid, &world->map, place->cell, slot,
                      world_counts_as(world, identity->type));
    if (identity->kind != MMORTS__FRAME__KIND__KIND_RESOURCE)
        world_sides_remove(&world->sides, place->cell / world->map.tiling.cells, identity->owner);
    world_settlement_leave(world, slot);
    world_sight_leave(world, slot);
    world_shared_clear(&world->stats, slot);
    mm_idmap_remove(world->slot_of_serial, identity->serial, NULL);
    world_ecs_despawn(&world->ecs, slot);
}

void world_entity_move(struct world *world, uint32_t slot, uint32_t cell, struct hex_axial at)
{
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    unsigned counts_as = world_counts_as(world, identity->type);
    world_ecs_writes(&world->ecs, WORLD_USES_GRID);
    struct world_place *place = WORLD_TOUCH(&world->ecs, WORLD_PLACE, world_place, slot);
    uint32_t from = place->cell / world->map.tiling.cells, to = cell / world->map.tiling.cells;
    if (from != to && identity->kind != MMORTS__FRAME__KIND__KIND_RESOURCE) {
        world_sides_remove(&world->sides, from, identity->owner);
        world_sides_add(&world->sides, to, identity->owner);
    }
    if (from != to && identity->owner != 0)
        world_explore_chunk(world, to);
    world_grid_remove(&world->grid, &world->map, place->cell, slot, counts_as);
    *place = (struct world_place){at.q, at.r, cell};
    world_grid_insert(&world->grid, &world->map, cell, slot, counts_as);
}

bool world_cell_free(const struct world *world, uint32_t cell, unsigned counts_as)
{
    if (!world_map_passable(&world->map, cell) || world->grid.cells[cell].blockers > 0)
        return false;
    if (counts_as & WORLD_ON_BLOCKER)
        return world->grid.cells[cell].units == 0;
    if (counts_as & WORLD_ON_UNIT)
        return world->grid.cells[cell].units < world->rules.movement.units_per_hex;
    return true;
}

uint32_t world_nearest_free(const struct world *world, struct hex_axial at, int32_t radius,
                            unsigned counts_as, uint32_t like)
{
    struct hex_axial ring[6 * WORLD_SPAWN_RADIUS_MAX];
    MM_CHECK(radius <= WORLD_SPAWN_RADIUS_MAX);
    if (!hex_in_bounds(at))
        return WORLD_CELL_NONE;
    uint32_t region =
        like == WORLD_CELL_NONE ? WORLD_CELL_NONE : world_map_region(&world->map, like);
    for (int32_t distance = 0; distance <= radius; distance++) {
        size_t count = hex_ring(at, distance, ring);
        for (size_t i = 0; i < count; i++) {
            uint32_t cell = world_map_cell(&world->map, ring[i]);
            if (cell != WORLD_CELL_NONE && world_cell_free(world, cell, counts_as) &&
                (region == WORLD_CELL_NONE || world_map_region(&world->map, cell) == region))
                return cell;
        }
    }
    return WORLD_CELL_NONE;
}

void world_flush(struct world *world)
{
    struct world_ecs *ecs = &world->ecs;
    world_ecs_flush_removals(ecs);
    for (size_t slot = 0; ecs->dying.count > 0 && slot < ecs->slot_end; slot++) {
        slot = mm_bitset_next(ecs->dying.bits, ecs->slot_end, slot);
        if (slot < ecs->slot_end && world_ecs_alive(ecs, (uint32_t)slot))
            world_entity_destroy(world, (uint32_t)slot);
    }
    world_marks_clear(&ecs->dying, MM_BITSET_WORDS(ecs->slot_end));
    world_ecs_refresh(ecs);
}
