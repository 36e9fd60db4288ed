#include "services/world/core/load.h"

#include "libcommon/base/str.h"
#include <string.h>

static bool load_deposits(const struct world *world, struct world_reader *reader,
                          struct world_empire_row *row)
{
    row->deposit_count = world_read_count(reader, 12, WORLD_RESOURCES_MAX);
    for (uint32_t i = 0; i < row->deposit_count; i++) {
        struct world_deposit *deposit = &row->deposits[i];
        deposit->type = world_read_u32(reader);
        deposit->total = world_read_u64(reader);
        if (deposit->type >= world->rules.type_count || deposit->total > INT64_MAX ||
            world->rules.types[deposit->type].yields[0] == '\0')
            return false;
        for (uint32_t j = 0; j < i; j++)
            if (row->deposits[j].type == deposit->type)
                return false;
    }
    return !reader->failed;
}

static bool load_refunds(struct world_reader *reader, struct world_empire_row *row)
{
    for (int item = 0; item < WORLD_ITEMS_MAX; item++) {
        row->refunds[item] = world_read_u64(reader);
        if (row->refunds[item] > INT64_MAX / 2)
            return false; // else one more could not be told any more
    }
    return !reader->failed;
}

enum mm_err world_load_empires(struct world *world, struct world_reader *reader)
{
    uint32_t count = world_read_count(reader, 32 + 8 * WORLD_ITEMS_MAX, WORLD_EMPIRES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct world_empire_row row = {.player_id = world_read_u64(reader)};
        row.home = hex_unpack(world_read_u64(reader));
        row.site = world_read_u32(reader);
        if (!load_deposits(world, reader, &row) || !load_refunds(reader, &row) ||
            world_map_cell(&world->map, row.home) == WORLD_CELL_NONE)
            return MM_DATA_LOSS;
        row.alliance = world_read_u64(reader);
        if (!mm_vec_push(&world->empires, row))
            return MM_RESOURCE_EXHAUSTED;
        world->empires_hash += world_empire_hash(i + 1, &row);
    }
    return reader->failed ? MM_DATA_LOSS : MM_OK;
}

static bool player_sound(const struct world *world, const struct world_player *player)
{
    for (int kind = 0; kind < WORLD_COMMAND_KINDS; kind++)
        if (player->taken_tick[kind] > world->tick)
            return false;
    return player->player_id != 0 && player->empire >= 1 &&
           player->empire <= world->empires.count &&
           world->empires.items[player->empire - 1].player_id == player->player_id &&
           player->kept_next < WORLD_RESULTS_KEPT && player->allowance_tick <= world->tick &&
           player->name[WORLD_USERNAME_BYTES - 1] == '\0' &&
           mm_utf8_valid(player->name, strlen(player->name)) &&
           !mm_idmap_has(world->player_of_id, player->player_id);
}

enum mm_err world_load_players(struct world *world, struct world_reader *reader)
{
    uint32_t kinds = reader->version >= 9 ? WORLD_COMMAND_KINDS : 0;
    uint32_t count =
        world_read_count(reader, 100 + kinds * 8 + WORLD_RESULTS_KEPT * 20, WORLD_EMPIRES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct world_player player = {.player_id = world_read_u64(reader)};
        player.empire = world_read_u32(reader);
        const uint8_t *name = world_read_bytes(reader, WORLD_USERNAME_BYTES);
        if (name)
            memcpy(player.name, name, WORLD_USERNAME_BYTES);
        player.last_client_seq = world_read_u64(reader);
        player.allowance = world_read_u64(reader);
        player.allowance_tick = world_read_u64(reader);
        for (uint32_t kind = 0; kind < kinds; kind++)
            player.taken_tick[kind] = world_read_u64(reader);
        player.kept_next = world_read_u32(reader);
        for (int k = 0; k < WORLD_RESULTS_KEPT; k++) {
            player.kept[k].client_seq = world_read_u64(reader);
            player.kept[k].tick = world_read_u64(reader);
            player.kept[k].reason = world_read_u32(reader);
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

enum mm_err world_load_spawn_keys(struct world *world, struct world_reader *reader)
{
    uint32_t count = world_read_count(reader, 22, world->rules.spawn_keys_kept);
    uint64_t expected = world->spawns_total < world->rules.spawn_keys_kept
                            ? world->spawns_total
                            : world->rules.spawn_keys_kept;
    if (count != expected)
        return MM_DATA_LOSS;
    for (uint32_t i = 0; i < count; i++) {
        struct world_spawn_key key = {.len = (uint32_t)world_read_number(reader, 1)};
        if (key.len < 1 || key.len > WORLD_SPAWN_KEY_BYTES_MAX)
            return MM_DATA_LOSS;
        const uint8_t *bytes = world_read_bytes(reader, key.len);
        if (bytes)
            memcpy(key.bytes, bytes, key.len);
        key.count = world_read_u32(reader);
        key.first_serial = world_read_u64(reader);
        key.tick = world_read_u64(reader);
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

enum mm_err world_load_bills(struct world *world, struct world_reader *reader)
{
    uint32_t count = world_read_count(reader, 52 + 4 * WORLD_ITEMS_MAX,
                                      WORLD_EMPIRES_MAX * WORLD_BILLS_PER_PLAYER_MAX);
    uint64_t last = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct world_bill bill = {.number = world_read_u64(reader)};
        bill.player_id = world_read_u64(reader);
        bill.client_seq = world_read_u64(reader);
        bill.tick = world_read_u64(reader);
        bill.type = world_read_u32(reader);
        bill.q = (int32_t)world_read_u32(reader);
        bill.r = (int32_t)world_read_u32(reader);
        bill.queued = world_read_u32(reader);
        for (int item = 0; item < WORLD_ITEMS_MAX; item++)
            bill.cost[item] = world_read_u32(reader);
        bill.builder_count = world_read_count(reader, 8, WORLD_BUILDERS_MAX);
        for (uint32_t b = 0; b < bill.builder_count; b++)
            bill.builders[b] = world_read_u64(reader);
        if (reader->failed || !bill_sound(world, &bill, last))
            return MM_DATA_LOSS;
        last = bill.number;
        if (!mm_vec_push(&world->bills, bill))
            return MM_RESOURCE_EXHAUSTED;
        world->bills_hash += world_bill_hash(&bill);
    }
    return reader->failed ? MM_DATA_LOSS : MM_OK;
}

enum mm_err world_load_sharing(struct world *world, struct world_reader *reader)
{
    uint64_t empires = world->empires.count, last = 0;
    world->allies_lend = world_read_u32(reader);
    if (world->allies_lend > MMORTS__WORLD__ALLIES_LEND__ALLIES_LEND_SHARED)
        return MM_DATA_LOSS;
    uint32_t count = world_read_count(reader, 8, WORLD_SHARES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t borrower = world_read_u32(reader), lender = world_read_u32(reader);
        uint64_t share = borrower << 32 | lender;
        if (borrower < 1 || borrower > empires || lender < 1 || lender > empires ||
            borrower == lender || share <= last ||
            world->empires.items[borrower - 1].lenders >= WORLD_LENDERS_MAX)
            return MM_DATA_LOSS;
        last = share;
        if (!mm_vec_push(&world->shares, share))
            return MM_RESOURCE_EXHAUSTED;
        world_share_count(world, share, 1);
    }
    return reader->failed ? MM_DATA_LOSS : MM_OK;
}
