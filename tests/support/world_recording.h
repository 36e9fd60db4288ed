#ifndef TESTS_SUPPORT_WORLD_RECORDING_H
#define TESTS_SUPPORT_WORLD_RECORDING_H

#include "tools/replay/source.h"
#include <stdint.h>

struct world_rules;

// A session played at random, recorded as the world service records one: rows of the inputs that
// changed something, with the hash after them, and snapshots. The same seed gives the same record.
struct recording_wish {
    const struct world_rules *rules; // NULL: the game's own
    uint64_t seed;
    unsigned players; // at most RECORDING_PLAYERS_MAX, founded in the first ticks
    unsigned ticks;
    unsigned snapshot_every; // beside the one of tick 0
};
enum { RECORDING_PLAYERS_MAX = 8 };

// In memory, as a source that the replay tool takes; replay_source_close() frees it.
struct replay_source *recording_make(const struct recording_wish *wish);

// To be changed by tests that damage a record.
struct recording_row {
    uint64_t tick, state_hash;
    uint8_t *inputs;
    size_t inputs_len;
};
struct recording_row *recording_rows(struct replay_source *source);
uint8_t *recording_snapshot_bytes(struct replay_source *source, size_t index);
// Puts other bytes (mm_malloc'ed, taken over) in the place of a snapshot's.
void recording_replace_snapshot(struct replay_source *source, size_t index, uint8_t *bytes);

#endif
