#include "services/vision/core/watch.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "services/vision/core/memory.h"
#include "services/vision/core/output.h"
#include "services/vision/core/state.h"
#include "services/vision/core/view.h"

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

static void leave(struct vision *vision, const struct vision_entity *entity, size_t place)
{
    uint32_t empire = vision_viewers(entity)[place];
    vision_output_left(vision, empire, entity->id);
    vision->stats.sight_pairs--;
    vision_memory_part(vision, entity, empire, vision_first_seen(vision, entity, place));
}

// --- the list of viewers ---------------------------------------------------------------------

static size_t viewers_room(const struct vision_entity *entity)
{
    return entity->viewers_log2 == 0 ? VISION_VIEWERS_FEW : (size_t)1 << entity->viewers_log2;
}

static uint32_t *viewers_of(struct vision_entity *entity)
{
    return entity->viewers_log2 == 0 ? entity->viewers.few : entity->viewers.many;
}

void vision_viewers_free(struct vision *vision, struct vision_entity *entity)
{
    if (entity->viewers_log2 != 0) {
        vision->held_bytes -= viewers_room(entity) * sizeof *entity->viewers.many;
        mm_free(entity->viewers.many);
    }
    if (entity->first_seen) {
        vision->held_bytes -= viewers_room(entity) * sizeof *entity->first_seen;
        mm_free(entity->first_seen);
    }
    entity->first_seen = NULL;
    entity->viewers_log2 = 0;
    entity->viewer_count = 0;
}

// Since when each viewer sees it, kept if that may come to matter.
static bool first_seen_reserve(struct vision *vision, struct vision_entity *entity, size_t room)
{
    size_t before = entity->first_seen ? viewers_room(entity) : 0;
    if ((!entity->lasts && !entity->first_seen) || room <= before)
        return true;
    uint64_t *grown = mm_realloc(entity->first_seen, room * sizeof *grown);
    if (!grown)
        return false;
    vision->held_bytes += (room - before) * sizeof *grown;
    entity->first_seen = grown;
    return true;
}

static bool viewers_reserve(struct vision *vision, struct vision_entity *entity, size_t count)
{
    uint8_t log2 = entity->viewers_log2;
    size_t room = viewers_room(entity);
    for (; room < count; room *= 2)
        log2 = (uint8_t)(__builtin_ctzll(room) + 1);
    if (!first_seen_reserve(vision, entity, room)) {
        vision->exhausted = true;
        return false;
    }
    if (room == viewers_room(entity))
        return true;
    uint32_t *many = mm_malloc(room * sizeof *many);
    if (!many) {
        vision->exhausted = true;
        return false;
    }
    memcpy(many, vision_viewers(entity), entity->viewer_count * sizeof *many);
    vision->held_bytes += room * sizeof *many;
    if (entity->viewers_log2 != 0) {
        vision->held_bytes -= viewers_room(entity) * sizeof *many;
        mm_free(entity->viewers.many);
    }
    entity->viewers.many = many;
    entity->viewers_log2 = log2;
    return true;
}

// --- an entity that changed: all viewers at once ---------------------------------------------

static bool add_sighting(struct vision *vision, uint32_t empire)
{
    struct vision_viewer viewer = {.empire = empire};
    return mm_vec_push(&vision->sightings, viewer);
}

// Which of up to 64 watchers see a cell of these words: a bit for each.
static uint64_t who_sees(const uint64_t *words, size_t count, uint32_t bit)
{
    uint64_t who = 0;
    for (size_t i = 0; i < count; i++)
        who |= (words[i] >> bit & 1) << i;
    return who;
}

// Fills vision->sightings with the empires that have the entity in sight now, ascending.
static void find_sightings(struct vision *vision, const struct vision_entity *entity)
{
    mm_vec_clear(&vision->sightings);
    if (!entity->alive || entity->chunk == UINT32_MAX)
        return;
    bool room = entity->owner == 0 || add_sighting(vision, entity->owner);
    const struct vision_chunk *chunk = &vision->chunks.items[entity->chunk];
    for (size_t first = 0; first < chunk->watchers.count; first += 64) {
        size_t left = chunk->watchers.count - first;
        const uint64_t *words =
            chunk->visible + (size_t)(entity->cell / 64) * chunk->visible_stride + first;
        for (uint64_t who = who_sees(words, left < 64 ? left : 64, entity->cell % 64); who != 0;
             who &= who - 1) {
            const struct vision_watcher *watcher =
                &chunk->watchers.items[first + (size_t)__builtin_ctzll(who)];
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

static void set_viewers(struct vision *vision, struct vision_entity *entity)
{
    if (!viewers_reserve(vision, entity, vision->sightings.count))
        return;
    uint32_t *viewers = viewers_of(entity);
    for (size_t i = 0; i < vision->sightings.count; i++) {
        viewers[i] = vision->sightings.items[i].empire;
        if (entity->first_seen)
            entity->first_seen[i] = vision->sightings.items[i].first_seen;
    }
    entity->viewer_count = (uint32_t)vision->sightings.count;
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
    const uint32_t *viewers = vision_viewers(entity);
    size_t old_count = entity->viewer_count, now_count = vision->sightings.count;
    bool differs = old_count != now_count;
    size_t old = 0, now = 0;
    struct vision_viewer *sightings = vision->sightings.items;
    while (now < now_count || old < old_count) {
        if (old < old_count && now < now_count && viewers[old] == sightings[now].empire) {
            if (entity->first_seen)
                sightings[now].first_seen = entity->first_seen[old];
            old++;
            now++;
        } else if (old < old_count && (now == now_count || viewers[old] < sightings[now].empire)) {
            leave(vision, entity, old++);
            differs = true;
        } else {
            sightings[now].first_seen = enter(vision, entity, sightings[now].empire);
            differs = true;
            now++;
        }
    }
    if (VISION_FAULT(SLOT_KEEPS_VIEWERS) && !entity->alive)
        return;
    if (differs)
        set_viewers(vision, entity);
}

static void prefetch_viewers(const struct vision *vision, const struct vision_entity *entity)
{
    if (entity->viewers_log2 != 0)
        mm_prefetch(entity->viewers.many);
    if (entity->chunk == UINT32_MAX)
        return;
    const struct vision_chunk *chunk = &vision->chunks.items[entity->chunk];
    if (chunk->watchers.count == 0)
        return;
    const uint64_t *words = chunk->visible + (size_t)(entity->cell / 64) * chunk->visible_stride;
    mm_prefetch(words);
    mm_prefetch(words + chunk->watchers.count - 1);
    mm_prefetch(chunk->watchers.items);
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
        if (order[i].change != ORDERED_UNCHANGED && vision->changes.items[order[i].change].resight)
            resight(vision, &vision->entities[order[i].entity]);
        vision_pass_row(vision, i);
    }
}

// --- a cell whose fog moved: one empire and those who stand there ----------------------------

static size_t viewer_place(const struct vision_entity *entity, uint32_t empire)
{
    const uint32_t *viewers = vision_viewers(entity);
    size_t low = 0, high = entity->viewer_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (viewers[middle] < empire)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool vision_viewer_find(const struct vision_entity *entity, uint32_t empire, size_t *place_out)
{
    *place_out = viewer_place(entity, empire);
    return *place_out < entity->viewer_count && vision_viewers(entity)[*place_out] == empire;
}

static void remove_viewer(struct vision *vision, struct vision_entity *entity, size_t place)
{
    leave(vision, entity, place);
    uint32_t *viewers = viewers_of(entity);
    size_t behind = --entity->viewer_count - place;
    memmove(&viewers[place], &viewers[place + 1], behind * sizeof *viewers);
    if (entity->first_seen)
        memmove(&entity->first_seen[place], &entity->first_seen[place + 1],
                behind * sizeof *entity->first_seen);
}

static void insert_viewer(struct vision *vision, struct vision_entity *entity, size_t place,
                          uint32_t empire)
{
    if (!viewers_reserve(vision, entity, (size_t)entity->viewer_count + 1))
        return;
    uint64_t first_seen = enter(vision, entity, empire);
    uint32_t *viewers = viewers_of(entity);
    size_t behind = entity->viewer_count++ - place;
    memmove(&viewers[place + 1], &viewers[place], behind * sizeof *viewers);
    viewers[place] = empire;
    if (!entity->first_seen)
        return;
    memmove(&entity->first_seen[place + 1], &entity->first_seen[place],
            behind * sizeof *entity->first_seen);
    entity->first_seen[place] = first_seen;
}

static void compare_pair(struct vision *vision, struct vision_entity *entity,
                         const struct vision_active *active)
{
    size_t place;
    bool was = vision_viewer_find(entity, active->empire, &place);
    bool is = entity->owner == active->empire || vision_active_sees(vision, active, entity);
    if (was && !is && !VISION_FAULT(MISSED_LEAVE_UNDER_FOG))
        remove_viewer(vision, entity, place);
    else if (is && !was)
        insert_viewer(vision, entity, place, active->empire);
}

static const uint32_t *flip_head(const struct vision *vision, const struct vision_flip *flip)
{
    const struct vision_chunk *chunk = &vision->chunks.items[flip->active->chunk];
    return chunk->first_entity ? &chunk->first_entity[flip->cell] : NULL;
}

static void prefetch_flip(const struct vision *vision, const struct vision_flip *flip)
{
    const uint32_t *head = flip_head(vision, flip);
    if (head && *head != 0)
        mm_prefetch_write(&vision->entities[*head]);
}

void vision_watch_flips(struct vision *vision)
{
    enum { AHEAD = 8 };
    const struct vision_flip *flips = vision->flips.items;
    for (size_t i = 0; i < vision->flips.count && !vision->exhausted; i++) {
        if (i + 2 * AHEAD < vision->flips.count)
            mm_prefetch(flip_head(vision, &flips[i + 2 * AHEAD]));
        if (i + AHEAD < vision->flips.count)
            prefetch_flip(vision, &flips[i + AHEAD]);
        const uint32_t *head = flip_head(vision, &flips[i]);
        uint32_t slot = head ? *head : 0;
        for (; slot != 0; slot = vision->entities[slot].next_in_cell) {
            struct vision_entity *entity = &vision->entities[slot];
            if (!resighted(vision, entity))
                compare_pair(vision, entity, flips[i].active);
        }
        vision_pass_row(vision, i);
    }
}
