#ifndef BOTS_BRAIN_H
#define BOTS_BRAIN_H

#include "libcommon/base/buf.h"
#include "libcommon/base/rng.h"
#include "tools/bots/game.h"

// What a computer player decides: pure, from what it knows and a random generator.

enum brain_kind { BRAIN_NOTHING, BRAIN_MOVE, BRAIN_TRAIN, BRAIN_ATTACK, BRAIN_GATHER, BRAIN_BUILD };

struct brain_decision {
    enum brain_kind kind;
    const char *entity; // the unit to move, or the building that trains; the game's
    const char *recipe; // the game's; of building, the type's name
    const char *victim; // whom to attack, or where to gather; the game's
    struct hex_axial target;
};

// Decides on the next command and notes in the game that the unit has got an order. now_ms:
// monotonic.
struct brain_decision brain_decide(struct game *game, struct mm_rng *rng, uint64_t now_ms);

// Something to say, a literal.
const char *brain_say(struct mm_rng *rng);

#endif
