#include "services/world/core/find.h"
#include "services/world/core/state.h"

#include "libcommon/base/hash.h"

// Workers on a node: there, portion by portion until they carry all they can, home, and back. What
// a node loses, a worker carries; what a worker brings home is counted in its empire's totals.

// How often a worker under way looks where it is, and one in a crowd whether there is room.
#define LOOK_TICKS 4

static const struct world_type *type_of(const struct world *world, uint32_t slot)
{
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    return &world->rules.types[identity->type];
}

static struct hex_axial place_of(const struct world *world, uint32_t slot)
{
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot);
    return (struct hex_axial){place->q, place->r};
}

// --- settlements ---------------------------------------------------------------------------------

static uint32_t *settlements_of(struct world *world, uint32_t slot)
{
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    bool counts = (type_of(world, slot)->flags & MMORTS__FRAME__TYPE_FLAG__TYPE_FLAG_SETTLEMENT) &&
                  identity->kind == MMORTS__FRAME__KIND__KIND_BUILDING && identity->owner > 0 &&
                  world_is_complete(world, slot);
    return counts ? &world->empires.items[identity->owner - 1].settlements : NULL;
}

void world_settlement_enter(struct world *world, uint32_t slot)
{
    uint32_t *link = settlements_of(world, slot);
    if (!link)
        return;
    while (*link != 0 && *link < slot)
        link = &world->next_settlement[*link];
    world->next_settlement[slot] = *link;
    *link = slot;
}

void world_settlement_leave(struct world *world, uint32_t slot)
{
    uint32_t *link = settlements_of(world, slot);
    if (!link)
        return;
    while (*link != slot) {
        MM_CHECK(*link != 0);
        link = &world->next_settlement[*link];
    }
    *link = world->next_settlement[slot];
    world->next_settlement[slot] = 0;
}

// The nearest of its empire's that it can walk to; of equally near ones the lowest slot.
static uint32_t nearest_settlement(const struct world *world, uint32_t slot)
{
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    if (identity->owner == 0)
        return WORLD_SLOT_NONE;
    struct hex_axial at = place_of(world, slot);
    uint32_t best = WORLD_SLOT_NONE;
    int32_t nearest = INT32_MAX;
    for (uint32_t home = world->empires.items[identity->owner - 1].settlements; home != 0;
         home = world->next_settlement[home]) {
        int32_t distance = hex_distance(at, place_of(world, home));
        if (distance < nearest && world_can_reach(world, slot, place_of(world, home), 1)) {
            nearest = distance;
            best = home;
        }
    }
    return best;
}

// --- nodes ---------------------------------------------------------------------------------------

static bool is_node_of(const struct world *world, uint32_t slot, uint32_t type)
{
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    return identity->type == type &&
           WORLD_GET(&world->ecs, WORLD_AMOUNT, world_amount, slot)->value > 0;
}

struct node_wish {
    const struct world *world;
    uint32_t worker, empire, type;
};

static bool node_fits(void *ctx, uint32_t slot, uint32_t cell)
{
    const struct node_wish *wish = ctx;
    const struct world *world = wish->world;
    return is_node_of(world, slot, wish->type) && world_empire_sees(world, wish->empire, slot) &&
           world_can_reach(world, wish->worker, world_map_hex(&world->map, cell), 1);
}

// The nearest node of the type about a hex that the worker's empire sees and the worker can reach.
static uint32_t node_near(const struct world *world, uint32_t slot, struct hex_axial about,
                          uint32_t type)
{
    const struct world_wanted nodes = {.kinds = 1u << MMORTS__FRAME__KIND__KIND_RESOURCE};
    struct node_wish wish = {
        world, slot, WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot)->owner, type};
    return world_find_nearest(world, about, WORLD_GATHER_RADIUS, &nodes, node_fits, &wish);
}

// --- carrying ------------------------------------------------------------------------------------

static int32_t carried(const struct world *world, uint32_t slot)
{
    const struct world_cargo *cargo = WORLD_GET(&world->ecs, WORLD_CARGO, world_cargo, slot);
    return cargo ? cargo->amount : 0;
}

void world_deposit_add(struct world *world, uint32_t empire, uint32_t type, uint32_t amount)
{
    world_ecs_writes(&world->ecs, WORLD_USES_EMPIRES);
    struct world_empire_row *row = &world->empires.items[empire - 1];
    uint32_t index = 0;
    while (index < row->deposit_count && row->deposits[index].type != type)
        index++;
    // As many kinds as the rules allow, and no rules remove one in which there are deposits.
    MM_CHECK(index < WORLD_RESOURCES_MAX);
    world->empires_hash -= world_empire_hash(empire, row);
    if (index == row->deposit_count)
        row->deposits[row->deposit_count++] = (struct world_deposit){.type = type};
    struct world_deposit *total = &row->deposits[index];
    total->total += amount;
    world->empires_hash += world_empire_hash(empire, row);
    if (total->told != world->tick) {
        total->told = world->tick;
        struct world_deposit_news news = {empire, index};
        MM_CHECK(mm_vec_push(&world->deposited, news));
    }
}

static void deposit(struct world *world, uint32_t slot, uint32_t settlement)
{
    struct world_cargo *cargo = WORLD_TOUCH(&world->ecs, WORLD_CARGO, world_cargo, slot);
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    world_deposit_add(world, identity->owner, cargo->type, (uint32_t)cargo->amount);
    world_tell(world, MMORTS__FRAME__EVENT_KIND__EVENT_DEPOSIT, slot, settlement, cargo->amount,
               cargo->type);
    cargo->amount = 0;
}

// --- the work ------------------------------------------------------------------------------------

void world_gather_begin(struct world *world, uint32_t slot, uint64_t node, uint32_t node_type)
{
    world_mover_stop(world, slot);
    struct world_gather *gather = world_ecs_add(&world->ecs, WORLD_GATHER, slot);
    const struct world_cargo *cargo = WORLD_GET(&world->ecs, WORLD_CARGO, world_cargo, slot);
    // It cannot carry two kinds: what it has of another it brings home first.
    bool laden =
        cargo && cargo->amount > 0 &&
        (cargo->type != node_type || cargo->amount >= (int32_t)type_of(world, slot)->carry);
    *gather = (struct world_gather){
        .node = node,
        .due = world->tick,
        .type = (uint16_t)node_type,
        .phase = laden ? WORLD_GATHER_TO_HOME : WORLD_GATHER_TO_NODE,
    };
}

static void end_gather(struct world *world, uint32_t slot)
{
    world_ecs_remove(&world->ecs, WORLD_GATHER, slot);
    world_mover_stop(world, slot);
    world_order_done(world, slot);
}

// Towards a hex beside the target. False: it is no use.
static bool walk(struct world *world, uint32_t slot, struct hex_axial target)
{
    struct world_gather *gather = WORLD_TOUCH(&world->ecs, WORLD_GATHER, world_gather, slot);
    gather->due = world->tick + LOOK_TICKS;
    return world_walk_beside(world, slot, target, &gather->tries);
}

static void turn_home(struct world *world, uint32_t slot, bool last)
{
    struct world_gather *gather = WORLD_TOUCH(&world->ecs, WORLD_GATHER, world_gather, slot);
    gather->phase = WORLD_GATHER_TO_HOME;
    gather->last = last;
    gather->tries = 0;
    gather->due = world->tick + 1;
}

static void to_node(struct world *world, uint32_t slot)
{
    const struct world_gather *gather = WORLD_GET(&world->ecs, WORLD_GATHER, world_gather, slot);
    const struct world_orders *orders = WORLD_GET(&world->ecs, WORLD_ORDERS, world_orders, slot);
    uint32_t node = world_ecs_slot_of_handle(&world->ecs, gather->node);
    if (node == WORLD_SLOT_NONE || !is_node_of(world, node, gather->type)) {
        struct hex_axial about = {orders->list[0].q, orders->list[0].r};
        node = node_near(world, slot, about, gather->type);
        if (node == WORLD_SLOT_NONE) {
            if (carried(world, slot) > 0)
                turn_home(world, slot, true);
            else
                end_gather(world, slot);
            return;
        }
        struct world_gather *changed = WORLD_TOUCH(&world->ecs, WORLD_GATHER, world_gather, slot);
        changed->node = world_entity_handle(world_ecs_entity(&world->ecs, node));
        changed->tries = 0;
    }
    if (hex_distance(place_of(world, slot), place_of(world, node)) > 1) {
        if (!walk(world, slot, place_of(world, node)))
            end_gather(world, slot);
        return;
    }
    struct world_gather *digging = WORLD_TOUCH(&world->ecs, WORLD_GATHER, world_gather, slot);
    digging->phase = WORLD_GATHER_DIGGING;
    digging->tries = 0;
    digging->due = world->tick + type_of(world, slot)->gather_ticks;
    world_mover_stop(world, slot);
    world_set_activity(world, slot, MMORTS__FRAME__ACTIVITY__ACTIVITY_GATHERING);
}

static void dig(struct world *world, uint32_t slot)
{
    struct world_gather *gather = WORLD_TOUCH(&world->ecs, WORLD_GATHER, world_gather, slot);
    const struct world_type *type = type_of(world, slot);
    uint32_t node = world_ecs_slot_of_handle(&world->ecs, gather->node);
    gather->due = world->tick + type->gather_ticks;
    if (node == WORLD_SLOT_NONE || !is_node_of(world, node, gather->type)) {
        gather->phase = WORLD_GATHER_TO_NODE;
        gather->due = world->tick + 1;
        return;
    }
    struct world_amount *amount = WORLD_TOUCH(&world->ecs, WORLD_AMOUNT, world_amount, node);
    struct world_cargo *cargo = world_ecs_add(&world->ecs, WORLD_CARGO, slot);
    int32_t portion = (int32_t)type->gather_amount, room = (int32_t)type->carry - cargo->amount;
    portion = portion < room ? portion : room;
    portion = portion < amount->value ? portion : amount->value;
    if (portion > 0) {
        amount->value -= portion;
        cargo->amount += portion;
        cargo->type = gather->type;
    }
    if (amount->value == 0)
        world_ecs_defer_despawn(&world->ecs, node);
    if (cargo->amount >= (int32_t)type->carry)
        turn_home(world, slot, false);
}

static void to_home(struct world *world, uint32_t slot)
{
    uint32_t home = nearest_settlement(world, slot);
    if (home == WORLD_SLOT_NONE) {
        end_gather(world, slot);
    } else if (hex_distance(place_of(world, slot), place_of(world, home)) > 1) {
        if (!walk(world, slot, place_of(world, home)))
            end_gather(world, slot);
    } else {
        if (carried(world, slot) > 0)
            deposit(world, slot, home);
        struct world_gather *gather = WORLD_TOUCH(&world->ecs, WORLD_GATHER, world_gather, slot);
        gather->phase = WORLD_GATHER_TO_NODE;
        gather->tries = 0;
        gather->due = world->tick + 1;
        world_mover_stop(world, slot);
        if (gather->last)
            end_gather(world, slot);
    }
}

void world_system_gather(struct world *world)
{
    const uint64_t *gathering = world_ecs_query(&world->ecs, WORLD_QUERY_GATHERING);
    size_t end = world->ecs.slot_end;
    if (world_ecs_query_count(&world->ecs, WORLD_QUERY_GATHERING) == 0)
        return;
    for (size_t slot = mm_bitset_next(gathering, end, 0); slot < end;
         slot = mm_bitset_next(gathering, end, slot + 1)) {
        const struct world_gather *gather =
            WORLD_GET(&world->ecs, WORLD_GATHER, world_gather, slot);
        if (gather->due > world->tick)
            continue;
        if (gather->phase == WORLD_GATHER_TO_NODE)
            to_node(world, (uint32_t)slot);
        else if (gather->phase == WORLD_GATHER_DIGGING)
            dig(world, (uint32_t)slot);
        else
            to_home(world, (uint32_t)slot);
    }
}
