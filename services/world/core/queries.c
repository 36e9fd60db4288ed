#include "services/world/core/ecs.h"

static const struct {
    uint64_t all, none;
} query_definitions[WORLD_QUERIES] = {
    [WORLD_QUERY_FIGHTING] = {.all = WORLD_BIT(WORLD_FIGHT)},
    [WORLD_QUERY_GATHERING] = {.all = WORLD_BIT(WORLD_GATHER)},
    [WORLD_QUERY_BUILDING] = {.all = WORLD_BIT(WORLD_WORK)},
    [WORLD_QUERY_IDLE] = {.none = WORLD_BIT(WORLD_FIGHT) | WORLD_BIT(WORLD_ORDERS)},
    [WORLD_QUERY_ORDERED] = {.all = WORLD_BIT(WORLD_ORDERS), .none = WORLD_BIT(WORLD_FIGHT)},
};

void world_ecs_queries_init(struct world_ecs *ecs)
{
    for (int id = 0; id < WORLD_QUERIES; id++) {
        ecs->queries[id].all = query_definitions[id].all;
        ecs->queries[id].none = query_definitions[id].none;
    }
}

static uint64_t changed_word(const struct world_ecs *ecs, const struct world_query *query,
                             size_t word)
{
    uint64_t changed = ecs->lives.bits[word], wanted = query->all | query->none;
    for (int id = 0; id < WORLD_COMPONENTS; id++)
        if (wanted & WORLD_BIT(id) && ecs->columns[id].changed.count > 0)
            changed |= ecs->columns[id].changed.bits[word];
    return changed;
}

static uint64_t member_word(const struct world_ecs *ecs, const struct world_query *query,
                            size_t word)
{
    uint64_t members = ecs->alive[word];
    for (int id = 0; id < WORLD_COMPONENTS; id++) {
        if (!ecs->columns[id].has)
            continue; // everybody has it
        if (query->all & WORLD_BIT(id))
            members &= ecs->columns[id].has[word];
        if (query->none & WORLD_BIT(id))
            members &= ~ecs->columns[id].has[word];
    }
    return members;
}

void world_ecs_refresh(struct world_ecs *ecs)
{
    size_t words = MM_BITSET_WORDS(ecs->slot_end);
    for (int q = 0; q < WORLD_QUERIES; q++) {
        struct world_query *query = &ecs->queries[q];
        uint32_t changes = ecs->lives.count;
        for (int id = 0; id < WORLD_COMPONENTS; id++)
            if ((query->all | query->none) & WORLD_BIT(id))
                changes += ecs->columns[id].changed.count;
        for (size_t word = 0; changes > 0 && word < words; word++) {
            if (changed_word(ecs, query, word) == 0)
                continue;
            uint64_t members = member_word(ecs, query, word);
            query->count += (uint32_t)__builtin_popcountll(members);
            query->count -= (uint32_t)__builtin_popcountll(query->slots[word]);
            query->slots[word] = members;
        }
    }
    world_marks_clear(&ecs->lives, words);
    for (int id = 0; id < WORLD_COMPONENTS; id++)
        if (ecs->columns[id].has)
            world_marks_clear(&ecs->columns[id].changed, words);
}

const uint64_t *world_ecs_query(const struct world_ecs *ecs, enum world_query_id id)
{
    const struct world_query *query = &ecs->queries[id];
    uint64_t undeclared = (query->all | query->none) & ~ecs->readable;
    if (undeclared)
        world_ecs_undeclared(ecs, "asks for", (unsigned)__builtin_ctzll(undeclared));
    return query->slots;
}
