#include "services/world/core/state.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/hash.h"
#include "libcommon/base/str.h"
#include "services/world/core/save.h"
#include <stdlib.h>
#include <string.h>

// Reads a saved state. Nothing in it is believed: sizes are held against the bytes that are there
// before anything is allocated, every number against what it refers to, and in the end the whole
// against world_verify().

struct reader {
    const uint8_t *data;
    size_t len, at;
    bool failed;
};

static const uint8_t *read_bytes(struct reader *reader, size_t bytes)
{
    if (reader->failed || bytes > reader->len - reader->at) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *at = reader->data + reader->at;
    reader->at += bytes;
    return at;
}

static uint64_t read_number(struct reader *reader, unsigned bytes)
{
    const uint8_t *at = read_bytes(reader, bytes);
    uint64_t value = 0;
    for (unsigned i = 0; at && i < bytes; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static uint32_t read_u32(struct reader *reader)
{
    return (uint32_t)read_number(reader, 4);
}

static uint64_t read_u64(struct reader *reader)
{
    return read_number(reader, 8);
}

// A count of things of which each takes at least bytes_each.
static uint32_t read_count(struct reader *reader, size_t bytes_each, uint32_t most)
{
    uint32_t count = read_u32(reader);
    if (count > most || (uint64_t)count * bytes_each > reader->len - reader->at)
        reader->failed = true;
    return reader->failed ? 0 : count;
}

// --- map -----------------------------------------------------------------------------------------

static enum mm_err load_map(struct world *world, struct reader *reader)
{
    size_t cells = world->map.tiling.cells;
    uint32_t count = read_count(reader, 8 + cells, WORLD_CHUNKS_MAX);
    const uint8_t *a = read_bytes(reader, (size_t)count * 4);
    const uint8_t *b = read_bytes(reader, (size_t)count * 4);
    const uint8_t *terrain = read_bytes(reader, count * cells);
    if (reader->failed || count == 0)
        return MM_DATA_LOSS;
    for (size_t i = 0; i < count * cells; i++)
        if (terrain[i] >= world->rules.terrain_count)
            return MM_DATA_LOSS;
    struct reader as = {a, (size_t)count * 4, 0, false}, bs = {b, (size_t)count * 4, 0, false};
    for (uint32_t i = 0; i < count; i++) {
        struct hex_chunk chunk = {(int32_t)read_u32(&as), (int32_t)read_u32(&bs)};
        if (!world_map_can_hold(chunk, 0) ||
            world_map_chunk(&world->map, chunk) != WORLD_CHUNK_NONE)
            return MM_DATA_LOSS;
        enum mm_err err = world_map_add(&world->map, chunk, terrain + i * cells);
        if (err != MM_OK)
            return err;
    }
    return MM_OK;
}

// --- entities ------------------------------------------------------------------------------------

static void load_value(uint8_t *at, unsigned bytes, uint64_t value)
{
    uint8_t u8 = (uint8_t)value;
    uint16_t u16 = (uint16_t)value;
    uint32_t u32 = (uint32_t)value;
    switch (bytes) {
    case 1:
        memcpy(at, &u8, 1);
        break;
    case 2:
        memcpy(at, &u16, 2);
        break;
    case 4:
        memcpy(at, &u32, 4);
        break;
    default:
        memcpy(at, &value, 8);
        break;
    }
}

static void load_field(struct world_ecs *ecs, enum world_component_id id,
                       const struct world_field *field, struct reader *reader)
{
    for (uint32_t slot = world_ecs_next(ecs, 0); slot != WORLD_SLOT_NONE && !reader->failed;
         slot = world_ecs_next(ecs, slot)) {
        uint8_t *row = world_ecs_row(ecs, id, slot);
        if (!row)
            continue;
        if (field->raw) {
            const uint8_t *bytes = read_bytes(reader, field->raw);
            if (bytes)
                memcpy(row + field->offset, bytes, field->raw);
            continue;
        }
        for (unsigned i = 0; i < field->count; i++)
            load_value(row + field->offset + i * field->stride, field->bytes,
                       read_number(reader, field->bytes));
    }
}

static enum mm_err load_component(struct world_ecs *ecs, enum world_component_id id,
                                  struct reader *reader)
{
    const struct world_component *component = &world_components[id];
    if (component->storage == WORLD_SPARSE) {
        uint32_t count = read_count(reader, 4, ecs->alive_count), last = 0;
        enum mm_err err = world_ecs_reserve_rows(ecs, id, count);
        if (err != MM_OK)
            return err;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t slot = read_u32(reader);
            if (slot <= last || !world_ecs_alive(ecs, slot))
                return MM_DATA_LOSS;
            world_ecs_add(ecs, id, slot);
            last = slot;
        }
    }
    for (unsigned f = 0; f < component->field_count; f++)
        load_field(ecs, id, &component->fields[f], reader);
    return reader->failed ? MM_DATA_LOSS : MM_OK;
}

static enum mm_err load_entities(struct world *world, struct reader *reader)
{
    struct world_ecs *ecs = &world->ecs;
    uint32_t end = read_count(reader, 4, world->rules.entities_max + 1);
    if (end == 0)
        return MM_DATA_LOSS;
    enum mm_err err = world_reserve_entities(world, end - 1);
    if (err != MM_OK)
        return err;
    size_t words = MM_BITSET_WORDS(end);
    struct reader generations = {reader->data, 0, 0, false}, alive = generations;
    generations.data = read_bytes(reader, (size_t)(end - 1) * 4);
    generations.len = (size_t)(end - 1) * 4;
    alive.data = read_bytes(reader, words * 8);
    alive.len = words * 8;
    if (reader->failed)
        return MM_DATA_LOSS;
    for (uint32_t slot = 0; slot < words * 64; slot++) {
        uint32_t generation = slot > 0 && slot < end ? read_u32(&generations) : 0;
        bool lives = (alive.data[slot / 8] >> (slot % 8)) & 1;
        if (lives && (slot == 0 || slot >= end))
            return MM_DATA_LOSS;
        if (slot > 0 && slot < end)
            world_ecs_restore(ecs, slot, generation, lives);
    }
    for (int id = 0; id < WORLD_COMPONENTS; id++) {
        err = load_component(ecs, (enum world_component_id)id, reader);
        if (err != MM_OK)
            return err;
    }
    return MM_OK;
}

// Puts an entity on the map, after looking whether what it says of itself can be.
static enum mm_err place_entity(struct world *world, uint32_t slot)
{
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    const struct world_place *place = WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot);
    if (identity->type >= world->rules.type_count ||
        identity->kind != world->rules.types[identity->type].kind ||
        identity->owner > world->empires.count || identity->serial == 0 ||
        identity->serial >= world->serial_next ||
        mm_idmap_has(world->slot_of_serial, identity->serial) || place->cell == WORLD_CELL_NONE ||
        world_map_cell(&world->map, (struct hex_axial){place->q, place->r}) != place->cell)
        return MM_DATA_LOSS;
    const struct world_veteran *veteran =
        WORLD_GET(&world->ecs, WORLD_VETERAN, world_veteran, slot);
    if (veteran && veteran->rank != world_rank_of_kills(&world->rules, veteran->kills))
        return MM_DATA_LOSS;
    unsigned counts_as = world_counts_as(world, identity->type);
    // What stands somewhere must have been let in there.
    if (counts_as != 0 && !world_cell_free(world, place->cell, counts_as))
        return MM_DATA_LOSS;
    world_entity_enter(world, slot, place->cell);
    return mm_idmap_set(world->slot_of_serial, identity->serial, slot);
}

// --- players and spawn keys ----------------------------------------------------------------------

static bool load_deposits(const struct world *world, struct reader *reader,
                          struct world_empire_row *row)
{
    row->deposit_count = read_count(reader, 12, WORLD_RESOURCES_MAX);
    for (uint32_t i = 0; i < row->deposit_count; i++) {
        struct world_deposit *deposit = &row->deposits[i];
        deposit->type = read_u32(reader);
        deposit->total = read_u64(reader);
        if (deposit->type >= world->rules.type_count || deposit->total > INT64_MAX ||
            world->rules.types[deposit->type].yields[0] == '\0')
            return false;
        for (uint32_t j = 0; j < i; j++)
            if (row->deposits[j].type == deposit->type)
                return false;
    }
    return !reader->failed;
}

static bool load_refunds(struct reader *reader, struct world_empire_row *row)
{
    for (int item = 0; item < WORLD_ITEMS_MAX; item++) {
        row->refunds[item] = read_u64(reader);
        if (row->refunds[item] > INT64_MAX / 2)
            return false; // else one more could not be told any more
    }
    return !reader->failed;
}

static enum mm_err load_empires(struct world *world, struct reader *reader)
{
    uint32_t count = read_count(reader, 32 + 8 * WORLD_ITEMS_MAX, WORLD_EMPIRES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct world_empire_row row = {.player_id = read_u64(reader)};
        row.home = hex_unpack(read_u64(reader));
        row.site = read_u32(reader);
        if (!load_deposits(world, reader, &row) || !load_refunds(reader, &row) ||
            world_map_cell(&world->map, row.home) == WORLD_CELL_NONE)
            return MM_DATA_LOSS;
        row.alliance = read_u64(reader);
        if (!mm_vec_push(&world->empires, row))
            return MM_RESOURCE_EXHAUSTED;
        world->empires_hash += world_empire_hash(i + 1, &row);
    }
    return reader->failed ? MM_DATA_LOSS : MM_OK;
}

static bool player_sound(const struct world *world, const struct world_player *player)
{
    return player->player_id != 0 && player->empire >= 1 &&
           player->empire <= world->empires.count &&
           world->empires.items[player->empire - 1].player_id == player->player_id &&
           player->kept_next < WORLD_RESULTS_KEPT && player->allowance_tick <= world->tick &&
           player->name[WORLD_USERNAME_BYTES - 1] == '\0' &&
           mm_utf8_valid(player->name, strlen(player->name)) &&
           !mm_idmap_has(world->player_of_id, player->player_id);
}

static enum mm_err load_players(struct world *world, struct reader *reader)
{
    uint32_t count = read_count(reader, 100 + WORLD_RESULTS_KEPT * 20, WORLD_EMPIRES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct world_player player = {.player_id = read_u64(reader)};
        player.empire = read_u32(reader);
        const uint8_t *name = read_bytes(reader, WORLD_USERNAME_BYTES);
        if (name)
            memcpy(player.name, name, WORLD_USERNAME_BYTES);
        player.last_client_seq = read_u64(reader);
        player.allowance = read_u64(reader);
        player.allowance_tick = read_u64(reader);
        player.kept_next = read_u32(reader);
        for (int k = 0; k < WORLD_RESULTS_KEPT; k++) {
            player.kept[k].client_seq = read_u64(reader);
            player.kept[k].tick = read_u64(reader);
            player.kept[k].reason = read_u32(reader);
        }
        if (reader->failed || !player_sound(world, &player))
            return MM_DATA_LOSS;
        if (!mm_vec_push(&world->players, player) ||
            mm_idmap_set(world->player_of_id, player.player_id, i) != MM_OK)
            return MM_RESOURCE_EXHAUSTED;
        world_player_changed(world, &world->players.items[i]);
    }
    // Every empire has its player, and the other way round.
    return reader->failed || count != world->empires.count ? MM_DATA_LOSS : MM_OK;
}

static enum mm_err load_spawn_keys(struct world *world, struct reader *reader)
{
    uint32_t count = read_count(reader, 22, world->rules.spawn_keys_kept);
    uint64_t expected = world->spawns_total < world->rules.spawn_keys_kept
                            ? world->spawns_total
                            : world->rules.spawn_keys_kept;
    if (count != expected)
        return MM_DATA_LOSS;
    for (uint32_t i = 0; i < count; i++) {
        struct world_spawn_key key = {.len = (uint32_t)read_number(reader, 1)};
        if (key.len < 1 || key.len > WORLD_SPAWN_KEY_BYTES_MAX)
            return MM_DATA_LOSS;
        const uint8_t *bytes = read_bytes(reader, key.len);
        if (bytes)
            memcpy(key.bytes, bytes, key.len);
        key.count = read_u32(reader);
        key.first_serial = read_u64(reader);
        key.tick = read_u64(reader);
        if (reader->failed || key.count > WORLD_SPAWN_COUNT_MAX || key.tick > world->tick ||
            mm_strmap_get_n(world->spawn_of_key, (const char *)key.bytes, key.len, NULL))
            return MM_DATA_LOSS;
        if (!mm_vec_push(&world->spawn_keys, key) ||
            mm_strmap_set_n(world->spawn_of_key, (const char *)key.bytes, key.len, i) != MM_OK)
            return MM_RESOURCE_EXHAUSTED;
        world->spawn_keys_hash += world_spawn_key_hash(&key);
    }
    return reader->failed ? MM_DATA_LOSS : MM_OK;
}

static bool bill_sound(const struct world *world, const struct world_bill *bill, uint64_t last)
{
    struct hex_axial at = {bill->q, bill->r};
    return bill->number > last && bill->number < world->bill_next && bill->tick <= world->tick &&
           world_player_find(world, bill->player_id) && bill->type < world->rules.type_count &&
           world_map_cell(&world->map, at) != WORLD_CELL_NONE && bill->queued <= 1 &&
           bill->builder_count <= WORLD_BUILDERS_MAX;
}

static enum mm_err load_bills(struct world *world, struct reader *reader)
{
    uint32_t count = read_count(reader, 52 + 4 * WORLD_ITEMS_MAX,
                                WORLD_EMPIRES_MAX * WORLD_BILLS_PER_PLAYER_MAX);
    uint64_t last = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct world_bill bill = {.number = read_u64(reader)};
        bill.player_id = read_u64(reader);
        bill.client_seq = read_u64(reader);
        bill.tick = read_u64(reader);
        bill.type = read_u32(reader);
        bill.q = (int32_t)read_u32(reader);
        bill.r = (int32_t)read_u32(reader);
        bill.queued = read_u32(reader);
        for (int item = 0; item < WORLD_ITEMS_MAX; item++)
            bill.cost[item] = read_u32(reader);
        bill.builder_count = read_count(reader, 8, WORLD_BUILDERS_MAX);
        for (uint32_t b = 0; b < bill.builder_count; b++)
            bill.builders[b] = read_u64(reader);
        if (reader->failed || !bill_sound(world, &bill, last))
            return MM_DATA_LOSS;
        last = bill.number;
        if (!mm_vec_push(&world->bills, bill))
            return MM_RESOURCE_EXHAUSTED;
        world->bills_hash += world_bill_hash(&bill);
    }
    return reader->failed ? MM_DATA_LOSS : MM_OK;
}

// --- the whole -----------------------------------------------------------------------------------

static int compare_requests(const void *a, const void *b)
{
    const struct world_path_request *x = a, *y = b;
    return (x->ticket > y->ticket) - (x->ticket < y->ticket);
}

static enum mm_err rebuild_queue(struct world *world)
{
    const struct world_column *movers = &world->ecs.columns[WORLD_MOVER];
    for (uint32_t row = 0; row < movers->row_count; row++) {
        const struct world_mover *mover =
            (const void *)(movers->rows + (size_t)row * movers->row_bytes);
        struct world_path_request request = {mover->due, movers->slot_of_row[row]};
        if (mover->phase == WORLD_MOVE_WAITING_FOR_PATH && !mm_vec_push(&world->queue, request))
            return MM_RESOURCE_EXHAUSTED;
    }
    if (world->queue.count > 0)
        qsort(world->queue.items, world->queue.count, sizeof *world->queue.items, compare_requests);
    return MM_OK;
}

static enum mm_err load_body(struct world *world, struct reader *reader)
{
    enum mm_err err = load_map(world, reader);
    if (err == MM_OK)
        err = load_entities(world, reader);
    if (err == MM_OK)
        err = load_empires(world, reader);
    if (err == MM_OK)
        err = load_players(world, reader);
    if (err == MM_OK)
        err = load_spawn_keys(world, reader);
    if (err == MM_OK)
        err = load_bills(world, reader);
    if (err == MM_OK && reader->at != reader->len)
        err = MM_DATA_LOSS;
    if (err == MM_OK)
        err = world_reserve_entities(world, 0);
    for (uint32_t slot = world_ecs_next(&world->ecs, 0); err == MM_OK && slot != WORLD_SLOT_NONE;
         slot = world_ecs_next(&world->ecs, slot))
        err = place_entity(world, slot);
    if (err == MM_OK)
        err = rebuild_queue(world);
    return err;
}

// The numbers that stand before the rules.
struct head {
    uint64_t seed, tick, paused, serial_next, ticket_next, spawns_total, bill_next, state_hash;
    const uint8_t *secret;
};

static enum mm_err load_head(struct reader *reader, struct head *head, struct world **out)
{
    head->seed = read_u64(reader);
    head->secret = read_bytes(reader, 16);
    head->tick = read_u64(reader);
    head->paused = read_u64(reader);
    head->serial_next = read_u64(reader);
    head->ticket_next = read_u64(reader);
    head->spawns_total = read_u64(reader);
    head->bill_next = read_u64(reader);
    head->state_hash = read_u64(reader);
    // Near their end the counters would overflow: no state gets there.
    const uint64_t most = UINT64_MAX / 2;
    if (reader->failed || head->paused > 1 || head->tick > most || head->serial_next > most ||
        head->ticket_next > most || head->spawns_total > most || head->bill_next < 1 ||
        head->bill_next > most)
        return MM_DATA_LOSS;
    struct world_rules *rules = mm_malloc(sizeof *rules);
    if (!rules)
        return MM_RESOURCE_EXHAUSTED;
    size_t used = 0;
    enum mm_err err =
        world_rules_decode(rules, reader->data + reader->at, reader->len - reader->at, &used);
    reader->at += used;
    *out = err == MM_OK ? world_alloc(rules) : NULL;
    mm_free(rules);
    if (!*out)
        return err == MM_OK ? MM_RESOURCE_EXHAUSTED : err;
    struct world *world = *out;
    world->seed = head->seed;
    memcpy(world->secret, head->secret, 16);
    world_derive(world);
    world->tick = head->tick;
    world->paused = head->paused != 0;
    world->serial_next = head->serial_next;
    world->ticket_next = head->ticket_next;
    world->spawns_total = head->spawns_total;
    world->bill_next = head->bill_next;
    return MM_OK;
}

enum mm_err world_load_unchecked(const uint8_t *data, size_t len, struct world **out,
                                 uint64_t *state_hash)
{
    *out = NULL;
    struct reader reader = {data, len, 8, len < 8};
    struct head head;
    enum mm_err err = load_head(&reader, &head, out);
    if (err == MM_OK)
        err = load_body(*out, &reader);
    char problem[128];
    if (err == MM_OK)
        err = world_verify(*out, problem, sizeof problem);
    if (err != MM_OK) {
        world_free(*out);
        *out = NULL;
        return err;
    }
    struct world *world = *out;
    world_ecs_settle(&world->ecs);
    world_ecs_begin(&world->ecs);
    world->empires_before = (uint32_t)world->empires.count;
    world->chunks_before = world->map.chunk_count;
    *state_hash = head.state_hash;
    return MM_OK;
}

enum mm_err world_load(const uint8_t *data, size_t len, struct world **out)
{
    *out = NULL;
    struct reader reader = {data, len, 0, false};
    uint32_t magic = read_u32(&reader), version = read_u32(&reader);
    if (reader.failed || magic != WORLD_SAVE_MAGIC)
        return MM_DATA_LOSS;
    if (version != WORLD_SAVE_VERSION)
        return MM_UNIMPLEMENTED;
    if (len < 16)
        return MM_DATA_LOSS;
    struct reader tail = {data, len, len - 8, false};
    if (read_u64(&tail) != mm_hash64(data, len - 8, WORLD_SAVE_MAGIC))
        return MM_DATA_LOSS;
    uint64_t state_hash;
    enum mm_err err = world_load_unchecked(data, len - 8, out, &state_hash);
    if (err == MM_OK && world_state_hash(*out) != state_hash) {
        world_free(*out);
        *out = NULL;
        err = MM_DATA_LOSS;
    }
    return err;
}
