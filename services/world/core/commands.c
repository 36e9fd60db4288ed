#include "services/world/core/commands.h"
#include "services/world/core/kept.h"
#include "services/world/core/state.h"

#include <stdlib.h>
#include <string.h>

void world_refuse(struct world_result *result, uint32_t reason, const char *message)
{
    result->reason = reason;
    result->message = message;
}

// --- how often -----------------------------------------------------------------------------------

static uint64_t allowance_now(const struct world *world, const struct world_player *player)
{
    uint64_t most = (uint64_t)world->rules.commands.burst * WORLD_TICK_RATE_HZ;
    uint64_t gained = (world->tick - player->allowance_tick) * world->rules.commands.per_second;
    return gained >= most - (player->allowance < most ? player->allowance : most)
               ? most
               : player->allowance + gained;
}

static bool within_rate(const struct world *world, const struct world_player *player,
                        struct world_result *result)
{
    const uint64_t cost = WORLD_TICK_RATE_HZ, gain = world->rules.commands.per_second;
    uint64_t allowance = allowance_now(world, player);
    if (allowance >= cost)
        return true;
    world_refuse(result, REASON(RATE_LIMITED), "too many commands");
    result->retry_after_ticks = (uint32_t)((cost - allowance + gain - 1) / gain);
    return false;
}

// The kinds of commands are numbered as their fields are.
_Static_assert(MMORTS__WORLD__COMMAND__ORDER_CANCEL_BUILD - MMORTS__WORLD__COMMAND__ORDER_MOVE ==
                   WORLD_COMMAND_KINDS - 1,
               "every order has its cooldown");

// Its place among the kinds; WORLD_COMMAND_KINDS of none that is known.
static uint32_t kind_of(const Mmorts__World__Command *command)
{
    uint32_t kind = (uint32_t)command->order_case - MMORTS__WORLD__COMMAND__ORDER_MOVE;
    return kind < WORLD_COMMAND_KINDS ? kind : WORLD_COMMAND_KINDS;
}

static bool cooled_down(const struct world *world, const struct world_player *player, uint32_t kind,
                        struct world_result *result)
{
    uint64_t taken = kind < WORLD_COMMAND_KINDS ? player->taken_tick[kind] : 0;
    if (taken == 0)
        return true;
    uint64_t passed = world->tick - taken, cooldown = world->rules.commands.cooldown_ticks[kind];
    if (passed >= cooldown)
        return true;
    world_refuse(result, REASON(COOLDOWN), "it is too soon for another one of that kind");
    result->retry_after_ticks = (uint32_t)(cooldown - passed);
    return false;
}

void world_command_give_back(struct world_player *player, const struct world_bill *bill)
{
    uint64_t *taken =
        &player
             ->taken_tick[MMORTS__WORLD__COMMAND__ORDER_BUILD - MMORTS__WORLD__COMMAND__ORDER_MOVE];
    if (*taken == bill->tick)
        *taken = 0;
}

static void accept(struct world *world, struct world_player *player, uint64_t client_seq,
                   uint32_t kind, struct world_result *result)
{
    player->allowance = allowance_now(world, player) - WORLD_TICK_RATE_HZ;
    player->allowance_tick = world->tick;
    if (client_seq > player->last_client_seq)
        player->last_client_seq = client_seq;
    player->taken_tick[kind] = world->tick;
    world_kept_put(player, client_seq, world->tick);
    world_player_changed(world, player);
    result->applied = true;
}

// True if the sequence number was handled before; then the result says what came of it.
static bool handled_before(const struct world *world, const struct world_player *player,
                           uint64_t client_seq, struct world_result *result)
{
    if (client_seq > player->last_client_seq)
        return false;
    const struct world_bill *bill = world_bill_of(world, player->player_id, client_seq);
    if (bill) {
        result->bill = bill->number;
        return true;
    }
    const struct world_kept_result *kept = NULL;
    switch (world_kept_look(player, client_seq, &kept)) {
    case WORLD_KEPT_NEW:
        return false;
    case WORLD_KEPT_KNOWN:
        result->tick = kept->tick;
        result->reason = kept->reason;
        if (result->reason != REASON(OK))
            result->message = "it was not built";
        return true;
    default:
        world_refuse(result, REASON(REPEATED), "handled before");
        return true;
    }
}

// --- whom ----------------------------------------------------------------------------------------

static int compare_slots(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

// The player's own living units among those named. Those that are gone are passed over: a member
// of a group may have died while the order was on its way.
static bool squad_gather(const struct world *world, const struct world_player *player,
                         const Mmorts__World__Command *command, struct world_squad *squad,
                         struct world_result *result)
{
    squad->count = 0;
    if (command->n_units == 0 || command->n_units > world->rules.commands.units_max) {
        world_refuse(result, REASON(NO_UNITS), "no units, or too many");
        return false;
    }
    for (size_t i = 0; i < command->n_units; i++) {
        uint32_t slot = world_slot_of_id(world, command->units[i]);
        if (slot == WORLD_SLOT_NONE)
            continue;
        const struct world_identity *identity =
            WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
        if (identity->owner == player->empire)
            squad->slots[squad->count++] = slot;
    }
    if (squad->count == 0) {
        world_refuse(result, REASON(UNKNOWN_UNIT), "no such unit");
        return false;
    }
    qsort(squad->slots, squad->count, sizeof squad->slots[0], compare_slots);
    for (uint32_t i = 0; i < squad->count; i++) {
        if (i > 0 && squad->slots[i] == squad->slots[i - 1]) {
            world_refuse(result, REASON(INVALID), "a unit is named twice");
            return false;
        }
        const struct world_identity *identity =
            WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, squad->slots[i]);
        if (world->rules.types[identity->type].ticks_per_hex == 0) {
            world_refuse(result, REASON(CANNOT), "it cannot move");
            return false;
        }
    }
    return true;
}

// --- move ----------------------------------------------------------------------------------------

struct member {
    uint32_t slot;
    int32_t distance; // to the target
};

static int compare_members(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    if (x->distance != y->distance)
        return x->distance < y->distance ? -1 : 1;
    return (x->slot > y->slot) - (x->slot < y->slot);
}

// Whether units that do not belong to the squad, and stay where they are, leave no room there.
static bool taken_by_others(const struct world *world, const struct world_squad *squad,
                            uint32_t cell)
{
    if (world->grid.cells[cell].blockers > 0)
        return true;
    uint32_t standing = 0;
    for (uint32_t slot = world_grid_first(&world->grid, cell); slot != 0;
         slot = world_grid_next(&world->grid, slot)) {
        bool of_squad = bsearch(&slot, squad->slots, squad->count, sizeof squad->slots[0],
                                compare_slots) != NULL;
        standing += !of_squad && !WORLD_GET(&world->ecs, WORLD_MOVER, world_mover, slot);
    }
    return standing >= world->rules.movement.units_per_hex;
}

// Gives every member a hex of its own about the target: the nearest member gets the nearest hex.
// goals[i] belongs to members[i]; members with no way there get WORLD_CELL_NONE. Returns how many
// got one.
static uint32_t spread(const struct world *world, const struct world_squad *squad,
                       const struct member *members, struct hex_axial target, uint32_t *goals)
{
    uint32_t given = 0, room = world->rules.movement.units_per_hex;
    bool served[WORLD_COMMAND_UNITS_MAX] = {false};
    struct hex_axial ring[6 * WORLD_SPREAD_RADIUS_MAX];
    for (uint32_t i = 0; i < squad->count; i++)
        goals[i] = WORLD_CELL_NONE;
    for (int32_t radius = 0; radius <= WORLD_SPREAD_RADIUS_MAX && given < squad->count; radius++) {
        size_t count = hex_ring(target, radius, ring);
        for (size_t j = 0; j < count && given < squad->count; j++) {
            uint32_t cell = world_map_cell(&world->map, ring[j]);
            if (cell == WORLD_CELL_NONE || !world_map_passable(&world->map, cell) ||
                taken_by_others(world, squad, cell))
                continue;
            uint32_t region = world_map_region(&world->map, cell), here = 0;
            for (uint32_t i = 0; i < squad->count && here < room; i++) {
                const struct world_place *place =
                    WORLD_GET(&world->ecs, WORLD_PLACE, world_place, members[i].slot);
                if (served[i] || world_map_region(&world->map, place->cell) != region)
                    continue;
                goals[i] = cell;
                served[i] = true;
                given++;
                here++;
            }
        }
    }
    return given;
}

bool world_squad_orders_full(const struct world *world, const struct world_squad *squad)
{
    for (uint32_t i = 0; i < squad->count; i++) {
        const struct world_orders *orders =
            WORLD_GET(&world->ecs, WORLD_ORDERS, world_orders, squad->slots[i]);
        if (orders && orders->count == WORLD_ORDERS_MAX)
            return true;
    }
    return false;
}

static bool on_map(const struct world *world, const Mmorts__World__Hex *hex,
                   struct world_result *result)
{
    if (!hex)
        world_refuse(result, REASON(INVALID), "the target is missing");
    else if (world_map_cell(&world->map, (struct hex_axial){hex->q, hex->r}) == WORLD_CELL_NONE)
        world_refuse(result, REASON(OUT_OF_MAP), "there is no map there");
    else
        return true;
    return false;
}

// A hex of its own for everybody: goals[i] belongs to members[i]. False: there is no way for
// anybody.
static bool find_goals(const struct world *world, const struct world_squad *squad,
                       const Mmorts__World__Hex *hex, struct member *members, uint32_t *goals,
                       struct world_result *result)
{
    struct hex_axial target = {hex->q, hex->r};
    for (uint32_t i = 0; i < squad->count; i++) {
        const struct world_place *place =
            WORLD_GET(&world->ecs, WORLD_PLACE, world_place, squad->slots[i]);
        members[i].slot = squad->slots[i];
        members[i].distance = hex_distance((struct hex_axial){place->q, place->r}, target);
    }
    qsort(members, squad->count, sizeof members[0], compare_members);
    if (spread(world, squad, members, target, goals) > 0)
        return true;
    world_refuse(result, REASON(UNREACHABLE), "there is no way");
    return false;
}

// Sends everybody to a hex of its own about the target, with orders of that kind.
static bool march(struct world *world, const struct world_squad *squad,
                  const Mmorts__World__Command *command, const Mmorts__World__Hex *hex,
                  enum world_order_kind kind, struct world_result *result)
{
    if (!on_map(world, hex, result))
        return false;
    if (command->queued && world_squad_orders_full(world, squad)) {
        world_refuse(result, REASON(QUEUE_FULL), "too many orders are waiting");
        return false;
    }
    struct member members[WORLD_COMMAND_UNITS_MAX];
    uint32_t goals[WORLD_COMMAND_UNITS_MAX];
    if (!find_goals(world, squad, hex, members, goals, result))
        return false;
    for (uint32_t i = 0; i < squad->count; i++) {
        if (goals[i] == WORLD_CELL_NONE)
            continue;
        struct hex_axial goal = world_map_hex(&world->map, goals[i]);
        struct world_order order = {.kind = (uint8_t)kind, .q = goal.q, .r = goal.r};
        MM_CHECK(world_order_give(world, members[i].slot, &order, command->queued));
    }
    return true;
}

// --- patrol, wander ------------------------------------------------------------------------------

static bool patrol_sound(const struct world *world, const struct world_squad *squad,
                         const Mmorts__World__Command *command, struct world_result *result)
{
    size_t count = command->patrol ? command->patrol->n_points : 0;
    if (count < 1 || count > WORLD_ORDERS_MAX) {
        world_refuse(result, REASON(INVALID), "a patrol has 1 to 8 points");
        return false;
    }
    for (size_t i = 0; i < count; i++)
        if (!on_map(world, command->patrol->points[i], result))
            return false;
    // With a single point there is also the way back.
    size_t needed = count > 1 ? count : 2;
    for (uint32_t i = 0; command->queued && i < squad->count; i++) {
        const struct world_orders *orders =
            WORLD_GET(&world->ecs, WORLD_ORDERS, world_orders, squad->slots[i]);
        if (orders && orders->count + needed > WORLD_ORDERS_MAX) {
            world_refuse(result, REASON(QUEUE_FULL), "too many orders are waiting");
            return false;
        }
    }
    return true;
}

// Each point in turn is spread over the squad; who gets no hex at one of them leaves that one out,
// and who gets fewer than two to walk between is not sent.
static bool patrol(struct world *world, const struct world_squad *squad,
                   const Mmorts__World__Command *command, struct world_result *result)
{
    static const struct world_orders none = {0};
    struct world_orders legs[WORLD_COMMAND_UNITS_MAX]; // by place in the squad
    if (!patrol_sound(world, squad, command, result))
        return false;
    for (uint32_t i = 0; i < squad->count; i++)
        legs[i] = none;
    for (size_t p = 0; p < command->patrol->n_points; p++) {
        struct member members[WORLD_COMMAND_UNITS_MAX];
        uint32_t goals[WORLD_COMMAND_UNITS_MAX];
        if (!find_goals(world, squad, command->patrol->points[p], members, goals, result))
            return false;
        for (uint32_t i = 0; i < squad->count; i++) {
            const uint32_t *place = bsearch(&members[i].slot, squad->slots, squad->count,
                                            sizeof squad->slots[0], compare_slots);
            struct world_orders *own = &legs[place - squad->slots];
            if (goals[i] == WORLD_CELL_NONE)
                continue;
            struct hex_axial goal = world_map_hex(&world->map, goals[i]);
            own->list[own->count++] =
                (struct world_order){.kind = WORLD_ORDER_PATROL, .q = goal.q, .r = goal.r};
        }
    }
    for (uint32_t i = 0; i < squad->count; i++) {
        const struct world_place *place =
            WORLD_GET(&world->ecs, WORLD_PLACE, world_place, squad->slots[i]);
        struct world_orders *own = &legs[i];
        if (own->count == 1)
            own->list[own->count++] =
                (struct world_order){.kind = WORLD_ORDER_PATROL, .q = place->q, .r = place->r};
        for (uint8_t leg = 0; leg < own->count; leg++)
            MM_CHECK(world_order_give(world, squad->slots[i], &own->list[leg],
                                      command->queued || leg > 0));
    }
    return true;
}

static bool wander(struct world *world, const struct world_squad *squad,
                   const Mmorts__World__Command *command, struct world_result *result)
{
    uint32_t radius = command->wander ? command->wander->radius_hexes : 0;
    if (radius < 1 || radius > WORLD_WANDER_RADIUS_MAX) {
        world_refuse(result, REASON(INVALID), "the radius is 1 to 32 hexes");
        return false;
    }
    if (command->queued && world_squad_orders_full(world, squad)) {
        world_refuse(result, REASON(QUEUE_FULL), "too many orders are waiting");
        return false;
    }
    for (uint32_t i = 0; i < squad->count; i++) {
        const struct world_place *place =
            WORLD_GET(&world->ecs, WORLD_PLACE, world_place, squad->slots[i]);
        struct world_order order = {
            .kind = WORLD_ORDER_WANDER, .q = place->q, .r = place->r, .type = (uint16_t)radius};
        MM_CHECK(world_order_give(world, squad->slots[i], &order, command->queued));
    }
    return true;
}

static bool stop(struct world *world, const struct world_squad *squad)
{
    for (uint32_t i = 0; i < squad->count; i++)
        world_orders_clear(world, squad->slots[i]);
    return true;
}

static bool carry_out(struct world *world, const struct world_player *player,
                      const Mmorts__World__Command *command, struct world_result *result)
{
    struct world_squad squad;
    if (command->order_case == MMORTS__WORLD__COMMAND__ORDER__NOT_SET) {
        world_refuse(result, REASON(INVALID), "there is no order in it");
        return false;
    }
    switch (command->order_case) {
    case MMORTS__WORLD__COMMAND__ORDER_MOVE:
        return squad_gather(world, player, command, &squad, result) &&
               march(world, &squad, command, command->move ? command->move->target : NULL,
                     WORLD_ORDER_MOVE, result);
    case MMORTS__WORLD__COMMAND__ORDER_ATTACK_MOVE:
        return squad_gather(world, player, command, &squad, result) &&
               march(world, &squad, command,
                     command->attack_move ? command->attack_move->target : NULL,
                     WORLD_ORDER_ATTACK_MOVE, result);
    case MMORTS__WORLD__COMMAND__ORDER_ATTACK:
        return squad_gather(world, player, command, &squad, result) &&
               world_command_attack(world, player, &squad, command, result);
    case MMORTS__WORLD__COMMAND__ORDER_GATHER:
        return squad_gather(world, player, command, &squad, result) &&
               world_command_gather(world, player, &squad, command, result);
    case MMORTS__WORLD__COMMAND__ORDER_BUILD:
        return squad_gather(world, player, command, &squad, result) &&
               world_command_build(world, player, &squad, command, result);
    case MMORTS__WORLD__COMMAND__ORDER_REPAIR:
        return squad_gather(world, player, command, &squad, result) &&
               world_command_repair(world, player, &squad, command, result);
    case MMORTS__WORLD__COMMAND__ORDER_CANCEL_BUILD:
        return world_command_cancel_build(world, player, command, result);
    case MMORTS__WORLD__COMMAND__ORDER_RALLY:
        return world_command_rally(world, player, command, result);
    case MMORTS__WORLD__COMMAND__ORDER_PATROL:
        return squad_gather(world, player, command, &squad, result) &&
               patrol(world, &squad, command, result);
    case MMORTS__WORLD__COMMAND__ORDER_WANDER:
        return squad_gather(world, player, command, &squad, result) &&
               wander(world, &squad, command, result);
    case MMORTS__WORLD__COMMAND__ORDER_STOP:
        return squad_gather(world, player, command, &squad, result) && stop(world, &squad);
    default:
        world_refuse(result, REASON(UNSUPPORTED), "this server does not know the order");
        return false;
    }
}

void world_command(struct world *world, const Mmorts__World__Command *command,
                   struct world_result *result)
{
    struct world_player *player = world_player_find(world, command->player_id);
    if (!player) {
        world_refuse(result, REASON(NO_EMPIRE), "the player has not joined");
        return;
    }
    if (command->client_seq == 0) {
        world_refuse(result, REASON(INVALID), "client_seq is missing");
        return;
    }
    if (handled_before(world, player, command->client_seq, result))
        return;
    if (world->paused) {
        world_refuse(result, REASON(PAUSED), "the session is paused");
        return;
    }
    uint32_t kind = kind_of(command);
    if (within_rate(world, player, result) && cooled_down(world, player, kind, result) &&
        carry_out(world, player, command, result))
        accept(world, player, command->client_seq, kind, result);
}
