#include "services/world/core/state.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/hash.h"
#include "services/world/core/load.h"
#include "services/world/core/save.h"
#include <stdlib.h>
#include <string.h>

const uint8_t *world_read_bytes(struct world_reader *reader, size_t bytes)
{
    if (reader->failed || bytes > reader->len - reader->at) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *at = reader->data + reader->at;
    reader->at += bytes;
    return at;
}

uint64_t world_read_number(struct world_reader *reader, unsigned bytes)
{
    const uint8_t *at = world_read_bytes(reader, bytes);
    uint64_t value = 0;
    for (unsigned i = 0; at && i < bytes; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

uint32_t world_read_u32(struct world_reader *reader)
{
    return (uint32_t)world_read_number(reader, 4);
}

uint64_t world_read_u64(struct world_reader *reader)
{
    return world_read_number(reader, 8);
}

uint32_t world_read_count(struct world_reader *reader, size_t bytes_each, uint32_t most)
{
    uint32_t count = world_read_u32(reader);
    if (count > most || (uint64_t)count * bytes_each > reader->len - reader->at)
        reader->failed = true;
    return reader->failed ? 0 : count;
}

// --- map -----------------------------------------------------------------------------------------

// *charted is set where its words lie: what is placed on the map changes it.
static enum mm_err load_map(struct world *world, struct world_reader *reader,
                            struct world_reader *charted)
{
    size_t cells = world->map.tiling.cells;
    uint32_t count = world_read_count(reader, 8 + cells, WORLD_CHUNKS_MAX);
    const uint8_t *a = world_read_bytes(reader, (size_t)count * 4);
    const uint8_t *b = world_read_bytes(reader, (size_t)count * 4);
    const uint8_t *terrain = world_read_bytes(reader, count * cells);
    size_t words = reader->version >= 11 ? MM_BITSET_WORDS(count) : 0;
    *charted = (struct world_reader){
        .data = world_read_bytes(reader, words * 8), .len = words * 8, .version = reader->version};
    if (reader->failed || count == 0)
        return MM_DATA_LOSS;
    for (size_t i = 0; i < count * cells; i++)
        if (terrain[i] >= world->rules.terrain_count)
            return MM_DATA_LOSS;
    struct world_reader as = {.data = a, .len = (size_t)count * 4}, bs = as;
    bs.data = b;
    for (uint32_t i = 0; i < count; i++) {
        struct hex_chunk chunk = {(int32_t)world_read_u32(&as), (int32_t)world_read_u32(&bs)};
        if (!world_map_can_hold(chunk, 0) ||
            world_map_chunk(&world->map, chunk) != WORLD_CHUNK_NONE)
            return MM_DATA_LOSS;
        enum mm_err err = world_map_add(&world->map, chunk, terrain + i * cells);
        if (err != MM_OK)
            return err;
        if (!mm_progress_row(reader->progress, i))
            return MM_CANCELLED;
    }
    return MM_OK;
}

static enum mm_err load_charted(struct world *world, struct world_reader *charted)
{
    uint32_t count = world->map.chunk_count;
    for (size_t i = 0; i < MM_BITSET_WORDS(count); i++)
        world->grid.charted[i] = charted->version >= 11 ? world_read_u64(charted) : 0;
    bool beyond = count % 64 != 0 && world->grid.charted[count / 64] >> count % 64 != 0;
    return charted->failed || beyond ? MM_DATA_LOSS : MM_OK;
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
                       const struct world_field *field, struct world_reader *reader)
{
    for (uint32_t slot = world_ecs_next(ecs, 0); slot != WORLD_SLOT_NONE && !reader->failed;
         slot = world_ecs_next(ecs, slot)) {
        reader->failed |= !mm_progress_row(reader->progress, slot);
        uint8_t *row = world_ecs_row(ecs, id, slot);
        if (!row)
            continue;
        if (field->raw) {
            const uint8_t *bytes = world_read_bytes(reader, field->raw);
            if (bytes)
                memcpy(row + field->offset, bytes, field->raw);
            continue;
        }
        for (unsigned i = 0; i < field->count; i++)
            load_value(row + field->offset + i * field->stride, field->bytes,
                       world_read_number(reader, field->bytes));
    }
}

static enum mm_err load_component(struct world_ecs *ecs, enum world_component_id id,
                                  struct world_reader *reader)
{
    const struct world_component *component = &world_components[id];
    if (component->storage == WORLD_SPARSE) {
        uint32_t count = world_read_count(reader, 4, ecs->alive_count), last = 0;
        enum mm_err err = world_ecs_reserve_rows(ecs, id, count);
        if (err != MM_OK)
            return err;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t slot = world_read_u32(reader);
            if (slot <= last || !world_ecs_alive(ecs, slot))
                return MM_DATA_LOSS;
            world_ecs_add(ecs, id, slot);
            last = slot;
            if (!mm_progress_row(reader->progress, i))
                return MM_CANCELLED;
        }
    }
    for (unsigned f = 0; f < component->field_count; f++)
        if (component->fields[f].since <= reader->version)
            load_field(ecs, id, &component->fields[f], reader);
    return reader->failed ? MM_DATA_LOSS : MM_OK;
}

static enum mm_err load_entities(struct world *world, struct world_reader *reader)
{
    struct world_ecs *ecs = &world->ecs;
    uint32_t end = world_read_count(reader, 4, world->rules.entities_max + 1);
    if (end == 0)
        return MM_DATA_LOSS;
    enum mm_err err = world_reserve_entities(world, end - 1);
    if (err != MM_OK)
        return err;
    size_t words = MM_BITSET_WORDS(end);
    struct world_reader generations = {.data = reader->data}, alive = generations;
    generations.data = world_read_bytes(reader, (size_t)(end - 1) * 4);
    generations.len = (size_t)(end - 1) * 4;
    alive.data = world_read_bytes(reader, words * 8);
    alive.len = words * 8;
    if (reader->failed)
        return MM_DATA_LOSS;
    for (uint32_t slot = 0; slot < words * 64; slot++) {
        uint32_t generation = slot > 0 && slot < end ? world_read_u32(&generations) : 0;
        bool lives = (alive.data[slot / 8] >> (slot % 8)) & 1;
        if (lives && (slot == 0 || slot >= end))
            return MM_DATA_LOSS;
        if (slot > 0 && slot < end)
            world_ecs_restore(ecs, slot, generation, lives);
        if (!mm_progress_row(reader->progress, slot))
            return MM_CANCELLED;
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

static enum mm_err load_body(struct world *world, struct world_reader *reader)
{
    struct world_reader charted;
    enum mm_err err = load_map(world, reader, &charted);
    if (err == MM_OK)
        err = load_entities(world, reader);
    if (err == MM_OK)
        err = world_load_empires(world, reader);
    if (err == MM_OK)
        err = world_load_players(world, reader);
    if (err == MM_OK)
        err = world_load_spawn_keys(world, reader);
    if (err == MM_OK)
        err = world_load_bills(world, reader);
    if (err == MM_OK && reader->version >= 13)
        err = world_load_sharing(world, reader);
    if (err == MM_OK && reader->at != reader->len)
        err = MM_DATA_LOSS;
    if (err == MM_OK)
        err = world_reserve_entities(world, 0);
    for (uint32_t slot = world_ecs_next(&world->ecs, 0); err == MM_OK && slot != WORLD_SLOT_NONE;
         slot = world_ecs_next(&world->ecs, slot))
        err = mm_progress_row(reader->progress, slot) ? place_entity(world, slot) : MM_CANCELLED;
    if (err == MM_OK)
        err = load_charted(world, &charted);
    if (err == MM_OK)
        err = rebuild_queue(world);
    return err;
}

// The numbers that stand before the rules.
struct head {
    uint64_t seed, tick, paused, serial_next, ticket_next, spawns_total, bill_next, state_hash;
    const uint8_t *secret;
};

static enum mm_err load_head(struct world_reader *reader, struct head *head, struct world **out)
{
    head->seed = world_read_u64(reader);
    head->secret = world_read_bytes(reader, 16);
    head->tick = world_read_u64(reader);
    head->paused = world_read_u64(reader);
    head->serial_next = world_read_u64(reader);
    head->ticket_next = world_read_u64(reader);
    head->spawns_total = world_read_u64(reader);
    head->bill_next = world_read_u64(reader);
    head->state_hash = world_read_u64(reader);
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
    enum mm_err err = world_rules_decode_older(rules, reader->version, reader->data + reader->at,
                                               reader->len - reader->at, &used);
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

// A state of that version, without a look at its head, its checksum and the state hash it names.
static enum mm_err load_unchecked(const uint8_t *data, size_t len, uint32_t version,
                                  struct mm_progress *progress, struct world **out,
                                  uint64_t *state_hash)
{
    *out = NULL;
    struct world_reader reader = {
        .data = data, .len = len, .at = 8, .failed = len < 8, .version = version};
    reader.progress = progress;
    struct head head;
    enum mm_err err = load_head(&reader, &head, out);
    if (err == MM_OK) {
        world_set_progress(*out, progress);
        err = load_body(*out, &reader);
    }
    char problem[128];
    if (err == MM_OK)
        err = world_verify(*out, problem, sizeof problem);
    if (err != MM_OK) {
        world_free(*out);
        *out = NULL;
        return mm_progress_given_up(progress) ? MM_CANCELLED : err;
    }
    struct world *world = *out;
    world_ecs_settle(&world->ecs);
    (void)mm_progress_step(progress);
    world_ecs_begin(&world->ecs);
    world->empires_before = (uint32_t)world->empires.count;
    world->chunks_before = world->map.chunk_count;
    *state_hash = head.state_hash;
    return MM_OK;
}

enum mm_err world_load_unchecked(const uint8_t *data, size_t len, struct world **out,
                                 uint64_t *state_hash)
{
    return load_unchecked(data, len, WORLD_SAVE_VERSION, NULL, out, state_hash);
}

uint32_t world_saved_version(const uint8_t *data, size_t len)
{
    struct world_reader reader = {.data = data, .len = len};
    uint32_t magic = world_read_u32(&reader), version = world_read_u32(&reader);
    return reader.failed || magic != WORLD_SAVE_MAGIC ? 0 : version;
}

static bool checksum_sound(const uint8_t *data, size_t len)
{
    struct world_reader tail = {.data = data, .len = len, .at = len - 8};
    return world_read_u64(&tail) == mm_hash64(data, len - 8, WORLD_SAVE_MAGIC);
}

enum mm_err world_load(const uint8_t *data, size_t len, struct world **out)
{
    return world_load_watched(data, len, NULL, out);
}

enum mm_err world_load_watched(const uint8_t *data, size_t len, struct mm_progress *progress,
                               struct world **out)
{
    *out = NULL;
    uint32_t version = world_saved_version(data, len);
    if (version == 0)
        return MM_DATA_LOSS;
    if (version != WORLD_SAVE_VERSION)
        return MM_UNIMPLEMENTED;
    if (len < 16 || !checksum_sound(data, len))
        return MM_DATA_LOSS;
    uint64_t state_hash;
    enum mm_err err = load_unchecked(data, len - 8, WORLD_SAVE_VERSION, progress, out, &state_hash);
    if (err == MM_OK && world_state_hash(*out) != state_hash) {
        world_free(*out);
        *out = NULL;
        err = MM_DATA_LOSS;
    }
    return err;
}

enum mm_err world_load_older(const uint8_t *data, size_t len, struct world **out,
                             uint64_t *saved_hash)
{
    *out = NULL;
    uint32_t version = world_saved_version(data, len);
    if (version == 0)
        return MM_DATA_LOSS;
    if (version < WORLD_SAVE_OLDEST || version >= WORLD_SAVE_VERSION)
        return MM_UNIMPLEMENTED;
    if (len < 16 || !checksum_sound(data, len))
        return MM_DATA_LOSS;
    return load_unchecked(data, len - 8, version, NULL, out, saved_hash);
}
