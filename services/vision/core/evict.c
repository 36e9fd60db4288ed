#include "services/vision/core/memory.h"
#include "services/vision/core/state.h"

// Memories beyond an empire's limit: which of them give way.
//
// An empire that came to its limit once keeps its memories in a heap from then on, the one that
// gives way next on top.

// Whether x gives way before y: timed before permanent, the sooner to expire first; then what was
// seen longer ago; then the lower id.
static bool yields_before(const struct vision *vision, uint32_t x_slot, uint32_t y_slot)
{
    const struct vision_memory *x = &vision->memories[x_slot].row;
    const struct vision_memory *y = &vision->memories[y_slot].row;
    if ((x->expires_at != 0) != (y->expires_at != 0))
        return x->expires_at != 0;
    if (x->expires_at != y->expires_at)
        return x->expires_at < y->expires_at;
    if (x->last_seen != y->last_seen)
        return x->last_seen < y->last_seen;
    return x->id < y->id;
}

static void put_at(struct vision *vision, struct vision_empire *empire, size_t place, uint32_t slot)
{
    empire->yielding.items[place] = slot;
    vision->memories[slot].yield_place = (uint32_t)place;
}

static void sift_up(struct vision *vision, struct vision_empire *empire, size_t place)
{
    uint32_t slot = empire->yielding.items[place];
    for (; place > 0; place = (place - 1) / 2) {
        uint32_t parent = empire->yielding.items[(place - 1) / 2];
        if (!yields_before(vision, slot, parent))
            break;
        put_at(vision, empire, place, parent);
    }
    put_at(vision, empire, place, slot);
}

static void sift_down(struct vision *vision, struct vision_empire *empire, size_t place)
{
    const uint32_t *items = empire->yielding.items;
    size_t count = empire->yielding.count;
    uint32_t slot = items[place];
    for (size_t child = 2 * place + 1; child < count; child = 2 * place + 1) {
        if (child + 1 < count && yields_before(vision, items[child + 1], items[child]))
            child++;
        if (!yields_before(vision, items[child], slot))
            break;
        put_at(vision, empire, place, items[child]);
        place = child;
    }
    put_at(vision, empire, place, slot);
}

void vision_yield_add(struct vision *vision, struct vision_empire *empire, uint32_t slot)
{
    if (!empire->keeps_yielding)
        return;
    if (!mm_vec_push(&empire->yielding, slot)) {
        vision->exhausted = true;
        return;
    }
    sift_up(vision, empire, empire->yielding.count - 1);
}

void vision_yield_remove(struct vision *vision, struct vision_empire *empire, uint32_t slot)
{
    size_t place = vision->memories[slot].yield_place;
    // One that found no room when memory ran out is not there.
    if (!empire->keeps_yielding || place >= empire->yielding.count ||
        empire->yielding.items[place] != slot)
        return;
    uint32_t last = mm_vec_pop(&empire->yielding);
    if (last == slot)
        return;
    put_at(vision, empire, place, last);
    sift_up(vision, empire, place);
    sift_down(vision, empire, vision->memories[last].yield_place);
}

static bool keep_yielding(struct vision *vision, struct vision_empire *empire)
{
    if (empire->keeps_yielding)
        return true;
    mm_vec_clear(&empire->yielding);
    for (uint32_t slot = empire->first_memory; slot; slot = vision->memories[slot].next_in_empire) {
        if (!mm_vec_push(&empire->yielding, slot)) {
            vision->exhausted = true;
            return false;
        }
        vision->memories[slot].yield_place = (uint32_t)empire->yielding.count - 1;
    }
    for (size_t place = empire->yielding.count / 2; place-- > 0;)
        sift_down(vision, empire, place);
    empire->keeps_yielding = true;
    return true;
}

void vision_memory_evict(struct vision *vision, struct vision_empire *empire)
{
    if (vision->loaded.holds)
        return;
    while (empire->memory_count > vision->options.memory.per_empire_max &&
           keep_yielding(vision, empire) && empire->yielding.count > 0) {
        vision->stats.evicted++;
        vision_memory_forget(vision, empire->yielding.items[0]);
    }
}

// --- after a restart -------------------------------------------------------------------------

// Rows may be of a later tick than the checkpoint that is gone on from. While the ticks between the
// two are replayed, some of the memories loaded were not there yet, and some of those that were
// have no row any more. So nothing gives way before the rows' tick; and then what has no row goes,
// for that is what ended or gave way until then.

bool vision_loaded_add(struct vision *vision, const struct vision_memory *row)
{
    struct vision_loaded_row loaded = {row->empire, row->id, row->first_seen};
    vision->loaded.holds = true;
    return mm_vec_push(&vision->loaded.rows, loaded);
}

void vision_loaded_as_of(struct vision *vision, uint64_t tick, bool all)
{
    vision->loaded.holds = true;
    vision->loaded.tick = tick;
    vision->loaded.all = all;
}

bool vision_is_replaying(const struct vision *vision)
{
    return vision->loaded.holds;
}

static void drop_without_row(struct vision *vision)
{
    for (size_t i = 0; i < vision->loaded.rows.count; i++) {
        const struct vision_loaded_row *row = &vision->loaded.rows.items[i];
        const struct vision_empire *empire = vision_empire_find(vision, row->empire);
        uint64_t slot;
        if (!empire || !empire->memories || !mm_idmap_get(empire->memories, row->id, &slot))
            continue;
        vision->memories[slot].has_row = true;
        // What should have given way may have been met in the replay, and lent its age.
        vision->memories[slot].row.first_seen = row->first_seen;
    }
    for (uint32_t slot = 1; slot < vision->memory_next; slot++) {
        if (vision->memories[slot].used && !vision->memories[slot].has_row)
            vision_memory_forget(vision, slot);
    }
}

void vision_loaded_end(struct vision *vision)
{
    if (!vision->loaded.holds)
        return;
    if (vision->loaded.all)
        drop_without_row(vision);
    mm_vec_free(&vision->loaded.rows);
    vision->loaded.holds = false;
    for (uint32_t e = 1; e < vision->empire_capacity; e++) {
        if (vision->empires[e])
            vision_memory_evict(vision, vision->empires[e]);
    }
}
