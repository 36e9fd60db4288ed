#include "tests/support/load_view.h"

#include "libcommon/base/check.h"
#include "libcommon/base/hash.h"
#include "libcommon/base/prefetch.h"
#include "tests/support/load_view_internal.h"
#include "tests/support/wire_decoder.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PREFETCH_SEEN_MAX = 64 };

static uint64_t hash_from(uint64_t mixed, int32_t q, int32_t r)
{
    return mm_mix64(mixed ^ ((uint64_t)(uint32_t)q << 32 | (uint32_t)r));
}

uint64_t load_hash(uint64_t id, int32_t q, int32_t r)
{
    return hash_from(mm_mix64(id), q, r);
}

bool load_view_fault(struct load_view *view, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!view->fault[0])
        (void)vsnprintf(view->fault, sizeof view->fault, format, args);
    va_end(args);
    return false;
}

// --- what is seen --------------------------------------------------------------------------------

// `mixed` is mm_mix64(id), which the place and the hash are both made of.
static uint32_t place_from(const struct load_view *view, uint64_t id, uint64_t mixed)
{
    uint32_t mask = view->capacity - 1, at = (uint32_t)mixed & mask;
    while (view->seen[at].id != 0 && view->seen[at].id != id)
        at = (at + 1) & mask;
    return at;
}

static uint32_t place_of(const struct load_view *view, uint64_t id)
{
    return place_from(view, id, mm_mix64(id));
}

static void grow(struct load_view *view)
{
    struct load_seen *old = view->seen;
    uint32_t count = view->capacity;
    view->capacity = count ? 2 * count : 64;
    view->seen = calloc(view->capacity, sizeof *view->seen);
    MM_CHECK(view->seen);
    for (uint32_t i = 0; i < count; i++)
        if (old[i].id)
            view->seen[place_of(view, old[i].id)] = old[i];
    free(old);
}

// False: it is not in sight and may not come into it.
static bool put(struct load_view *view, const struct load_entity *entity, bool may_come)
{
    if (may_come && 4 * (view->count + 1) > 3 * view->capacity)
        grow(view);
    uint64_t id = entity->id, mixed = mm_mix64(id);
    struct load_seen *seen = view->capacity ? &view->seen[place_from(view, id, mixed)] : NULL;
    bool known = seen && seen->id != 0;
    if ((!known && !may_come) || !entity->placed)
        return known;
    if (known)
        view->hash -= hash_from(mixed, seen->q, seen->r);
    else
        view->count++;
    *seen = (struct load_seen){id, entity->q, entity->r};
    view->hash += hash_from(mixed, entity->q, entity->r);
    return true;
}

void load_view_take_away(struct load_view *view, uint64_t id)
{
    uint32_t at = view->capacity ? place_of(view, id) : 0, mask = view->capacity - 1;
    if (!view->capacity || view->seen[at].id == 0)
        return; // only remembered, or told twice: changes nothing
    view->hash -= load_hash(id, view->seen[at].q, view->seen[at].r);
    view->count--;
    // What was pushed on by it moves up, so that every search still ends at an empty place.
    for (uint32_t next = (at + 1) & mask; view->seen[next].id; next = (next + 1) & mask) {
        uint32_t wanted = (uint32_t)mm_mix64(view->seen[next].id) & mask;
        if (((next - wanted) & mask) >= ((next - at) & mask)) {
            view->seen[at] = view->seen[next];
            at = next;
        }
    }
    view->seen[at].id = 0;
}

void load_view_forget(struct load_view *view)
{
    if (view->count)
        memset(view->seen, 0, view->capacity * sizeof *view->seen);
    view->count = 0;
    view->hash = 0;
    view->complete = view->resuming = false;
    view->settled_tick = 0;
    view->own_id = 0;
}

void load_view_prefetch(const struct load_view *view, unsigned step)
{
    if (step == 0) {
        mm_prefetch_block(view, offsetof(struct load_view, fault) + 1);
        return;
    }
    if (step == 1) {
        if (view->decoder)
            mm_prefetch_block(view->decoder, offsetof(struct wire_decoder, fault) + 1);
        if (view->log_capacity > view->log_count)
            mm_prefetch_write(&view->log[view->log_count]);
        return;
    }
    if (view->capacity <= PREFETCH_SEEN_MAX)
        mm_prefetch_block(view->seen, view->capacity * sizeof *view->seen);
}

void load_view_init(struct load_view *view)
{
    memset(view, 0, sizeof *view);
}

void load_view_free(struct load_view *view)
{
    if (view->decoder)
        wire_decoder_free(view->decoder);
    free(view->decoder);
    free(view->seen);
    free(view->log);
    memset(view, 0, sizeof *view);
}

void load_view_restart(struct load_view *view)
{
    load_view_forget(view);
    view->watch_id = 0;
    if (!view->decoder)
        return;
    wire_decoder_free(view->decoder);
    wire_decoder_init(view->decoder);
}

bool load_view_resumed(struct load_view *view)
{
    if (!view->complete)
        return load_view_fault(view, "resumed, but not everything was told before");
    view->resuming = true;
    view->began_anew = true; // what happened in between is not told
    return true;
}

static void write_log(struct load_view *view)
{
    struct load_entry *last = view->log_count ? &view->log[view->log_count - 1] : NULL;
    struct load_entry entry = {view->tick, view->hash, view->count, view->began_anew};
    if (last && last->tick == view->tick) {
        entry.began_anew |= last->began_anew;
        *last = entry;
    } else {
        if (view->log_count == view->log_capacity) {
            view->log_capacity = view->log_capacity ? 2 * view->log_capacity : 256;
            view->log = realloc(view->log, view->log_capacity * sizeof *view->log);
            MM_CHECK(view->log);
        }
        view->log[view->log_count++] = entry;
    }
    view->began_anew = false;
}

// --- news, in either encoding --------------------------------------------------------------------

void load_view_entity(struct load_view *view, const struct load_entity *entity, bool appeared,
                      struct load_message *message)
{
    message->entities++;
    if (!put(view, entity, appeared) && !appeared)
        (void)load_view_fault(view, "an entity changes that is not in sight, tick %llu",
                              (unsigned long long)message->tick);
    if (appeared && entity->own && view->own_id == 0) {
        view->own_id = entity->id;
        view->own_q = entity->q;
        view->own_r = entity->r;
    }
    if (entity->id == view->watch_id && entity->has_target && entity->target_q == view->watch_q &&
        entity->target_r == view->watch_r)
        message->watched = true;
}

void load_view_end_update(struct load_view *view, struct load_message *message)
{
    if (message->tick < view->tick)
        (void)load_view_fault(view, "tick %llu after tick %llu", (unsigned long long)message->tick,
                              (unsigned long long)view->tick);
    view->tick = message->tick;
    if (message->full) {
        view->complete = true;
        view->began_anew = true;
    }
    if (!message->only_names) {
        view->told_tick = message->tick;
        if (!message->deferred)
            view->settled_tick = message->tick;
        message->resumed = view->resuming;
        view->resuming = false;
    }
    message->complete = view->complete && !view->resuming && !message->deferred;
    // What the picture misses comes later: of the ticks until then nothing is promised.
    if (message->deferred)
        view->began_anew = true;
    else if (message->complete && !message->only_names)
        write_log(view);
}
