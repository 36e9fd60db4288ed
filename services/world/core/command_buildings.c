#include "services/world/core/commands.h"

#include <string.h>

// Orders about buildings: build, repair, cancel_build, rally.
//
// A place must be seen by the empire when it is ordered, and again when it is paid. On a hex that
// is seen only who is stealthed can be without being shown; such a unit, and the empire's own,
// step aside for the building, so what is not shown never changes an answer.

static const struct world_type *type_of(const struct world *world, uint32_t slot)
{
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    return &world->rules.types[identity->type];
}

// --- build ---------------------------------------------------------------------------------------

// Whether something that the empire knows of stands in a building's way.
static bool occupied(const struct world *world, uint32_t empire, uint32_t cell)
{
    if (world->grid.cells[cell].blockers > 0)
        return true;
    for (uint32_t slot = world_grid_first(&world->grid, cell); slot != 0;
         slot = world_grid_next(&world->grid, slot)) {
        const struct world_identity *identity =
            WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
        if (identity->owner != empire && world_empire_sees(world, empire, slot))
            return true;
    }
    return false;
}

// Whether a unit can come to stand beside a hex, as far as its empire knows: what bars a hex that
// it does not see is left out of account.
static bool can_stand_beside(const struct world *world, uint32_t slot, struct hex_axial at)
{
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot);
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    uint32_t region = world_map_region(&world->map, place->cell);
    for (unsigned direction = 0; direction < HEX_DIRECTIONS; direction++) {
        struct hex_axial beside = hex_neighbor(at, direction);
        uint32_t cell = world_map_cell(&world->map, beside);
        if (cell != WORLD_CELL_NONE && world_map_passable(&world->map, cell) &&
            world_map_region(&world->map, cell) == region &&
            (world->grid.cells[cell].blockers == 0 ||
             !world_empire_sees_hex(world, identity->owner, beside)))
            return true;
    }
    return false;
}

// Everything that can be wrong with a building at a place; `able` becomes those of the squad who
// can build it.
static bool may_build(const struct world *world, const struct world_player *player,
                      const struct world_squad *squad, uint32_t type, struct hex_axial at,
                      struct world_squad *able, struct world_result *result)
{
    uint32_t cell = world_map_cell(&world->map, at);
    bool builders = false;
    able->count = 0;
    for (uint32_t i = 0; i < squad->count && able->count < WORLD_BUILDERS_MAX; i++) {
        bool builds = world_type_builds(type_of(world, squad->slots[i]), type);
        builders |= builds;
        if (builds && cell != WORLD_CELL_NONE && can_stand_beside(world, squad->slots[i], at))
            able->slots[able->count++] = squad->slots[i];
    }
    if (world->rules.types[type].build_ticks == 0)
        world_refuse(result, REASON(UNKNOWN_TYPE), "there is no such building");
    else if (!builders)
        world_refuse(result, REASON(CANNOT), "none of them can build that");
    else if (cell == WORLD_CELL_NONE)
        world_refuse(result, REASON(OUT_OF_MAP), "there is no map there");
    else if (!world_empire_sees_hex(world, player->empire, at))
        world_refuse(result, REASON(NOT_SEEN), "the place is not in sight");
    else if (!world_map_passable(&world->map, cell) || able->count == 0)
        world_refuse(result, REASON(UNREACHABLE), "there is no way");
    else if (occupied(world, player->empire, cell))
        world_refuse(result, REASON(OCCUPIED), "something stands there");
    else
        return true;
    return false;
}

// All that is asked holds: begins the building and sends the builders.
static bool place(struct world *world, const struct world_player *player,
                  const struct world_squad *able, const struct world_bill *bill,
                  struct world_result *result)
{
    struct hex_axial at = {bill->q, bill->r};
    uint32_t cell = world_map_cell(&world->map, at);
    if (world_reserve_entities(world, 1) != MM_OK) {
        world_refuse(result, REASON(NO_ROOM), "the session is full");
        return false;
    }
    if (!world_step_aside(world, cell)) {
        world_refuse(result, REASON(OCCUPIED), "something stands there");
        return false;
    }
    uint32_t site = world_site_create(world, bill->type, player->empire, cell, bill->cost);
    struct world_order order = {
        .kind = WORLD_ORDER_BUILD,
        .target = world_entity_handle(world_ecs_entity(&world->ecs, site)),
        .q = at.q,
        .r = at.r,
    };
    // Who got other orders that fill its list while the bill was open stays with those.
    for (uint32_t i = 0; i < able->count; i++)
        world_order_give(world, able->slots[i], &order, bill->queued != 0);
    return true;
}

bool world_build_paid(struct world *world, const struct world_player *player,
                      const struct world_squad *squad, const struct world_bill *bill,
                      struct world_result *result)
{
    struct world_squad able;
    struct hex_axial at = {bill->q, bill->r};
    return may_build(world, player, squad, bill->type, at, &able, result) &&
           place(world, player, &able, bill, result);
}

bool world_command_build(struct world *world, const struct world_player *player,
                         const struct world_squad *squad, const Mmorts__World__Command *command,
                         struct world_result *result)
{
    const Mmorts__World__BuildOrder *build = command->build;
    if (!build || !build->place || !build->building) {
        world_refuse(result, REASON(INVALID), "the building or its place is missing");
        return false;
    }
    int type = world_rules_type(&world->rules, build->building);
    if (type < 0) {
        world_refuse(result, REASON(UNKNOWN_TYPE), "there is no such building");
        return false;
    }
    struct world_squad able;
    struct hex_axial at = {build->place->q, build->place->r};
    if (!may_build(world, player, squad, (uint32_t)type, at, &able, result))
        return false;
    if (command->queued && world_squad_orders_full(world, &able)) {
        world_refuse(result, REASON(QUEUE_FULL), "too many orders are waiting");
        return false;
    }
    struct world_bill bill = {
        .number = world->bill_next,
        .player_id = player->player_id,
        .client_seq = command->client_seq,
        .tick = world->tick,
        .type = (uint32_t)type,
        .q = at.q,
        .r = at.r,
        .queued = command->queued != 0,
    };
    memcpy(bill.cost, world->rules.types[type].cost, sizeof bill.cost);
    if (world_type_is_free(&world->rules.types[type]))
        return place(world, player, &able, &bill, result);
    if (world_bills_of_player(world, player->player_id) >= WORLD_BILLS_PER_PLAYER_MAX) {
        world_refuse(result, REASON(QUEUE_FULL), "too many buildings wait to be paid");
        return false;
    }
    for (uint32_t i = 0; i < able.count; i++)
        bill.builders[bill.builder_count++] =
            world_entity_handle(world_ecs_entity(&world->ecs, able.slots[i]));
    world_bill_open(world, &bill);
    result->bill = bill.number;
    return true;
}

// --- repair, cancel_build ------------------------------------------------------------------------

// The player's own building of that id. Others are not told apart from those that never were.
static uint32_t own_building(const struct world *world, const struct world_player *player,
                             uint64_t id, struct world_result *result)
{
    uint32_t slot = world_slot_of_id(world, id);
    const struct world_identity *identity =
        slot == WORLD_SLOT_NONE ? NULL
                                : WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    if (identity && identity->owner == player->empire &&
        identity->kind == MMORTS__FRAME__KIND__KIND_BUILDING)
        return slot;
    world_refuse(result, REASON(UNKNOWN_TARGET), "there is no such building of yours");
    return WORLD_SLOT_NONE;
}

bool world_command_repair(struct world *world, const struct world_player *player,
                          const struct world_squad *squad, const Mmorts__World__Command *command,
                          struct world_result *result)
{
    uint64_t id = command->repair ? command->repair->target : 0;
    uint32_t target = own_building(world, player, id, result);
    if (target == WORLD_SLOT_NONE)
        return false;
    const struct world_place *at = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, target);
    int32_t health = WORLD_GET(&world->ecs, WORLD_HEALTH, world_health, target)->value;
    if (world_is_complete(world, target) && health >= (int32_t)type_of(world, target)->health_max) {
        world_refuse(result, REASON(INVALID), "there is nothing to repair");
        return false;
    }
    struct world_squad able = {.count = 0};
    bool builders = false;
    for (uint32_t i = 0; i < squad->count; i++) {
        bool builds = world_type_is_builder(type_of(world, squad->slots[i]));
        builders |= builds;
        if (builds && can_stand_beside(world, squad->slots[i], (struct hex_axial){at->q, at->r}))
            able.slots[able.count++] = squad->slots[i];
    }
    if (able.count == 0) {
        world_refuse(result, builders ? REASON(UNREACHABLE) : REASON(CANNOT),
                     builders ? "there is no way" : "none of them can repair");
        return false;
    }
    if (command->queued && world_squad_orders_full(world, &able)) {
        world_refuse(result, REASON(QUEUE_FULL), "too many orders are waiting");
        return false;
    }
    struct world_order order = {
        .kind = WORLD_ORDER_BUILD,
        .target = world_entity_handle(world_ecs_entity(&world->ecs, target)),
        .q = at->q,
        .r = at->r,
    };
    for (uint32_t i = 0; i < able.count; i++)
        MM_CHECK(world_order_give(world, able.slots[i], &order, command->queued));
    return true;
}

bool world_command_cancel_build(struct world *world, const struct world_player *player,
                                const Mmorts__World__Command *command, struct world_result *result)
{
    uint64_t id = command->cancel_build ? command->cancel_build->building : 0;
    uint32_t slot = own_building(world, player, id, result);
    if (slot == WORLD_SLOT_NONE)
        return false;
    const struct world_site *site = WORLD_GET(&world->ecs, WORLD_SITE, world_site, slot);
    if (!world_site_open(site)) {
        world_refuse(result, REASON(INVALID), "it is complete");
        return false;
    }
    uint32_t back[WORLD_ITEMS_MAX];
    for (int item = 0; item < WORLD_ITEMS_MAX; item++)
        back[item] =
            (uint32_t)((uint64_t)site->paid[item] * world->rules.construction.refund_percent / 100);
    world_refund(world, player->empire, back);
    world_entity_destroy(world, slot);
    return true;
}

// --- rally ---------------------------------------------------------------------------------------

// The resource node on a hex that the empire sees, or WORLD_SLOT_NONE.
static uint32_t node_at(const struct world *world, uint32_t empire, uint32_t cell)
{
    for (uint32_t slot = world_grid_first(&world->grid, cell); slot != 0;
         slot = world_grid_next(&world->grid, slot))
        if (world_type_is_node(type_of(world, slot)) && world_empire_sees(world, empire, slot))
            return slot;
    return WORLD_SLOT_NONE;
}

bool world_command_rally(struct world *world, const struct world_player *player,
                         const Mmorts__World__Command *command, struct world_result *result)
{
    const Mmorts__World__Hex *hex = command->rally ? command->rally->target : NULL;
    if (!hex) {
        world_refuse(result, REASON(INVALID), "the target is missing");
        return false;
    }
    uint32_t slots[WORLD_COMMAND_UNITS_MAX], count = 0;
    if (command->n_units == 0 || command->n_units > world->rules.commands.units_max) {
        world_refuse(result, REASON(NO_UNITS), "no buildings, or too many");
        return false;
    }
    struct world_result unknown = {0};
    for (size_t i = 0; i < command->n_units; i++) {
        uint32_t slot = own_building(world, player, command->units[i], &unknown);
        for (uint32_t j = 0; slot != WORLD_SLOT_NONE && j < count; j++) {
            if (slots[j] == slot) {
                world_refuse(result, REASON(INVALID), "a building is named twice");
                return false;
            }
        }
        if (slot != WORLD_SLOT_NONE)
            slots[count++] = slot;
    }
    struct hex_axial at = {hex->q, hex->r};
    uint32_t cell = world_map_cell(&world->map, at);
    if (count == 0)
        world_refuse(result, REASON(UNKNOWN_UNIT), "there is no such building of yours");
    else if (cell == WORLD_CELL_NONE)
        world_refuse(result, REASON(OUT_OF_MAP), "there is no map there");
    if (count == 0 || cell == WORLD_CELL_NONE)
        return false;
    uint32_t node = node_at(world, player->empire, cell);
    for (uint32_t i = 0; i < count; i++) {
        struct world_rally *rally = world_ecs_add(&world->ecs, WORLD_RALLY, slots[i]);
        *rally = (struct world_rally){.q = at.q, .r = at.r};
        if (node == WORLD_SLOT_NONE)
            continue;
        rally->node = world_entity_handle(world_ecs_entity(&world->ecs, node));
        rally->type = WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, node)->type;
    }
    return true;
}

void world_rally_follow(struct world *world, uint32_t building, uint32_t slot)
{
    const struct world_rally *rally = WORLD_GET(&world->ecs, WORLD_RALLY, world_rally, building);
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, building);
    const struct world_type *type = type_of(world, slot);
    if (!rally || (rally->q == place->q && rally->r == place->r) || type->ticks_per_hex == 0)
        return;
    bool gathers = rally->node != 0 && type->gather_amount > 0;
    struct world_order order = {
        .kind = gathers ? WORLD_ORDER_GATHER : WORLD_ORDER_MOVE,
        .target = gathers ? rally->node : 0,
        .q = rally->q,
        .r = rally->r,
        .type = gathers ? rally->type : 0,
    };
    MM_CHECK(world_order_give(world, slot, &order, false));
}
