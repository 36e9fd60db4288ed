#include "tests/sim/sim_internal.h"

#include <string.h>

// A player's program that asked for the binary encoding: tests/support/wire_decoder.h, which shares
// no code with sync, takes the messages apart; what they say is kept as sim_player.c keeps it.

struct reading {
    struct sim *sim;
    struct sim_player *player;
    bool full, names, other; // of the update that is read
    bool update;
};

#define FAIL(reading, ...) sim_fail((reading)->sim, "a player was told: " __VA_ARGS__)

// --- values --------------------------------------------------------------------------------------

// The empire's number; 0 for nobody.
static uint32_t owner_of(struct reading *r, uint64_t id)
{
    for (uint32_t empire = 1; id != 0 && empire <= SIM_EMPIRES; empire++)
        if (r->sim->empire_ids[empire] == id)
            return empire;
    if (id != 0)
        FAIL(r, "an owner that does not exist");
    return 0;
}

static uint32_t type_of(struct reading *r, uint32_t type)
{
    if (type < SIM_TYPES)
        return type;
    FAIL(r, "a type that does not exist");
    return 0;
}

static bool is_place(struct reading *r, int64_t q, int64_t at_r)
{
    if (q >= -SIM_HALF && q < SIM_HALF && at_r >= -SIM_HALF && at_r < SIM_HALF)
        return true;
    FAIL(r, "a place (%lld, %lld) far off the map", (long long)q, (long long)at_r);
    return false;
}

static void check_terrain(struct reading *r, int32_t q, int32_t at_r, int terrain)
{
    if (terrain >= 0 && terrain != r->sim->terrain[at_r + SIM_HALF][q + SIM_HALF])
        FAIL(r, "the wrong terrain of (%d, %d)", q, at_r);
}

static struct sim_known known_of(struct reading *r, const struct wire_entity *e)
{
    uint32_t type = type_of(r, e->type);
    struct sim_known known = {.id = e->id,
                              .type = type,
                              .owner = owner_of(r, e->owner),
                              .q = e->q,
                              .r = e->r,
                              .health = e->has_health ? (int32_t)e->health
                                                      : (int32_t)sim_health_max(type),
                              .progress = (int32_t)e->progress,
                              .amount = (int32_t)e->amount,
                              .carried = (int32_t)e->carried,
                              .rank = (int32_t)e->rank,
                              .activity = e->activity,
                              .has_target = e->has_target,
                              .target_q = (int32_t)e->target_q,
                              .target_r = (int32_t)e->target_r};
    (void)is_place(r, e->q, e->r);
    if ((e->carried || e->has_target) && known.owner != r->player->empire)
        FAIL(r, "what only the owner of an entity may know");
    return known;
}

// --- what a message says -------------------------------------------------------------------------

static void explored_begin(void *arg, bool reset)
{
    struct reading *r = arg;
    if (reset)
        sim_player_reset(r->player);
}

static void explored_hex(void *arg, int32_t q, int32_t at_r, int terrain)
{
    struct reading *r = arg;
    if (!is_place(r, q, at_r))
        return;
    if (terrain < 0)
        FAIL(r, "an explored hex without a terrain");
    check_terrain(r, q, at_r, terrain);
    r->player->explored[at_r + SIM_HALF] |= UINT64_C(1) << (q + SIM_HALF);
}

static void keep_memory(struct reading *r, struct sim_known known, const struct wire_memory *memory,
                        bool was_in_sight)
{
    known.last_seen = memory->last_seen;
    known.expires_at = memory->expires_at;
    if ((memory->mode == 1) != (memory->expires_at != 0))
        FAIL(r, "a memory whose mode and expiry disagree");
    sim_player_remember(r->sim, r->player, known, was_in_sight);
}

static void snapshot(void *arg, const struct wire_memory *memory)
{
    struct reading *r = arg;
    if (!memory->has_type || !is_place(r, memory->q, memory->r)) {
        FAIL(r, "a memory of nothing");
        return;
    }
    struct sim_known known = {.id = memory->id,
                              .type = type_of(r, memory->type),
                              .owner = owner_of(r, memory->owner),
                              .q = memory->q,
                              .r = memory->r,
                              .health = (int32_t)memory->health};
    keep_memory(r, known, memory, false);
}

static void cached(void *arg, const struct wire_entity *entity, const struct wire_memory *memory)
{
    struct reading *r = arg;
    const struct sim_known *known =
        sim_player_find(r->player->entities, r->player->entity_count, entity->id);
    if (known)
        keep_memory(r, *known, memory, true);
    else
        FAIL(r, "an entity is remembered that was not in sight");
}

static void resumed(void *arg, uint64_t tick)
{
    struct reading *r = arg;
    sim_player_update(r->sim, r->player, tick);
    sim_player_resumed(r->player);
}

static void update_begin(void *arg, uint64_t tick, bool full)
{
    struct reading *r = arg;
    sim_player_update(r->sim, r->player, tick);
    r->update = true;
    r->full = full;
    r->other = full;
}

static void empire(void *arg, uint64_t id, const char *name)
{
    struct reading *r = arg;
    (void)name;
    r->names = true;
    r->player->named |= UINT64_C(1) << owner_of(r, id);
}

static void gone_memory(void *arg, unsigned kind, uint64_t id)
{
    struct reading *r = arg;
    (void)kind;
    r->other = true;
    sim_player_disappeared(r->sim, r->player, id);
}

static void gone_entity(void *arg, const struct wire_entity *entity)
{
    struct reading *r = arg;
    r->other = true;
    sim_player_disappeared(r->sim, r->player, entity->id);
}

static void appeared(void *arg, const struct wire_entity *entity)
{
    struct reading *r = arg;
    r->other = true;
    sim_player_appeared(r->sim, r->player, known_of(r, entity));
}

static void seen_hex(void *arg, int32_t q, int32_t at_r, unsigned state, int terrain)
{
    struct reading *r = arg;
    r->other = true;
    if (!is_place(r, q, at_r))
        return;
    check_terrain(r, q, at_r, terrain);
    sim_player_hex(r->sim, r->player, q, at_r, state, terrain >= 0);
}

static void resource(void *arg, const char *name, int64_t amount)
{
    struct reading *r = arg;
    r->other = true;
    for (size_t i = 0; i < SIM_ITEMS; i++)
        if (strcmp(name, sim_items[i]) == 0)
            r->player->stock[i] = amount;
}

static void job(void *arg, const struct wire_job *job)
{
    struct reading *r = arg;
    r->other = true;
    sim_player_job(r->player, job->job, job->event <= 1); // started, progress
}

static void changed(void *arg, const struct wire_entity *e, unsigned fields)
{
    struct reading *r = arg;
    struct sim_player *p = r->player;
    r->other = true;
    struct sim_known *known = sim_player_find(p->entities, p->entity_count, e->id);
    if (!known) {
        FAIL(r, "an entity changes that is not in sight");
        return;
    }
    if (fields & WIRE_OWNER)
        known->owner = owner_of(r, e->owner);
    if ((fields & WIRE_PLACE) && is_place(r, e->q, e->r)) {
        known->q = e->q;
        known->r = e->r;
    }
    if (fields & WIRE_HEALTH)
        known->health = (int32_t)e->health;
    if (fields & WIRE_ACTIVITY)
        known->activity = e->activity;
    if (fields & WIRE_PROGRESS)
        known->progress = (int32_t)e->progress;
    if (fields & WIRE_AMOUNT)
        known->amount = (int32_t)e->amount;
    if (fields & WIRE_RANK)
        known->rank = (int32_t)e->rank;
    if ((fields & (WIRE_CARRIED | WIRE_TARGET)) && known->owner != p->empire)
        FAIL(r, "what only the owner of an entity may know");
    if (fields & WIRE_CARRIED)
        known->carried = (int32_t)e->carried;
    if (fields & WIRE_TARGET) {
        known->has_target = e->has_target;
        known->target_q = (int32_t)e->target_q;
        known->target_r = (int32_t)e->target_r;
    }
    if (known->owner != p->empire) {
        known->carried = 0;
        known->has_target = false;
    }
}

static const struct wire_sink sink = {
    .explored_begin = explored_begin,
    .explored_hex = explored_hex,
    .snapshot = snapshot,
    .cached = cached,
    .resumed = resumed,
    .update_begin = update_begin,
    .empire = empire,
    .gone_memory = gone_memory,
    .gone_entity = gone_entity,
    .appeared = appeared,
    .hex = seen_hex,
    .resource = resource,
    .job = job,
    .changed = changed,
};

void sim_player_take_binary(struct sim *sim, struct sim_player *player, const uint8_t *data,
                            size_t len)
{
    struct reading r = {.sim = sim, .player = player};
    if (!wire_decoder_take(&player->decoder, data, len, &sink, &r)) {
        sim_fail(sim, "a player was told something unreadable: %s", player->decoder.fault);
        return;
    }
    uint64_t deferred = player->decoder.deferred;
    if (r.update)
        sim_player_updated(player, r.full, r.names && !r.other && deferred == 0, deferred);
}
