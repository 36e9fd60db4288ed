#include "services/vision/core/memory.h"
#include "libcommon/base/alloc.h"
#include "services/vision/core/mirror.h"
#include "services/vision/core/output.h"
#include "services/vision/core/state.h"
#include "services/vision/core/view.h"
#include "services/vision/core/watch.h"

#include <string.h>

// What empires remember of entities that left their sight.

// Within a tick an empire may hold more than the policy allows, until the tick's end.
#define MEMORIES_OF_EMPIRE_MAX ((size_t)1 << 30)

struct vision_memory_policy vision_memory_policy_default(void)
{
    return (struct vision_memory_policy){
        .enabled = true,
        .buildings = true,
        .npcs = true,
        .heroes = true,
        .endgame = true,
        .settlement_ticks = 0,
        .building_ticks = 12000,
        .npc_ticks = 0,
        .hero_ticks = 36000,
        .endgame_ticks = 0,
        .per_empire_max = 1000,
    };
}

bool vision_memory_lasts(const struct vision *vision, uint32_t type_number, uint64_t *ticks_out)
{
    const struct vision_memory_policy *policy = &vision->options.memory;
    const struct vision_type *type = &vision->types[type_number];
    if (!policy->enabled || policy->per_empire_max == 0)
        return false;
    switch (type->kind) {
    case MMORTS__FRAME__KIND__KIND_BUILDING:
        *ticks_out = type->flags & MMORTS__FRAME__TYPE_FLAG__TYPE_FLAG_SETTLEMENT
                         ? policy->settlement_ticks
                         : policy->building_ticks;
        return policy->buildings;
    case MMORTS__FRAME__KIND__KIND_NPC:
        *ticks_out = policy->npc_ticks;
        return policy->npcs;
    case MMORTS__FRAME__KIND__KIND_UNIT:
        if (type->flags & MMORTS__FRAME__TYPE_FLAG__TYPE_FLAG_ENDGAME) {
            *ticks_out = policy->endgame_ticks;
            return policy->endgame;
        }
        *ticks_out = policy->hero_ticks;
        return policy->heroes && (type->flags & MMORTS__FRAME__TYPE_FLAG__TYPE_FLAG_HERO);
    default:
        return false;
    }
}

// --- the queue of changed rows ---------------------------------------------------------------

void vision_memory_queue_save(struct vision *vision, uint32_t slot)
{
    struct vision_memory_slot *memory = &vision->memories[slot];
    if (memory->unsaved)
        return;
    memory->unsaved = true;
    memory->next_unsaved = 0;
    memory->previous_unsaved = vision->unsaved_memory_last;
    if (memory->previous_unsaved)
        vision->memories[memory->previous_unsaved].next_unsaved = slot;
    else
        vision->unsaved_memory_first = slot;
    vision->unsaved_memory_last = slot;
    vision->unsaved_memories++;
}

void vision_memory_unqueue_save(struct vision *vision, uint32_t slot)
{
    struct vision_memory_slot *memory = &vision->memories[slot];
    if (!memory->unsaved)
        return;
    memory->unsaved = false;
    if (memory->previous_unsaved)
        vision->memories[memory->previous_unsaved].next_unsaved = memory->next_unsaved;
    else
        vision->unsaved_memory_first = memory->next_unsaved;
    if (memory->next_unsaved)
        vision->memories[memory->next_unsaved].previous_unsaved = memory->previous_unsaved;
    else
        vision->unsaved_memory_last = memory->previous_unsaved;
    vision->unsaved_memories--;
}

// --- slots -----------------------------------------------------------------------------------

static uint32_t slot_get(struct vision *vision)
{
    uint32_t slot = vision->memory_free;
    if (slot) {
        vision->memory_free = vision->memories[slot].next_free;
        return slot;
    }
    if (vision->memory_next >= vision->memory_capacity) {
        uint64_t wanted = vision->memory_capacity ? (uint64_t)vision->memory_capacity * 2 : 256;
        struct vision_memory_slot *grown =
            wanted > UINT32_MAX / 2
                ? NULL
                : mm_realloc(vision->memories, (size_t)wanted * sizeof *vision->memories);
        if (!grown) {
            vision->exhausted = true;
            return 0;
        }
        vision->held_bytes += ((size_t)wanted - vision->memory_capacity) * sizeof *vision->memories;
        vision->memories = grown;
        vision->memory_capacity = (uint32_t)wanted;
    }
    if (vision->memory_next == 0)
        vision->memory_next = 1;
    return vision->memory_next++;
}

static void link_slot(struct vision *vision, struct vision_empire *empire, uint32_t slot)
{
    struct vision_memory_slot *memory = &vision->memories[slot];
    memory->next_in_view = memory->view->first_memory;
    memory->previous_in_view = 0;
    if (memory->next_in_view)
        vision->memories[memory->next_in_view].previous_in_view = slot;
    memory->view->first_memory = slot;

    memory->next_in_empire = 0;
    memory->previous_in_empire = empire->last_memory;
    if (memory->previous_in_empire)
        vision->memories[memory->previous_in_empire].next_in_empire = slot;
    else
        empire->first_memory = slot;
    empire->last_memory = slot;
    empire->memory_count++;
    vision->stats.memories++;
}

static void unlink_slot(struct vision *vision, struct vision_empire *empire, uint32_t slot)
{
    struct vision_memory_slot *memory = &vision->memories[slot];
    if (memory->previous_in_view)
        vision->memories[memory->previous_in_view].next_in_view = memory->next_in_view;
    else
        memory->view->first_memory = memory->next_in_view;
    if (memory->next_in_view)
        vision->memories[memory->next_in_view].previous_in_view = memory->previous_in_view;

    if (memory->previous_in_empire)
        vision->memories[memory->previous_in_empire].next_in_empire = memory->next_in_empire;
    else
        empire->first_memory = memory->next_in_empire;
    if (memory->next_in_empire)
        vision->memories[memory->next_in_empire].previous_in_empire = memory->previous_in_empire;
    else
        empire->last_memory = memory->previous_in_empire;
    empire->memory_count--;
    vision->stats.memories--;
}

static void drop(struct vision *vision, uint32_t slot)
{
    struct vision_memory_slot *memory = &vision->memories[slot];
    struct vision_empire *empire = vision->empires[memory->row.empire];
    struct vision_forgotten gone = {.empire = memory->row.empire, .id = memory->row.id};
    vision->exhausted |= !mm_vec_push(&vision->unsaved_forgotten, gone);
    mm_idmap_remove(empire->memories, memory->row.id, NULL);
    if (memory->expiry != MM_HEAP_NONE)
        mm_heap_remove(vision->expiries, memory->expiry);
    vision_memory_unqueue_save(vision, slot);
    unlink_slot(vision, empire, slot);
    vision_yield_remove(vision, empire, slot);
    memory->used = false;
    memory->next_free = vision->memory_free;
    vision->memory_free = slot;
}

void vision_memory_forget(struct vision *vision, uint32_t slot)
{
    const struct vision_memory_slot *memory = &vision->memories[slot];
    // A reader that was not told of it yet need not be told of its end.
    if (memory->stored_at != vision->tick)
        vision_output_forgotten(vision, memory->row.empire, memory->row.id);
    drop(vision, slot);
}

uint32_t vision_memory_store(struct vision *vision, const struct vision_memory *row)
{
    struct vision_empire *empire = vision_empire_get(vision, row->empire);
    struct hex_chunk at;
    uint32_t cell = hex_chunk_cell(&vision->tiling, row->at, &at);
    uint32_t chunk = vision_chunk_get(vision, at);
    if (!empire || chunk == UINT32_MAX)
        return 0;
    struct vision_view *view = vision_view_get(vision, row->empire, chunk);
    if (!empire->memories)
        empire->memories = mm_idmap_new(MEMORIES_OF_EMPIRE_MAX);
    uint64_t known;
    if (empire->memories && mm_idmap_get(empire->memories, row->id, &known))
        drop(vision, (uint32_t)known);
    uint32_t slot = view && empire->memories ? slot_get(vision) : 0;
    if (slot == 0) {
        vision->exhausted = true;
        return 0;
    }
    struct vision_memory_slot *memory = &vision->memories[slot];
    *memory = (struct vision_memory_slot){.row = *row,
                                          .used = true,
                                          .stored_at = vision->tick,
                                          .cell = cell,
                                          .view = view,
                                          .expiry = MM_HEAP_NONE};
    if (mm_idmap_set(empire->memories, row->id, slot) != MM_OK ||
        (row->expires_at != 0 &&
         mm_heap_push(vision->expiries, row->expires_at, slot, &memory->expiry) != MM_OK))
        vision->exhausted = true;
    link_slot(vision, empire, slot);
    vision_yield_add(vision, empire, slot);
    return slot;
}

// --- within a tick ---------------------------------------------------------------------------

uint64_t vision_memory_meet(struct vision *vision, uint32_t empire_number, uint64_t id)
{
    struct vision_empire *empire = vision->empires[empire_number];
    uint64_t slot;
    if (!empire->memories || !mm_idmap_get(empire->memories, id, &slot))
        return vision->tick;
    uint64_t first_seen = vision->memories[slot].row.first_seen;
    drop(vision, (uint32_t)slot);
    return first_seen;
}

void vision_memory_part(struct vision *vision, const struct vision_entity *entity, uint32_t empire,
                        uint64_t first_seen)
{
    uint64_t ticks;
    if (!vision_memory_lasts(vision, entity->type, &ticks))
        return;
    struct vision_parting parting = {
        .row = {.empire = empire,
                .id = entity->id,
                .type = entity->type,
                .owner = entity->owner,
                .at = entity->at,
                .health = entity->health,
                .first_seen = first_seen,
                .last_seen = vision->previous_tick,
                .expires_at = ticks == 0 ? 0 : vision->tick + ticks},
        .chunk = entity->chunk,
        .cell = entity->cell,
        .gone = !entity->alive,
    };
    if (entity->change != 0 && !VISION_FAULT(MEMORY_KNOWS_TOO_MUCH)) {
        // What it did in this tick was not seen.
        const struct vision_change *before = &vision->changes.items[entity->change - 1];
        parting.row.owner = before->owner;
        parting.row.at = before->at;
        parting.row.health = before->health;
        parting.chunk = before->chunk;
        parting.cell = before->cell;
    }
    // The end of what is one's own is known.
    if (parting.gone && parting.row.owner == empire)
        return;
    vision->exhausted |= !mm_vec_push(&vision->partings, parting);
}

static void store_parting(struct vision *vision, const struct vision_parting *parting)
{
    const struct vision_view *view = vision_view_find(vision, parting->row.empire, parting->chunk);
    if (vision_view_sees(vision, view, parting->cell)) {
        // Its end was seen; or its place came into sight in this very tick, without it.
        bool revealed = view->active->dirty_round == vision->round &&
                        vision_active_bit(vision, view->active, BITS_CHANGED, parting->cell) &&
                        !parting->was_in_sight;
        if (parting->gone || revealed)
            return;
    }
    uint32_t slot = vision_memory_store(vision, &parting->row);
    if (slot == 0)
        return;
    vision_memory_queue_save(vision, slot);
    vision_output_remembered(vision, parting->row.empire, slot);
}

static void reveal(struct vision *vision, const struct vision_flip *flip)
{
    if (VISION_FAULT(MEMORY_OUTLIVES_REVEAL))
        return;
    uint32_t slot = flip->active->view->first_memory;
    while (slot != 0) {
        uint32_t next = vision->memories[slot].next_in_view;
        if (vision->memories[slot].cell == flip->cell && !vision->memories[slot].was_in_sight)
            vision_memory_forget(vision, slot);
        slot = next;
    }
}

// Partings noted before a snapshot: only now is there something to compare them with. Keeps those
// that are partings.
static void compare_partings(struct vision *vision)
{
    size_t kept = 0;
    for (size_t i = 0; i < vision->partings.count; i++) {
        struct vision_parting parting = vision->partings.items[i];
        uint64_t slot;
        parting.gone = !mm_idmap_get(vision->entity_by_id, parting.row.id, &slot);
        if (parting.gone && parting.row.owner == parting.row.empire)
            continue;
        size_t place;
        if (!parting.gone &&
            vision_viewer_find(&vision->entities[slot], parting.row.empire, &place)) {
            if (vision->entities[slot].first_seen)
                vision->entities[slot].first_seen[place] = parting.row.first_seen;
            continue;
        }
        if (parting.row.expires_at != 0)
            parting.row.expires_at += vision->tick - vision->previous_tick;
        vision->partings.items[kept++] = parting;
    }
    vision->partings.count = kept;
}

void vision_memory_end_tick(struct vision *vision, bool snapshot)
{
    for (size_t i = 0; i < vision->flips.count; i++) {
        if (vision->flips.items[i].revealed)
            reveal(vision, &vision->flips.items[i]);
        (void)mm_progress_row(vision->progress, i);
    }
    struct mm_heap_entry due;
    while (mm_heap_peek(vision->expiries, &due) && due.key <= vision->tick)
        vision_memory_forget(vision, (uint32_t)due.value);
    if (snapshot)
        compare_partings(vision);
    for (size_t i = 0; i < vision->partings.count && !vision->exhausted; i++) {
        store_parting(vision, &vision->partings.items[i]);
        vision_pass_row(vision, i);
    }
    for (size_t i = 0; i < vision->partings.count; i++) {
        vision_memory_evict(vision, vision->empires[vision->partings.items[i].row.empire]);
        (void)mm_progress_row(vision->progress, i);
    }
    if (vision->tick >= vision->loaded.tick)
        vision_loaded_end(vision);
    mm_vec_clear(&vision->partings);
    for (uint32_t slot = 1; snapshot && slot < vision->memory_next; slot++)
        vision->memories[slot].was_in_sight = false;
}

enum mm_err vision_load_memory(struct vision *vision, const struct vision_memory *row)
{
    if (row->empire == 0 || row->empire > vision->options.empires_max || !hex_in_bounds(row->at))
        return MM_INVALID_ARGUMENT;
    if (vision_memory_store(vision, row) == 0)
        return MM_RESOURCE_EXHAUSTED;
    return vision_loaded_add(vision, row) ? MM_OK : MM_RESOURCE_EXHAUSTED;
}

// --- across a snapshot -----------------------------------------------------------------------

void vision_memory_note_all(struct vision *vision, bool resume)
{
    for (uint32_t slot = 1; slot < vision->memory_next; slot++) {
        struct vision_memory_slot *memory = &vision->memories[slot];
        memory->was_in_sight =
            memory->used && (resume || vision_view_sees(vision, memory->view, memory->cell));
        (void)mm_progress_row(vision->progress, slot);
    }
    for (uint32_t slot = 1; slot < vision->entity_capacity; slot++) {
        const struct vision_entity *entity = &vision->entities[slot];
        if (!entity->alive)
            continue;
        for (uint32_t v = 0; v < entity->viewer_count; v++)
            vision_memory_part(vision, entity, vision_viewers(entity)[v],
                               vision_first_seen(vision, entity, v));
        (void)mm_progress_row(vision->progress, slot);
    }
    for (size_t i = 0; i < vision->partings.count; i++) {
        struct vision_parting *parting = &vision->partings.items[i];
        const struct vision_view *view =
            vision_view_find(vision, parting->row.empire, parting->chunk);
        parting->was_in_sight = vision_view_sees(vision, view, parting->cell);
        (void)mm_progress_row(vision->progress, i);
    }
}
