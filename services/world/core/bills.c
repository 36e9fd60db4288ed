#include "services/world/core/commands.h"
#include "services/world/core/state.h"

#include "libcommon/base/hash.h"
#include <string.h>

// What is ordered and must be paid first. World does not know what an empire has in stock: a
// command that costs something leaves a bill; whoever runs the world has production decide on it
// and puts what it said among the inputs of a later tick. So the bill is as durable as any state,
// the decision is in the journal, and production, which decides each bill once, may be asked again
// after any crash.

uint64_t world_bill_hash(const struct world_bill *bill)
{
    uint64_t hash = mm_mix64(bill->number);
    hash = mm_mix64(mm_mix64(hash ^ bill->player_id) ^ bill->client_seq);
    hash = mm_mix64(mm_mix64(hash ^ bill->tick) ^ bill->type);
    hash = mm_mix64(mm_mix64(hash ^ (uint32_t)bill->q) ^ (uint32_t)bill->r);
    hash = mm_mix64(mm_mix64(hash ^ bill->queued) ^ bill->builder_count);
    for (int item = 0; item < WORLD_ITEMS_MAX; item++)
        hash = mm_mix64(hash ^ bill->cost[item]);
    for (uint32_t i = 0; i < bill->builder_count; i++)
        hash = mm_mix64(hash ^ bill->builders[i]);
    return hash;
}

void world_bill_open(struct world *world, const struct world_bill *bill)
{
    world->bill_next = bill->number + 1;
    world->bills_hash += world_bill_hash(bill);
    MM_CHECK(mm_vec_push(&world->bills, *bill));
}

const struct world_bill *world_bill_of(const struct world *world, uint64_t player_id,
                                       uint64_t client_seq)
{
    for (size_t i = 0; i < world->bills.count; i++)
        if (world->bills.items[i].player_id == player_id &&
            world->bills.items[i].client_seq == client_seq)
            return &world->bills.items[i];
    return NULL;
}

uint32_t world_bills_of_player(const struct world *world, uint64_t player_id)
{
    uint32_t count = 0;
    for (size_t i = 0; i < world->bills.count; i++)
        count += world->bills.items[i].player_id == player_id;
    return count;
}

bool world_next_bill(const struct world *world, uint64_t *cursor, struct world_bill_view *out)
{
    for (size_t i = 0; i < world->bills.count; i++) {
        const struct world_bill *bill = &world->bills.items[i];
        if (bill->number <= *cursor)
            continue;
        *cursor = out->number = bill->number;
        out->empire = world_player_find(world, bill->player_id)->empire;
        memcpy(out->cost, bill->cost, sizeof out->cost);
        return true;
    }
    return false;
}

uint64_t world_bill_floor(const struct world *world)
{
    return world->bills.count > 0 ? world->bills.items[0].number : world->bill_next;
}

void world_refund(struct world *world, uint32_t empire, const uint32_t *amounts)
{
    struct world_empire_row *row = &world->empires.items[empire - 1];
    uint64_t sum = 0;
    for (int item = 0; item < WORLD_ITEMS_MAX; item++)
        sum += amounts[item];
    if (sum == 0)
        return;
    world->empires_hash -= world_empire_hash(empire, row);
    for (int item = 0; item < WORLD_ITEMS_MAX; item++)
        row->refunds[item] += amounts[item];
    world->empires_hash += world_empire_hash(empire, row);
    if (row->refund_told == world->tick)
        return;
    row->refund_told = world->tick;
    MM_CHECK(mm_vec_push(&world->refunded, empire));
}

uint64_t world_bill_next(const struct world *world)
{
    return world->bill_next;
}

// Those of its builders who are still there and still the player's.
static void builders_left(const struct world *world, const struct world_player *player,
                          const struct world_bill *bill, struct world_squad *squad)
{
    squad->count = 0;
    for (uint32_t i = 0; i < bill->builder_count; i++) {
        uint32_t slot = world_ecs_slot_of_handle(&world->ecs, bill->builders[i]);
        if (slot == WORLD_SLOT_NONE)
            continue;
        const struct world_identity *identity =
            WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
        if (identity->owner == player->empire)
            squad->slots[squad->count++] = slot;
    }
}

void world_settle(struct world *world, const Mmorts__World__Settlement *settlement,
                  struct world_result *result)
{
    size_t index = 0;
    while (index < world->bills.count && world->bills.items[index].number != settlement->bill)
        index++;
    if (index == world->bills.count) {
        world_fail(result, MM_NOT_FOUND, "there is no such bill");
        return;
    }
    struct world_bill bill = world->bills.items[index];
    world->bills_hash -= world_bill_hash(&bill);
    memmove(&world->bills.items[index], &world->bills.items[index + 1],
            (world->bills.count - index - 1) * sizeof bill);
    world->bills.count--;
    struct world_player *player = world_player_find(world, bill.player_id);
    struct world_squad squad;
    builders_left(world, player, &bill, &squad);
    bool built = false;
    if (!settlement->paid)
        world_refuse(result, REASON(CANNOT_AFFORD), "there is not enough in stock");
    else if (world->tick - bill.tick > WORLD_BILL_TICKS_MAX)
        world_refuse(result, REASON(EXPIRED), "it was paid too late");
    else
        built = world_build_paid(world, player, &squad, &bill, result);
    if (!built)
        world_command_give_back(player, &bill);
    if (settlement->paid && !built)
        world_refund(world, player->empire, bill.cost);
    for (int i = 0; i < WORLD_RESULTS_KEPT; i++) {
        if (player->kept[i].client_seq != bill.client_seq)
            continue;
        player->kept[i].reason = result->reason;
        player->kept[i].tick = world->tick;
    }
    world_player_changed(world, player);
    result->bill = bill.number;
    result->applied = true;
}
