#include "services/world/core/state.h"

#include "libcommon/base/bitset.h"
#include "libcommon/base/hash.h"
#include "services/world/core/save.h"
#include <string.h>

// --- hashes --------------------------------------------------------------------------------------

// A bit per chunk; by the numbers and not by the bytes, to be the same on every machine.
static uint64_t charted_hash(const struct world *world)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < MM_BITSET_WORDS(world->map.chunk_count); i++)
        hash = mm_mix64(hash ^ world->grid.charted[i]) + i;
    return hash;
}

uint64_t world_hash_combine(const struct world *world, uint64_t map, uint64_t entities,
                            uint64_t players, uint64_t empires, uint64_t keys, uint64_t bills,
                            uint64_t shares)
{
    const uint64_t parts[] = {
        world->tick,
        world->paused,
        world->seed,
        world->serial_next,
        world->ticket_next,
        world->spawns_total,
        world->bill_next,
        world->rules_hash,
        map,
        entities,
        players,
        empires,
        keys,
        bills,
        charted_hash(world),
        world->allies_lend,
        shares,
    };
    uint64_t hash = mm_hash64(world->secret, sizeof world->secret, 0);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        hash = mm_mix64(hash ^ parts[i]) + i;
    return hash;
}

uint64_t world_state_hash(const struct world *world)
{
    return world_hash_combine(world, world->map.hash_sum, world_ecs_hash(&world->ecs),
                              world->players_hash, world->empires_hash, world->spawn_keys_hash,
                              world->bills_hash, world->shares_hash);
}

uint64_t world_state_hash_full(const struct world *world)
{
    uint64_t players = 0, empires = 0, keys = 0, bills = 0, shares = 0;
    for (size_t i = 0; i < world->players.count; i++)
        players += world_player_hash(&world->players.items[i]);
    for (size_t i = 0; i < world->empires.count; i++)
        empires += world_empire_hash((uint32_t)i + 1, &world->empires.items[i]);
    for (size_t i = 0; i < world->spawn_keys.count; i++)
        keys += world_spawn_key_hash(&world->spawn_keys.items[i]);
    for (size_t i = 0; i < world->bills.count; i++)
        bills += world_bill_hash(&world->bills.items[i]);
    for (size_t i = 0; i < world->shares.count; i++)
        shares += world_share_hash(world->shares.items[i]);
    return world_hash_combine(world, world_map_hash_full(&world->map),
                              world_ecs_hash_full(&world->ecs), players, empires, keys, bills,
                              shares);
}

// --- saving --------------------------------------------------------------------------------------

static void save_map(const struct world *world, struct mm_buf *out)
{
    const struct world_map *map = &world->map;
    mm_buf_u32le(out, map->chunk_count);
    for (uint32_t i = 0; i < map->chunk_count; i++)
        mm_buf_u32le(out, (uint32_t)map->chunks[i].a);
    for (uint32_t i = 0; i < map->chunk_count; i++)
        mm_buf_u32le(out, (uint32_t)map->chunks[i].b);
    mm_buf_append(out, map->terrain, world_map_cell_count(map));
    for (size_t i = 0; i < MM_BITSET_WORDS(map->chunk_count); i++)
        mm_buf_u64le(out, world->grid.charted[i]);
}

// One integer of a field, little-endian whatever the machine.
static void save_value(struct mm_buf *out, const uint8_t *at, unsigned bytes)
{
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    switch (bytes) {
    case 1:
        mm_buf_byte(out, *at);
        break;
    case 2:
        memcpy(&u16, at, 2);
        mm_buf_u16le(out, u16);
        break;
    case 4:
        memcpy(&u32, at, 4);
        mm_buf_u32le(out, u32);
        break;
    default:
        memcpy(&u64, at, 8);
        mm_buf_u64le(out, u64);
        break;
    }
}

// The columns of one component: for every field the values of all its entities in slot order.
static void save_component(const struct world_ecs *ecs, enum world_component_id id,
                           struct mm_buf *out)
{
    const struct world_component *component = &world_components[id];
    const struct world_column *column = &ecs->columns[id];
    if (component->storage == WORLD_SPARSE) {
        mm_buf_u32le(out, column->row_count);
        for (uint32_t slot = world_ecs_next(ecs, 0); slot != WORLD_SLOT_NONE;
             slot = world_ecs_next(ecs, slot))
            if (column->row_of_slot[slot])
                mm_buf_u32le(out, slot);
    }
    for (unsigned f = 0; f < component->field_count; f++) {
        const struct world_field *field = &component->fields[f];
        for (uint32_t slot = world_ecs_next(ecs, 0); slot != WORLD_SLOT_NONE;
             slot = world_ecs_next(ecs, slot)) {
            const uint8_t *row = world_ecs_row(ecs, id, slot);
            if (!row)
                continue;
            if (field->raw) {
                mm_buf_append(out, row + field->offset, field->raw);
                continue;
            }
            for (unsigned i = 0; i < field->count; i++)
                save_value(out, row + field->offset + i * field->stride, field->bytes);
        }
    }
}

static void save_entities(const struct world_ecs *ecs, struct mm_buf *out)
{
    mm_buf_u32le(out, ecs->slot_end);
    for (uint32_t slot = 1; slot < ecs->slot_end; slot++)
        mm_buf_u32le(out, ecs->generations[slot]);
    for (size_t word = 0; word < MM_BITSET_WORDS(ecs->slot_end); word++)
        mm_buf_u64le(out, ecs->alive[word]);
    for (int id = 0; id < WORLD_COMPONENTS; id++)
        save_component(ecs, (enum world_component_id)id, out);
}

static void save_players(const struct world *world, struct mm_buf *out)
{
    mm_buf_u32le(out, (uint32_t)world->empires.count);
    for (size_t i = 0; i < world->empires.count; i++) {
        const struct world_empire_row *row = &world->empires.items[i];
        mm_buf_u64le(out, row->player_id);
        mm_buf_u64le(out, hex_pack(row->home));
        mm_buf_u32le(out, row->site);
        mm_buf_u32le(out, row->deposit_count);
        for (uint32_t d = 0; d < row->deposit_count; d++) {
            mm_buf_u32le(out, row->deposits[d].type);
            mm_buf_u64le(out, row->deposits[d].total);
        }
        for (int item = 0; item < WORLD_ITEMS_MAX; item++)
            mm_buf_u64le(out, row->refunds[item]);
        mm_buf_u64le(out, row->alliance);
    }
    mm_buf_u32le(out, (uint32_t)world->players.count);
    for (size_t i = 0; i < world->players.count; i++) {
        const struct world_player *player = &world->players.items[i];
        mm_buf_u64le(out, player->player_id);
        mm_buf_u32le(out, player->empire);
        mm_buf_append(out, player->name, WORLD_USERNAME_BYTES);
        mm_buf_u64le(out, player->last_client_seq);
        mm_buf_u64le(out, player->allowance);
        mm_buf_u64le(out, player->allowance_tick);
        for (int kind = 0; kind < WORLD_COMMAND_KINDS; kind++)
            mm_buf_u64le(out, player->taken_tick[kind]);
        mm_buf_u32le(out, player->kept_next);
        for (int k = 0; k < WORLD_RESULTS_KEPT; k++) {
            mm_buf_u64le(out, player->kept[k].client_seq);
            mm_buf_u64le(out, player->kept[k].tick);
            mm_buf_u32le(out, player->kept[k].reason);
        }
    }
}

static void save_spawn_keys(const struct world *world, struct mm_buf *out)
{
    mm_buf_u32le(out, (uint32_t)world->spawn_keys.count);
    for (size_t i = 0; i < world->spawn_keys.count; i++) {
        const struct world_spawn_key *key = &world->spawn_keys.items[i];
        mm_buf_byte(out, (uint8_t)key->len);
        mm_buf_append(out, key->bytes, key->len);
        mm_buf_u32le(out, key->count);
        mm_buf_u64le(out, key->first_serial);
        mm_buf_u64le(out, key->tick);
    }
}

static void save_bills(const struct world *world, struct mm_buf *out)
{
    mm_buf_u32le(out, (uint32_t)world->bills.count);
    for (size_t i = 0; i < world->bills.count; i++) {
        const struct world_bill *bill = &world->bills.items[i];
        mm_buf_u64le(out, bill->number);
        mm_buf_u64le(out, bill->player_id);
        mm_buf_u64le(out, bill->client_seq);
        mm_buf_u64le(out, bill->tick);
        mm_buf_u32le(out, bill->type);
        mm_buf_u32le(out, (uint32_t)bill->q);
        mm_buf_u32le(out, (uint32_t)bill->r);
        mm_buf_u32le(out, bill->queued);
        for (int item = 0; item < WORLD_ITEMS_MAX; item++)
            mm_buf_u32le(out, bill->cost[item]);
        mm_buf_u32le(out, bill->builder_count);
        for (uint32_t b = 0; b < bill->builder_count; b++)
            mm_buf_u64le(out, bill->builders[b]);
    }
}

static void save_sharing(const struct world *world, struct mm_buf *out)
{
    mm_buf_u32le(out, world->allies_lend);
    mm_buf_u32le(out, (uint32_t)world->shares.count);
    for (size_t i = 0; i < world->shares.count; i++) {
        mm_buf_u32le(out, (uint32_t)(world->shares.items[i] >> 32));
        mm_buf_u32le(out, (uint32_t)world->shares.items[i]);
    }
}

void world_save(const struct world *world, struct mm_buf *out)
{
    size_t start = out->len;
    mm_buf_u32le(out, WORLD_SAVE_MAGIC);
    mm_buf_u32le(out, WORLD_SAVE_VERSION);
    mm_buf_u64le(out, world->seed);
    mm_buf_append(out, world->secret, sizeof world->secret);
    mm_buf_u64le(out, world->tick);
    mm_buf_u64le(out, world->paused);
    mm_buf_u64le(out, world->serial_next);
    mm_buf_u64le(out, world->ticket_next);
    mm_buf_u64le(out, world->spawns_total);
    mm_buf_u64le(out, world->bill_next);
    mm_buf_u64le(out, world_state_hash(world));
    world_rules_encode(&world->rules, out);
    save_map(world, out);
    save_entities(&world->ecs, out);
    save_players(world, out);
    save_spawn_keys(world, out);
    save_bills(world, out);
    save_sharing(world, out);
    if (out->err == MM_OK)
        mm_buf_u64le(out, mm_hash64(out->data + start, out->len - start, WORLD_SAVE_MAGIC));
}
