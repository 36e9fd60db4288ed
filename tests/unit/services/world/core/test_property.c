// Random play over thousands of ticks, held against everything that must hold at any time.

#include "services/world/core/cut.h"
#include "services/world/core/state.h"
#include "tests/support/world_cooldowns.h"
#include "tests/support/world_mirror.h"
#include "tests/support/world_orders.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLAYERS = 5, INPUTS_MAX = 64, UNITS_MAX = 256 };

struct play {
    struct mm_rng rng;
    struct world *world;
    struct world_cut *cut;
    struct mm_rng cut_rng; // not to be part in the play
    struct fixture_inputs inputs;
    struct cooldown_model *cooldowns;
    uint64_t seq[PLAYERS + 2];
    uint64_t spawns;
    unsigned applied, refused, reasons, strikes, deaths, deposits, cuts, built, billed;
};

// The game's, with buildings that are complete before their workers are told something else.
static struct world_rules *quick(struct world_rules *rules)
{
    for (uint32_t i = 0; i < rules->type_count; i++)
        if (rules->types[i].build_ticks > 0)
            rules->types[i].build_ticks = 10 + i;
    return rules;
}

static struct world_rules *quick_rules(void)
{
    return quick(fixture_rules());
}

// Camps wherever there is room, and a map that grows around whoever comes to its edge.
static struct world_rules *quick_wild_rules(void)
{
    struct world_rules *rules = quick(fixture_wild_rules());
    rules->map.camp_distance_chunks = 1;
    for (uint32_t i = 0; i < rules->map.camp_count; i++) {
        rules->map.camps[i].per_myriad = 4000;
        rules->map.camps[i].respawn_ticks = 100;
    }
    return rules;
}

static struct hex_axial random_hex(struct play *play)
{
    // Mostly near somebody's home, sometimes anywhere, sometimes absurd.
    if (mm_rng_chance(&play->rng, 1, 50))
        return (struct hex_axial){(int32_t)mm_rng_u64(&play->rng), (int32_t)mm_rng_u64(&play->rng)};
    struct world_empire_view view = {0};
    world_empire(play->world, (uint32_t)mm_rng_between(&play->rng, 1, PLAYERS), &view);
    int32_t reach = mm_rng_chance(&play->rng, 1, 5) ? 60 : 12;
    return (struct hex_axial){view.home.q + (int32_t)mm_rng_between(&play->rng, -reach, reach),
                              view.home.r + (int32_t)mm_rng_between(&play->rng, -reach, reach)};
}

static size_t random_units(struct play *play, uint32_t player, uint64_t *units)
{
    uint64_t own[UNITS_MAX];
    size_t count = fixture_units(play->world, player, NULL, own, UNITS_MAX), taken = 0;
    for (size_t i = 0; i < count; i++)
        if (mm_rng_chance(&play->rng, 1, 2))
            units[taken++] = own[i];
    if (mm_rng_chance(&play->rng, 1, 10) && taken < UNITS_MAX) {
        // Somebody else's, or nobody's.
        struct world_entity_view view = {.id = mm_rng_u64(&play->rng)};
        uint32_t slot = (uint32_t)mm_rng_below(&play->rng, 400);
        world_entity_at_slot(play->world, slot, &view);
        units[taken++] = view.id;
    }
    return taken;
}

// Often one near one of the player's own, else anybody or nobody.
static uint64_t random_near(struct play *play, uint32_t player, bool nodes)
{
    struct world_entity_view own, view = {.id = mm_rng_u64(&play->rng)};
    uint64_t units[UNITS_MAX];
    size_t count = fixture_units(play->world, player, NULL, units, UNITS_MAX);
    if (count == 0 || mm_rng_chance(&play->rng, 1, 4)) {
        world_entity_at_slot(play->world, (uint32_t)mm_rng_below(&play->rng, 400), &view);
        return view.id;
    }
    uint64_t best = view.id;
    int32_t nearest = INT32_MAX;
    world_find_entity(play->world, units[mm_rng_below(&play->rng, count)], &own);
    for (uint32_t cursor = 0; world_next_entity(play->world, &cursor, &view);) {
        int32_t distance = hex_distance(own.at, view.at);
        bool is_node = world_rules_of(play->world)->types[view.type].amount > 0;
        bool fits = view.owner != player && is_node == nodes;
        if (fits && distance < nearest) {
            nearest = distance;
            best = view.id;
        }
    }
    return best;
}

static void random_patrol(struct play *play, uint32_t player, uint64_t seq, const uint64_t *units,
                          size_t count)
{
    int32_t points[2 * 10];
    size_t point_count = mm_rng_below(&play->rng, 10);
    for (size_t i = 0; i < point_count; i++) {
        struct hex_axial at = random_hex(play);
        points[2 * i] = at.q;
        points[2 * i + 1] = at.r;
    }
    fixture_patrol(&play->inputs, player, seq, units, count, points, point_count,
                   mm_rng_chance(&play->rng, 1, 3));
}

// Mostly one of the player's own that is not complete, or any of its own.
static uint64_t random_building(struct play *play, uint32_t player)
{
    struct world_entity_view view;
    uint64_t best = mm_rng_u64(&play->rng);
    bool open = mm_rng_chance(&play->rng, 3, 4);
    for (uint32_t cursor = 0; world_next_entity(play->world, &cursor, &view);) {
        bool is_building = world_rules_of(play->world)->types[view.type].build_ticks > 0;
        if (is_building && (view.owner == player || mm_rng_chance(&play->rng, 1, 30)) &&
            (!open || view.progress < 1000))
            best = view.id;
    }
    return best;
}

static void random_building_order(struct play *play, uint32_t player, uint64_t seq,
                                  const uint64_t *units, size_t count, bool queued)
{
    static const char *const names[] = {"tower", "barracks", "settlement", "soldier", "house"};
    struct world_entity_view own = {0};
    uint64_t id = random_building(play, player);
    struct hex_axial to = random_hex(play);
    if (count > 0 && mm_rng_chance(&play->rng, 3, 4) &&
        world_find_entity(play->world, units[0], &own)) {
        to.q = own.at.q + (int32_t)mm_rng_between(&play->rng, -4, 4);
        to.r = own.at.r + (int32_t)mm_rng_between(&play->rng, -4, 4);
    }
    switch (mm_rng_below(&play->rng, 8)) {
    case 0:
        fixture_cancel_build(&play->inputs, player, seq, id);
        break;
    case 1:
        fixture_rally(&play->inputs, player, seq, &id, 1, to.q, to.r);
        break;
    case 2:
    case 3:
        fixture_repair(&play->inputs, player, seq, units, count, id, queued);
        break;
    default:
        fixture_build(&play->inputs, player, seq, units, count, names[mm_rng_below(&play->rng, 5)],
                      to.q, to.r, queued);
        break;
    }
}

// Production says something about most open bills, sometimes twice, sometimes about none there is.
static void random_settlements(struct play *play)
{
    struct world_bill_view bill;
    for (uint64_t cursor = 0; world_next_bill(play->world, &cursor, &bill);) {
        if (play->inputs.count + 2 < play->inputs.capacity && mm_rng_chance(&play->rng, 1, 4))
            fixture_settle(&play->inputs, bill.number, mm_rng_chance(&play->rng, 4, 5));
    }
    if (mm_rng_chance(&play->rng, 1, 40))
        fixture_settle(&play->inputs, mm_rng_below(&play->rng, 50), true);
}

static void random_change(struct play *play)
{
    struct world_entity_view view = {.id = 12345};
    world_entity_at_slot(play->world, (uint32_t)mm_rng_below(&play->rng, 400), &view);
    char key[32];
    snprintf(key, sizeof key, "set-%u", (unsigned)mm_rng_below(&play->rng, 100));
    size_t count = mm_rng_below(&play->rng, 4);
    Mmorts__World__SetEntityRequest *set = fixture_set_entity(&play->inputs, key, view.id, count);
    for (size_t i = 0; i < count; i++) {
        Mmorts__World__EntityChange *change = set->changes[i];
        change->change_case = (Mmorts__World__EntityChange__ChangeCase)mm_rng_below(&play->rng, 11);
        // Goods from nowhere are looked for below.
        if (change->change_case == MMORTS__WORLD__ENTITY_CHANGE__CHANGE_AMOUNT)
            change->change_case = MMORTS__WORLD__ENTITY_CHANGE__CHANGE_PROGRESS;
        struct hex_axial at = random_hex(play);
        if (change->change_case == MMORTS__WORLD__ENTITY_CHANGE__CHANGE_PLACE) {
            change->place = mm_arena_calloc(play->inputs.arena, 1, sizeof *change->place);
            mmorts__world__hex__init(change->place);
            change->place->q = at.q;
            change->place->r = at.r;
        } else if (change->change_case == MMORTS__WORLD__ENTITY_CHANGE__CHANGE_OWNER) {
            change->owner = (uint32_t)mm_rng_below(&play->rng, PLAYERS + 2);
        } else if (change->change_case == MMORTS__WORLD__ENTITY_CHANGE__CHANGE_SIGHT_ENABLED) {
            change->sight_enabled = mm_rng_chance(&play->rng, 2, 3);
        } else if (change->change_case == MMORTS__WORLD__ENTITY_CHANGE__CHANGE_SIGHT_HEXES) {
            change->sight_hexes = (uint32_t)mm_rng_below(&play->rng, 36);
        } else if (change->change_case == MMORTS__WORLD__ENTITY_CHANGE__CHANGE_SIGHT_TYPE) {
            change->sight_type = (Mmorts__Frame__SightType)mm_rng_below(&play->rng, 4);
        } else if (change->change_case == MMORTS__WORLD__ENTITY_CHANGE__CHANGE_STEALTHED) {
            change->stealthed = mm_rng_chance(&play->rng, 1, 2);
        } else if (change->change_case == MMORTS__WORLD__ENTITY_CHANGE__CHANGE_SIGHT_AS_TYPE) {
            change->sight_as_type = mm_rng_chance(&play->rng, 4, 5);
        } else {
            change->progress = (uint32_t)mm_rng_below(&play->rng, 1200); // or another number
        }
    }
    if (mm_rng_chance(&play->rng, 1, 4))
        fixture_announce(&play->inputs, key, "hear, hear");
}

static void random_command(struct play *play)
{
    // Player PLAYERS + 1 has never joined.
    uint32_t player = (uint32_t)mm_rng_between(&play->rng, 1, PLAYERS + 1);
    uint64_t units[UNITS_MAX];
    size_t count = random_units(play, player, units);
    uint64_t seq = ++play->seq[player];
    if (mm_rng_chance(&play->rng, 1, 12)) // repeated, old, or none
        seq -= mm_rng_below(&play->rng, seq < 30 ? seq + 1 : 30);
    struct hex_axial to = random_hex(play);
    bool queued = mm_rng_chance(&play->rng, 1, 3);
    if (mm_rng_chance(&play->rng, 1, 5)) {
        random_building_order(play, player, seq, units, count, queued);
        return;
    }
    switch (mm_rng_below(&play->rng, 27)) {
    case 26:
        fixture_wander(&play->inputs, player, seq, units, count,
                       (uint32_t)mm_rng_below(&play->rng, 10), queued);
        break;
    case 0:
        fixture_stop(&play->inputs, player, seq, units, count);
        break;
    case 1:
        fixture_command(&play->inputs, player, seq, units, count);
        break;
    case 2:
        random_patrol(play, player, seq, units, count);
        break;
    case 3:
        fixture_move(&play->inputs, player, seq, units, count, to.q, to.r, false)->move->target =
            NULL;
        break;
    case 4:
    case 5:
    case 6:
        fixture_attack(&play->inputs, player, seq, units, count, random_near(play, player, false),
                       queued);
        break;
    case 7:
    case 8:
    case 9:
        fixture_attack_move(&play->inputs, player, seq, units, count, to.q, to.r, queued);
        break;
    case 10:
        fixture_attack(&play->inputs, player, seq, units, count, 0, queued)->attack = NULL;
        break;
    case 11:
        fixture_gather(&play->inputs, player, seq, units, count, 0, queued)->gather = NULL;
        break;
    case 12:
    case 13:
    case 14:
    case 15:
    case 16:
    case 17:
        fixture_gather(&play->inputs, player, seq, units, count, random_near(play, player, true),
                       queued);
        break;
    default:
        fixture_move(&play->inputs, player, seq, units, count, to.q, to.r, queued);
        break;
    }
}

static void random_inputs(struct play *play)
{
    fixture_inputs_clear(&play->inputs);
    uint64_t commands = mm_rng_chance(&play->rng, 1, 3) ? mm_rng_below(&play->rng, 6) : 0;
    for (uint64_t i = 0; i < commands; i++)
        random_command(play);
    if (mm_rng_chance(&play->rng, 1, 40)) {
        static const char *const types[] = {"soldier", "worker", "barracks", "woodland", "dragon"};
        char key[32];
        play->spawns += mm_rng_chance(&play->rng, 4, 5);
        snprintf(key, sizeof key, "spawn-%llu", (unsigned long long)play->spawns);
        struct hex_axial at = random_hex(play);
        fixture_spawn(&play->inputs, key, types[mm_rng_below(&play->rng, 5)],
                      (uint32_t)mm_rng_below(&play->rng, PLAYERS + 2),
                      (uint32_t)mm_rng_below(&play->rng, 6), at.q, at.r);
    }
    random_settlements(play);
    if (mm_rng_chance(&play->rng, 1, 30))
        random_change(play);
    if (mm_rng_chance(&play->rng, 1, 60)) {
        struct world_entity_view view = {.id = 12345};
        world_entity_at_slot(play->world, (uint32_t)mm_rng_below(&play->rng, 400), &view);
        fixture_despawn(&play->inputs, view.id);
    }
    if (mm_rng_chance(&play->rng, 1, 100))
        fixture_random_sharing(&play->inputs, &play->rng, PLAYERS);
    if (mm_rng_chance(&play->rng, 1, 150))
        fixture_pause(&play->inputs, mm_rng_chance(&play->rng, 1, 2));
    if (world_is_paused(play->world) && mm_rng_chance(&play->rng, 1, 5))
        fixture_pause(&play->inputs, false);
    if (mm_rng_chance(&play->rng, 1, 100))
        fixture_join(&play->inputs, mm_rng_below(&play->rng, PLAYERS + 1), "again");
}

// The inputs that changed something, as the journal keeps them.
static size_t journalled(const struct play *play, const world_input **out)
{
    size_t count = 0;
    for (size_t i = 0; i < play->inputs.count; i++)
        if (play->inputs.results[i].applied)
            out[count++] = play->inputs.items[i];
    return count;
}

static void check_sound(const struct world *world)
{
    char problem[128] = "";
    cr_assert_eq(world_verify(world, problem, sizeof problem), MM_OK, "tick %llu: %s",
                 (unsigned long long)world_tick(world), problem);
    cr_assert_eq(world_state_hash(world), world_state_hash_full(world), "tick %llu",
                 (unsigned long long)world_tick(world));
}

static struct world *save_and_load(const struct world *world)
{
    struct mm_buf bytes, again;
    mm_buf_init(&bytes, 1 << 28);
    mm_buf_init(&again, 1 << 28);
    world_save(world, &bytes);
    struct world *loaded;
    cr_assert_eq(bytes.err, MM_OK);
    cr_assert_eq(world_load(bytes.data, bytes.len, &loaded), MM_OK);
    cr_assert_eq(world_state_hash(loaded), world_state_hash(world));
    world_save(loaded, &again);
    cr_assert_eq(bytes.len, again.len);
    cr_assert(memcmp(bytes.data, again.data, bytes.len) == 0, "saved states differ");
    mm_buf_free(&again);
    mm_buf_free(&bytes);
    return loaded;
}

// A still picture, taken along with the play in pieces of any size, is what the world would have
// saved in the tick in which it became whole; then the next one is begun.
static void follow_cut(struct play *play)
{
    static const size_t pieces[] = {0, 1, 300, 5000, 40000, 1000000};
    bool whole = false;
    // As a shell does that has time left in a tick.
    for (int64_t n = mm_rng_between(&play->cut_rng, 1, 3); n > 0 && !whole; n--)
        cr_assert_eq(world_cut_follow(play->cut, play->world,
                                      pieces[mm_rng_below(&play->cut_rng, 6)], &whole),
                     MM_OK);
    if (!whole)
        return;
    struct mm_buf bytes, still;
    mm_buf_init(&bytes, 1 << 28);
    mm_buf_init(&still, 1 << 28);
    world_save(play->world, &bytes);
    cr_assert_eq(world_cut_save(play->cut, &still), MM_OK);
    cr_assert_eq(world_cut_tick(play->cut), world_tick(play->world));
    cr_assert_eq(world_cut_state_hash(play->cut), world_state_hash(play->world));
    cr_assert(bytes.len == still.len && memcmp(bytes.data, still.data, bytes.len) == 0,
              "tick %llu: the picture is another", (unsigned long long)world_tick(play->world));
    mm_buf_free(&still);
    mm_buf_free(&bytes);
    world_cut_begin(play->cut, play->world);
    play->cuts++;
}

static void check_snapshot(const struct world *world, const struct mirror *mirror)
{
    struct mm_arena *arena = mm_arena_new(1 << 16, 1 << 28);
    struct mirror *fresh = mirror_new();
    mirror_apply(fresh, world_snapshot_frame(world, arena));
    cr_assert(mirror_equal(mirror, fresh));
    mirror_free(fresh);
    mm_arena_free(arena);
}

static void step_shadow(struct world *shadow, const struct play *play, struct mm_arena *arena)
{
    const world_input *inputs[INPUTS_MAX];
    struct world_result results[INPUTS_MAX];
    size_t count = journalled(play, inputs);
    mm_arena_reset(arena);
    world_step(shadow, inputs, count, arena, results);
    for (size_t i = 0; i < count; i++)
        cr_assert(results[i].applied);
    cr_assert_eq(world_state_hash(shadow), world_state_hash(play->world),
                 "tick %llu: without the refused inputs the state is another",
                 (unsigned long long)world_tick(shadow));
}

static void count_results(struct play *play)
{
    for (size_t i = 0; i < play->inputs.count; i++) {
        const struct world_result *result = &play->inputs.results[i];
        play->applied += result->applied;
        play->refused += !result->applied;
        play->reasons |= 1u << result->reason;
        if (play->inputs.items[i]->input_case == MMORTS__WORLD__INPUT__INPUT_COMMAND)
            cr_assert(!result->applied ||
                      result->reason == MMORTS__WORLD__COMMAND_REASON__COMMAND_OK);
        play->billed += result->applied && result->bill != 0;
    }
}

// What every event must be: of entities that are there, or died in this very tick.
static void check_events(struct play *play)
{
    const struct world *world = play->world;
    for (size_t i = 0; i < world->events.count; i++) {
        const struct world_event *event = &world->events.items[i];
        cr_assert(event->entity > 0 && event->entity < world->ecs.slot_end);
        if (event->kind == MMORTS__FRAME__EVENT_KIND__EVENT_BUILT) {
            play->built++;
            continue;
        }
        bool is_bounty = event->kind == MMORTS__FRAME__EVENT_KIND__EVENT_DEPOSIT &&
                         !world_type_is_node(&world->rules.types[event->detail]);
        cr_assert(is_bounty == (event->other == 0) && event->other < world->ecs.slot_end);
        cr_assert_neq(event->entity, event->other);
        if (event->kind == MMORTS__FRAME__EVENT_KIND__EVENT_ATTACK) {
            play->strikes++;
            cr_assert_geq(event->value, 1);
        } else if (event->kind == MMORTS__FRAME__EVENT_KIND__EVENT_DEPOSIT) {
            play->deposits++;
            cr_assert_geq(event->value, 1);
        } else {
            play->deaths++;
            cr_assert_eq(event->kind, MMORTS__FRAME__EVENT_KIND__EVENT_DEATH);
            cr_assert_not(world_ecs_alive(&world->ecs, event->entity));
        }
    }
}

// What there is of goods: in nodes, carried, and brought home.
struct goods {
    int64_t *held; // by slot: in the node, or carried by the worker
    uint64_t *ids; // by slot: whose
    uint32_t slot_end;
    int64_t sum, deposited;
};

static struct goods count_goods(const struct world *world)
{
    struct goods goods = {.slot_end = world->ecs.slot_end};
    goods.held = calloc(goods.slot_end, sizeof *goods.held);
    goods.ids = calloc(goods.slot_end, sizeof *goods.ids);
    for (uint32_t slot = world_ecs_next(&world->ecs, 0); slot != WORLD_SLOT_NONE;
         slot = world_ecs_next(&world->ecs, slot)) {
        const struct world_amount *amount =
            WORLD_GET(&world->ecs, WORLD_AMOUNT, world_amount, slot);
        const struct world_cargo *cargo = WORLD_GET(&world->ecs, WORLD_CARGO, world_cargo, slot);
        goods.held[slot] = (amount ? amount->value : 0) + (cargo ? cargo->amount : 0);
        goods.ids[slot] = world_entity_public_id(world, slot);
        goods.sum += goods.held[slot];
        cr_assert_geq(goods.held[slot], 0);
    }
    for (size_t e = 0; e < world->empires.count; e++)
        for (uint32_t d = 0; d < world->empires.items[e].deposit_count; d++)
            // What creatures yield is nowhere before they are killed.
            if (world_type_is_node(&world->rules.types[world->empires.items[e].deposits[d].type]))
                goods.deposited += (int64_t)world->empires.items[e].deposits[d].total;
    return goods;
}

static void goods_free(struct goods *goods)
{
    free(goods->held);
    free(goods->ids);
}

// Nothing comes from nowhere and nothing is lost but with those who die: what was in nodes, carried
// and brought home before the tick is so after it, less what went and plus what came with them.
static void check_goods(const struct play *play, const struct goods *before)
{
    struct goods after = count_goods(play->world);
    int64_t went = 0, came = 0;
    for (uint32_t slot = 0; slot < before->slot_end; slot++)
        if (before->ids[slot] && before->ids[slot] != after.ids[slot])
            went += before->held[slot];
    for (uint32_t slot = 0; slot < after.slot_end; slot++)
        if (after.ids[slot] && (slot >= before->slot_end || before->ids[slot] != after.ids[slot]))
            came += after.held[slot];
    // A node that ran dry in this tick is among those that went, but what it held is carried now.
    int64_t left = before->sum + before->deposited + came - (after.sum + after.deposited);
    cr_assert(left >= 0 && left <= went, "tick %llu: %lld of %lld are gone",
              (unsigned long long)world_tick(play->world), (long long)left, (long long)went);
    cr_assert_geq(after.deposited, before->deposited);
    goods_free(&after);
}

// What was paid for buildings: lying in sites, and given back.
struct money {
    uint64_t in_sites, refunded;
};

static struct money count_money(const struct world *world)
{
    struct money money = {0};
    for (uint32_t slot = world_ecs_next(&world->ecs, 0); slot != WORLD_SLOT_NONE;
         slot = world_ecs_next(&world->ecs, slot)) {
        const struct world_site *site = WORLD_GET(&world->ecs, WORLD_SITE, world_site, slot);
        for (int item = 0; site && item < WORLD_ITEMS_MAX; item++)
            money.in_sites += site->paid[item];
    }
    for (size_t e = 0; e < world->empires.count; e++)
        for (int item = 0; item < WORLD_ITEMS_MAX; item++)
            money.refunded += world->empires.items[e].refunds[item];
    return money;
}

static uint64_t bill_sum(const struct world_bill_view *bill)
{
    uint64_t sum = 0;
    for (int item = 0; item < WORLD_ITEMS_MAX; item++)
        sum += bill->cost[item];
    return sum;
}

// What comes of the tick's settlements: paid for a site, or at once given back.
static struct money settled(const struct play *play, const struct world_bill_view *bills,
                            size_t bill_count)
{
    struct money money = {0};
    for (size_t i = 0; i < play->inputs.count; i++) {
        const world_input *input = play->inputs.items[i];
        const struct world_result *result = &play->inputs.results[i];
        if (input->input_case != MMORTS__WORLD__INPUT__INPUT_SETTLEMENT || !result->applied ||
            !input->settlement->paid)
            continue;
        for (size_t b = 0; b < bill_count; b++)
            if (bills[b].number == result->bill)
                *(result->reason == 0 ? &money.in_sites : &money.refunded) += bill_sum(&bills[b]);
    }
    return money;
}

// A paid bill is a site or comes back, whole; what a site leaves behind is at most what it took.
static void check_money(const struct play *play, const struct money *before,
                        const struct world_bill_view *bills, size_t bill_count)
{
    struct money after = count_money(play->world), paid = settled(play, bills, bill_count);
    uint64_t back = after.refunded - before->refunded;
    uint64_t gone = before->in_sites + paid.in_sites - after.in_sites;
    cr_assert(after.refunded >= before->refunded && back >= paid.refunded &&
                  back - paid.refunded <= gone,
              "tick %llu: %llu came back, of %llu", (unsigned long long)world_tick(play->world),
              (unsigned long long)back, (unsigned long long)(gone + paid.refunded));
}

static size_t open_bills(const struct world *world, struct world_bill_view *bills, size_t most)
{
    size_t count = 0;
    uint64_t cursor = 0;
    while (count < most && world_next_bill(world, &cursor, &bills[count]))
        count++;
    return count;
}

static unsigned deposits_made, too_soon, bills_settled, buildings_complete;

// Plays `ticks` and returns the last hash. The shadow gets only what was applied, and every now
// and then is replaced by a saved and loaded copy: it must not be told apart.
static uint64_t play_on(const struct world_rules *rules, uint64_t seed, unsigned ticks, bool check)
{
    struct play play = {.world = fixture_world(rules, seed)};
    struct world *shadow = fixture_world(rules, seed);
    struct mirror *mirror = mirror_new();
    struct mm_arena *arena = mm_arena_new(1 << 16, 1 << 28);
    mm_rng_seed(&play.rng, seed);
    fixture_inputs_init(&play.inputs, INPUTS_MAX);
    fixture_found(play.world, PLAYERS);
    fixture_found(shadow, PLAYERS);
    mirror_apply(mirror, world_snapshot_frame(play.world, arena));
    play.cut = world_cut_new();
    mm_rng_seed(&play.cut_rng, seed);
    world_cut_begin(play.cut, play.world);
    play.cooldowns = malloc(sizeof *play.cooldowns);
    cooldown_model_init(play.cooldowns, rules);
    for (unsigned i = 0; i < ticks; i++) {
        random_inputs(&play);
        struct goods before = count_goods(play.world);
        struct money money = count_money(play.world);
        struct world_bill_view bills[PLAYERS * WORLD_BILLS_PER_PLAYER_MAX];
        size_t bill_count = open_bills(play.world, bills, sizeof bills / sizeof bills[0]);
        fixture_step(play.world, &play.inputs);
        check_goods(&play, &before);
        check_money(&play, &money, bills, bill_count);
        goods_free(&before);
        cooldown_model_check(play.cooldowns, world_tick(play.world), &play.inputs);
        count_results(&play);
        check_events(&play);
        if (!check)
            continue;
        follow_cut(&play);
        step_shadow(shadow, &play, arena);
        mm_arena_reset(arena);
        mirror_apply(mirror, world_frame(play.world, arena));
        if (i % 10 == 0)
            check_sound(play.world);
        if (i % 50 == 0)
            check_snapshot(play.world, mirror);
        if (i % 97 == 0) {
            world_free(shadow);
            shadow = save_and_load(play.world);
        }
    }
    uint64_t hash = world_state_hash(play.world);
    if (check) {
        cr_assert_gt(play.applied, ticks / 10);
        cr_assert_gt(play.refused, ticks / 20);
        // Not all reasons can be met in random play, but most.
        cr_assert_geq(__builtin_popcount(play.reasons), 7, "reasons %x", play.reasons);
        cr_assert(play.strikes > 20 && play.deaths > 0, "%u strikes, %u deaths", play.strikes,
                  play.deaths);
        cr_assert_gt(play.cuts, ticks / 40);
        deposits_made += play.deposits;
        bills_settled += play.billed;
        buildings_complete += play.built;
    }
    too_soon += play.cooldowns->refused;
    free(play.cooldowns);
    fixture_inputs_free(&play.inputs);
    world_cut_free(play.cut);
    mm_arena_free(arena);
    mirror_free(mirror);
    world_free(shadow);
    world_free(play.world);
    return hash;
}

Test(world_property, random_play_keeps_every_invariant, .timeout = 300)
{
    struct world_rules *rules = quick_rules(), *wild = quick_wild_rules();
    for (uint64_t seed = 1; seed <= 8; seed++)
        play_on(seed % 2 ? rules : wild, seed, 2000, true);
    free(wild);
    cr_assert_gt(deposits_made, 20); // in one play there may be none
    cr_assert(bills_settled > 100 && buildings_complete > 10, "%u bills, %u buildings",
              bills_settled, buildings_complete);
    free(rules);
}

Test(world_property, several_units_on_a_hex, .timeout = 300)
{
    struct world_rules *rules = quick_rules();
    rules->movement.units_per_hex = 3;
    play_on(rules, 11, 1500, true);
    free(rules);
}

Test(world_property, a_small_budget_for_paths, .timeout = 300)
{
    struct world_rules *rules = quick_rules();
    rules->movement.path_nodes_per_tick = 100;
    rules->movement.path_nodes_per_search = 400;
    play_on(rules, 12, 1500, true);
    free(rules);
}

Test(world_property, few_spawn_keys_are_kept, .timeout = 300)
{
    struct world_rules *rules = quick_rules();
    rules->spawn_keys_kept = 5;
    play_on(rules, 13, 1500, true);
    free(rules);
}

// Some kinds of commands at most once in a while, one at most once a tick: who commands what too
// soon is refused, and nobody else.
Test(world_property, commands_cool_down, .timeout = 300)
{
    struct world_rules *rules = quick_rules();
    for (uint32_t kind = 0; kind < WORLD_COMMAND_KINDS; kind++)
        rules->commands.cooldown_ticks[kind] = 20 + 10 * kind;
    rules->commands.cooldown_ticks[1] = 1;
    rules->commands.cooldown_ticks[3] = 0;
    too_soon = 0;
    play_on(rules, 14, 2000, true);
    cr_assert_gt(too_soon, 100, "%u", too_soon);
    free(rules);
}

Test(world_property, the_same_play_twice_is_the_same, .timeout = 300)
{
    struct world_rules *rules = quick_rules();
    cr_assert_eq(play_on(rules, 21, 1500, false), play_on(rules, 21, 1500, false));
    cr_assert_neq(play_on(rules, 21, 300, false), play_on(rules, 22, 300, false));
    free(rules);
}

// --- everybody arrives --------------------------------------------------------------------------

// Whatever the crowd, every order comes to its end: nobody waits for ever for somebody else.
Test(world_property, every_march_ends, .timeout = 300)
{
    struct world_rules *rules = quick_rules();
    fixture_peace(rules);
    for (uint64_t seed = 31; seed <= 36; seed++) {
        struct play play = {.world = fixture_world(rules, seed)};
        mm_rng_seed(&play.rng, seed);
        fixture_inputs_init(&play.inputs, INPUTS_MAX);
        fixture_found(play.world, PLAYERS);
        for (uint32_t p = 1; p <= PLAYERS; p++) {
            char key[32];
            snprintf(key, sizeof key, "army %u", p);
            struct world_empire_view view;
            world_empire(play.world, p, &view);
            fixture_spawn(&play.inputs, key, "soldier", p, 40, view.home.q, view.home.r);
        }
        fixture_step(play.world, &play.inputs);
        for (uint64_t round = 1; round <= 3; round++) {
            fixture_inputs_clear(&play.inputs);
            for (uint32_t p = 1; p <= PLAYERS; p++) {
                uint64_t units[UNITS_MAX];
                size_t count = fixture_units(play.world, p, NULL, units, UNITS_MAX);
                // All to one place, so that they meet.
                fixture_move(&play.inputs, p, round, units, count, round == 2 ? 20 : 0,
                             round == 3 ? 20 : 0, false);
            }
            fixture_step(play.world, &play.inputs);
            unsigned ticks = 0;
            for (; ticks < 6000 && world_mover_count(play.world) > 0; ticks++)
                fixture_run(play.world, 1);
            cr_assert_eq(world_mover_count(play.world), 0, "seed %llu round %llu",
                         (unsigned long long)seed, (unsigned long long)round);
            check_sound(play.world);
        }
        fixture_inputs_free(&play.inputs);
        world_free(play.world);
    }
    free(rules);
}
