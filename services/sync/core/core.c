#include "services/sync/core/core.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/bitset.h"
#include "libcommon/base/check.h"
#include "services/sync/core/fold.h"
#include "services/sync/core/history.h"
#include "services/sync/core/sight.h"
#include "services/sync/core/vision_frame.h"

#include <string.h>

enum mm_err sync_core_init(struct sync_core *core)
{
    memset(core, 0, sizeof *core);
    mm_vec_init(&core->views, SYNC_VIEWS_MAX);
    mm_vec_init(&core->sightings, SYNC_SIGHTINGS_MAX);
    mm_vec_init(&core->touched, SYNC_VIEWS_MAX);
    mm_vec_init(&core->touched_bits, MM_BITSET_WORDS(SYNC_VIEWS_MAX));
    mm_vec_init(&core->held, MM_BITSET_WORDS(SYNC_VIEWS_MAX));
    for (size_t i = 0; i < SYNC_HISTORY_TICKS; i++)
        mm_vec_init(&core->ring[i].departed, SYNC_ENTITIES_MAX);
    core->sighting_free = SYNC_NONE;
    enum mm_err err = sync_mirror_init(&core->mirror);
    if (err == MM_OK)
        err = sync_stock_init(&core->stock);
    return err;
}

void sync_core_keep_history(struct sync_core *core, unsigned ticks, size_t bytes_max)
{
    MM_CHECK(ticks <= SYNC_HISTORY_TICKS_MAX && bytes_max <= SYNC_HISTORY_BYTES_MAX);
    core->history_ticks = ticks;
    core->history_bytes_max = bytes_max;
}

static void free_tick_frame(Mmorts__Frame__TickFrame **frame)
{
    if (*frame)
        mmorts__frame__tick_frame__free_unpacked(*frame, NULL);
    *frame = NULL;
}

void sync_ring_drop_vision(struct sync_tick_entry *entry)
{
    if (entry->vision)
        mmorts__frame__vision_frame__free_unpacked(entry->vision, NULL);
    mm_free(entry->starts);
    entry->vision = NULL;
    entry->starts = NULL;
}

void sync_core_free(struct sync_core *core)
{
    for (size_t i = 0; i < core->views.count; i++)
        sync_view_free(core->views.items[i]);
    mm_vec_free(&core->views);
    mm_vec_free(&core->sightings);
    mm_vec_free(&core->touched);
    mm_vec_free(&core->touched_bits);
    mm_vec_free(&core->held);
    mm_free(core->sighting_head);
    mm_free(core->view_of_empire);
    for (size_t i = 0; i < SYNC_HISTORY_TICKS; i++) {
        sync_ring_drop_vision(&core->ring[i]);
        mm_vec_free(&core->ring[i].departed);
    }
    for (size_t i = 0; i < SYNC_AHEAD_TICKS; i++)
        free_tick_frame(&core->ahead[i]);
    free_tick_frame(&core->frame);
    sync_mirror_free(&core->mirror);
    sync_stock_free(&core->stock);
    memset(core, 0, sizeof *core);
}

// --- the ring ------------------------------------------------------------------------------------

struct sync_tick_entry *sync_ring_claim(struct sync_core *core, uint64_t tick)
{
    struct sync_tick_entry *entry = &core->ring[tick % SYNC_HISTORY_TICKS];
    if (entry->tick != tick) {
        sync_ring_drop_vision(entry);
        mm_vec_clear(&entry->departed);
        entry->mirrored = false;
        entry->tick = tick;
    }
    return entry;
}

static bool ring_covers(const struct sync_core *core, uint64_t tick)
{
    uint64_t half = SYNC_HISTORY_TICKS / 2;
    return tick <= core->mirror.tick + half && tick + half > core->mirror.tick;
}

// --- what comes in -------------------------------------------------------------------------------

static void freeze_all(struct sync_core *core)
{
    for (size_t i = 0; i < core->views.count; i++) {
        if (core->views.items[i])
            sync_view_freeze(core, core->views.items[i]);
    }
}

void sync_core_push_tick(struct sync_core *core, Mmorts__Frame__TickFrame *frame)
{
    uint64_t tick = frame->tick;
    if (!core->mirror.loaded || frame->snapshot || tick != core->world_newest + 1) {
        // The reader promises one after another; whatever this is, a snapshot mends it.
        core->counts.world_frames_refused++;
        core->world_snapshot_wanted = true;
        free_tick_frame(&frame);
        return;
    }
    if (tick - core->mirror.tick > SYNC_AHEAD_TICKS) {
        // Vision is away. The step below finds every view frozen and follows world alone.
        core->counts.vision_overruns++;
        freeze_all(core);
        (void)sync_core_step(core);
        MM_CHECK(tick - core->mirror.tick <= SYNC_AHEAD_TICKS || core->world_snapshot_wanted);
    }
    if (core->world_snapshot_wanted) {
        free_tick_frame(&frame);
        return;
    }
    core->world_newest = tick;
    struct sync_core *c = core;
    free_tick_frame(&c->ahead[tick % SYNC_AHEAD_TICKS]);
    c->ahead[tick % SYNC_AHEAD_TICKS] = frame;
}

enum mm_err sync_core_world_snapshot(struct sync_core *core, Mmorts__Frame__TickFrame *frame)
{
    if (frame->tick < core->told_tick)
        core->rewound = true;
    freeze_all(core);
    for (size_t i = 0; i < SYNC_AHEAD_TICKS; i++)
        free_tick_frame(&core->ahead[i]);
    for (size_t i = 0; i < SYNC_HISTORY_TICKS; i++) {
        struct sync_tick_entry *entry = &core->ring[i];
        entry->mirrored = false;
        mm_vec_clear(&entry->departed);
        if (core->rewound || entry->tick <= frame->tick) {
            sync_ring_drop_vision(entry);
            entry->tick = 0;
        }
    }
    enum mm_err err = frame->snapshot ? sync_mirror_apply(&core->mirror, frame) : MM_DATA_LOSS;
    if (err == MM_OK) {
        core->history_floor = frame->tick;
        core->world_newest = frame->tick;
    } else {
        core->counts.world_frames_refused++;
        core->mirror.loaded = false;
    }
    free_tick_frame(&core->frame);
    free_tick_frame(&frame);
    return err == MM_RESOURCE_EXHAUSTED ? err : MM_OK;
}

void sync_core_push_vision(struct sync_core *core, uint64_t epoch,
                           Mmorts__Frame__VisionFrame *frame)
{
    if (epoch != core->vision_epoch) {
        core->vision_epoch = epoch;
        core->vision_newest = 0;
        for (size_t i = 0; i < core->views.count; i++) {
            struct sync_view *view = core->views.items[i];
            if (!view || view->state == SYNC_VIEW_WAITING || view->epoch == epoch)
                continue;
            core->counts.vision_gaps++;
            sync_view_freeze(core, view);
        }
    }
    core->vision_newest = frame->tick;
    uint32_t *starts = ring_covers(core, frame->tick) ? sync_vision_starts(frame) : NULL;
    if (!starts) {
        core->counts.vision_frames_refused++;
        mmorts__frame__vision_frame__free_unpacked(frame, NULL);
        return;
    }
    struct sync_tick_entry *entry = sync_ring_claim(core, frame->tick);
    sync_ring_drop_vision(entry);
    entry->vision = frame;
    entry->starts = starts;
    entry->epoch = epoch;
}

// --- views ---------------------------------------------------------------------------------------

struct sync_view *sync_core_view(const struct sync_core *core, uint32_t empire)
{
    return empire < core->empire_count ? core->view_of_empire[empire] : NULL;
}

size_t sync_core_empires(const struct sync_core *core, uint32_t *out)
{
    size_t count = 0;
    for (uint32_t empire = 1; empire < core->empire_count; empire++)
        if (core->view_of_empire[empire])
            out[count++] = empire;
    return count;
}

static bool know_empire(struct sync_core *core, uint32_t empire)
{
    if (empire < core->empire_count)
        return true;
    if (empire >= SYNC_EMPIRES_MAX)
        return false;
    uint32_t count = 2 * empire + 64;
    struct sync_view **grown = mm_realloc(core->view_of_empire, count * sizeof *grown);
    if (!grown)
        return false;
    memset(grown + core->empire_count, 0, (count - core->empire_count) * sizeof *grown);
    core->view_of_empire = grown;
    core->empire_count = count;
    return true;
}

static bool room_for_bit(struct sync_core *core, size_t bit)
{
    while (core->touched_bits.count * 64 <= bit)
        if (!mm_vec_push(&core->touched_bits, UINT64_C(0)))
            return false;
    while (core->held.count * 64 <= bit)
        if (!mm_vec_push(&core->held, UINT64_C(0)))
            return false;
    return true;
}

struct sync_view *sync_core_view_open(struct sync_core *core, uint32_t empire)
{
    struct sync_view *view = sync_core_view(core, empire);
    if (view)
        return view;
    size_t index = 0;
    while (index < core->views.count && core->views.items[index])
        index++;
    if (index == core->views.count && !mm_vec_push(&core->views, NULL))
        return NULL;
    view = sync_view_new(empire, (uint32_t)index);
    if (!view)
        return NULL;
    // Room for all, so that touching a view cannot fail.
    if (!mm_vec_reserve(&core->touched, core->views.count) || !room_for_bit(core, index) ||
        !know_empire(core, empire)) {
        sync_view_free(view);
        return NULL;
    }
    sync_history_init(&view->history, core->history_bytes_max);
    core->view_of_empire[empire] = view;
    core->view_count++;
    core->views.items[index] = view;
    return view;
}

void sync_core_view_close(struct sync_core *core, struct sync_view *view)
{
    sync_fold_forget(core, view);
    sync_view_freeze(core, view);
    for (size_t i = 0; i < core->touched.count; i++) {
        if (core->touched.items[i] == view) {
            mm_vec_remove_swap(&core->touched, i);
            mm_bitset_clear(core->touched_bits.items, view->index);
            break;
        }
    }
    core->view_of_empire[view->empire] = NULL;
    core->view_count--;
    core->views.items[view->index] = NULL;
    sync_view_free(view);
}

void sync_core_touch(struct sync_core *core, struct sync_view *view)
{
    if (view->delta.touched)
        return;
    view->delta.touched = true;
    mm_bitset_set(core->touched_bits.items, view->index);
    bool pushed = mm_vec_push(&core->touched, view);
    MM_CHECK(pushed);
}

struct sync_holding *sync_core_holding(struct sync_core *core, struct sync_view *view)
{
    // Holdings stay where they are.
    if (!view->holding)
        view->holding = sync_stock_holding(&core->stock, view->empire);
    return view->holding;
}

void sync_core_order_touched(struct sync_core *core)
{
    size_t bits = core->touched_bits.count * 64, count = 0;
    const uint64_t *words = core->touched_bits.items;
    for (size_t i = mm_bitset_next(words, bits, 0); i < bits;
         i = mm_bitset_next(words, bits, i + 1))
        core->touched.items[count++] = core->views.items[i];
    MM_CHECK(count == core->touched.count);
}

static enum mm_err load_answer(struct sync_core *core, struct sync_view *view,
                               const Mmorts__Frame__VisionFrame *answer, const uint32_t *starts)
{
    struct sync_range range = sync_vision_range(starts, 0, SYNC_GROUP_HEXES);
    for (size_t i = range.from; i < range.to; i++) {
        uint32_t terrain = answer->hex_terrain[i];
        if (terrain == 0 || terrain > SYNC_TERRAINS_MAX)
            return MM_DATA_LOSS;
        if (sync_hexes_set(&view->fresh_hexes, answer->hex_q[i], answer->hex_r[i],
                           (unsigned)answer->hex_state[i], (uint8_t)terrain,
                           answer->tick) == SYNC_HEX_FAILED)
            return MM_DATA_LOSS;
    }
    range = sync_vision_range(starts, 0, SYNC_GROUP_REMEMBERED);
    for (size_t i = range.from; i < range.to; i++) {
        struct sync_memory memory = sync_memory_at(answer->remembered, i);
        if (!sync_memories_set(&view->fresh_memories, &memory))
            return MM_RESOURCE_EXHAUSTED;
    }
    range = sync_vision_range(starts, 0, SYNC_GROUP_ENTERED);
    view->fresh_by_id = answer->tick <= core->mirror.tick;
    for (size_t i = range.from; i < range.to; i++) {
        uint32_t slot = answer->entered[i];
        if (!view->fresh_by_id) {
            if (!mm_vec_push(&view->fresh_slots, slot))
                return MM_RESOURCE_EXHAUSTED;
            continue;
        }
        uint64_t id = sync_history_id(core, slot, answer->tick);
        if (id == 0)
            return MM_OUT_OF_RANGE;
        if (mm_idmap_set(view->fresh_sight, id, 0) != MM_OK)
            return MM_RESOURCE_EXHAUSTED;
    }
    return MM_OK;
}

enum mm_err sync_core_view_load(struct sync_core *core, struct sync_view *view, uint64_t epoch,
                                const Mmorts__Frame__VisionFrame *answer)
{
    MM_CHECK(view->state == SYNC_VIEW_WAITING);
    if (!core->mirror.loaded || answer->tick < core->history_floor ||
        !ring_covers(core, answer->tick)) {
        core->counts.views_refused++;
        return MM_OUT_OF_RANGE;
    }
    uint32_t *starts = sync_vision_starts(answer);
    if (!starts)
        return MM_DATA_LOSS;
    enum mm_err err = MM_OK;
    view->fresh_sight = mm_idmap_new(SYNC_VIEW_ENTITIES_MAX);
    if (!view->fresh_sight || sync_hexes_init(&view->fresh_hexes) != MM_OK ||
        sync_memories_init(&view->fresh_memories) != MM_OK)
        err = MM_RESOURCE_EXHAUSTED;
    // Vision has nothing to say of an empire that it does not know yet: an empty view.
    if (err == MM_OK && answer->n_empire > 0) {
        if (answer->n_empire != 1 || answer->empire[0] != view->empire)
            err = MM_DATA_LOSS;
        else
            err = load_answer(core, view, answer, starts);
    }
    mm_free(starts);
    view->state = SYNC_VIEW_FRESH;
    view->epoch = epoch;
    view->tick = answer->tick;
    if (err != MM_OK) {
        sync_view_drop_fresh(view);
        core->counts.views_refused++;
        return err;
    }
    core->fresh_count++;
    core->counts.views_loaded++;
    return MM_OK;
}
