#ifndef TESTS_SUPPORT_VISION_STAGE_H
#define TESTS_SUPPORT_VISION_STAGE_H

#include "services/vision/core/vision.h"

#include <stdbool.h>
#include <stdint.h>

// A vision core on an empty stage: a test puts things there, moves and changes them, lets ticks
// pass and looks at what each empire was told. Whatever fails aborts the test with a message.
//
// The map are the hexes up to STAGE_MAP_HEXES around (0, 0) and a few more; three empires. An
// entity's public id is given by the test, its slot is the stage's business.

enum { STAGE_EMPIRES = 3, STAGE_MAP_HEXES = 40, STAGE_ENTITIES_MAX = 64 };

enum stage_type {
    STAGE_SCOUT,    // a unit that sees STAGE_SIGHT hexes
    STAGE_DETECTOR, // as far, also what is stealthed
    STAGE_BEACON,   // as far, for allies too
    STAGE_SPY,      // stealthed; sees nothing
    STAGE_SOLDIER,  // sees nothing, is not remembered; nor are the units above
    STAGE_HERO,
    STAGE_MACHINE, // end-game
    STAGE_HUT,     // a building
    STAGE_TOWN,    // a building, for settling
    STAGE_BEAST,   // nobody's
    STAGE_TYPES,
};

enum { STAGE_SIGHT = 3, STAGE_HEALTH = 100 };

struct stage;

// Options as vision_options_default() has them, or the given ones with the stage's chunks.
struct stage *stage_new(const struct vision_options *options);
void stage_free(struct stage *stage);
struct vision *stage_core(struct stage *stage);
uint64_t stage_now(const struct stage *stage); // the last tick

// These take effect in the next tick.
void stage_put(struct stage *stage, uint64_t id, enum stage_type type, uint32_t owner, int32_t q,
               int32_t r);
void stage_move(struct stage *stage, uint64_t id, int32_t q, int32_t r);
void stage_set(struct stage *stage, uint64_t id, Mmorts__Frame__Attribute attribute, int32_t value);
void stage_remove(struct stage *stage, uint64_t id);

void stage_tick(struct stage *stage);
void stage_ticks(struct stage *stage, unsigned count);

// What the empire was told in the last tick.
struct stage_told {
    unsigned hexes, entered, left, remembered, forgotten;
};
struct stage_told stage_told(const struct stage *stage, uint32_t empire);
// Of that entity: each member is 0 or 1, `hexes` 0.
struct stage_told stage_told_of(const struct stage *stage, uint32_t empire, uint64_t id);

bool stage_sees(const struct stage *stage, uint32_t empire, uint64_t id);
// The health that it is remembered with; 0: it is not remembered.
int32_t stage_recalls(const struct stage *stage, uint32_t empire, uint64_t id);
Mmorts__Frame__Visibility stage_hex(const struct stage *stage, uint32_t empire, int32_t q,
                                    int32_t r);

#endif
