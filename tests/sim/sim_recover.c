#include "tests/sim/sim_internal.h"

#include "libcommon/io/pb.h"

#include <stdlib.h>
#include <string.h>

// World dies and comes back.

static struct world *create(struct sim *sim)
{
    struct world_params params = {
        .rules = sim->rules, .seed = sim->options.seed, .secret = {(uint8_t)sim->options.seed, 7}};
    struct world *core;
    if (world_create(&params, &core) != MM_OK)
        abort();
    return core;
}

static void drop_pending(struct sim_world *world)
{
    for (uint32_t i = 0; i < SIM_PENDING; i++) {
        struct sim_pending *pending = &world->pending[i];
        for (uint32_t s = 0; s < pending->snapshot_count; s++)
            sim_bytes_drop(pending->snapshots[s].bytes);
        sim_bytes_drop(pending->frame);
        sim_bytes_drop(pending->row.inputs);
        *pending = (struct sim_pending){0};
    }
    world->pending_first = world->pending_count = 0;
}

static void stop(struct sim *sim)
{
    struct sim_world *world = &sim->world;
    drop_pending(world);
    mm_vec_clear(&world->inbox);
    sim_bytes_drop(world->save);
    world->save = NULL;
    world_free(world->core);
    world->core = NULL;
    world->commit_at = 0;
    world->up = false;
    world->life++;
    sim_publisher_close(sim, SIM_TICKS);
}

void sim_world_crash(struct sim *sim)
{
    struct sim_world *world = &sim->world;
    if (!world->up)
        return;
    // What was on its way to the store may or may not have arrived.
    if (world->commit_at && sim_chance(sim, 5000))
        sim_store_commit(sim);
    sim_tell(sim, "world dies at tick %llu, published %llu",
             (unsigned long long)world_tick(world->core), (unsigned long long)world->published);
    stop(sim);
    world->up_at = sim->round + 1 + sim_below(sim, 30);
    sim->report->world_crashes++;
}

// --- coming back ---------------------------------------------------------------------------------

static void step_core(struct sim_world *world, const world_input *const *inputs, size_t count)
{
    struct world_result results[SIM_INPUTS_MAX];
    world_step(world->core, inputs, count, world->inputs.arena, results);
}

static void replay_row(struct sim *sim, const struct sim_row *row)
{
    struct sim_world *world = &sim->world;
    while (world_tick(world->core) + 1 < row->tick) {
        mm_arena_reset(world->inputs.arena);
        step_core(world, NULL, 0);
    }
    mm_arena_reset(world->inputs.arena);
    ProtobufCAllocator allocator = mm_pb_arena_allocator(world->inputs.arena);
    Mmorts__World__JournalEntry *entry =
        mmorts__world__journal_entry__unpack(&allocator, row->inputs->len, row->inputs->data);
    bool lost = sim->options.fault == SIM_FAULT_INPUT_LOST_IN_RECOVERY && entry->n_inputs > 0 &&
                sim_chance(sim, 2000);
    step_core(world, (const world_input *const *)entry->inputs, lost ? 0 : entry->n_inputs);
    sim_overlay_apply(&world->overlay, row->ops, row->op_count, world->core);
    if (!lost && world_state_hash(world->core) != row->hash)
        sim_fail(sim, "world: the journal does not lead to the state of tick %llu",
                 (unsigned long long)row->tick);
}

// The second oracle: what came back is what the uninterrupted run has, to the bit.
static void check_recovered(struct sim *sim)
{
    struct sim_world *world = &sim->world;
    char problem[128] = "";
    for (size_t i = 0; i < world->store.rows.count; i++)
        sim_shadow_step(world, &world->store.rows.items[i], world->store.rows.items[i].tick);
    sim_shadow_step(world, NULL, world_tick(world->core));
    if (world_state_hash(world->core) != world_state_hash(world->shadow))
        sim_fail(sim, "world: recovered at tick %llu to another state than the uninterrupted run",
                 (unsigned long long)world_tick(world->core));
    if (world_state_hash_full(world->core) != world_state_hash(world->core))
        sim_fail(sim, "world: the recovered state's hash is not its hash");
    if (world_verify(world->core, problem, sizeof problem) != MM_OK)
        sim_fail(sim, "world: the recovered state is not sound: %s", problem);
}

void sim_world_start(struct sim *sim)
{
    struct sim_world *world = &sim->world;
    struct sim_world_store *store = &world->store;
    store->epoch++;
    if (world_load(store->saved->data, store->saved->len, &world->core) != MM_OK) {
        sim_fail(sim, "world: a saved state cannot be loaded");
        return;
    }
    world->overlay = store->overlay;
    for (size_t i = 0; i < store->rows.count; i++)
        replay_row(sim, &store->rows.items[i]);
    uint64_t reserved = sim->options.fault == SIM_FAULT_TICKS_USED_TWICE ? 0 : store->reserved;
    while (world_tick(world->core) < reserved) {
        mm_arena_reset(world->inputs.arena);
        step_core(world, NULL, 0);
    }
    check_recovered(sim);
    store->reserved = world_tick(world->core) + SIM_RESERVE_TICKS;
    world->published = world->committed = world_tick(world->core);
    sim_overlay_apply(&world->overlay, NULL, 0, world->core);
    world->up = true;
    sim_publisher_open(sim, SIM_TICKS, store->epoch);
    // All reserved ticks may have been made: then vision may have seen this one.
    struct sim_moment *moment = sim_moment(sim, world->published);
    if (moment->tick != world->published || moment->lineage == 0)
        sim_truth_take(sim, moment);
    sim_tell(sim, "world is back at tick %llu", (unsigned long long)world_tick(world->core));
}

void sim_world_init(struct sim *sim)
{
    struct sim_world *world = &sim->world;
    world->core = create(sim);
    world->shadow = create(sim);
    world->shadow_arena = mm_arena_new(1 << 14, 1 << 26);
    fixture_inputs_init(&world->inputs, SIM_INPUTS_MAX);
    mm_vec_init(&world->inbox, 1 << 16);
    mm_vec_init(&world->store.rows, 1 << 20);
    sim_save_begin(world);
    sim_save_durable(world);
    world->store.reserved = SIM_RESERVE_TICKS;
    world->store.epoch = 1;
    world->up = true;
    sim_publisher_open(sim, SIM_TICKS, 1);
    sim_truth_take(sim, sim_moment(sim, 0));
}

void sim_world_free(struct sim *sim)
{
    struct sim_world *world = &sim->world;
    if (world->core)
        stop(sim);
    for (size_t i = 0; i < world->store.rows.count; i++)
        sim_bytes_drop(world->store.rows.items[i].inputs);
    mm_vec_free(&world->store.rows);
    mm_vec_free(&world->inbox);
    sim_bytes_drop(world->store.saved);
    world_free(world->shadow);
    mm_arena_free(world->shadow_arena);
    fixture_inputs_free(&world->inputs);
}
