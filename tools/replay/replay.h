#ifndef TOOLS_REPLAY_REPLAY_H
#define TOOLS_REPLAY_REPLAY_H

#include "tools/replay/source.h"
#include <stdbool.h>
#include <stdio.h>

// Replays a session's journal and holds what comes of it against what was recorded: the hash of
// every journal row and the state of every snapshot on the way.

struct replay_wish {
    size_t snapshot;       // index of the one to begin with; SIZE_MAX: the oldest that is sound
    uint64_t to;           // last tick; UINT64_MAX: as far as the record goes
    uint64_t hashes_every; // print every so many ticks, 0: never
    uint64_t audit_every;  // check invariants and the hash as a whole every so many ticks, 0: never
};

struct replay_outcome {
    bool began;
    uint64_t from_tick, tick, state_hash;
    uint64_t rows, inputs, snapshots_met, snapshots_unsound;
    bool diverged;
    uint64_t diverged_tick;
};

// Prints "TICK HASH" lines and reports to out. OK also when it diverged. DATA_LOSS: nothing to
// begin with, or a row cannot be read; source->problem says what.
enum mm_err MM_MUST_USE replay_run(struct replay_source *source, const struct replay_wish *wish,
                                   FILE *out, struct replay_outcome *outcome);

// Prints snapshots and journal rows, with their inputs if asked for.
enum mm_err MM_MUST_USE replay_list(struct replay_source *source, bool with_inputs, FILE *out);

#endif
