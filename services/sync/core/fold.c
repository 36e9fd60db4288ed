#include "services/sync/core/fold.h"

#include "libcommon/base/bitset.h"
#include "libcommon/base/check.h"
#include "services/sync/core/history.h"
#include "services/sync/core/update_parts.h"

static bool is_held(const struct sync_core *core, const struct sync_view *view)
{
    return mm_bitset_get(core->held.items, view->index);
}

void sync_fold_forget(struct sync_core *core, const struct sync_view *view)
{
    if (!is_held(core, view))
        return;
    mm_bitset_clear(core->held.items, view->index);
    core->held_count--;
}

// --- holding -------------------------------------------------------------------------------------

// A death or a completed building is shown once or never.
static bool has_last_news(const struct sync_core *core, const struct sync_delta *delta)
{
    for (size_t i = 0; i < delta->events.count; i++) {
        Mmorts__Frame__EventKind kind = core->frame->events->kind[delta->events.items[i].event];
        if (kind != MMORTS__FRAME__EVENT_KIND__EVENT_ATTACK &&
            kind != MMORTS__FRAME__EVENT_KIND__EVENT_DEPOSIT)
            return true;
    }
    return false;
}

static bool may_wait(const struct sync_core *core, const struct sync_view *view, uint64_t from)
{
    return view->state == SYNC_VIEW_LIVE && core->history_ticks > 0 && !view->delta.full &&
           sync_history_lasts(&view->history, from, core->mirror.tick, core->history_ticks) &&
           !has_last_news(core, &view->delta);
}

// True: it is told later.
static bool hold(struct sync_core *core, struct sync_view *view)
{
    bool was_held = is_held(core, view);
    uint64_t from = was_held ? view->held_from : core->mirror.tick - 1;
    if (!may_wait(core, view, from)) {
        sync_fold_forget(core, view);
        view->delta.folded = was_held;
        return false;
    }
    mm_bitset_clear(core->touched_bits.items, view->index);
    sync_delta_clear(&view->delta);
    core->held_count += mm_bitset_add(core->held.items, view->index);
    view->held_from = from;
    return true;
}

void sync_fold_hold(struct sync_core *core)
{
    size_t left = 0;
    for (size_t i = 0; i < core->touched.count; i++) {
        struct sync_view *view = core->touched.items[i];
        if (!hold(core, view))
            core->touched.items[left++] = view;
    }
    core->touched.count = left;
}

void sync_fold_release(struct sync_core *core)
{
    size_t bits = core->held.count * 64;
    for (size_t i = 0; core->held_count > 0; i++) {
        i = mm_bitset_next(core->held.items, bits, i);
        MM_CHECK(i < bits);
        struct sync_view *view = core->views.items[i];
        sync_core_touch(core, view);
        view->delta.folded = true;
        sync_fold_forget(core, view);
    }
}

// --- telling -------------------------------------------------------------------------------------

// An event of what departed in this step names it as it was before: the client must have known it
// all the time since it was told last.
static bool knew_departed(const struct sync_core *core, const struct sync_delta *news,
                          const struct sync_event_news *event)
{
    const struct sync_entity *entity =
        &core->mirror.entities[core->frame->events->entity[event->event]];
    for (size_t i = 0; i < news->gone.count; i++) {
        if (news->gone.items[i].id == entity->id)
            return news->gone.items[i].number == event->number;
    }
    return false;
}

static void add_events(const struct sync_core *core, const struct sync_delta *delta,
                       struct sync_delta *news)
{
    for (size_t i = 0; i < delta->events.count; i++) {
        const struct sync_event_news *event = &delta->events.items[i];
        // An event that does not fit is not shown: it leaves no state behind.
        if (!event->departed || knew_departed(core, news, event))
            (void)mm_vec_push(&news->events, *event);
    }
}

struct sync_delta *sync_fold_delta(struct sync_core *core, struct sync_view *view,
                                   struct sync_delta *news)
{
    struct sync_delta *delta = &view->delta;
    if (!delta->folded)
        return delta;
    struct sync_position position = {view->held_from, view->held_from};
    if (delta->full || !sync_history_since(core, view, position, news))
        return NULL;
    add_events(core, delta, news);
    return sync_encoder_name_delta(core, view, news) ? news : NULL;
}
