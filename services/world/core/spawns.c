#include "services/world/core/state.h"

#include "libcommon/base/hash.h"
#include <string.h>

uint64_t world_spawn_key_hash(const struct world_spawn_key *key)
{
    uint64_t hash = mm_hash64(key->bytes, key->len, key->count);
    return mm_mix64(mm_mix64(hash ^ key->first_serial) ^ key->tick);
}

static void answer(const struct world *world, const struct world_spawn_key *key,
                   struct mm_arena *arena, struct world_result *result)
{
    result->entities = mm_arena_calloc(arena, key->count, sizeof *result->entities);
    MM_CHECK(result->entities);
    result->entity_count = key->count;
    for (uint32_t i = 0; i < key->count; i++)
        result->entities[i] = mm_id_from_serial(&world->entity_key, key->first_serial + i);
    result->tick = key->tick;
}

// Where a spawn looks for room: beside an entity, or about a hex.
static bool spawn_center(const struct world *world, const Mmorts__World__SpawnRequest *request,
                         struct hex_axial *center, struct world_result *result)
{
    if (request->beside != 0) {
        uint32_t slot = world_slot_of_id(world, request->beside);
        if (slot != WORLD_SLOT_NONE) {
            const struct world_place *place =
                WORLD_GET(&world->ecs, WORLD_PLACE, world_place, slot);
            *center = (struct hex_axial){place->q, place->r};
            return true;
        }
        if (!request->place) {
            world_fail(result, MM_NOT_FOUND, "there is no such entity to spawn beside");
            return false;
        }
    }
    if (!request->place) {
        world_fail(result, MM_INVALID_ARGUMENT, "neither beside nor place is given");
        return false;
    }
    *center = (struct hex_axial){request->place->q, request->place->r};
    if (world_map_cell(&world->map, *center) == WORLD_CELL_NONE) {
        world_fail(result, MM_OUT_OF_RANGE, "the place is not on the map");
        return false;
    }
    return true;
}

// Finds a cell for each of `count`, as if the ones before stood there already. False: no room.
static bool spawn_cells(struct world *world, struct hex_axial center, unsigned counts_as,
                        uint32_t count, uint32_t *cells)
{
    uint32_t like = world_map_cell(&world->map, center);
    if (!world_map_passable(&world->map, like)) {
        like =
            world_nearest_free(world, center, WORLD_SPAWN_RADIUS_MAX, counts_as, WORLD_CELL_NONE);
        if (like == WORLD_CELL_NONE)
            return false;
    }
    uint32_t found = 0;
    for (; found < count; found++) {
        cells[found] = world_nearest_free(world, center, WORLD_SPAWN_RADIUS_MAX, counts_as, like);
        if (cells[found] == WORLD_CELL_NONE)
            break;
        if (counts_as & WORLD_ON_UNIT)
            world->grid.cells[cells[found]].units++;
        if (counts_as & WORLD_ON_BLOCKER)
            world->grid.cells[cells[found]].blockers++;
    }
    for (uint32_t i = 0; i < found; i++) {
        if (counts_as & WORLD_ON_UNIT)
            world->grid.cells[cells[i]].units--;
        if (counts_as & WORLD_ON_BLOCKER)
            world->grid.cells[cells[i]].blockers--;
    }
    return found == count;
}

// Puts it in the place of the oldest, if there are as many as are kept.
static void remember(struct world *world, const struct world_spawn_key *key)
{
    size_t kept = world->rules.spawn_keys_kept;
    size_t place = world->spawns_total % kept;
    if (place < world->spawn_keys.count) {
        struct world_spawn_key *old = &world->spawn_keys.items[place];
        world->spawn_keys_hash -= world_spawn_key_hash(old);
        mm_strmap_remove_n(world->spawn_of_key, (const char *)old->bytes, old->len, NULL);
        *old = *key;
    } else {
        MM_CHECK(mm_vec_push(&world->spawn_keys, *key));
    }
    world->spawn_keys_hash += world_spawn_key_hash(key);
    world->spawns_total++;
    MM_CHECK(mm_strmap_set_n(world->spawn_of_key, (const char *)key->bytes, key->len, place) ==
             MM_OK);
}

const struct world_spawn_key *world_key_find(const struct world *world, ProtobufCBinaryData key,
                                             struct world_result *result)
{
    uint64_t place;
    if (key.len < 1 || key.len > WORLD_SPAWN_KEY_BYTES_MAX)
        world_fail(result, MM_INVALID_ARGUMENT, "key must have 1 to 64 bytes");
    else if (mm_strmap_get_n(world->spawn_of_key, (const char *)key.data, key.len, &place))
        return &world->spawn_keys.items[place];
    return NULL;
}

void world_key_remember(struct world *world, ProtobufCBinaryData bytes, uint32_t count,
                        uint64_t first_serial)
{
    struct world_spawn_key key = {
        .len = (uint32_t)bytes.len,
        .count = count,
        .first_serial = first_serial,
        .tick = world->tick,
    };
    memcpy(key.bytes, bytes.data, key.len);
    remember(world, &key);
}

static bool is_of(const struct world *world, uint32_t slot, uint32_t empire)
{
    return WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot)->owner == empire;
}

void world_spawn(struct world *world, const Mmorts__World__SpawnRequest *request,
                 struct mm_arena *arena, struct world_result *result)
{
    const struct world_spawn_key *known = world_key_find(world, request->key, result);
    if (known && known->count == 0)
        world_fail(result, MM_INVALID_ARGUMENT, "the key belongs to another kind of command");
    if (result->err != MM_OK)
        return;
    if (known) {
        answer(world, known, arena, result);
        result->repeated_key = true;
        return;
    }
    int type = world_rules_type(&world->rules, request->type ? request->type : "");
    struct hex_axial center;
    if (type < 0)
        world_fail(result, MM_INVALID_ARGUMENT, "there is no such type");
    else if (request->count < 1 || request->count > WORLD_SPAWN_COUNT_MAX)
        world_fail(result, MM_INVALID_ARGUMENT, "count must be 1 to 100");
    else if (request->empire > world->empires.count)
        world_fail(result, MM_INVALID_ARGUMENT, "there is no such empire");
    if (result->err != MM_OK || !spawn_center(world, request, &center, result))
        return;
    unsigned counts_as = world_counts_as(world, (uint32_t)type);
    uint32_t cells[WORLD_SPAWN_COUNT_MAX];
    if (world_reserve_entities(world, request->count) != MM_OK ||
        !spawn_cells(world, center, counts_as, request->count, cells)) {
        world_fail(result, MM_RESOURCE_EXHAUSTED, "there is no room");
        return;
    }
    uint64_t first_serial = world->serial_next;
    uint32_t building = world_slot_of_id(world, request->beside);
    for (uint32_t i = 0; i < request->count; i++) {
        uint32_t slot = world_entity_create(world, (uint32_t)type, request->empire, cells[i]);
        if (building != WORLD_SLOT_NONE && is_of(world, building, request->empire))
            world_rally_follow(world, building, slot);
    }
    world_key_remember(world, request->key, request->count, first_serial);
    known = world_key_find(world, request->key, result);
    answer(world, known, arena, result);
    result->applied = true;
}

void world_despawn(struct world *world, const Mmorts__World__DespawnRequest *request,
                   struct world_result *result)
{
    uint32_t slot = world_slot_of_id(world, request->entity);
    if (slot == WORLD_SLOT_NONE) {
        world_fail(result, MM_NOT_FOUND, "there is no such entity");
        return;
    }
    world_entity_destroy(world, slot);
    result->applied = true;
}
