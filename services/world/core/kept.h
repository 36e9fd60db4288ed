#ifndef WORLD_CORE_KEPT_H
#define WORLD_CORE_KEPT_H

#include "services/world/core/state.h"

// What became of a player's last commands, by their sequence numbers (libcommon/base/seq.h).

enum world_kept_answer {
    WORLD_KEPT_NEW,       // not carried out yet
    WORLD_KEPT_KNOWN,     // carried out; *out is what came of it
    WORLD_KEPT_FORGOTTEN, // carried out, so long ago that its result is gone
};

enum world_kept_answer world_kept_look(const struct world_player *player, uint64_t client_seq,
                                       const struct world_kept_result **out);

// Keeps a new one. The oldest results give way; but of the WORLD_SEQ_RANGES_MAX ranges used last
// the newest one stays, by which it is known what is new there.
void world_kept_put(struct world_player *player, uint64_t client_seq, uint64_t tick);

#endif
