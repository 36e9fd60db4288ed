#include "services/world/core/state.h"

#include "libcommon/base/str.h"
#include <string.h>

// Server commands that change what is there, and the one that only says something. Like spawns they
// carry a key and are done once for it.

// True if there is nothing left to do: the key is known or none.
static bool key_decides(const struct world *world, ProtobufCBinaryData key,
                        struct world_result *result)
{
    const struct world_spawn_key *known = world_key_find(world, key, result);
    if (known && known->count != 0) {
        world_fail(result, MM_INVALID_ARGUMENT, "the key belongs to another kind of command");
    } else if (known) {
        result->tick = known->tick;
        result->repeated_key = true;
    }
    return known || result->err != MM_OK;
}

static const struct world_type *type_of(const struct world *world, uint32_t slot)
{
    return &world->rules.types[WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot)->type];
}

// --- whether -------------------------------------------------------------------------------------

static const char *sight_fault(const struct world_type *type,
                               const Mmorts__World__EntityChange *change)
{
    if (type->kind == MMORTS__FRAME__KIND__KIND_RESOURCE)
        return "a resource sees nothing";
    if (change->change_case == MMORTS__WORLD__ENTITY_CHANGE__CHANGE_SIGHT_HEXES)
        return change->sight_hexes <= WORLD_SIGHT_HEXES_MAX ? NULL : "sight is 0 to 32 hexes";
    return (uint32_t)change->sight_type <= MMORTS__FRAME__SIGHT_TYPE__SIGHT_DETECTOR
               ? NULL
               : "there is no such sight type";
}

static const char *change_fault(const struct world *world, uint32_t slot,
                                const Mmorts__World__EntityChange *change)
{
    const struct world_type *type = type_of(world, slot);
    switch (change->change_case) {
    case MMORTS__WORLD__ENTITY_CHANGE__CHANGE_HEALTH:
        return change->health >= 1 && change->health <= (int32_t)type->health_max
                   ? NULL
                   : "health is not 1 to what its type has at most";
    case MMORTS__WORLD__ENTITY_CHANGE__CHANGE_OWNER:
        if (type->kind == MMORTS__FRAME__KIND__KIND_RESOURCE)
            return "a resource is nobody's";
        return change->owner <= world->empires.count ? NULL : "there is no such empire";
    case MMORTS__WORLD__ENTITY_CHANGE__CHANGE_PLACE: {
        struct hex_axial at = {change->place->q, change->place->r};
        if (world_map_cell(&world->map, at) == WORLD_CELL_NONE)
            return "the place is not on the map";
        unsigned counts_as = world_counts_as(
            world, WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot)->type);
        return world_nearest_free(world, at, WORLD_SPAWN_RADIUS_MAX, counts_as, WORLD_CELL_NONE) !=
                       WORLD_CELL_NONE
                   ? NULL
                   : "there is no room";
    }
    case MMORTS__WORLD__ENTITY_CHANGE__CHANGE_SIGHT_ENABLED:
        return NULL;
    case MMORTS__WORLD__ENTITY_CHANGE__CHANGE_STEALTHED:
        return NULL;
    case MMORTS__WORLD__ENTITY_CHANGE__CHANGE_SIGHT_HEXES:
    case MMORTS__WORLD__ENTITY_CHANGE__CHANGE_SIGHT_TYPE:
        return sight_fault(type, change);
    case MMORTS__WORLD__ENTITY_CHANGE__CHANGE_SIGHT_AS_TYPE:
        return change->sight_as_type ? NULL : "sight_as_type is true or not there";
    case MMORTS__WORLD__ENTITY_CHANGE__CHANGE_AMOUNT:
        return type->kind == MMORTS__FRAME__KIND__KIND_RESOURCE && change->amount >= 1 &&
                       change->amount <= 1000000000
                   ? NULL
                   : "only a resource has an amount, of 1 to 1000000000";
    case MMORTS__WORLD__ENTITY_CHANGE__CHANGE_PROGRESS:
        return !world_is_complete(world, slot) && change->progress <= 1000
                   ? NULL
                   : "only a building under construction has progress, of 0 to 1000";
    default:
        return "a change is missing";
    }
}

// --- what ----------------------------------------------------------------------------------------

static void forget_orders(struct world *world, uint32_t slot)
{
    if (type_of(world, slot)->ticks_per_hex > 0)
        world_orders_clear(world, slot);
    else
        world_task_drop(world, slot);
}

static void set_owner(struct world *world, uint32_t slot, uint32_t owner)
{
    uint32_t cell = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot)->cell;
    uint32_t chunk = cell / world->map.tiling.cells;
    forget_orders(world, slot);
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot);
    if (WORLD_GET(&world->ecs, WORLD_RALLY, world_rally, slot))
        *WORLD_TOUCH(&world->ecs, WORLD_RALLY, world_rally, slot) =
            (struct world_rally){.q = place->q, .r = place->r};
    world_settlement_leave(world, slot);
    struct world_identity *identity =
        WORLD_TOUCH(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    world_sides_remove(&world->sides, chunk, identity->owner);
    identity->owner = owner;
    world_sides_add(&world->sides, chunk, owner);
    world_settlement_enter(world, slot);
}

static void set_place(struct world *world, uint32_t slot, struct hex_axial wanted)
{
    unsigned counts_as =
        world_counts_as(world, WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot)->type);
    uint32_t cell =
        world_nearest_free(world, wanted, WORLD_SPAWN_RADIUS_MAX, counts_as, WORLD_CELL_NONE);
    if (cell == WORLD_CELL_NONE)
        return; // an earlier change of the same request took the last room
    forget_orders(world, slot);
    world_entity_move(world, slot, cell, world_map_hex(&world->map, cell));
}

// In permille; the building's health goes with it.
static void set_progress(struct world *world, uint32_t slot, uint32_t progress)
{
    const struct world_site *site = WORLD_GET(&world->ecs, WORLD_SITE, world_site, slot);
    uint32_t work = (uint32_t)((uint64_t)site->needed * progress / 1000);
    if (work >= site->work)
        world_site_advance(world, slot, work - site->work);
    else
        WORLD_TOUCH(&world->ecs, WORLD_SITE, world_site, slot)->work = work;
}

static void apply_change(struct world *world, uint32_t slot,
                         const Mmorts__World__EntityChange *change)
{
    switch (change->change_case) {
    case MMORTS__WORLD__ENTITY_CHANGE__CHANGE_HEALTH:
        WORLD_TOUCH(&world->ecs, WORLD_HEALTH, world_health, slot)->value = change->health;
        break;
    case MMORTS__WORLD__ENTITY_CHANGE__CHANGE_OWNER:
        set_owner(world, slot, change->owner);
        break;
    case MMORTS__WORLD__ENTITY_CHANGE__CHANGE_PLACE:
        set_place(world, slot, (struct hex_axial){change->place->q, change->place->r});
        break;
    case MMORTS__WORLD__ENTITY_CHANGE__CHANGE_SIGHT_ENABLED:
        world_sight_switch(world, slot, WORLD_BLIND_ORDERED, !change->sight_enabled);
        break;
    case MMORTS__WORLD__ENTITY_CHANGE__CHANGE_SIGHT_HEXES:
        world_sight_set(world, slot, WORLD_OWN_HEXES, change->sight_hexes);
        break;
    case MMORTS__WORLD__ENTITY_CHANGE__CHANGE_STEALTHED:
        world_sight_set(world, slot, WORLD_OWN_STEALTH, change->stealthed != 0);
        break;
    case MMORTS__WORLD__ENTITY_CHANGE__CHANGE_SIGHT_TYPE:
        world_sight_set(world, slot, WORLD_OWN_TYPE, (uint32_t)change->sight_type);
        break;
    case MMORTS__WORLD__ENTITY_CHANGE__CHANGE_SIGHT_AS_TYPE:
        world_sight_as_type(world, slot);
        break;
    case MMORTS__WORLD__ENTITY_CHANGE__CHANGE_AMOUNT:
        WORLD_TOUCH(&world->ecs, WORLD_AMOUNT, world_amount, slot)->value = (int32_t)change->amount;
        break;
    case MMORTS__WORLD__ENTITY_CHANGE__CHANGE_PROGRESS:
        if (!world_is_complete(world, slot))
            set_progress(world, slot, change->progress);
        break;
    default:
        break;
    }
}

void world_set_entity(struct world *world, const Mmorts__World__SetEntityRequest *request,
                      struct world_result *result)
{
    if (key_decides(world, request->key, result))
        return;
    uint32_t slot = world_slot_of_id(world, request->entity);
    if (slot == WORLD_SLOT_NONE) {
        world_fail(result, MM_NOT_FOUND, "there is no such entity");
        return;
    }
    if (request->n_changes < 1 || request->n_changes > WORLD_CHANGES_MAX) {
        world_fail(result, MM_INVALID_ARGUMENT, "there must be 1 to 16 changes");
        return;
    }
    for (size_t i = 0; i < request->n_changes; i++) {
        const char *fault = change_fault(world, slot, request->changes[i]);
        if (!fault)
            continue;
        world_fail(result, MM_INVALID_ARGUMENT, fault);
        return;
    }
    for (size_t i = 0; i < request->n_changes; i++)
        apply_change(world, slot, request->changes[i]);
    world_key_remember(world, request->key, 0, 0);
    result->applied = true;
}

void world_announce(struct world *world, const Mmorts__World__AnnounceRequest *request,
                    struct world_result *result)
{
    if (key_decides(world, request->key, result))
        return;
    struct world_announcement announcement;
    size_t len = request->text ? strlen(request->text) : 0;
    if (len < 1 || !mm_utf8_valid(request->text, len) ||
        !mm_str_copy(announcement.text, sizeof announcement.text, request->text)) {
        world_fail(result, MM_INVALID_ARGUMENT, "text must have 1 to 500 bytes of UTF-8");
        return;
    }
    if (world->announcements.count == WORLD_ANNOUNCEMENTS_MAX) {
        world_fail(result, MM_RESOURCE_EXHAUSTED, "too many announcements in one tick");
        return;
    }
    MM_CHECK(mm_vec_push(&world->announcements, announcement));
    world_key_remember(world, request->key, 0, 0);
    result->applied = true;
}
