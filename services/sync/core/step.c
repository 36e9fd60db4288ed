#include "services/sync/core/core.h"

#include "libcommon/base/check.h"
#include "libcommon/base/prefetch.h"
#include "services/sync/core/history.h"
#include "services/sync/core/sight.h"
#include "services/sync/core/vision_frame.h"

#include <string.h>

// One step of the core: the next tick, if both its frames are there, and the views that vision's
// answers bring back to life.

// Vision's frame of that tick in the stream's present epoch, or NULL.
static const struct sync_tick_entry *vision_entry(const struct sync_core *core, uint64_t tick)
{
    const struct sync_tick_entry *entry = &core->ring[tick % SYNC_HISTORY_TICKS];
    if (entry->tick != tick || !entry->vision || entry->epoch != core->vision_epoch)
        return NULL;
    return entry;
}

static bool needs_vision(const struct sync_view *view, uint64_t tick)
{
    return view->state == SYNC_VIEW_LIVE || (view->state == SYNC_VIEW_FRESH && view->tick < tick);
}

// Whether the tick may be applied: nobody needs vision's frame, or it is there, or it will never
// come (then those who need it are frozen).
static bool vision_ready(struct sync_core *core, uint64_t tick)
{
    if (core->live_count + core->fresh_count == 0 || vision_entry(core, tick))
        return true;
    bool lost = core->vision_newest >= tick;
    for (size_t i = 0; i < core->views.count; i++) {
        struct sync_view *view = core->views.items[i];
        if (!view || !needs_vision(view, tick))
            continue;
        if (!lost)
            return false;
        core->counts.vision_gaps++;
        sync_view_freeze(core, view);
    }
    return true;
}

// --- one tick ------------------------------------------------------------------------------------

static bool departed_now(const struct sync_core *core, uint32_t slot)
{
    return slot < core->mirror.slot_count && !core->mirror.entities[slot].alive;
}

// Hands the frame's events to those who see their entity: once before sight changes, for entities
// that departed in this tick, and once after it for the others.
static void share_events(struct sync_core *core, bool departed)
{
    const Mmorts__Frame__EventColumns *events = core->frame->events;
    for (size_t i = 0; events && i < events->n_kind; i++) {
        uint32_t slot = events->entity[i];
        if (slot >= core->sighting_head_count || departed_now(core, slot) != departed)
            continue;
        bool owner_only = events->kind[i] == MMORTS__FRAME__EVENT_KIND__EVENT_DEPOSIT;
        for (uint32_t s = core->sighting_head[slot]; s != SYNC_NONE;
             s = core->sightings.items[s].next) {
            struct sync_view *view = core->views.items[core->sightings.items[s].view];
            if (owner_only && core->mirror.entities[slot].owner != view->empire)
                continue;
            sync_core_touch(core, view);
            uint32_t number = core->sightings.items[s].number;
            // An event that does not fit is not shown: it leaves no state behind.
            (void)mm_vec_push(&view->delta.events,
                              ((struct sync_event_news){(uint32_t)i, number, departed, false}));
        }
    }
}

// Views and sightings of thousands of clients are in no cache; what is needed soon is asked for
// while something else is done.
enum { SOON = 3 };

// Who is told by that part of vision's frame; NULL: nobody.
static const struct sync_view *seer(const struct sync_core *core,
                                    const struct sync_tick_entry *entry, size_t at)
{
    const Mmorts__Frame__VisionFrame *frame = entry->vision;
    return at < frame->n_empire ? sync_core_view(core, frame->empire[at]) : NULL;
}

// What of a view vision's frame changes: first the view, later what it points to; and those who
// come and go.
static void ask_for_seer(const struct sync_core *core, const struct sync_tick_entry *entry,
                         size_t at)
{
    const struct sync_view *view = seer(core, entry, at);
    if (!view)
        return;
    sync_view_ask(view);
    mm_prefetch_block(view->hexes.near, sizeof view->hexes.near);
    mm_prefetch_write(&view->hexes.visible);
    const Mmorts__Frame__VisionFrame *frame = entry->vision;
    struct sync_range range = sync_vision_range(entry->starts, at, SYNC_GROUP_LEFT);
    for (size_t i = range.from; i < range.to; i++)
        mm_idmap_ask(core->mirror.slot_of_id, frame->left[i]);
    range = sync_vision_range(entry->starts, at, SYNC_GROUP_ENTERED);
    for (size_t i = range.from; i < range.to; i++)
        if (frame->entered[i] < core->sighting_head_count)
            mm_prefetch_write(&core->sighting_head[frame->entered[i]]);
}

static void ask_for_sighting(const struct sync_core *core, uint32_t slot)
{
    if (slot >= core->sighting_head_count)
        return;
    if (core->sighting_head[slot] != SYNC_NONE)
        mm_prefetch_write(&core->sightings.items[core->sighting_head[slot]]);
    mm_prefetch(&core->mirror.entities[slot]);
}

static void ask_for_seen(const struct sync_core *core, const struct sync_tick_entry *entry,
                         size_t at)
{
    enum { STRIDE = 4 }; // hexes that lie in one tile follow on each other
    const struct sync_view *view = seer(core, entry, at);
    if (!view || view->state != SYNC_VIEW_LIVE)
        return;
    const Mmorts__Frame__VisionFrame *frame = entry->vision;
    struct sync_range range = sync_vision_range(entry->starts, at, SYNC_GROUP_LEFT);
    for (size_t i = range.from; i < range.to; i++)
        ask_for_sighting(core, sync_mirror_slot(&core->mirror, frame->left[i]));
    range = sync_vision_range(entry->starts, at, SYNC_GROUP_ENTERED);
    for (size_t i = range.from; i < range.to; i++)
        ask_for_sighting(core, frame->entered[i]);
    range = sync_vision_range(entry->starts, at, SYNC_GROUP_HEXES);
    for (size_t i = range.from; i < range.to; i += STRIDE)
        sync_hexes_ask(&view->hexes, frame->hex_q[i], frame->hex_r[i]);
    mm_prefetch_write(view->delta.hexes.items);
}

// --- who sees what changed: the entity's sightings, their views, and where each notes its changes

static uint32_t changed_slot(const struct sync_core *core, size_t i)
{
    const struct sync_mirror *mirror = &core->mirror;
    return i < mirror->changed.count ? mirror->changed.items[i] : UINT32_MAX;
}

static uint32_t first_sighting(const struct sync_core *core, size_t i)
{
    uint32_t slot = changed_slot(core, i);
    return slot < core->sighting_head_count ? core->sighting_head[slot] : SYNC_NONE;
}

static const struct sync_view *viewer(const struct sync_core *core, uint32_t sighting)
{
    return core->views.items[core->sightings.items[sighting].view];
}

static void ask_for_changes(const struct sync_core *core, uint32_t sighting)
{
    const struct sync_delta *delta = &viewer(core, sighting)->delta;
    mm_prefetch_write(delta->changed.items + delta->changed.count);
}

// Most entities are seen by two: by their own empire and a neighbour's.
static void ask_for_viewers(const struct sync_core *core, size_t i)
{
    const struct sync_sighting *sightings = core->sightings.items;
    ask_for_sighting(core, changed_slot(core, i + 4 * SOON));
    uint32_t first = first_sighting(core, i + 3 * SOON);
    if (first != SYNC_NONE) {
        mm_prefetch_write(viewer(core, first));
        if (sightings[first].next != SYNC_NONE)
            mm_prefetch(&sightings[sightings[first].next]);
    }
    first = first_sighting(core, i + 2 * SOON);
    if (first != SYNC_NONE) {
        ask_for_changes(core, first);
        if (sightings[first].next != SYNC_NONE)
            mm_prefetch_write(viewer(core, sightings[first].next));
    }
    first = first_sighting(core, i + SOON);
    if (first != SYNC_NONE && sightings[first].next != SYNC_NONE)
        ask_for_changes(core, sightings[first].next);
}

static void apply_vision(struct sync_core *core, const struct sync_tick_entry *entry)
{
    const Mmorts__Frame__VisionFrame *frame = entry->vision;
    for (size_t e = 0; e < frame->n_empire; e++) {
        ask_for_seer(core, entry, e + 2 * SOON);
        ask_for_seen(core, entry, e + SOON);
        struct sync_view *view = sync_core_view(core, frame->empire[e]);
        if (view && view->state == SYNC_VIEW_LIVE)
            sync_sight_apply_live(core, view, entry, e);
    }
}

// Tells each view that sees a changed entity. Whose sighting began in this step is told all anyway.
static void share_changes(struct sync_core *core)
{
    const struct sync_mirror *mirror = &core->mirror;
    for (size_t i = 0; i < mirror->changed.count; i++) {
        uint32_t slot = mirror->changed.items[i];
        ask_for_viewers(core, i);
        if (slot >= core->sighting_head_count)
            continue;
        const struct sync_entity *entity = &mirror->entities[slot];
        for (uint32_t s = core->sighting_head[slot]; s != SYNC_NONE;
             s = core->sightings.items[s].next) {
            if (core->sightings.items[s].since == core->step)
                continue;
            struct sync_view *view = core->views.items[core->sightings.items[s].view];
            unsigned mask = mirror->dirty[slot];
            if (entity->owner != view->empire)
                mask &= SYNC_DIRTY_PUBLIC;
            else if (mask & SYNC_DIRTY_OWNER)
                mask |= SYNC_DIRTY_OWNER_ONLY; // it is news to the new owner
            if (mask == 0)
                continue;
            sync_core_touch(core, view);
            struct sync_change change = {slot, core->sightings.items[s].number, (uint8_t)mask,
                                         true};
            if (!mm_vec_push(&view->delta.changed, change))
                view->delta.full = true;
        }
    }
}

// What is no longer there is in nobody's sight, whether vision said so or not.
static void end_departed(struct sync_core *core)
{
    const struct sync_mirror *mirror = &core->mirror;
    for (size_t i = 0; i < mirror->departed.count; i++) {
        uint32_t slot = mirror->departed.items[i].slot;
        while (slot < core->sighting_head_count && core->sighting_head[slot] != SYNC_NONE) {
            uint32_t s = core->sighting_head[slot];
            struct sync_view *view = core->views.items[core->sightings.items[s].view];
            const struct sync_entity *entity = &mirror->entities[slot];
            sync_core_touch(core, view);
            if (!mm_vec_push(
                    &view->delta.gone,
                    ((struct sync_gone){entity->id, mirror->catalogue.types[entity->type].kind,
                                        core->sightings.items[s].number})))
                view->delta.full = true;
            sync_sighting_remove(core, s);
            core->counts.odd_entities++;
        }
    }
}

static void record_departed(struct sync_core *core, uint64_t tick)
{
    struct sync_tick_entry *entry = sync_ring_claim(core, tick);
    mm_vec_clear(&entry->departed);
    entry->mirrored = true;
    uint64_t old = tick - SYNC_BEHIND_TICKS;
    struct sync_tick_entry *past = &core->ring[old % SYNC_HISTORY_TICKS];
    if (past->tick == old)
        sync_ring_drop_vision(past);
    for (size_t i = 0; i < core->mirror.departed.count; i++) {
        // Without memory the tick is one of which nothing is known: answers that need it are
        // refused and asked for again.
        if (!mm_vec_push(&entry->departed, core->mirror.departed.items[i]))
            entry->mirrored = false;
    }
}

// The next tick, if it can be: true. *failed when the mirror ran out of memory.
static bool step_tick(struct sync_core *core, bool *failed)
{
    uint64_t tick = core->mirror.tick + 1;
    Mmorts__Frame__TickFrame **place = &core->ahead[tick % SYNC_AHEAD_TICKS];
    if (!*place || (*place)->tick != tick || !vision_ready(core, tick))
        return false;
    if (core->frame)
        mmorts__frame__tick_frame__free_unpacked(core->frame, NULL);
    core->frame = *place;
    *place = NULL;
    enum mm_err err = sync_mirror_apply(&core->mirror, core->frame);
    if (err != MM_OK) {
        core->counts.world_frames_refused++;
        core->world_snapshot_wanted = true;
        *failed = err == MM_RESOURCE_EXHAUSTED;
        return false;
    }
    core->counts.ticks++;
    record_departed(core, tick);
    share_events(core, true);
    if (core->live_count > 0) {
        const struct sync_tick_entry *entry = vision_entry(core, tick);
        MM_CHECK(entry);
        apply_vision(core, entry);
        core->told_tick = tick;
    }
    end_departed(core);
    share_changes(core);
    share_events(core, false);
    return true;
}

// --- fresh views ---------------------------------------------------------------------------------

// Brings a fresh view as far as vision's frames go, at most to the mirror's tick.
static void catch_up(struct sync_core *core, struct sync_view *view)
{
    while (view->tick < core->mirror.tick) {
        const struct sync_tick_entry *entry = vision_entry(core, view->tick + 1);
        if (!entry || entry->epoch != view->epoch) {
            bool lost = core->vision_newest > view->tick;
            if (lost) {
                core->counts.views_refused++;
                sync_view_freeze(core, view);
            }
            return;
        }
        sync_sight_apply_fresh(core, view, entry);
    }
    if (view->tick == core->mirror.tick && sync_view_activate(core, view))
        core->told_tick = core->mirror.tick;
}

static void step_fresh(struct sync_core *core)
{
    for (size_t i = 0; core->fresh_count > 0 && i < core->views.count; i++) {
        struct sync_view *view = core->views.items[i];
        if (view && view->state == SYNC_VIEW_FRESH)
            catch_up(core, view);
    }
}

static void ask_for_record(const struct sync_core *core, size_t i)
{
    struct sync_view *const *touched = core->touched.items;
    if (i + 2 * SOON < core->touched.count) {
        sync_view_ask(touched[i + 2 * SOON]);
        mm_prefetch_block(&touched[i + 2 * SOON]->history, sizeof touched[i]->history);
    }
    if (i + SOON < core->touched.count) {
        sync_delta_ask(&touched[i + SOON]->delta);
        sync_history_ask(&touched[i + SOON]->history);
    }
}

// Notes in the views' logs what this tick changed. Comes before views become live in it: their logs
// begin behind it.
static void record_history(struct sync_core *core)
{
    for (size_t i = 0; core->history_ticks > 0 && i < core->touched.count; i++) {
        ask_for_record(core, i);
        struct sync_view *view = core->touched.items[i];
        if (view->state == SYNC_VIEW_LIVE && view->history.floor <= core->mirror.tick)
            sync_history_record(&view->history, core, view, core->history_ticks);
    }
}

uint64_t sync_core_next(const struct sync_core *core, uint64_t after)
{
    uint64_t tick = after + 1;
    const Mmorts__Frame__TickFrame *frame = core->ahead[tick % SYNC_AHEAD_TICKS];
    bool is_there = core->mirror.loaded && frame && frame->tick == tick &&
                    (core->live_count + core->fresh_count == 0 || vision_entry(core, tick));
    return is_there ? tick : 0;
}

uint64_t sync_core_waiting(const struct sync_core *core)
{
    uint64_t count = 0;
    while (sync_core_next(core, core->mirror.tick + count) != 0)
        count++;
    return count;
}

enum sync_step sync_core_step(struct sync_core *core)
{
    for (size_t i = 0; i < core->touched.count; i++) {
        if (i + 2 * SOON < core->touched.count)
            sync_view_ask(core->touched.items[i + 2 * SOON]);
        sync_delta_clear(&core->touched.items[i]->delta);
    }
    mm_vec_clear(&core->touched);
    if (core->touched_bits.count > 0)
        memset(core->touched_bits.items, 0,
               core->touched_bits.count * sizeof *core->touched_bits.items);
    core->step++;
    if (!core->mirror.loaded)
        return SYNC_STEP_NONE;
    // Answers first: a view that is current must not miss the tick that comes now.
    step_fresh(core);
    if (core->touched.count > 0)
        return SYNC_STEP_DELTAS; // views that became live: their logs begin here
    bool failed = false;
    bool ticked = step_tick(core, &failed);
    if (failed)
        return SYNC_STEP_FAILED;
    if (ticked) {
        record_history(core);
        step_fresh(core);
    }
    return ticked || core->touched.count > 0 ? SYNC_STEP_DELTAS : SYNC_STEP_NONE;
}
