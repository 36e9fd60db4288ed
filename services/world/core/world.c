#include "services/world/core/state.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/hash.h"
#include "services/world/core/mapgen.h"
#include <stdlib.h>
#include <string.h>

// --- the order of a tick -------------------------------------------------------------------------

#define HAS(name)  WORLD_BIT(WORLD_##name)
#define USES(name) WORLD_BIT(WORLD_USES_##name)
// What sending units on their way, or taking them off it, changes.
#define MOVING (HAS(MOVER) | HAS(ROUTE) | USES(PATHS))
// What beginning or ending a task changes.
#define TASKS (HAS(ORDERS) | HAS(ACTIVITY) | HAS(FIGHT) | HAS(GATHER) | HAS(WORK))

const struct world_system world_systems[] = {
    {
        .name = "orders",
        .run = world_system_orders,
        .reads = HAS(IDENTITY) | HAS(PLACE) | HAS(CARGO) | USES(GRID) | USES(MAP) | USES(EMPIRES) |
                 USES(STATS),
        .writes = TASKS | MOVING | USES(DUE),
        .stage = 0,
        .every = 1,
    },
    {
        .name = "fight",
        .run = world_system_fight,
        .reads = HAS(IDENTITY) | HAS(PLACE) | HAS(SIGHT) | HAS(CARGO) | USES(GRID) | USES(MAP) |
                 USES(STATS),
        .writes = TASKS | HAS(HEALTH) | HAS(VETERAN) | MOVING | USES(LIVES) | USES(EVENTS) |
                  USES(EMPIRES),
        .stage = 1,
        .every = 1,
    },
    {
        .name = "gather",
        .run = world_system_gather,
        .reads = HAS(IDENTITY) | HAS(PLACE) | HAS(SIGHT) | USES(GRID) | USES(MAP) | USES(STATS),
        .writes =
            TASKS | HAS(CARGO) | HAS(AMOUNT) | MOVING | USES(LIVES) | USES(EVENTS) | USES(EMPIRES),
        .stage = 2,
        .every = 1,
    },
    {
        .name = "build",
        .run = world_system_build,
        .reads = HAS(IDENTITY) | HAS(PLACE) | HAS(CARGO) | USES(GRID) | USES(MAP),
        .writes =
            TASKS | HAS(SITE) | HAS(SIGHT) | HAS(HEALTH) | MOVING | USES(EVENTS) | USES(EMPIRES),
        .stage = 3,
        .every = 1,
    },
    {
        .name = "plan",
        .run = world_system_plan,
        .reads = HAS(IDENTITY) | HAS(PLACE) | USES(GRID) | USES(MAP),
        .writes = MOVING,
        .stage = 4,
        .every = 1,
    },
    {
        .name = "watch",
        .divide = world_divide_watch,
        .run_part = world_watch_part,
        .reads = HAS(IDENTITY) | HAS(PLACE) | HAS(FIGHT) | HAS(ORDERS) | HAS(SITE) | HAS(SIGHT) |
                 USES(GRID) | USES(MAP) | USES(STATS),
        .writes = USES(ALARMS),
        .stage = 4,
        .every = 1,
    },
    {
        .name = "guard",
        .run = world_system_guard,
        .reads = HAS(IDENTITY) | HAS(PLACE) | USES(ALARMS),
        .writes = HAS(FIGHT) | HAS(ACTIVITY) | MOVING,
        .stage = 5,
        .every = 1,
    },
    {
        .name = "promote",
        .run = world_system_promote,
        .reads = HAS(IDENTITY),
        .writes = HAS(VETERAN) | USES(STATS),
        .stage = 5,
        .every = 1,
    },
    {
        .name = "move",
        .run = world_system_move,
        .reads = HAS(IDENTITY) | HAS(FIGHT) | HAS(GATHER) | HAS(WORK) | USES(MAP),
        .writes = HAS(PLACE) | USES(GRID) | MOVING | HAS(ORDERS) | HAS(ACTIVITY) | USES(DUE),
        .stage = 6,
        .every = 1,
    },
};
const size_t world_systems_count = sizeof world_systems / sizeof world_systems[0];

size_t world_system_count(void)
{
    return world_systems_count;
}

const char *world_system_name(size_t system)
{
    return world_systems[system].name;
}

void world_set_system_hook(struct world *world, world_system_hook hook, void *ctx)
{
    world->hook = hook;
    world->hook_ctx = ctx;
}

void world_set_progress(struct world *world, struct mm_progress *progress)
{
    world->progress = world->ecs.progress = world->grid.progress = progress;
}

void world_set_workers(struct world *world, const struct world_workers *workers)
{
    world->workers = workers ? *workers : (struct world_workers){.threads = 1};
    MM_CHECK(world->workers.threads >= 1 && world->workers.threads <= WORLD_THREADS_MAX);
}

// --- life ----------------------------------------------------------------------------------------

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
    while (b != 0) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

void world_derive(struct world *world)
{
    struct {
        uint8_t secret[16];
        char use[16];
    } key = {.use = "entity"};
    memcpy(key.secret, world->secret, sizeof key.secret);
    mm_id_key_init(&world->entity_key, &key, sizeof key);
    memset(key.use, 0, sizeof key.use);
    memcpy(key.use, "empire", 6);
    mm_id_key_init(&world->empire_key, &key, sizeof key);
    memset(world->move_cost_percent, 0, sizeof world->move_cost_percent);
    world->cost_min = HEX_PATH_COST_MAX;
    world->cost_unit = 0;
    for (uint32_t i = 0; i < world->rules.terrain_count; i++) {
        uint32_t cost = world->rules.terrains[i].move_cost_percent;
        world->move_cost_percent[i] = (uint8_t)cost;
        if (cost > 0 && cost < world->cost_min)
            world->cost_min = cost;
        world->cost_unit = common_divisor(world->cost_unit, cost);
    }
    if (world->cost_unit == 0)
        world->cost_unit = 1; // nothing is passable
    world->terrain_hides = false;
    for (uint32_t i = 0; i < world->rules.terrain_count; i++)
        world->terrain_hides |=
            world->rules.sight.terrain_blocks && world->rules.terrains[i].sight_cost > 0;
    world->sight_max = world->alert_max = 0;
    for (uint32_t i = 0; i < world->rules.type_count; i++) {
        const struct world_type *type = &world->rules.types[i];
        int32_t sight = (int32_t)type->sight_hexes;
        int32_t alert = sight < WORLD_ALERT_HEXES_MAX ? sight : WORLD_ALERT_HEXES_MAX;
        if (sight > world->sight_max)
            world->sight_max = sight;
        if (type->attack > 0 && alert > world->alert_max)
            world->alert_max = alert;
    }
    world->rules_hash = world_rules_hash(&world->rules);
}

void world_tell(struct world *world, uint32_t kind, uint32_t entity, uint32_t other, int32_t value,
                uint32_t detail)
{
    struct world_event event = {kind, entity, other, value, detail};
    world_ecs_writes(&world->ecs, WORLD_USES_EVENTS);
    if (world->events.count < WORLD_EVENTS_MAX)
        MM_CHECK(mm_vec_push(&world->events, event));
}

struct world *world_alloc(const struct world_rules *rules)
{
    struct world *world = mm_calloc(1, sizeof *world);
    if (!world)
        return NULL;
    world->rules = *rules;
    world_derive(world);
    world->serial_next = 1;
    world->ticket_next = 1;
    world->workers.threads = 1;
    world->bill_next = 1;
    mm_vec_init(&world->players, WORLD_EMPIRES_MAX);
    mm_vec_init(&world->empires, WORLD_EMPIRES_MAX);
    mm_vec_init(&world->spawn_keys, WORLD_SPAWN_KEYS_MAX);
    mm_vec_init(&world->queue, SIZE_MAX / sizeof *world->queue.items);
    mm_vec_init(&world->events, WORLD_EVENTS_MAX);
    mm_vec_init(&world->bills, (size_t)WORLD_EMPIRES_MAX * WORLD_BILLS_PER_PLAYER_MAX);
    mm_vec_init(&world->shares, WORLD_SHARES_MAX);
    mm_vec_init(&world->refunded, WORLD_EMPIRES_MAX);
    mm_vec_init(&world->announcements, WORLD_ANNOUNCEMENTS_MAX);
    mm_vec_init(&world->explored, WORLD_EXPLORED_MAX);
    mm_vec_init(&world->deposited, (size_t)WORLD_EMPIRES_MAX * WORLD_RESOURCES_MAX);
    for (int i = 0; i < WORLD_PARTS_MAX; i++)
        mm_vec_init(&world->alarms[i], WORLD_ENTITIES_MAX);
    world_grid_init(&world->grid);
    world->player_of_id = mm_idmap_new(WORLD_EMPIRES_MAX);
    world->slot_of_serial = mm_idmap_new(WORLD_ENTITIES_MAX);
    // One place more than there are keys: the new one goes in after the old one went out.
    world->spawn_of_key = mm_strmap_new(WORLD_SPAWN_KEYS_MAX);
    bool sound =
        world_shared_init(&world->stats, sizeof(struct world_stats), WORLD_STATS_MAX) == MM_OK &&
        world->player_of_id && world->slot_of_serial && world->spawn_of_key &&
        world_ecs_init(&world->ecs, rules->entities_max) == MM_OK &&
        world_map_init(&world->map, (int32_t)rules->map.chunk_radius, world->move_cost_percent) ==
            MM_OK &&
        world_ways_init(world) == MM_OK;
    if (!sound) {
        world_free(world);
        return NULL;
    }
    return world;
}

enum mm_err world_create(const struct world_params *params, struct world **out)
{
    char problem[128];
    *out = NULL;
    MM_CHECK(world_schedule_check(world_systems, world_systems_count, problem, sizeof problem) ==
             MM_OK);
    enum mm_err err = world_rules_check(params->rules, problem, sizeof problem);
    if (err != MM_OK)
        return err;
    struct world *world = world_alloc(params->rules);
    if (!world)
        return MM_RESOURCE_EXHAUSTED;
    world->seed = params->seed;
    memcpy(world->secret, params->secret, sizeof world->secret);
    world_derive(world);
    err = world_reserve_entities(world, HEX_POCKET_CHUNKS * world->map.tiling.cells);
    if (err == MM_OK)
        err = world_grow(world, world_mapgen_home(&world->rules.map, 0), 1);
    if (err != MM_OK) {
        world_free(world);
        return err;
    }
    world_ecs_settle(&world->ecs);
    world_ecs_begin(&world->ecs);
    *out = world;
    return MM_OK;
}

void world_free(struct world *world)
{
    if (!world)
        return;
    mm_free(world->due);
    world_ways_free(world);
    mm_strmap_free(world->spawn_of_key);
    mm_idmap_free(world->slot_of_serial);
    mm_idmap_free(world->player_of_id);
    world_shared_free(&world->stats);
    world_sides_free(&world->sides);
    world_grid_free(&world->grid);
    for (int i = 0; i < WORLD_PARTS_MAX; i++)
        mm_vec_free(&world->alarms[i]);
    mm_vec_free(&world->events);
    mm_vec_free(&world->deposited);
    mm_vec_free(&world->refunded);
    mm_vec_free(&world->announcements);
    mm_vec_free(&world->explored);
    mm_vec_free(&world->bills);
    mm_vec_free(&world->shares);
    mm_free(world->next_settlement);
    mm_vec_free(&world->queue);
    mm_vec_free(&world->spawn_keys);
    mm_vec_free(&world->empires);
    mm_vec_free(&world->players);
    world_ecs_free(&world->ecs);
    world_map_free(&world->map);
    mm_free(world);
}

// --- stepping ------------------------------------------------------------------------------------

static int input_class(const world_input *input)
{
    switch (input->input_case) {
    case MMORTS__WORLD__INPUT__INPUT_PAUSE:
    case MMORTS__WORLD__INPUT__INPUT_RESUME:
        return 0;
    case MMORTS__WORLD__INPUT__INPUT_JOIN:
        return 1;
    case MMORTS__WORLD__INPUT__INPUT_SPAWN:
        return 2;
    case MMORTS__WORLD__INPUT__INPUT_DESPAWN:
        return 3;
    case MMORTS__WORLD__INPUT__INPUT_SET_ENTITY:
        return 4;
    case MMORTS__WORLD__INPUT__INPUT_SETTLEMENT:
        return 5;
    case MMORTS__WORLD__INPUT__INPUT_ANNOUNCE:
        return 6;
    case MMORTS__WORLD__INPUT__INPUT_SET_ALLIANCES:
        return 7;
    case MMORTS__WORLD__INPUT__INPUT_SET_SHARING:
        return 8;
    default:
        return 9;
    }
}

static int input_compare(const world_input *a, const world_input *b)
{
    int x = input_class(a), y = input_class(b);
    if (x != y)
        return x - y;
    if (a->input_case != MMORTS__WORLD__INPUT__INPUT_COMMAND ||
        b->input_case != MMORTS__WORLD__INPUT__INPUT_COMMAND)
        return 0;
    const Mmorts__World__Command *c = a->command, *d = b->command;
    if (c->player_id != d->player_id)
        return c->player_id < d->player_id ? -1 : 1;
    if (c->client_seq != d->client_seq)
        return c->client_seq < d->client_seq ? -1 : 1;
    return 0;
}

// A stable merge sort, bottom up: equal inputs keep the order given.
void world_inputs_sort(const world_input **inputs, size_t count)
{
    const world_input **other = mm_malloc((count + 1) * sizeof *other);
    MM_CHECK(other);
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t start = 0; start < count; start += 2 * width) {
            size_t middle = start + width < count ? start + width : count;
            size_t end = start + 2 * width < count ? start + 2 * width : count;
            size_t a = start, b = middle;
            for (size_t i = start; i < end; i++) {
                bool left = a < middle && (b >= end || input_compare(inputs[a], inputs[b]) <= 0);
                other[i] = left ? inputs[a++] : inputs[b++];
            }
        }
        memcpy(inputs, other, count * sizeof *inputs);
    }
    mm_free(other);
}

void world_fail(struct world_result *result, enum mm_err err, const char *message)
{
    result->err = err;
    result->message = message;
}

static void set_paused(struct world *world, bool paused, struct world_result *result)
{
    if (world->paused == paused)
        return;
    world->paused = paused;
    world->state_changed = true;
    result->applied = true;
}

static void take_input(struct world *world, const world_input *input, struct mm_arena *arena,
                       struct world_result *result)
{
    *result = (struct world_result){.message = "", .tick = world->tick};
    switch (input->input_case) {
    case MMORTS__WORLD__INPUT__INPUT_PAUSE:
        set_paused(world, true, result);
        break;
    case MMORTS__WORLD__INPUT__INPUT_RESUME:
        set_paused(world, false, result);
        break;
    case MMORTS__WORLD__INPUT__INPUT_JOIN:
        world_join(world, input->join, result);
        break;
    case MMORTS__WORLD__INPUT__INPUT_SPAWN:
        world_spawn(world, input->spawn, arena, result);
        break;
    case MMORTS__WORLD__INPUT__INPUT_DESPAWN:
        world_despawn(world, input->despawn, result);
        break;
    case MMORTS__WORLD__INPUT__INPUT_SET_ENTITY:
        world_set_entity(world, input->set_entity, result);
        break;
    case MMORTS__WORLD__INPUT__INPUT_SETTLEMENT:
        world_settle(world, input->settlement, result);
        break;
    case MMORTS__WORLD__INPUT__INPUT_ANNOUNCE:
        world_announce(world, input->announce, result);
        break;
    case MMORTS__WORLD__INPUT__INPUT_SET_ALLIANCES:
        world_set_alliances(world, input->set_alliances, result);
        break;
    case MMORTS__WORLD__INPUT__INPUT_SET_SHARING:
        world_set_sharing(world, input->set_sharing, result);
        break;
    case MMORTS__WORLD__INPUT__INPUT_COMMAND:
        world_command(world, input->command, result);
        break;
    default:
        world_fail(result, MM_UNIMPLEMENTED, "unknown input");
        break;
    }
}

// --- hashing what a step changed -----------------------------------------------------------------

// Twice as many are some 200 us of work, of which a second thread saves half, and is awake by then.
enum { SETTLE_MARKS_PER_PART = 8192 };

struct settling {
    struct world_ecs *ecs;
    size_t words, words_per_part;
    uint64_t sums[WORLD_PARTS_MAX][WORLD_COMPONENTS];
};

static void settle_part(void *arg, uint32_t i)
{
    struct settling *settling = arg;
    size_t from = i * settling->words_per_part, to = from + settling->words_per_part;
    from = from < settling->words ? from : settling->words;
    to = to < settling->words ? to : settling->words;
    world_ecs_settle_words(settling->ecs, from, to, settling->sums[i]);
}

static void settle(struct world *world)
{
    struct world_ecs *ecs = &world->ecs;
    uint32_t parts = world_parts(world, world_ecs_marked(ecs), SETTLE_MARKS_PER_PART);
    if (parts == 1) {
        world_ecs_settle(ecs);
        return;
    }
    struct settling settling = {.ecs = ecs, .words = MM_BITSET_WORDS(ecs->slot_end)};
    settling.words_per_part = (settling.words + parts - 1) / parts;
    world_parallel(world, settle_part, &settling, parts);
    for (uint32_t i = 0; i < parts; i++)
        for (int id = 0; id < WORLD_COMPONENTS; id++)
            ecs->columns[id].hash_sum += settling.sums[i][id];
}

// --- a step --------------------------------------------------------------------------------------

void world_step(struct world *world, const world_input *const *inputs, size_t count,
                struct mm_arena *arena, struct world_result *results)
{
    world_ecs_begin(&world->ecs);
    world->tick++;
    world->empires_before = (uint32_t)world->empires.count;
    world->chunks_before = world->map.chunk_count;
    world->state_changed = false;
    mm_vec_clear(&world->events);
    mm_vec_clear(&world->deposited);
    mm_vec_clear(&world->refunded);
    mm_vec_clear(&world->announcements);
    for (size_t i = 0; i < count; i++)
        take_input(world, inputs[i], arena, &results[i]);
    if (!world->paused) {
        world_camps_tend(world);
        world_schedule_run(world, world_systems, world_systems_count);
    }
    world_explore(world);
    settle(world);
}
