#include "tests/support/vision_world_internal.h"

#include <string.h>

// The truth, from raw positions and from scratch; in the plainest way, so that it can be seen to be
// right.

bool vision_truth_lends(const struct vision_world *world, const struct truth_entity *entity,
                        uint32_t to)
{
    uint32_t from = entity->owner;
    if (from == to || world->shares[from][to])
        return true;
    bool allied = false;
    for (int a = 0; a < ALLIANCES; a++)
        allied |= world->allied[a][from] && world->allied[a][to];
    return allied && (!world->options.beacons_only ||
                      entity->looks_sense == MMORTS__FRAME__SIGHT_TYPE__SIGHT_SHARED);
}

// The hex whose centre is nearest to a point (x, y) in units of 1 / scale hexes.
static void nearest(long x, long y, long scale, int *q_out, int *r_out)
{
    long best = -1;
    for (long q = x / scale - 2; q <= x / scale + 2; q++) {
        for (long r = y / scale - 2; r <= y / scale + 2; r++) {
            long dx = x - q * scale, dy = y - r * scale;
            long square = dx * dx + dx * dy + dy * dy; // of the distance, in axial coordinates
            if (best >= 0 && square >= best)
                continue;
            best = square;
            *q_out = (int)q;
            *r_out = (int)r;
        }
    }
}

// What the hexes between the two cost sight, on the better side of the straight line.
static uint32_t cost_between(const struct vision_world *world, int q, int r, int to_q, int to_r)
{
    uint32_t least = UINT32_MAX;
    int n = steps(to_q - q, to_r - r);
    for (int side = -1; side <= 1; side += 2) {
        uint32_t sum = 0;
        for (int i = 1; i < n; i++) {
            long scale = 1000L * n;
            int at_q = 0, at_r = 0;
            nearest(q * scale + (to_q - q) * 1000L * i + side,
                    r * scale + (to_r - r) * 1000L * i + 2 * side, scale, &at_q, &at_r);
            int hex = hex_at(at_q, at_r);
            if (hex >= 0 && world->hex_known[hex])
                sum += sight_cost_of(terrain_at(at_q, at_r));
        }
        least = sum < least ? sum : least;
    }
    return least;
}

bool vision_truth_reaches(const struct vision_world *world, const struct truth_entity *observer,
                          int q, int r)
{
    int hex = hex_at(q, r);
    int distance = steps(q - observer->looks_q, r - observer->looks_r);
    if (hex < 0 || !world->hex_known[hex] || distance > observer->looks_sight ||
        observer->looks_sight <= 0)
        return false;
    return !world->options.terrain_blocks ||
           cost_between(world, observer->looks_q, observer->looks_r, q, r) + (uint32_t)distance <=
               (uint32_t)observer->looks_sight;
}

static void look(const struct vision_world *world, uint32_t empire, bool *visible, bool *detected)
{
    memset(visible, 0, HEXES);
    memset(detected, 0, HEXES);
    for (uint32_t slot = 1; slot < SLOTS; slot++) {
        const struct truth_entity *entity = &world->now[slot];
        int range = entity->looks_sight;
        if (range == 0 || !vision_truth_lends(world, entity, empire))
            continue;
        for (int q = entity->looks_q - range; q <= entity->looks_q + range; q++) {
            for (int r = entity->looks_r - range; r <= entity->looks_r + range; r++) {
                int hex = hex_at(q, r);
                if (!vision_truth_reaches(world, entity, q, r))
                    continue;
                visible[hex] = true;
                if (entity->looks_sense == MMORTS__FRAME__SIGHT_TYPE__SIGHT_DETECTOR)
                    detected[hex] = true;
            }
        }
    }
    for (int hex = 0; hex < HEXES && !world->options.fog_of_war; hex++)
        visible[hex] = world->hex_known[hex];
}

static uint32_t alive_slot(const struct vision_world *world, uint64_t id)
{
    for (uint32_t slot = 1; slot < SLOTS; slot++) {
        if (world->now[slot].alive && world->now[slot].id == id)
            return slot;
    }
    return 0;
}

static void part(struct vision_world *world, uint32_t empire, uint32_t slot)
{
    struct knowledge *knowledge = &world->truth[empire];
    const struct truth_entity *seen = &world->before[slot];
    int memory = vision_world_types[seen->type].memory;
    bool gone = alive_slot(world, seen->id) == 0;
    int hex = hex_at(seen->q, seen->r);
    bool visible = knowledge->state[hex] == 2;
    bool revealed = visible && world->last.state[hex] != 2;
    if (memory < 0 || (gone && seen->owner == empire) || (visible && (gone || revealed)))
        return;
    struct truth_memory *slot_of = memory_slot(knowledge);
    slot_of->used = true;
    slot_of->row = (struct vision_memory){
        .empire = empire,
        .id = seen->id,
        .type = seen->type,
        .owner = seen->owner,
        .at = {seen->q, seen->r},
        .health = seen->health,
        .first_seen = world->last.first_seen[slot],
        .last_seen = world->tick - 1,
        .expires_at = memory == 0 ? 0 : world->tick + (uint64_t)memory,
    };
}

static bool yields(const struct vision_memory *x, const struct vision_memory *y)
{
    uint64_t a[] = {x->expires_at == 0, x->expires_at, x->last_seen, x->id};
    uint64_t b[] = {y->expires_at == 0, y->expires_at, y->last_seen, y->id};
    for (int i = 0; i < 4; i++) {
        if (a[i] != b[i])
            return a[i] < b[i];
    }
    return false;
}

static void limit_memories(struct vision_world *world, struct knowledge *knowledge)
{
    for (;;) {
        size_t count = 0;
        struct truth_memory *first = NULL;
        for (size_t i = 0; i < MEMORIES; i++) {
            struct truth_memory *memory = &knowledge->memories[i];
            if (!memory->used)
                continue;
            count++;
            if (!first || yields(&memory->row, &first->row))
                first = memory;
        }
        if (count <= world->options.memories_max)
            return;
        first->used = false;
    }
}

void vision_truth_update(struct vision_world *world, uint32_t empire)
{
    static bool visible[HEXES], detected[HEXES];
    struct knowledge *knowledge = &world->truth[empire];
    world->last = *knowledge;
    look(world, empire, visible, detected);
    for (int hex = 0; hex < HEXES; hex++) {
        knowledge->state[hex] = visible[hex] ? 2 : knowledge->state[hex] != 0;
        if (visible[hex])
            knowledge->terrain[hex] = (uint8_t)(terrain_at(hex_q(hex), hex_r(hex)) + 1);
    }
    for (uint32_t slot = 1; slot < SLOTS; slot++) {
        const struct truth_entity *entity = &world->now[slot];
        int hex = hex_at(entity->q, entity->r);
        bool sees = entity->alive && (entity->owner == empire ||
                                      (visible[hex] && (!entity->stealthed || detected[hex])));
        bool same = world->last.sees[slot] && world->last.sees_id[slot] == entity->id;
        knowledge->sees[slot] = sees;
        knowledge->sees_id[slot] = entity->id;
        if (sees && !same) {
            struct truth_memory *memory = memory_of(knowledge, entity->id);
            knowledge->first_seen[slot] = memory ? memory->row.first_seen : world->tick;
            if (memory)
                memory->used = false;
        }
    }
    for (size_t i = 0; i < MEMORIES; i++) {
        struct truth_memory *memory = &knowledge->memories[i];
        if (!memory->used)
            continue;
        int hex = hex_at(memory->row.at.q, memory->row.at.r);
        bool revealed = visible[hex] && (world->restarted || world->last.state[hex] != 2);
        bool expired = memory->row.expires_at != 0 && memory->row.expires_at <= world->tick;
        if (revealed || expired)
            memory->used = false;
    }
    for (uint32_t slot = 1; slot < SLOTS && !world->restarted; slot++) {
        if (!world->last.sees[slot])
            continue;
        bool still = knowledge->sees[slot] && knowledge->sees_id[slot] == world->last.sees_id[slot];
        if (!still)
            part(world, empire, slot);
    }
    limit_memories(world, knowledge);
}
