// Workers at a node: portions, limits, the way home, totals, and the end of a node.

#include "services/world/core/state.h"
#include "tests/support/world_fixture.h"
#include "tests/support/world_mirror.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define REASON(name) MMORTS__WORLD__COMMAND_REASON__COMMAND_##name

struct field {
    struct world_rules *rules;
    struct world *world;
    struct fixture_inputs inputs;
    struct hex_axial home;
    uint64_t seq, worker;
};

static void open_field(struct field *f)
{
    memset(f, 0, sizeof *f);
    f->rules = fixture_open_rules();
    for (uint32_t i = 0; i < f->rules->start_count; i++)
        if (strcmp(f->rules->types[f->rules->start[i].type].name, "worker") == 0)
            f->rules->start[i].count = 1;
}

static struct world_type *type(struct field *f, const char *name)
{
    return &f->rules->types[world_rules_type(f->rules, name)];
}

static void begin(struct field *f)
{
    f->world = fixture_world(f->rules, 5);
    fixture_inputs_init(&f->inputs, 16);
    fixture_found(f->world, 2);
    struct world_empire_view view;
    world_empire(f->world, 1, &view);
    f->home = view.home;
    cr_assert_eq(fixture_units(f->world, 1, "worker", &f->worker, 1), 1);
}

static void close_field(struct field *f)
{
    char problem[128] = "";
    cr_expect_eq(world_verify(f->world, problem, sizeof problem), MM_OK, "%s", problem);
    cr_expect_eq(world_state_hash(f->world), world_state_hash_full(f->world));
    fixture_inputs_free(&f->inputs);
    world_free(f->world);
    free(f->rules);
}

static uint64_t put(struct field *f, const char *name, uint32_t empire, int32_t q, int32_t r)
{
    struct hex_axial at = {f->home.q + q, f->home.r + r};
    return fixture_put(f->world, &f->inputs, name, empire, at);
}

static uint32_t gather(struct field *f, uint64_t unit, uint64_t node)
{
    fixture_inputs_clear(&f->inputs);
    fixture_gather(&f->inputs, 1, ++f->seq, &unit, 1, node, false);
    fixture_step(f->world, &f->inputs);
    f->seq -= !f->inputs.results[0].applied;
    return f->inputs.results[0].reason;
}

static bool lives(const struct field *f, uint64_t id)
{
    struct world_entity_view view;
    return world_find_entity(f->world, id, &view);
}

static int32_t amount_of(const struct field *f, uint64_t node)
{
    uint32_t slot = world_slot_of_id(f->world, node);
    return slot ? WORLD_GET(&f->world->ecs, WORLD_AMOUNT, world_amount, slot)->value : 0;
}

static int32_t carried_by(const struct field *f, uint64_t unit)
{
    const struct world_cargo *cargo =
        WORLD_GET(&f->world->ecs, WORLD_CARGO, world_cargo, world_slot_of_id(f->world, unit));
    return cargo ? cargo->amount : 0;
}

static uint64_t total_of(const struct field *f, const char *name)
{
    const struct world_empire_row *row = &f->world->empires.items[0];
    for (uint32_t i = 0; i < row->deposit_count; i++)
        if ((int)row->deposits[i].type == world_rules_type(f->rules, name))
            return row->deposits[i].total;
    return 0;
}

static uint32_t activity_of(const struct field *f, uint64_t unit)
{
    struct world_entity_view view = {0};
    world_find_entity(f->world, unit, &view);
    return view.activity;
}

Test(gather, portions_home_and_back)
{
    struct field f;
    open_field(&f);
    begin(&f);
    uint64_t mine = put(&f, "gold_mine", 0, 5, 0);
    cr_assert_eq(gather(&f, f.worker, mine), REASON(OK));
    int32_t most = 0, before = 5000;
    bool dug = false;
    for (unsigned i = 0; i < 1500; i++) {
        fixture_run(f.world, 1);
        int32_t now = amount_of(&f, mine);
        cr_assert(before - now == 0 || before - now == 2, "portions of 2, not %d", before - now);
        before = now;
        most = carried_by(&f, f.worker) > most ? carried_by(&f, f.worker) : most;
        dug |= activity_of(&f, f.worker) == MMORTS__FRAME__ACTIVITY__ACTIVITY_GATHERING;
        cr_assert_eq(5000, now + carried_by(&f, f.worker) + (int32_t)total_of(&f, "gold_mine"));
    }
    cr_expect_eq(most, 10);
    cr_expect(dug);
    cr_expect_geq(total_of(&f, "gold_mine"), 30);
    cr_expect_eq(total_of(&f, "gold_mine") % 10, 0);
    close_field(&f);
}

// A dry node is gone; the next one like it nearby is taken, and in the end the worker is idle with
// everything brought home.
Test(gather, nodes_run_dry)
{
    struct field f;
    open_field(&f);
    type(&f, "gold_mine")->amount = 13;
    begin(&f);
    uint64_t mine = put(&f, "gold_mine", 0, 4, 0), next = put(&f, "gold_mine", 0, 4, -2);
    uint64_t wood = put(&f, "woodland", 0, 3, 0);
    cr_assert_eq(gather(&f, f.worker, mine), REASON(OK));
    fixture_run(f.world, 3000);
    cr_expect(!lives(&f, mine) && !lives(&f, next));
    cr_expect_eq(amount_of(&f, wood), 800);
    cr_expect_eq(total_of(&f, "gold_mine"), 26);
    cr_expect_eq(carried_by(&f, f.worker), 0);
    cr_expect_eq(activity_of(&f, f.worker), MMORTS__FRAME__ACTIVITY__ACTIVITY_IDLE);
    cr_expect_eq(f.world->ecs.columns[WORLD_GATHER].row_count, 0);
    cr_expect_eq(f.world->ecs.columns[WORLD_ORDERS].row_count, 0);
    close_field(&f);
}

// Other orders leave it what it carries; another kind of goods it fetches only once that is home.
Test(gather, one_kind_at_a_time)
{
    struct field f;
    open_field(&f);
    begin(&f);
    uint64_t mine = put(&f, "gold_mine", 0, 4, 0), wood = put(&f, "woodland", 0, 0, 4);
    cr_assert_eq(gather(&f, f.worker, mine), REASON(OK));
    while (carried_by(&f, f.worker) < 4)
        fixture_run(f.world, 1);
    fixture_inputs_clear(&f.inputs);
    fixture_stop(&f.inputs, 1, ++f.seq, &f.worker, 1);
    fixture_step(f.world, &f.inputs);
    fixture_run(f.world, 100);
    cr_expect_eq(carried_by(&f, f.worker), 4);
    cr_assert_eq(gather(&f, f.worker, wood), REASON(OK));
    fixture_run(f.world, 600);
    cr_expect_eq(total_of(&f, "gold_mine"), 4);
    cr_expect_eq(amount_of(&f, mine), 4996);
    cr_expect_eq(800, amount_of(&f, wood) + carried_by(&f, f.worker) +
                          (int32_t)total_of(&f, "woodland"));
    cr_expect_lt(amount_of(&f, wood), 800);
    close_field(&f);
}

Test(gather, frames_tell_totals)
{
    struct field f;
    open_field(&f);
    begin(&f);
    struct mm_arena *memory = mm_arena_new(1 << 16, 1 << 26);
    uint64_t mine = put(&f, "gold_mine", 0, 4, 0), told = 0;
    uint32_t gold = (uint32_t)world_rules_type(f.rules, "gold_mine");
    cr_assert_eq(gather(&f, f.worker, mine), REASON(OK));
    struct mirror *mirror = mirror_new();
    mirror_apply(mirror, world_snapshot_frame(f.world, memory));
    for (unsigned i = 0; i < 1000; i++) {
        mm_arena_reset(memory);
        fixture_run(f.world, 1);
        const Mmorts__Frame__TickFrame *frame = world_frame(f.world, memory);
        mirror_apply(mirror, frame);
        uint32_t slot = world_slot_of_id(f.world, f.worker);
        cr_assert_eq(mirror->entities[slot].attributes[MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_CARRIED],
                     carried_by(&f, f.worker));
        if (!frame->deposits)
            continue;
        cr_assert(frame->deposits->n_empire == 1 && frame->deposits->empire[0] == 1 &&
                  frame->deposits->type[0] == gold);
        cr_assert_eq(frame->deposits->total[0], told + 10);
        cr_assert(frame->events && frame->events->n_kind == 1 &&
                  frame->events->kind[0] == MMORTS__FRAME__EVENT_KIND__EVENT_DEPOSIT &&
                  frame->events->value[0] == 10 && frame->events->detail[0] == gold);
        told += 10;
    }
    cr_expect_geq(told, 20);
    const Mmorts__Frame__TickFrame *all = world_snapshot_frame(f.world, memory);
    cr_assert(all->deposits && all->deposits->n_total == 1 && all->deposits->total[0] == told);
    cr_expect_str_eq(all->catalogue->types->yields[gold], "gold");
    mirror_free(mirror);
    mm_arena_free(memory);
    close_field(&f);
}

// Saved in the middle of the work and loaded again, it goes on to the bit.
Test(gather, goes_on_after_a_restart)
{
    struct field f;
    open_field(&f);
    begin(&f);
    cr_assert_eq(gather(&f, f.worker, put(&f, "gold_mine", 0, 4, 0)), REASON(OK));
    for (unsigned i = 0; i < 8; i++) {
        fixture_run(f.world, 61);
        struct mm_buf bytes;
        mm_buf_init(&bytes, 1 << 28);
        world_save(f.world, &bytes);
        struct world *loaded;
        cr_assert_eq(world_load(bytes.data, bytes.len, &loaded), MM_OK);
        fixture_run(loaded, 40);
        fixture_run(f.world, 40);
        cr_assert_eq(world_state_hash(loaded), world_state_hash(f.world));
        world_free(loaded);
        mm_buf_free(&bytes);
    }
    cr_expect_geq(total_of(&f, "gold_mine"), 10);
    close_field(&f);
}

Test(gather, without_a_settlement_it_stays_with_its_load)
{
    struct field f;
    open_field(&f);
    begin(&f);
    uint64_t settlement = 0, mine = put(&f, "gold_mine", 0, 4, 0);
    cr_assert_eq(fixture_units(f.world, 1, "settlement", &settlement, 1), 1);
    put(&f, "scout", 1, 4, 2);
    cr_assert_eq(gather(&f, f.worker, mine), REASON(OK));
    fixture_inputs_clear(&f.inputs);
    fixture_despawn(&f.inputs, settlement);
    fixture_step(f.world, &f.inputs);
    fixture_run(f.world, 600);
    cr_expect_eq(carried_by(&f, f.worker), 10);
    cr_expect_eq(activity_of(&f, f.worker), MMORTS__FRAME__ACTIVITY__ACTIVITY_IDLE);
    // A new one will do.
    put(&f, "settlement", 1, -3, 0);
    cr_assert_eq(gather(&f, f.worker, mine), REASON(OK));
    fixture_run(f.world, 300);
    cr_expect_geq(total_of(&f, "gold_mine"), 10);
    close_field(&f);
}

Test(gather, refusals)
{
    struct field f;
    open_field(&f);
    begin(&f);
    uint64_t mine = put(&f, "gold_mine", 0, 4, 0), hidden = put(&f, "gold_mine", 0, 20, 0);
    uint64_t soldier, foreign, barracks = put(&f, "barracks", 1, -4, 0);
    cr_assert_eq(fixture_units(f.world, 1, "soldier", &soldier, 1), 1);
    cr_assert_eq(fixture_units(f.world, 2, "worker", &foreign, 1), 1);
    cr_expect_eq(gather(&f, f.worker, hidden), REASON(UNKNOWN_TARGET));
    cr_expect_eq(gather(&f, f.worker, 4711), REASON(UNKNOWN_TARGET));
    cr_expect_eq(gather(&f, f.worker, barracks), REASON(INVALID));
    cr_expect_eq(gather(&f, soldier, mine), REASON(CANNOT));
    cr_expect_eq(gather(&f, foreign, mine), REASON(UNKNOWN_UNIT));
    fixture_inputs_clear(&f.inputs);
    fixture_gather(&f.inputs, 1, ++f.seq, &f.worker, 1, mine, false)->gather = NULL;
    fixture_step(f.world, &f.inputs);
    cr_expect_eq(f.inputs.results[0].reason, REASON(INVALID));
    cr_expect_eq(gather(&f, f.worker, mine), REASON(OK));
    close_field(&f);
}
