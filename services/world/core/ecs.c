#include "services/world/core/ecs.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/hash.h"
#include "libcommon/base/prefetch.h"
#include <stdio.h>
#include <string.h>

void world_ecs_undeclared(const struct world_ecs *ecs, const char *what, unsigned bit)
{
    char problem[160];
    snprintf(problem, sizeof problem, "system %s %s %s (bit %u) without having declared it",
             ecs->running ? ecs->running : "?", what,
             bit < WORLD_COMPONENTS ? world_components[bit].name : "what is shared", bit);
    mm_check_failed(problem, __FILE__, __LINE__);
}

// Generations are hashed as a component of their own, one that dead slots have too.
static uint64_t generation_hash(uint32_t slot, uint32_t generation)
{
    return generation == 0 ? 0 : mm_mix64(mm_mix64((uint64_t)slot << 32 | generation) ^ 0x67656e);
}

static bool grow(struct mm_progress *progress, void **memory, size_t old_bytes, size_t new_bytes)
{
    void *grown = mm_realloc(*memory, new_bytes);
    if (!grown)
        return false;
    mm_progress_zero(progress, (uint8_t *)grown + old_bytes, new_bytes - old_bytes);
    *memory = grown;
    return true;
}

static bool column_grow_slots(struct mm_progress *progress, struct world_column *column,
                              size_t old_slots, size_t slots)
{
    size_t old_bytes = MM_BITSET_WORDS(old_slots) * 8, bytes = MM_BITSET_WORDS(slots) * 8;
    if (!grow(progress, (void **)&column->dirty, old_bytes, bytes))
        return false;
    if (column->row_of_slot)
        return grow(progress, (void **)&column->has, old_bytes, bytes) &&
               grow(progress, (void **)&column->leaving.bits, old_bytes, bytes) &&
               grow(progress, (void **)&column->changed.bits, old_bytes, bytes) &&
               grow(progress, (void **)&column->row_of_slot, old_slots * 4, slots * 4);
    return grow(progress, (void **)&column->rows, old_slots * column->row_bytes,
                slots * column->row_bytes) &&
           grow(progress, (void **)&column->hashes, old_slots * 8, slots * 8);
}

static bool ecs_grow(struct world_ecs *ecs, uint32_t wanted)
{
    size_t old = ecs->capacity, slots = old * 2;
    if (slots < wanted)
        slots = wanted;
    slots = MM_BITSET_WORDS(slots) * 64;
    size_t old_words = MM_BITSET_WORDS(old), words = MM_BITSET_WORDS(slots);
    // A failure in between leaves some arrays larger than the capacity, and nothing else.
    if (!grow(ecs->progress, (void **)&ecs->alive, old_words * 8, words * 8) ||
        !grow(ecs->progress, (void **)&ecs->taken, old_words * 8, words * 8) ||
        !grow(ecs->progress, (void **)&ecs->spawned, old_words * 8, words * 8) ||
        !grow(ecs->progress, (void **)&ecs->dying.bits, old_words * 8, words * 8) ||
        !grow(ecs->progress, (void **)&ecs->lives.bits, old_words * 8, words * 8) ||
        !grow(ecs->progress, (void **)&ecs->generations, old * 4, slots * 4))
        return false;
    for (int id = 0; id < WORLD_COMPONENTS; id++)
        if (!column_grow_slots(ecs->progress, &ecs->columns[id], old, slots))
            return false;
    for (int id = 0; id < WORLD_QUERIES; id++)
        if (!grow(ecs->progress, (void **)&ecs->queries[id].slots, old_words * 8, words * 8))
            return false;
    if (!mm_vec_reserve(&ecs->despawned, slots))
        return false;
    ecs->capacity = (uint32_t)slots;
    return true;
}

enum mm_err world_ecs_init(struct world_ecs *ecs, uint32_t entities_max)
{
    memset(ecs, 0, sizeof *ecs);
    mm_vec_init(&ecs->despawned, (size_t)WORLD_ENTITIES_MAX * 2);
    ecs->entities_max = entities_max;
    ecs->slot_end = 1;
    ecs->free_hint = 1;
    ecs->readable = ecs->writable = UINT64_MAX;
    world_ecs_queries_init(ecs);
    for (int id = 0; id < WORLD_COMPONENTS; id++) {
        struct world_column *column = &ecs->columns[id];
        column->row_bytes = world_components[id].bytes;
        if (world_components[id].storage != WORLD_SPARSE)
            continue;
        // What tells a sparse column from a table is that it has this array.
        column->row_of_slot = mm_calloc(1, sizeof *column->row_of_slot);
        if (!column->row_of_slot)
            return MM_RESOURCE_EXHAUSTED;
    }
    return ecs_grow(ecs, 1024) ? MM_OK : MM_RESOURCE_EXHAUSTED;
}

void world_ecs_free(struct world_ecs *ecs)
{
    for (int id = 0; id < WORLD_COMPONENTS; id++) {
        mm_free(ecs->columns[id].rows);
        mm_free(ecs->columns[id].hashes);
        mm_free(ecs->columns[id].dirty);
        mm_free(ecs->columns[id].row_of_slot);
        mm_free(ecs->columns[id].slot_of_row);
        mm_free(ecs->columns[id].has);
        mm_free(ecs->columns[id].leaving.bits);
        mm_free(ecs->columns[id].changed.bits);
    }
    for (int id = 0; id < WORLD_QUERIES; id++)
        mm_free(ecs->queries[id].slots);
    mm_free(ecs->lives.bits);
    mm_free(ecs->dying.bits);
    mm_vec_free(&ecs->despawned);
    mm_free(ecs->generations);
    mm_free(ecs->spawned);
    mm_free(ecs->taken);
    mm_free(ecs->alive);
    memset(ecs, 0, sizeof *ecs);
}

void world_ecs_begin(struct world_ecs *ecs)
{
    size_t words = MM_BITSET_WORDS(ecs->slot_end);
    for (int id = 0; id < WORLD_COMPONENTS; id++) {
        if (ecs->columns[id].dirty_count > 0)
            memset(ecs->columns[id].dirty, 0, words * 8);
        ecs->columns[id].dirty_count = 0;
    }
    memset(ecs->spawned, 0, words * 8);
    for (size_t i = 0; i < ecs->despawned.count; i++) {
        uint32_t slot = ecs->despawned.items[i] & ~WORLD_NEVER_SEEN;
        mm_bitset_clear(ecs->taken, slot);
        if (slot < ecs->free_hint)
            ecs->free_hint = slot;
    }
    mm_vec_clear(&ecs->despawned);
}

// --- life and death ------------------------------------------------------------------------------

enum mm_err world_ecs_reserve(struct world_ecs *ecs, uint32_t more)
{
    // The slots of those that died in this tick count as taken until the next.
    uint64_t taken = (uint64_t)ecs->alive_count + ecs->despawned.count;
    if (taken + more > ecs->entities_max)
        return MM_RESOURCE_EXHAUSTED;
    uint64_t end = (uint64_t)ecs->slot_end + more;
    if (end > ecs->capacity && !ecs_grow(ecs, (uint32_t)end))
        return MM_RESOURCE_EXHAUSTED;
    return MM_OK;
}

uint32_t world_ecs_spawn(struct world_ecs *ecs)
{
    size_t slot = mm_bitset_next_clear(ecs->taken, ecs->slot_end, ecs->free_hint);
    if (slot >= ecs->slot_end) {
        MM_CHECK(ecs->slot_end < ecs->capacity);
        slot = ecs->slot_end++;
    }
    // The slots of this tick's dead are still taken; the next begin lowers the hint for them.
    ecs->free_hint = (uint32_t)slot + 1;
    mm_bitset_set(ecs->taken, slot);
    mm_bitset_set(ecs->alive, slot);
    mm_bitset_set(ecs->spawned, slot);
    world_marks_add(&ecs->lives, (uint32_t)slot);
    ecs->alive_count++;
    for (int id = 0; id < WORLD_COMPONENTS; id++) {
        if (ecs->columns[id].row_of_slot)
            continue;
        memset(world_ecs_row(ecs, (enum world_component_id)id, (uint32_t)slot), 0,
               ecs->columns[id].row_bytes);
        world_ecs_touch(ecs, (enum world_component_id)id, (uint32_t)slot);
    }
    return (uint32_t)slot;
}

static void column_unmark(struct world_column *column, uint32_t slot)
{
    if (mm_bitset_get(column->dirty, slot)) {
        mm_bitset_clear(column->dirty, slot);
        column->dirty_count--;
    }
}

void world_ecs_despawn(struct world_ecs *ecs, uint32_t slot)
{
    MM_CHECK(world_ecs_alive(ecs, slot));
    for (int id = 0; id < WORLD_COMPONENTS; id++) {
        struct world_column *column = &ecs->columns[id];
        if (column->row_of_slot) {
            world_ecs_remove(ecs, (enum world_component_id)id, slot);
            continue;
        }
        column->hash_sum -= column->hashes[slot];
        column->hashes[slot] = 0;
        column_unmark(column, slot);
    }
    uint32_t entry = mm_bitset_get(ecs->spawned, slot) ? slot | WORLD_NEVER_SEEN : slot;
    mm_bitset_clear(ecs->alive, slot);
    mm_bitset_clear(ecs->spawned, slot);
    world_marks_add(&ecs->lives, slot);
    ecs->alive_count--;
    ecs->generation_sum -= generation_hash(slot, ecs->generations[slot]);
    ecs->generations[slot]++;
    ecs->generation_sum += generation_hash(slot, ecs->generations[slot]);
    MM_CHECK(mm_vec_push(&ecs->despawned, entry));
}

void world_ecs_restore(struct world_ecs *ecs, uint32_t slot, uint32_t generation, bool alive)
{
    MM_CHECK(slot >= ecs->slot_end || !world_ecs_alive(ecs, slot));
    MM_CHECK(slot < ecs->capacity);
    if (slot >= ecs->slot_end)
        ecs->slot_end = slot + 1;
    ecs->generations[slot] = generation;
    ecs->generation_sum += generation_hash(slot, generation);
    if (!alive)
        return;
    mm_bitset_set(ecs->taken, slot);
    mm_bitset_set(ecs->alive, slot);
    world_marks_add(&ecs->lives, slot);
    ecs->alive_count++;
    for (int id = 0; id < WORLD_COMPONENTS; id++)
        if (!ecs->columns[id].row_of_slot)
            world_ecs_touch(ecs, (enum world_component_id)id, slot);
}

// --- sparse components ---------------------------------------------------------------------------

enum mm_err world_ecs_reserve_rows(struct world_ecs *ecs, enum world_component_id id,
                                   uint32_t row_count)
{
    struct world_column *column = &ecs->columns[id];
    if (row_count <= column->row_capacity)
        return MM_OK;
    size_t old = column->row_capacity, rows = old ? old * 2 : 256;
    if (rows < row_count)
        rows = row_count;
    // A failure in between leaves some arrays larger than the capacity, and nothing else.
    if (!grow(ecs->progress, (void **)&column->rows, old * column->row_bytes,
              rows * column->row_bytes) ||
        !grow(ecs->progress, (void **)&column->hashes, old * 8, rows * 8) ||
        !grow(ecs->progress, (void **)&column->slot_of_row, old * 4, rows * 4))
        return MM_RESOURCE_EXHAUSTED;
    column->row_capacity = (uint32_t)rows;
    return MM_OK;
}

void *world_ecs_add(struct world_ecs *ecs, enum world_component_id id, uint32_t slot)
{
    struct world_column *column = &ecs->columns[id];
    MM_CHECK(column->row_of_slot && world_ecs_alive(ecs, slot));
    world_ecs_writes(ecs, id);
    if (column->row_of_slot[slot] == 0) {
        // Out of memory within a tick: see world.h.
        MM_CHECK(world_ecs_reserve_rows(ecs, id, column->row_count + 1) == MM_OK);
        uint32_t row = column->row_count++;
        column->row_of_slot[slot] = row + 1;
        column->slot_of_row[row] = slot;
        column->hashes[row] = 0;
        mm_bitset_set(column->has, slot);
        world_marks_add(&column->changed, slot);
        memset(column->rows + (size_t)row * column->row_bytes, 0, column->row_bytes);
    }
    return world_ecs_touch(ecs, id, slot);
}

void world_ecs_remove(struct world_ecs *ecs, enum world_component_id id, uint32_t slot)
{
    struct world_column *column = &ecs->columns[id];
    world_ecs_writes(ecs, id);
    if (column->row_of_slot[slot] == 0)
        return;
    uint32_t row = column->row_of_slot[slot] - 1, last = --column->row_count;
    column->hash_sum -= column->hashes[row];
    if (row != last) {
        memcpy(column->rows + (size_t)row * column->row_bytes,
               column->rows + (size_t)last * column->row_bytes, column->row_bytes);
        column->hashes[row] = column->hashes[last];
        column->slot_of_row[row] = column->slot_of_row[last];
        column->row_of_slot[column->slot_of_row[row]] = row + 1;
    }
    column->row_of_slot[slot] = 0;
    mm_bitset_clear(column->has, slot);
    world_marks_add(&column->changed, slot);
    column_unmark(column, slot);
}

// --- deferred changes ----------------------------------------------------------------------------

void world_ecs_defer_remove(struct world_ecs *ecs, enum world_component_id id, uint32_t slot)
{
    world_ecs_writes(ecs, id);
    world_marks_add(&ecs->columns[id].leaving, slot);
}

void world_ecs_defer_despawn(struct world_ecs *ecs, uint32_t slot)
{
    world_ecs_writes(ecs, WORLD_USES_LIVES);
    world_marks_add(&ecs->dying, slot);
}

void world_ecs_flush_removals(struct world_ecs *ecs)
{
    for (int id = 0; id < WORLD_COMPONENTS; id++) {
        struct world_marks *leaving = &ecs->columns[id].leaving;
        if (leaving->count == 0)
            continue;
        for (size_t slot = mm_bitset_next(leaving->bits, ecs->slot_end, 0); slot < ecs->slot_end;
             slot = mm_bitset_next(leaving->bits, ecs->slot_end, slot + 1))
            world_ecs_remove(ecs, (enum world_component_id)id, (uint32_t)slot);
        world_marks_clear(leaving, MM_BITSET_WORDS(ecs->slot_end));
    }
}

// --- hashes --------------------------------------------------------------------------------------

size_t world_ecs_marked(const struct world_ecs *ecs)
{
    size_t count = 0;
    for (int id = 0; id < WORLD_COMPONENTS; id++)
        count += ecs->columns[id].dirty_count;
    return count;
}

// Rows of marked entities lie anywhere in memory: a batch of them is on its way to the cache while
// their places are still being looked up.
enum { SETTLE_BATCH = 32 };

static uint64_t settle_batch(struct world_column *column, enum world_component_id id,
                             const uint32_t *slots, const uint32_t *rows, unsigned count)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < count; i++) {
        uint64_t hash =
            world_component_hash(id, slots[i], column->rows + (size_t)rows[i] * column->row_bytes);
        sum += hash - column->hashes[rows[i]];
        column->hashes[rows[i]] = hash;
    }
    return sum;
}

static uint64_t settle_column(struct world_column *column, enum world_component_id id, size_t from,
                              size_t to)
{
    uint32_t slots[SETTLE_BATCH], rows[SETTLE_BATCH];
    unsigned count = 0;
    uint64_t sum = 0;
    for (size_t word = from; word < to; word++)
        for (uint64_t bits = column->dirty[word]; bits != 0; bits &= bits - 1) {
            uint32_t slot = (uint32_t)(word * 64 + (unsigned)__builtin_ctzll(bits));
            uint32_t row = column->row_of_slot ? column->row_of_slot[slot] - 1 : slot;
            mm_prefetch(column->rows + (size_t)row * column->row_bytes);
            mm_prefetch_write(&column->hashes[row]);
            slots[count] = slot;
            rows[count++] = row;
            if (count == SETTLE_BATCH) {
                sum += settle_batch(column, id, slots, rows, count);
                count = 0;
            }
        }
    return sum + settle_batch(column, id, slots, rows, count);
}

void world_ecs_settle_words(struct world_ecs *ecs, size_t from, size_t to,
                            uint64_t sums[WORLD_COMPONENTS])
{
    for (int id = 0; id < WORLD_COMPONENTS; id++)
        sums[id] = ecs->columns[id].dirty_count == 0
                       ? 0
                       : settle_column(&ecs->columns[id], (enum world_component_id)id, from, to);
}

void world_ecs_settle(struct world_ecs *ecs)
{
    uint64_t sums[WORLD_COMPONENTS];
    world_ecs_settle_words(ecs, 0, MM_BITSET_WORDS(ecs->slot_end), sums);
    for (int id = 0; id < WORLD_COMPONENTS; id++)
        ecs->columns[id].hash_sum += sums[id];
}

uint64_t world_ecs_hash(const struct world_ecs *ecs)
{
    uint64_t sum = ecs->generation_sum;
    for (int id = 0; id < WORLD_COMPONENTS; id++)
        sum += ecs->columns[id].hash_sum;
    return sum;
}

uint64_t world_ecs_hash_full(const struct world_ecs *ecs)
{
    uint64_t sum = 0;
    for (uint32_t slot = 1; slot < ecs->slot_end; slot++) {
        sum += generation_hash(slot, ecs->generations[slot]);
        if (!mm_bitset_get(ecs->alive, slot))
            continue;
        for (int id = 0; id < WORLD_COMPONENTS; id++) {
            const void *row = world_ecs_row(ecs, (enum world_component_id)id, slot);
            if (row)
                sum += world_component_hash_fields((enum world_component_id)id, slot, row);
        }
    }
    return sum;
}
