#include "libcommon/base/alloc.h"
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

// --- an entity that changed: all viewers at once
// --------------------------------------------------------

// Walks the watchers of the entity's chunk and its owner, ascending by empire.
struct sighting {
    const struct vision_watcher *watchers;
    size_t count;
    size_t next;
    uint32_t owner; // 0 once it was given
};

// The next empire that has the entity in sight, or 0.
static uint32_t next_sighting(const struct vision *vision, const struct vision_entity *entity,
                              struct sighting *sighting)
{
    while (sighting->next < sighting->count) {
        const struct vision_watcher *watcher = &sighting->watchers[sighting->next];
        if (sighting->owner != 0 && sighting->owner <= watcher->empire)
            break;
        sighting->next++;
        if (watcher->empire != entity->owner && vision_active_sees(vision, watcher->active, entity))
            return watcher->empire;
    }
    uint32_t owner = sighting->owner;
    sighting->owner = 0;
    return owner;
}

static void resight(struct vision *vision, struct vision_entity *entity)
{
    struct sighting sighting = {0};
    if (entity->alive && entity->chunk != UINT32_MAX) {
        const struct vision_chunk *chunk = &vision->chunks.items[entity->chunk];
        sighting = (struct sighting){.watchers = chunk->watchers.items,
                                     .count = chunk->watchers.count,
                                     .owner = entity->owner};
    }
    if (VISION_FAULT(LEAKED_ID_AFTER_DESPAWN) && !entity->alive) {
        const struct vision_chunk *chunk = &vision->chunks.items[entity->chunk];
        for (size_t w = 0; w < chunk->watchers.count; w++)
            vision_output_left(vision, chunk->watchers.items[w].empire, entity->id);
    }
    mm_vec_clear(&vision->merged);
    bool differs = false;
    size_t old = 0;
    uint32_t empire = next_sighting(vision, entity, &sighting);
    while (empire != 0 || old < entity->viewer_count) {
        const struct vision_viewer *viewer =
            old < entity->viewer_count ? &entity->viewers[old] : NULL;
        struct vision_viewer kept;
        if (viewer && (empire == 0 || viewer->empire < empire)) {
            leave(vision, entity, viewer);
            differs = true;
            old++;
            continue;
        }
        if (viewer && viewer->empire == empire) {
            kept = *viewer;
            old++;
        } else {
            kept = (struct vision_viewer){.empire = empire,
                                          .first_seen = enter(vision, entity, empire)};
            differs = true;
        }
        vision->exhausted |= !mm_vec_push(&vision->merged, kept);
        empire = next_sighting(vision, entity, &sighting);
    }
    if (VISION_FAULT(SLOT_KEEPS_VIEWERS) && !entity->alive)
        return;
    if (!differs || !viewers_reserve(vision, entity, vision->merged.count))
        return;
    if (vision->merged.count > 0)
        memcpy(entity->viewers, vision->merged.items,
               vision->merged.count * sizeof *entity->viewers);
    entity->viewer_count = (uint32_t)vision->merged.count;
}

void vision_watch_changes(struct vision *vision)
{
    for (size_t i = 0; i < vision->changes.count && !vision->exhausted; i++) {
        if (vision->changes.items[i].resight)
            resight(vision, &vision->entities[vision->changes.items[i].entity]);
    }
}

// --- a cell whose fog moved: one empire and those who stand there
// ----------------------------------------

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
                         const struct vision_view *view)
{
    size_t place = viewer_place(entity, view->empire);
    bool was = place < entity->viewer_count && entity->viewers[place].empire == view->empire;
    bool is = entity->owner == view->empire || vision_active_sees(vision, view->active, entity);
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
        .empire = view->empire, .first_seen = enter(vision, entity, view->empire)};
    entity->viewer_count++;
}

void vision_watch_flips(struct vision *vision)
{
    for (size_t i = 0; i < vision->flips.count && !vision->exhausted; i++) {
        const struct vision_flip *flip = &vision->flips.items[i];
        const struct vision_chunk *chunk = &vision->chunks.items[flip->view->chunk];
        uint32_t slot = chunk->first_entity ? chunk->first_entity[flip->cell] : 0;
        for (; slot != 0; slot = vision->entities[slot].next_in_cell) {
            struct vision_entity *entity = &vision->entities[slot];
            if (!resighted(vision, entity))
                compare_pair(vision, entity, flip->view);
        }
    }
}
