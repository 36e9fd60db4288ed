#include "tests/sim/sim_internal.h"

#include <string.h>

// What a player shows against what its empire may know: nothing missing, nothing extra.

struct comparison {
    struct sim *sim;
    const struct sim_player *player;
    const struct sim_moment *moment;
};

#define DIFFER(c, format, ...)                                                                     \
    sim_fail((c)->sim, "tick %llu, empire %u: " format, (unsigned long long)(c)->moment->tick,     \
             (c)->player->empire, __VA_ARGS__)

static void compare_hexes(const struct comparison *c, const uint64_t *shown, const uint64_t *truth,
                          const char *what)
{
    if (memcmp(shown, truth, SIM_SIDE * sizeof *shown) == 0)
        return;
    for (int32_t r = -SIM_HALF; r < SIM_HALF; r++)
        for (int32_t q = -SIM_HALF; q < SIM_HALF; q++)
            if (sim_bit(shown, q, r) != sim_bit(truth, q, r))
                DIFFER(c, "hex (%d, %d) is %s %s", q, r,
                       sim_bit(shown, q, r) ? "wrongly shown as" : "not shown as", what);
}

static const struct sim_known *find(const struct sim_known *list, uint32_t count, uint64_t id)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i].id == id)
            return &list[i];
    return NULL;
}

static void compare_entity(const struct comparison *c, const struct sim_known *k,
                           const struct sim_entity *e)
{
    const char *name = sim_types[e->type].name;
    if (k->type != e->type)
        DIFFER(c, "%s %u is shown as another type", name, e->slot);
    if (k->q != e->q || k->r != e->r)
        DIFFER(c, "%s %u is shown at (%d, %d), not (%d, %d)", name, e->slot, k->q, k->r, e->q,
               e->r);
    if (k->owner != e->owner)
        DIFFER(c, "%s %u is shown as owned by %u, not %u", name, e->slot, k->owner, e->owner);
    if (k->health != e->health || k->activity != e->activity || k->progress != e->progress ||
        k->amount != e->amount)
        DIFFER(c, "%s %u: health %d activity %u progress %d amount %d, not %d %u %d %d", name,
               e->slot, k->health, k->activity, k->progress, k->amount, e->health, e->activity,
               e->progress, e->amount);
    if (k->rank != e->rank)
        DIFFER(c, "%s %u is shown with rank %d, not %d", name, e->slot, k->rank, e->rank);
    if (e->owner != c->player->empire) {
        if (k->carried || k->has_target)
            DIFFER(c, "%s %u: its owner's secrets are known", name, e->slot);
        return;
    }
    bool moves = e->activity == MMORTS__FRAME__ACTIVITY__ACTIVITY_MOVING;
    if (k->carried != e->carried)
        DIFFER(c, "%s %u carries %d, not %d", name, e->slot, k->carried, e->carried);
    if (k->has_target != moves ||
        (moves && (k->target_q != e->target_q || k->target_r != e->target_r)))
        DIFFER(c, "%s %u: target", name, e->slot);
}

static bool is_in_sight(const struct sim_moment *moment, const struct sim_fog *fog, uint64_t id)
{
    for (uint32_t i = 0; i < moment->count; i++)
        if (moment->entities[i].id == id)
            return fog->sees[i];
    return false;
}

static void compare_entities(const struct comparison *c, const struct sim_fog *fog)
{
    uint32_t in_sight = 0;
    for (uint32_t i = 0; i < c->moment->count; i++) {
        if (!fog->sees[i])
            continue;
        const struct sim_entity *entity = &c->moment->entities[i];
        const struct sim_known *known =
            find(c->player->entities, c->player->entity_count, entity->id);
        in_sight++;
        if (known)
            compare_entity(c, known, entity);
        else
            DIFFER(c, "%s %u is in sight and not shown", sim_types[entity->type].name,
                   entity->slot);
    }
    for (uint32_t i = 0; in_sight != c->player->entity_count && i < c->player->entity_count; i++) {
        const struct sim_known *k = &c->player->entities[i];
        if (!is_in_sight(c->moment, fog, k->id))
            DIFFER(c, "a %s at (%d, %d) is shown and not in sight", sim_types[k->type].name, k->q,
                   k->r);
    }
    c->sim->report->entities += in_sight;
}

static bool remembers(const struct sim_fog *fog, uint64_t id)
{
    for (uint32_t i = 0; i < fog->memory_count; i++)
        if (fog->memories[i].id == id)
            return true;
    return false;
}

static void compare_memories(const struct comparison *c, const struct sim_fog *fog)
{
    for (uint32_t i = 0; i < fog->memory_count; i++) {
        const struct sim_memory *m = &fog->memories[i];
        const char *name = sim_types[m->type].name;
        const struct sim_known *k = find(c->player->memories, c->player->memory_count, m->id);
        if (!k)
            DIFFER(c, "the %s at (%d, %d) is remembered and not shown", name, m->q, m->r);
        else if (k->type != m->type || k->owner != m->owner || k->q != m->q || k->r != m->r ||
                 k->health != m->health || k->last_seen != m->last_seen ||
                 k->expires_at != m->expires_at)
            DIFFER(c,
                   "the memory of a %s: (%d, %d) owner %u health %d seen %llu until %llu, not "
                   "(%d, %d) %u %d %llu %llu",
                   name, k->q, k->r, k->owner, k->health, (unsigned long long)k->last_seen,
                   (unsigned long long)k->expires_at, m->q, m->r, m->owner, m->health,
                   (unsigned long long)m->last_seen, (unsigned long long)m->expires_at);
    }
    for (uint32_t i = 0; i < c->player->memory_count; i++) {
        const struct sim_known *k = &c->player->memories[i];
        if (!remembers(fog, k->id))
            DIFFER(c, "a %s at (%d, %d), last seen %llu, is remembered beyond its time",
                   sim_types[k->type].name, k->q, k->r, (unsigned long long)k->last_seen);
    }
    c->sim->report->memories += fog->memory_count;
}

// --- what was told only in part ------------------------------------------------------------------

static bool is_known_so(const struct sim_player *player, const struct sim_entity *e)
{
    const struct sim_known *k = find(player->entities, player->entity_count, e->id);
    bool own = e->owner == player->empire;
    bool moves = own && e->activity == MMORTS__FRAME__ACTIVITY__ACTIVITY_MOVING;
    return k && k->type == e->type && k->owner == e->owner && k->q == e->q && k->r == e->r &&
           k->health == e->health && k->activity == e->activity && k->progress == e->progress &&
           k->amount == e->amount && k->rank == e->rank && k->carried == (own ? e->carried : 0) &&
           k->has_target == moves &&
           (!moves || (k->target_q == e->target_q && k->target_r == e->target_r));
}

static bool is_remembered_so(const struct sim_player *player, const struct sim_memory *m)
{
    const struct sim_known *k = find(player->memories, player->memory_count, m->id);
    return k && k->type == m->type && k->owner == m->owner && k->q == m->q && k->r == m->r &&
           k->health == m->health && k->last_seen == m->last_seen && k->expires_at == m->expires_at;
}

// How many entities and hexes it knows otherwise than they are.
static uint64_t differences(const struct sim_player *player, const struct sim_moment *moment)
{
    const struct sim_fog *fog = &moment->fog[player->empire];
    uint64_t count = 0;
    for (uint32_t i = 0; i < moment->count; i++)
        count += fog->sees[i] && !is_known_so(player, &moment->entities[i]);
    for (uint32_t i = 0; i < fog->memory_count; i++)
        count += !is_remembered_so(player, &fog->memories[i]);
    for (uint32_t i = 0; i < player->entity_count; i++)
        count += !is_in_sight(moment, fog, player->entities[i].id) &&
                 !remembers(fog, player->entities[i].id);
    for (uint32_t i = 0; i < player->memory_count; i++)
        count += !is_in_sight(moment, fog, player->memories[i].id) &&
                 !remembers(fog, player->memories[i].id);
    for (size_t row = 0; row < SIM_SIDE; row++)
        count += (uint64_t)__builtin_popcountll((player->visible[row] ^ fog->visible[row]) |
                                                (player->explored[row] ^ fog->explored[row]));
    return count;
}

void sim_player_compare_part(struct sim *sim, const struct sim_player *player,
                             const struct sim_moment *moment, uint64_t deferred)
{
    uint64_t count = differences(player, moment);
    if (count > deferred)
        sim_fail(sim,
                 "tick %llu, empire %u: %llu entities and hexes are shown otherwise than they are, "
                 "and only %llu are still to be told",
                 (unsigned long long)moment->tick, player->empire, (unsigned long long)count,
                 (unsigned long long)deferred);
    sim->report->compared_parts++;
}

// --- everything ----------------------------------------------------------------------------------

void sim_player_compare(struct sim *sim, const struct sim_player *player,
                        const struct sim_moment *moment)
{
    struct comparison c = {sim, player, moment};
    const struct sim_fog *fog = &moment->fog[player->empire];
    compare_hexes(&c, player->visible, fog->visible, "visible");
    compare_hexes(&c, player->explored, fog->explored, "explored");
    compare_entities(&c, fog);
    compare_memories(&c, fog);
    sim->report->compared++;
}

static bool has_id(const uint64_t *list, uint32_t count, uint64_t id)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i] == id)
            return true;
    return false;
}

// What it has and makes, as of the message of production's that sync applied last.
void sim_player_compare_stock(struct sim *sim, const struct sim_player *player)
{
    const struct sim_stock_moment *moment =
        &sim->production.history[sim->sync.stock_seq % SIM_STOCK_HISTORY];
    if (moment->epoch != sim->sync.stock_epoch || moment->seq != sim->sync.stock_seq)
        return;
    const struct sim_holding *truth = &moment->of[player->empire];
    for (size_t i = 0; i < SIM_ITEMS; i++)
        if (truth->stock[i] != (player->stock[i] < 0 ? 0 : player->stock[i]))
            sim_fail(sim, "empire %u is shown %lld %s, and has %lld", player->empire,
                     (long long)player->stock[i], sim_items[i], (long long)truth->stock[i]);
    // A job that waits is told when it starts, and in full states.
    bool same = true;
    for (uint32_t k = 0; k < truth->job_count; k++)
        same &= truth->waits[k] || has_id(player->jobs, player->job_count, truth->jobs[k]);
    for (uint32_t i = 0; i < player->job_count; i++)
        same &= has_id(truth->jobs, truth->job_count, player->jobs[i]);
    if (!same)
        sim_fail(sim, "empire %u is shown %u jobs, and has %u, or others", player->empire,
                 player->job_count, truth->job_count);
    sim->report->stocks++;
}
