#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "services/vision/core/internal.h"

#include <string.h>

// Who has which entity in sight. Each entity keeps the list of its viewers as it was told last;
// here the lists of those that something happened to, on either side, are brought up to date.

// The change of this tick that asks for a full comparison, or NULL.
static const struct vision_change *resighted(const struct vision *vision,
                                             const struct vision_entity *entity)
{
    if (entity->change == 0)
        return NULL;
    const struct vision_change *change = &vision->changes.items[entity->change - 1];
    return change->resight ? change : NULL;
}

static uint32_t slot_of(const struct vision *vision, const struct vision_entity *entity)
{
    return (uint32_t)(entity - vision->entities);
}

static uint64_t enter(struct vision *vision, const struct vision_entity *entity, uint32_t empire)
{
    vision_output_entered(vision, empire, slot_of(vision, entity));
    vision->stats.sight_pairs++;
    return vision_memory_meet(vision, empire, entity->id);
}

static void leave(struct vision *vision, const struct vision_entity *entity,
                  const struct vision_viewer *viewer)
{
    vision_output_left(vision, viewer->empire, entity->id);
    vision->stats.sight_pairs--;
    vision_memory_part(vision, entity, viewer->empire, viewer->first_seen);
}

static bool viewers_reserve(struct vision *vision, struct vision_entity *entity, size_t count)
{
    if (count <= entity->viewer_capacity)
        return true;
    uint32_t capacity = entity->viewer_capacity ? entity->viewer_capacity : 2;
    while (capacity < count)
        capacity *= 2;
    struct vision_viewer *grown = mm_realloc(entity->viewers, capacity * sizeof *grown);
    if (!grown) {
        vision->exhausted = true;
        return false;
    }
    vision->held_bytes += (capacity - entity->viewer_capacity) * sizeof *grown;
    entity->viewers = grown;
    entity->viewer_capacity = capacity;
    return true;
}

// --- an entity that changed: all viewers at once ---------------------------------------------

static bool add_sighting(struct vision *vision, uint32_t empire)
{
    struct vision_viewer viewer = {.empire = empire};
    return mm_vec_push(&vision->sightings, viewer);
}

// Fills vision->sightings with the empires that have the entity in sight now, ascending.
static void find_sightings(struct vision *vision, const struct vision_entity *entity)
{
    mm_vec_clear(&vision->sightings);
    if (!entity->alive || entity->chunk == UINT32_MAX)
        return;
    bool room = entity->owner == 0 || add_sighting(vision, entity->owner);
    const struct vision_chunk *chunk = &vision->chunks.items[entity->chunk];
    const uint64_t *words = chunk->seen_by + (size_t)entity->cell * chunk->seen_words;
    for (uint32_t w = 0; w < chunk->seen_words; w++) {
        for (uint64_t bits = words[w]; bits != 0; bits &= bits - 1) {
            const struct vision_watcher *watcher =
                &chunk->watchers.items[w * 64 + (uint32_t)__builtin_ctzll(bits)];
            if (watcher->empire != entity->owner &&
                (!entity->stealthed || vision_active_sees(vision, watcher->active, entity)))
                room = add_sighting(vision, watcher->empire) && room;
        }
    }
    vision->exhausted |= !room;
    // Few see one hex, and most often they come in order.
    struct vision_viewer *items = vision->sightings.items;
    for (size_t i = 1; i < vision->sightings.count; i++) {
        struct vision_viewer moving = items[i];
        size_t k = i;
        for (; k > 0 && items[k - 1].empire > moving.empire; k--)
            items[k] = items[k - 1];
        items[k] = moving;
    }
}

static void resight(struct vision *vision, struct vision_entity *entity)
{
    if (VISION_FAULT(LEAKED_ID_AFTER_DESPAWN) && !entity->alive) {
        const struct vision_chunk *chunk = &vision->chunks.items[entity->chunk];
        for (size_t w = 0; w < chunk->watchers.count; w++) {
            if (chunk->watchers.items[w].active)
                vision_output_left(vision, chunk->watchers.items[w].empire, entity->id);
        }
    }
    find_sightings(vision, entity);
    bool differs = entity->viewer_count != vision->sightings.count;
    size_t old = 0, now = 0;
    while (now < vision->sightings.count || old < entity->viewer_count) {
        const struct vision_viewer *viewer =
            old < entity->viewer_count ? &entity->viewers[old] : NULL;
        struct vision_viewer *sighting =
            now < vision->sightings.count ? &vision->sightings.items[now] : NULL;
        if (viewer && sighting && viewer->empire == sighting->empire) {
            sighting->first_seen = viewer->first_seen;
            old++;
            now++;
        } else if (viewer && (!sighting || viewer->empire < sighting->empire)) {
            leave(vision, entity, viewer);
            differs = true;
            old++;
        } else {
            MM_CHECK(sighting);
            sighting->first_seen = enter(vision, entity, sighting->empire);
            differs = true;
            now++;
        }
    }
    if (VISION_FAULT(SLOT_KEEPS_VIEWERS) && !entity->alive)
        return;
    if (!differs || !viewers_reserve(vision, entity, vision->sightings.count))
        return;
    if (vision->sightings.count > 0)
        memcpy(entity->viewers, vision->sightings.items,
               vision->sightings.count * sizeof *entity->viewers);
    entity->viewer_count = (uint32_t)vision->sightings.count;
}

static void prefetch_viewers(const struct vision *vision, const struct vision_entity *entity)
{
    __builtin_prefetch(entity->viewers);
    if (entity->chunk == UINT32_MAX)
        return;
    const struct vision_chunk *chunk = &vision->chunks.items[entity->chunk];
    __builtin_prefetch(chunk->seen_by + (size_t)entity->cell * chunk->seen_words);
}

void vision_watch_changes(struct vision *vision)
{
    enum { AHEAD = 8 };
    const struct vision_ordered *order = vision->order.items;
    size_t count = vision->exhausted ? 0 : vision->order.count;
    for (size_t i = 0; i < count && !vision->exhausted; i++) {
        if (i + AHEAD < count)
            vision_entity_prefetch(vision, order[i + AHEAD].entity);
        if (i + AHEAD / 2 < count)
            prefetch_viewers(vision, &vision->entities[order[i + AHEAD / 2].entity]);
        if (order[i].change != ORDERED_POSTPONED && vision->changes.items[order[i].change].resight)
            resight(vision, &vision->entities[order[i].entity]);
    }
}

// --- a cell whose fog moved: one empire and those who stand there ----------------------------

static size_t viewer_place(const struct vision_entity *entity, uint32_t empire)
{
    size_t low = 0, high = entity->viewer_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (entity->viewers[middle].empire < empire)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct vision_viewer *vision_viewer_find(const struct vision_entity *entity, uint32_t empire)
{
    size_t place = viewer_place(entity, empire);
    bool found = place < entity->viewer_count && entity->viewers[place].empire == empire;
    return found ? &entity->viewers[place] : NULL;
}

static void compare_pair(struct vision *vision, struct vision_entity *entity,
                         const struct vision_active *active)
{
    size_t place = viewer_place(entity, active->empire);
    bool was = place < entity->viewer_count && entity->viewers[place].empire == active->empire;
    bool is = entity->owner == active->empire || vision_active_sees(vision, active, entity);
    if (was == is)
        return;
    if (was) {
        if (VISION_FAULT(MISSED_LEAVE_UNDER_FOG))
            return;
        leave(vision, entity, &entity->viewers[place]);
        entity->viewer_count--;
        memmove(&entity->viewers[place], &entity->viewers[place + 1],
                (entity->viewer_count - place) * sizeof *entity->viewers);
        return;
    }
    if (!viewers_reserve(vision, entity, (size_t)entity->viewer_count + 1))
        return;
    memmove(&entity->viewers[place + 1], &entity->viewers[place],
            (entity->viewer_count - place) * sizeof *entity->viewers);
    entity->viewers[place] = (struct vision_viewer){
        .empire = active->empire, .first_seen = enter(vision, entity, active->empire)};
    entity->viewer_count++;
}

static void prefetch_flip(const struct vision *vision, const struct vision_flip *flip)
{
    const struct vision_chunk *chunk = &vision->chunks.items[flip->active->chunk];
    uint32_t slot = chunk->first_entity ? chunk->first_entity[flip->cell] : 0;
    if (slot != 0)
        vision_entity_prefetch(vision, slot);
}

void vision_watch_flips(struct vision *vision)
{
    enum { AHEAD = 8 };
    for (size_t i = 0; i < vision->flips.count && !vision->exhausted; i++) {
        if (i + AHEAD < vision->flips.count)
            prefetch_flip(vision, &vision->flips.items[i + AHEAD]);
        const struct vision_flip *flip = &vision->flips.items[i];
        const struct vision_chunk *chunk = &vision->chunks.items[flip->active->chunk];
        uint32_t slot = chunk->first_entity ? chunk->first_entity[flip->cell] : 0;
        for (; slot != 0; slot = vision->entities[slot].next_in_cell) {
            struct vision_entity *entity = &vision->entities[slot];
            if (!resighted(vision, entity))
                compare_pair(vision, entity, flip->active);
        }
    }
}
