#include "services/world/core/state.h"

#include "libcommon/base/hash.h"
#include "services/world/core/mapgen.h"

// Neutral camps: a lair, and creatures who wander about it and set upon whom they see there. One
// that was killed comes again after a while, as long as the lair stands.

// Each lair is looked after once in so many ticks.
#define TEND_PERIOD  20
#define PLACES_TRIED 16

static void make_lair(struct world *world, const struct world_camp_rules *rules, uint32_t cell)
{
    uint32_t slot = world_entity_create(world, rules->lair, 0, cell);
    struct world_camp *camp = world_ecs_add(&world->ecs, WORLD_CAMP, slot);
    camp->respawn_ticks = rules->respawn_ticks;
    camp->roam_hexes = (uint8_t)rules->roam_hexes;
    camp->guard_count = (uint8_t)rules->guard_count;
    // They come when the lair is first looked after: the land around may not be there yet.
    for (uint32_t i = 0; i < rules->guard_count; i++) {
        camp->type[i] = (uint16_t)rules->guards[i];
        camp->due[i] = world->tick;
    }
}

void world_camp_place(struct world *world, uint32_t chunk, const uint64_t *reserved)
{
    uint64_t roll;
    int kind = world_mapgen_camp(&world->rules, world->seed, world->map.chunks[chunk], &roll);
    uint32_t cells = world->map.tiling.cells;
    for (uint64_t try = 1; kind >= 0 && try <= PLACES_TRIED; try++) {
        uint32_t place = (uint32_t)(mm_mix64(roll + try) % cells), cell = chunk * cells + place;
        if (mm_bitset_get(reserved, place) || !world_cell_free(world, cell, WORLD_ON_BLOCKER))
            continue;
        make_lair(world, &world->rules.map.camps[kind], cell);
        return;
    }
}

// Where there is no room, or no more entities may be, it is tried again the next time.
static void bring_guard(struct world *world, uint32_t lair, uint32_t i)
{
    if (world_reserve_entities(world, 1) != MM_OK)
        return;
    struct world_camp *camp = WORLD_TOUCH(&world->ecs, WORLD_CAMP, world_camp, lair);
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, lair);
    struct hex_axial at = {place->q, place->r};
    int32_t radius =
        camp->roam_hexes < WORLD_SPAWN_RADIUS_MAX ? camp->roam_hexes : WORLD_SPAWN_RADIUS_MAX;
    uint32_t cell = world_nearest_free(world, at, radius, WORLD_ON_UNIT, place->cell);
    if (cell == WORLD_CELL_NONE)
        return;
    struct world_order order = {
        .kind = WORLD_ORDER_WANDER, .q = at.q, .r = at.r, .type = camp->roam_hexes};
    uint32_t slot = world_entity_create(world, camp->type[i], 0, cell);
    camp = WORLD_TOUCH(&world->ecs, WORLD_CAMP, world_camp, lair);
    camp->guard[i] = world_entity_handle(world_ecs_entity(&world->ecs, slot));
    camp->due[i] = 0;
    world_order_give(world, slot, &order, false);
}

static void tend(struct world *world, uint32_t lair)
{
    const struct world_camp *camp = WORLD_GET(&world->ecs, WORLD_CAMP, world_camp, lair);
    for (uint32_t i = 0; i < camp->guard_count; i++) {
        bool lives = world_ecs_slot_of_handle(&world->ecs, camp->guard[i]) != WORLD_SLOT_NONE;
        if (camp->guard[i] != 0 && !lives) {
            struct world_camp *changed = WORLD_TOUCH(&world->ecs, WORLD_CAMP, world_camp, lair);
            changed->guard[i] = 0;
            changed->due[i] = world->tick + changed->respawn_ticks;
        } else if (!lives && camp->due[i] <= world->tick) {
            bring_guard(world, lair, i);
            camp = WORLD_GET(&world->ecs, WORLD_CAMP, world_camp, lair);
        }
    }
}

void world_camps_tend(struct world *world)
{
    // The bits may move as creatures come.
    for (size_t slot = 0;; slot++) {
        slot = mm_bitset_next(world->ecs.columns[WORLD_CAMP].has, world->ecs.slot_end, slot);
        if (slot >= world->ecs.slot_end)
            return;
        if (slot % TEND_PERIOD == world->tick % TEND_PERIOD)
            tend(world, (uint32_t)slot);
    }
}

bool world_camp_sound(const struct world *world, uint32_t slot)
{
    const struct world_camp *camp = WORLD_GET(&world->ecs, WORLD_CAMP, world_camp, slot);
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    bool sound = identity->kind == MMORTS__FRAME__KIND__KIND_NPC && camp->roam_hexes >= 1 &&
                 camp->roam_hexes <= WORLD_WANDER_RADIUS_MAX && camp->respawn_ticks >= 1 &&
                 camp->guard_count <= WORLD_CAMP_GUARDS_MAX;
    for (uint32_t i = 0; sound && i < WORLD_CAMP_GUARDS_MAX; i++) {
        uint64_t guard = camp->guard[i];
        if (i >= camp->guard_count)
            sound = guard == 0 && camp->due[i] == 0 && camp->type[i] == 0;
        else
            sound = camp->type[i] < world->rules.type_count &&
                    world->rules.types[camp->type[i]].kind == MMORTS__FRAME__KIND__KIND_NPC &&
                    (guard == 0 || camp->due[i] == 0) &&
                    ((uint32_t)guard < world->ecs.slot_end &&
                     guard >> 32 <= world->ecs.generations[(uint32_t)guard]);
    }
    return sound;
}
