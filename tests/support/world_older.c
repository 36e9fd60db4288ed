#include "tests/support/world_older.h"

#include "libcommon/base/bitset.h"
#include "libcommon/base/hash.h"
#include "services/world/core/save.h"
#include "services/world/core/state.h"
#include "tests/support/process.h"
#include <stdlib.h>

// A saved state is walked from its head to its end; every part is kept or left out.
struct walk {
    const struct mm_buf *from;
    struct mm_buf *to;
    size_t at;
};

static void keep(struct walk *walk, size_t bytes)
{
    if (walk->at + bytes > walk->from->len)
        test_fail("a saved state is not laid out as core/save.h says");
    mm_buf_append(walk->to, walk->from->data + walk->at, bytes);
    walk->at += bytes;
}

static void leave_out(struct walk *walk, size_t bytes, bool out)
{
    if (out)
        walk->at += bytes;
    else
        keep(walk, bytes);
}

static void walk_rules(struct walk *walk, const struct world_rules *rules, uint32_t version)
{
    struct mm_buf encoded;
    mm_buf_init(&encoded, 1 << 24);
    world_rules_encode(rules, &encoded);
    size_t cooldowns = sizeof rules->commands.cooldown_ticks;
    size_t tail = sizeof rules->sight + sizeof rules->construction + sizeof rules->commands;
    keep(walk, encoded.len - tail);
    leave_out(walk, sizeof rules->sight, version < 10);
    keep(walk, sizeof rules->construction + sizeof rules->commands - cooldowns);
    leave_out(walk, cooldowns, version < 9);
    mm_buf_free(&encoded);
}

static void walk_component(struct walk *walk, const struct world_ecs *ecs, int id, uint32_t version)
{
    const struct world_component *component = &world_components[id];
    size_t rows = ecs->alive_count;
    if (component->storage == WORLD_SPARSE) {
        rows = ecs->columns[id].row_count;
        keep(walk, 4 + 4 * rows);
    }
    for (unsigned f = 0; f < component->field_count; f++) {
        const struct world_field *field = &component->fields[f];
        size_t each = field->raw ? field->raw : (size_t)field->bytes * field->count;
        leave_out(walk, rows * each, id == WORLD_SIGHT && f > 0 && version < 12);
    }
}

void older_save(const struct world *world, uint32_t version, struct mm_buf *out)
{
    struct mm_buf saved;
    mm_buf_init(&saved, WORLD_SAVE_BYTES_MAX);
    world_save(world, &saved);
    struct walk walk = {.from = &saved, .to = out, .at = 8};
    size_t start = out->len, chunks = world->map.chunk_count;
    mm_buf_u32le(out, WORLD_SAVE_MAGIC);
    mm_buf_u32le(out, version);
    keep(&walk, 8 + 16 + 7 * 8);
    walk_rules(&walk, &world->rules, version);
    keep(&walk, 4 + 8 * chunks + world_map_cell_count(&world->map));
    leave_out(&walk, MM_BITSET_WORDS(chunks) * 8, version < 11);
    keep(&walk,
         4 + 4 * (size_t)(world->ecs.slot_end - 1) + MM_BITSET_WORDS(world->ecs.slot_end) * 8);
    for (int id = 0; id < WORLD_COMPONENTS; id++)
        walk_component(&walk, &world->ecs, id, version);
    keep(&walk, 4);
    for (size_t i = 0; i < world->empires.count; i++)
        keep(&walk, 8 + 8 + 4 + 4 + 12 * (size_t)world->empires.items[i].deposit_count +
                        8 * WORLD_ITEMS_MAX + 8);
    keep(&walk, 4);
    for (size_t i = 0; i < world->players.count; i++) {
        keep(&walk, 8 + 4 + WORLD_USERNAME_BYTES + 3 * 8);
        leave_out(&walk, 8 * WORLD_COMMAND_KINDS, version < 9);
        keep(&walk, 4 + 20 * WORLD_RESULTS_KEPT);
    }
    size_t sharing = 8 + 8 * world->shares.count;
    keep(&walk, saved.len - 8 - sharing - walk.at); // spawn keys and bills
    leave_out(&walk, sharing, version < 13);        // then the checksum, which is another one
    mm_buf_u64le(out, mm_hash64(out->data + start, out->len - start, WORLD_SAVE_MAGIC));
    mm_buf_free(&saved);
}
