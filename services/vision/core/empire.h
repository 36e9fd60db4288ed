#ifndef VISION_CORE_EMPIRE_H
#define VISION_CORE_EMPIRE_H

#include "libcommon/base/idmap.h"
#include "services/vision/core/share.h"

#include <stdbool.h>
#include <stdint.h>

struct vision_empire {
    uint32_t number;
    bool known;             // world has told of it
    uint64_t told_in_check; // the check of a frame that tells of it
    uint64_t id;
    uint64_t player_id; // 0: not told
    uint32_t first_owned;
    struct vision_view *first_view;
    struct {
        MM_VEC(struct vision_active *);
    } actives;
    struct {
        MM_VEC(struct vision_relation);
    } borrowers;                        // who sees what this one sees; ascending
    uint32_t lenders;                   // of how many it is a borrower
    uint32_t ordered_lenders;           // how many were last ordered to lend to it
    struct mm_idmap *memories;          // public id -> slot; NULL until the first
    uint32_t first_memory, last_memory; // in the order of storing
    uint32_t memory_count;
    bool keeps_yielding; // it has come to its limit of memories
    struct {
        MM_VEC(uint32_t);
    } yielding;      // then: all of them, a heap of slots
    uint32_t output; // 1 + place among this tick's empires; 0: nothing to tell
};

#endif
