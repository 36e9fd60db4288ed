#ifndef WORLD_CORE_ECS_H
#define WORLD_CORE_ECS_H

#include "libcommon/base/bitset.h"
#include "libcommon/base/check.h"
#include "libcommon/base/err.h"
#include "libcommon/base/progress.h"
#include "libcommon/base/vec.h"
#include "services/world/core/components.h"
#include <string.h>

// Entities and their components as columns. Whatever is done here has the same outcome whatever
// the history: slots are given lowest first, and systems go through entities in slot order.
//
// A component is changed through its pointer after world_ecs_touch() has marked it; marks are what
// hashes, frames and deltas are made from, and they last until the next world_ecs_begin().
//
// Systems of one stage may run at the same time, each on a thread of its own. What they share is
// therefore kept by component: rows, marks, sums. Two systems that write different components never
// write the same memory here.

// Bits by slot that are few: how many there are says whether there is anything to do.
struct world_marks {
    uint64_t *bits;
    uint32_t count;
};

static inline void world_marks_add(struct world_marks *marks, uint32_t slot)
{
    marks->count += mm_bitset_add(marks->bits, slot);
}
static inline void world_marks_clear(struct world_marks *marks, size_t words)
{
    if (marks->count > 0)
        memset(marks->bits, 0, words * sizeof *marks->bits);
    marks->count = 0;
}

#define WORLD_SLOT_NONE  UINT32_C(0)
#define WORLD_NEVER_SEEN UINT32_C(0x80000000)

// Names an entity across ticks: a slot's later tenant has another generation.
struct world_entity {
    uint32_t slot;
    uint32_t generation;
};

// The same as one number, as components keep it.
static inline uint64_t world_entity_handle(struct world_entity entity)
{
    return (uint64_t)entity.generation << 32 | entity.slot;
}

struct world_column {
    uint8_t *rows;     // by slot (table) or by row (sparse)
    uint64_t *hashes;  // beside rows
    uint64_t hash_sum; // of hashes
    uint64_t *dirty;   // bit per slot: touched since begin
    uint32_t dirty_count;
    uint32_t row_bytes;
    // Sparse only.
    uint64_t *has;         // bit per slot
    uint32_t *row_of_slot; // row + 1, 0 = has none
    uint32_t *slot_of_row;
    uint32_t row_count;
    uint32_t row_capacity;
    struct world_marks leaving; // to be removed at the stage's end
    struct world_marks changed; // added or removed since the queries were refreshed
};

// Which entities have all of some components and none of others, kept as a bit per slot: so it is
// gone through in slot order, whatever the order in which components came and went. It holds what
// was true when the stage began: whoever adds or removes a component while going through it does
// not change it.
enum world_query_id {
    WORLD_QUERY_FIGHTING,  // those who fight somebody
    WORLD_QUERY_GATHERING, // those at work on a node
    WORLD_QUERY_BUILDING,  // those at work on a building
    WORLD_QUERY_IDLE,      // who neither fights nor has orders
    WORLD_QUERY_ORDERED,   // who has orders and does not fight
    WORLD_QUERIES,
};

struct world_query {
    uint64_t all, none; // bits of enum world_component_id
    uint64_t *slots;    // bit per slot
    uint32_t count;
};

struct world_ecs {
    struct mm_progress *progress; // world_set_progress
    uint32_t slot_end;            // slots 1..slot_end-1 have ever been used
    uint32_t capacity;
    uint32_t entities_max;
    uint32_t alive_count;
    uint32_t free_hint;    // no free slot below
    uint64_t *alive;       // bit per slot
    uint64_t *taken;       // bit per slot: alive, or died since begin
    uint64_t *spawned;     // bit per slot: spawned since begin
    uint32_t *generations; // by slot
    struct {
        MM_VEC(uint32_t);
    } despawned; // since begin, in order; their slots are free again after the next begin.
                 // WORLD_NEVER_SEEN is added for those that also came since begin
    struct world_marks dying;    // to be despawned at the stage's end
    struct world_marks lives;    // spawned or despawned since the queries were refreshed
    uint64_t generation_sum;     // of the hashes of generations
    uint64_t readable, writable; // components and uses that the running systems declared
    const char *running;         // their names, for the one who finds that it is not so
    struct world_column columns[WORLD_COMPONENTS];
    struct world_query queries[WORLD_QUERIES];
};

// RESOURCE_EXHAUSTED: out of memory.
enum mm_err MM_MUST_USE world_ecs_init(struct world_ecs *ecs, uint32_t entities_max);
void world_ecs_free(struct world_ecs *ecs);

// Starts a tick: forgets marks, frees the slots of those despawned in the tick before.
void world_ecs_begin(struct world_ecs *ecs);

// Room for `more` further entities. RESOURCE_EXHAUSTED: entities_max or out of memory.
enum mm_err MM_MUST_USE world_ecs_reserve(struct world_ecs *ecs, uint32_t more);

// A new entity in the lowest free slot, its table components zeroed and marked. Room must have
// been reserved.
uint32_t world_ecs_spawn(struct world_ecs *ecs);
// Ends an entity now. Its slot is not used again in this tick.
void world_ecs_despawn(struct world_ecs *ecs, uint32_t slot);

static inline bool world_ecs_alive(const struct world_ecs *ecs, uint32_t slot)
{
    return slot < ecs->slot_end && mm_bitset_get(ecs->alive, slot);
}

static inline struct world_entity world_ecs_entity(const struct world_ecs *ecs, uint32_t slot)
{
    return (struct world_entity){slot, ecs->generations[slot]};
}

// The entity's slot, or WORLD_SLOT_NONE if it is no more.
static inline uint32_t world_ecs_slot(const struct world_ecs *ecs, struct world_entity entity)
{
    bool same =
        world_ecs_alive(ecs, entity.slot) && ecs->generations[entity.slot] == entity.generation;
    return same ? entity.slot : WORLD_SLOT_NONE;
}

static inline uint32_t world_ecs_slot_of_handle(const struct world_ecs *ecs, uint64_t handle)
{
    return world_ecs_slot(ecs, (struct world_entity){(uint32_t)handle, (uint32_t)(handle >> 32)});
}

// The next living slot after `slot` (0 to begin), or WORLD_SLOT_NONE.
static inline uint32_t world_ecs_next(const struct world_ecs *ecs, uint32_t slot)
{
    size_t next = mm_bitset_next(ecs->alive, ecs->slot_end, (size_t)slot + 1);
    return next < ecs->slot_end ? (uint32_t)next : WORLD_SLOT_NONE;
}

// --- components ----------------------------------------------------------------------------------

// Ends the process: the system that runs does (reads, writes) what it did not declare, and may not
// for the sake of those that run beside it.
__attribute__((noreturn, cold)) void world_ecs_undeclared(const struct world_ecs *ecs,
                                                          const char *what, unsigned bit);

static inline void world_ecs_reads(const struct world_ecs *ecs, unsigned bit)
{
    if (!(ecs->readable & WORLD_BIT(bit)))
        world_ecs_undeclared(ecs, "reads", bit);
}
static inline void world_ecs_writes(const struct world_ecs *ecs, unsigned bit)
{
    if (!(ecs->writable & WORLD_BIT(bit)))
        world_ecs_undeclared(ecs, "writes", bit);
}

// The row, or NULL if the entity has none (sparse).
static inline void *world_ecs_row(const struct world_ecs *ecs, enum world_component_id id,
                                  uint32_t slot)
{
    const struct world_column *column = &ecs->columns[id];
    world_ecs_reads(ecs, id);
    if (!column->row_of_slot)
        return column->rows + (size_t)slot * column->row_bytes;
    uint32_t row = column->row_of_slot[slot];
    return row ? column->rows + (size_t)(row - 1) * column->row_bytes : NULL;
}

// Marks the row as changed and returns it; it must be there.
static inline void *world_ecs_touch(struct world_ecs *ecs, enum world_component_id id,
                                    uint32_t slot)
{
    struct world_column *column = &ecs->columns[id];
    world_ecs_writes(ecs, id);
    column->dirty_count += mm_bitset_add(column->dirty, slot);
    void *row = world_ecs_row(ecs, id, slot);
    MM_CHECK(row);
    return row;
}

// Room for that many rows of a sparse component in all. RESOURCE_EXHAUSTED: out of memory.
enum mm_err MM_MUST_USE world_ecs_reserve_rows(struct world_ecs *ecs, enum world_component_id id,
                                               uint32_t row_count);
// Adds a zeroed sparse component (or returns the one that is there) and marks it.
void *world_ecs_add(struct world_ecs *ecs, enum world_component_id id, uint32_t slot);
// Removes a sparse component now; nothing happens if there is none.
void world_ecs_remove(struct world_ecs *ecs, enum world_component_id id, uint32_t slot);

// The same put off to the stage's end, for systems that are going through entities: whoever is
// gone by then is passed over. Removals come before deaths, both in slot order, so it does not
// matter who asked first. To let entities die a system declares WORLD_USES_LIVES.
void world_ecs_defer_remove(struct world_ecs *ecs, enum world_component_id id, uint32_t slot);
void world_ecs_defer_despawn(struct world_ecs *ecs, uint32_t slot);
// Carries out the removals.
void world_ecs_flush_removals(struct world_ecs *ecs);

// --- queries -------------------------------------------------------------------------------------

void world_ecs_queries_init(struct world_ecs *ecs);
// Brings the queries up to date with what was added and removed; between stages.
void world_ecs_refresh(struct world_ecs *ecs);

// A bit for every slot in it, as of the last refresh. Its components must have been declared.
const uint64_t *world_ecs_query(const struct world_ecs *ecs, enum world_query_id id);

static inline uint32_t world_ecs_query_count(const struct world_ecs *ecs, enum world_query_id id)
{
    return ecs->queries[id].count;
}

// Consecutive living slots, as long as they go: from *end on (0 to begin), *first up to *end - 1.
// Within such a run the rows of table components are plain arrays. False: there are no more.
static inline bool world_ecs_next_run(const struct world_ecs *ecs, uint32_t *first, uint32_t *end)
{
    size_t from = mm_bitset_next(ecs->alive, ecs->slot_end, *end);
    *first = (uint32_t)from;
    if (from >= ecs->slot_end)
        return false;
    *end = (uint32_t)mm_bitset_next_clear(ecs->alive, ecs->slot_end, from);
    return true;
}

// Typed access.
#define WORLD_GET(ecs, ID, type, slot) ((struct type *)world_ecs_row((ecs), (ID), (uint32_t)(slot)))
#define WORLD_TOUCH(ecs, ID, type, slot)                                                           \
    ((struct type *)world_ecs_touch((ecs), (ID), (uint32_t)(slot)))

// --- hashes --------------------------------------------------------------------------------------

// Brings the hashes up to date with everything marked.
void world_ecs_settle(struct world_ecs *ecs);
// The same in parts, which may run at the same time: the marks in words `from` up to `to` - 1 of
// every column. What it adds to each column's hash_sum comes out; the caller adds it, in any order.
void world_ecs_settle_words(struct world_ecs *ecs, size_t from, size_t to,
                            uint64_t sums[WORLD_COMPONENTS]);
// How many marks there are to be settled.
size_t world_ecs_marked(const struct world_ecs *ecs);

// Sum over rows and generations of their hashes, as of the last settle; and what it should be,
// computed from the fields alone.
uint64_t world_ecs_hash(const struct world_ecs *ecs);
uint64_t world_ecs_hash_full(const struct world_ecs *ecs);

// For loading a saved state: makes `slot` alive with that generation (or a dead slot that had it).
// Slots ascend. Room must have been reserved.
void world_ecs_restore(struct world_ecs *ecs, uint32_t slot, uint32_t generation, bool alive);

#endif
