#include "services/world/core/state.h"

#include "libcommon/base/hash.h"
#include <string.h>

// Who sees by whose eyes. Vision decides it and tells the world, which only asks what an empire may
// aim at: by its own eyes and those that are lent to it now. What is borrowed is not lent on.
// Allies lend by being allies (alliance.c), others by order: a share is a pair of borrower and
// lender, and all of them lie in one ascending list, so one empire's lie together.

static uint64_t share_of(uint32_t borrower, uint32_t lender)
{
    return (uint64_t)borrower << 32 | lender;
}

uint64_t world_share_hash(uint64_t share)
{
    return mm_mix64(~mm_mix64(share));
}

void world_share_count(struct world *world, uint64_t share, uint32_t by)
{
    uint64_t hash = world_share_hash(share);
    world->shares_hash += by == 1 ? hash : 0 - hash;
    world->empires.items[(share >> 32) - 1].lenders += by;
}

// The place of the first share that is not below.
static size_t place_of(const struct world *world, uint64_t share)
{
    size_t low = 0, high = world->shares.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (world->shares.items[middle] < share)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool world_borrows(const struct world *world, uint32_t empire)
{
    if (empire == 0)
        return false;
    const struct world_empire_row *row = &world->empires.items[empire - 1];
    return row->lenders > 0 || (row->alliance != 0 && world->allies_lend != 0);
}

// Whether allies lend each other what this entity sees.
static bool lent_to_allies(const struct world *world, uint32_t slot)
{
    return world->allies_lend == MMORTS__WORLD__ALLIES_LEND__ALLIES_LEND_ALL ||
           (world->allies_lend == MMORTS__WORLD__ALLIES_LEND__ALLIES_LEND_SHARED &&
            world_sight_type(world, slot) == MMORTS__FRAME__SIGHT_TYPE__SIGHT_SHARED);
}

bool world_lends(const struct world *world, uint32_t slot, uint32_t empire)
{
    uint32_t owner = WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot)->owner;
    if (owner == 0)
        return false;
    if (world_allied(world, owner, empire) && lent_to_allies(world, slot))
        return true;
    if (world->empires.items[empire - 1].lenders == 0)
        return false;
    uint64_t share = share_of(empire, owner);
    size_t place = place_of(world, share);
    return place < world->shares.count && world->shares.items[place] == share;
}

// --- what vision tells ---------------------------------------------------------------------------

static const char *fault_of(const struct world *world,
                            const Mmorts__World__SetSharingRequest *request)
{
    uint64_t last = 0;
    uint32_t of_one = 0;
    if (request->n_borrower != request->n_lender)
        return "borrower and lender must have the same length";
    if (request->n_borrower > WORLD_SHARES_PER_CALL)
        return "too many pairs";
    if (request->first == 0 || request->first > request->last)
        return "first and last are no range of empires";
    if ((uint32_t)request->allies > MMORTS__WORLD__ALLIES_LEND__ALLIES_LEND_SHARED)
        return "that is nothing that allies lend";
    for (size_t i = 0; i < request->n_borrower; i++) {
        uint32_t borrower = request->borrower[i], lender = request->lender[i];
        if (borrower < request->first || borrower > request->last)
            return "a borrower is not of the range";
        if (borrower > world->empires.count || lender == 0 || lender > world->empires.count)
            return "there is no such empire";
        if (borrower == lender)
            return "an empire sees what it sees";
        if (share_of(borrower, lender) <= last)
            return "the pairs are not in ascending order";
        of_one = borrower == last >> 32 ? of_one + 1 : 1;
        if (of_one > WORLD_LENDERS_MAX)
            return "too many lenders";
        last = share_of(borrower, lender);
    }
    return NULL;
}

// Whether the shares from one place to another are those of the request.
static bool is_so(const struct world *world, const Mmorts__World__SetSharingRequest *request,
                  size_t from, size_t to)
{
    bool so = to - from == request->n_borrower;
    for (size_t i = 0; so && i < request->n_borrower; i++)
        so = world->shares.items[from + i] == share_of(request->borrower[i], request->lender[i]);
    return so;
}

// Puts the request's shares in the place of those from one place to another; there is room.
static void replace(struct world *world, const Mmorts__World__SetSharingRequest *request,
                    size_t from, size_t to)
{
    uint64_t *items = world->shares.items;
    size_t count = world->shares.count, more = request->n_borrower;
    for (size_t i = from; i < to; i++)
        world_share_count(world, items[i], UINT32_MAX);
    if (count > to)
        memmove(items + from + more, items + to, (count - to) * sizeof *items);
    for (size_t i = 0; i < more; i++) {
        items[from + i] = share_of(request->borrower[i], request->lender[i]);
        world_share_count(world, items[from + i], 1);
    }
    world->shares.count = count - (to - from) + more;
}

void world_set_sharing(struct world *world, const Mmorts__World__SetSharingRequest *request,
                       struct world_result *result)
{
    const char *fault = fault_of(world, request);
    if (fault) {
        world_fail(result, MM_INVALID_ARGUMENT, fault);
        return;
    }
    size_t from = place_of(world, share_of(request->first, 0));
    size_t to = request->last == UINT32_MAX ? world->shares.count
                                            : place_of(world, share_of(request->last + 1, 0));
    size_t count = world->shares.count - (to - from) + request->n_borrower;
    if (count > WORLD_SHARES_MAX || !mm_vec_reserve(&world->shares, count)) {
        world_fail(result, MM_RESOURCE_EXHAUSTED, "too many empires lend each other sight");
        return;
    }
    if (!is_so(world, request, from, to)) {
        replace(world, request, from, to);
        result->applied = true;
    }
    if (request->allies != 0 && world->allies_lend != (uint32_t)request->allies) {
        world->allies_lend = (uint32_t)request->allies;
        result->applied = true;
    }
}
