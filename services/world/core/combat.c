#include "services/world/core/state.h"

#include "libcommon/base/hash.h"

#include <string.h>

// Who fights whom. A fight is a component of the attacker: it names the target and lives until one
// of the two is gone, out of sight, or (unless it was ordered) off its leash. `watch` looks for
// enemies of those who have nothing better to do, `guard` begins their fights; `fight` strikes and
// follows.

// Each chunk is looked over once in so many ticks.
#define WATCH_PERIOD          10
#define WATCH_CHUNKS_PER_PART 16
// A fighter looks anew where its target went; and gives up when so many looks led nowhere.
#define LOOK_TICKS 8
#define TRIES_MAX  20
// A worker gives up after so many.
#define WORK_TRIES_MAX 60

static struct hex_axial place_of(const struct world *world, uint32_t slot)
{
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot);
    return (struct hex_axial){place->q, place->r};
}

// --- who may be attacked -------------------------------------------------------------------------

bool world_is_hostile(const struct world *world, uint32_t slot, uint32_t other)
{
    const struct world_identity *mine =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    const struct world_identity *theirs =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, other);
    return mine->owner != theirs->owner && theirs->kind != MMORTS__FRAME__KIND__KIND_RESOURCE &&
           !world_allied(world, mine->owner, theirs->owner) &&
           (theirs->owner != 0 || theirs->kind == MMORTS__FRAME__KIND__KIND_NPC);
}

bool world_can_reach(const struct world *world, uint32_t slot, struct hex_axial target,
                     int32_t range)
{
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot);
    if (hex_distance((struct hex_axial){place->q, place->r}, target) <= range)
        return true;
    struct hex_axial ring[6 * WORLD_ATTACK_RANGE_MAX];
    uint32_t region = world_map_region(&world->map, place->cell);
    for (int32_t distance = 1; distance <= range; distance++) {
        size_t count = hex_ring(target, distance, ring);
        for (size_t i = 0; i < count; i++) {
            uint32_t cell = world_map_cell(&world->map, ring[i]);
            if (cell != WORLD_CELL_NONE && world_map_passable(&world->map, cell) &&
                world->grid.cells[cell].blockers == 0 &&
                world_map_region(&world->map, cell) == region)
                return true;
        }
    }
    return false;
}

bool world_place_to_stand(const struct world *world, uint32_t slot, struct hex_axial target,
                          int32_t range, struct hex_axial *out)
{
    struct hex_axial ring[6 * WORLD_ATTACK_RANGE_MAX];
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot);
    struct hex_axial at = {place->q, place->r};
    uint32_t region = world_map_region(&world->map, place->cell);
    int32_t best = INT32_MAX;
    for (int32_t distance = 1; distance <= range; distance++) {
        size_t count = hex_ring(target, distance, ring);
        for (size_t i = 0; i < count; i++) {
            uint32_t cell = world_map_cell(&world->map, ring[i]);
            int32_t far = hex_distance(at, ring[i]);
            if (far >= best || cell == WORLD_CELL_NONE ||
                !world_cell_free(world, cell, WORLD_ON_UNIT) ||
                world_map_region(&world->map, cell) != region)
                continue;
            best = far;
            *out = ring[i];
        }
    }
    return best != INT32_MAX;
}

bool world_walk_beside(struct world *world, uint32_t slot, struct hex_axial target, uint8_t *tries)
{
    const struct world_mover *mover = WORLD_GET(&world->ecs, WORLD_MOVER, world_mover, slot);
    const struct world_route *route = WORLD_GET(&world->ecs, WORLD_ROUTE, world_route, slot);
    if (mover && mover->phase != WORLD_MOVE_ARRIVED &&
        hex_distance((struct hex_axial){route->goal_q, route->goal_r}, target) <= 1)
        return true;
    if (++*tries > WORK_TRIES_MAX)
        return false;
    struct hex_axial goal;
    if (!world_place_to_stand(world, slot, target, 1, &goal)) {
        world_mover_stop(world, slot);
        world_set_activity(world, slot, MMORTS__FRAME__ACTIVITY__ACTIVITY_IDLE);
        return true; // others stand about it: perhaps not for long
    }
    world_mover_start(world, slot, goal);
    world_set_activity(world, slot, MMORTS__FRAME__ACTIVITY__ACTIVITY_MOVING);
    return true;
}

// How far off a fighter takes notice of enemies by itself.
static int32_t alert_radius(const struct world *world, uint32_t slot,
                            const struct world_stats *stats)
{
    uint32_t sight = world_sight_hexes(world, slot);
    uint32_t radius = stats->ticks_per_hex > 0 ? sight : stats->attack_range_hexes;
    if (radius > sight)
        radius = sight;
    return (int32_t)(radius < WORLD_ALERT_HEXES_MAX ? radius : WORLD_ALERT_HEXES_MAX);
}

// What was found out of who is shown to whom, while nobody moves: many fighters look at the same
// few whom their own eyes do not show them. Answers go by the place of their mix; the last one
// stays. Mostly nobody asks, so it is cleared by the first who does.
enum { SIGHTINGS = 2048 };
struct sightings {
    bool begun;
    struct sighting {
        uint32_t empire, slot; // slot 0: none
        bool seen;
    } of[SIGHTINGS];
};

// Whether a fighter has an enemy before it: by its own eyes, or by any its empire sees by (a
// detector's beside it, an ally's beyond the hill). Creatures have nobody but themselves.
static bool is_shown(const struct world *world, struct sightings *known, uint32_t slot,
                     uint32_t other)
{
    if (world_sees(world, slot, other))
        return true;
    uint32_t empire = WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot)->owner;
    if (empire == 0)
        return false;
    if (!known->begun)
        memset(known->of, 0, sizeof known->of);
    known->begun = true;
    struct sighting *sighting = &known->of[mm_mix64((uint64_t)empire << 32 | other) % SIGHTINGS];
    if (sighting->slot != other || sighting->empire != empire)
        *sighting = (struct sighting){empire, other, world_empire_sees(world, empire, other)};
    return sighting->seen;
}

// Somebody on the hex who is its enemy, is shown to it, and whom it can get at; the lowest slot.
static uint32_t enemy_on(const struct world *world, struct sightings *known, uint32_t slot,
                         const struct world_stats *stats, const struct world_walk *walk)
{
    if (walk->cell == WORLD_CELL_NONE)
        return WORLD_SLOT_NONE;
    for (uint32_t other = world_grid_first(&world->grid, walk->cell); other != 0;
         other = world_grid_next(&world->grid, other))
        if (world_is_hostile(world, slot, other) && is_shown(world, known, slot, other) &&
            world_can_reach(world, slot, walk->at, (int32_t)stats->attack_range_hexes))
            return other;
    return WORLD_SLOT_NONE;
}

// The nearest of them; of several the one on the hex that comes first on its ring (in the order of
// hex_ring).
static uint32_t nearest_enemy(const struct world *world, struct sightings *known, uint32_t slot)
{
    const struct world_stats *stats = world_stats_of(world, slot);
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot);
    struct world_walk walk = {{place->q, place->r}, place->cell};
    uint32_t enemy = enemy_on(world, known, slot, stats, &walk);
    int32_t far = alert_radius(world, slot, stats);
    for (int32_t radius = 1; radius <= far && enemy == WORLD_SLOT_NONE; radius++) {
        world_walk_step(&world->map, &walk, 0);
        for (unsigned side = 0; side < HEX_DIRECTIONS; side++)
            for (int32_t i = 0; i < radius && enemy == WORLD_SLOT_NONE; i++) {
                enemy = enemy_on(world, known, slot, stats, &walk);
                world_walk_step(&world->map, &walk, (side + 2) % HEX_DIRECTIONS);
            }
    }
    return enemy;
}

// --- beginning and ending ------------------------------------------------------------------------

void world_fight_begin(struct world *world, uint32_t slot, uint64_t target, bool ordered)
{
    const struct world_fight *old = WORLD_GET(&world->ecs, WORLD_FIGHT, world_fight, slot);
    uint64_t ready = old ? old->ready : world->tick;
    struct hex_axial at = place_of(world, slot);
    struct world_fight *fight = world_ecs_add(&world->ecs, WORLD_FIGHT, slot);
    *fight = (struct world_fight){
        .target = target,
        .ready = ready,
        .look = world->tick,
        .anchor_q = at.q,
        .anchor_r = at.r,
        .ordered = ordered,
    };
    world_mover_stop(world, slot);
}

static const struct world_order *present_order(const struct world *world, uint32_t slot)
{
    const struct world_orders *orders = WORLD_GET(&world->ecs, WORLD_ORDERS, world_orders, slot);
    return orders && orders->begun ? &orders->list[0] : NULL;
}

// What a fighter does when its fight is over: its next order, its march, its way home, or nothing.
static void end_fight(struct world *world, uint32_t slot, const struct world_fight *fight,
                      bool broken_off)
{
    const struct world_order *order = present_order(world, slot);
    struct hex_axial anchor = {fight->anchor_q, fight->anchor_r};
    bool ordered = fight->ordered;
    world_ecs_remove(&world->ecs, WORLD_FIGHT, slot);
    world_mover_stop(world, slot);
    if (order && ordered) {
        world_order_done(world, slot);
    } else if (order) {
        world_mover_start(world, slot, (struct hex_axial){order->q, order->r});
        world_set_activity(world, slot, MMORTS__FRAME__ACTIVITY__ACTIVITY_MOVING);
    } else if (world_stats_of(world, slot)->ticks_per_hex > 0 &&
               !hex_equal(anchor, place_of(world, slot))) {
        // Off the leash it goes home without looking left or right, or it would never get there.
        world_order_begin(world, slot, broken_off ? WORLD_ORDER_MOVE : WORLD_ORDER_ATTACK_MOVE,
                          anchor);
    } else {
        world_set_activity(world, slot, MMORTS__FRAME__ACTIVITY__ACTIVITY_IDLE);
    }
}

// --- watch and guard -----------------------------------------------------------------------------

// Creatures take notice where they wander. Beyond, whom they chased off is let go, or they would
// follow it to the end of the world.
static bool about_its_lair(const struct world *world, uint32_t slot,
                           const struct world_order *order)
{
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    return identity->kind == MMORTS__FRAME__KIND__KIND_NPC &&
           hex_distance(place_of(world, slot), (struct hex_axial){order->q, order->r}) <=
               (int32_t)order->type;
}

// Idle, or on a march that fights whom it meets, or a creature that guards its lair.
static bool on_guard(const struct world *world, uint32_t slot, const uint64_t *idle,
                     const uint64_t *ordered)
{
    if (world_stats_of(world, slot)->attack == 0 || !world_is_complete(world, slot))
        return false;
    if (mm_bitset_get(idle, slot))
        return world->rules.combat.guard != 0;
    if (!mm_bitset_get(ordered, slot))
        return false; // it fights already
    const struct world_orders *orders = WORLD_GET(&world->ecs, WORLD_ORDERS, world_orders, slot);
    if (!orders->begun)
        return false;
    if (orders->list[0].kind == WORLD_ORDER_WANDER)
        return world->rules.combat.guard != 0 && about_its_lair(world, slot, &orders->list[0]);
    return orders->list[0].kind == WORLD_ORDER_ATTACK_MOVE ||
           (orders->list[0].kind == WORLD_ORDER_PATROL && world->rules.combat.guard != 0);
}

// The chunks that are looked over in this tick: first, first + WATCH_PERIOD, ...
static uint32_t chunks_watched(const struct world *world)
{
    uint32_t first = (uint32_t)(world->tick % WATCH_PERIOD);
    uint32_t chunks = world->map.chunk_count;
    return chunks > first ? (chunks - first + WATCH_PERIOD - 1) / WATCH_PERIOD : 0;
}

uint32_t world_divide_watch(struct world *world)
{
    uint32_t chunks = world_alert_max(world) > 0 ? chunks_watched(world) : 0;
    uint32_t parts = world_parts(world, chunks, WATCH_CHUNKS_PER_PART);
    world->alarm_parts = chunks > 0 ? parts : 0;
    return world->alarm_parts;
}

// Only looks, and so may run beside whatever does not move anybody: each part writes down by itself
// whom its chunks' soldiers see.
void world_watch_part(struct world *world, uint32_t part)
{
    struct world_alarms *alarms = &world->alarms[part];
    struct sightings known;
    known.begun = false;
    int32_t alert_max = world_alert_max(world);
    const uint64_t *idle = world_ecs_query(&world->ecs, WORLD_QUERY_IDLE);
    const uint64_t *ordered = world_ecs_query(&world->ecs, WORLD_QUERY_ORDERED);
    uint32_t cells = world->map.tiling.cells, watched = chunks_watched(world);
    uint32_t each = (watched + world->alarm_parts - 1) / world->alarm_parts;
    uint32_t end = (part + 1) * each < watched ? (part + 1) * each : watched;
    mm_vec_clear(alarms);
    for (uint32_t i = part * each; i < end; i++) {
        uint32_t chunk = (uint32_t)(world->tick % WATCH_PERIOD) + i * WATCH_PERIOD;
        if (!world_sides_meet(&world->sides, &world->map, chunk, alert_max))
            continue;
        for (uint32_t cell = chunk * cells; cell < (chunk + 1) * cells; cell++)
            for (uint32_t slot = world_grid_first(&world->grid, cell); slot != 0;
                 slot = world_grid_next(&world->grid, slot)) {
                struct world_alarm alarm = {slot, WORLD_SLOT_NONE};
                if (on_guard(world, slot, idle, ordered))
                    alarm.enemy = nearest_enemy(world, &known, slot);
                if (alarm.enemy != WORLD_SLOT_NONE)
                    MM_CHECK(mm_vec_push(alarms, alarm));
            }
    }
}

// Sets upon them, in the order of the parts: as if one had looked at everything.
void world_system_guard(struct world *world)
{
    for (uint32_t part = 0; part < world->alarm_parts; part++)
        for (size_t i = 0; i < world->alarms[part].count; i++) {
            struct world_alarm alarm = world->alarms[part].items[i];
            uint64_t enemy = world_entity_handle(world_ecs_entity(&world->ecs, alarm.enemy));
            world_fight_begin(world, alarm.slot, enemy, false);
        }
    world->alarm_parts = 0;
}

// --- fight ---------------------------------------------------------------------------------------

// What a creature yields goes to the empire of whoever gave it the last blow.
static void take_bounty(struct world *world, uint32_t slot, uint32_t target)
{
    const struct world_identity *theirs =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, target);
    const struct world_type *type = &world->rules.types[theirs->type];
    uint32_t empire = WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot)->owner;
    if (empire == 0 || theirs->owner != 0 || theirs->kind != MMORTS__FRAME__KIND__KIND_NPC ||
        type->yields[0] == '\0' || type->amount == 0)
        return;
    world_deposit_add(world, empire, theirs->type, type->amount);
    world_tell(world, MMORTS__FRAME__EVENT_KIND__EVENT_DEPOSIT, slot, 0, (int32_t)type->amount,
               theirs->type);
}

static void strike(struct world *world, uint32_t slot, uint32_t target)
{
    const struct world_stats *stats = world_stats_of(world, slot),
                             *theirs = world_stats_of(world, target);
    uint32_t damage = stats->attack > theirs->defence ? stats->attack - theirs->defence : 1;
    struct world_fight *fight = WORLD_TOUCH(&world->ecs, WORLD_FIGHT, world_fight, slot);
    fight->ready = world->tick + stats->attack_cooldown_ticks;
    fight->look = world->tick + LOOK_TICKS;
    fight->tries = 0;
    world_mover_stop(world, slot);
    world_set_activity(world, slot, MMORTS__FRAME__ACTIVITY__ACTIVITY_ATTACKING);
    world_tell(world, MMORTS__FRAME__EVENT_KIND__EVENT_ATTACK, slot, target, (int32_t)damage, 0);
    struct world_health *health = WORLD_TOUCH(&world->ecs, WORLD_HEALTH, world_health, target);
    if (health->value <= 0)
        return; // it died in this tick already, of somebody else
    health->value -= (int32_t)damage;
    if (health->value > 0)
        return;
    struct world_veteran *veteran = world_ecs_add(&world->ecs, WORLD_VETERAN, slot);
    veteran->kills += veteran->kills < UINT32_MAX;
    // All who strike in one tick do so at once, so the dead leave at its end, and who has earned a
    // rank has it from the next on.
    world_tell(world, MMORTS__FRAME__EVENT_KIND__EVENT_DEATH, target, slot, 0, 0);
    take_bounty(world, slot, target);
    world_ecs_defer_despawn(&world->ecs, target);
}

// Goes after its target, or on. False: it cannot.
static bool follow(struct world *world, uint32_t slot, struct hex_axial target, int32_t range)
{
    struct world_fight *fight = WORLD_TOUCH(&world->ecs, WORLD_FIGHT, world_fight, slot);
    fight->look = world->tick + LOOK_TICKS;
    if (world_stats_of(world, slot)->ticks_per_hex == 0 || ++fight->tries > TRIES_MAX)
        return false;
    const struct world_mover *mover = WORLD_GET(&world->ecs, WORLD_MOVER, world_mover, slot);
    const struct world_route *route = WORLD_GET(&world->ecs, WORLD_ROUTE, world_route, slot);
    if (mover && mover->phase != WORLD_MOVE_ARRIVED &&
        hex_distance((struct hex_axial){route->goal_q, route->goal_r}, target) <= range) {
        // A long way takes as long as it takes, once it leads to the right place.
        fight->tries = 0;
        return true;
    }
    struct hex_axial goal;
    if (!world_place_to_stand(world, slot, target, range, &goal)) {
        world_mover_stop(world, slot);
        world_set_activity(world, slot, MMORTS__FRAME__ACTIVITY__ACTIVITY_IDLE);
        return true; // others are in the way: perhaps not for long
    }
    world_mover_start(world, slot, goal);
    world_set_activity(world, slot, MMORTS__FRAME__ACTIVITY__ACTIVITY_MOVING);
    return true;
}

// Whether it went farther than it may.
static bool off_its_leash(const struct world *world, uint32_t slot, const struct world_fight *fight)
{
    struct hex_axial anchor = {fight->anchor_q, fight->anchor_r};
    return !fight->ordered &&
           hex_distance(anchor, place_of(world, slot)) > (int32_t)world->rules.combat.leash_hexes;
}

static bool became_allies(const struct world *world, uint32_t slot, uint32_t target)
{
    return world_allied(world, WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot)->owner,
                        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, target)->owner);
}

static void fight_on(struct world *world, struct sightings *known, uint32_t slot)
{
    const struct world_fight *fight = WORLD_GET(&world->ecs, WORLD_FIGHT, world_fight, slot);
    const struct world_stats *stats = world_stats_of(world, slot);
    uint32_t target = world_ecs_slot_of_handle(&world->ecs, fight->target);
    if (target == WORLD_SLOT_NONE || stats->attack == 0) {
        uint32_t next =
            fight->ordered || stats->attack == 0 ? 0 : nearest_enemy(world, known, slot);
        if (next == WORLD_SLOT_NONE) {
            end_fight(world, slot, fight, false);
            return;
        }
        struct world_fight *changed = WORLD_TOUCH(&world->ecs, WORLD_FIGHT, world_fight, slot);
        changed->target = world_entity_handle(world_ecs_entity(&world->ecs, next));
        changed->look = world->tick;
        changed->tries = 0;
        target = next;
    }
    if (became_allies(world, slot, target)) {
        end_fight(world, slot, fight, false);
        return;
    }
    struct hex_axial there = place_of(world, target);
    int32_t range = (int32_t)stats->attack_range_hexes;
    bool in_range = hex_distance(place_of(world, slot), there) <= range;
    bool looks = fight->look <= world->tick, strikes = in_range && fight->ready <= world->tick;
    bool broken_off = looks && off_its_leash(world, slot, fight);
    // Nobody strikes at what is not shown any more, however often it strikes between two looks.
    if (broken_off || ((looks || strikes) && !is_shown(world, known, slot, target))) {
        end_fight(world, slot, fight, broken_off);
    } else if (strikes) {
        strike(world, slot, target);
    } else if (looks && !in_range && !follow(world, slot, there, range)) {
        // It could not get there: what it cannot reach it must not take up again at once.
        end_fight(world, slot, fight, true);
    } else if (in_range && WORLD_GET(&world->ecs, WORLD_MOVER, world_mover, slot)) {
        world_mover_stop(world, slot);
        world_set_activity(world, slot, MMORTS__FRAME__ACTIVITY__ACTIVITY_ATTACKING);
    }
}

void world_system_fight(struct world *world)
{
    struct sightings known;
    known.begun = false;
    const uint64_t *fighting = world_ecs_query(&world->ecs, WORLD_QUERY_FIGHTING);
    size_t end = world->ecs.slot_end;
    if (world_ecs_query_count(&world->ecs, WORLD_QUERY_FIGHTING) == 0)
        return;
    for (size_t slot = mm_bitset_next(fighting, end, 0); slot < end;
         slot = mm_bitset_next(fighting, end, slot + 1))
        fight_on(world, &known, (uint32_t)slot);
}
