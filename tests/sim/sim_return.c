#include "tests/sim/sim_internal.h"

// What leaves an empire's sight, changes unseen, and comes back with the value it had left with:
// whoever compares with what was told last, or forgets changes that nobody sees, loses sight of it
// there. Here it is only noted how often that happens, and when.

enum { HEALTH = 1, OWNER = 2, PROGRESS = 4, PLACE = 8, ACTIVITY = 16, AMOUNT = 32, RANK = 64 };

static uint32_t differences(const struct sim_entity *x, const struct sim_entity *y)
{
    return (x->health != y->health ? HEALTH : 0u) | (x->owner != y->owner ? OWNER : 0u) |
           (x->progress != y->progress ? PROGRESS : 0u) |
           (x->q != y->q || x->r != y->r ? PLACE : 0u) |
           (x->activity != y->activity ? ACTIVITY : 0u) | (x->amount != y->amount ? AMOUNT : 0u) |
           (x->rank != y->rank ? RANK : 0u);
}

static struct sim_absence *absence_of(struct sim *sim, uint32_t empire, uint32_t slot)
{
    return &sim->absences[empire][slot % SIM_ABSENCES];
}

static void left(struct sim_absence *absence, const struct sim_moment *before)
{
    absence->away = false;
    for (uint32_t i = 0; i < before->count && !absence->away; i++) {
        if (before->entities[i].id != absence->id)
            continue;
        absence->left = before->entities[i];
        absence->away = true;
        absence->changed = 0;
    }
}

static void came_back(struct sim *sim, struct sim_absence *absence, const struct sim_entity *now,
                      uint64_t tick)
{
    uint32_t differs = differences(&absence->left, now);
    uint32_t returned = absence->changed & ~differs;
    sim->report->returned += (uint64_t)__builtin_popcount(returned);
    sim->report->returned_health += (returned & HEALTH) != 0;
    sim->report->returned_owner += (returned & OWNER) != 0;
    sim->report->returned_whole += returned && !differs;
    absence->away = false;
    absence->whole_tick = returned && !differs ? tick : 0;
}

void sim_return_note(struct sim *sim, uint32_t empire, const struct sim_moment *before,
                     const struct sim_moment *now, const struct sim_entity *entity, bool sees)
{
    struct sim_absence *absence = absence_of(sim, empire, entity->slot);
    if (absence->id == entity->id && absence->seen && sees)
        return; // as nearly always
    if (absence->id != entity->id) {
        if (sees)
            *absence = (struct sim_absence){.id = entity->id, .seen = true};
        return;
    }
    if (sees && absence->away)
        came_back(sim, absence, entity, now->tick);
    else if (!sees && absence->seen)
        left(absence, before);
    absence->seen = sees;
    if (absence->away)
        absence->changed |= differences(&absence->left, entity);
}

bool sim_returned_whole(struct sim *sim, uint32_t empire, uint32_t slot, uint64_t tick)
{
    const struct sim_absence *absence = absence_of(sim, empire, slot);
    return absence->seen && absence->whole_tick == tick && tick != 0;
}

bool sim_return_prepare(struct sim *sim, struct sim_op *out)
{
    const struct sim_moment *now = sim_moment(sim, sim->world.published);
    if (now->count == 0)
        return false;
    const struct sim_entity *entity = &now->entities[sim_below(sim, now->count)];
    const struct sim_absence *absence =
        absence_of(sim, 1 + (uint32_t)sim_below(sim, SIM_EMPIRES), entity->slot);
    if (absence->id != entity->id || !absence->away)
        return false;
    int32_t was = absence->left.health;
    *out = (struct sim_op){entity->id, SIM_HEALTH, entity->health == was ? was / 2 + 1 : was};
    return true;
}
