// Saved states of the world out of hostile bytes: whatever is accepted must be sound, and must go
// on being sound when it is played on. An input is a list of edits to a real saved state (so that
// the fuzzer starts deep inside), or, if it begins with an even byte, taken as it is.

#include "libcommon/base/check.h"
#include "services/world/core/mapgen.h"
#include "services/world/core/state.h"
#include <stdlib.h>
#include <string.h>

static uint8_t *base;
static size_t base_len;

static void order(struct world *world, Mmorts__World__Command *command, struct mm_arena *arena)
{
    world_input input = MMORTS__WORLD__INPUT__INIT;
    input.input_case = MMORTS__WORLD__INPUT__INPUT_COMMAND;
    input.command = command;
    const world_input *inputs[] = {&input};
    struct world_result result;
    world_step(world, inputs, 1, arena, &result);
    MM_CHECK(result.applied);
}

// Two units build: one house is paid, one is not yet. One goes on patrol behind that.
static void order_builders(struct world *world, uint64_t *units, struct mm_arena *arena)
{
    struct world_empire_view home;
    MM_CHECK(world_empire(world, 1, &home));
    Mmorts__World__Hex hex = MMORTS__WORLD__HEX__INIT, *points[] = {&hex, &hex};
    Mmorts__World__BuildOrder build = MMORTS__WORLD__BUILD_ORDER__INIT;
    Mmorts__World__PatrolOrder patrol = MMORTS__WORLD__PATROL_ORDER__INIT;
    Mmorts__World__Command command = MMORTS__WORLD__COMMAND__INIT;
    char house[] = "house";
    build.building = house;
    build.place = &hex;
    patrol.points = points;
    patrol.n_points = 2;
    command.player_id = 1;
    command.units = units;
    command.order_case = MMORTS__WORLD__COMMAND__ORDER_BUILD;
    command.build = &build;
    for (command.client_seq = 3; command.client_seq <= 4; command.client_seq++) {
        command.n_units = 2;
        hex.q = home.home.q + (command.client_seq == 3 ? 1 : -1);
        hex.r = home.home.r + (command.client_seq == 3 ? -2 : 2);
        order(world, &command, arena);
        if (command.client_seq == 4)
            break;
        Mmorts__World__Settlement settlement = MMORTS__WORLD__SETTLEMENT__INIT;
        world_input input = MMORTS__WORLD__INPUT__INIT;
        input.input_case = MMORTS__WORLD__INPUT__INPUT_SETTLEMENT;
        input.settlement = &settlement;
        settlement.bill = 1;
        settlement.paid = true;
        const world_input *inputs[] = {&input};
        struct world_result result;
        world_step(world, inputs, 1, arena, &result);
        MM_CHECK(result.applied && result.reason == 0);
    }
    command.client_seq = 5;
    command.n_units = 1;
    command.queued = true;
    command.order_case = MMORTS__WORLD__COMMAND__ORDER_PATROL;
    command.patrol = &patrol;
    order(world, &command, arena);
}

// Two units march, two gather, and two more build.
static void order_units(struct world *world, struct mm_arena *arena)
{
    uint64_t units[6], node = 0;
    size_t count = 0;
    uint32_t cursor = 0;
    struct world_empire_view home;
    struct world_entity_view view;
    MM_CHECK(world_empire(world, 1, &home));
    while (world_next_entity(world, &cursor, &view)) {
        const struct world_type *type = &world_rules_of(world)->types[view.type];
        if (count < 6 && view.owner == 1 && type->ticks_per_hex > 0)
            units[count++] = view.id;
        if (type->amount > 0 && hex_distance(view.at, home.home) <= 4)
            node = view.id;
    }
    MM_CHECK(count == 6 && node != 0);
    Mmorts__World__Hex hex = MMORTS__WORLD__HEX__INIT;
    hex.q = 9;
    Mmorts__World__MoveOrder move = MMORTS__WORLD__MOVE_ORDER__INIT;
    move.target = &hex;
    Mmorts__World__GatherOrder gather = MMORTS__WORLD__GATHER_ORDER__INIT;
    gather.node = node;
    Mmorts__World__Command command = MMORTS__WORLD__COMMAND__INIT;
    command.player_id = 1;
    command.client_seq = 1;
    command.units = units;
    command.n_units = 2;
    command.order_case = MMORTS__WORLD__COMMAND__ORDER_MOVE;
    command.move = &move;
    order(world, &command, arena);
    command.client_seq = 2;
    command.units = units + 2;
    command.order_case = MMORTS__WORLD__COMMAND__ORDER_GATHER;
    command.gather = &gather;
    order(world, &command, arena);
    order_builders(world, units + 4, arena);
}

static void fill_rules(struct world_rules *rules)
{
    world_rules_init(rules);
    rules->terrain_count = 2;
    memcpy(rules->terrains[1].name, "plains", 7);
    rules->terrains[1].move_cost_percent = 100;
    rules->type_count = 4;
    memcpy(rules->types[0].name, "home", 5);
    rules->types[0] = (struct world_type){.name = "home", .kind = 2, .health_max = 9, .blocks = 1};
    rules->types[1] =
        (struct world_type){.name = "unit", .kind = 1, .health_max = 9, .ticks_per_hex = 3};
    rules->types[0].sight_hexes = rules->types[1].sight_hexes = 6;
    rules->types[0].flags = MMORTS__FRAME__TYPE_FLAG__TYPE_FLAG_SETTLEMENT;
    rules->types[1].attack = rules->types[1].attack_range_hexes = 2;
    rules->types[1].attack_cooldown_ticks = rules->types[1].gather_ticks = 2;
    rules->types[1].gather_amount = rules->types[1].carry = 3;
    rules->types[2] = (struct world_type){
        .name = "ore", .yields = "iron", .kind = 3, .health_max = 1, .amount = 50, .blocks = 1};
    rules->types[3] = (struct world_type){
        .name = "house", .kind = 2, .health_max = 9, .blocks = 1, .build_ticks = 40, .cost = {5}};
    rules->types[1].builds[0] = 1 << 3;
    rules->item_count = 1;
    memcpy(rules->items[0], "wood", 5);
    rules->map.home_node_count = 1;
    rules->map.home_nodes[0] = (struct world_home_node){2, 2, 2, 3};
    rules->start_count = 2;
    rules->start[0] = (struct world_start){0, 1};
    rules->start[1] = (struct world_start){1, 6};
    rules->map.open_terrain = 1;
    rules->map.chunk_radius = 3;
    rules->map.clearing_hexes = 2;
    rules->map.home_spacing_chunks = 2;
    rules->map.home_grow_chunks = 1;
    rules->spawn_keys_kept = 4;
    rules->entities_max = 4096;
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    static struct world_rules rules;
    fill_rules(&rules);
    struct world_params params = {.rules = &rules, .seed = 1};
    struct world *world;
    MM_CHECK(world_create(&params, &world) == MM_OK);
    struct mm_arena *arena = mm_arena_new(4096, 1 << 20);
    Mmorts__World__JoinRequest join = MMORTS__WORLD__JOIN_REQUEST__INIT;
    world_input input = MMORTS__WORLD__INPUT__INIT;
    input.input_case = MMORTS__WORLD__INPUT__INPUT_JOIN;
    input.join = &join;
    const world_input *inputs[] = {&input};
    struct world_result result;
    for (join.player_id = 1; join.player_id <= 2; join.player_id++)
        world_step(world, inputs, 1, arena, &result);
    order_units(world, arena);
    for (int i = 0; i < 12; i++)
        world_step(world, NULL, 0, arena, NULL);
    struct mm_buf bytes;
    mm_buf_init(&bytes, 1 << 24);
    world_save(world, &bytes);
    base_len = bytes.len - 8;
    base = malloc(base_len);
    memcpy(base, bytes.data, base_len);
    mm_buf_free(&bytes);
    mm_arena_free(arena);
    world_free(world);
    return 0;
}

static void play_on(struct world *world)
{
    char problem[128] = "";
    struct mm_arena *arena = mm_arena_new(1 << 16, (size_t)1 << 28);
    for (int i = 0; i < 20; i++) {
        mm_arena_reset(arena);
        world_step(world, NULL, 0, arena, NULL);
        MM_CHECK(world_frame(world, arena) != NULL);
    }
    MM_CHECK(world_verify(world, problem, sizeof problem) == MM_OK);
    MM_CHECK(world_state_hash(world) == world_state_hash_full(world));
    struct mm_buf bytes;
    mm_buf_init(&bytes, WORLD_SAVE_BYTES_MAX);
    world_save(world, &bytes);
    struct world *again;
    MM_CHECK(world_load(bytes.data, bytes.len, &again) == MM_OK);
    world_free(again);
    mm_buf_free(&bytes);
    mm_arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t len = data[0] % 2 ? base_len : size - 1;
    uint8_t *bytes = malloc(len + 1);
    if (data[0] % 2) {
        memcpy(bytes, base, base_len);
        // An edit: place u24, what to put there u8. 0xff...: cut the rest off.
        for (size_t i = 1; i + 4 <= size; i += 4) {
            size_t at = (size_t)data[i] | (size_t)data[i + 1] << 8 | (size_t)data[i + 2] << 16;
            if (at == 0xffffff)
                len = len * data[i + 3] / 256;
            else
                bytes[at % base_len] = data[i + 3];
        }
    } else {
        memcpy(bytes, data + 1, len);
    }
    struct world *world;
    uint64_t state_hash;
    (void)!world_load(bytes, len, &world);
    world_free(world);
    (void)!world_load_older(bytes, len, &world, &state_hash);
    world_free(world);
    if (world_load_unchecked(bytes, len, &world, &state_hash) == MM_OK) {
        play_on(world);
        world_free(world);
    }
    free(bytes);
    return 0;
}
