#ifndef VISION_CORE_SHARE_H
#define VISION_CORE_SHARE_H

#include "libcommon/base/vec.h"
#include "services/vision/core/seen.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Who lends sight to whom (share.c): by order, and as members of alliances.

struct vision;
struct vision_empire;

// What an empire lends to one other: everything (it wants to, or allies do), or what its beacons
// see (allies that do not share everything).
enum vision_lends { LENDS_NOTHING, LENDS_BEACONS, LENDS_ALL };

struct vision_relation {
    uint32_t to;
    uint32_t alliances; // that both are members of
    bool by_order;      // vision_share
    enum vision_lends lends;
};

struct vision_alliance {
    uint64_t id;
    struct {
        MM_VEC(uint32_t);
    } members; // ascending
};

// An alliance's order has its id, the member in `from`, and nobody in `to`.
struct vision_share_order {
    uint64_t alliance; // 0: one empire to another
    uint32_t from, to;
    uint64_t at_tick;
    size_t earlier; // 1 + place of one before with the same hash of its subject; 0: none
    bool begin;
};

void vision_share_apply_orders(struct vision *vision);
// Passes on to the borrowers what the empire's own sight of a chunk gained and lost.
void vision_share_pass_on(struct vision *vision, const struct vision_empire *lender,
                          struct vision_active *active);
// Likewise for everything that is dirty.
void vision_share_settle(struct vision *vision);
void vision_alliances_free(struct vision *vision);
// What the one lends to the other, or NULL.
const struct vision_relation *vision_relation_find(const struct vision *vision, uint32_t from,
                                                   uint32_t to);
bool vision_is_member(const struct vision_alliance *alliance, uint32_t empire);

#endif
