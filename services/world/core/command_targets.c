#include "services/world/core/commands.h"

// Orders that name another entity. World does not know what a player was shown; it takes a target
// that one of the player's entities sees by the rule of vision, and for every other gives the one
// answer that it gives for an id that never was, so that nobody learns by asking.

static uint32_t seen_target(const struct world *world, const struct world_player *player,
                            uint64_t id, struct world_result *result)
{
    uint32_t slot = world_slot_of_id(world, id);
    if (slot != WORLD_SLOT_NONE && world_empire_sees(world, player->empire, slot))
        return slot;
    world_refuse(result, REASON(UNKNOWN_TARGET), "there is no such target in sight");
    return WORLD_SLOT_NONE;
}

static const struct world_type *type_of(const struct world *world, uint32_t slot)
{
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    return &world->rules.types[identity->type];
}

// Gives all of `able` the order.
static void give_all(struct world *world, const struct world_squad *able,
                     const struct world_order *order, bool queued)
{
    for (uint32_t i = 0; i < able->count; i++)
        MM_CHECK(world_order_give(world, able->slots[i], order, queued));
}

bool world_command_attack(struct world *world, const struct world_player *player,
                          const struct world_squad *squad, const Mmorts__World__Command *command,
                          struct world_result *result)
{
    if (!command->attack) {
        world_refuse(result, REASON(INVALID), "the target is missing");
        return false;
    }
    uint32_t target = seen_target(world, player, command->attack->target, result);
    if (target == WORLD_SLOT_NONE)
        return false;
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, target);
    if (world_allied(world, player->empire, identity->owner) ||
        identity->kind == MMORTS__FRAME__KIND__KIND_RESOURCE) {
        world_refuse(result, REASON(INVALID), "that is nobody to attack");
        return false;
    }
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, target);
    struct hex_axial at = {place->q, place->r};
    struct world_squad able = {.count = 0};
    bool fighters = false;
    for (uint32_t i = 0; i < squad->count; i++) {
        const struct world_type *type = type_of(world, squad->slots[i]);
        fighters |= type->attack > 0;
        if (type->attack > 0 &&
            world_can_reach(world, squad->slots[i], at, (int32_t)type->attack_range_hexes))
            able.slots[able.count++] = squad->slots[i];
    }
    if (able.count == 0) {
        world_refuse(result, fighters ? REASON(UNREACHABLE) : REASON(CANNOT),
                     fighters ? "there is no way" : "none of them can fight");
        return false;
    }
    if (command->queued && world_squad_orders_full(world, &able)) {
        world_refuse(result, REASON(QUEUE_FULL), "too many orders are waiting");
        return false;
    }
    struct world_order order = {
        .kind = WORLD_ORDER_ATTACK,
        .target = world_entity_handle(world_ecs_entity(&world->ecs, target)),
        .q = at.q,
        .r = at.r,
    };
    give_all(world, &able, &order, command->queued);
    return true;
}

bool world_command_gather(struct world *world, const struct world_player *player,
                          const struct world_squad *squad, const Mmorts__World__Command *command,
                          struct world_result *result)
{
    if (!command->gather) {
        world_refuse(result, REASON(INVALID), "the node is missing");
        return false;
    }
    uint32_t node = seen_target(world, player, command->gather->node, result);
    if (node == WORLD_SLOT_NONE)
        return false;
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, node);
    if (!world_type_is_node(type_of(world, node))) {
        world_refuse(result, REASON(INVALID), "there is nothing to gather");
        return false;
    }
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, node);
    struct hex_axial at = {place->q, place->r};
    struct world_squad able = {.count = 0};
    bool workers = false;
    for (uint32_t i = 0; i < squad->count; i++) {
        bool works = type_of(world, squad->slots[i])->gather_amount > 0;
        workers |= works;
        if (works && world_can_reach(world, squad->slots[i], at, 1))
            able.slots[able.count++] = squad->slots[i];
    }
    if (able.count == 0) {
        world_refuse(result, workers ? REASON(UNREACHABLE) : REASON(CANNOT),
                     workers ? "there is no way" : "none of them can gather");
        return false;
    }
    if (command->queued && world_squad_orders_full(world, &able)) {
        world_refuse(result, REASON(QUEUE_FULL), "too many orders are waiting");
        return false;
    }
    struct world_order order = {
        .kind = WORLD_ORDER_GATHER,
        .target = world_entity_handle(world_ecs_entity(&world->ecs, node)),
        .q = at.q,
        .r = at.r,
        .type = identity->type,
    };
    give_all(world, &able, &order, command->queued);
    return true;
}
