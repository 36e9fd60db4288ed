#include "services/sync/core/mirror.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/prefetch.h"
#include "libcommon/base/str.h"
#include "libcommon/hex/hex.h"

#include <string.h>

#define SLOTS_FIRST 1024u
#define SOON        8u // so many entities ahead their memory is asked for

enum mm_err sync_mirror_init(struct sync_mirror *mirror)
{
    memset(mirror, 0, sizeof *mirror);
    mm_vec_init(&mirror->changed, SYNC_ENTITIES_MAX);
    mm_vec_init(&mirror->departed, SYNC_ENTITIES_MAX);
    mirror->slot_of_id = mm_idmap_new(2 * (size_t)SYNC_ENTITIES_MAX);
    return mirror->slot_of_id ? MM_OK : MM_RESOURCE_EXHAUSTED;
}

static void free_empires(struct sync_mirror *mirror)
{
    for (uint32_t i = 0; i < mirror->empire_count; i++)
        mm_free(mirror->empires[i].name);
    mm_free(mirror->empires);
    mirror->empires = NULL;
    mirror->empire_count = 0;
}

void sync_mirror_free(struct sync_mirror *mirror)
{
    free_empires(mirror);
    sync_catalogue_free(&mirror->catalogue);
    mm_free(mirror->entities);
    mm_free(mirror->dirty);
    mm_free(mirror->before);
    mm_free(mirror->stepped);
    mm_idmap_free(mirror->slot_of_id);
    mm_vec_free(&mirror->changed);
    mm_vec_free(&mirror->departed);
    memset(mirror, 0, sizeof *mirror);
}

uint32_t sync_mirror_slot(const struct sync_mirror *mirror, uint64_t id)
{
    uint64_t slot = 0;
    return mm_idmap_get(mirror->slot_of_id, id, &slot) ? (uint32_t)slot : 0;
}

const struct sync_empire *sync_mirror_empire(const struct sync_mirror *mirror, uint32_t number)
{
    if (number == 0 || number >= mirror->empire_count || mirror->empires[number].id == 0)
        return NULL;
    return &mirror->empires[number];
}

bool sync_entity_has_target(const struct sync_entity *e)
{
    bool elsewhere = e->target_q != e->q || e->target_r != e->r;
    return e->activity == MMORTS__FRAME__ACTIVITY__ACTIVITY_MOVING || (e->rallies && elsewhere);
}

bool sync_entity_has_rank(const struct sync_mirror *mirror, const struct sync_entity *e)
{
    return mirror->catalogue.types[e->type].kind != MMORTS__FRAME__KIND__KIND_RESOURCE;
}

uint8_t sync_entity_diff(const struct sync_entity *told, const struct sync_entity *now)
{
    unsigned mask = 0;
    if (told->q != now->q || told->r != now->r)
        mask |= SYNC_DIRTY_PLACE;
    if (told->health != now->health)
        mask |= SYNC_DIRTY_HEALTH;
    if (told->owner != now->owner)
        mask |= SYNC_DIRTY_OWNER;
    if (told->activity != now->activity)
        mask |= SYNC_DIRTY_ACTIVITY;
    if (told->progress != now->progress)
        mask |= SYNC_DIRTY_PROGRESS;
    if (told->amount != now->amount || told->rank != now->rank)
        mask |= SYNC_DIRTY_AMOUNT;
    if (told->carried != now->carried)
        mask |= SYNC_DIRTY_CARRIED;
    if (told->target_q != now->target_q || told->target_r != now->target_r ||
        told->rallies != now->rallies)
        mask |= SYNC_DIRTY_TARGET;
    return (uint8_t)mask;
}

// --- validation: everything is looked at before anything is changed ------------------------------

static bool slots_valid(const uint32_t *slots, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (slots[i] == 0 || slots[i] >= SYNC_ENTITIES_MAX)
            return false;
    }
    return true;
}

static bool slot_alive(const struct sync_mirror *mirror, uint32_t slot)
{
    return slot < mirror->slot_count && mirror->entities[slot].alive;
}

static bool empires_valid(const Mmorts__Frame__EmpireColumns *c)
{
    if (!c)
        return true;
    size_t n = c->n_empire;
    if (c->n_id != n || c->n_player_id != n || c->n_name != n || c->n_home_q != n ||
        c->n_home_r != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (c->empire[i] == 0 || c->empire[i] >= SYNC_EMPIRES_MAX || c->id[i] == 0 ||
            strlen(c->name[i]) > SYNC_NAME_MAX)
            return false;
    }
    return true;
}

static bool spawns_valid(const struct sync_mirror *mirror, const Mmorts__Frame__TickFrame *frame)
{
    const Mmorts__Frame__SpawnColumns *c = frame->spawned;
    if (!c)
        return true;
    size_t n = c->n_entity;
    if (c->n_id != n || c->n_type != n || c->n_owner != n || c->n_q != n || c->n_r != n)
        return false;
    if (!slots_valid(c->entity, n))
        return false;
    size_t types = frame->catalogue && frame->catalogue->types ? frame->catalogue->types->n_name
                                                               : mirror->catalogue.type_count;
    for (size_t i = 0; i < n; i++) {
        if (c->type[i] >= types || c->id[i] == 0 || c->owner[i] >= SYNC_EMPIRES_MAX)
            return false;
        // A slot is free in the frame before the one that fills it again.
        if (!frame->snapshot && slot_alive(mirror, c->entity[i]))
            return false;
    }
    return true;
}

static bool frame_valid(const struct sync_mirror *mirror, const Mmorts__Frame__TickFrame *frame)
{
    if (frame->snapshot ? !frame->catalogue : frame->tick != mirror->tick + 1)
        return false;
    if (frame->catalogue && !sync_catalogue_valid(frame->catalogue))
        return false;
    if (!empires_valid(frame->empires) || !spawns_valid(mirror, frame))
        return false;
    if (!slots_valid(frame->despawned, frame->n_despawned))
        return false;
    for (size_t i = 0; i < frame->n_despawned; i++) {
        if (!slot_alive(mirror, frame->despawned[i]))
            return false;
    }
    const Mmorts__Frame__PositionColumns *moved = frame->moved;
    if (moved && (moved->n_q != moved->n_entity || moved->n_r != moved->n_entity ||
                  !slots_valid(moved->entity, moved->n_entity)))
        return false;
    for (size_t i = 0; i < frame->n_columns; i++) {
        const Mmorts__Frame__AttributeColumn *column = frame->columns[i];
        if (column->n_entity != column->n_value || !slots_valid(column->entity, column->n_entity))
            return false;
    }
    const Mmorts__Frame__EventColumns *e = frame->events;
    return !e || (e->n_entity == e->n_kind && e->n_other == e->n_kind && e->n_value == e->n_kind &&
                  e->n_detail == e->n_kind);
}

// --- application ---------------------------------------------------------------------------------

static bool grow_slots(struct sync_mirror *mirror, uint32_t slot)
{
    if (slot < mirror->slot_count)
        return true;
    uint32_t count = mirror->slot_count ? mirror->slot_count : SLOTS_FIRST;
    while (count <= slot)
        count *= 2;
    struct sync_entity *entities = mm_realloc(mirror->entities, count * sizeof *entities);
    if (!entities)
        return false;
    mirror->entities = entities;
    uint8_t *dirty = mm_realloc(mirror->dirty, count);
    if (!dirty)
        return false;
    mirror->dirty = dirty;
    struct sync_place *before = mm_realloc(mirror->before, count * sizeof *before);
    if (!before)
        return false;
    mirror->before = before;
    uint8_t *stepped = mm_realloc(mirror->stepped, count);
    if (!stepped)
        return false;
    mirror->stepped = stepped;
    uint32_t added = count - mirror->slot_count;
    mm_progress_zero(mirror->progress, entities + mirror->slot_count, added * sizeof *entities);
    mm_progress_zero(mirror->progress, dirty + mirror->slot_count, added);
    mirror->slot_count = count;
    return true;
}

static bool apply_empires(struct sync_mirror *mirror, const Mmorts__Frame__EmpireColumns *c)
{
    for (size_t i = 0; c && i < c->n_empire; i++) {
        uint32_t number = c->empire[i];
        if (number >= mirror->empire_count) {
            uint32_t count = (number / 64 + 1) * 64;
            struct sync_empire *grown = mm_realloc(mirror->empires, count * sizeof *grown);
            if (!grown)
                return false;
            memset(grown + mirror->empire_count, 0, (count - mirror->empire_count) * sizeof *grown);
            mirror->empires = grown;
            mirror->empire_count = count;
        }
        char *name = mm_strdup(c->name[i]);
        if (!name)
            return false;
        struct sync_empire *empire = &mirror->empires[number];
        mm_free(empire->name);
        *empire = (struct sync_empire){c->id[i], c->player_id[i], c->home_q[i], c->home_r[i], name};
        mirror->empires_changed = true;
    }
    return true;
}

static void mark(struct sync_mirror *mirror, uint32_t slot, unsigned mask)
{
    if (mirror->dirty[slot] == 0) {
        // Cannot fail: reserved for every slot there is before marking begins.
        bool pushed = mm_vec_push(&mirror->changed, slot);
        MM_CHECK(pushed);
    }
    mirror->dirty[slot] |= (uint8_t)mask;
}

static bool apply_spawns(struct sync_mirror *mirror, const Mmorts__Frame__SpawnColumns *c)
{
    for (size_t i = 0; c && i < c->n_entity; i++) {
        uint32_t slot = c->entity[i];
        if (!grow_slots(mirror, slot))
            return false;
        (void)mm_progress_row(mirror->progress, i);
        const struct sync_type *type = &mirror->catalogue.types[c->type[i]];
        struct sync_entity *entity = &mirror->entities[slot];
        if (!entity->alive)
            mirror->entity_count++;
        *entity = (struct sync_entity){
            .id = c->id[i],
            .type = c->type[i],
            .owner = c->owner[i],
            .q = c->q[i],
            .r = c->r[i],
            .health = (int32_t)type->health_max,
            .progress = 1000,
            .activity = MMORTS__FRAME__ACTIVITY__ACTIVITY_IDLE,
            .alive = true,
        };
        if (mm_idmap_set(mirror->slot_of_id, entity->id, slot) != MM_OK)
            return false;
    }
    return true;
}

// What is known of thousands is in no cache.
static void ask_for_entity(const struct sync_mirror *mirror,
                           const Mmorts__Frame__PositionColumns *c, size_t i)
{
    if (i >= c->n_entity || c->entity[i] >= mirror->slot_count)
        return;
    mm_prefetch_block(&mirror->entities[c->entity[i]], sizeof *mirror->entities);
    mm_prefetch_write(&mirror->before[c->entity[i]]);
    mm_prefetch_write(&mirror->stepped[c->entity[i]]);
    mm_prefetch_write(&mirror->dirty[c->entity[i]]);
}

static uint8_t step_between(const struct sync_place *from, const struct sync_entity *entity)
{
    int direction = hex_direction_between((struct hex_axial){from->q, from->r},
                                          (struct hex_axial){entity->q, entity->r});
    return direction < 0 ? HEX_DIRECTIONS : (uint8_t)direction;
}

static void apply_moves(struct sync_mirror *mirror, const Mmorts__Frame__PositionColumns *c)
{
    for (size_t i = 0; c && i < c->n_entity; i++) {
        ask_for_entity(mirror, c, i + SOON);
        uint32_t slot = c->entity[i];
        if (!slot_alive(mirror, slot))
            continue; // moved and then died in the same tick
        struct sync_entity *entity = &mirror->entities[slot];
        if (entity->q == c->q[i] && entity->r == c->r[i])
            continue;
        if (!(mirror->dirty[slot] & SYNC_DIRTY_PLACE))
            mirror->before[slot] = (struct sync_place){entity->q, entity->r};
        entity->q = c->q[i];
        entity->r = c->r[i];
        mirror->stepped[slot] = step_between(&mirror->before[slot], entity);
        mark(mirror, slot, SYNC_DIRTY_PLACE);
    }
}

// Sets one attribute; the mask of what that changed for clients.
static unsigned set_attribute(struct sync_entity *e, Mmorts__Frame__Attribute attribute,
                              int32_t value)
{
    struct sync_entity before = *e;
    switch (attribute) {
    case MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_HEALTH:
        e->health = value;
        break;
    case MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_OWNER:
        e->owner = value > 0 && value < (int32_t)SYNC_EMPIRES_MAX ? (uint32_t)value : 0;
        break;
    case MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_ACTIVITY:
        e->activity = value >= 0 && value <= UINT8_MAX ? (uint8_t)value : 0;
        break;
    case MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_PROGRESS:
        e->progress = value >= 0 && value <= 1000 ? (uint16_t)value : 1000;
        break;
    case MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_AMOUNT:
        e->amount = value;
        break;
    case MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_RANK:
        e->rank = value >= 0 && value <= UINT8_MAX ? (uint8_t)value : 0;
        break;
    case MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_CARRIED:
        e->carried = value;
        break;
    case MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_RALLY_Q:
        e->rallies = true;
        e->target_q = value;
        break;
    case MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_RALLY_R:
        e->target_r = value;
        break;
    case MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_TARGET_Q:
        e->target_q = value;
        break;
    case MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_TARGET_R:
        e->target_r = value;
        break;
    default:
        break; // sight and stealth concern vision; unknown ones a later version
    }
    return sync_entity_diff(&before, e);
}

static void apply_columns(struct sync_mirror *mirror, const Mmorts__Frame__TickFrame *frame)
{
    for (size_t c = 0; c < frame->n_columns; c++) {
        const Mmorts__Frame__AttributeColumn *column = frame->columns[c];
        for (size_t i = 0; i < column->n_entity; i++) {
            uint32_t slot = column->entity[i];
            (void)mm_progress_row(mirror->progress, i);
            if (!slot_alive(mirror, slot))
                continue;
            unsigned mask =
                set_attribute(&mirror->entities[slot], column->attribute, column->value[i]);
            if (mask)
                mark(mirror, slot, mask);
        }
    }
}

// Ends the tick before: departed entities lose their ids, dirty masks are cleared.
static void begin_tick(struct sync_mirror *mirror)
{
    for (size_t i = 0; i < mirror->departed.count; i++) {
        const struct sync_departed *gone = &mirror->departed.items[i];
        uint64_t slot = 0;
        if (mm_idmap_get(mirror->slot_of_id, gone->id, &slot) && slot == gone->slot)
            (void)mm_idmap_remove(mirror->slot_of_id, gone->id, NULL);
    }
    for (size_t i = 0; i < mirror->changed.count; i++)
        mirror->dirty[mirror->changed.items[i]] = 0;
    mm_vec_clear(&mirror->departed);
    mm_vec_clear(&mirror->changed);
    mirror->empires_changed = false;
}

static void clear(struct sync_mirror *mirror)
{
    mm_vec_clear(&mirror->departed);
    mm_vec_clear(&mirror->changed);
    mm_idmap_clear(mirror->slot_of_id);
    if (mirror->slot_count > 0) {
        mm_progress_zero(mirror->progress, mirror->entities,
                         mirror->slot_count * sizeof *mirror->entities);
        mm_progress_zero(mirror->progress, mirror->dirty, mirror->slot_count);
    }
    mirror->entity_count = 0;
    free_empires(mirror);
}

static bool apply_parts(struct sync_mirror *mirror, const Mmorts__Frame__TickFrame *frame)
{
    if (frame->catalogue && sync_catalogue_load(&mirror->catalogue, frame->catalogue) != MM_OK)
        return false;
    if (!apply_empires(mirror, frame->empires))
        return false;
    if (!mm_vec_reserve(&mirror->departed, frame->n_despawned))
        return false;
    for (size_t i = 0; i < frame->n_despawned; i++) {
        uint32_t slot = frame->despawned[i];
        struct sync_entity *entity = &mirror->entities[slot];
        if (!entity->alive)
            continue; // named twice
        entity->alive = false;
        mirror->entity_count--;
        bool pushed = mm_vec_push(&mirror->departed, ((struct sync_departed){slot, entity->id}));
        MM_CHECK(pushed);
    }
    // For everybody at once: an index that grows while a million comes is made anew over and over.
    if (frame->snapshot && frame->spawned && frame->spawned->n_entity <= SYNC_ENTITIES_MAX &&
        mm_idmap_reserve(mirror->slot_of_id, frame->spawned->n_entity) != MM_OK)
        return false;
    (void)mm_progress_step(mirror->progress);
    if (!apply_spawns(mirror, frame->spawned) ||
        !mm_vec_reserve(&mirror->changed, (size_t)mirror->slot_count))
        return false;
    apply_moves(mirror, frame->moved);
    apply_columns(mirror, frame);
    return true;
}

enum mm_err sync_mirror_apply(struct sync_mirror *mirror, const Mmorts__Frame__TickFrame *frame)
{
    if (!frame->snapshot && !mirror->loaded)
        return MM_DATA_LOSS;
    if (!frame_valid(mirror, frame))
        return MM_DATA_LOSS;
    (void)mm_progress_step(mirror->progress);
    begin_tick(mirror);
    if (frame->snapshot)
        clear(mirror);
    (void)mm_progress_step(mirror->progress);
    mirror->loaded = apply_parts(mirror, frame);
    if (!mirror->loaded)
        return MM_RESOURCE_EXHAUSTED;
    mirror->tick = frame->tick;
    if (frame->state != MMORTS__FRAME__SESSION_STATE__SESSION_STATE_UNKNOWN)
        mirror->state = frame->state;
    return MM_OK;
}
