// Who stands idle in the way of its own: it makes way, and is where it was when the other has
// passed. Some by hand, then random crowds on random ground.

#include "services/world/core/state.h"
#include "tests/support/world_fixture.h"
#include "tests/support/world_orders.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { UNITS_MAX = 160 };

struct scene {
    struct world_rules *rules;
    struct world *world;
    struct fixture_inputs inputs;
    struct mm_rng rng;
    uint64_t seq;
    uint64_t units[UNITS_MAX]; // of empire 1
    struct hex_axial posts[UNITS_MAX];
    uint32_t count;
};

static void scene_begin(struct scene *s, uint64_t seed)
{
    s->world = fixture_world(s->rules, 1);
    fixture_inputs_init(&s->inputs, 64);
    fixture_found(s->world, 2);
    mm_rng_seed(&s->rng, seed);
}

static void scene_open(struct scene *s, uint64_t seed)
{
    memset(s, 0, sizeof *s);
    s->rules = fixture_open_rules();
    scene_begin(s, seed);
}

static void scene_close(struct scene *s)
{
    char problem[128] = "";
    cr_assert_eq(world_verify(s->world, problem, sizeof problem), MM_OK, "%s", problem);
    cr_assert_eq(world_state_hash(s->world), world_state_hash_full(s->world));
    fixture_inputs_free(&s->inputs);
    world_free(s->world);
    free(s->rules);
}

static struct world_entity_view look(const struct scene *s, uint64_t id)
{
    struct world_entity_view view = {0};
    cr_assert(world_find_entity(s->world, id, &view));
    return view;
}

static struct hex_axial hex(int32_t q, int32_t r)
{
    return (struct hex_axial){q, r};
}

static uint64_t put(struct scene *s, const char *type, uint32_t empire, int32_t q, int32_t r)
{
    return fixture_put(s->world, &s->inputs, type, empire, hex(q, r));
}

// One that is looked after.
static uint64_t station(struct scene *s, const char *type, int32_t q, int32_t r)
{
    cr_assert_lt(s->count, (uint32_t)UNITS_MAX);
    s->units[s->count] = put(s, type, 1, q, r);
    s->posts[s->count] = hex(q, r);
    return s->units[s->count++];
}

static uint32_t send(struct scene *s, const uint64_t *units, size_t count, struct hex_axial to)
{
    fixture_move(&s->inputs, 1, ++s->seq, units, count, to.q, to.r, false);
    return fixture_step_checked(s->world, &s->inputs).reason;
}

static unsigned until_still(struct scene *s, unsigned ticks_max)
{
    unsigned ticks = 0;
    for (; ticks < ticks_max && world_mover_count(s->world) > 0; ticks++) {
        fixture_run(s->world, 1);
        char problem[128] = "";
        if (ticks % 16 == 0)
            cr_assert_eq(world_verify(s->world, problem, sizeof problem), MM_OK, "%s", problem);
    }
    cr_assert_eq(world_mover_count(s->world), 0, "%u still go after %u ticks",
                 world_mover_count(s->world), ticks);
    return ticks;
}

// How many of those stationed are not on their posts. None may be farther than a step from it.
static uint32_t off_posts(const struct scene *s, uint64_t but)
{
    uint32_t off = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        int32_t distance = hex_distance(look(s, s->units[i]).at, s->posts[i]);
        if (s->units[i] == but)
            continue;
        cr_assert_leq(distance, 1, "one of %d,%d is %d hexes off", s->posts[i].q, s->posts[i].r,
                      distance);
        off += distance > 0;
    }
    return off;
}

// A tunnel along r = 0 from one q to another, both included, open at both ends.
static void dig_tunnel(struct scene *s, int32_t from, int32_t to)
{
    for (int32_t q = from; q <= to; q++) {
        put(s, "barracks", 1, q + 1, -1);
        put(s, "barracks", 1, q - 1, 1);
    }
}

#define OK MMORTS__WORLD__COMMAND_REASON__COMMAND_OK
#define AT(id, q_, r_)                                                                             \
    cr_assert(hex_equal(look(&s, id).at, hex(q_, r_)), "it is at %d,%d", look(&s, id).at.q,        \
              look(&s, id).at.r)

// --- by hand -------------------------------------------------------------------------------------

Test(make_way, who_is_sent_arrives_and_who_stood_in_the_way_is_where_it_was)
{
    struct scene s;
    scene_open(&s, 1);
    uint64_t scout = put(&s, "scout", 1, 12, 0);
    for (int32_t q = 27; q < 33; q++)
        for (int32_t r = -3; r <= 3; r++)
            if (q != 30 || r != 0)
                station(&s, "worker", q, r);
    cr_assert_eq(send(&s, &scout, 1, hex(30, 0)), OK);
    until_still(&s, 400);
    AT(scout, 30, 0);
    cr_assert_eq(off_posts(&s, 0), 0);
    for (uint32_t i = 0; i < s.count; i++)
        cr_assert_eq(look(&s, s.units[i]).activity, MMORTS__FRAME__ACTIVITY__ACTIVITY_IDLE);
    scene_close(&s);
}

Test(make_way, also_far_from_the_goal_where_there_is_no_way_around)
{
    struct scene s;
    scene_open(&s, 1);
    dig_tunnel(&s, 14, 24);
    put(&s, "barracks", 1, 13, 0);
    put(&s, "barracks", 1, 14, -1);
    station(&s, "soldier", 15, 0);
    station(&s, "worker", 16, 0);
    station(&s, "scout", 20, 0);
    uint64_t scout = put(&s, "scout", 1, 14, 0);
    cr_assert_eq(send(&s, &scout, 1, hex(40, 0)), OK);
    until_still(&s, 600);
    AT(scout, 40, 0);
    cr_assert_eq(off_posts(&s, 0), 0);
    scene_close(&s);
}

Test(make_way, a_column_does_not_drag_along_who_stands_in_its_way)
{
    struct scene s;
    scene_open(&s, 1);
    dig_tunnel(&s, 16, 24);
    station(&s, "worker", 20, 0);
    uint64_t column[6];
    for (int i = 0; i < 6; i++)
        column[i] = put(&s, "scout", 1, 15 - i, 0);
    cr_assert_eq(send(&s, column, 6, hex(34, 0)), OK);
    for (int i = 0; i < 400; i++) {
        fixture_run(s.world, 1);
        off_posts(&s, 0); // never more than a step
    }
    until_still(&s, 400);
    for (int i = 0; i < 6; i++)
        cr_assert_leq(hex_distance(look(&s, column[i]).at, hex(34, 0)), 1);
    cr_assert_eq(off_posts(&s, 0), 0);
    scene_close(&s);
}

Test(make_way, whose_place_was_taken_meanwhile_stays_beside_it)
{
    struct scene s;
    scene_open(&s, 1);
    dig_tunnel(&s, 14, 24);
    uint64_t worker = station(&s, "worker", 18, 0), scout = put(&s, "scout", 1, 14, 0);
    cr_assert_eq(send(&s, &scout, 1, hex(22, 0)), OK);
    for (int i = 0; i < 100 && look(&s, scout).at.q < 18; i++)
        fixture_run(s.world, 1);
    AT(scout, 18, 0);
    AT(worker, 17, 0);
    cr_assert_eq(look(&s, worker).activity, MMORTS__FRAME__ACTIVITY__ACTIVITY_MOVING);
    fixture_stop(&s.inputs, 1, ++s.seq, &scout, 1);
    cr_assert_eq(fixture_step_checked(s.world, &s.inputs).reason, OK);
    until_still(&s, 100);
    AT(scout, 18, 0);
    AT(worker, 17, 0);
    scene_close(&s);
}

Test(make_way, a_new_order_counts_and_the_step_back_does_not)
{
    struct scene s;
    scene_open(&s, 1);
    dig_tunnel(&s, 14, 24);
    uint64_t worker = put(&s, "worker", 1, 18, 0), scout = put(&s, "scout", 1, 14, 0);
    cr_assert_eq(send(&s, &scout, 1, hex(22, 0)), OK);
    for (int i = 0; i < 100 && look(&s, scout).at.q < 18; i++)
        fixture_run(s.world, 1);
    AT(worker, 17, 0);
    cr_assert_eq(send(&s, &worker, 1, hex(15, 0)), OK);
    until_still(&s, 200);
    AT(scout, 22, 0);
    AT(worker, 15, 0);
    scene_close(&s);
}

Test(make_way, nobody_is_moved_who_is_at_work_or_of_another_empire)
{
    struct scene s;
    memset(&s, 0, sizeof s);
    s.rules = fixture_open_rules();
    fixture_peace(s.rules);
    scene_begin(&s, 1);
    dig_tunnel(&s, 14, 24);
    uint64_t stranger = put(&s, "soldier", 2, 18, 0);
    uint64_t scout = put(&s, "scout", 1, 12, 0);
    cr_assert_eq(send(&s, &scout, 1, hex(28, 0)), OK);
    until_still(&s, 2000);
    AT(stranger, 18, 0);
    AT(scout, 28, 0); // around
    cr_assert_eq(send(&s, &scout, 1, hex(12, 0)), OK);
    until_still(&s, 2000);
    AT(stranger, 18, 0);
    // Now one of its own that gathers there: the tunnel's wall has a vein in it.
    fixture_despawn(&s.inputs, stranger);
    cr_assert(fixture_step_checked(s.world, &s.inputs).applied);
    uint64_t worker = put(&s, "worker", 1, 22, 0), vein = 0;
    put(&s, "scout", 1, 25, 3); // sees it
    struct world_entity_view wall;
    for (uint32_t cursor = 0; world_next_entity(s.world, &cursor, &wall);)
        if (hex_equal(wall.at, hex(22, 1)))
            vein = wall.id;
    fixture_despawn(&s.inputs, vein);
    cr_assert(fixture_step_checked(s.world, &s.inputs).applied);
    vein = put(&s, "gold_mine", 0, 22, 1);
    fixture_gather(&s.inputs, 1, ++s.seq, &worker, 1, vein, false);
    cr_assert_eq(fixture_step_checked(s.world, &s.inputs).reason, OK);
    fixture_run(s.world, 2);
    cr_assert_eq(look(&s, worker).activity, MMORTS__FRAME__ACTIVITY__ACTIVITY_GATHERING);
    cr_assert_eq(send(&s, &scout, 1, hex(28, 0)), OK);
    for (int i = 0; i < 80; i++) {
        fixture_run(s.world, 1);
        AT(worker, 22, 0); // four portions of five: it has not gone home yet
    }
    scene_close(&s);
}

Test(make_way, who_guards_goes_on_guarding)
{
    struct scene s;
    scene_open(&s, 1);
    dig_tunnel(&s, 14, 24);
    uint64_t soldier = put(&s, "soldier", 1, 18, 0), scout = put(&s, "scout", 1, 16, 0);
    cr_assert_eq(send(&s, &scout, 1, hex(24, 0)), OK);
    for (int i = 0; i < 100 && look(&s, scout).at.q < 18; i++)
        fixture_run(s.world, 1);
    AT(soldier, 17, 0);
    // It is held up there, and an enemy comes to where it can reach him.
    fixture_stop(&s.inputs, 1, ++s.seq, &scout, 1);
    cr_assert_eq(fixture_step_checked(s.world, &s.inputs).reason, OK);
    put(&s, "worker", 2, 16, 0);
    bool struck = false;
    for (int i = 0; i < 40; i++) {
        fixture_run(s.world, 1);
        struck |= look(&s, soldier).activity == MMORTS__FRAME__ACTIVITY__ACTIVITY_ATTACKING;
    }
    cr_assert(struck);
    scene_close(&s);
}

Test(make_way, who_comes_to_a_crowd_about_a_taken_goal_stays_outside)
{
    struct scene s;
    scene_open(&s, 1);
    for (int32_t q = 28; q <= 32; q++)
        for (int32_t r = -2; r <= 2; r++)
            if (hex_distance(hex(q, r), hex(30, 0)) <= 2)
                station(&s, "soldier", q, r);
    // By a rally point, which is nobody's alone: a move would be to a free hex.
    uint64_t barracks = put(&s, "barracks", 1, 20, 0);
    fixture_rally(&s.inputs, 1, ++s.seq, &barracks, 1, 30, 0);
    cr_assert_eq(fixture_step_checked(s.world, &s.inputs).reason, OK);
    fixture_spawn_beside(&s.inputs, "trained", "soldier", 1, 3, barracks);
    cr_assert_eq(fixture_step_checked(s.world, &s.inputs).err, MM_OK);
    until_still(&s, 1500);
    cr_assert_eq(off_posts(&s, 0), 0);
    scene_close(&s);
}

// Workers go to and fro among soldiers who stand about the mine and the way home.
Test(make_way, nobody_is_driven_off_by_workers_at_their_work)
{
    struct scene s;
    scene_open(&s, 1);
    struct world_empire_view empire;
    cr_assert(world_empire(s.world, 1, &empire));
    struct hex_axial home = empire.home;
    uint64_t first[16]; // who stand all about the settlement
    size_t count = fixture_units(s.world, 1, NULL, first, 16);
    cr_assert_eq(send(&s, first, count, hex(home.q - 12, home.r)), OK);
    until_still(&s, 1000);
    uint64_t mine = put(&s, "gold_mine", 0, home.q + 7, home.r), workers[4];
    for (int i = 0; i < 4; i++)
        workers[i] = put(&s, "worker", 1, home.q + 3, home.r - 2 + i);
    for (int32_t q = 4; q <= 9; q++)
        for (int32_t r = -2; r <= 2; r++)
            if ((q + r) % 3 != 0 && hex_distance(hex(q, r), hex(7, 0)) > 0)
                station(&s, "soldier", home.q + q, home.r + r);
    fixture_gather(&s.inputs, 1, ++s.seq, workers, 4, mine, false);
    cr_assert_eq(fixture_step_checked(s.world, &s.inputs).reason, OK);
    for (int i = 0; i < 12; i++) {
        uint64_t before = i > 0 ? s.world->empires.items[0].deposits[0].total : 0;
        fixture_run(s.world, 1000);
        cr_assert_geq(s.world->empires.items[0].deposits[0].total, before + 50);
        // Out of the way once and for all, and not farther and farther.
        for (uint32_t k = 0; k < s.count; k++)
            cr_assert_leq(hex_distance(look(&s, s.units[k]).at, s.posts[k]), 4);
    }
    scene_close(&s);
}

// --- random --------------------------------------------------------------------------------------

enum ground { OPEN, GAP, TUNNEL, BLOCKS, GROUNDS };
#define MIDDLE 30

static void build_ground(struct scene *s, enum ground ground)
{
    if (ground == GAP)
        for (int32_t r = -10; r <= 10; r++)
            if (r != 0)
                put(s, "barracks", 1, MIDDLE - 4, r);
    if (ground == TUNNEL)
        dig_tunnel(s, MIDDLE - 6, MIDDLE + 6);
    for (int i = 0; ground == BLOCKS && i < 50; i++) {
        int32_t q = (int32_t)mm_rng_between(&s->rng, MIDDLE - 8, MIDDLE + 8);
        int32_t r = (int32_t)mm_rng_between(&s->rng, -8, 8);
        uint32_t cell = world_map_cell(&s->world->map, hex(q, r));
        if ((q != MIDDLE || r != 0) && world_cell_free(s->world, cell, WORLD_ON_BLOCKER))
            put(s, "barracks", 1, q, r);
    }
}

static const char *random_type(struct scene *s)
{
    static const char *const types[] = {"scout", "soldier", "worker", "champion"};
    return types[mm_rng_below(&s->rng, 4)];
}

static struct hex_axial random_free(struct scene *s, int32_t q, int32_t r, int32_t reach)
{
    for (;;) {
        struct hex_axial at = {q + (int32_t)mm_rng_between(&s->rng, -reach, reach),
                               r + (int32_t)mm_rng_between(&s->rng, -reach, reach)};
        uint32_t cell = world_map_cell(&s->world->map, at);
        if (cell != WORLD_CELL_NONE && world_cell_free(s->world, cell, WORLD_ON_UNIT))
            return at;
    }
}

// Whether a hex can be walked to past all units.
static bool reachable(const struct scene *s, struct hex_axial from, struct hex_axial to)
{
    static uint32_t queue[1 << 16];
    static uint8_t seen[1 << 16];
    const struct world_map *map = &s->world->map;
    uint32_t cells = world_map_cell_count(map), head = 0, tail = 0;
    cr_assert_leq(cells, 1u << 16);
    memset(seen, 0, sizeof seen);
    queue[tail++] = world_map_cell(map, from);
    seen[queue[0]] = 1;
    while (head < tail) {
        uint32_t cell = queue[head++];
        if (hex_equal(world_map_hex(map, cell), to))
            return true;
        for (unsigned d = 0; d < HEX_DIRECTIONS; d++) {
            uint32_t next = world_map_step(map, cell, d);
            if (next == WORLD_CELL_NONE || seen[next] || !world_map_passable(map, next) ||
                s->world->grid.cells[next].blockers > 0)
                continue;
            seen[next] = 1;
            queue[tail++] = next;
        }
    }
    return false;
}

// A crowd of all types that stands about, and one of it after the other is sent through it.
static void play_singles(uint64_t seed, uint32_t *sent, uint32_t *off)
{
    struct scene s;
    scene_open(&s, seed);
    build_ground(&s, (enum ground)(seed % GROUNDS));
    uint32_t crowd = (uint32_t)mm_rng_between(&s.rng, 10, 90);
    for (uint32_t i = 0; i < crowd; i++) {
        struct hex_axial at = random_free(&s, MIDDLE, 0, 5);
        station(&s, random_type(&s), at.q, at.r);
    }
    for (int k = 0; k < 8; k++) {
        for (uint32_t i = 0; i < s.count; i++)
            s.posts[i] = look(&s, s.units[i]).at;
        uint32_t one = (uint32_t)mm_rng_below(&s.rng, s.count);
        struct hex_axial to = random_free(&s, MIDDLE, 0, 7);
        if (!reachable(&s, s.posts[one], to))
            continue;
        cr_assert_eq(send(&s, &s.units[one], 1, to), OK);
        until_still(&s, 1000);
        struct hex_axial at = look(&s, s.units[one]).at;
        cr_assert(hex_equal(at, to), "seed %llu: sent to %d,%d it is at %d,%d",
                  (unsigned long long)seed, to.q, to.r, at.q, at.r);
        *off += off_posts(&s, s.units[one]);
        ++*sent;
    }
    scene_close(&s);
}

Test(make_way, whoever_is_sent_alone_through_any_crowd_arrives)
{
    uint32_t sent = 0, off = 0;
    for (uint64_t seed = 1; seed <= 60; seed++)
        play_singles(seed, &sent, &off);
    cr_assert_gt(sent, 300);
    cr_assert_lt(off, sent, "%u of %u: hardly anybody stays beside its post", off, sent);
}

// Several groups at once and a crowd in their way, some with orders one by one. Nothing is asked
// but that it ends, and that the same comes of it when the world was saved and loaded halfway.
static unsigned play_groups(uint64_t seed)
{
    struct scene s;
    scene_open(&s, seed);
    build_ground(&s, (enum ground)(seed % GROUNDS));
    uint32_t count = (uint32_t)mm_rng_between(&s.rng, 20, 120);
    for (uint32_t i = 0; i < count; i++) {
        struct hex_axial at = random_free(&s, MIDDLE, 0, 10);
        station(&s, random_type(&s), at.q, at.r);
    }
    unsigned ticks = 0;
    for (int wave = 0; wave < 4; wave++) {
        uint32_t from = (uint32_t)mm_rng_below(&s.rng, count),
                 some = 1 + (uint32_t)mm_rng_below(&s.rng, count - from);
        struct hex_axial to = random_free(&s, MIDDLE, 0, 6);
        send(&s, s.units + from, mm_rng_chance(&s.rng, 1, 3) ? 1 : some, to);
        fixture_run(s.world, (unsigned)mm_rng_below(&s.rng, 60));
    }
    struct world *again = fixture_reload(s.world);
    ticks = until_still(&s, 4000);
    fixture_run(again, ticks);
    cr_assert_eq(world_state_hash(again), world_state_hash(s.world));
    world_free(again);
    for (uint32_t i = 0; i < count; i++)
        cr_assert_eq(look(&s, s.units[i]).activity, MMORTS__FRAME__ACTIVITY__ACTIVITY_IDLE);
    scene_close(&s);
    return ticks;
}

Test(make_way, groups_and_crowds_come_to_rest)
{
    for (uint64_t seed = 1; seed <= 100; seed++)
        cr_assert_leq(play_groups(seed), 1500, "seed %llu", (unsigned long long)seed);
}

// The sum of the distances of so many who stand as close to a hex as can be.
static int32_t closest_sum(uint32_t count)
{
    int32_t sum = 0;
    uint32_t left = count - 1;
    for (uint32_t radius = 1; left > 0; radius++) {
        uint32_t here = left < 6 * radius ? left : 6 * radius;
        sum += (int32_t)(here * radius);
        left -= here;
    }
    return sum;
}

Test(make_way, a_group_fills_its_target_quickly_and_without_holes)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct scene s;
        scene_open(&s, seed);
        enum ground ground = seed % 2 ? OPEN : GAP;
        build_ground(&s, ground);
        for (uint32_t i = 0; i < 37; i++) {
            struct hex_axial at = random_free(&s, 15, 0, 6);
            station(&s, random_type(&s), at.q, at.r);
        }
        cr_assert_eq(send(&s, s.units, s.count, hex(MIDDLE, 0)), OK);
        unsigned ticks = until_still(&s, 1200);
        int32_t sum = 0;
        for (uint32_t i = 0; i < s.count; i++)
            sum += hex_distance(look(&s, s.units[i]).at, hex(MIDDLE, 0));
        // The wall is 4 hexes before the target: some may stay behind it.
        int32_t most = closest_sum(s.count) * (ground == OPEN ? 13 : 18) / 10;
        cr_assert_leq(sum, most, "seed %llu: %d", (unsigned long long)seed, sum);
        cr_assert_leq(ticks, ground == OPEN ? 500 : 1000);
        scene_close(&s);
    }
}
