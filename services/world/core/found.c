#include "services/world/core/state.h"

#include "libcommon/base/hash.h"
#include "libcommon/base/str.h"
#include "services/world/core/mapgen.h"
#include <string.h>

enum { ROLL_HOME_NODE = 16 }; // purposes of mapgen rolls from here on

// --- the map grows -------------------------------------------------------------------------------

static void scatter_nodes(struct world *world, uint32_t chunk, const uint64_t *reserved)
{
    uint32_t cells = world->map.tiling.cells;
    for (uint32_t i = 0; i < cells; i++) {
        uint32_t cell = chunk * cells + i;
        if (mm_bitset_get(reserved, i) || !world_cell_free(world, cell, WORLD_ON_BLOCKER))
            continue;
        int type = world_mapgen_node(&world->rules, world->seed, world_map_hex(&world->map, cell),
                                     world->map.terrain[cell]);
        if (type >= 0)
            world_entity_create(world, (uint32_t)type, 0, cell);
    }
}

static enum mm_err grow_chunk(struct world *world, struct hex_chunk chunk)
{
    enum { CELLS_MAX = 3 * HEX_CHUNK_RADIUS_MAX * (HEX_CHUNK_RADIUS_MAX + 1) + 1 };
    uint8_t terrain[CELLS_MAX];
    uint64_t reserved[MM_BITSET_WORDS(CELLS_MAX)];
    const struct hex_tiling *tiling = &world->map.tiling;
    world_mapgen_chunk(&world->rules, tiling, world->seed, chunk, terrain, reserved);
    enum mm_err err = world_map_add(&world->map, chunk, terrain);
    if (err == MM_OK)
        err = world_grid_reserve(&world->grid, &world->map, world->ecs.capacity);
    if (err == MM_OK)
        err = world_sides_reserve(&world->sides, &world->map);
    if (err == MM_OK) {
        world_camp_place(world, world->map.chunk_count - 1, reserved);
        scatter_nodes(world, world->map.chunk_count - 1, reserved);
    }
    return err;
}

enum mm_err world_grow(struct world *world, struct hex_chunk center, int32_t radius)
{
    // Nearest first, so that chunk indexes grow outwards.
    for (uint64_t i = 0; i < hex_disc_count(radius); i++) {
        struct hex_axial offset = hex_spiral(i);
        struct hex_chunk chunk = {center.a + offset.q, center.b + offset.r};
        if (world_map_chunk(&world->map, chunk) != WORLD_CHUNK_NONE)
            continue;
        enum mm_err err = grow_chunk(world, chunk);
        if (err != MM_OK)
            return err;
    }
    return MM_OK;
}

// So many chunks around that nobody in the middle one sees past them.
static int32_t explored_reach(const struct world *world)
{
    int32_t radius = world->map.tiling.radius;
    return (world_sight_max(world) + radius) / (radius + 1);
}

void world_explore_chunk(struct world *world, uint32_t chunk)
{
    if (world->map.chunk_count >= world->rules.map.explored_chunks_max)
        return;
    struct hex_chunk center = world->map.chunks[chunk];
    uint64_t count = hex_disc_count(explored_reach(world));
    for (uint64_t i = 1; i < count; i++) {
        struct hex_axial offset = hex_spiral(i);
        struct hex_chunk near = {center.a + offset.q, center.b + offset.r};
        if (world_map_chunk(&world->map, near) != WORLD_CHUNK_NONE)
            continue;
        // In one step at most so many: whoever comes next tries again.
        (void)mm_vec_push(&world->explored, chunk);
        return;
    }
}

void world_explore(struct world *world)
{
    int32_t reach = explored_reach(world);
    uint32_t most = (uint32_t)hex_disc_count(reach);
    for (size_t i = 0; i < world->explored.count; i++) {
        struct hex_chunk center = world->map.chunks[world->explored.items[i]];
        if (world->map.chunk_count + most > world->rules.map.explored_chunks_max ||
            !world_map_can_hold(center, reach) ||
            world_reserve_entities(world, most * world->map.tiling.cells) != MM_OK)
            break;
        if (world_grow(world, center, reach) != MM_OK)
            break;
    }
    mm_vec_clear(&world->explored);
}

// --- homes ---------------------------------------------------------------------------------------

// Whether a hex is on one of the six roads that leave a home; nodes must not bar them.
static bool on_road(const struct world *world, struct hex_axial home, uint32_t site,
                    struct hex_axial at)
{
    enum { NEAR_HEXES_MAX = 2048 };
    struct hex_axial line[NEAR_HEXES_MAX];
    int32_t width = (int32_t)world->rules.map.road_width_hexes;
    struct hex_axial here = hex_spiral(site);
    int32_t spacing = (int32_t)world->rules.map.home_spacing_chunks;
    for (unsigned d = 0; d < HEX_DIRECTIONS; d++) {
        struct hex_axial there = hex_neighbor(here, d);
        struct hex_chunk chunk = {there.q * spacing, there.r * spacing};
        size_t count =
            hex_line(home, hex_chunk_center(&world->map.tiling, chunk), line, NEAR_HEXES_MAX);
        for (size_t i = 0; i < count && i < NEAR_HEXES_MAX; i++)
            if (hex_distance(line[i], at) <= width)
                return true;
    }
    return false;
}

static bool node_fits(const struct world *world, struct hex_axial home, uint32_t site,
                      struct hex_axial at)
{
    uint32_t cell = world_map_cell(&world->map, at);
    if (cell == WORLD_CELL_NONE || !world_cell_free(world, cell, WORLD_ON_BLOCKER))
        return false;
    uint32_t home_cell = world_map_cell(&world->map, home);
    return world_map_region(&world->map, cell) == world_map_region(&world->map, home_cell) &&
           !on_road(world, home, site, at);
}

// A ring from a random place on, all round.
static uint32_t node_on_ring(const struct world *world, struct hex_axial home, uint32_t site,
                             uint32_t distance, uint64_t roll)
{
    struct hex_axial ring[6 * HEX_DISC_RADIUS_MAX];
    size_t count = hex_ring(home, (int32_t)distance, ring);
    for (size_t i = 0; i < count; i++) {
        struct hex_axial at = ring[(roll + i) % count];
        if (node_fits(world, home, site, at))
            return world_map_cell(&world->map, at);
    }
    return WORLD_CELL_NONE;
}

// The wanted distances from a random one on; where water and rock leave no room, nearer to the
// home, and in the end farther away: no home shall have less than another.
static uint32_t home_node_cell(const struct world *world, struct hex_axial home, uint32_t site,
                               const struct world_home_node *node, uint32_t index)
{
    uint64_t roll = world_mapgen_roll(world->seed, ROLL_HOME_NODE + index, home);
    uint32_t span = node->distance_to - node->distance_from + 1, cell = WORLD_CELL_NONE;
    for (uint32_t i = 0; i < span && cell == WORLD_CELL_NONE; i++)
        cell = node_on_ring(world, home, site, node->distance_from + (uint32_t)(roll + i) % span,
                            roll >> 16);
    for (uint32_t d = node->distance_from - 1; d >= 2 && cell == WORLD_CELL_NONE; d--)
        cell = node_on_ring(world, home, site, d, roll >> 16);
    for (uint32_t d = node->distance_to + 1;
         d <= HEX_DISC_RADIUS_MAX && d <= 2 * world->rules.map.chunk_radius &&
         cell == WORLD_CELL_NONE;
         d++)
        cell = node_on_ring(world, home, site, d, roll >> 16);
    return cell;
}

static void place_home_nodes(struct world *world, struct hex_axial home, uint32_t site)
{
    uint32_t index = 0;
    for (uint32_t i = 0; i < world->rules.map.home_node_count; i++) {
        const struct world_home_node *node = &world->rules.map.home_nodes[i];
        for (uint32_t n = 0; n < node->count; n++, index++) {
            uint32_t cell = home_node_cell(world, home, site, node, index);
            if (cell != WORLD_CELL_NONE)
                world_entity_create(world, node->type, 0, cell);
        }
    }
}

static void place_start(struct world *world, uint32_t empire, struct hex_axial home)
{
    uint32_t home_cell = world_map_cell(&world->map, home);
    for (uint32_t i = 0; i < world->rules.start_count; i++) {
        const struct world_start *start = &world->rules.start[i];
        for (uint32_t n = 0; n < start->count; n++) {
            uint32_t cell = world_nearest_free(world, home, WORLD_SPAWN_RADIUS_MAX,
                                               world_counts_as(world, start->type), home_cell);
            if (cell != WORLD_CELL_NONE)
                world_entity_create(world, start->type, empire, cell);
        }
    }
}

// --- players -------------------------------------------------------------------------------------

uint64_t world_empire_public_id(const struct world *world, uint32_t number)
{
    return mm_id_from_serial(&world->empire_key, number);
}

struct world_player *world_player_find(const struct world *world, uint64_t player_id)
{
    uint64_t index;
    if (!mm_idmap_get(world->player_of_id, player_id, &index))
        return NULL;
    return &world->players.items[index];
}

uint64_t world_player_hash(const struct world_player *player)
{
    uint64_t hash = mm_mix64(player->player_id);
    hash = mm_mix64(hash ^ player->empire);
    hash = mm_hash64(player->name, strlen(player->name), hash);
    hash = mm_mix64(hash ^ player->last_client_seq);
    hash = mm_mix64(hash ^ player->allowance);
    hash = mm_mix64(hash ^ player->allowance_tick);
    for (int i = 0; i < WORLD_COMMAND_KINDS; i++)
        hash = mm_mix64(hash ^ player->taken_tick[i]);
    hash = mm_mix64(hash ^ player->kept_next);
    for (int i = 0; i < WORLD_RESULTS_KEPT; i++)
        hash =
            mm_mix64(mm_mix64(mm_mix64(hash ^ player->kept[i].client_seq) ^ player->kept[i].tick) +
                     player->kept[i].reason);
    return hash;
}

uint64_t world_empire_hash(uint32_t number, const struct world_empire_row *row)
{
    uint64_t hash = mm_mix64(mm_mix64(number) ^ row->player_id);
    hash = mm_mix64(mm_mix64(hash ^ hex_pack(row->home)) ^ row->site);
    for (uint32_t i = 0; i < row->deposit_count; i++)
        hash = mm_mix64(mm_mix64(hash ^ row->deposits[i].type) ^ row->deposits[i].total);
    for (int i = 0; i < WORLD_ITEMS_MAX; i++)
        hash = mm_mix64(hash ^ row->refunds[i]);
    if (row->alliance != 0)
        hash = mm_mix64(~hash ^ mm_mix64(row->alliance));
    return hash;
}

void world_player_changed(struct world *world, struct world_player *player)
{
    world->players_hash -= player->hash;
    player->hash = world_player_hash(player);
    world->players_hash += player->hash;
}

static void copy_name(char *out, const char *name)
{
    size_t len = strlen(name), used = 0;
    while (used < len) {
        size_t n = mm_utf8_sequence((const uint8_t *)name + used, len - used);
        if (n == 0 || used + n >= WORLD_USERNAME_BYTES)
            break;
        used += n;
    }
    memcpy(out, name, used);
    out[used] = '\0';
}

static enum mm_err reserve_founding(struct world *world, struct hex_chunk home)
{
    size_t grow = hex_disc_count((int32_t)world->rules.map.home_grow_chunks);
    if (world->empires.count >= WORLD_EMPIRES_MAX ||
        world->map.chunk_count + grow > WORLD_CHUNKS_MAX)
        return MM_RESOURCE_EXHAUSTED;
    int32_t reach = (int32_t)world->rules.map.home_grow_chunks;
    if (!world_map_can_hold(home, reach))
        return MM_RESOURCE_EXHAUSTED;
    if (!mm_vec_reserve(&world->players, world->players.count + 1) ||
        !mm_vec_reserve(&world->empires, world->empires.count + 1) ||
        mm_idmap_reserve(world->player_of_id, world->players.count + 1) != MM_OK)
        return MM_RESOURCE_EXHAUSTED;
    // No more nodes than hexes; a start is small beside that.
    uint32_t room = (uint32_t)grow * world->map.tiling.cells + 1024;
    return world_reserve_entities(world, room);
}

static void join_answer(const struct world *world, const struct world_player *player,
                        struct world_result *result)
{
    result->empire = player->empire;
    result->empire_id = world_empire_public_id(world, player->empire);
    result->home = world->empires.items[player->empire - 1].home;
    result->last_client_seq = player->last_client_seq;
}

void world_join(struct world *world, const Mmorts__World__JoinRequest *request,
                struct world_result *result)
{
    struct world_player *known = world_player_find(world, request->player_id);
    if (known) {
        join_answer(world, known, result);
        return;
    }
    if (request->player_id == 0) {
        world_fail(result, MM_INVALID_ARGUMENT, "player_id is missing");
        return;
    }
    uint32_t site = (uint32_t)world->empires.count;
    struct hex_chunk home_chunk = world_mapgen_home(&world->rules.map, site);
    result->err = reserve_founding(world, home_chunk);
    if (result->err != MM_OK) {
        result->message = "the session is full";
        return;
    }
    MM_CHECK(world_grow(world, home_chunk, (int32_t)world->rules.map.home_grow_chunks) == MM_OK);
    struct hex_axial home = hex_chunk_center(&world->map.tiling, home_chunk);
    struct world_player player = {
        .player_id = request->player_id,
        .empire = site + 1,
        .allowance = (uint64_t)world->rules.commands.burst * WORLD_TICK_RATE_HZ,
        .allowance_tick = world->tick,
    };
    copy_name(player.name, request->username ? request->username : "");
    struct world_empire_row empire = {.player_id = request->player_id, .home = home, .site = site};
    MM_CHECK(mm_vec_push(&world->empires, empire));
    MM_CHECK(mm_vec_push(&world->players, player));
    MM_CHECK(mm_idmap_set(world->player_of_id, player.player_id, world->players.count - 1) ==
             MM_OK);
    world->empires_hash += world_empire_hash(site + 1, &empire);
    struct world_player *kept = &world->players.items[world->players.count - 1];
    world_player_changed(world, kept);
    place_start(world, site + 1, home);
    place_home_nodes(world, home, site);
    join_answer(world, kept, result);
    result->founded = true;
    result->applied = true;
}
