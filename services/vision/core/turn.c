#include "services/vision/core/turn.h"
#include "services/vision/core/footprint.h"
#include "services/vision/core/mirror.h"
#include "services/vision/core/settle.h"
#include "services/vision/core/sight.h"
#include "services/vision/core/state.h"
#include "services/vision/core/view.h"

// The tick's changes, empire by empire: its units move, are counted, and its views settled.

// What the discs of an empire are counted in is asked for in strides before its turn, each of which
// reads what the one before it asked for: the empire, where its views are, those themselves, their
// chunks, and at last what the chunks know and what is told goes into. An empire that is spread
// wide is left alone, for the cost to follow the steps.
enum { ACTIVES_ASKED_MAX = 16, LINE_BYTES = 64, TURNS_AHEAD = 5 };

static void ask_for_empire(const struct vision *vision, uint32_t number)
{
    const struct vision_empire *empire = vision_empire_find(vision, number);
    if (empire)
        mm_prefetch_block(empire, sizeof *empire);
}

static void ask_for_places(const struct vision *vision, uint32_t number)
{
    const struct vision_empire *empire = vision_empire_find(vision, number);
    if (empire)
        mm_prefetch(empire->actives.items);
}

static void ask_for_actives(const struct vision *vision, uint32_t number)
{
    const struct vision_empire *empire = vision_empire_find(vision, number);
    if (!empire || empire->actives.count > ACTIVES_ASKED_MAX)
        return;
    size_t bytes = vision_active_bytes(vision);
    for (size_t i = 0; i < empire->actives.count; i++)
        mm_prefetch_block(empire->actives.items[i], bytes);
}

static void ask_for_chunks(const struct vision *vision, uint32_t number)
{
    const struct vision_empire *empire = vision_empire_find(vision, number);
    if (!empire || empire->actives.count > ACTIVES_ASKED_MAX)
        return;
    for (size_t i = 0; i < empire->actives.count; i++) {
        const struct vision_active *active = empire->actives.items[i];
        mm_prefetch_block(&vision->chunks.items[active->chunk], sizeof *vision->chunks.items);
    }
}

static void ask_for_knowledge(const struct vision *vision, uint32_t number)
{
    const struct vision_empire *empire = vision_empire_find(vision, number);
    if (!empire || empire->actives.count > ACTIVES_ASKED_MAX)
        return;
    for (size_t i = 0; i < empire->actives.count; i++) {
        struct vision_active *active = empire->actives.items[i];
        const struct vision_chunk *chunk = &vision->chunks.items[active->chunk];
        mm_prefetch(chunk->occupied);
        mm_prefetch(&active->view->first_memory);
        for (uint32_t w = 0; w < vision->words; w++)
            mm_prefetch_write(&chunk->visible[(size_t)w * chunk->visible_stride + active->watcher]);
        const struct vision_plane *next = vision_own_plane(vision, active)->next;
        if (next)
            mm_prefetch_block(next, vision_plane_bytes(vision));
    }
}

// By how many turns ahead of the empire's, from one on.
static void (*const asks[TURNS_AHEAD])(const struct vision *vision, uint32_t number) = {
    ask_for_knowledge, ask_for_chunks, ask_for_actives, ask_for_places, ask_for_empire};

// The ring that a step away from here leaves, some steps before.
static void ask_for_ring(const struct vision *vision, const struct vision_entity *entity,
                         struct hex_axial to)
{
    const struct vision_seat *seat = &entity->seat;
    if (!seat->active || hex_distance(seat->at, to) != 1)
        return;
    unsigned back = ((unsigned)hex_direction_between(seat->at, to) + 3) % HEX_DIRECTIONS;
    const char *ring = (const char *)vision_footprint_shape(vision->footprints[seat->radius],
                                                            seat->cell, SHAPE_RING + back);
    mm_prefetch(ring);
    mm_prefetch(ring + LINE_BYTES);
}

static size_t end_of_owner(const struct vision_ordered *order, size_t count, size_t first)
{
    size_t end = first;
    while (end < count && order[end].owner == order[first].owner)
        end++;
    return end;
}

// The turn of those from `first` to `end`, all of one owner.
static void update_owned(struct vision *vision, const Mmorts__Frame__PositionColumns *moved,
                         size_t first, size_t end)
{
    enum { AHEAD = 8, RING_AHEAD = 4 };
    struct vision_ordered *order = vision->order.items;
    for (size_t i = first; i < end && !vision->exhausted; i++) {
        if (i + 2 * AHEAD < vision->order.count)
            vision_entity_prefetch(vision, order[i + 2 * AHEAD].entity);
        if (i + AHEAD < vision->order.count)
            vision_mirror_prefetch(vision, order[i + AHEAD].entity);
        if (i + RING_AHEAD < vision->order.count && order[i + RING_AHEAD].moved != 0) {
            size_t at = order[i + RING_AHEAD].moved - 1;
            ask_for_ring(vision, &vision->entities[order[i + RING_AHEAD].entity],
                         (struct hex_axial){moved->q[at], moved->r[at]});
        }
        struct vision_entity *entity = &vision->entities[order[i].entity];
        if (order[i].moved != 0) {
            size_t at = order[i].moved - 1;
            vision_mirror_move(vision, order[i].entity,
                               (struct hex_axial){moved->q[at], moved->r[at]});
            order[i].change = entity->change - 1;
        }
        bool foreign =
            order[i].change != ORDERED_UNCHANGED && vision->changes.items[order[i].change].foreign;
        if (!foreign)
            vision_seat_update(vision, entity);
        vision_pass_row(vision, i);
    }
}

void vision_seats_update(struct vision *vision, const Mmorts__Frame__PositionColumns *moved)
{
    const struct vision_ordered *order = vision->order.items;
    size_t count = vision->exhausted ? 0 : vision->order.count;
    // What changes hands concerns two empires: before either's turn.
    for (size_t i = 0; i < vision->changes.count && !vision->exhausted; i++) {
        if (vision->changes.items[i].foreign)
            vision_seat_update(vision, &vision->entities[vision->changes.items[i].entity]);
    }
    size_t turns[TURNS_AHEAD + 1] = {0}; // where this empire's turn begins, and the next ones'
    for (size_t i = 0; i < TURNS_AHEAD; i++)
        turns[i + 1] = end_of_owner(order, count, turns[i]);
    while (turns[0] < count && !vision->exhausted) {
        for (size_t ahead = 1; ahead <= TURNS_AHEAD && turns[ahead] < count; ahead++)
            asks[ahead - 1](vision, order[turns[ahead]].owner);
        size_t dirty = vision->dirty.count;
        update_owned(vision, moved, turns[0], turns[1]);
        vision_settle_empire(vision, order[turns[0]].owner, dirty);
        memmove(turns, turns + 1, TURNS_AHEAD * sizeof *turns);
        turns[TURNS_AHEAD] = end_of_owner(order, count, turns[TURNS_AHEAD]);
    }
}
