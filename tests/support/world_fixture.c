#include "tests/support/world_fixture.h"

#include "libcommon/base/check.h"
#include "services/world/core/state.h"
#include "services/world/rules_yaml.h"
#include "tests/support/process.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void report(void *ctx, const char *error)
{
    (void)ctx;
    fprintf(stderr, "%s\n", error);
}

struct world_rules *fixture_wild_rules(void)
{
    struct world_rules *rules = malloc(sizeof *rules);
    if (!rules || world_rules_load("services/world/game/types.yaml", "services/world/game/map.yaml",
                                   rules, report, NULL) != MM_OK)
        test_fail("the game's rules cannot be read (tests run in the top folder)");
    return rules;
}

struct world_rules *fixture_rules(void)
{
    struct world_rules *rules = fixture_wild_rules();
    rules->map.camp_count = 0;
    rules->map.explored_chunks_max = 0;
    return rules;
}

void fixture_peace(struct world_rules *rules)
{
    for (uint32_t i = 0; i < rules->type_count; i++)
        rules->types[i].attack = 0;
}

struct world_rules *fixture_open_rules(void)
{
    struct world_rules *rules = fixture_rules();
    rules->map.generator = WORLD_GENERATOR_BLANK;
    rules->map.scatter_count = 0;
    rules->map.home_node_count = 0;
    return rules;
}

struct world *fixture_world(const struct world_rules *rules, uint64_t seed)
{
    struct world_rules *own = rules ? NULL : fixture_open_rules();
    struct world_params params = {.rules = rules ? rules : own, .seed = seed, .secret = {1, 2, 3}};
    struct world *world;
    if (world_create(&params, &world) != MM_OK)
        test_fail("no world can be made");
    free(own);
    return world;
}

struct world *fixture_reload(const struct world *world)
{
    struct mm_buf bytes;
    mm_buf_init(&bytes, WORLD_SAVE_BYTES_MAX);
    world_save(world, &bytes);
    struct world *loaded;
    if (world_load(bytes.data, bytes.len, &loaded) != MM_OK)
        test_fail("a world that was saved cannot be loaded");
    mm_buf_free(&bytes);
    return loaded;
}

// --- inputs -------------------------------------------------------------------------------------

void fixture_inputs_init(struct fixture_inputs *inputs, size_t capacity)
{
    inputs->arena = mm_arena_new(1 << 16, (size_t)1 << 30);
    inputs->items = calloc(capacity, sizeof *inputs->items);
    inputs->results = calloc(capacity, sizeof *inputs->results);
    inputs->count = 0;
    inputs->capacity = capacity;
}

void fixture_inputs_free(struct fixture_inputs *inputs)
{
    mm_arena_free(inputs->arena);
    free(inputs->items);
    free(inputs->results);
}

void fixture_inputs_clear(struct fixture_inputs *inputs)
{
    mm_arena_reset(inputs->arena);
    inputs->count = 0;
}

static world_input *add(struct fixture_inputs *inputs, Mmorts__World__Input__InputCase kind)
{
    if (inputs->count == inputs->capacity)
        test_fail("more than %zu inputs", inputs->capacity);
    world_input *input = mm_arena_calloc(inputs->arena, 1, sizeof *input);
    mmorts__world__input__init(input);
    input->input_case = kind;
    inputs->items[inputs->count++] = input;
    return input;
}

static char *text(struct fixture_inputs *inputs, const char *source)
{
    return mm_arena_strndup(inputs->arena, source, strlen(source));
}

void fixture_join(struct fixture_inputs *inputs, uint64_t player_id, const char *name)
{
    Mmorts__World__JoinRequest *join = mm_arena_calloc(inputs->arena, 1, sizeof *join);
    mmorts__world__join_request__init(join);
    join->player_id = player_id;
    join->username = text(inputs, name);
    add(inputs, MMORTS__WORLD__INPUT__INPUT_JOIN)->join = join;
}

void fixture_spawn(struct fixture_inputs *inputs, const char *key, const char *type,
                   uint32_t empire, uint32_t count, int32_t q, int32_t r)
{
    Mmorts__World__SpawnRequest *spawn = mm_arena_calloc(inputs->arena, 1, sizeof *spawn);
    mmorts__world__spawn_request__init(spawn);
    spawn->key.data = (uint8_t *)text(inputs, key);
    spawn->key.len = strlen(key);
    spawn->type = text(inputs, type);
    spawn->empire = empire;
    spawn->count = count;
    spawn->place = mm_arena_calloc(inputs->arena, 1, sizeof *spawn->place);
    mmorts__world__hex__init(spawn->place);
    spawn->place->q = q;
    spawn->place->r = r;
    add(inputs, MMORTS__WORLD__INPUT__INPUT_SPAWN)->spawn = spawn;
}

void fixture_despawn(struct fixture_inputs *inputs, uint64_t entity)
{
    Mmorts__World__DespawnRequest *despawn = mm_arena_calloc(inputs->arena, 1, sizeof *despawn);
    mmorts__world__despawn_request__init(despawn);
    despawn->entity = entity;
    add(inputs, MMORTS__WORLD__INPUT__INPUT_DESPAWN)->despawn = despawn;
}

void fixture_pause(struct fixture_inputs *inputs, bool pause)
{
    add(inputs, pause ? MMORTS__WORLD__INPUT__INPUT_PAUSE : MMORTS__WORLD__INPUT__INPUT_RESUME)
        ->pause = true;
}

Mmorts__World__Command *fixture_command(struct fixture_inputs *inputs, uint64_t player_id,
                                        uint64_t client_seq, const uint64_t *units, size_t count)
{
    Mmorts__World__Command *command = mm_arena_calloc(inputs->arena, 1, sizeof *command);
    mmorts__world__command__init(command);
    command->player_id = player_id;
    command->client_seq = client_seq;
    command->units = mm_arena_memdup(inputs->arena, units, count * sizeof *units);
    command->n_units = count;
    add(inputs, MMORTS__WORLD__INPUT__INPUT_COMMAND)->command = command;
    return command;
}

Mmorts__World__Command *fixture_move(struct fixture_inputs *inputs, uint64_t player_id,
                                     uint64_t client_seq, const uint64_t *units, size_t count,
                                     int32_t q, int32_t r, bool queued)
{
    Mmorts__World__Command *command = fixture_command(inputs, player_id, client_seq, units, count);
    Mmorts__World__MoveOrder *move = mm_arena_calloc(inputs->arena, 1, sizeof *move);
    mmorts__world__move_order__init(move);
    move->target = mm_arena_calloc(inputs->arena, 1, sizeof *move->target);
    mmorts__world__hex__init(move->target);
    move->target->q = q;
    move->target->r = r;
    command->order_case = MMORTS__WORLD__COMMAND__ORDER_MOVE;
    command->move = move;
    command->queued = queued;
    return command;
}

void fixture_stop(struct fixture_inputs *inputs, uint64_t player_id, uint64_t client_seq,
                  const uint64_t *units, size_t count)
{
    Mmorts__World__Command *command = fixture_command(inputs, player_id, client_seq, units, count);
    command->order_case = MMORTS__WORLD__COMMAND__ORDER_STOP;
    command->stop = mm_arena_calloc(inputs->arena, 1, sizeof *command->stop);
    mmorts__world__stop_order__init(command->stop);
}

Mmorts__World__Command *fixture_attack(struct fixture_inputs *inputs, uint64_t player_id,
                                       uint64_t client_seq, const uint64_t *units, size_t count,
                                       uint64_t target, bool queued)
{
    Mmorts__World__Command *command = fixture_command(inputs, player_id, client_seq, units, count);
    command->order_case = MMORTS__WORLD__COMMAND__ORDER_ATTACK;
    command->attack = mm_arena_calloc(inputs->arena, 1, sizeof *command->attack);
    mmorts__world__attack_order__init(command->attack);
    command->attack->target = target;
    command->queued = queued;
    return command;
}

Mmorts__World__Command *fixture_gather(struct fixture_inputs *inputs, uint64_t player_id,
                                       uint64_t client_seq, const uint64_t *units, size_t count,
                                       uint64_t node, bool queued)
{
    Mmorts__World__Command *command = fixture_command(inputs, player_id, client_seq, units, count);
    command->order_case = MMORTS__WORLD__COMMAND__ORDER_GATHER;
    command->gather = mm_arena_calloc(inputs->arena, 1, sizeof *command->gather);
    mmorts__world__gather_order__init(command->gather);
    command->gather->node = node;
    command->queued = queued;
    return command;
}

Mmorts__World__Command *fixture_attack_move(struct fixture_inputs *inputs, uint64_t player_id,
                                            uint64_t client_seq, const uint64_t *units,
                                            size_t count, int32_t q, int32_t r, bool queued)
{
    Mmorts__World__Command *command =
        fixture_move(inputs, player_id, client_seq, units, count, q, r, queued);
    Mmorts__World__Hex *target = command->move->target;
    command->order_case = MMORTS__WORLD__COMMAND__ORDER_ATTACK_MOVE;
    command->attack_move = mm_arena_calloc(inputs->arena, 1, sizeof *command->attack_move);
    mmorts__world__attack_move_order__init(command->attack_move);
    command->attack_move->target = target;
    return command;
}

// --- running ------------------------------------------------------------------------------------

void fixture_step(struct world *world, struct fixture_inputs *inputs)
{
    world_inputs_sort(inputs->items, inputs->count);
    world_step(world, inputs->items, inputs->count, inputs->arena, inputs->results);
}

struct world_result fixture_step_checked(struct world *world, struct fixture_inputs *inputs)
{
    fixture_step(world, inputs);
    char problem[128] = "";
    if (world_verify(world, problem, sizeof problem) != MM_OK)
        test_fail("tick %llu: %s", (unsigned long long)world_tick(world), problem);
    struct world_result result = inputs->results[0];
    fixture_inputs_clear(inputs);
    return result;
}

uint64_t fixture_put(struct world *world, struct fixture_inputs *inputs, const char *type,
                     uint32_t empire, struct hex_axial at)
{
    char key[32]; // of this tick: no other one is like it
    snprintf(key, sizeof key, "put %llu", (unsigned long long)world_tick(world));
    fixture_inputs_clear(inputs);
    fixture_spawn(inputs, key, type, empire, 1, at.q, at.r);
    fixture_step(world, inputs);
    const struct world_result *result = &inputs->results[0];
    if (result->err != MM_OK || result->entity_count != 1)
        test_fail("no %s can be put there: %s", type, result->message);
    uint64_t id = result->entities[0];
    fixture_inputs_clear(inputs);
    return id;
}

void fixture_run(struct world *world, unsigned ticks)
{
    struct mm_arena *arena = mm_arena_new(4096, 1 << 20);
    for (unsigned i = 0; i < ticks; i++)
        world_step(world, NULL, 0, arena, NULL);
    mm_arena_free(arena);
}

size_t fixture_units(const struct world *world, uint32_t empire, const char *type, uint64_t *out,
                     size_t out_max)
{
    const struct world_rules *rules = world_rules_of(world);
    int wanted = type ? world_rules_type(rules, type) : -1;
    struct world_entity_view view;
    uint32_t cursor = 0;
    size_t count = 0;
    while (count < out_max && world_next_entity(world, &cursor, &view)) {
        bool fits = type ? (int)view.type == wanted : rules->types[view.type].ticks_per_hex > 0;
        if (view.owner == empire && fits)
            out[count++] = view.id;
    }
    return count;
}

void fixture_found(struct world *world, unsigned count)
{
    struct fixture_inputs inputs;
    fixture_inputs_init(&inputs, 1);
    for (unsigned i = 1; i <= count; i++) {
        fixture_inputs_clear(&inputs);
        char name[32];
        snprintf(name, sizeof name, "player %u", i);
        fixture_join(&inputs, i, name);
        fixture_step(world, &inputs);
        if (inputs.results[0].err != MM_OK || inputs.results[0].empire != i)
            test_fail("empire %u was not founded", i);
    }
    fixture_inputs_free(&inputs);
}

// --- crowds --------------------------------------------------------------------------------------

struct world *fixture_crowds(uint32_t entities, uint32_t empires, uint32_t movers_every,
                             uint64_t tick)
{
    struct world_rules *rules = fixture_rules();
    if (rules->entities_max < entities * 2)
        rules->entities_max = entities * 2; // and the nodes of so much land
    struct world *world = fixture_world(rules, 12345);
    int soldier = world_rules_type(rules, "soldier");
    fixture_found(world, empires);
    int32_t radius = 1;
    while (hex_disc_count(radius) * world->map.tiling.cells < (size_t)entities * 6)
        radius++;
    MM_CHECK(world_reserve_entities(world, entities + 4096) == MM_OK);
    MM_CHECK(world_grow(world, (struct hex_chunk){0, 0}, radius) == MM_OK);
    world_ecs_settle(&world->ecs);
    world_ecs_begin(&world->ecs);
    uint32_t made = world_entity_count(world), cells = world_map_cell_count(&world->map);
    uint32_t each = made < entities ? (entities - made + empires - 1) / empires : 1, first = made;
    MM_CHECK(world_reserve_entities(world, entities + 4096) == MM_OK);
    for (uint32_t cell = 0; cell < cells && made < entities; cell += 2) {
        if (!world_cell_free(world, cell, WORLD_ON_UNIT))
            continue;
        uint32_t owner = 1 + (made - first) / each;
        uint32_t slot = world_entity_create(world, (uint32_t)soldier, owner, cell);
        const struct world_place *at = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot);
        struct hex_axial goal = {at->q + 200, at->r};
        if (made++ % movers_every == 0 && world_map_cell(&world->map, goal) != WORLD_CELL_NONE)
            world_order_begin(world, slot, WORLD_ORDER_MOVE, goal);
    }
    MM_CHECK(made >= entities);
    world_ecs_settle(&world->ecs);
    while (world_tick(world) < tick)
        fixture_run(world, 1);
    MM_CHECK(world_state_hash(world) == world_state_hash_full(world));
    free(rules);
    return world;
}

struct world *fixture_crowd(uint32_t entities, uint64_t tick)
{
    return fixture_crowds(entities, 1, 4, tick);
}
