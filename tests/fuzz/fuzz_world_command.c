// Commands of players, as bytes that come over the wire and as orders that nearly make sense: for
// units that are not mine, dead, or none, to places off the map, beyond all bounds or without a
// way, repeated, out of order, too many and too soon. Whatever they are, each has a typed result,
// and those that are refused leave no trace: a twin that is given only what was applied, out of the
// bytes that the journal would hold, comes to the same hash.

#include "libcommon/base/check.h"
#include "libcommon/io/pb.h"
#include "services/world/core/state.h"
#include "services/world/stored.h"
#include <stdlib.h>
#include <string.h>

#define REASON(name) MMORTS__WORLD__COMMAND_REASON__COMMAND_##name

enum { INPUTS_MAX = 24, UNITS_MAX = 12, STEPS_MAX = 200, KNOWN_MAX = 64 };

static uint8_t *base;
static size_t base_len;

struct game {
    struct world *world, *twin;
    struct mm_arena *arena, *twin_arena; // of one step
    uint64_t seq[4];                     // by player, the highest that was used
    uint64_t known[KNOWN_MAX];           // ids that there are or were
    size_t known_count;
    uint64_t applied, refused;
    const world_input *inputs[INPUTS_MAX];
    size_t count;
};

// --- bytes that choose --------------------------------------------------------------------------

struct chooser {
    const uint8_t *data;
    size_t left;
};

static uint32_t choose(struct chooser *chooser, uint32_t below)
{
    if (chooser->left == 0)
        return 0;
    chooser->left--;
    return *chooser->data++ % below;
}

static uint64_t choose_u64(struct chooser *chooser)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | choose(chooser, 256);
    return value;
}

// --- the world ----------------------------------------------------------------------------------

// Islands, so that there are places without a way; two empires that meet; few of everything.
static void fill_rules(struct world_rules *rules)
{
    world_rules_init(rules);
    rules->terrain_count = 2;
    rules->terrains[1] = (struct world_terrain){.name = "plains", .move_cost_percent = 100};
    rules->type_count = 5;
    rules->types[0] = (struct world_type){.name = "home",
                                          .kind = 2,
                                          .health_max = 9,
                                          .blocks = 1,
                                          .sight_hexes = 6,
                                          .flags = MMORTS__FRAME__TYPE_FLAG__TYPE_FLAG_SETTLEMENT};
    rules->types[1] = (struct world_type){.name = "unit",
                                          .kind = 1,
                                          .health_max = 9,
                                          .sight_hexes = 6,
                                          .ticks_per_hex = 2,
                                          .attack = 2,
                                          .attack_range_hexes = 1,
                                          .attack_cooldown_ticks = 2,
                                          .gather_amount = 3,
                                          .gather_ticks = 2,
                                          .carry = 3,
                                          .builds = {1u << 3 | 1u << 4}};
    rules->types[2] = (struct world_type){
        .name = "ore", .yields = "iron", .kind = 3, .health_max = 1, .amount = 50, .blocks = 1};
    rules->types[3] = (struct world_type){
        .name = "house", .kind = 2, .health_max = 9, .blocks = 1, .build_ticks = 40, .cost = {5}};
    rules->types[4] = (struct world_type){
        .name = "hut", .kind = 2, .health_max = 9, .blocks = 1, .build_ticks = 20};
    rules->item_count = 1;
    memcpy(rules->items[0], "wood", 5);
    rules->start_count = 2;
    rules->start[0] = (struct world_start){0, 1};
    rules->start[1] = (struct world_start){1, 6};
    rules->map = (struct world_map_rules){
        .generator = WORLD_GENERATOR_NOISE,
        .chunk_radius = 5,
        .open_terrain = 1,
        .wavelength_hexes = 4,
        .octaves = 1,
        .home_spacing_chunks = 1,
        .home_grow_chunks = 1,
        .clearing_hexes = 3,
        .camp_distance_chunks = 2,
        .band_count = 2,
        .bands = {{0, 0, 500, 0, 1000}, {1, 0, 1000, 0, 1000}},
        .home_node_count = 1,
        .home_nodes = {{2, 2, 2, 3}},
    };
    rules->commands.per_second = 10;
    rules->commands.burst = 6;
    rules->commands.units_max = 8;
    for (uint32_t kind = 0; kind < WORLD_COMMAND_KINDS; kind++)
        rules->commands.cooldown_ticks[kind] = kind % 3;
    rules->entities_max = 4096;
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    static struct world_rules rules;
    fill_rules(&rules);
    struct world_params params = {.rules = &rules, .seed = 7};
    struct world *world;
    MM_CHECK(world_create(&params, &world) == MM_OK);
    struct mm_arena *arena = mm_arena_new(4096, 1 << 20);
    Mmorts__World__JoinRequest join = MMORTS__WORLD__JOIN_REQUEST__INIT;
    world_input input = MMORTS__WORLD__INPUT__INIT;
    input.input_case = MMORTS__WORLD__INPUT__INPUT_JOIN;
    input.join = &join;
    const world_input *inputs[] = {&input};
    struct world_result result;
    // Player 3 never joins.
    for (join.player_id = 1; join.player_id <= 2; join.player_id++) {
        world_step(world, inputs, 1, arena, &result);
        MM_CHECK(result.founded);
    }
    struct mm_buf bytes;
    mm_buf_init(&bytes, 1 << 24);
    world_save(world, &bytes);
    base_len = bytes.len;
    base = malloc(base_len);
    memcpy(base, bytes.data, base_len);
    mm_buf_free(&bytes);
    mm_arena_free(arena);
    world_free(world);
    return 0;
}

// --- a step -------------------------------------------------------------------------------------

static void check_command(const struct game *game, const Mmorts__World__Command *command,
                          const struct world_result *result)
{
    bool known = protobuf_c_enum_descriptor_get_value(&mmorts__world__command_reason__descriptor,
                                                      (int)result->reason) != NULL;
    MM_CHECK(result->err == MM_OK && known && result->message);
    MM_CHECK(!result->applied || result->reason == REASON(OK));
    bool later = result->reason == REASON(RATE_LIMITED) || result->reason == REASON(COOLDOWN);
    MM_CHECK(later == (result->retry_after_ticks > 0));
    if (result->applied || result->reason != REASON(OK)) {
        MM_CHECK((result->message[0] != '\0') == (result->reason != REASON(OK)));
        return;
    }
    // Not applied and not refused: it was carried out before, or waits to be paid.
    struct world_empire_view view;
    MM_CHECK(world_empire_of_player(game->world, command->player_id, &view));
    MM_CHECK(command->client_seq > 0 && command->client_seq <= view.last_client_seq);
}

// What the journal keeps of a tick, read again.
static void step_twin(struct game *game, const world_input **applied, size_t count)
{
    Mmorts__World__JournalEntry entry = MMORTS__WORLD__JOURNAL_ENTRY__INIT;
    entry.n_inputs = count;
    entry.inputs = (Mmorts__World__Input **)(uintptr_t)applied;
    size_t len = mmorts__world__journal_entry__get_packed_size(&entry);
    uint8_t *bytes = malloc(len + 1);
    mmorts__world__journal_entry__pack(&entry, bytes);
    mm_arena_reset(game->twin_arena);
    const Mmorts__World__JournalEntry *again;
    MM_CHECK(world_stored_inputs(bytes, len, game->twin_arena, &again) == MM_OK);
    struct world_result *results;
    MM_CHECK(world_stored_step(game->twin, again, game->twin_arena, &results) == MM_OK);
    for (size_t i = 0; i < count; i++)
        MM_CHECK(results[i].applied);
    free(bytes);
}

static void step(struct game *game)
{
    struct world_result results[INPUTS_MAX];
    const world_input *applied[INPUTS_MAX];
    size_t applied_count = 0;
    world_inputs_sort(game->inputs, game->count);
    world_step(game->world, game->inputs, game->count, game->arena, results);
    for (size_t i = 0; i < game->count; i++) {
        if (game->inputs[i]->input_case == MMORTS__WORLD__INPUT__INPUT_COMMAND)
            check_command(game, game->inputs[i]->command, &results[i]);
        if (results[i].applied)
            applied[applied_count++] = game->inputs[i];
    }
    game->applied += applied_count;
    game->refused += game->count - applied_count;
    step_twin(game, applied, applied_count);
    MM_CHECK(world_state_hash(game->world) == world_state_hash(game->twin));
    mm_arena_reset(game->arena);
    game->count = 0;
}

static world_input *add(struct game *game, Mmorts__World__Input__InputCase kind)
{
    world_input *input = mm_arena_calloc(game->arena, 1, sizeof *input);
    mmorts__world__input__init(input);
    input->input_case = kind;
    game->inputs[game->count++] = input;
    return input;
}

// --- orders that nearly make sense --------------------------------------------------------------

#define MAKE(game, message, prefix)                                                                \
    do {                                                                                           \
        (message) = mm_arena_calloc((game)->arena, 1, sizeof *(message));                          \
        prefix##__init(message);                                                                   \
    } while (0)

// Everybody there is, also those who came since.
static void learn(struct game *game)
{
    struct world_entity_view view;
    for (uint32_t cursor = 0;
         game->known_count < KNOWN_MAX && world_next_entity(game->world, &cursor, &view);) {
        size_t i = 0;
        while (i < game->known_count && game->known[i] != view.id)
            i++;
        if (i == game->known_count)
            game->known[game->known_count++] = view.id;
    }
}

static uint64_t some_id(struct game *game, struct chooser *chooser, uint32_t player)
{
    uint32_t way = choose(chooser, 8);
    struct world_entity_view view = {0};
    if (way == 0)
        return choose_u64(chooser);
    if (way < 3 && game->known_count > 0) // anybody's, or dead
        return game->known[choose(chooser, (uint32_t)game->known_count)];
    uint32_t nth = choose(chooser, 8);
    for (uint32_t cursor = 0; world_next_entity(game->world, &cursor, &view);)
        if (view.owner == (way < 7 ? player : 0) && nth-- == 0)
            break;
    return view.id;
}

static Mmorts__World__Hex *some_hex(struct game *game, struct chooser *chooser, uint32_t player)
{
    Mmorts__World__Hex *hex;
    MAKE(game, hex, mmorts__world__hex);
    struct world_empire_view home = {0};
    uint32_t way = choose(chooser, 32);
    if (way == 0)
        return NULL;
    if (way == 1) {
        hex->q = (int32_t)choose_u64(chooser);
        hex->r = (int32_t)choose_u64(chooser);
        return hex;
    }
    if (way == 2) { // the ends of what a coordinate can be
        static const int32_t ends[] = {INT32_MIN, INT32_MAX, HEX_COORD_MAX, -HEX_COORD_MAX, 0};
        hex->q = ends[choose(chooser, 5)];
        hex->r = ends[choose(chooser, 5)];
        return hex;
    }
    (void)world_empire(game->world, player == 2 ? 2 : 1, &home);
    int32_t reach = way < 9 ? 16 : 4;
    hex->q = home.home.q + (int32_t)choose(chooser, (uint32_t)(2 * reach + 1)) - reach;
    hex->r = home.home.r + (int32_t)choose(chooser, (uint32_t)(2 * reach + 1)) - reach;
    return hex;
}

static void fill_order(struct game *game, struct chooser *chooser, uint32_t player,
                       Mmorts__World__Command *c)
{
    static const char *const buildings[] = {"house", "hut", "home", "unit", "", "castle"};
    // Now and then none, or one with a number that no order has.
    uint32_t kind = choose(chooser, 3) ? 1 + choose(chooser, WORLD_COMMAND_KINDS)
                                       : choose(chooser, WORLD_COMMAND_KINDS + 2);
    c->order_case =
        kind == 0
            ? MMORTS__WORLD__COMMAND__ORDER__NOT_SET
            : (Mmorts__World__Command__OrderCase)(MMORTS__WORLD__COMMAND__ORDER_MOVE + kind - 1);
    // Without its content: nothing that was read from bytes can be so, and a stop has none.
    if (choose(chooser, 30) == 1 && c->order_case != MMORTS__WORLD__COMMAND__ORDER_STOP)
        return;
    switch (c->order_case) {
    case MMORTS__WORLD__COMMAND__ORDER_MOVE:
        MAKE(game, c->move, mmorts__world__move_order);
        c->move->target = some_hex(game, chooser, player);
        break;
    case MMORTS__WORLD__COMMAND__ORDER_STOP:
        MAKE(game, c->stop, mmorts__world__stop_order);
        break;
    case MMORTS__WORLD__COMMAND__ORDER_ATTACK:
        MAKE(game, c->attack, mmorts__world__attack_order);
        c->attack->target = some_id(game, chooser, 3 - player);
        break;
    case MMORTS__WORLD__COMMAND__ORDER_ATTACK_MOVE:
        MAKE(game, c->attack_move, mmorts__world__attack_move_order);
        c->attack_move->target = some_hex(game, chooser, choose(chooser, 2) + 1);
        break;
    case MMORTS__WORLD__COMMAND__ORDER_PATROL:
        MAKE(game, c->patrol, mmorts__world__patrol_order);
        c->patrol->points = mm_arena_calloc(game->arena, 10, sizeof *c->patrol->points);
        for (uint32_t n = choose(chooser, 11); c->patrol->n_points < n;) {
            // A list read from bytes holds no holes.
            Mmorts__World__Hex *hex = some_hex(game, chooser, player);
            if (!hex)
                MAKE(game, hex, mmorts__world__hex);
            c->patrol->points[c->patrol->n_points++] = hex;
        }
        break;
    case MMORTS__WORLD__COMMAND__ORDER_WANDER:
        MAKE(game, c->wander, mmorts__world__wander_order);
        c->wander->radius_hexes = choose(chooser, 4) ? choose(chooser, 34) : UINT32_MAX;
        break;
    case MMORTS__WORLD__COMMAND__ORDER_GATHER:
        MAKE(game, c->gather, mmorts__world__gather_order);
        c->gather->node = some_id(game, chooser, 0);
        break;
    case MMORTS__WORLD__COMMAND__ORDER_BUILD:
        MAKE(game, c->build, mmorts__world__build_order);
        c->build->building = (char *)(uintptr_t)buildings[choose(chooser, 6)];
        c->build->place = some_hex(game, chooser, player);
        break;
    case MMORTS__WORLD__COMMAND__ORDER_REPAIR:
        MAKE(game, c->repair, mmorts__world__repair_order);
        c->repair->target = some_id(game, chooser, player);
        break;
    case MMORTS__WORLD__COMMAND__ORDER_RALLY:
        MAKE(game, c->rally, mmorts__world__rally_order);
        c->rally->target = some_hex(game, chooser, player);
        break;
    case MMORTS__WORLD__COMMAND__ORDER_CANCEL_BUILD:
        MAKE(game, c->cancel_build, mmorts__world__cancel_build_order);
        c->cancel_build->building = some_id(game, chooser, player);
        break;
    default: // no order, or one that only a later version knows
        break;
    }
}

static uint64_t some_seq(struct game *game, struct chooser *chooser, uint32_t player)
{
    switch (choose(chooser, 16)) {
    case 0:
        return choose(chooser, 2) ? 0 : game->seq[player];
    case 1: // repeated or old
        return game->seq[player] - choose(chooser, (uint32_t)(game->seq[player] % 80) + 1);
    case 2: // out of order: the next ones come before it
        return game->seq[player] += 1 + choose(chooser, 3);
    case 3:
        if (choose(chooser, 20) == 1)
            return UINT64_MAX - choose(chooser, 2);
        return ++game->seq[player];
    default:
        return ++game->seq[player];
    }
}

static void add_command(struct game *game, struct chooser *chooser)
{
    uint32_t player = choose(chooser, 20) == 1 ? 3 : 1 + choose(chooser, 2);
    Mmorts__World__Command *command;
    MAKE(game, command, mmorts__world__command);
    command->player_id = player;
    command->client_seq = some_seq(game, chooser, player);
    command->queued = choose(chooser, 3) == 1;
    command->units = mm_arena_calloc(game->arena, UNITS_MAX, sizeof *command->units);
    command->n_units =
        choose(chooser, 16) == 1 ? choose(chooser, UNITS_MAX + 1) : 1 + choose(chooser, 3);
    fill_order(game, chooser, player, command);
    for (size_t i = 0; i < command->n_units; i++)
        command->units[i] = some_id(game, chooser, player);
    add(game, MMORTS__WORLD__INPUT__INPUT_COMMAND)->command = command;
}

// What the world itself is told in between, so that the commands meet other states.
static void add_other(struct game *game, struct chooser *chooser)
{
    Mmorts__World__Settlement *settlement;
    Mmorts__World__DespawnRequest *despawn;
    switch (world_is_paused(game->world) ? 3 : choose(chooser, 4)) {
    case 0:
    case 1:
        MAKE(game, settlement, mmorts__world__settlement);
        settlement->bill = world_bill_floor(game->world) + choose(chooser, 2);
        settlement->paid = choose(chooser, 2) != 0;
        add(game, MMORTS__WORLD__INPUT__INPUT_SETTLEMENT)->settlement = settlement;
        break;
    case 2:
        MAKE(game, despawn, mmorts__world__despawn_request);
        despawn->entity = some_id(game, chooser, 1 + choose(chooser, 2));
        add(game, MMORTS__WORLD__INPUT__INPUT_DESPAWN)->despawn = despawn;
        break;
    default:
        if (world_is_paused(game->world))
            add(game, MMORTS__WORLD__INPUT__INPUT_RESUME)->resume = true;
        else if (choose(chooser, 4) == 1)
            add(game, MMORTS__WORLD__INPUT__INPUT_PAUSE)->pause = true;
    }
}

static void save_and_load(struct game *game)
{
    struct mm_buf bytes;
    mm_buf_init(&bytes, 1 << 24);
    world_save(game->twin, &bytes);
    world_free(game->twin);
    MM_CHECK(world_load(bytes.data, bytes.len, &game->twin) == MM_OK);
    mm_buf_free(&bytes);
}

static void play_orders(struct game *game, struct chooser *chooser)
{
    for (int steps = 0; chooser->left > 0 && steps < STEPS_MAX; steps++) {
        learn(game);
        uint32_t what = choose(chooser, 32);
        if (what == 31)
            save_and_load(game);
        for (uint32_t rest = what >= 24 && what < 31 ? choose(chooser, 20) : 0; rest > 0; rest--)
            step(game);
        if ((what >= 20 && what < 24) || (world_is_paused(game->world) && what % 2))
            add_other(game, chooser);
        for (uint32_t n = 1 + choose(chooser, what % 4 == 3 ? 16 : 2); n > 0 && what < 24; n--)
            add_command(game, chooser);
        step(game);
    }
}

// --- bytes as they come over the wire -----------------------------------------------------------

// Pieces of a byte of length before each, each a SubmitCommands request for one tick.
static void play_bytes(struct game *game, struct chooser *chooser)
{
    for (int steps = 0; chooser->left > 0 && steps < STEPS_MAX; steps++) {
        size_t len = choose(chooser, 256);
        len = len < chooser->left ? len : chooser->left;
        ProtobufCAllocator allocator = mm_pb_arena_allocator(game->arena);
        ProtobufCMessage *message;
        enum mm_err err = mm_pb_unpack(&mmorts__world__submit_commands_request__descriptor,
                                       &allocator, chooser->data, len, len, &message);
        chooser->data += len;
        chooser->left -= len;
        const Mmorts__World__SubmitCommandsRequest *request = (const void *)message;
        for (size_t i = 0; err == MM_OK && i < request->n_commands && i < INPUTS_MAX; i++)
            add(game, MMORTS__WORLD__INPUT__INPUT_COMMAND)->command = request->commands[i];
        step(game);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct game game = {0};
    struct chooser chooser = {data + 1, size - 1};
    MM_CHECK(world_load(base, base_len, &game.world) == MM_OK &&
             world_load(base, base_len, &game.twin) == MM_OK);
    game.arena = mm_arena_new(1 << 14, (size_t)1 << 28);
    game.twin_arena = mm_arena_new(1 << 14, (size_t)1 << 28);
    if (data[0] % 2)
        play_orders(&game, &chooser);
    else
        play_bytes(&game, &chooser);
    char problem[128] = "";
    MM_CHECK(world_verify(game.world, problem, sizeof problem) == MM_OK);
    MM_CHECK(world_state_hash(game.world) == world_state_hash_full(game.world));
    mm_arena_free(game.twin_arena);
    mm_arena_free(game.arena);
    world_free(game.twin);
    world_free(game.world);
    return 0;
}
