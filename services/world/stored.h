#ifndef WORLD_STORED_H
#define WORLD_STORED_H

#include "libcommon/base/arena.h"
#include "libcommon/base/err.h"
#include "services/world/core/world.h"
#include <stddef.h>
#include <stdint.h>

// What was stored, made into states again. Without any database: whoever has the bytes (a starting
// process, a tool, a test) comes to the same state, or to the same error.

// A row of `snapshots`: what is known of a saved state beside its bytes.
struct world_stored_snapshot {
    uint64_t tick, epoch, state_hash;
    uint64_t raw_bytes, stored_bytes; // before and after compression
    uint64_t checksum;                // of the stored bytes
    uint32_t parts;
};

// The state that the stored bytes hold. DATA_LOSS: they are not what was written, or lead to
// another state than they were written for. UNIMPLEMENTED: of another version of the simulation.
// RESOURCE_EXHAUSTED: out of memory. CANCELLED: it was given up (`progress`, which may be NULL).
enum mm_err MM_MUST_USE world_stored_load(const struct world_stored_snapshot *snapshot,
                                          const uint8_t *data, size_t len,
                                          struct mm_progress *progress, struct world **out);

// The same of a state that a version before this one wrote. Whatever version it is goes to *version
// (0: they hold none). UNIMPLEMENTED: of this version, or of one that cannot be read.
enum mm_err MM_MUST_USE world_stored_load_older(const struct world_stored_snapshot *snapshot,
                                                const uint8_t *data, size_t len, struct world **out,
                                                uint32_t *version);

// The inputs of a journal row, in the arena. DATA_LOSS: not such a row, or larger than any tick.
enum mm_err MM_MUST_USE world_stored_inputs(const void *data, size_t len, struct mm_arena *arena,
                                            const Mmorts__World__JournalEntry **out);

// Steps to the next tick with the inputs of its row, under other rules if it brings them; results
// are in the arena and may be asked for with `results`, or NULL. RESOURCE_EXHAUSTED: out of memory,
// and nothing happened. DATA_LOSS: the rules cannot be read, or are none for this state.
enum mm_err MM_MUST_USE world_stored_step(struct world *world,
                                          const Mmorts__World__JournalEntry *entry,
                                          struct mm_arena *arena, struct world_result **results);

// Steps to the next tick without inputs.
void world_stored_step_empty(struct world *world, struct mm_arena *arena);

#endif
