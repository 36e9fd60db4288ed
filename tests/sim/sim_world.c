#include "tests/sim/sim_internal.h"

#include "libcommon/io/pb.h"
#include "tests/support/world_orders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// World: its core, and a shell that keeps the promises of services/world: published is only what is
// durable, a tick number is never used twice, a restart comes back from snapshot and journal to
// the state that the uninterrupted run has.

enum { SAVE_TICKS = 150, INPUTS_MAX = SIM_INPUTS_MAX };

// --- the rules of this game ----------------------------------------------------------------------

const struct sim_type sim_types[SIM_TYPES] = {
    {"settlement", MMORTS__FRAME__KIND__KIND_BUILDING, 4, 0, 4, 0, 0},
    {"scout", MMORTS__FRAME__KIND__KIND_UNIT, 5, 0, 0, 2, -1},
    {"soldier", MMORTS__FRAME__KIND__KIND_UNIT, 3, 0, 0, 3, -1},
    {"spy", MMORTS__FRAME__KIND__KIND_UNIT, 2, 0, 8, 3, -1},
    {"seer", MMORTS__FRAME__KIND__KIND_UNIT, 3, MMORTS__FRAME__SIGHT_TYPE__SIGHT_DETECTOR, 0, 4,
     -1},
    {"hut", MMORTS__FRAME__KIND__KIND_BUILDING, 2, MMORTS__FRAME__SIGHT_TYPE__SIGHT_SHARED, 0, 0,
     150},
    {"hero", MMORTS__FRAME__KIND__KIND_UNIT, 3, 0, 1, 3, 60},
    {"titan", MMORTS__FRAME__KIND__KIND_UNIT, 6, 0, 2, 5, 0},
    {"bear", MMORTS__FRAME__KIND__KIND_NPC, 2, 0, 0, 3, 0},
    {"gold", MMORTS__FRAME__KIND__KIND_RESOURCE, 0, 0, 0, 0, -1},
};
const char *const sim_terrains[SIM_TERRAINS] = {"dead", "plains", "forest", "lake"};
const uint32_t sim_sight_costs[SIM_TERRAINS] = {32, 0, 1, 0};

struct world_rules *sim_rules_new(void)
{
    static const uint32_t costs[SIM_TERRAINS] = {0, 100, 150, 0};
    struct world_rules *rules = malloc(sizeof *rules);
    if (!rules)
        abort();
    world_rules_init(rules);
    rules->type_count = SIM_TYPES;
    for (size_t i = 0; i < SIM_TYPES; i++) {
        struct world_type *type = &rules->types[i];
        snprintf(type->name, sizeof type->name, "%s", sim_types[i].name);
        type->kind = sim_types[i].kind;
        type->sight_hexes = sim_types[i].sight;
        type->sight_type = sim_types[i].sense;
        type->health_max = sim_health_max((uint32_t)i);
        type->ticks_per_hex = sim_types[i].ticks_per_hex;
        type->flags = sim_types[i].flags;
        type->amount = sim_types[i].kind == MMORTS__FRAME__KIND__KIND_RESOURCE ? 500 : 0;
    }
    rules->terrain_count = SIM_TERRAINS;
    for (size_t i = 0; i < SIM_TERRAINS; i++) {
        snprintf(rules->terrains[i].name, sizeof rules->terrains[i].name, "%s", sim_terrains[i]);
        rules->terrains[i].move_cost_percent = costs[i];
        rules->terrains[i].sight_cost = sim_sight_costs[i];
    }
    struct world_map_rules *map = &rules->map;
    map->generator = WORLD_GENERATOR_NOISE;
    map->chunk_radius = 3;
    map->open_terrain = 1;
    map->wavelength_hexes = 8;
    map->octaves = 1;
    map->home_spacing_chunks = 2;
    map->home_grow_chunks = 1;
    map->clearing_hexes = 3;
    map->band_count = 3;
    map->bands[0] = (struct world_band){3, 0, 200, 0, 1000};
    map->bands[1] = (struct world_band){2, 0, 1000, 600, 1000};
    map->bands[2] = (struct world_band){1, 0, 1000, 0, 1000};
    map->home_node_count = 1;
    map->home_nodes[0] = (struct world_home_node){9, 1, 2, 4};
    rules->start_count = 3;
    rules->start[0] = (struct world_start){0, 1};
    rules->start[1] = (struct world_start){1, 1};
    rules->start[2] = (struct world_start){2, 2};
    rules->spawn_keys_kept = 64;
    rules->movement.path_nodes_per_search = 400;
    return rules;
}

// --- the store -----------------------------------------------------------------------------------

static bool store_is_away(const struct sim *sim)
{
    return sim->store_away_until > sim->round;
}

static struct sim_pending *pending_at(struct sim_world *world, uint32_t i)
{
    return &world->pending[(world->pending_first + i) % SIM_PENDING];
}

// What the running commit would write becomes durable: once, however often it is tried.
void sim_store_commit(struct sim *sim)
{
    struct sim_world *world = &sim->world;
    struct sim_world_store *store = &world->store;
    for (uint32_t i = 0; i < world->pending_count; i++) {
        struct sim_pending *pending = pending_at(world, i);
        bool known =
            store->rows.count > 0 && store->rows.items[store->rows.count - 1].tick >= pending->tick;
        if (!pending->journaled || pending->tick > world->commit_upto || known)
            continue;
        sim_bytes_hold(pending->row.inputs);
        if (!mm_vec_push(&store->rows, pending->row))
            abort();
    }
    if (world->commit_reserve > store->reserved)
        store->reserved = world->commit_reserve;
}

void sim_save_durable(struct sim_world *world)
{
    struct sim_world_store *store = &world->store;
    sim_bytes_drop(store->saved);
    store->saved = world->save;
    store->saved_tick = world->save_tick;
    store->overlay = world->save_overlay;
    world->save = NULL;
    size_t kept = 0;
    for (size_t i = 0; i < store->rows.count; i++) {
        if (store->rows.items[i].tick <= store->saved_tick)
            sim_bytes_drop(store->rows.items[i].inputs);
        else
            store->rows.items[kept++] = store->rows.items[i];
    }
    store->rows.count = kept;
}

void sim_save_begin(struct sim_world *world)
{
    struct mm_buf bytes;
    mm_buf_init(&bytes, 1 << 24);
    world_save(world->core, &bytes);
    if (bytes.err != MM_OK)
        abort();
    sim_bytes_drop(world->save);
    world->save = sim_bytes_new(bytes.data, bytes.len);
    world->save_tick = world_tick(world->core);
    world->save_overlay = world->overlay;
    mm_buf_free(&bytes);
}

static void commit_kick(struct sim *sim)
{
    struct sim_world *world = &sim->world;
    if (world->commit_at)
        return;
    uint64_t tick = world_tick(world->core), upto = 0;
    for (uint32_t i = 0; i < world->pending_count; i++)
        if (pending_at(world, i)->journaled && pending_at(world, i)->tick > world->committed)
            upto = pending_at(world, i)->tick;
    bool extend = tick + SIM_RESERVE_TICKS / 2 >= world->store.reserved;
    if (upto == 0 && !extend)
        return;
    world->commit_upto = upto ? upto : world->committed;
    world->commit_reserve = extend ? tick + SIM_RESERVE_TICKS : 0;
    uint64_t takes = sim->calm ? 0 : sim_below(sim, sim->weather.commit_max + 1);
    world->commit_at = sim->round + 1 + takes;
}

// --- publication ---------------------------------------------------------------------------------

void sim_shadow_step(struct sim_world *world, const struct sim_row *row, uint64_t upto)
{
    struct world_result results[INPUTS_MAX];
    while (world_tick(world->shadow) + 1 < upto) {
        mm_arena_reset(world->shadow_arena);
        world_step(world->shadow, NULL, 0, world->shadow_arena, NULL);
    }
    if (world_tick(world->shadow) >= upto)
        return;
    mm_arena_reset(world->shadow_arena);
    ProtobufCAllocator allocator = mm_pb_arena_allocator(world->shadow_arena);
    Mmorts__World__JournalEntry *entry = NULL;
    if (row && row->inputs)
        entry =
            mmorts__world__journal_entry__unpack(&allocator, row->inputs->len, row->inputs->data);
    world_step(world->shadow, entry ? (const world_input *const *)entry->inputs : NULL,
               entry ? entry->n_inputs : 0, world->shadow_arena, results);
}

static void publish_one(struct sim *sim)
{
    struct sim_world *world = &sim->world;
    struct sim_pending *pending = pending_at(world, 0);
    sim_shadow_step(world, pending->journaled ? &pending->row : NULL, pending->tick);
    if (world_state_hash(world->shadow) != pending->hash)
        sim_fail(sim, "world: tick %llu is not that of the uninterrupted run",
                 (unsigned long long)pending->tick);
    sim_publish(sim, SIM_TICKS, pending->tick, pending->frame);
    pending->frame = NULL;
    world->published = pending->tick;
    for (uint32_t i = 0; i < pending->answer_count; i++)
        sim_send(sim, pending->answers[i]);
    for (uint32_t i = 0; i < pending->snapshot_count; i++) {
        pending->snapshots[i].epoch = sim->publishers[SIM_TICKS].epoch;
        pending->snapshots[i].seq = sim->publishers[SIM_TICKS].seq;
        sim_send(sim, pending->snapshots[i]);
    }
    pending->snapshot_count = pending->answer_count = 0;
    sim_bytes_drop(pending->row.inputs);
    pending->row.inputs = NULL;
    world->pending_first = (world->pending_first + 1) % SIM_PENDING;
    world->pending_count--;
    if (world->save && world->save_tick <= world->published && !store_is_away(sim))
        sim_save_durable(world);
}

static void publish_ready(struct sim *sim)
{
    struct sim_world *world = &sim->world;
    bool hasty = sim->options.fault == SIM_FAULT_PUBLISHED_BEFORE_DURABLE;
    while (world->pending_count > 0 && !sim_failed(sim) &&
           (hasty || !pending_at(world, 0)->journaled ||
            pending_at(world, 0)->tick <= world->committed))
        publish_one(sim);
}

static void commit_round(struct sim *sim)
{
    struct sim_world *world = &sim->world;
    if (!world->commit_at || sim->round < world->commit_at)
        return;
    world->commit_at = 0;
    if (store_is_away(sim)) {
        world->commit_at = sim->round + 3;
        return;
    }
    sim_store_commit(sim);
    // The connection broke behind the commit: world does not know, and tries again.
    if (!sim->calm && sim_chance(sim, 100)) {
        world->commit_at = sim->round + 3;
        return;
    }
    if (world->commit_upto > world->committed)
        world->committed = world->commit_upto;
    publish_ready(sim);
}

// --- a tick --------------------------------------------------------------------------------------

static void random_ops(struct sim *sim, struct sim_row *row)
{
    struct sim_world *world = &sim->world;
    if (sim_chance(sim, 2 * sim->weather.change) &&
        sim_return_prepare(sim, &row->ops[row->op_count]))
        row->op_count++;
    while (row->op_count < SIM_OPS && sim_chance(sim, sim->weather.change)) {
        struct world_entity_view view;
        uint32_t slot = (uint32_t)sim_below(sim, 2 * world_entity_count(world->core) + 4);
        if (!world_entity_at_slot(world->core, slot, &view))
            continue;
        enum sim_attribute what = (enum sim_attribute)sim_below(sim, SIM_ATTRIBUTES);
        if (sim_chance(sim, 2000))
            what = SIM_OWNER;
        int32_t value = 0;
        if (what == SIM_OWNER) {
            if (view.type == 0 || view.type == 9 || !sim_chance(sim, 3000))
                continue;
            value = (int32_t)sim_below(sim, world_empire_count(world->core) + 1);
            if (sim_chance(sim, 5000))
                value = (int32_t)view.owner; // whose it was at first
        } else {
            value = (int32_t)sim_below(sim, what == SIM_PROGRESS ? 1001 : 100);
        }
        sim->report->owners += what == SIM_OWNER && value != (int32_t)view.owner;
        row->ops[row->op_count++] = (struct sim_op){view.id, what, value};
    }
}

// Eyes change by server commands.
static void random_sight(struct sim *sim)
{
    struct sim_world *world = &sim->world;
    while (world->inputs.count < INPUTS_MAX - 4 && sim_chance(sim, sim->weather.change)) {
        struct world_entity_view view;
        uint32_t slot = (uint32_t)sim_below(sim, 2 * world_entity_count(world->core) + 4);
        if (!world_entity_at_slot(world->core, slot, &view) || view.type == 9)
            continue;
        char key[32];
        snprintf(key, sizeof key, "eyes %llu", (unsigned long long)++world->changes);
        Mmorts__World__SetEntityRequest *set = fixture_set_entity(&world->inputs, key, view.id, 1);
        Mmorts__World__EntityChange *change = set->changes[0];
        sim->report->eyes++;
        switch (sim_below(sim, 6)) {
        case 0:
            change->change_case = MMORTS__WORLD__ENTITY_CHANGE__CHANGE_SIGHT_HEXES;
            change->sight_hexes = (uint32_t)sim_below(sim, 7);
            break;
        case 1:
            change->change_case = MMORTS__WORLD__ENTITY_CHANGE__CHANGE_SIGHT_ENABLED;
            change->sight_enabled = (protobuf_c_boolean)sim_below(sim, 2);
            break;
        case 2:
        case 3:
            change->change_case = MMORTS__WORLD__ENTITY_CHANGE__CHANGE_STEALTHED;
            change->stealthed = (protobuf_c_boolean)sim_below(sim, 2);
            break;
        case 4:
            change->change_case = MMORTS__WORLD__ENTITY_CHANGE__CHANGE_SIGHT_TYPE;
            change->sight_type = (Mmorts__Frame__SightType)sim_below(sim, 3);
            break;
        default:
            change->change_case = MMORTS__WORLD__ENTITY_CHANGE__CHANGE_SIGHT_AS_TYPE;
            change->sight_as_type = 1;
            break;
        }
    }
}

static void take_inbox(struct sim *sim)
{
    struct sim_world *world = &sim->world;
    fixture_inputs_clear(&world->inputs);
    for (size_t i = 0; i < world->inbox.count && world->inputs.count < INPUTS_MAX - 8; i++) {
        const struct sim_message *m = &world->inbox.items[i];
        char text[32];
        switch (m->kind) {
        case SIM_JOIN:
            snprintf(text, sizeof text, "player %llu", (unsigned long long)m->a);
            fixture_join(&world->inputs, m->a, text);
            break;
        default:
            if (m->flag)
                fixture_stop(&world->inputs, m->a, m->b, m->units, m->seq);
            else
                fixture_move(&world->inputs, m->a, m->b, m->units, m->seq, m->q, m->r,
                             m->epoch != 0);
            break;
        }
    }
    if (world_entity_count(world->core) < 60 && sim_chance(sim, sim->weather.spawn)) {
        char key[32];
        world->spawns += !sim_chance(sim, 1000); // now and then a key comes again
        snprintf(key, sizeof key, "spawn %llu", (unsigned long long)world->spawns);
        uint32_t type = (uint32_t)sim_below(sim, SIM_TYPES);
        fixture_spawn(&world->inputs, key, sim_types[type].name,
                      type >= 8 ? 0 : (uint32_t)sim_below(sim, sim->joined + 1),
                      1 + (uint32_t)sim_below(sim, 2), (int32_t)sim_below(sim, 40) - 20,
                      (int32_t)sim_below(sim, 40) - 20);
    }
    if (world_is_paused(world->core) ? sim_chance(sim, 400) : sim_chance(sim, 8) && !sim->calm)
        fixture_pause(&world->inputs, !world_is_paused(world->core));
    uint32_t many = world_entity_count(world->core) > 45 ? 6 : 1;
    while (world->inputs.count < INPUTS_MAX && sim_chance(sim, sim->weather.despawn * many)) {
        struct world_entity_view view;
        uint32_t slot = (uint32_t)sim_below(sim, 2 * world_entity_count(world->core) + 4);
        if (world_entity_at_slot(world->core, slot, &view) && view.type != 0)
            fixture_despawn(&world->inputs, view.id);
    }
}

// The joins of a tick are answered when it is durable, with the empire they found.
static void note_answers(struct sim *sim, struct sim_pending *pending)
{
    struct sim_world *world = &sim->world;
    for (size_t i = 0; i < world->inbox.count; i++) {
        const struct sim_message *m = &world->inbox.items[i];
        struct world_empire_view view;
        if (m->kind != SIM_JOIN || pending->answer_count == SIM_WAITERS ||
            !world_empire_of_player(world->core, m->a, &view))
            continue;
        sim->empire_ids[view.number] = view.id;
        if (view.number > sim->joined)
            sim->joined = view.number;
        pending->answers[pending->answer_count++] =
            (struct sim_message){.kind = SIM_JOIN_REPLY,
                                 .from = SIM_WORLD,
                                 .to = SIM_SYNC,
                                 .call = m->call,
                                 .a = m->a,
                                 .b = view.number,
                                 .tick = m->tick,
                                 .seq = view.last_client_seq};
    }
    mm_vec_clear(&world->inbox);
}

static void write_row(struct sim *sim, struct sim_pending *pending)
{
    struct sim_world *world = &sim->world;
    Mmorts__World__JournalEntry entry = MMORTS__WORLD__JOURNAL_ENTRY__INIT;
    world_input *applied[INPUTS_MAX];
    entry.inputs = applied;
    for (size_t i = 0; i < world->inputs.count; i++) {
        if (!world->inputs.results[i].applied)
            continue;
        applied[entry.n_inputs++] = (world_input *)(uintptr_t)world->inputs.items[i];
        unsigned kind = world->inputs.items[i]->input_case;
        sim->report->spawned += kind == MMORTS__WORLD__INPUT__INPUT_SPAWN;
        sim->report->despawned += kind == MMORTS__WORLD__INPUT__INPUT_DESPAWN;
    }
    pending->journaled = entry.n_inputs + pending->row.op_count > 0;
    pending->row.tick = pending->tick;
    pending->row.hash = pending->hash;
    if (pending->journaled)
        pending->row.inputs = sim_bytes_of(&entry.base);
}

static void make_tick(struct sim *sim)
{
    struct sim_world *world = &sim->world;
    take_inbox(sim);
    random_sight(sim);
    fixture_step(world->core, &world->inputs);
    world->pending_count++;
    struct sim_pending *pending = pending_at(world, world->pending_count - 1);
    *pending = (struct sim_pending){.tick = world_tick(world->core),
                                    .hash = world_state_hash(world->core)};
    random_ops(sim, &pending->row);
    sim_overlay_apply(&world->overlay, pending->row.ops, pending->row.op_count, world->core);
    write_row(sim, pending);
    note_answers(sim, pending);
    pending->frame =
        sim_frame_pack(world, pending->row.ops, pending->row.op_count, false, world->inputs.arena);
    sim_truth_take(sim, sim_moment(sim, pending->tick));
    sim->report->ticks++;
    if (world_tick(world->core) % SAVE_TICKS == 0)
        sim_save_begin(world);
}

void sim_world_round(struct sim *sim)
{
    struct sim_world *world = &sim->world;
    if (!world->up) {
        if (sim->round >= world->up_at)
            sim_world_start(sim);
        return;
    }
    commit_round(sim);
    if (world->pending_count < SIM_PENDING && world_tick(world->core) < world->store.reserved)
        make_tick(sim);
    commit_kick(sim);
    publish_ready(sim);
}

void sim_world_take(struct sim *sim, const struct sim_message *message)
{
    struct sim_world *world = &sim->world;
    if (message->kind != SIM_SNAPSHOT) {
        if (world->inbox.count < INPUTS_MAX / 2 && !mm_vec_push(&world->inbox, *message))
            abort();
        return;
    }
    // The state as it is now, told when its tick is public.
    struct sim_message reply = {.kind = SIM_SNAPSHOT_REPLY,
                                .from = SIM_WORLD,
                                .to = message->from,
                                .stream = message->stream,
                                .reader = message->reader,
                                .call = message->call,
                                .epoch = sim->publishers[SIM_TICKS].epoch,
                                .seq = sim->publishers[SIM_TICKS].seq,
                                .tick = world_tick(world->core)};
    mm_arena_reset(world->inputs.arena);
    reply.bytes = sim_frame_pack(world, NULL, 0, true, world->inputs.arena);
    if (world->pending_count == 0) {
        sim_send(sim, reply);
        return;
    }
    struct sim_pending *newest = pending_at(world, world->pending_count - 1);
    if (newest->snapshot_count < SIM_WAITERS)
        newest->snapshots[newest->snapshot_count++] = reply;
    else
        sim_bytes_drop(reply.bytes);
}
