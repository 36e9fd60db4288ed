#ifndef WORLD_CORE_LOAD_H
#define WORLD_CORE_LOAD_H

#include "services/world/core/state.h"

// What the files have in common that read a saved state (save.h): load.c the whole of it, map and
// entities; load_players.c what belongs to players. Nothing in it is believed: sizes are held
// against the bytes that are there before anything is allocated, every number against what it
// refers to, and in the end the whole against world_verify().

// Reading past the end, or failing once, makes everything after it fail; numbers are 0 then.
struct world_reader {
    const uint8_t *data;
    size_t len, at;
    bool failed;
    uint32_t version; // of the state
    struct mm_progress *progress;
};

// NULL when so many are not there.
const uint8_t *world_read_bytes(struct world_reader *reader, size_t bytes);
// Little-endian, at most 8 bytes.
uint64_t world_read_number(struct world_reader *reader, unsigned bytes);
uint32_t world_read_u32(struct world_reader *reader);
uint64_t world_read_u64(struct world_reader *reader);
// A count of things of which each takes at least bytes_each.
uint32_t world_read_count(struct world_reader *reader, size_t bytes_each, uint32_t most);

// Each needs what stands before it in a saved state. MM_DATA_LOSS, MM_RESOURCE_EXHAUSTED.
enum mm_err MM_MUST_USE world_load_empires(struct world *world, struct world_reader *reader);
enum mm_err MM_MUST_USE world_load_players(struct world *world, struct world_reader *reader);
enum mm_err MM_MUST_USE world_load_spawn_keys(struct world *world, struct world_reader *reader);
enum mm_err MM_MUST_USE world_load_bills(struct world *world, struct world_reader *reader);
enum mm_err MM_MUST_USE world_load_sharing(struct world *world, struct world_reader *reader);

#endif
