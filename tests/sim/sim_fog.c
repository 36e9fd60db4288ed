#include "tests/sim/sim_internal.h"

#include <stdlib.h>
#include <string.h>

// The oracle: what every empire may know, computed anew in every tick from positions alone, by the
// rules that services/vision/README.md states, and with no code of the cores or of libcommon/hex.

// --- sight ---------------------------------------------------------------------------------------

enum lent { LENT_NOTHING, LENT_BEACONS, LENT_ALL };

static enum lent lends(const struct sim *sim, uint32_t from, uint32_t to, uint64_t tick)
{
    bool ordered = false, member[SIM_ALLIANCES][2] = {{false}}, allied = false;
    for (size_t i = 0; i < sim->shares.count; i++) {
        const struct sim_share_order *order = &sim->shares.items[i];
        if (order->tick > tick)
            continue;
        if (order->alliance == 0 && order->from == from && order->to == to)
            ordered = order->begin;
        if (order->alliance != 0 && order->from == from)
            member[order->alliance][0] = order->begin;
        if (order->alliance != 0 && order->from == to)
            member[order->alliance][1] = order->begin;
    }
    for (size_t a = 0; a < SIM_ALLIANCES; a++)
        allied |= member[a][0] && member[a][1];
    if (from == to || ordered || (allied && !sim->beacons_only))
        return LENT_ALL;
    return allied ? LENT_BEACONS : LENT_NOTHING;
}

static bool is_lent(enum lent lent, const struct sim_entity *entity)
{
    return lent == LENT_ALL ||
           (lent == LENT_BEACONS && entity->sense == MMORTS__FRAME__SIGHT_TYPE__SIGHT_SHARED);
}

bool sim_fog_lends(const struct sim *sim, const struct sim_moment *now,
                   const struct sim_entity *entity, uint32_t to)
{
    return entity->owner != 0 && is_lent(lends(sim, entity->owner, to, now->tick), entity);
}

static int32_t steps_between(int32_t dq, int32_t dr)
{
    int32_t a = abs(dq), b = abs(dr), c = abs(dq + dr);
    return a > b ? (a > c ? a : c) : (b > c ? b : c);
}

// What the hex that lies at (x, y), in units of 1 / scale hexes, costs sight.
static uint32_t cost_at(const struct sim *sim, const struct sim_moment *now, int32_t x, int32_t y,
                        int32_t scale)
{
    int64_t best = INT64_MAX;
    int32_t at_q = 0, at_r = 0;
    for (int32_t q = x / scale - 2; q <= x / scale + 2; q++) {
        for (int32_t r = y / scale - 2; r <= y / scale + 2; r++) {
            int64_t dx = x - q * scale, dy = y - r * scale;
            int64_t square = dx * dx + dx * dy + dy * dy;
            if (square >= best)
                continue;
            best = square;
            at_q = q;
            at_r = r;
        }
    }
    return sim_bit(now->map, at_q, at_r)
               ? sim_sight_costs[sim->terrain[at_r + SIM_HALF][at_q + SIM_HALF]]
               : 0;
}

static bool is_hidden(const struct sim *sim, const struct sim_moment *now, int32_t from_q,
                      int32_t from_r, int32_t range, int32_t q, int32_t r)
{
    int32_t n = steps_between(q - from_q, r - from_r);
    for (int32_t side = -1; side <= 1; side += 2) {
        uint32_t sum = (uint32_t)n;
        int32_t scale = 1000 * n;
        for (int32_t i = 1; i < n; i++)
            sum += cost_at(sim, now, from_q * scale + (q - from_q) * 1000 * i + side,
                           from_r * scale + (r - from_r) * 1000 * i + 2 * side, scale);
        if (sum <= (uint32_t)range)
            return false;
    }
    return true;
}

bool sim_fog_reaches(const struct sim *sim, const struct sim_moment *now,
                     const struct sim_entity *entity, int32_t q, int32_t r)
{
    return entity->owner != 0 && entity->sight_enabled && entity->sight > 0 &&
           steps_between(q - entity->q, r - entity->r) <= entity->sight &&
           sim_bit(now->map, q, r) &&
           !(sim->terrain_blocks && is_hidden(sim, now, entity->q, entity->r, entity->sight, q, r));
}

// All hexes of the map within the range of (q, r), but for those that terrain hides: row by row,
// from r - range on.
static void find_disc(const struct sim *sim, const struct sim_moment *now, int32_t q, int32_t r,
                      int32_t range, uint64_t *rows)
{
    for (int32_t dr = -range; dr <= range; dr++) {
        uint64_t *row = &rows[dr + range];
        int32_t from = dr < 0 ? -range - dr : -range, to = dr < 0 ? range : range - dr;
        *row = 0;
        for (int32_t dq = from; dq <= to; dq++) {
            if (!sim_bit(now->map, q + dq, r + dr))
                continue;
            if (sim->terrain_blocks && is_hidden(sim, now, q, r, range, q + dq, r + dr))
                sim->report->shaded++;
            else
                *row |= UINT64_C(1) << (q + dq + SIM_HALF);
        }
    }
}

// What can be seen from a place depends on the map alone: it is found once for every map.
struct disc {
    uint64_t map_version;
    uint64_t rows[2 * SIM_SIGHT_MAX + 1];
};

static const struct disc *disc_of(const struct sim *sim, const struct sim_moment *now,
                                  const struct sim_entity *entity)
{
    static struct disc known[SIM_SIGHT_MAX][SIM_SIDE][SIM_SIDE];
    if (entity->sight > SIM_SIGHT_MAX || !sim_on_map(entity->q, entity->r))
        abort();
    struct disc *disc = &known[entity->sight - 1][entity->r + SIM_HALF][entity->q + SIM_HALF];
    if (disc->map_version != now->map_version) {
        disc->map_version = now->map_version;
        find_disc(sim, now, entity->q, entity->r, entity->sight, disc->rows);
    }
    return disc;
}

static void add_disc(const struct disc *disc, const struct sim_entity *entity, uint64_t *rows)
{
    int32_t first = entity->r - entity->sight + SIM_HALF;
    for (int32_t i = 0; i <= 2 * entity->sight; i++)
        if (first + i >= 0 && first + i < SIM_SIDE)
            rows[first + i] |= disc->rows[i];
}

struct look {
    uint64_t visible[SIM_SIDE], detected[SIM_SIDE];
};

static void look(const struct sim *sim, const struct sim_moment *now, uint32_t empire,
                 struct look *out)
{
    enum lent lent[SIM_EMPIRES + 1];
    memset(out, 0, sizeof *out);
    for (uint32_t from = 1; from <= SIM_EMPIRES; from++) {
        lent[from] = lends(sim, from, empire, now->tick);
        sim->report->lent += lent[from] == LENT_ALL && from != empire;
        sim->report->lent_beacons += lent[from] == LENT_BEACONS;
    }
    for (uint32_t i = 0; i < now->count; i++) {
        const struct sim_entity *entity = &now->entities[i];
        if (entity->owner == 0 || !is_lent(lent[entity->owner], entity) || !entity->sight_enabled ||
            entity->sight <= 0)
            continue;
        const struct disc *disc = disc_of(sim, now, entity);
        add_disc(disc, entity, out->visible);
        if (entity->sense == MMORTS__FRAME__SIGHT_TYPE__SIGHT_DETECTOR)
            add_disc(disc, entity, out->detected);
    }
}

// --- memory --------------------------------------------------------------------------------------

// Where the moment has the entity; from the place on where another moment of about the same
// entities has it.
static const struct sim_entity *entity_of(const struct sim_moment *moment, uint64_t id,
                                          uint32_t place, uint32_t *at_out)
{
    if (place > moment->count)
        place = moment->count;
    for (uint32_t n = 0; n < moment->count; n++) {
        uint32_t i = place + n < moment->count ? place + n : place + n - moment->count;
        if (moment->entities[i].id == id) {
            *at_out = i;
            return &moment->entities[i];
        }
    }
    return NULL;
}

static void forget_at(struct sim_fog *fog, uint32_t i)
{
    fog->memories[i] = fog->memories[--fog->memory_count];
}

// What was remembered ends: seen again, expired, or its place came into sight.
static void old_memories(const struct sim *sim, const struct sim_moment *before, uint32_t empire,
                         const struct sim_moment *now, struct sim_fog *fog)
{
    const struct sim_fog *was = &before->fog[empire];
    fog->memory_count = was->memory_count;
    memcpy(fog->memories, was->memories, was->memory_count * sizeof *fog->memories);
    for (uint32_t i = fog->memory_count; i-- > 0;) {
        const struct sim_memory *memory = &fog->memories[i];
        uint32_t at, ended_at;
        bool exists = entity_of(now, memory->id, 0, &at), seen = exists && fog->sees[at];
        bool revealed = sim_bit(fog->visible, memory->q, memory->r) &&
                        !sim_bit(was->visible, memory->q, memory->r);
        bool expired = memory->expires_at != 0 && memory->expires_at <= now->tick;
        sim->report->died_unseen += !exists && entity_of(before, memory->id, 0, &ended_at);
        sim->report->revealed += revealed && !seen;
        sim->report->expired += expired;
        if (seen || revealed || expired)
            forget_at(fog, i);
    }
}

// What was in sight and is no longer.
static void new_memories(const struct sim *sim, uint32_t empire, const struct sim_moment *before,
                         const struct sim_moment *now, struct sim_fog *fog, uint64_t last_seen)
{
    const struct sim_fog *was = &before->fog[empire];
    for (uint32_t i = 0; i < before->count; i++) {
        const struct sim_entity *entity = &before->entities[i];
        if (!was->sees[i])
            continue;
        bool visible = sim_bit(fog->visible, entity->q, entity->r);
        int32_t ticks = sim_types[entity->type].memory_ticks;
        uint32_t at;
        bool exists = entity_of(now, entity->id, i, &at);
        sim->report->died_seen += !exists && visible && entity->owner != empire;
        if (ticks < 0 || (exists && fog->sees[at]) || (!exists && entity->owner == empire))
            continue;
        // Its end was seen, or its place came into sight in this tick, without it.
        if (visible && (!exists || !sim_bit(was->visible, entity->q, entity->r)))
            continue;
        if (fog->memory_count == SIM_MEMORIES)
            abort();
        fog->memories[fog->memory_count++] =
            (struct sim_memory){.id = entity->id,
                                .type = entity->type,
                                .owner = entity->owner,
                                .q = entity->q,
                                .r = entity->r,
                                .health = entity->health,
                                .last_seen = last_seen,
                                .expires_at = ticks == 0 ? 0 : now->tick + (uint64_t)ticks};
    }
}

// Timed ones first, the soonest to expire; then those seen longest ago; then the lower id.
static bool yields(const struct sim_memory *x, const struct sim_memory *y)
{
    if ((x->expires_at == 0) != (y->expires_at == 0))
        return y->expires_at == 0;
    if (x->expires_at != y->expires_at)
        return x->expires_at < y->expires_at;
    return x->last_seen != y->last_seen ? x->last_seen < y->last_seen : x->id < y->id;
}

static void limit_memories(const struct sim *sim, struct sim_fog *fog)
{
    while (fog->memory_count > sim->memories_max) {
        uint32_t first = 0;
        for (uint32_t i = 1; i < fog->memory_count; i++)
            if (yields(&fog->memories[i], &fog->memories[first]))
                first = i;
        forget_at(fog, first);
        sim->report->evicted++;
    }
}

// --- a tick --------------------------------------------------------------------------------------

static void step_empire(struct sim *sim, uint32_t empire, const struct sim_moment *before,
                        struct sim_moment *now, uint64_t previous_tick)
{
    const struct sim_fog *was = &before->fog[empire];
    struct sim_fog *fog = &now->fog[empire];
    struct look seen;
    look(sim, now, empire, &seen);
    memcpy(fog->visible, seen.visible, sizeof fog->visible);
    for (size_t row = 0; row < SIM_SIDE; row++)
        fog->explored[row] = was->explored[row] | seen.visible[row];
    for (uint32_t i = 0; i < now->count; i++) {
        const struct sim_entity *entity = &now->entities[i];
        bool in_range = sim_bit(seen.visible, entity->q, entity->r);
        bool noticed = !entity->stealthed || sim_bit(seen.detected, entity->q, entity->r);
        fog->sees[i] = entity->owner == empire || (in_range && noticed);
        if (in_range && entity->stealthed && entity->owner != empire)
            *(noticed ? &sim->report->detected : &sim->report->hidden) += 1;
        sim_return_note(sim, empire, before, now, entity, fog->sees[i]);
    }
    old_memories(sim, before, empire, now, fog);
    new_memories(sim, empire, before, now, fog, previous_tick);
    limit_memories(sim, fog);
}

void sim_fog_step(struct sim *sim, const struct sim_moment *before, struct sim_moment *now,
                  uint64_t previous_tick)
{
    static struct sim_moment nothing; // no entities, no fog: all zero
    for (uint32_t empire = 1; empire <= SIM_EMPIRES; empire++)
        step_empire(sim, empire, before ? before : &nothing, now, previous_tick);
    now->lineage = sim->lineage;
}
