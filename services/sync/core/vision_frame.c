#include "services/sync/core/vision_frame.h"

#include "libcommon/base/alloc.h"

static bool memory_columns_valid(const Mmorts__Frame__MemoryColumns *c, size_t count)
{
    if (!c)
        return count == 0;
    return c->n_id == count && c->n_type == count && c->n_owner == count && c->n_q == count &&
           c->n_r == count && c->n_health == count && c->n_first_seen == count &&
           c->n_last_seen == count && c->n_mode == count && c->n_expires_at == count;
}

// Fills in group g's column of starts from its counts; false if the counts do not sum to total.
static bool fill(uint32_t *starts, enum sync_group g, size_t empires, const uint32_t *counts,
                 size_t count_count, size_t total)
{
    // A frame without any entry of a group may leave the counts out.
    if (count_count != empires && !(count_count == 0 && total == 0))
        return false;
    uint64_t sum = 0;
    for (size_t e = 0; e < empires; e++) {
        starts[e * SYNC_GROUPS + g] = (uint32_t)sum;
        sum += count_count ? counts[e] : 0;
        if (sum > total)
            return false;
    }
    starts[empires * SYNC_GROUPS + g] = (uint32_t)sum;
    return sum == total;
}

uint32_t *sync_vision_starts(const Mmorts__Frame__VisionFrame *f)
{
    size_t n = f->n_empire;
    for (size_t e = 1; e < n; e++) {
        if (f->empire[e] <= f->empire[e - 1])
            return NULL;
    }
    size_t hexes = f->n_hex_q;
    size_t memories = f->remembered ? f->remembered->n_id : 0;
    if (f->n_hex_r != hexes || f->n_hex_state != hexes || f->n_hex_terrain != hexes ||
        !memory_columns_valid(f->remembered, memories))
        return NULL;
    uint32_t *starts = mm_calloc((n + 1) * SYNC_GROUPS, sizeof *starts);
    if (!starts)
        return NULL;
    if (fill(starts, SYNC_GROUP_HEXES, n, f->hex_count, f->n_hex_count, hexes) &&
        fill(starts, SYNC_GROUP_ENTERED, n, f->entered_count, f->n_entered_count, f->n_entered) &&
        fill(starts, SYNC_GROUP_LEFT, n, f->left_count, f->n_left_count, f->n_left) &&
        fill(starts, SYNC_GROUP_REMEMBERED, n, f->remembered_count, f->n_remembered_count,
             memories) &&
        fill(starts, SYNC_GROUP_FORGOTTEN, n, f->forgotten_count, f->n_forgotten_count,
             f->n_forgotten))
        return starts;
    mm_free(starts);
    return NULL;
}

bool sync_vision_find(const Mmorts__Frame__VisionFrame *frame, uint32_t empire, size_t *at_out)
{
    size_t low = 0, high = frame->n_empire;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (frame->empire[middle] < empire)
            low = middle + 1;
        else
            high = middle;
    }
    *at_out = low;
    return low < frame->n_empire && frame->empire[low] == empire;
}
