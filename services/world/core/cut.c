#include "services/world/core/cut.h"

#include "libcommon/base/alloc.h"
#include "services/world/core/state.h"
#include <string.h>

// The picture is a struct world of which only what is saved and hashed has a value. Large arrays
// are lanes, copied one after the other in the order of their elements: the columns of the
// components, the players, the spawn keys and the terrains. What is small, or has no marks, is
// copied at once at the end.

enum {
    LANE_PLAYERS = WORLD_COMPONENTS,
    LANE_SPAWN_KEYS,
    LANE_TERRAIN, // its elements are chunks
    LANES,
};

struct room {
    void *memory;
    size_t bytes;
};

struct world_cut {
    struct world still;
    uint64_t tick, state_hash;
    size_t lane, at; // lanes before it are copied, and so many elements of it
    bool whole;
    struct room rows[WORLD_COMPONENTS], slot_of_row[WORLD_COMPONENTS];
    struct room alive, generations, players, empires, spawn_keys, terrain, chunks, bills, charted,
        shares;
};

struct world_cut *world_cut_new(void)
{
    return mm_calloc(1, sizeof(struct world_cut));
}

void world_cut_free(struct world_cut *cut)
{
    if (!cut)
        return;
    for (int id = 0; id < WORLD_COMPONENTS; id++) {
        mm_free(cut->rows[id].memory);
        mm_free(cut->slot_of_row[id].memory);
    }
    mm_free(cut->alive.memory);
    mm_free(cut->generations.memory);
    mm_free(cut->players.memory);
    mm_free(cut->empires.memory);
    mm_free(cut->spawn_keys.memory);
    mm_free(cut->terrain.memory);
    mm_free(cut->chunks.memory);
    mm_free(cut->bills.memory);
    mm_free(cut->shares.memory);
    mm_free(cut->charted.memory);
    mm_free(cut);
}

uint64_t world_cut_tick(const struct world_cut *cut)
{
    return cut->tick;
}

uint64_t world_cut_state_hash(const struct world_cut *cut)
{
    return cut->state_hash;
}

// --- room ---------------------------------------------------------------------------------------

// What is new is zero.
static bool fit(struct room *room, size_t bytes)
{
    if (bytes <= room->bytes)
        return true;
    void *memory = mm_realloc(room->memory, bytes);
    if (!memory)
        return false;
    memset((uint8_t *)memory + room->bytes, 0, bytes - room->bytes);
    *room = (struct room){memory, bytes};
    return true;
}

static bool fit_columns(struct world_cut *cut, const struct world_ecs *ecs)
{
    for (int id = 0; id < WORLD_COMPONENTS; id++) {
        const struct world_column *column = &ecs->columns[id];
        struct world_column *still = &cut->still.ecs.columns[id];
        size_t rows = column->row_of_slot ? column->row_capacity : ecs->capacity;
        if (!fit(&cut->rows[id], rows * column->row_bytes) ||
            (column->row_of_slot &&
             !fit(&cut->slot_of_row[id], rows * sizeof *column->slot_of_row)))
            return false;
        still->rows = cut->rows[id].memory;
        still->slot_of_row = cut->slot_of_row[id].memory;
        still->row_bytes = column->row_bytes;
    }
    return true;
}

static bool fit_all(struct world_cut *cut, const struct world *world)
{
    struct world *still = &cut->still;
    const struct world_map *map = &world->map;
    bool fits =
        fit_columns(cut, &world->ecs) &&
        fit(&cut->alive, MM_BITSET_WORDS(world->ecs.capacity) * 8) &&
        fit(&cut->generations, world->ecs.capacity * sizeof *world->ecs.generations) &&
        fit(&cut->players, world->players.capacity * sizeof *world->players.items) &&
        fit(&cut->empires, world->empires.capacity * sizeof *world->empires.items) &&
        fit(&cut->spawn_keys, world->spawn_keys.capacity * sizeof *world->spawn_keys.items) &&
        fit(&cut->terrain, (size_t)map->chunk_capacity * map->tiling.cells) &&
        fit(&cut->chunks, map->chunk_capacity * sizeof *map->chunks) &&
        fit(&cut->bills, world->bills.capacity * sizeof *world->bills.items) &&
        fit(&cut->shares, world->shares.capacity * sizeof *world->shares.items) &&
        fit(&cut->charted, MM_BITSET_WORDS(map->chunk_capacity) * 8);
    still->ecs.alive = cut->alive.memory;
    still->ecs.generations = cut->generations.memory;
    still->players.items = cut->players.memory;
    still->empires.items = cut->empires.memory;
    still->spawn_keys.items = cut->spawn_keys.memory;
    still->map.terrain = cut->terrain.memory;
    still->map.chunks = cut->chunks.memory;
    still->bills.items = cut->bills.memory;
    still->shares.items = cut->shares.memory;
    still->grid.charted = cut->charted.memory;
    return fits;
}

// --- keeping up ---------------------------------------------------------------------------------

// How many elements of a lane are copied.
static size_t copied(const struct world_cut *cut, size_t lane)
{
    return lane < cut->lane ? SIZE_MAX : lane == cut->lane ? cut->at : 0;
}

static void copy_row(struct world_column *still, const struct world_column *column, size_t row)
{
    memcpy(still->rows + row * column->row_bytes, column->rows + row * column->row_bytes,
           column->row_bytes);
}

// Rows of a sparse column change places without being touched: those whose slot is another one
// than in the picture are taken up anew.
static void catch_up_places(struct world_column *still, const struct world_column *column,
                            size_t known)
{
    enum { BLOCK = 256 };
    size_t count = column->row_count < known ? column->row_count : known;
    for (size_t first = 0; first < count; first += BLOCK) {
        size_t end = first + BLOCK < count ? first + BLOCK : count;
        if (memcmp(still->slot_of_row + first, column->slot_of_row + first,
                   (end - first) * sizeof *still->slot_of_row) == 0)
            continue;
        for (size_t row = first; row < end; row++) {
            if (still->slot_of_row[row] == column->slot_of_row[row])
                continue;
            still->slot_of_row[row] = column->slot_of_row[row];
            copy_row(still, column, row);
        }
    }
}

static void catch_up_column(struct world_cut *cut, const struct world_ecs *ecs, size_t id)
{
    const struct world_column *column = &ecs->columns[id];
    struct world_column *still = &cut->still.ecs.columns[id];
    size_t known = copied(cut, id);
    if (known == 0)
        return;
    if (column->row_of_slot)
        catch_up_places(still, column, known);
    if (column->dirty_count == 0)
        return;
    for (size_t slot = mm_bitset_next(column->dirty, ecs->slot_end, 0); slot < ecs->slot_end;
         slot = mm_bitset_next(column->dirty, ecs->slot_end, slot + 1)) {
        size_t row = column->row_of_slot ? column->row_of_slot[slot] - 1 : slot;
        if (row < known)
            copy_row(still, column, row);
    }
}

static void catch_up_players(struct world_cut *cut, const struct world *world)
{
    size_t known = copied(cut, LANE_PLAYERS);
    size_t count = world->players.count < known ? world->players.count : known;
    for (size_t i = 0; i < count; i++)
        if (i >= cut->still.players.count ||
            cut->still.players.items[i].hash != world->players.items[i].hash)
            cut->still.players.items[i] = world->players.items[i];
    if (cut->still.players.count < count)
        cut->still.players.count = count;
}

// New keys go round in a ring.
static void catch_up_spawn_keys(struct world_cut *cut, const struct world *world)
{
    size_t known = copied(cut, LANE_SPAWN_KEYS);
    uint64_t kept = world->rules.spawn_keys_kept, n = cut->still.spawns_total;
    if (world->spawns_total - n > kept)
        n = world->spawns_total - kept;
    for (; n < world->spawns_total; n++)
        if (n % kept < known)
            cut->still.spawn_keys.items[n % kept] = world->spawn_keys.items[n % kept];
    cut->still.spawns_total = world->spawns_total;
}

static void catch_up(struct world_cut *cut, const struct world *world)
{
    for (size_t id = 0; id < WORLD_COMPONENTS; id++)
        catch_up_column(cut, &world->ecs, id);
    catch_up_players(cut, world);
    catch_up_spawn_keys(cut, world);
}

// --- copying ------------------------------------------------------------------------------------

// A piece of a lane: elements at.. up to about `bytes`. Returns the bytes copied; 0 at its end.
static size_t copy_piece(void *to, const void *from, size_t element_bytes, size_t count, size_t *at,
                         size_t bytes)
{
    size_t left = count > *at ? count - *at : 0;
    size_t most = bytes < element_bytes ? 1 : bytes / element_bytes;
    size_t now = left < most ? left : most;
    if (now > 0)
        memcpy((uint8_t *)to + *at * element_bytes, (const uint8_t *)from + *at * element_bytes,
               now * element_bytes);
    *at += now;
    return now * element_bytes;
}

static size_t copy_column(struct world_cut *cut, const struct world_ecs *ecs, size_t id,
                          size_t bytes)
{
    const struct world_column *column = &ecs->columns[id];
    struct world_column *still = &cut->still.ecs.columns[id];
    size_t count = column->row_of_slot ? column->row_count : ecs->slot_end, from = cut->at;
    size_t done = copy_piece(still->rows, column->rows, column->row_bytes, count, &cut->at, bytes);
    if (column->row_of_slot && done > 0)
        memcpy(still->slot_of_row + from, column->slot_of_row + from,
               (cut->at - from) * sizeof *column->slot_of_row);
    return done;
}

static size_t copy_some(struct world_cut *cut, const struct world *world, size_t bytes)
{
    struct world *still = &cut->still;
    size_t cells = world->map.tiling.cells, done;
    switch (cut->lane) {
    case LANE_PLAYERS:
        done = copy_piece(still->players.items, world->players.items, sizeof *still->players.items,
                          world->players.count, &cut->at, bytes);
        if (still->players.count < cut->at)
            still->players.count = cut->at;
        return done;
    case LANE_SPAWN_KEYS:
        return copy_piece(still->spawn_keys.items, world->spawn_keys.items,
                          sizeof *still->spawn_keys.items, world->spawn_keys.count, &cut->at,
                          bytes);
    case LANE_TERRAIN:
        return copy_piece(still->map.terrain, world->map.terrain, cells, world->map.chunk_count,
                          &cut->at, bytes);
    default:
        return copy_column(cut, &world->ecs, cut->lane, bytes);
    }
}

static void finish_columns(struct world_ecs *still, const struct world_ecs *ecs)
{
    still->slot_end = ecs->slot_end;
    still->alive_count = ecs->alive_count;
    still->readable = ecs->readable;
    still->generation_sum = ecs->generation_sum;
    memcpy(still->alive, ecs->alive, MM_BITSET_WORDS(ecs->slot_end) * 8);
    memcpy(still->generations, ecs->generations, ecs->slot_end * sizeof *ecs->generations);
    for (int id = 0; id < WORLD_COMPONENTS; id++) {
        still->columns[id].row_count = ecs->columns[id].row_count;
        still->columns[id].hash_sum = ecs->columns[id].hash_sum;
    }
}

// All lanes are at the present tick, and so is what is taken now.
static void finish(struct world_cut *cut, const struct world *world)
{
    struct world *still = &cut->still;
    const struct world_map *map = &world->map;
    finish_columns(&still->ecs, &world->ecs);
    still->rules = world->rules;
    still->rules_hash = world->rules_hash;
    still->seed = world->seed;
    memcpy(still->secret, world->secret, sizeof still->secret);
    still->tick = world->tick;
    still->paused = world->paused;
    still->serial_next = world->serial_next;
    still->ticket_next = world->ticket_next;
    still->players_hash = world->players_hash;
    still->empires_hash = world->empires_hash;
    still->spawn_keys_hash = world->spawn_keys_hash;
    still->spawn_keys.count = world->spawn_keys.count;
    still->bill_next = world->bill_next;
    still->bills_hash = world->bills_hash;
    still->bills.count = world->bills.count;
    if (still->bills.count > 0)
        memcpy(still->bills.items, world->bills.items,
               world->bills.count * sizeof *still->bills.items);
    still->allies_lend = world->allies_lend;
    still->shares_hash = world->shares_hash;
    still->shares.count = world->shares.count;
    if (still->shares.count > 0)
        memcpy(still->shares.items, world->shares.items,
               world->shares.count * sizeof *still->shares.items);
    still->empires.count = world->empires.count;
    if (still->empires.count > 0)
        memcpy(still->empires.items, world->empires.items,
               world->empires.count * sizeof *still->empires.items);
    still->map.tiling = map->tiling;
    still->map.hash_sum = map->hash_sum;
    // Of chunks only the terrain is a lane; those that came since it was copied are its end.
    size_t at = still->map.chunk_count;
    still->map.chunk_count = map->chunk_count;
    copy_piece(still->map.terrain, map->terrain, map->tiling.cells, map->chunk_count, &at,
               SIZE_MAX);
    memcpy(still->map.chunks, map->chunks, map->chunk_count * sizeof *map->chunks);
    memcpy(still->grid.charted, world->grid.charted, MM_BITSET_WORDS(map->chunk_count) * 8);
    cut->state_hash = world_state_hash(world);
    cut->whole = true;
}

void world_cut_begin(struct world_cut *cut, const struct world *world)
{
    for (int id = 0; id < WORLD_COMPONENTS; id++)
        if (cut->slot_of_row[id].memory)
            memset(cut->slot_of_row[id].memory, 0, cut->slot_of_row[id].bytes);
    memset(&cut->still, 0, sizeof cut->still);
    cut->still.spawns_total = world->spawns_total;
    cut->tick = world->tick;
    cut->lane = cut->at = 0;
    cut->whole = false;
}

enum mm_err world_cut_follow(struct world_cut *cut, const struct world *world, size_t bytes,
                             bool *whole)
{
    MM_CHECK(!cut->whole && world->tick - cut->tick <= 1);
    *whole = false;
    if (!fit_all(cut, world))
        return MM_RESOURCE_EXHAUSTED;
    if (world->tick != cut->tick)
        catch_up(cut, world);
    cut->tick = world->tick;
    while (cut->lane < LANES && bytes > 0) {
        size_t done = copy_some(cut, world, bytes);
        bytes -= done < bytes ? done : bytes;
        if (done > 0)
            continue;
        if (cut->lane == LANE_TERRAIN)
            cut->still.map.chunk_count = (uint32_t)cut->at;
        cut->lane++;
        cut->at = 0;
    }
    if (cut->lane == LANES)
        finish(cut, world);
    *whole = cut->whole;
    return MM_OK;
}

// --- saving -------------------------------------------------------------------------------------

// The picture has the slots of sparse rows; looking them up needs it the other way round.
static bool index_rows(struct world_ecs *ecs)
{
    for (int id = 0; id < WORLD_COMPONENTS; id++) {
        struct world_column *column = &ecs->columns[id];
        if (world_components[id].storage != WORLD_SPARSE)
            continue;
        column->row_of_slot = mm_calloc(ecs->slot_end, sizeof *column->row_of_slot);
        if (!column->row_of_slot)
            return false;
        for (uint32_t row = 0; row < column->row_count; row++)
            if (column->slot_of_row[row] < ecs->slot_end)
                column->row_of_slot[column->slot_of_row[row]] = row + 1;
    }
    return true;
}

enum mm_err world_cut_save(struct world_cut *cut, struct mm_buf *out)
{
    MM_CHECK(cut->whole);
    struct world *still = &cut->still;
    enum mm_err err = index_rows(&still->ecs) ? MM_OK : MM_RESOURCE_EXHAUSTED;
    if (err == MM_OK && (world_state_hash(still) != cut->state_hash ||
                         world_state_hash_full(still) != cut->state_hash))
        err = MM_DATA_LOSS;
    if (err == MM_OK) {
        world_save(still, out);
        err = out->err;
    }
    for (int id = 0; id < WORLD_COMPONENTS; id++) {
        mm_free(still->ecs.columns[id].row_of_slot);
        still->ecs.columns[id].row_of_slot = NULL;
    }
    return err;
}
