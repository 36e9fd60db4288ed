#include "services/world/core/state.h"

#include <string.h>

// What an entity can do in a fight: its type's numbers and what its experience makes of them.
// Derived from type, rank and rules, and shared: an army of one type and rank has one row.

static uint32_t percent(uint32_t value, uint32_t percents)
{
    return (uint32_t)(((uint64_t)value * percents + 50) / 100);
}

static struct world_stats stats_now(const struct world *world, uint32_t slot)
{
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    const struct world_veteran *veteran =
        WORLD_GET(&world->ecs, WORLD_VETERAN, world_veteran, slot);
    const struct world_type *type = &world->rules.types[identity->type];
    struct world_stats stats = {
        .attack = type->attack,
        .defence = type->defence,
        .attack_range_hexes = type->attack_range_hexes,
        .attack_cooldown_ticks = type->attack_cooldown_ticks,
        .sight_hexes = type->sight_hexes,
        .sight_type = type->sight_type,
        .ticks_per_hex = type->ticks_per_hex,
        .flags = type->flags,
    };
    if (veteran && veteran->rank > 0) {
        const struct world_rank *rank = &world->rules.combat.ranks[veteran->rank - 1];
        stats.attack = percent(stats.attack, rank->attack_percent);
        stats.defence = percent(stats.defence, rank->defence_percent);
    }
    return stats;
}

void world_stats_derive(struct world *world, uint32_t slot)
{
    struct world_stats stats = stats_now(world, slot);
    world_ecs_writes(&world->ecs, WORLD_USES_STATS);
    world_shared_set(&world->stats, slot, &stats);
}

bool world_stats_sound(const struct world *world, uint32_t slot)
{
    struct world_stats stats = stats_now(world, slot);
    const struct world_stats *kept = world_shared_get(&world->stats, slot);
    return kept && memcmp(kept, &stats, sizeof stats) == 0;
}

uint8_t world_rank_of_kills(const struct world_rules *rules, uint32_t kills)
{
    uint32_t rank = 0;
    while (rank < rules->combat.rank_count && kills >= rules->combat.ranks[rank].kills)
        rank++;
    return (uint8_t)rank;
}

// Those who killed in this tick: their rows are marked.
void world_system_promote(struct world *world)
{
    const struct world_column *column = &world->ecs.columns[WORLD_VETERAN];
    size_t end = world->ecs.slot_end;
    if (column->dirty_count == 0)
        return;
    for (size_t slot = mm_bitset_next(column->dirty, end, 0); slot < end;
         slot = mm_bitset_next(column->dirty, end, slot + 1)) {
        struct world_veteran *veteran =
            WORLD_TOUCH(&world->ecs, WORLD_VETERAN, world_veteran, slot);
        uint8_t rank = world_rank_of_kills(&world->rules, veteran->kills);
        if (rank == veteran->rank)
            continue;
        veteran->rank = rank;
        world_stats_derive(world, (uint32_t)slot);
    }
}
